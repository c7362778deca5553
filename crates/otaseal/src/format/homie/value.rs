use std::fmt;

use otaseal_device::homie::{BRAND_MAX, NAME_MAX, VERSION_MAX, is_printable};
use serde::Serialize;

/// The rule that a name, version or brand breaks. `Display` reads as the end of a sentence whose subject is the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// There is nothing between the boundaries.
    #[error("is empty")]
    Empty,
    /// It has more bytes than the field may have.
    #[error("is {len} bytes long; the limit is {limit}")]
    TooLong {
        /// Length in bytes.
        len: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// It is not UTF-8.
    #[error("is not UTF-8 text from position {position} on")]
    NotText {
        /// Offset in the value of the first byte that is no text.
        position: usize,
    },
    /// It has a character that [`is_printable`] refuses: one that a terminal obeys, or that nobody sees.
    #[error("has the character U+{:04X} at position {position}", u32::from(*character))]
    Unprintable {
        /// The character.
        character: char,
        /// Offset of its first byte in the value.
        position: usize,
    },
}

/// Checks that a value is printable text of 1 to `limit` bytes.
fn check(value: &[u8], limit: usize) -> Result<&str, ValueError> {
    if value.len() > limit {
        return Err(ValueError::TooLong { len: value.len(), limit });
    }
    let text =
        std::str::from_utf8(value).map_err(|error| ValueError::NotText { position: error.valid_up_to() })?;
    match text.char_indices().find(|(_, character)| !is_printable(*character)) {
        Some((position, character)) => Err(ValueError::Unprintable { character, position }),
        None if text.is_empty() => Err(ValueError::Empty),
        None => Ok(text),
    }
}

/// Returns whether a byte stands for itself in the name of a file: a letter, a digit, or one of `-_.+`.
pub(crate) const fn is_file_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+')
}

/// Returns a text as a single path component that is safe on every system.
///
/// A first dot would hide the file, and programs take a first dash for an option. Windows drops a last dot.
fn file_form(text: &str) -> String {
    let plain = |character: char| u8::try_from(character).is_ok_and(is_file_byte);
    let mut form: String = text.chars().map(|it| if plain(it) { it } else { '-' }).collect();
    if form.starts_with(['.', '-']) {
        form.replace_range(..1, "_");
    }
    if form.ends_with('.') {
        form.replace_range(form.len() - 1.., "-");
    }
    if is_device_name(&form) { format!("_{form}") } else { form }
}

/// Returns whether Windows takes the name of a file for a device: in any case and with any extension. Source: Microsoft,
/// "Naming Files, Paths, and Namespaces".
pub(crate) fn is_device_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    matches!(&*stem, "con" | "prn" | "aux" | "nul")
        || numbered.is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
}

macro_rules! value {
    ($(#[$doc:meta])* $name:ident, $limit:ident) => {
        $(#[$doc])*
        ///
        /// Printable text. [`ValueError`] lists the rules. It is no file name: [`Self::file_form`] is.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the form for the name of a file: a single path component, safe on every system.
            ///
            /// A text of ASCII letters, digits and `-_.+` is its own form, unless it has a dot or a dash in front, a dot
            /// at the end, or the name of a Windows device. Every other character becomes `-`. Two texts can have one
            /// form: compare the texts before you replace a file.
            pub fn file_form(&self) -> String {
                file_form(&self.0)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = ValueError;

            fn try_from(value: &[u8]) -> Result<Self, ValueError> {
                check(value, $limit).map(|value| Self(value.to_owned()))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = ValueError;

            fn try_from(value: &str) -> Result<Self, ValueError> {
                Self::try_from(value.as_bytes())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

value! {
    /// A firmware's name: 1 to 32 bytes.
    FirmwareName, NAME_MAX
}
value! {
    /// A firmware's version: 1 to 16 bytes, of no fixed form.
    FirmwareVersion, VERSION_MAX
}
value! {
    /// A brand: 1 to 21 bytes.
    Brand, BRAND_MAX
}
