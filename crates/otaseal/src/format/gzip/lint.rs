//! What a boot loader makes of a gzip file from elsewhere.
//!
//! The boot loaders of the ESP8266 (eboot) and of arduino-pico inflate with uzlib and check next to nothing: not
//! the CRC32, not the length, not whether there is a second member. They believe the last four bytes of the file.
//! So a gzip that every desktop tool unpacks may brick a device, and what `gzip -d` accepts is no measure.
//! [`lint`] is.
//!
//! Sources: esp8266/Arduino `bootloaders/eboot/eboot.c`, pfalcon/uzlib `tinfgzip.c` and `tinflate.c`, RFC 1952.

use std::fmt;

use serde::Serialize;

use crate::format::gzip::{self, GunzipError};

/// Largest content that is inflated to look at it, in bytes: the largest flash chip there is for these devices.
pub const MAX_CONTENT: usize = 16 << 20;

/// Bits of FLG: RFC 1952, section 2.3.1.
const FTEXT: u8 = 1 << 0;
const FNAME: u8 = 1 << 3;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Works on every device; untidy.
    Note,
    /// Some devices refuse it.
    Refused,
    /// Some device installs something else than what was meant, or nothing that runs.
    Bricks,
}

/// One thing about a gzip file. `Display` says what it is and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// Another member follows the first. Only the first is unpacked, to the length that the last one states.
    SecondMember {
        /// Offset in bytes at which it begins.
        offset: usize,
    },
    /// Bytes follow the trailer, so that the last four are no length.
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// The length at the end is not the content's.
    WrongLength {
        /// What the file says, in bytes.
        stated: u32,
        /// What is in it, in bytes.
        actual: usize,
    },
    /// The CRC32 at the end is not the content's: something was damaged, and no device would notice.
    WrongCrc,
    /// The content is longer than any flash chip.
    TooLong,
    /// Nothing is in it.
    Empty,
    /// The data cannot be inflated, or the file is cut off.
    Corrupt {
        /// What is wrong with it.
        #[serde(serialize_with = "as_text")]
        error: GunzipError,
    },
    /// The header cannot be read by the device either: it keeps its old firmware, without a word.
    Header {
        /// What is wrong with it.
        #[serde(serialize_with = "as_text")]
        error: GunzipError,
    },
    /// The file's length is no multiple of 4.
    Unaligned {
        /// The remainder.
        remainder: usize,
    },
    /// The header says when the file was made, so that no rebuild gives the same bytes.
    Time {
        /// Seconds since 1970.
        seconds: u32,
    },
    /// The header says how the file was called.
    FileName,
    /// The header says that the content is text.
    Text,
    /// The header says on what system the file was made.
    System {
        /// The number of RFC 1952.
        number: u8,
    },
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::SecondMember { .. }
            | Self::TrailingBytes { .. }
            | Self::WrongLength { .. }
            | Self::WrongCrc
            | Self::TooLong
            | Self::Empty
            | Self::Corrupt { .. }
            | Self::Header { .. } => Severity::Bricks,
            Self::Unaligned { .. } => Severity::Refused,
            Self::Time { .. } | Self::FileName | Self::Text | Self::System { .. } => Severity::Note,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecondMember { offset } => write!(
                f,
                "a second gzip member begins at offset {offset}: a device unpacks the first alone, to the \
                 length that the last one states"
            ),
            Self::TrailingBytes { count } => write!(
                f,
                "{count} bytes follow the gzip trailer: a device takes its length from the file's last four bytes"
            ),
            Self::WrongLength { stated, actual } => write!(
                f,
                "the gzip trailer says {stated} bytes, the content has {actual}: a device writes {stated}"
            ),
            Self::WrongCrc => f.write_str(
                "the content does not have the CRC32 that the gzip trailer states: no device checks it",
            ),
            Self::TooLong => write!(f, "the content is longer than {} MiB", MAX_CONTENT >> 20),
            Self::Empty => f.write_str("the gzip has no content"),
            Self::Corrupt { error } => write!(f, "a device stops in the middle of installing it: {error}"),
            Self::Header { error } => write!(f, "a device's boot loader cannot read its header: {error}"),
            Self::Unaligned { remainder } => write!(
                f,
                "the gzip's length is {remainder} more than a multiple of 4: signed, esp8266 cores up to 3.1.2 \
                 refuse it with error 12"
            ),
            Self::Time { seconds } => write!(f, "the gzip header has a time in it ({seconds} s since 1970)"),
            Self::FileName => f.write_str("the gzip header has a file name in it"),
            Self::Text => f.write_str("the gzip header says that the content is text"),
            Self::System { number } => {
                write!(f, "the gzip header says on what system it was made ({number})")
            }
        }
    }
}

fn as_text<S: serde::Serializer>(error: &GunzipError, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

/// What was found, the worst first, and the content where there is one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
    /// The plain image, when nothing that was found keeps it from being known.
    pub content: Option<Vec<u8>>,
}

impl Report {
    /// The worst finding, unless it is only a note.
    pub fn objection(&self) -> Option<Finding> {
        self.findings.first().copied().filter(|finding| finding.severity() > Severity::Note)
    }
}

/// Looks at a gzip file as the device does that will inflate it, and more closely.
///
/// Memory is bounded by [`MAX_CONTENT`] and by what the file can inflate to, never by what it claims.
pub fn lint(gzip: &[u8]) -> Report {
    let mut findings = Vec::new();
    let content = match gzip::gunzip(gzip, MAX_CONTENT) {
        Ok(content) => {
            if content.is_empty() {
                findings.push(Finding::Empty);
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
        remainder => findings.push(Finding::Unaligned { remainder }),
    }
    if let Some(&[_, _, _, flags, t0, t1, t2, t3, _, system]) = gzip.first_chunk::<10>() {
        match u32::from_le_bytes([t0, t1, t2, t3]) {
            0 => {}
            seconds => findings.push(Finding::Time { seconds }),
        }
        if flags & FNAME != 0 {
            findings.push(Finding::FileName);
        }
        if flags & FTEXT != 0 {
            findings.push(Finding::Text);
        }
        if system != 255 {
            findings.push(Finding::System { number: system });
        }
    }
    Report { findings, content }
}

/// What an error of the strict reader means on a device.
fn objection(gzip: &[u8], error: GunzipError) -> Finding {
    match error {
        GunzipError::NotGzip
        | GunzipError::Method(_)
        | GunzipError::ReservedFlags(_)
        | GunzipError::HeaderTruncated => Finding::Header { error },
        GunzipError::Trailing { len } => {
            let offset = gzip.len().saturating_sub(len);
            match gzip.get(offset..) {
                Some([0x1f, 0x8b, ..]) => Finding::SecondMember { offset },
                _ => Finding::TrailingBytes { count: len },
            }
        }
        GunzipError::Crc { .. } => Finding::WrongCrc,
        GunzipError::Size { stated, actual } => Finding::WrongLength { stated, actual },
        GunzipError::TooLong { .. } => Finding::TooLong,
        GunzipError::HeaderCrc { .. } | GunzipError::Corrupt { .. } | GunzipError::Truncated => {
            Finding::Corrupt { error }
        }
    }
}

#[cfg(test)]
mod tests;
