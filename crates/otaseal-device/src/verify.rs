//! Judges an image that lies in memory.

use crate::hash;
use crate::key::{KeyId, KeySet, PublicKey};
use crate::layout;
use crate::reject::Reject;
use crate::rsa::{self, Form};

/// The kind of a payload, told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PayloadKind {
    /// An ESP8266 image: the payload begins with E9.
    EspImage,
    /// A gzip file: the payload begins with 1F 8B.
    Gzip,
    /// Anything else, such as a plain RP2040 image.
    Other,
}

impl PayloadKind {
    /// Returns the kind of a payload that begins with these bytes. Two bytes are enough.
    #[must_use]
    pub const fn of(first: &[u8]) -> Self {
        match first {
            [0xe9, ..] => Self::EspImage,
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ => Self::Other,
        }
    }
}

/// Proof that the verifier accepted an image. Only the verifier makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Accepted {
    /// Length of the payload in bytes. The payload begins where the image begins.
    pub payload_len: usize,
    /// The id of the key that signed the payload.
    pub key_id: KeyId,
    /// The kind of the payload.
    pub kind: PayloadKind,
}

/// The payload of an image that the verifier accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    bytes: &'a [u8],
    accepted: Accepted,
}

impl<'a> Payload<'a> {
    /// Returns the signed bytes, without the trailer.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the length, the key id and the kind.
    #[must_use]
    pub const fn accepted(&self) -> Accepted {
        self.accepted
    }
}

/// Judges a signed image, and returns its payload if the image is good.
///
/// # Errors
///
/// Returns the [`Reject`] of the first check that fails. The crate's documentation lists the checks. With several keys,
/// [`Reject::SignatureRange`] means that no key's modulus is above the signature.
pub fn verify<'a, const N: usize, const W: usize>(
    image: &'a [u8],
    keys: &KeySet<N, W>,
) -> Result<Payload<'a>, Reject> {
    verify_as(image, keys, Form::DigestInfo)
}

/// A payload that somebody else hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedPayload {
    /// Length of the payload in bytes.
    pub len: usize,
    /// The kind of the payload.
    pub kind: PayloadKind,
    /// SHA-256 of the payload, in the byte order of FIPS 180-4.
    pub sha256: [u8; 32],
}

/// Judges the trailer of an image whose payload somebody else hashed.
///
/// A chip with a SHA-256 unit calls this. So does a signer, which has the payload in memory and needs the digest twice.
///
/// The verdict does not prove that the digest belongs to the bytes that will run. The caller answers for that.
///
/// # Errors
///
/// Returns the [`Reject`] of the first check that fails, and [`Reject::TotalMismatch`] when the trailer is longer or
/// shorter than its length field says.
pub fn verify_hashed<const N: usize, const W: usize>(
    payload: &HashedPayload,
    trailer: &[u8],
    keys: &KeySet<N, W>,
) -> Result<Accepted, Reject> {
    verify_hashed_as(payload, trailer, keys, Form::DigestInfo)
}

pub(crate) fn verify_hashed_as<const N: usize, const W: usize>(
    payload: &HashedPayload,
    trailer: &[u8],
    keys: &KeySet<N, W>,
    form: Form,
) -> Result<Accepted, Reject> {
    let (signature, field) =
        trailer.split_last_chunk::<{ layout::LENGTH_FIELD_LEN }>().ok_or(Reject::NoTrailer)?;
    let before_field = payload.len.checked_add(signature.len()).ok_or(Reject::TotalMismatch)?;
    let payload_len =
        layout::payload_len(before_field, u32::from_le_bytes(*field), PublicKey::<W>::SIGNATURE_LEN)?;
    if payload_len != payload.len {
        return Err(Reject::TotalMismatch);
    }
    let (words, _) = payload.sha256.as_chunks();
    let mut digest = [0; 8];
    for (word, &bytes) in digest.iter_mut().zip(words) {
        *word = u32::from_be_bytes(bytes);
    }
    let key_id = rsa::check(keys, &rsa::number(signature, &[]), &digest, form)?;
    Ok(Accepted { payload_len, key_id, kind: payload.kind })
}

pub(crate) fn verify_as<'a, const N: usize, const W: usize>(
    image: &'a [u8],
    keys: &KeySet<N, W>,
    form: Form,
) -> Result<Payload<'a>, Reject> {
    // Checks 2 to 5: the lengths. After them, the signature is as long as the modulus.
    let (bytes, signature) = layout::split(image, PublicKey::<W>::SIGNATURE_LEN)?;
    // Checks 6 and 7: the signature. The hash runs first, over the same slice that the function returns.
    let digest = hash::digest(bytes);
    let key_id = rsa::check(keys, &rsa::number(signature, &[]), &digest, form)?;
    Ok(Payload {
        bytes,
        accepted: Accepted { payload_len: bytes.len(), key_id, kind: PayloadKind::of(bytes) },
    })
}
