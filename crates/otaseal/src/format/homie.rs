//! Finds Homie tokens: the name, version and brand in a firmware's image.
//!
//! A token is one string constant, `left boundary, value, right boundary, NUL`, anywhere in the plain image.
//! [`otaseal_device::homie`] has the bytes. Only a plain image has tokens: strip a signature and inflate a gzip first.
//!
//! # What counts as a token
//! A left boundary and the *first* right boundary after it, with at most the field's limit of bytes between. Then:
//!
//! | between and after | result |
//! |---|---|
//! | another left boundary before the right one, or within the limit | error: the image is damaged |
//! | a value that is not printable text (see [`ValueError`]) | error: the image is damaged, or the text fools its reader |
//! | the same value again, elsewhere | one token, at the first place |
//! | another value, elsewhere | error that names both places: servers disagree about which one counts |
//! | no right boundary within the limit, but printable text follows the left one | error: too long, or cut off |
//! | no right boundary within the limit, and no printable text follows | no token: chance, or a program that looks for tokens |
//!
//! A name without a version, or a version without a name, is an error: Homie's macro makes both or neither, so one was
//! lost. The patterns of the Python tools that otaseal replaces are greedy and stop at a line feed. This search is not
//! greedy and does not stop there.
//!
//! # What a value may be
//! Homie checks only the length of a value. So a value is printable text, in any script and with blanks, of 1 to 32
//! (name), 16 (version) or 21 (brand) bytes of UTF-8. [`otaseal_device::homie::is_printable`] says what is printable.
//! No such text holds a boundary: each boundary has bytes that are no UTF-8, or a control character.
//!
//! A value is text from an image that anybody may have made. It is no path, no topic and no HTML. Where a name of a file
//! is wanted, take [`FirmwareName::file_form`].

mod value;

use std::fmt;

use memchr::memmem;
use otaseal_device::homie::{
    BRAND_LEFT, BRAND_MAX, BRAND_RIGHT, MARKER, NAME_LEFT, NAME_MAX, NAME_RIGHT, VERSION_LEFT, VERSION_MAX,
    VERSION_RIGHT, is_printable,
};
use serde::Serialize;

pub use self::value::{Brand, FirmwareName, FirmwareVersion, ValueError};
pub(crate) use self::value::{is_device_name, is_file_byte};

/// The brand of a device whose firmware has no brand.
pub const DEFAULT_BRAND: &str = "Homie";

/// The tokens of an image, which Homie servers read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tokens {
    /// The firmware's name.
    pub name: Option<Token<FirmwareName>>,
    /// The firmware's version. It exists if the name does.
    pub version: Option<Token<FirmwareVersion>>,
    /// The brand. A device without one reports [`DEFAULT_BRAND`].
    pub brand: Option<Token<Brand>>,
    /// Whether the image has the marker of the Homie library beside its tokens. Some servers require it.
    pub marker: bool,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Token<T> {
    /// The text between the boundaries.
    pub value: T,
    /// Offset of the left boundary's first byte in the image.
    #[serde(rename = "offset_bytes")]
    pub offset: usize,
}

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// The firmware's name.
    Name,
    /// The firmware's version.
    Version,
    /// The brand.
    Brand,
}

impl Field {
    /// Returns the bytes before the value, the bytes after it, and the length of the longest value.
    const fn bounds(self) -> (&'static [u8; 5], &'static [u8; 5], usize) {
        match self {
            Self::Name => (&NAME_LEFT, &NAME_RIGHT, NAME_MAX),
            Self::Version => (&VERSION_LEFT, &VERSION_RIGHT, VERSION_MAX),
            Self::Brand => (&BRAND_LEFT, &BRAND_RIGHT, BRAND_MAX),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "firmware name",
            Self::Version => "firmware version",
            Self::Brand => "brand",
        })
    }
}

/// Why otaseal cannot believe an image's tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// A second left boundary comes before the end of the value.
    #[error("the {field} that starts at offset {outer:#x} holds the start of another one, at {inner:#x}")]
    Nested {
        /// Which token.
        field: Field,
        /// Offset of the first left boundary.
        outer: usize,
        /// Offset of the left boundary within.
        inner: usize,
    },
    /// Both boundaries exist, and the value between them breaks a rule.
    #[error("the {field} at offset {offset:#x}, \"{shown}\", {source}")]
    Invalid {
        /// Which token.
        field: Field,
        /// Offset of the left boundary.
        offset: usize,
        /// The value, with everything but printable ASCII escaped.
        shown: String,
        /// The rule that it breaks.
        source: ValueError,
    },
    /// A value starts after the left boundary, and does not end within the limit.
    #[error("the {field} at offset {offset:#x} does not end within {limit} bytes")]
    Unterminated {
        /// Which token.
        field: Field,
        /// Offset of the left boundary.
        offset: usize,
        /// Most bytes that the value may have.
        limit: usize,
    },
    /// There are two different values.
    #[error(
        "two different values of the {field}: {first:?} at offset {first_offset:#x}, {second:?} at {second_offset:#x}"
    )]
    Conflict {
        /// Which token.
        field: Field,
        /// The value that comes first in the image.
        first: String,
        /// Offset of its left boundary.
        first_offset: usize,
        /// The other value.
        second: String,
        /// Offset of its left boundary.
        second_offset: usize,
    },
    /// A name without a version, or a version without a name.
    #[error("the image has a {present} (offset {offset:#x}) but no {missing}")]
    Missing {
        /// The token that exists.
        present: Field,
        /// Offset of its left boundary.
        offset: usize,
        /// The token that is missing.
        missing: Field,
    },
}

/// Reads the Homie tokens of a plain image. An image without Homie firmware has none; that is no error.
///
/// The time grows linearly with the image's length, whatever the image holds. This proves only that servers will read a
/// value, not that the firmware uses it.
///
/// # Errors
/// [`TokenError`], the first one by field (name, version, brand) and offset. The table at the top of this module tells
/// the cases.
pub fn extract(image: &[u8]) -> Result<Tokens, TokenError> {
    let name = find::<FirmwareName>(image, Field::Name)?;
    let version = find::<FirmwareVersion>(image, Field::Version)?;
    let brand = find::<Brand>(image, Field::Brand)?;
    let missing = match (&name, &version) {
        (Some(Token { offset, .. }), None) => Some((Field::Name, *offset, Field::Version)),
        (None, Some(Token { offset, .. })) => Some((Field::Version, *offset, Field::Name)),
        _ => None,
    };
    if let Some((present, offset, missing)) = missing {
        return Err(TokenError::Missing { present, offset, missing });
    }
    // Most images are not of Homie, and have no need for another pass.
    let marker = (name.is_some() || brand.is_some()) && memmem::find(image, &MARKER).is_some();
    Ok(Tokens { name, version, brand, marker })
}

/// Returns the one value of a field, if there is any.
fn find<T>(image: &[u8], field: Field) -> Result<Option<Token<T>>, TokenError>
where
    T: for<'v> TryFrom<&'v [u8], Error = ValueError> + PartialEq + fmt::Display,
{
    let (left, _, _) = field.bounds();
    let mut found: Option<Token<T>> = None;
    for offset in memmem::find_iter(image, left) {
        let Some(bytes) = value_at(image, field, offset)? else { continue };
        let value = T::try_from(bytes).map_err(|source| TokenError::Invalid {
            field,
            offset,
            shown: bytes.escape_ascii().to_string(),
            source,
        })?;
        match &found {
            None => found = Some(Token { value, offset }),
            Some(first) if first.value == value => {}
            Some(first) => {
                return Err(TokenError::Conflict {
                    field,
                    first: first.value.to_string(),
                    first_offset: first.offset,
                    second: value.to_string(),
                    second_offset: offset,
                });
            }
        }
    }
    Ok(found)
}

/// Returns the bytes between the left boundary at `offset` and the first right boundary within the field's limit.
///
/// It looks at a window of fixed size, so that an image full of left boundaries costs no more than others.
fn value_at(image: &[u8], field: Field, offset: usize) -> Result<Option<&[u8]>, TokenError> {
    let (left, right, limit) = field.bounds();
    let after = image.get(offset + left.len()..).unwrap_or_default();
    let window = after.get(..limit + right.len()).unwrap_or(after);
    let end = memmem::find(window, right);
    let inside = window.get(..end.unwrap_or(window.len())).unwrap_or_default();
    if let Some(inner) = memmem::find(inside, left) {
        return Err(TokenError::Nested { field, outer: offset, inner: offset + left.len() + inner });
    }
    match end {
        Some(_) => Ok(Some(inside)),
        None if begins_with_text(inside) => Err(TokenError::Unterminated { field, offset, limit }),
        None => Ok(None),
    }
}

/// Returns whether the first character can stand in a token.
fn begins_with_text(bytes: &[u8]) -> bool {
    /// Most bytes of a character in UTF-8.
    const MOST: usize = 4;
    let start = &bytes[..bytes.len().min(MOST)];
    let text = start.utf8_chunks().next().map(|chunk| chunk.valid());
    text.and_then(|text| text.chars().next()).is_some_and(is_printable)
}

#[cfg(test)]
mod tests;
