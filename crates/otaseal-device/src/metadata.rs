//! What a firmware says of itself, inside the signed bytes: name, version, board.
//!
//! A signature says who made an image, not what it is for. A *metadata block* says the rest, in a place that every
//! device skips which does not know it, so that nothing of the format changes:
//!
//! - in a gzip payload, a subfield of the header's extra field (RFC 1952, 2.3.1.1) with the identifier `Ot`;
//! - in any other payload, its last bytes: the block, the block's length as a little-endian `u32`, and
//!   [`TAIL_MAGIC`]. An ESP8266 copies them behind its image, where nothing reads them.
//!
//! # The block
//!
//! One byte with the block's format, 1, then fields to its end. A field is a tag, a length (one byte each) and as
//! many bytes of value:
//!
//! | tag | bytes | meaning |
//! |---|---|---|
//! | 0 | any | padding, all zero |
//! | 1 | 1 to 32 | name of the firmware |
//! | 2 | 1 to 32 | version of the firmware |
//! | 3 | 1 to 32 | board that it is for |
//! | 4 | 1 | flash mode of an ESP8266 image: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT |
//! | 5 | 4 | length of the plain image in bytes, little-endian |
//! | 6 | 32 | SHA-256 of the plain image |
//! | 7 | 1 to 32 | oldest version that may be updated to this one |
//! | 8 | 32 | id of the key that signs |
//!
//! The *plain image* is what the gzip inflates to, and what stands before a tail. Texts hold the bytes of
//! [`is_token_byte`]. Tags ascend, each at most once, padding anywhere but in between two of
//! one tag. An unknown tag below 128 is skipped; one from 128 on is one that must be understood, and refused.
//!
//! # Versions
//!
//! A version has an order when it is one to three numbers with dots between them, perhaps followed by `+` and
//! anything; missing numbers are 0. Any other text, such as a pre-release, is a version without order, which
//! meets no demand on a version.
//!
//! # What it proves
//!
//! As much as the signature over it: [`MetadataBlock::of`] takes a [`Payload`], which only the verifier makes. A
//! block read by [`MetadataBlock::of_unverified`] proves nothing. What a block says of the plain image is for the
//! host; a device that inflates can compare it with what came out.
//!
//! ```
//! use otaseal_device::{KeySet, MetadataBlock, Requirements, Version, verify};
//! # use otaseal_device::{KeyId, PublicKey};
//! # const MODULUS: [u32; 64] = { let mut m = [7; 64]; m[63] = 0x8000_0000; m };
//! # static KEYS: KeySet<1> = KeySet::new([PublicKey::<64>::new(MODULUS, KeyId([0; 32]))]);
//! const RUNNING: Version = Version { major: 1, minor: 4, patch: 0 };
//! const DEMANDS: Requirements<'static> =
//!     Requirements { name: Some("thermostat"), board: Some("d1-mini"), min_version: Some(RUNNING) };
//!
//! fn update(staged: &[u8]) -> Result<(), &'static str> {
//!     let payload = verify(staged, &KEYS).map_err(|_| "not signed by us")?;
//!     // Nothing has been inflated yet.
//!     let block = MetadataBlock::of(&payload).map_err(|_| "damaged")?.ok_or("unlabelled")?;
//!     DEMANDS.check(&payload.accepted(), &block).map_err(|_| "not for this device, or older")?;
//!     if !block.installs_over(RUNNING) {
//!         return Err("install an intermediate version first");
//!     }
//!     Ok(())
//! }
//! # assert!(update(b"").is_err());
//! ```

use core::fmt;

use crate::homie::is_token_byte;
use crate::{Accepted, KeyId, Metadata, Payload, Version};

/// The format of a block: its first byte.
pub const FORMAT: u8 = 1;
/// Identifier of the gzip subfield (SI1, SI2).
pub const SUBFIELD_ID: [u8; 2] = *b"Ot";
/// The last bytes of a payload that ends in a block.
pub const TAIL_MAGIC: [u8; 8] = *b"OtaSeal\x1a";
/// Bytes behind a block at the end of a payload: its length and [`TAIL_MAGIC`].
pub const TAIL_FOOTER_LEN: usize = 12;
/// Bytes that a block may have at most.
pub const BLOCK_MAX: usize = 512;
/// Bytes that a text may have at most.
pub const TEXT_MAX: usize = 32;

/// The tags of a block's fields.
pub mod tag {
    /// Padding.
    pub const PADDING: u8 = 0;
    /// Name of the firmware.
    pub const NAME: u8 = 1;
    /// Version of the firmware.
    pub const VERSION: u8 = 2;
    /// Board that it is for.
    pub const BOARD: u8 = 3;
    /// Flash mode of an ESP8266 image.
    pub const FLASH_MODE: u8 = 4;
    /// Length of the plain image.
    pub const RAW_LEN: u8 = 5;
    /// SHA-256 of the plain image.
    pub const RAW_SHA256: u8 = 6;
    /// Oldest version that may be updated.
    pub const MIN_BASE_VERSION: u8 = 7;
    /// Id of the key that signs.
    pub const KEY_ID: u8 = 8;
    /// From here on, a tag that is not known is an error.
    pub const CRITICAL: u8 = 128;
}

/// What a block says. A field that it does not have is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetadataBlock<'a> {
    /// Name of the firmware.
    pub name: Option<&'a str>,
    /// Its version.
    pub version: Option<&'a str>,
    /// The board that it is for.
    pub board: Option<&'a str>,
    /// Flash mode of an ESP8266 image: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT.
    pub flash_mode: Option<u8>,
    /// Length of the plain image in bytes.
    pub raw_len: Option<u32>,
    /// SHA-256 of the plain image.
    pub raw_sha256: Option<&'a [u8; 32]>,
    /// The oldest version that may be updated to this one.
    pub min_base_version: Option<&'a str>,
    /// The key that signs.
    pub key_id: Option<KeyId>,
}

/// Why a block cannot be read. A payload with such a block is refused, whatever its signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum MetadataError {
    /// A gzip header's extra field, or the length before [`TAIL_MAGIC`], does not fit the payload.
    Place = 16,
    /// More than one block.
    Twice = 17,
    /// Empty, or more than [`BLOCK_MAX`] bytes.
    Size = 18,
    /// The format is not [`FORMAT`].
    Format = 19,
    /// A field reaches beyond the block.
    Cut = 20,
    /// Tags do not ascend, or one stands there twice.
    Order = 21,
    /// A tag from 128 on that is not known here.
    Critical = 22,
    /// A value of the wrong length or with a byte that may not be in it.
    Value = 23,
}

impl MetadataError {
    /// Its number. It never changes its meaning, and is no number of a [`Reject`](crate::Reject).
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Place => "the metadata block is not where its length says",
            Self::Twice => "there is more than one metadata block",
            Self::Size => "the metadata block is empty or too long",
            Self::Format => "the metadata block has an unknown format",
            Self::Cut => "a metadata field reaches beyond its block",
            Self::Order => "the metadata fields do not ascend",
            Self::Critical => "the metadata have a field that must be understood and is not",
            Self::Value => "a metadata field has a value that it cannot have",
        })
    }
}

impl core::error::Error for MetadataError {}

impl<'a> MetadataBlock<'a> {
    /// What a verified payload says of itself; `None` when it has no block.
    ///
    /// # Errors
    ///
    /// [`MetadataError`], by the first check that fails.
    pub fn of(payload: &Payload<'a>) -> Result<Option<Self>, MetadataError> {
        Self::of_unverified(payload.bytes())
    }

    /// The same for bytes that nobody has verified: for looking, never for deciding. Of a gzip payload, the
    /// header is enough.
    ///
    /// # Errors
    ///
    /// [`MetadataError`], by the first check that fails.
    pub fn of_unverified(payload: &'a [u8]) -> Result<Option<Self>, MetadataError> {
        block(payload)?.map(Self::parse).transpose()
    }

    /// Reads a block.
    ///
    /// # Errors
    ///
    /// [`MetadataError`], but not `Place` and `Twice`, which are about where a block lies.
    pub fn parse(block: &'a [u8]) -> Result<Self, MetadataError> {
        if block.len() > BLOCK_MAX {
            return Err(MetadataError::Size);
        }
        let (format, mut rest) = block.split_first().ok_or(MetadataError::Size)?;
        if *format != FORMAT {
            return Err(MetadataError::Format);
        }
        let mut found = Self::default();
        let mut last = tag::PADDING;
        while let Some((&tag, tail)) = rest.split_first() {
            let (&len, tail) = tail.split_first().ok_or(MetadataError::Cut)?;
            let (value, tail) = tail.split_at_checked(usize::from(len)).ok_or(MetadataError::Cut)?;
            rest = tail;
            if tag == tag::PADDING {
                if value.iter().any(|byte| *byte != 0) {
                    return Err(MetadataError::Value);
                }
                continue;
            }
            if tag <= last {
                return Err(MetadataError::Order);
            }
            last = tag;
            found.take(tag, value)?;
        }
        Ok(found)
    }

    /// Whether the image may replace a firmware of this version. Without a minimum base version it may replace
    /// any; a minimum without order allows none.
    #[must_use]
    pub fn installs_over(&self, running: Version) -> bool {
        self.min_base_version.is_none_or(|base| ordered(base).is_some_and(|base| base <= running))
    }

    /// Whether the key that signed is the one that the block names, if it names one.
    #[must_use]
    pub fn names_key_of(&self, accepted: &Accepted) -> bool {
        self.key_id.is_none_or(|id| id == accepted.key_id)
    }

    fn take(&mut self, tag: u8, value: &'a [u8]) -> Result<(), MetadataError> {
        match tag {
            tag::NAME => self.name = Some(text(value)?),
            tag::VERSION => self.version = Some(text(value)?),
            tag::BOARD => self.board = Some(text(value)?),
            tag::FLASH_MODE => match value {
                [mode @ 0..=3] => self.flash_mode = Some(*mode),
                _ => return Err(MetadataError::Value),
            },
            tag::RAW_LEN => self.raw_len = Some(u32::from_le_bytes(*array(value)?)),
            tag::RAW_SHA256 => self.raw_sha256 = Some(array(value)?),
            tag::MIN_BASE_VERSION => self.min_base_version = Some(text(value)?),
            tag::KEY_ID => self.key_id = Some(KeyId(*array(value)?)),
            tag::CRITICAL.. => return Err(MetadataError::Critical),
            _ => {}
        }
        Ok(())
    }
}

impl Metadata for MetadataBlock<'_> {
    fn name(&self) -> Option<&str> {
        self.name
    }

    fn version(&self) -> Option<Version> {
        self.version.and_then(ordered)
    }

    fn board(&self) -> Option<&str> {
        self.board
    }
}

/// The order of a version's text: see the module's documentation.
fn ordered(version: &str) -> Option<Version> {
    let mut parts = version.split('+').next()?.split('.').map(|part| {
        // `parse` alone would take a sign.
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    });
    let (major, minor, patch) = (parts.next()??, parts.next(), parts.next());
    match parts.next() {
        None => Some(Version { major, minor: minor.unwrap_or(Some(0))?, patch: patch.unwrap_or(Some(0))? }),
        Some(_) => None,
    }
}

fn array<const N: usize>(value: &[u8]) -> Result<&[u8; N], MetadataError> {
    value.try_into().map_err(|_| MetadataError::Value)
}

fn text(value: &[u8]) -> Result<&str, MetadataError> {
    if value.is_empty() || value.len() > TEXT_MAX || !value.iter().all(|byte| is_token_byte(*byte)) {
        return Err(MetadataError::Value);
    }
    core::str::from_utf8(value).map_err(|_| MetadataError::Value)
}

/// The block of a payload, where it has one.
fn block(payload: &[u8]) -> Result<Option<&[u8]>, MetadataError> {
    if payload.starts_with(&[0x1f, 0x8b]) { in_gzip(payload) } else { in_tail(payload) }
}

/// RFC 1952, 2.3.1: FLG is byte 3, FEXTRA its bit 2; the extra field follows the ten bytes of the header with a
/// length of two bytes, and is made of subfields of two bytes identifier, two of length, and the data.
fn in_gzip(payload: &[u8]) -> Result<Option<&[u8]>, MetadataError> {
    let Some((&[_, _, _, flags, ..], rest)) = payload.split_first_chunk::<10>() else {
        return Ok(None);
    };
    if flags & 4 == 0 {
        return Ok(None);
    }
    let (len, rest) = rest.split_first_chunk().ok_or(MetadataError::Place)?;
    let mut extra = rest.get(..usize::from(u16::from_le_bytes(*len))).ok_or(MetadataError::Place)?;
    let mut found = None;
    while let Some((&[si1, si2, low, high], rest)) = extra.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([low, high]));
        // A foreign tool's extra field need not be made of subfields; a block in it must.
        let Some((data, rest)) = rest.split_at_checked(len) else {
            return if [si1, si2] == SUBFIELD_ID { Err(MetadataError::Place) } else { Ok(found) };
        };
        if [si1, si2] == SUBFIELD_ID && found.replace(data).is_some() {
            return Err(MetadataError::Twice);
        }
        extra = rest;
    }
    Ok(found)
}

fn in_tail(payload: &[u8]) -> Result<Option<&[u8]>, MetadataError> {
    let Some((rest, magic)) = payload.split_last_chunk() else { return Ok(None) };
    if *magic != TAIL_MAGIC {
        return Ok(None);
    }
    let (rest, len) = rest.split_last_chunk().ok_or(MetadataError::Place)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| MetadataError::Place)?;
    let start = rest.len().checked_sub(len).ok_or(MetadataError::Place)?;
    rest.get(start..).map(Some).ok_or(MetadataError::Place)
}
