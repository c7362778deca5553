//! Guesses what is wrong with a signature that another program made.

use super::open;
use crate::format::digest::Sha256Digest;
use crate::key::{KeySize, PublicKey};
use crate::sign::{DIGEST_INFO_PREFIX, Scheme, digest_info};
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::fmt;

/// The fault of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// It is not as long as the key's modulus.
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes of the modulus.
        expected: usize,
    },
    /// It is the number 0 or 1, which every key opens and no key makes.
    Trivial,
    /// The key does not open it: another key made it, or it is damaged.
    OtherKey,
    /// The key opens it with its bytes in reverse order.
    Reversed,
    /// It has the right digest in the padding of the other scheme.
    OtherScheme(Scheme),
    /// It has the right padding and hash, over other bytes.
    OtherBytes,
    /// The signer took the digest for the message, and hashed it once more.
    HashedAgain,
    /// The signer took the DigestInfo for the message, and hashed it.
    HashedDigestInfo,
    /// The signer wrapped the DigestInfo into a second one.
    WrappedTwice,
    /// The signer signed the hexadecimal text of the digest.
    HexadecimalText,
    /// It is PKCS#1 v1.5 with another hash.
    OtherHash(&'static str),
    /// Its DigestInfo lacks the NULL parameters that devices expect.
    NoNull,
    /// It is RSASSA-PSS, with this hash.
    Pss(&'static str),
    /// It is the bare RSA operation, without padding.
    NoPadding,
    /// It has PKCS#1 v1.5 padding around unknown bytes.
    Unknown {
        /// Length of these bytes.
        length: usize,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found, expected } => {
                write!(f, "it has {found} bytes, but the signatures of this key have {expected}")?;
                match u32::try_from(found * 8).ok().and_then(KeySize::from_bits) {
                    Some(size) => write!(f, ": a key of {} bits made it", size.bits()),
                    None => Ok(()),
                }
            }
            Self::Trivial => f.write_str("it is a number that no key makes"),
            Self::OtherKey => f.write_str("another key made it, or it is damaged"),
            Self::Reversed => f.write_str("its bytes are in reverse order"),
            Self::OtherScheme(Scheme::Legacy) => f.write_str(
                "it is a legacy signature, without DigestInfo: the form of esp8266 core 2.5.0 to 2.5.2",
            ),
            Self::OtherScheme(Scheme::Pkcs1v15Sha256) => {
                f.write_str("it is in the current form, with DigestInfo, but a legacy signature has none")
            }
            Self::OtherBytes => f.write_str("this key made it, in the right form, but over other bytes"),
            Self::HashedAgain => f.write_str("the signer hashed the digest once more"),
            Self::HashedDigestInfo => f.write_str("the signer hashed the DigestInfo"),
            Self::WrappedTwice => f.write_str("the signer wrapped the DigestInfo into a second one"),
            Self::HexadecimalText => f.write_str("the signer signed the hexadecimal text, not the bytes"),
            Self::OtherHash(name) => write!(f, "this key made it, but with {name} instead of SHA-256"),
            Self::NoNull => f.write_str("its DigestInfo lacks the NULL parameters"),
            Self::Pss(hash) => {
                write!(f, "this key made it, but with PSS padding ({hash}) instead of PKCS#1 v1.5")
            }
            Self::NoPadding => f.write_str("this key made it, but without any padding"),
            Self::Unknown { length } => {
                write!(f, "this key made it, but over {length} bytes that are neither digest nor DigestInfo")
            }
        }
    }
}

/// Returns the fault of a signature of `digest`, if it has one. This is for people: the device verifier has rejected
/// the image before.
pub fn mismatch(
    signature: &[u8],
    key: &PublicKey,
    scheme: Scheme,
    digest: &Sha256Digest,
) -> Option<Mismatch> {
    let expected = key.size().bytes();
    if signature.len() != expected {
        return Some(Mismatch::Length { found: signature.len(), expected });
    }
    if signature.split_last().is_some_and(|(last, rest)| *last < 2 && rest.iter().all(|&byte| byte == 0)) {
        return Some(Mismatch::Trivial);
    }
    if let Some(found) = open(signature, key).and_then(|block| in_block(&block, scheme, digest)) {
        return found;
    }
    let reversed: Vec<u8> = signature.iter().rev().copied().collect();
    match open(&reversed, key).and_then(|block| in_block(&block, scheme, digest)) {
        Some(_) => Some(Mismatch::Reversed),
        None => Some(Mismatch::OtherKey),
    }
}

/// Looks into a block. Returns nothing if the content is unknown; else the fault, if there is one.
fn in_block(block: &[u8], scheme: Scheme, digest: &Sha256Digest) -> Option<Option<Mismatch>> {
    if let Some(content) = unpad(block) {
        return Some(in_content(content, scheme, digest));
    }
    if let Some(hash) = pss(block, &digest.0) {
        return Some(Some(Mismatch::Pss(hash)));
    }
    // Such a small number is not chance: 16 bytes of zeros turn up once in 2^128.
    block.starts_with(&[0; 16]).then_some(Some(Mismatch::NoPadding))
}

/// Returns the bytes behind the type-1 padding (RFC 8017 9.2).
fn unpad(block: &[u8]) -> Option<&[u8]> {
    let padded = block.strip_prefix(&[0x00, 0x01])?;
    let filled = padded.iter().take_while(|&&byte| byte == 0xFF).count();
    if filled < 8 {
        return None;
    }
    padded[filled..].strip_prefix(&[0x00])
}

fn in_content(content: &[u8], scheme: Scheme, digest: &Sha256Digest) -> Option<Mismatch> {
    let (current, legacy) = (Scheme::Pkcs1v15Sha256, Scheme::Legacy);
    let ready = digest_info(digest);
    let hexadecimal = digest.to_string();
    let digest = &digest.0;
    let in_scheme = |found| (scheme != found).then_some(Mismatch::OtherScheme(found));
    if content == ready {
        return in_scheme(current);
    }
    if content == digest {
        return in_scheme(legacy);
    }
    if content.to_ascii_lowercase() == hexadecimal.as_bytes() {
        return Some(Mismatch::HexadecimalText);
    }
    let of = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
    if let Some(inner) = content.strip_prefix(&DIGEST_INFO_PREFIX[..]) {
        return Some(match inner {
            _ if inner == of(digest) => Mismatch::HashedAgain,
            _ if inner == of(&ready) => Mismatch::HashedDigestInfo,
            _ if inner == of(hexadecimal.as_bytes()) => Mismatch::HexadecimalText,
            _ if inner.len() == digest.len() => Mismatch::OtherBytes,
            _ => Mismatch::Unknown { length: content.len() },
        });
    }
    if content.ends_with(&ready) {
        return Some(Mismatch::WrappedTwice);
    }
    if content.strip_suffix(digest) == Some(&WITHOUT_NULL) {
        return Some(Mismatch::NoNull);
    }
    let other = HASHES.iter().find(|(_, prefix)| content.starts_with(prefix));
    Some(match other {
        Some((name, _)) => Mismatch::OtherHash(name),
        // The digest of other bytes, where a bare digest is expected.
        None if scheme == legacy && content.len() == digest.len() => Mismatch::OtherBytes,
        None => Mismatch::Unknown { length: content.len() },
    })
}

/// DigestInfo for SHA-256 up to the digest, without parameters.
const WITHOUT_NULL: [u8; 17] =
    [0x30, 0x2F, 0x30, 0x0B, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x20];

/// DigestInfo up to the digest (RFC 8017 9.2 note 1). SHA-3: NIST's register of algorithms, 2.16.840.1.101.3.4.2.
const HASHES: &[(&str, &[u8])] = &[
    (
        "MD5",
        &[0x30, 0x20, 0x30, 0x0C, 0x06, 0x08, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x02, 0x05, 0x05, 0x00],
    ),
    ("SHA-1", &[0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00]),
    ("SHA-384", &[0x30, 0x41, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02]),
    ("SHA-512", &[0x30, 0x51, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03]),
    ("SHA-224", &[0x30, 0x2D, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x04]),
    ("SHA3-256", &[0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x08]),
];

/// Returns the hash of a PSS block (RFC 8017 9.1). For SHA-256 the digest proves it. For another hash or another image,
/// the unmasked block must be zeros, 01 and the salt. The more zeros, the less likely is chance.
fn pss(block: &[u8], digest: &[u8; 32]) -> Option<&'static str> {
    /// Takes the mask off. Returns the result, and the bytes that the mask was made from.
    fn unmask<D: Digest>(block: &[u8]) -> Option<(Vec<u8>, &[u8])> {
        let (_, body) = block.split_last().filter(|(last, _)| **last == 0xBC)?;
        let (masked, seed) = body.split_at(body.len().checked_sub(<D as Digest>::output_size())?);
        let mask = (0u32..).flat_map(|counter| {
            let block = D::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
            block.to_vec()
        });
        let mut data: Vec<u8> = masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        *data.first_mut()? &= 0x7F;
        Some((data, seed))
    }
    /// Counts the zeros before the 01. OpenSSL uses the longest salt that fits, so there are none.
    fn zeros(data: &[u8]) -> Option<usize> {
        let zeros = data.iter().take_while(|&&byte| byte == 0).count();
        (data.get(zeros) == Some(&1)).then_some(zeros)
    }
    if let Some((data, seed)) = unmask::<Sha256>(block)
        && let Some(zeros) = zeros(&data)
    {
        let message =
            Sha256::new().chain_update([0; 8]).chain_update(digest).chain_update(&data[zeros + 1..]);
        if message.finalize()[..] == *seed {
            return Some("SHA-256");
        }
    }
    // Without zeros, each hash matches by chance once in 128, and a block that is not PSS once in 2^15. That is good
    // enough for a hint. Of equal matches, the last one counts.
    let found = [
        ("SHA-256", unmask::<Sha256>(block)),
        ("SHA-512", unmask::<Sha512>(block)),
        ("SHA-384", unmask::<Sha384>(block)),
    ];
    let found = found.into_iter().filter_map(|(name, data)| Some((zeros(&data?.0)?, name)));
    found.max_by_key(|(zeros, _)| *zeros).map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
