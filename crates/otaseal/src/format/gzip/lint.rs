//! Tells what a boot loader would do with a gzip file that another program made.
//!
//! The boot loaders of the ESP8266 (eboot) and of arduino-pico inflate with uzlib and check next to nothing: not the
//! CRC32, not the length, not whether there is a second member. They believe the last four bytes of the file. So a gzip
//! that every desktop tool unpacks may brick a device, and `gzip -d` proves nothing. [`lint`] checks as the device
//! should.
//!
//! Sources: esp8266/Arduino `bootloaders/eboot/eboot.c`, pfalcon/uzlib `tinfgzip.c` and `tinflate.c`, RFC 1952.

use std::fmt;

use serde::Serialize;

use crate::format::gzip::{self, GunzipError};

/// Largest content that is inflated for the check, in bytes: the largest flash chip of these devices.
pub const MAX_CONTENT: usize = 16 << 20;

/// Bits of FLG: RFC 1952, section 2.3.1.
const FTEXT: u8 = 1 << 0;
const FNAME: u8 = 1 << 3;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GzipSeverity {
    /// It works on every device, and is untidy.
    Note,
    /// Some devices refuse it.
    Refused,
    /// Some device installs something else than was meant, or something that does not run.
    Bricks,
}

/// One fact about a gzip file. `Display` says what it is and what it causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GzipFinding {
    /// Another member follows the first. A device unpacks only the first, to the length in the last.
    SecondMember {
        /// Offset in bytes at which it begins.
        offset: usize,
    },
    /// Bytes follow the trailer, so that the last four bytes are no length.
    TrailingBytes {
        /// Number of bytes.
        count: usize,
        /// The file's last four bytes as a number: the boot loader takes it for the length of the content.
        stated: u32,
    },
    /// The length at the end is not the length of the content.
    WrongLength {
        /// Length in the file, in bytes.
        stated: u32,
        /// Length of the content, in bytes.
        actual: usize,
    },
    /// The CRC32 at the end is not that of the content: something was damaged, and no device would notice.
    WrongCrc,
    /// The content is longer than any flash chip.
    TooLong,
    /// It has no content.
    Empty,
    /// The data cannot be inflated, or the file is cut off.
    Corrupt {
        /// What is wrong with it.
        #[serde(serialize_with = "as_text")]
        error: GunzipError,
    },
    /// The CRC16 of the header is wrong. No boot loader checks it.
    WrongHeaderCrc,
    /// The boot loader cannot read the header: the device keeps its old firmware, without a message.
    Header {
        /// What is wrong with it.
        #[serde(serialize_with = "as_text")]
        error: GunzipError,
    },
    /// The file's length is not a multiple of 4.
    Unaligned {
        /// The remainder.
        remainder: usize,
    },
    /// The header has the time at which the file was made, so that a rebuild gives other bytes.
    Time {
        /// Seconds since 1970.
        seconds: u32,
    },
    /// The header has the name of the file.
    FileName,
    /// The header says that the content is text.
    Text,
    /// The header names the system on which the file was made.
    System {
        /// Number of the system in RFC 1952.
        number: u8,
    },
}

impl GzipFinding {
    /// Returns how bad it is.
    pub fn severity(&self) -> GzipSeverity {
        match self {
            Self::SecondMember { .. }
            | Self::TrailingBytes { .. }
            | Self::WrongHeaderCrc
            | Self::WrongLength { .. }
            | Self::WrongCrc
            | Self::TooLong
            | Self::Empty
            | Self::Corrupt { .. }
            | Self::Header { .. } => GzipSeverity::Bricks,
            Self::Unaligned { .. } => GzipSeverity::Refused,
            Self::Time { .. } | Self::FileName | Self::Text | Self::System { .. } => GzipSeverity::Note,
        }
    }
}

impl fmt::Display for GzipFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecondMember { offset } => write!(
                f,
                "a second gzip member begins at offset {offset}: a device unpacks only the first, to the \
                 length in the last"
            ),
            Self::TrailingBytes { count, stated } => write!(
                f,
                "{count} bytes follow the gzip trailer, and the boot loader takes the file's last four bytes for the \
                 length of the content: {}",
                Written(*stated)
            ),
            Self::WrongLength { stated, actual } => write!(
                f,
                "the length in the gzip trailer is {stated} bytes, but the content has {actual}: {}",
                Written(*stated)
            ),
            Self::WrongCrc => f.write_str(
                "the CRC32 in the gzip trailer is not that of the content: no device checks it, so a device installs \
                 the damage",
            ),
            Self::WrongHeaderCrc => {
                f.write_str("the CRC16 in the gzip header is wrong: the file is damaged, and no device checks it")
            }
            Self::TooLong => write!(f, "the content is longer than {} MiB", MAX_CONTENT >> 20),
            Self::Empty => write!(f, "the gzip has no content: {}", Written(0)),
            Self::Corrupt { error } => write!(f, "the boot loader stops in the middle of installing it: {error}"),
            Self::Header { error } => {
                write!(f, "the boot loader cannot read its header ({error}): {}", Written(0))
            }
            Self::Unaligned { remainder } => write!(
                f,
                "the gzip's length is not a multiple of 4 (remainder {remainder}): esp8266 cores 3.1.0 to 3.1.2 \
                 refuse it signed, with error 12"
            ),
            Self::Time { seconds } => write!(f, "the gzip header has a time ({seconds} s since 1970)"),
            Self::FileName => f.write_str("the gzip header has a file name"),
            Self::Text => f.write_str("the gzip header says that the content is text"),
            Self::System { number } => {
                write!(f, "the gzip header names the system on which it was made ({number})")
            }
        }
    }
}

/// What a boot loader does with this length: it takes the number for a signed one.
struct Written(u32);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1..=0x7FFF_FFFF => write!(f, "it writes {} bytes", self.0),
            _ => f.write_str("the device reports success and keeps the old firmware"),
        }
    }
}

fn as_text<S: serde::Serializer>(error: &GunzipError, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

/// The findings, the worst first, and the content, if it is known.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The findings.
    pub findings: Vec<GzipFinding>,
    /// The plain image, if no finding hides it.
    pub content: Option<Vec<u8>>,
}

impl Report {
    /// Returns the worst finding, unless it is only a note.
    pub fn objection(&self) -> Option<GzipFinding> {
        self.findings.first().copied().filter(|finding| finding.severity() > GzipSeverity::Note)
    }
}

/// Looks at a gzip file as the device does that will inflate it, and more closely.
///
/// [`MAX_CONTENT`] and the size to which the file can inflate bound the memory. The length that the file claims does
/// not.
pub fn lint(gzip: &[u8]) -> Report {
    let mut findings = Vec::new();
    let content = match gzip::gunzip(gzip, MAX_CONTENT) {
        Ok(content) => {
            if content.is_empty() {
                findings.push(GzipFinding::Empty);
            }
            Some(content)
        }
        Err(error) => {
            findings.push(objection(gzip, error));
            None
        }
    };
    match gzip.len() % 4 {
        0 => {}
        remainder => findings.push(GzipFinding::Unaligned { remainder }),
    }
    if let Some(&[_, _, _, flags, t0, t1, t2, t3, _, system]) = gzip.first_chunk::<10>() {
        match u32::from_le_bytes([t0, t1, t2, t3]) {
            0 => {}
            seconds => findings.push(GzipFinding::Time { seconds }),
        }
        if flags & FNAME != 0 {
            findings.push(GzipFinding::FileName);
        }
        if flags & FTEXT != 0 {
            findings.push(GzipFinding::Text);
        }
        if system != 255 {
            findings.push(GzipFinding::System { number: system });
        }
    }
    Report { findings, content }
}

/// Translates an error of the strict reader into its effect on a device.
fn objection(gzip: &[u8], error: GunzipError) -> GzipFinding {
    match error {
        GunzipError::NotGzip
        | GunzipError::Method(_)
        | GunzipError::ReservedFlags(_)
        | GunzipError::HeaderTruncated => GzipFinding::Header { error },
        GunzipError::Trailing { len } => {
            let offset = gzip.len().saturating_sub(len);
            match gzip.get(offset..) {
                Some([0x1f, 0x8b, ..]) => GzipFinding::SecondMember { offset },
                _ => {
                    let stated = gzip.last_chunk().map_or(0, |length| u32::from_le_bytes(*length));
                    GzipFinding::TrailingBytes { count: len, stated }
                }
            }
        }
        GunzipError::Crc { .. } => GzipFinding::WrongCrc,
        GunzipError::Size { stated, actual } => GzipFinding::WrongLength { stated, actual },
        GunzipError::TooLong { .. } => GzipFinding::TooLong,
        GunzipError::HeaderCrc { .. } => GzipFinding::WrongHeaderCrc,
        GunzipError::Corrupt { .. } | GunzipError::Truncated => GzipFinding::Corrupt { error },
    }
}

#[cfg(test)]
mod tests;
