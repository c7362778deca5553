//! Takes a file apart into its layers: the plain image, a gzip around it, a signature at the end.

use super::gzip::{self, GunzipError};
use super::image;
use otaseal_device::layout;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Largest image that otaseal holds in memory, in bytes: four times the largest flash of these devices. A file to sign,
/// to verify or to hash is not held in memory and has no such limit.
pub const MAX_IMAGE: usize = 64 << 20;

/// Says how a payload is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// The bytes that the flash holds.
    Plain,
    /// One gzip member, which the boot loader inflates.
    Gzip,
}

/// The bytes that are signed, or sent unsigned: a plain image, or a plain image in a gzip. Only a firmware makes a
/// payload.
#[derive(Debug, Clone)]
pub struct Payload<'f> {
    bytes: Cow<'f, [u8]>,
    encoding: Encoding,
}

impl<'f> Payload<'f> {
    pub(crate) fn new(bytes: Cow<'f, [u8]>, encoding: Encoding) -> Self {
        Self { bytes, encoding }
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes, taken out, unless they are the firmware's own image.
    pub(crate) fn into_owned(self) -> Option<Vec<u8>> {
        match self.bytes {
            Cow::Owned(bytes) => Some(bytes),
            Cow::Borrowed(_) => None,
        }
    }

    /// Returns how it is stored.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }
}

/// The layers of a file, from the outside in.
#[derive(Debug)]
#[non_exhaustive]
pub struct Layers<'a> {
    /// Length of the signature in bytes, if the file ends in what looks like one.
    pub signature_len: Option<usize>,
    /// Length of the payload in bytes: everything but the signature.
    pub payload_len: usize,
    /// The form in which the payload is stored.
    pub encoding: Encoding,
    /// The plain image.
    pub plain: Cow<'a, [u8]>,
}

/// Takes the signature off and inflates, if there is a signature and a gzip. This verifies nothing: use it to look at a
/// file, and `sign::verify` to believe it.
///
/// # Errors
/// [`GunzipError`] for a gzip that a boot loader would inflate wrongly, or to more than [`MAX_IMAGE`].
pub fn unpack(bytes: &[u8]) -> Result<Layers<'_>, GunzipError> {
    let signature_len = image::trailer_of(bytes).map(|found| found.signature_len);
    let payload = match signature_len {
        Some(length) => &bytes[..bytes.len() - layout::trailer_len(length)],
        None => bytes,
    };
    let (encoding, plain) = if gzip::is_gzip(payload) {
        (Encoding::Gzip, Cow::Owned(gzip::gunzip(payload, MAX_IMAGE)?))
    } else {
        (Encoding::Plain, Cow::Borrowed(payload))
    };
    Ok(Layers { signature_len, payload_len: payload.len(), encoding, plain })
}
