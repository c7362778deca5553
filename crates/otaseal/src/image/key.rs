use std::fmt;

use memchr::memmem;
use serde::Serialize;

/// A key, certificate or similar in PEM (RFC 7468), told by its label; nothing in it is decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyFile {
    /// Label of the first block, such as `PRIVATE KEY`.
    pub label: String,
}

impl KeyFile {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        const BEGIN: &[u8] = b"-----BEGIN ";
        let rest = bytes.strip_prefix(BEGIN)?;
        let label = rest.get(..memmem::find(rest.get(..64).unwrap_or(rest), b"-----")?)?;
        label.is_ascii().then(|| Self { label: label.escape_ascii().to_string() })
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a PEM file ({})", self.label)
    }
}
