//! Lists the partition schemes of arduino-esp32: how much room an update has.

use std::str::FromStr;

/// The division of a flash chip.
///
/// Sources: espressif/arduino-esp32 `tools/partitions/*.csv`. A device writes an update into the program partition that
/// does not run (esp-idf `esp_ota_get_next_update_partition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct PartitionScheme {
    /// Name of the file without `.csv`, such as `min_spiffs`.
    pub name: &'static str,
    /// Size in bytes of a partition for a program.
    pub app_bytes: u32,
    /// The partitions for programs.
    pub slots: Slots,
}

/// The partitions for programs in a scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Slots {
    /// Two: an update goes into the one that does not run.
    Two,
    /// One, which runs. esp-idf names it as the next one, too.
    One,
    /// A factory program alone: esp-idf names no next one.
    Factory,
}

const fn two(name: &'static str, app_bytes: u32) -> PartitionScheme {
    PartitionScheme { name, app_bytes, slots: Slots::Two }
}

const fn one(name: &'static str, app_bytes: u32) -> PartitionScheme {
    PartitionScheme { name, app_bytes, slots: Slots::One }
}

const fn factory(name: &'static str, app_bytes: u32) -> PartitionScheme {
    PartitionScheme { name, app_bytes, slots: Slots::Factory }
}

/// The schemes that otaseal knows.
pub const SCHEMES: &[PartitionScheme] = &[
    two("default", 0x14_0000),
    two("default_ffat", 0x14_0000),
    two("default_8MB", 0x33_0000),
    two("default_16MB", 0x64_0000),
    two("default_32MB", 0xC8_0000),
    two("min_spiffs", 0x1E_0000),
    two("no_fs", 0x1F_0000),
    two("large_spiffs_8MB", 0x14_0000),
    two("large_spiffs_16MB", 0x48_0000),
    two("app3M_fat9M_16MB", 0x30_0000),
    two("rainmaker", 0x1E_0000),
    two("zigbee", 0x14_0000),
    one("huge_app", 0x30_0000),
    one("no_ota", 0x20_0000),
    one("minimal", 0x14_0000),
    factory("bare_minimum_2MB", 1900 * 1024),
    factory("max_app_4MB", 0x3E_0000),
    factory("max_app_8MB", 0x7E_0000),
];

/// The name of no scheme in [`SCHEMES`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a partition scheme: expected one of {names}", names = names())]
#[non_exhaustive]
pub struct UnknownScheme(pub String);

fn names() -> String {
    SCHEMES.iter().map(|scheme| scheme.name).collect::<Vec<_>>().join(", ")
}

impl FromStr for PartitionScheme {
    type Err = UnknownScheme;

    /// Reads a name in upper or lower case, with or without `.csv`, as `board_build.partitions` of PlatformIO has it.
    fn from_str(name: &str) -> Result<Self, UnknownScheme> {
        let stem = name.strip_suffix(".csv").unwrap_or(name);
        let found = SCHEMES.iter().copied().find(|scheme| scheme.name.eq_ignore_ascii_case(stem));
        found.ok_or_else(|| UnknownScheme(name.to_owned()))
    }
}
