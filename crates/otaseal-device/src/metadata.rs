//! Reads the metadata block: the name, version and board that a firmware states inside its signed bytes.
//!
//! A signature tells who made an image, not which devices it is for. The *metadata block* tells the rest. It lies where
//! devices that do not know it skip it, so the format of a signed image stays the same:
//!
//! - In a gzip payload, the block is a subfield of the extra field in the header (RFC 1952, 2.3.1.1) with the
//!   identifier `Ot`.
//! - In any other payload, the last bytes are the block, its length as a little-endian `u32`, and [`TAIL_MAGIC`]. An
//!   ESP8266 copies them behind its image, where nothing reads them.
//!
//! # The block
//!
//! The first byte of the block is its format, 1. Fields follow up to the end of the block. A field is a tag, a length
//! (one byte each) and as many bytes of value:
//!
//! | tag | bytes | meaning |
//! |---|---|---|
//! | 0 | any | padding, all zero |
//! | 1 | 1 to 32 | name of the firmware |
//! | 2 | 1 to 32 | version of the firmware |
//! | 3 | 1 to 32 | board that the firmware is for |
//! | 4 | 1 | flash mode of an ESP8266 image: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT |
//! | 5 | 4 | length of the plain image in bytes, little-endian |
//! | 6 | 32 | SHA-256 of the plain image |
//! | 7 | 1 to 32 | oldest version that this firmware may replace |
//! | 8 | 32 | id of the key that signs |
//!
//! The *plain image* is the content of the gzip file, or the bytes before the block at the end of a payload. Texts are
//! UTF-8 without the control characters of ASCII. Tags ascend, and each stands in the block at most once. Padding may
//! stand anywhere.
//!
//! A name or a version can hold blanks and other letters than those of ASCII, as Homie's can: compare it, and do not use
//! it as the name of a file or a topic. otaseal writes only what [`crate::homie::is_printable`] allows. Readers before
//! that rule refuse a text with another byte than a letter, a digit or one of `-_.+`.
//!
//! A reader skips an unknown tag below 128. It refuses a block with an unknown tag from 128 on: such a field must be
//! understood.
//!
//! # Versions
//!
//! A version has an order when it is one to three numbers with dots between them. `+` and any text may follow. Missing
//! numbers are 0. Any other text, such as a pre-release, is a version without order. It meets no demand on a version.
//!
//! # What a block proves
//!
//! A block proves as much as the signature over it. [`MetadataBlock::of`] takes a [`Payload`], which only the verifier
//! makes. A block from [`MetadataBlock::of_unverified`] proves nothing. The facts about the plain image are for the
//! host. A device that inflates can compare them with its result.
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
//!     // The device has inflated nothing yet.
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

use crate::{Accepted, KeyId, Metadata, Payload, Version};

/// The format of a block: its first byte.
pub const FORMAT: u8 = 1;
/// Identifier of the gzip subfield (SI1, SI2).
pub const SUBFIELD_ID: [u8; 2] = *b"Ot";
/// The last bytes of a payload that ends with a block.
pub const TAIL_MAGIC: [u8; 8] = *b"OtaSeal\x1a";
/// Number of bytes behind a block at the end of a payload: its length and [`TAIL_MAGIC`].
pub const TAIL_FOOTER_LEN: usize = 12;
/// Greatest length of a block in bytes.
pub const BLOCK_MAX: usize = 512;
/// Greatest length of a text in bytes.
pub const TEXT_MAX: usize = 32;

/// The tags of a block's fields.
pub mod tag {
    /// Padding.
    pub const PADDING: u8 = 0;
    /// Name of the firmware.
    pub const NAME: u8 = 1;
    /// Version of the firmware.
    pub const VERSION: u8 = 2;
    /// Board that the firmware is for.
    pub const BOARD: u8 = 3;
    /// Flash mode of an ESP8266 image.
    pub const FLASH_MODE: u8 = 4;
    /// Length of the plain image.
    pub const RAW_LEN: u8 = 5;
    /// SHA-256 of the plain image.
    pub const RAW_SHA256: u8 = 6;
    /// Oldest version that the firmware may replace.
    pub const MIN_BASE_VERSION: u8 = 7;
    /// Id of the key that signs.
    pub const KEY_ID: u8 = 8;
    /// The first tag that a reader must know: an unknown tag from here on is an error.
    pub const CRITICAL: u8 = 128;
}

/// The content of a block. A field is `None` when the block does not have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetadataBlock<'a> {
    /// Name of the firmware.
    pub name: Option<&'a str>,
    /// Version of the firmware.
    pub version: Option<&'a str>,
    /// Board that the firmware is for.
    pub board: Option<&'a str>,
    /// Flash mode of an ESP8266 image: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT.
    pub flash_mode: Option<u8>,
    /// Length of the plain image in bytes.
    pub raw_len: Option<u32>,
    /// SHA-256 of the plain image.
    pub raw_sha256: Option<&'a [u8; 32]>,
    /// Oldest version that the firmware may replace.
    pub min_base_version: Option<&'a str>,
    /// Id of the key that signs.
    pub key_id: Option<KeyId>,
}

/// Why a block cannot be read. Refuse a payload with such a block, even if its signature is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum MetadataError {
    /// The extra field of a gzip header, or the length before [`TAIL_MAGIC`], does not fit the payload.
    Place = 16,
    /// The payload has more than one block.
    Twice = 17,
    /// The block is empty, or has more than [`BLOCK_MAX`] bytes.
    Size = 18,
    /// The format is not [`FORMAT`].
    Format = 19,
    /// A field reaches beyond the block.
    Cut = 20,
    /// The tags do not ascend, or one tag is in the block twice.
    Order = 21,
    /// The block has an unknown tag from 128 on.
    Critical = 22,
    /// A value has the wrong length, or a byte that it must not have.
    Value = 23,
}

impl MetadataError {
    /// Returns the error's number. It never changes its meaning, and no [`Reject`](crate::Reject) has it.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Place => "the metadata block does not fit the payload",
            Self::Twice => "there is more than one metadata block",
            Self::Size => "the metadata block is empty or too long",
            Self::Format => "the metadata block has an unknown format",
            Self::Cut => "a metadata field reaches beyond its block",
            Self::Order => "the metadata fields are out of order",
            Self::Critical => "the metadata block has an unknown critical field",
            Self::Value => "a metadata field has a value that is not allowed",
        })
    }
}

impl core::error::Error for MetadataError {}

impl<'a> MetadataBlock<'a> {
    /// Reads the block of a verified payload. Returns `None` when the payload has no block.
    ///
    /// # Errors
    ///
    /// Returns the [`MetadataError`] of the first check that fails.
    pub fn of(payload: &Payload<'a>) -> Result<Option<Self>, MetadataError> {
        Self::of_unverified(payload.bytes())
    }

    /// Reads the block of a payload that nobody has verified. Show the result, but never decide by it.
    ///
    /// The header of a gzip payload is enough.
    ///
    /// # Errors
    ///
    /// Returns the [`MetadataError`] of the first check that fails.
    pub fn of_unverified(payload: &'a [u8]) -> Result<Option<Self>, MetadataError> {
        block(payload)?.map(Self::parse).transpose()
    }

    /// Reads a block.
    ///
    /// # Errors
    ///
    /// Returns the [`MetadataError`] of the first check that fails. It is never `Place` or `Twice`: these concern the
    /// payload around the block.
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

    /// Tells whether the firmware may replace a firmware of this version.
    ///
    /// A firmware that states no oldest version may replace any. If the oldest version has no order, the firmware may
    /// replace none.
    #[must_use]
    pub fn installs_over(&self, running: Version) -> bool {
        self.min_base_version.is_none_or(|base| ordered(base).is_some_and(|base| base <= running))
    }

    /// Tells whether the block names the key that signed, or no key.
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

/// Returns the version if its text has an order. The module's documentation tells which texts have one.
fn ordered(version: &str) -> Option<Version> {
    let mut parts = version.split('+').next()?.split('.').map(|part| {
        // `parse` alone would accept a sign.
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
    if value.is_empty() || value.len() > TEXT_MAX || value.iter().any(u8::is_ascii_control) {
        return Err(MetadataError::Value);
    }
    core::str::from_utf8(value).map_err(|_| MetadataError::Value)
}

/// Finds the block of a payload.
fn block(payload: &[u8]) -> Result<Option<&[u8]>, MetadataError> {
    if payload.starts_with(&[0x1f, 0x8b]) { in_gzip(payload) } else { in_tail(payload) }
}

/// Finds the block in a gzip header (RFC 1952, 2.3.1).
///
/// FLG is byte 3, and FEXTRA is its bit 2. The header has ten bytes. Then come two bytes with the length of the extra
/// field, then the extra field. It consists of subfields: two bytes of identifier, two of length, and the data.
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
        // Another tool's extra field need not consist of subfields. A block must be a whole subfield.
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

/// Finds the block at the end of a payload.
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
