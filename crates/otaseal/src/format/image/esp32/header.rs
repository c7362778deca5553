//! Reads the header of an ESP32 image, 24 bytes, and tells it from an ESP8266 image.

use std::fmt;

use serde::Serialize;

use crate::format::image::esp8266::{FlashMode, MAGIC};

/// Length of the header: eight bytes as on the ESP8266, then sixteen more.
pub(super) const LEN: usize = 24;
/// ESP_IMAGE_MAX_SEGMENTS of esp-idf.
const MAX_SEGMENTS: u8 = 16;

/// A chip of the ESP32 family, by the number in the header. `Display` names it as esptool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "&'static str")]
pub struct Esp32Chip(u16);

/// Numbers, and names as esptool 5.6 prints them: IMAGE_CHIP_ID and CHIP_NAME of `targets/*.py`.
pub(super) const CHIPS: [(u16, &str); 14] = [
    (0, "ESP32"),
    (2, "ESP32-S2"),
    (5, "ESP32-C3"),
    (9, "ESP32-S3"),
    (12, "ESP32-C2"),
    (13, "ESP32-C6"),
    (16, "ESP32-H2"),
    (18, "ESP32-P4"),
    (20, "ESP32-C61"),
    (23, "ESP32-C5"),
    (25, "ESP32-H21"),
    (28, "ESP32-H4"),
    (31, "ESP32-E22"),
    (32, "ESP32-S31"),
];

impl Esp32Chip {
    /// Returns the chip of a number in the header. Returns `None` for a number that esptool does not know.
    pub fn from_id(id: u16) -> Option<Self> {
        CHIPS.iter().any(|(known, _)| *known == id).then_some(Self(id))
    }

    /// Returns the number in the header.
    pub const fn id(self) -> u16 {
        self.0
    }

    /// Returns its name, as esptool prints it.
    pub fn name(self) -> &'static str {
        // Only `from_id` makes a chip.
        CHIPS.iter().find(|(known, _)| *known == self.0).map_or("ESP32", |(_, name)| name)
    }

    /// Returns the flash clock of a header's byte 3: FLASH_FREQUENCY of esptool's `targets/*.py`.
    pub(super) fn flash_frequency_mhz(self, nibble: u8) -> Option<u8> {
        Some(match (self.name(), nibble) {
            ("ESP32-C2", 0x0) => 30,
            ("ESP32-C2", 0x1) => 20,
            ("ESP32-C2", 0x2) => 15,
            ("ESP32-C2", 0xF) => 60,
            ("ESP32-H2" | "ESP32-H21" | "ESP32-H4", 0x0) => 24,
            ("ESP32-H2" | "ESP32-H21" | "ESP32-H4", 0xF) => 48,
            ("ESP32-H2", 0x1) => 16,
            ("ESP32-H2", 0x2) => 12,
            ("ESP32-H21" | "ESP32-H4", _) => return None,
            // The number 0 means both 80 and 40 MHz on this chip: esptool prints 80.
            ("ESP32-C6", 0x0) => 80,
            ("ESP32-C6", 0xF) => return None,
            ("ESP32-C6" | "ESP32-C61" | "ESP32-C5" | "ESP32-S31", 0x1) => return None,
            (_, 0x0) => 40,
            (_, 0x1) => 26,
            (_, 0x2) => 20,
            (_, 0xF) => 80,
            _ => return None,
        })
    }
}

impl From<Esp32Chip> for &'static str {
    fn from(chip: Esp32Chip) -> Self {
        chip.name()
    }
}

impl fmt::Display for Esp32Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first 24 bytes of an ESP32 image. A meaning is absent if the byte has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Esp32Header {
    /// The chip.
    pub chip: Esp32Chip,
    /// Number of segments that follow.
    pub segment_count: u8,
    /// Flash mode, byte 2.
    pub flash_mode: Option<FlashMode>,
    /// Byte 2 itself.
    pub flash_mode_byte: u8,
    /// Flash size, high half of byte 3.
    pub flash_size_bytes: Option<u32>,
    /// Flash clock, low half of byte 3. Its meaning depends on the chip.
    pub flash_frequency_mhz: Option<u8>,
    /// Byte 3 itself.
    pub flash_size_frequency_byte: u8,
    /// Address of the first instruction.
    pub entry_address: u32,
    /// The oldest revision of the chip that starts the image. Absent in old headers, which have a number of another
    /// meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_chip_revision: Option<ChipRevision>,
    /// The newest one. Absent if the header names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_chip_revision: Option<ChipRevision>,
    /// Whether a SHA-256 stands behind the checksum.
    pub hash_appended: bool,
}

/// A revision of a chip: 100 times the major number, plus the minor one. `Display` writes `0.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ChipRevision(pub u16);

impl fmt::Display for ChipRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 100, self.0 % 100)
    }
}

impl Esp32Header {
    /// Reads a header that makes sense for a chip of the family. Returns `None` for anything else, such as an ESP8266
    /// image.
    ///
    /// Both formats begin with E9. In an ESP8266 image, the first segment's address stands at offset 8, its length at
    /// 12, and its data from 16 on. Here, offset 8 has pin numbers and drive strengths, 12 the number of the chip, 19 to
    /// 22 four zeros, and 23 a 0 or a 1. An ESP8266 image may have a length there that looks like a chip, and zeros
    /// behind it. So its first segment must also not be in the ESP8266's memory.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<LEN>()?;
        let &[magic, segment_count, mode, size_frequency, e0, e1, e2, e3, ref rest @ ..] = header;
        let &[a0, a1, a2, a3, c0, c1, old_min, m0, m1, x0, x1, 0, 0, 0, 0, hash] = rest else { return None };
        let in_esp8266 = is_esp8266_memory(u32::from_le_bytes([a0, a1, a2, a3]));
        if magic != MAGIC || !(1..=MAX_SEGMENTS).contains(&segment_count) || hash > 1 || in_esp8266 {
            return None;
        }
        let chip = Esp32Chip::from_id(u16::from_le_bytes([c0, c1]))?;
        let min = u16::from_le_bytes([m0, m1]);
        let max = u16::from_le_bytes([x0, x1]);
        Some(Self {
            chip,
            segment_count,
            flash_mode: FlashMode::from_byte(mode),
            flash_mode_byte: mode,
            flash_size_bytes: flash_size(size_frequency >> 4),
            flash_frequency_mhz: chip.flash_frequency_mhz(size_frequency & 0x0F),
            flash_size_frequency_byte: size_frequency,
            entry_address: u32::from_le_bytes([e0, e1, e2, e3]),
            min_chip_revision: (min != 0 || old_min == 0).then_some(ChipRevision(min)),
            max_chip_revision: (max != 0 && max != u16::MAX).then_some(ChipRevision(max)),
            hash_appended: hash == 1,
        })
    }
}

impl fmt::Display for Esp32Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flash_mode {
            Some(mode) => write!(f, "flash mode {mode}, "),
            None => write!(f, "flash mode byte {:#04x}, ", self.flash_mode_byte),
        }?;
        match (self.flash_size_bytes, self.flash_frequency_mhz) {
            (Some(size), Some(mhz)) => write!(f, "{} KiB at {mhz} MHz", size / 1024),
            _ => write!(f, "flash size and clock byte {:#04x}", self.flash_size_frequency_byte),
        }
    }
}

/// FLASH_SIZES of esptool's `targets/esp32.py`: 1 MiB to 128 MiB.
fn flash_size(nibble: u8) -> Option<u32> {
    (nibble <= 7).then(|| (1 << 20) << nibble)
}

/// Whether an ESP8266 can load a segment to this address: its data RAM, its instruction RAM, or its flash window
/// (esp8266/Arduino `tools/sdk/ld/eagle.app.v6.common.ld.h`).
fn is_esp8266_memory(address: u32) -> bool {
    matches!(address, 0x3FFE_0000..0x4000_0000 | 0x4010_0000..0x4014_0000 | 0x4020_0000..0x4040_0000)
}
