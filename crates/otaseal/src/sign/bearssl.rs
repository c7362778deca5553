//! Knows what BearSSL accepts and otaseal's verifier rejects. The Arduino cores verify with BearSSL.

use super::Scheme;
use super::diagnose::{Mismatch, mismatch};
use crate::format::digest::sha256;
use crate::format::image;
use crate::key::PublicKey;

/// Returns the payload's length in bytes, if an image ends in a right signature whose DigestInfo lacks the NULL
/// parameters. BearSSL accepts both forms (BearSSL 0.6 `src/rsa/rsa_pkcs1_sig_unpad.c`).
pub(crate) fn signed_without_null(image: &[u8], key: &PublicKey) -> Option<usize> {
    let trailer = image::trailer_of(image).filter(|it| it.signature_len == key.size().bytes())?;
    let payload_len = usize::try_from(trailer.payload_len).ok()?;
    let (payload, rest) = image.split_at_checked(payload_len)?;
    let signature = rest.get(..trailer.signature_len)?;
    let found = mismatch(signature, key, Scheme::Pkcs1v15Sha256, &sha256(payload));
    (found == Some(Mismatch::NoNull)).then_some(payload_len)
}
