//! Verifies RSASSA-PKCS1-v1_5 signatures by building the expected block (RFC 8017, 8.2.2).

use core::cmp::Ordering;

use crate::hash::Digest;
use crate::key::{KeyId, KeySet, PublicKey};
use crate::montgomery::{compare, power_65537};
use crate::reject::Reject;

/// The bytes before the digest in the padded block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A `DigestInfo` that names SHA-256 with NULL parameters, as `openssl dgst -sha256 -sign` writes it.
    DigestInfo,
    /// No bytes: a legacy signature, the form of esp8266 core 2.5.0 to 2.5.2.
    Legacy,
}

/// The zero byte that ends the padding, then the 19 bytes of `DigestInfo` for SHA-256 (RFC 8017, 9.2, note 1).
///
/// As words, least significant first. They fill exactly five words, and the digest fills eight.
const DIGEST_INFO: [u32; 5] = [0x0500_0420, 0x0304_0201, 0x8648_0165, 0x0d06_0960, 0x0030_3130];
/// The zero byte that ends the padding, without a `DigestInfo`.
const SEPARATOR: [u32; 1] = [0xffff_ff00];
/// The highest word: `00 01` and the first two bytes of padding.
const TOP: u32 = 0x0001_ffff;

/// Reads a signature as a number.
///
/// The signature comes in two parts, so that the caller need not rotate its ring buffer.
pub(crate) fn number<const W: usize>(first: &[u8], second: &[u8]) -> [u32; W] {
    let mut bytes = first.iter().chain(second);
    let mut words = [0; W];
    for word in words.iter_mut().rev() {
        for &byte in bytes.by_ref().take(4) {
            *word = *word << 8 | u32::from(byte);
        }
    }
    words
}

/// Returns the id of the key that signed `digest`.
///
/// # Errors
///
/// - [`Reject::SignatureRange`] when the signature is not below the modulus of any key.
/// - [`Reject::SignatureMismatch`] when no key signed `digest`.
pub(crate) fn check<const N: usize, const W: usize>(
    keys: &KeySet<N, W>,
    signature: &[u32; W],
    digest: &Digest,
    form: Form,
) -> Result<KeyId, Reject> {
    let mut reject = Reject::SignatureRange;
    for key in keys.keys() {
        match check_one(key, signature, digest, form) {
            Ok(()) => return Ok(key.key_id()),
            Err(Reject::SignatureRange) => {}
            Err(other) => reject = other,
        }
    }
    Err(reject)
}

/// Checks that `key` signed `digest`.
pub(crate) fn check_one<const W: usize>(
    key: &PublicKey<W>,
    signature: &[u32; W],
    digest: &Digest,
    form: Form,
) -> Result<(), Reject> {
    // Without this check, s + n would be a second signature of the same image (RFC 8017, 5.2.2, step 1).
    if compare(signature, key.modulus()) != Ordering::Less {
        return Err(Reject::SignatureRange);
    }
    let block = power_65537(signature, key.modulus());
    if is_block(&block, digest, form) { Ok(()) } else { Err(Reject::SignatureMismatch) }
}

/// Tells whether every bit of `block` equals `00 01 FF … FF 00 | DigestInfo | digest`.
fn is_block<const W: usize>(block: &[u32; W], digest: &Digest, form: Form) -> bool {
    let prefix = match form {
        Form::DigestInfo => DIGEST_INFO.as_slice(),
        Form::Legacy => SEPARATOR.as_slice(),
    };
    let padding = W.wrapping_sub(9).wrapping_sub(prefix.len());
    let expected = digest.iter().rev().chain(prefix).chain(core::iter::repeat_n(&u32::MAX, padding));
    block.iter().eq(expected.chain(&[TOP]))
}
