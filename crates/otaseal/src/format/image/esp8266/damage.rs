//! Finds the damage in an ESP8266 file: cut off, changed, or wrongly linked.

use std::fmt;

use serde::Serialize;

use super::words::LEN;
use super::{APPLICATION_OFFSET, Esp8266File, Image, Integrity, Segment, WordsState};

/// One of the two images of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The image at the start, if there is no other.
    Image,
    /// The image at the start, if an application follows.
    BootLoader,
    /// The image at offset 0x1000.
    Application,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::BootLoader => "boot loader",
            Self::Application => "application",
        })
    }
}

/// The damage of a file. A device finds most of it too late, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Damage {
    /// The header announces nothing to load.
    #[error("the {part} has no segments")]
    NoSegments {
        /// Which image.
        part: Part,
    },
    /// The file ends before the image does, or a segment has an impossible size.
    #[error("the {part} is cut off: {found} of {count} segments are whole, and the checksum is missing")]
    CutOff {
        /// Which image.
        part: Part,
        /// Number of complete segments.
        found: usize,
        /// Number of segments that the header announces.
        count: u8,
    },
    /// The checksum over the segments' data is wrong.
    #[error("the checksum of the {part} is {stored:#04x}, but its data give {computed:#04x}")]
    Checksum {
        /// Which image.
        part: Part,
        /// The checksum in the file.
        stored: u8,
        /// The checksum of the data.
        computed: u8,
    },
    /// A segment reaches beyond the last address.
    #[error("segment {segment} of the {part} ends beyond the address space")]
    AddressRange {
        /// Which image.
        part: Part,
        /// Number of the segment, counted from 1.
        segment: usize,
    },
    /// Two segments are loaded to one address.
    #[error("segments {one} and {other} of the {part} overlap at {address:#010x}")]
    Overlap {
        /// Which image.
        part: Part,
        /// Number of one segment, counted from 1.
        one: usize,
        /// Number of the other.
        other: usize,
        /// First address that both write.
        address: u32,
    },
    /// The file has `eboot` and its padding, and no application follows.
    #[error("the application behind the boot loader is missing")]
    NoApplication,
    /// The CRC is right, and the length beside it is wrong.
    #[error("the length at offset {offset:#x} is {stored} bytes, but the image has {actual}")]
    Length {
        /// Offset of the length in the file.
        offset: usize,
        /// The length in the file.
        stored: u32,
        /// The length of the image.
        actual: usize,
    },
    /// The length is right, and the CRC beside it is wrong.
    #[error("the CRC at offset {offset:#x} is {stored:#010x}, but the image gives {computed:#010x}")]
    Crc {
        /// Offset of the CRC in the file.
        offset: usize,
        /// The CRC in the file.
        stored: u32,
        /// The CRC of the image.
        computed: u32,
    },
}

/// Returns the first damage: image by image, then the file as a whole.
pub(super) fn find(file: &Esp8266File, bytes: &[u8]) -> Option<Damage> {
    // A right CRC over the whole file counts more than a checksum that is older than the words.
    let whole = file.words.is_some_and(|words| words.state == WordsState::Valid);
    of_images(file, bytes, !whole).or_else(|| {
        let words = file.words?;
        let offset = words.offset_bytes;
        match words.state {
            WordsState::Valid | WordsState::Unfilled => None,
            WordsState::LengthMismatch { actual_bytes } => {
                Some(Damage::Length { offset, stored: words.stored_length, actual: actual_bytes })
            }
            WordsState::CrcMismatch { computed } => {
                Some(Damage::Crc { offset: offset + 4, stored: words.stored_crc32, computed })
            }
        }
    })
}

/// Returns the first damage that the boot ROM or `eboot` runs into.
pub(super) fn find_for_boot(file: &Esp8266File, bytes: &[u8]) -> Option<Damage> {
    of_images(file, bytes, false)
}

fn of_images(file: &Esp8266File, bytes: &[u8], application_checksum: bool) -> Option<Damage> {
    let part = if file.application.is_some() { Part::BootLoader } else { Part::Image };
    of_image(&file.first, part, true).or_else(|| match &file.application {
        Some(application) => of_image(application, Part::Application, application_checksum),
        None => lost_application(file.first.end()?, bytes),
    })
}

fn of_image(image: &Image, part: Part, checksum: bool) -> Option<Damage> {
    match image.integrity {
        Integrity::CutOff => {
            let (found, count) = (image.segments.len(), image.header.segment_count);
            return Some(Damage::CutOff { part, found, count });
        }
        Integrity::ChecksumMismatch { stored, computed, .. } if checksum => {
            return Some(Damage::Checksum { part, stored, computed });
        }
        _ if image.segments.is_empty() => return Some(Damage::NoSegments { part }),
        _ => {}
    }
    collision(&image.segments, part)
}

/// Finds a segment that leaves the address space, or the first pair that shares an address. The segments are sorted, so
/// that the time does not grow with the square of the number in the header.
fn collision(segments: &[Segment], part: Part) -> Option<Damage> {
    if let Some(at) = segments.iter().position(|it| it.address.checked_add(it.size_bytes).is_none()) {
        return Some(Damage::AddressRange { part, segment: at + 1 });
    }
    let mut order: Vec<usize> = (0..segments.len()).filter(|&at| segments[at].size_bytes > 0).collect();
    order.sort_by_key(|&at| segments[at].address);
    order.windows(2).find_map(|pair| {
        let (lower, upper) = (&segments[pair[0]], &segments[pair[1]]);
        (upper.address - lower.address < lower.size_bytes).then(|| Damage::Overlap {
            part,
            one: pair[0].min(pair[1]) + 1,
            other: pair[0].max(pair[1]) + 1,
            address: upper.address,
        })
    })
}

/// Finds a lost application. `elf2bin.py` fills the space between `eboot` and the application with AA. If that padding
/// is there and the application is not, the application was lost. The last eight bytes may be the words that older
/// cores put there.
fn lost_application(end: usize, bytes: &[u8]) -> Option<Damage> {
    let padding = bytes.get(end..bytes.len().min(APPLICATION_OFFSET - LEN))?;
    let is_padding = !padding.is_empty() && padding.iter().all(|&byte| byte == 0xAA);
    is_padding.then_some(Damage::NoApplication)
}
