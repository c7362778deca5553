//! The verdict over an image that lies in memory.

use crate::hash;
use crate::key::{KeyId, KeySet, PublicKey};
use crate::layout;
use crate::reject::Reject;
use crate::rsa::{self, Form};

/// What a payload is, judged by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PayloadKind {
    /// An ESP8266 image: it begins with E9.
    EspImage,
    /// A gzip file: it begins with 1F 8B.
    Gzip,
    /// Anything else, such as a raw RP2040 binary.
    Other,
}

impl PayloadKind {
    /// The kind of a payload that begins with these bytes; two decide.
    #[must_use]
    pub const fn of(first: &[u8]) -> Self {
        match first {
            [0xe9, ..] => Self::EspImage,
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ => Self::Other,
        }
    }
}

/// Proof that an image was accepted; only the verifier makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Accepted {
    /// Bytes of the payload, which begins where the image begins.
    pub payload_len: usize,
    /// The key that signed it.
    pub key_id: KeyId,
    /// What the payload is by its first bytes.
    pub kind: PayloadKind,
}

/// The payload of an image that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    bytes: &'a [u8],
    accepted: Accepted,
}

impl<'a> Payload<'a> {
    /// The signed bytes: without the signature and the length field.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Length, key and kind.
    #[must_use]
    pub const fn accepted(&self) -> Accepted {
        self.accepted
    }
}

/// Judges a signed image; the payload comes back only when it is accepted.
///
/// # Errors
///
/// [`Reject`], by the first check that fails; see the crate's documentation for the list. With several keys,
/// [`Reject::SignatureRange`] means that no key's modulus is above the signature.
pub fn verify<'a, const N: usize, const W: usize>(
    image: &'a [u8],
    keys: &KeySet<N, W>,
) -> Result<Payload<'a>, Reject> {
    verify_as(image, keys, Form::DigestInfo)
}

/// A payload that was hashed elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedPayload {
    /// Its length in bytes.
    pub len: usize,
    /// What it is by its first bytes.
    pub kind: PayloadKind,
    /// Its SHA-256, as FIPS 180-4 writes it.
    pub sha256: [u8; 32],
}

/// Judges the trailer of an image whose payload was hashed elsewhere: by a chip's own SHA-256 unit, or by a signer that
/// has the payload in memory and needs its digest twice.
///
/// What this does not prove: that the digest is that of the bytes that will run. Who hashed them answers for that.
///
/// # Errors
///
/// [`Reject`], by the first check that fails; [`Reject::TotalMismatch`] when the trailer is longer or shorter than its
/// length field says.
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
    // 2 to 5. The lengths. From here on the signature is as long as the modulus.
    let (bytes, signature) = layout::split(image, PublicKey::<W>::SIGNATURE_LEN)?;
    // 6, 7. The signature. The digest is computed first and over the very slice that is returned.
    let digest = hash::digest(bytes);
    let key_id = rsa::check(keys, &rsa::number(signature, &[]), &digest, form)?;
    Ok(Payload {
        bytes,
        accepted: Accepted { payload_len: bytes.len(), key_id, kind: PayloadKind::of(bytes) },
    })
}
