//! Describes a private key in an image.

use serde::Serialize;
use std::fmt;

/// A private key in an image. Only its kind and its place are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Private {
    /// Its kind, with the article.
    pub what: &'static str,
    /// The offset at which it begins.
    pub offset: usize,
}

impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {:#x}", self.what, self.offset)
    }
}
