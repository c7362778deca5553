use std::fmt;

use otaseal_device::homie::{BRAND_MAX, NAME_MAX, NameFault, VERSION_MAX, is_token_byte, name_fault};
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
    /// It has a byte that is no letter, digit, `-`, `_`, `.` or `+`. Every path separator and control byte is such a
    /// byte.
    #[error("has the byte {byte:#04x} at position {position}")]
    Byte {
        /// The byte.
        byte: u8,
        /// Its position in the value.
        position: usize,
    },
    /// It starts with `.` (a hidden file, `.`, `..`) or with `-` (which programs read as an option).
    #[error("starts with a dot or a dash")]
    Lead,
    /// It ends with `.`, which Windows drops: two names would be one file.
    #[error("ends with a dot")]
    TrailingDot,
    /// It is the name of a Windows device, alone or before a dot.
    #[error("is a reserved device name on Windows")]
    Reserved,
}

/// Checks that a value is a single path component on every system, and that no option parser or terminal acts on it.
fn check(value: &[u8], limit: usize) -> Result<&str, ValueError> {
    if value.len() > limit {
        return Err(ValueError::TooLong { len: value.len(), limit });
    }
    if let Some(position) = value.iter().position(|&byte| !is_token_byte(byte)) {
        return Err(ValueError::Byte { byte: value[position], position });
    }
    if value.is_empty() {
        return Err(ValueError::Empty);
    }
    match name_fault(value) {
        Some(NameFault::Lead) => return Err(ValueError::Lead),
        Some(NameFault::TrailingDot) => return Err(ValueError::TrailingDot),
        Some(NameFault::Reserved) => return Err(ValueError::Reserved),
        None => {}
    }
    // All token bytes are ASCII, so the fallback is never used.
    Ok(std::str::from_utf8(value).unwrap_or_default())
}

macro_rules! value {
    ($(#[$doc:meta])* $name:ident, $limit:ident) => {
        $(#[$doc])*
        ///
        /// Letters, digits and `-_.+`; safe as a single path component on every system. [`ValueError`] lists the
        /// rules.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
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
