//! Describes a private key in an image.

use crate::format::image::TextEncoding;
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
    /// How its bytes are written, if they stand in the image as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<TextEncoding>,
}

impl Private {
    /// A key whose own bytes stand in the image.
    pub(super) fn bare(what: &'static str, offset: usize) -> Self {
        Self { what, offset, encoding: None }
    }
}

impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, offset, encoding } = self;
        match encoding {
            Some(encoding) => write!(f, "{what} as {encoding} at offset {offset:#x}"),
            None => write!(f, "{what} at offset {offset:#x}"),
        }
    }
}
