//! The layers of a file: the plain image, a gzip around it, a signature behind that.

use super::gzip::{self, GunzipError};
use super::image;
use otaseal_device::layout;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Largest image that is held in memory, in bytes: four times the largest flash of the devices in question.
/// Signing, verifying and hashing stream and have no such limit.
pub const MAX_IMAGE: usize = 64 << 20;

/// How a payload is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As the flash holds it.
    Plain,
    /// One gzip member, inflated by the boot loader.
    Gzip,
}

/// What is signed, or sent unsigned: a plain image, or one in a gzip. Only a firmware makes one.
#[derive(Debug, Clone)]
pub struct Payload<'f> {
    bytes: Cow<'f, [u8]>,
    encoding: Encoding,
}

impl<'f> Payload<'f> {
    pub(crate) fn new(bytes: Cow<'f, [u8]>, encoding: Encoding) -> Self {
        Self { bytes, encoding }
    }

    /// The payload.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload, taken out, unless it is the firmware's own image.
    pub(crate) fn into_owned(self) -> Option<Vec<u8>> {
        match self.bytes {
            Cow::Owned(bytes) => Some(bytes),
            Cow::Borrowed(_) => None,
        }
    }

    /// Plain or gzip.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }
}

/// What a file is made of, from the outside in.
#[derive(Debug)]
pub struct Layers<'a> {
    /// Length of the signature, where the file ends in what looks like one.
    pub signature_len: Option<usize>,
    /// Length of what is under the signature, in bytes.
    pub payload_len: usize,
    /// How the payload is stored.
    pub encoding: Encoding,
    /// The plain image.
    pub plain: Cow<'a, [u8]>,
}

/// Takes the signature off and inflates, as far as there is one and the other. Nothing is verified: this is
/// for looking, and `sign::verify` is for believing.
///
/// # Errors
/// [`GunzipError`] for a gzip that a boot loader would inflate wrongly, or beyond [`MAX_IMAGE`].
pub fn unpack(bytes: &[u8]) -> Result<Layers<'_>, GunzipError> {
    let tail = &bytes[bytes.len().saturating_sub(layout::LENGTH_FIELD_LEN)..];
    let signature_len = image::trailer(tail, bytes.len() as u64).map(|found| found.signature_len);
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
