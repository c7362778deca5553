//! Writes the firmware's metadata into the bytes that are signed.
//!
//! [`otaseal_device::metadata`] defines the format and reads it: a subfield in the header of a gzip, or a tail behind a
//! plain image. Devices that do not know it skip the subfield and never look at the tail.

use std::fmt;
use std::str::FromStr;

use otaseal_device::homie::{NAME_MAX, VERSION_MAX, is_printable};
use otaseal_device::metadata::{self, FORMAT, SUBFIELD_ID, TAIL_FOOTER_LEN, TAIL_MAGIC, TEXT_MAX, tag};
use otaseal_device::{KeyId, MetadataBlock};
use serde::{Serialize, Serializer};

use crate::format::digest::sha256;
use crate::format::homie::{Tokens, is_file_byte};
use crate::format::image::{self, Kind};

/// A name that the user chooses for a board, or a version that he demands: 1 to 32 letters, digits or `-_.+`. Devices
/// compare it, so it has no blanks and no other letters, which are easy to mistype.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

/// A text that cannot stand in a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not consist of 1 to {TEXT_MAX} letters, digits or -_.+")]
#[non_exhaustive]
pub struct LabelError(pub String);

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let good = (1..=TEXT_MAX).contains(&text.len()) && text.bytes().all(is_file_byte);
        if good { Ok(Self(text.to_owned())) } else { Err(LabelError(text.to_owned())) }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Fields that are written in addition to those that the image itself gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Labels {
    /// The board that the firmware is for.
    pub board: Option<Label>,
    /// The oldest version that may be updated to this one.
    pub min_base_version: Option<Label>,
}

/// A block as it stands in a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block(Vec<u8>);

impl Block {
    /// Makes the block of a plain image: its Homie name and version, its flash mode, length and digest, the key that
    /// will sign it, and these labels.
    pub fn of(plain: &[u8], tokens: &Tokens, key: KeyId, labels: &Labels) -> Self {
        let mode = match image::identify(plain) {
            Kind::Esp8266(file) => file.first.header.flash_mode_byte,
            _ => u8::MAX,
        };
        let length = u32::try_from(plain.len()).ok().map(u32::to_le_bytes);
        /// A block holds every name and version that a token can hold.
        const _: () = assert!(NAME_MAX <= TEXT_MAX && VERSION_MAX <= TEXT_MAX);
        let text = |label: &Option<Label>| label.as_ref().map(|label| label.0.clone().into_bytes());
        let name = tokens.name.as_ref().map(|token| token.value.as_str().into());
        let version = tokens.version.as_ref().map(|token| token.value.as_str().into());
        let fields = [
            (tag::NAME, name),
            (tag::VERSION, version),
            (tag::BOARD, text(&labels.board)),
            (tag::FLASH_MODE, (mode <= 3).then(|| vec![mode])),
            (tag::RAW_LEN, length.map(|length| length.to_vec())),
            (tag::RAW_SHA256, Some(sha256(plain).0.to_vec())),
            (tag::MIN_BASE_VERSION, text(&labels.min_base_version)),
            (tag::KEY_ID, Some(key.0.to_vec())),
        ];
        let mut block = vec![FORMAT];
        for (tag, value) in fields {
            let Some(value) = value else { continue };
            block.extend([tag, value.len() as u8]);
            block.extend_from_slice(&value);
        }
        Self(block)
    }

    /// Returns the block as a subfield of a gzip header's extra field: RFC 1952, 2.3.1.1.
    pub fn subfield(&self) -> Vec<u8> {
        let len = (self.0.len() as u16).to_le_bytes();
        [&SUBFIELD_ID[..], &len, &self.0].concat()
    }

    /// Returns the plain image with the block behind it. The length is a multiple of 4.
    pub fn behind(&self, plain: &[u8]) -> Vec<u8> {
        let mut block = self.0.clone();
        let over = (plain.len() + block.len() + TAIL_FOOTER_LEN) % 4;
        // The padding is a field of its own, of at least two bytes.
        let padding = [0, 3, 2, 5][over];
        if let Some(zeros) = usize::checked_sub(padding, 2) {
            block.extend([tag::PADDING, zeros as u8]);
            block.resize(block.len() + zeros, 0);
        }
        let len = (block.len() as u32).to_le_bytes();
        [plain, &block, &len, &TAIL_MAGIC].concat()
    }
}

/// The metadata of a payload, as reports show them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Name of the firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The board that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// The oldest version that may be updated to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_base_version: Option<String>,
    /// The id of the key that signs it, according to the block.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub key_id: Option<KeyId>,
}

/// Writes a key id that exists as hexadecimal digits.
fn as_text<S: Serializer>(id: &Option<KeyId>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| id.to_string()).serialize(serializer)
}

/// Reads the metadata of an unverified payload, and compares its digest with `plain`. If the payload is not compressed,
/// `plain` may be the payload: this function takes the tail off.
///
/// # Errors
/// A sentence on what is wrong with the block.
pub fn summary(payload: &[u8], plain: &[u8]) -> Result<Option<Summary>, String> {
    let block = MetadataBlock::of_unverified(payload).map_err(|error| error.to_string())?;
    let Some(block) = block else { return Ok(None) };
    let plain = without_tail(plain);
    if block.raw_len.is_some_and(|len| len as usize != plain.len())
        || block.raw_sha256.is_some_and(|digest| *digest != sha256(plain).0)
    {
        return Err("the metadata belong to another image".into());
    }
    let texts = [block.name, block.version, block.board, block.min_base_version];
    if !texts.into_iter().flatten().all(|text| text.chars().all(is_printable)) {
        return Err("the metadata have a text that is not printable".into());
    }
    Ok(Some(Summary {
        name: block.name.map(str::to_owned),
        version: block.version.map(str::to_owned),
        board: block.board.map(str::to_owned),
        min_base_version: block.min_base_version.map(str::to_owned),
        key_id: block.key_id,
    }))
}

/// Returns a plain image without the block behind it, if there is a block that can be read.
pub fn without_tail(plain: &[u8]) -> &[u8] {
    if !plain.ends_with(&metadata::TAIL_MAGIC) || !matches!(MetadataBlock::of_unverified(plain), Ok(Some(_)))
    {
        return plain;
    }
    let footer = plain.len() - TAIL_FOOTER_LEN;
    let len = plain[footer..].first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize);
    &plain[..footer.saturating_sub(len)]
}

#[cfg(test)]
mod tests;
