//! The layout of a signed image: `payload | signature | length field`.
//!
//! The layout is written here only: the signer joins with these functions, and the verifier splits with them.
//! Source: esp8266/Arduino `tools/signing.py` and `cores/esp8266/Updater.cpp`.

use crate::Reject;

/// Length in bytes of the length field at the end: a `u32`, little-endian.
pub const LENGTH_FIELD_LEN: usize = 4;

/// Returns the length in bytes of the trailer: the signature and the length field.
#[must_use]
pub const fn trailer_len(signature_len: usize) -> usize {
    signature_len.saturating_add(LENGTH_FIELD_LEN)
}

/// Returns the length field for a signature of `signature_len` bytes.
///
/// Signatures are at most 512 bytes. A length beyond `u32` becomes `u32::MAX`, which no verifier accepts.
#[must_use]
pub const fn length_field(signature_len: usize) -> [u8; LENGTH_FIELD_LEN] {
    let len = if signature_len > u32::MAX as usize { u32::MAX } else { signature_len as u32 };
    len.to_le_bytes()
}

/// Splits an image into its payload and its signature.
///
/// `signature_len` comes from the key, never from the image. The length field is a claim: this function checks it and
/// does not follow it.
///
/// # Errors
///
/// [`Reject::NoTrailer`], [`Reject::LengthField`], [`Reject::NoSignature`] or [`Reject::EmptyPayload`], in this
/// order.
pub fn split(image: &[u8], signature_len: usize) -> Result<(&[u8], &[u8]), Reject> {
    let (rest, field) = image.split_last_chunk::<LENGTH_FIELD_LEN>().ok_or(Reject::NoTrailer)?;
    let payload_len = payload_len(rest.len(), u32::from_le_bytes(*field), signature_len)?;
    rest.split_at_checked(payload_len).ok_or(Reject::NoSignature)
}

/// Returns the payload's length in an image that has `before_field` bytes before its length field.
pub(crate) fn payload_len(before_field: usize, field: u32, signature_len: usize) -> Result<usize, Reject> {
    if u32::try_from(signature_len) != Ok(field) {
        return Err(Reject::LengthField);
    }
    // A signature longer than the file would wrap around to a huge payload without this check.
    match before_field.checked_sub(signature_len) {
        None => Err(Reject::NoSignature),
        Some(0) => Err(Reject::EmptyPayload),
        Some(len) => Ok(len),
    }
}
