//! Reads images of the ESP32 family: the extended header, the segments, the checksum, the hash, and what the
//! application says of itself.
//!
//! An ESP8266 image begins with the same byte, E9. `Esp32Image::read` returns an image only if the extended header
//! makes sense: see `header`.
//!
//! Sources: esp-idf `esp_app_format.h` (header), `esp_app_desc.h` (application), `esp_image_format.c` (checksum and
//! hash); esptool 5.6 `bin_image.py` and `targets/*.py` (chips).

mod app;
mod header;

use std::fmt;

use serde::Serialize;

use super::esp8266::{self, CHECKSUM_SEED, LINE, SEGMENT_HEADER_LEN, Segment};
use crate::format::digest::{Sha256Digest, sha256};

pub use self::app::Esp32App;
pub use self::header::{ChipRevision, Esp32Chip, Esp32Header};

/// Length of the hash behind the checksum: SHA-256.
const HASH_LEN: usize = 32;

/// An image for a chip of the ESP32 family: an application, or a second-stage boot loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Esp32Image {
    /// Its header.
    #[serde(flatten)]
    pub header: Esp32Header,
    /// The segments that are complete in the file.
    pub segments: Vec<Segment>,
    /// The hash behind the checksum, if the header announces one and the file has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Sha256Digest>,
    /// What the application says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<Esp32App>,
    /// Bytes behind the image, such as a signature block of Secure Boot. Absent if the image is cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_after: Option<usize>,
    /// The damage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<Esp32Damage>,
}

/// The damage of an ESP32 image. The boot loader refuses such an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Esp32Damage {
    /// The file ends before the last segment or the checksum does, or a segment has an impossible size.
    #[error("the image is cut off: {found} of {count} segments are whole")]
    CutOff {
        /// Number of complete segments.
        found: usize,
        /// Number of segments that the header announces.
        count: u8,
    },
    /// The checksum over the segments' data is wrong.
    #[error("the checksum is {stored:#04x}, but the data give {computed:#04x}")]
    Checksum {
        /// The checksum in the file.
        stored: u8,
        /// The checksum of the data.
        computed: u8,
    },
    /// The header announces a hash, and the file ends before the hash does.
    #[error("the hash behind the image is cut off")]
    NoHash,
    /// The hash is wrong: a byte has changed, perhaps in the header, which the checksum does not cover.
    #[error("the hash is {stored}, but the bytes give {computed}")]
    Hash {
        /// The hash in the file.
        stored: Sha256Digest,
        /// The hash of the bytes.
        computed: Sha256Digest,
    },
}

impl Esp32Image {
    /// Reads an image whose header makes sense for a chip of the family. The work is linear in the length of the file:
    /// a header announces at most 16 segments.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = Esp32Header::read(bytes)?;
        let mut segments = Vec::new();
        let (mut at, mut computed) = (header::LEN, CHECKSUM_SEED);
        let mut app = None;
        for _ in 0..header.segment_count {
            let Some((address, data)) = esp8266::segment_at(bytes, at) else { break };
            at += SEGMENT_HEADER_LEN;
            segments.push(Segment { address, offset_bytes: at, size_bytes: data.len() as u32 });
            at += data.len();
            computed = data.iter().fold(computed, |sum, byte| sum ^ byte);
            app = app.or_else(|| Esp32App::read(data));
        }
        let mut image = Self { header, segments, hash: None, app, bytes_after: None, damage: None };
        image.damage = image.check(bytes, at | (LINE - 1), computed).err();
        Some(image)
    }

    /// Checks what stands behind the segments. The checksum is at `at`: the last byte of a 16-byte line.
    fn check(&mut self, bytes: &[u8], at: usize, computed: u8) -> Result<(), Esp32Damage> {
        let (found, count) = (self.segments.len(), self.header.segment_count);
        let stored = bytes.get(at).filter(|_| found == usize::from(count));
        let &stored = stored.ok_or(Esp32Damage::CutOff { found, count })?;
        let (image, rest) = bytes.split_at(at + 1);
        if self.header.hash_appended {
            let (hash, rest) = rest.split_first_chunk::<HASH_LEN>().ok_or(Esp32Damage::NoHash)?;
            self.hash = Some(Sha256Digest(*hash));
            self.bytes_after = Some(rest.len());
        } else {
            self.bytes_after = Some(rest.len());
        }
        if stored != computed {
            return Err(Esp32Damage::Checksum { stored, computed });
        }
        match self.hash {
            Some(stored) => match sha256(image) {
                computed if computed == stored => Ok(()),
                computed => Err(Esp32Damage::Hash { stored, computed }),
            },
            None => Ok(()),
        }
    }

    /// Returns whether the file has no damage.
    pub fn is_intact(&self) -> bool {
        self.damage.is_none()
    }
}

impl fmt::Display for Esp32Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an {} image ({}", self.header.chip, self.header)?;
        f.write_str(if self.is_intact() { ")" } else { "; damaged or cut off)" })
    }
}

#[cfg(test)]
pub(crate) mod tests;
