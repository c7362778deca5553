//! Reads ESP8266 images: header, segments and checksum, boot loader and application.
//!
//! Sources: the boot ROM's format in esptool's documentation ("Firmware Image Format"), and esp8266/Arduino
//! `tools/elf2bin.py` for the file that an Arduino build makes.

mod damage;
mod mode;
mod words;

use std::fmt;

use serde::Serialize;

pub use self::damage::{Damage, Part};
pub use self::mode::{FlashMode, set_flash_mode};
pub use self::words::{Words, WordsState};

/// The first byte of an image, here and in the ESP32 family.
pub(super) const MAGIC: u8 = 0xE9;
const MAGIC_V2: u8 = 0xEA;
const HEADER_LEN: usize = 8;
pub(super) const SEGMENT_HEADER_LEN: usize = 8;
pub(super) const CHECKSUM_SEED: u8 = 0xEF;
/// Length of a line. The checksum is the last byte of one.
pub(super) const LINE: usize = 16;
/// Offset of the application in an Arduino file, behind the boot loader `eboot`.
const APPLICATION_OFFSET: usize = 0x1000;

/// The first eight bytes of an image. A meaning is absent if the byte has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Header {
    /// Number of segments that follow. In a version 2 image it is a constant.
    pub segment_count: u8,
    /// Flash mode, byte 2.
    pub flash_mode: Option<FlashMode>,
    /// Byte 2 itself.
    pub flash_mode_byte: u8,
    /// Flash size, high half of byte 3.
    pub flash_size_bytes: Option<u32>,
    /// Flash clock, low half of byte 3.
    pub flash_frequency_mhz: Option<u8>,
    /// Byte 3 itself.
    pub flash_size_frequency_byte: u8,
    /// Address of the first instruction.
    pub entry_address: u32,
}

impl Header {
    fn read(bytes: &[u8], magic: u8) -> Option<Self> {
        let &[first, segment_count, mode, size_frequency, ref entry @ ..] =
            bytes.first_chunk::<HEADER_LEN>()?;
        if first != magic {
            return None;
        }
        Some(Self {
            segment_count,
            flash_mode: FlashMode::from_byte(mode),
            flash_mode_byte: mode,
            flash_size_bytes: flash_size_kib(size_frequency >> 4).map(|kib| kib * 1024),
            flash_frequency_mhz: flash_frequency_mhz(size_frequency & 0x0F),
            flash_size_frequency_byte: size_frequency,
            entry_address: u32::from_le_bytes(*entry),
        })
    }

    pub(super) fn read_v2(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes, MAGIC_V2)
    }
}

impl fmt::Display for Header {
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

/// Returns the size of the flash chip in bytes that an image's header names, from its first four bytes. A size that the
/// header's table does not have is no limit for any device.
pub fn stated_flash_bytes(image: &[u8]) -> Option<u32> {
    match image {
        [MAGIC, _, _, size_frequency, ..] => flash_size_kib(size_frequency >> 4).map(|kib| kib * 1024),
        _ => None,
    }
}

const fn flash_size_kib(nibble: u8) -> Option<u32> {
    Some(match nibble {
        0 => 512,
        1 => 256,
        2 => 1024,
        3 => 2 * 1024,
        4 => 4 * 1024,
        8 => 8 * 1024,
        9 => 16 * 1024,
        _ => return None,
    })
}

const fn flash_frequency_mhz(nibble: u8) -> Option<u8> {
    Some(match nibble {
        0 => 40,
        1 => 26,
        2 => 20,
        15 => 80,
        _ => return None,
    })
}

/// One segment: bytes, and their address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Segment {
    /// Address in the chip's memory.
    pub address: u32,
    /// Offset of the segment's data in the file.
    pub offset_bytes: usize,
    /// Length of the data in bytes.
    pub size_bytes: u32,
}

/// Whether an image is complete, and undamaged as far as its checksum tells: it covers the segments' data, not the
/// header. In the application of an Arduino build, the first eight bytes of the data may count as zero: `elf2bin.py`
/// writes them after the checksum, see [`Words`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Integrity {
    /// The image is complete, and the checksum is right.
    Valid {
        /// Length from the header to the checksum, both included, in bytes.
        length_bytes: usize,
    },
    /// The image is complete, and the checksum is wrong.
    ChecksumMismatch {
        /// Length from the header to the checksum, both included, in bytes.
        length_bytes: usize,
        /// The checksum in the file.
        stored: u8,
        /// The checksum of the data.
        computed: u8,
    },
    /// The file ends before the image does, or a segment has an impossible size.
    CutOff,
}

/// One image: a header and its segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Image {
    /// Offset in the file at which it begins.
    pub offset_bytes: usize,
    /// Its header.
    #[serde(flatten)]
    pub header: Header,
    /// The segments that are complete in the file.
    pub segments: Vec<Segment>,
    /// Whether it is complete, with a right checksum.
    pub integrity: Integrity,
}

impl Image {
    /// Reads the image that begins at `offset`. The header's one-byte count and the file's end bound the work.
    fn read(file: &[u8], offset: usize) -> Option<Self> {
        let bytes = file.get(offset..)?;
        let header = Header::read(bytes, MAGIC)?;
        let mut segments = Vec::new();
        let (mut at, mut computed) = (HEADER_LEN, CHECKSUM_SEED);
        let mut words = 0;
        for _ in 0..header.segment_count {
            let Some((address, data)) = segment_at(bytes, at) else { break };
            at += SEGMENT_HEADER_LEN;
            segments.push(Segment { address, offset_bytes: offset + at, size_bytes: data.len() as u32 });
            at += data.len();
            if segments.len() == 1 {
                words = words::in_data(offset, data).iter().fold(0, |sum, byte| sum ^ byte);
            }
            computed = data.iter().fold(computed, |sum, byte| sum ^ byte);
        }
        let complete = segments.len() == usize::from(header.segment_count);
        let integrity = match bytes.get(at | (LINE - 1)) {
            Some(&stored) if complete => {
                let length_bytes = (at | (LINE - 1)) + 1;
                // In an application, the checksum may be older than two words of the data: see `words`.
                match stored == computed || stored == computed ^ words {
                    true => Integrity::Valid { length_bytes },
                    false => Integrity::ChecksumMismatch { length_bytes, stored, computed },
                }
            }
            _ => Integrity::CutOff,
        };
        Some(Self { offset_bytes: offset, header, segments, integrity })
    }

    /// Returns the offset in the file after the checksum, if the image is complete.
    fn end(&self) -> Option<usize> {
        match self.integrity {
            Integrity::Valid { length_bytes } | Integrity::ChecksumMismatch { length_bytes, .. } => {
                Some(self.offset_bytes + length_bytes)
            }
            Integrity::CutOff => None,
        }
    }
}

/// Returns address and data of the segment whose header is at `at`, if all of it is there.
pub(super) fn segment_at(bytes: &[u8], at: usize) -> Option<(u32, &[u8])> {
    let (address, rest) = bytes.get(at..)?.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    Some((u32::from_le_bytes(*address), rest.get(..size)?))
}

/// A file that begins with an ESP8266 image. OTA writes it from flash offset 0 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Esp8266File {
    /// The image at the start, which the boot ROM loads. In an Arduino build it is `eboot`.
    pub first: Image,
    /// The application behind `eboot`, at offset 0x1000.
    pub application: Option<Image>,
    /// Length and CRC of the whole file, if the build wrote them into the application.
    pub words: Option<Words>,
    /// Bytes after the last complete image, such as a trailer.
    pub bytes_after: Option<usize>,
    /// The first damage, in the order of the file.
    pub damage: Option<Damage>,
    #[serde(skip)]
    boot_damage: Option<Damage>,
}

impl Esp8266File {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let first = Image::read(bytes, 0)?;
        // Inside a larger first image, an E9 at this place is data.
        let has_room = first.end().is_some_and(|end| end <= APPLICATION_OFFSET);
        let application = has_room.then(|| Image::read(bytes, APPLICATION_OFFSET)).flatten();
        let mut file =
            Self { first, application, words: None, bytes_after: None, damage: None, boot_damage: None };
        let end = file.end();
        file.bytes_after = end.map(|end| bytes.len() - end);
        file.words = match (&file.application, file.first.end(), end) {
            (Some(application), Some(boot_end), Some(end)) => Words::read(bytes, boot_end, application, end),
            _ => None,
        };
        file.damage = damage::find(&file, bytes);
        file.boot_damage = damage::find_for_boot(&file, bytes);
        Some(file)
    }

    /// Returns the offset after the last image, if it is complete. The device takes it for the length of the sketch.
    pub fn end(&self) -> Option<usize> {
        self.application.as_ref().unwrap_or(&self.first).end()
    }

    /// Returns the first damage that keeps a device from starting the file. The boot ROM checks the checksum of the image
    /// at the start. Nothing checks the application's checksum, or the length and CRC of the whole file.
    pub fn boot_damage(&self) -> Option<Damage> {
        self.boot_damage
    }

    /// Returns whether the file has no damage.
    pub fn is_intact(&self) -> bool {
        self.damage.is_none()
    }
}

impl fmt::Display for Esp8266File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an ESP8266 image ({}", self.first.header)?;
        if self.application.is_some() {
            f.write_str(", boot loader and application")?;
        }
        match &self.damage {
            None => f.write_str(")"),
            Some(_) => f.write_str("; damaged or cut off)"),
        }
    }
}
