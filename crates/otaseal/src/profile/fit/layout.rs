//! Lists the flash layouts of the ESP8266 Arduino core: where the filesystem begins.

use std::str::FromStr;

use super::{SECTOR, round_up};

/// The division of a flash chip.
///
/// The image begins at 0, an update is staged right below the filesystem, and the filesystem begins at `fs_start`.
/// Source: esp8266/Arduino `boards.txt` (`spiffs_start`) and `tools/sdk/ld/eagle.flash.*.ld` (`_FS_start`), the same
/// from core 2.5.1 to 3.1.2. A layout without a filesystem ends five sectors before the chip does: EEPROM, RF
/// calibration and three sectors of the SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FlashLayout {
    /// Name of the linker script: chip, then filesystem, such as `4m1m`.
    pub name: &'static str,
    /// Size of the chip in bytes.
    pub flash_bytes: u32,
    /// Flash offset in bytes at which the filesystem begins, and the staging area ends.
    pub fs_start: u32,
}

const fn layout(name: &'static str, flash_kib: u32, fs_start: u32) -> FlashLayout {
    FlashLayout { name, flash_bytes: flash_kib * 1024, fs_start }
}

/// The area of a filesystem in the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FileSystemArea {
    /// Bytes between its start and what stands behind it.
    pub bytes: u32,
    /// Bytes of a block, if they are known. Pages have 256 bytes everywhere.
    pub block_bytes: Option<u32>,
}

impl FileSystemArea {
    /// An area of this many bytes.
    pub fn new(bytes: u32) -> Self {
        Self { bytes, block_bytes: None }
    }

    /// Returns the part that consists of whole blocks. esp8266 cores from 2.6.0 on use no other (esp8266/Arduino 5989).
    pub fn whole_blocks(self) -> u32 {
        self.block_bytes.map_or(self.bytes, |block| self.bytes / block * block)
    }
}

impl FlashLayout {
    /// Returns the area of the filesystem, up to the EEPROM. It has no bytes where there is no filesystem.
    ///
    /// Source: esp8266/Arduino `tools/boards.txt.py` (`flash_map`) and the linker scripts that it wrote. Filesystems
    /// below 512 KiB have blocks of 4096 bytes, others of 8192. On a chip of 2 MiB and more, the nominal size counts:
    /// the area itself ends five sectors before the chip does.
    pub fn file_system(&self) -> FileSystemArea {
        const BEHIND: u32 = 5 * SECTOR as u32;
        let bytes = (self.flash_bytes - BEHIND).saturating_sub(self.fs_start);
        let nominal = if self.flash_bytes <= 1 << 20 { bytes } else { self.flash_bytes - self.fs_start };
        let block_bytes = if nominal < 512 << 10 { 4096 } else { 8192 };
        FileSystemArea { bytes, block_bytes: Some(block_bytes) }
    }
}

/// Every layout of the core's boards.
pub const LAYOUTS: &[FlashLayout] = &[
    layout("512k", 512, 0x7_B000),
    layout("512k32", 512, 0x7_3000),
    layout("512k64", 512, 0x6_B000),
    layout("512k128", 512, 0x5_B000),
    layout("1m", 1024, 0xF_B000),
    layout("1m64", 1024, 0xE_B000),
    layout("1m128", 1024, 0xD_B000),
    layout("1m144", 1024, 0xD_7000),
    layout("1m160", 1024, 0xD_3000),
    layout("1m192", 1024, 0xC_B000),
    layout("1m256", 1024, 0xB_B000),
    layout("1m512", 1024, 0x7_B000),
    layout("2m", 2048, 0x1F_B000),
    layout("2m64", 2048, 0x1F_0000),
    layout("2m128", 2048, 0x1E_0000),
    layout("2m256", 2048, 0x1C_0000),
    layout("2m512", 2048, 0x18_0000),
    layout("2m1m", 2048, 0x10_0000),
    layout("4m", 4096, 0x3F_B000),
    layout("4m1m", 4096, 0x30_0000),
    layout("4m2m", 4096, 0x20_0000),
    layout("4m3m", 4096, 0x10_0000),
    layout("8m6m", 8192, 0x20_0000),
    layout("8m7m", 8192, 0x10_0000),
    layout("16m14m", 16_384, 0x20_0000),
    layout("16m15m", 16_384, 0x10_0000),
];

/// The name of no layout in [`LAYOUTS`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a flash layout: expected one of {names}", names = names())]
#[non_exhaustive]
pub struct UnknownLayout(pub String);

fn names() -> String {
    LAYOUTS.iter().map(|layout| layout.name).collect::<Vec<_>>().join(", ")
}

impl FromStr for FlashLayout {
    type Err = UnknownLayout;

    /// Reads a name in upper or lower case: `4m1m`, `4M1M`.
    fn from_str(name: &str) -> Result<Self, UnknownLayout> {
        LAYOUTS
            .iter()
            .copied()
            .find(|layout| layout.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownLayout(name.to_owned()))
    }
}

/// A report of a device that describes no flash chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{free} free bytes beside an image of {image} bytes fit no layout of a flash chip")]
#[non_exhaustive]
pub struct ImpossibleReport {
    /// Free space, in bytes.
    pub free: u32,
    /// Size of the image, in bytes.
    pub image: u32,
}

/// Returns the offset at which the filesystem of a device begins. The device reports two numbers with every request:
/// `x-ESP8266-free-space` and `x-ESP8266-sketch-size`.
///
/// It computes `free = fs_start - image`, with the image rounded up to a sector (esp8266/Arduino `Esp.cpp`,
/// `getFreeSketchSpace`). So the sum gives the layout back.
///
/// # Errors
/// [`ImpossibleReport`] if the sum is not a whole number of sectors, or more than 16 MiB.
pub fn fs_start_of_device(free: u32, image: u32) -> Result<u32, ImpossibleReport> {
    const LARGEST: u64 = 16 << 20;
    let fs_start = u64::from(free) + round_up(u64::from(image));
    match u32::try_from(fs_start) {
        Ok(start) if fs_start.is_multiple_of(SECTOR) && fs_start <= LARGEST && image > 0 => Ok(start),
        _ => Err(ImpossibleReport { free, image }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_unknown_ones_refused() {
        assert_eq!("4M1m".parse::<FlashLayout>().unwrap().fs_start, 0x30_0000);
        for bad in ["", "4m4m", "4m1m ", "3m"] {
            assert!(bad.parse::<FlashLayout>().unwrap_err().to_string().contains("16m14m"));
        }
    }

    #[test]
    fn every_layout_is_sectors_and_leaves_the_end_of_the_chip_alone() {
        for layout in LAYOUTS {
            assert_eq!(u64::from(layout.fs_start) % SECTOR, 0, "{}", layout.name);
            assert!(layout.fs_start <= layout.flash_bytes - 5 * 4096, "{}", layout.name);
            assert!(LAYOUTS.iter().filter(|other| other.name == layout.name).count() == 1);
        }
    }

    #[test]
    fn filesystems_are_as_the_linker_scripts_say() {
        // `_FS_start`, `_FS_end` and `_FS_block` of eagle.flash.*.ld, and `_SPIFFS_end` of cores before 2.6.0.
        for (name, until_2_5_2, since_2_6_0, block) in [
            ("512k32", 0x8000, 0x8000, 0x1000),
            ("1m512", 0x8_0000, 0x8_0000, 0x2000),
            ("2m64", 0xB000, 0xB000, 0x1000),
            ("2m512", 0x7_B000, 0x7_A000, 0x2000),
            ("4m1m", 0xF_B000, 0xF_A000, 0x2000),
            ("4m2m", 0x1F_B000, 0x1F_A000, 0x2000),
            ("16m14m", 0xDF_B000, 0xDF_A000, 0x2000),
        ] {
            let area = name.parse::<FlashLayout>().unwrap().file_system();
            let expected = (until_2_5_2, since_2_6_0, Some(block));
            assert_eq!((area.bytes, area.whole_blocks(), area.block_bytes), expected, "{name}");
        }
        for none in ["512k", "1m", "2m", "4m"] {
            assert_eq!(none.parse::<FlashLayout>().unwrap().file_system().bytes, 0, "{none}");
        }
    }

    #[test]
    fn a_device_tells_its_layout() {
        // The ESP8266's request of a 4M1M device has these two numbers.
        assert_eq!(fs_start_of_device(0x30_0000 - 376_832, 373_952), Ok(0x30_0000));
        // Free space that is not a multiple of a sector, no image, more than any chip.
        for (free, image) in [(671_745, 373_952), (671_744, 0), (u32::MAX, 373_952), (0, u32::MAX)] {
            assert!(fs_start_of_device(free, image).is_err(), "{free} {image}");
        }
    }
}
