//! Judges an image with the device's code on the host, for any key size and any source of bytes.
//!
//! This module feeds [`otaseal_device`], which alone decides.

use crate::format::digest::each_chunk;
use crate::key::{KeySize, PublicKey};
use crate::sign::Scheme;
use otaseal_device::{Accepted, HashedPayload, KeySet, Reject, legacy, verify_hashed};
use std::fmt;
use std::io::{self, Read};

/// Why there is no acceptance.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// Judged, and rejected.
    #[error("{0}")]
    Rejected(Reject),
    /// Not judged: the bytes could not be read.
    #[error("the image could not be read: {0}")]
    Read(#[source] io::Error),
}

/// Judges a signed image that comes in chunks of any size, in constant memory: an upload, a download.
///
/// Only [`Verifier::finish`] gives the verdict. Do not use the bytes before that.
pub struct Verifier {
    inner: Box<dyn Feed + Send>,
}

impl Verifier {
    /// For an image of unknown length.
    pub fn new(key: &PublicKey, scheme: Scheme) -> Self {
        Self::of(key, scheme, None)
    }

    /// For an image of `total` bytes, trailer included.
    pub fn with_total(key: &PublicKey, scheme: Scheme, total: usize) -> Self {
        Self::of(key, scheme, Some(total))
    }

    fn of(key: &PublicKey, scheme: Scheme, total: Option<usize>) -> Self {
        let inner = match key.size() {
            KeySize::Rsa2048 => fed::<64>(key, scheme, total),
            KeySize::Rsa3072 => fed::<96>(key, scheme, total),
            KeySize::Rsa4096 => fed::<128>(key, scheme, total),
        };
        Self { inner }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Reject::TotalMismatch`]: more bytes came than were announced. You may stop at once; [`Verifier::finish`] says
    /// the same.
    pub fn update(&mut self, chunk: &[u8]) -> Result<(), Reject> {
        self.inner.update(chunk)
    }

    /// Judges the bytes that it got.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn finish(self) -> Result<Accepted, Reject> {
        self.inner.finish()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

/// The device's verifiers, for any size of key. The verifier of the legacy signature is a type of its own on purpose: a
/// device must name it to get it.
trait Feed {
    fn update(&mut self, chunk: &[u8]) -> Result<(), Reject>;
    fn finish(self: Box<Self>) -> Result<Accepted, Reject>;
}

macro_rules! feed {
    ($($verifier:ty),*) => {$(
        impl<const W: usize> Feed for ($verifier, KeySet<1, W>) {
            fn update(&mut self, chunk: &[u8]) -> Result<(), Reject> {
                self.0.update(chunk)
            }

            fn finish(self: Box<Self>) -> Result<Accepted, Reject> {
                let (verifier, keys) = *self;
                verifier.finish(&keys)
            }
        }
    )*};
}
feed!(otaseal_device::Verifier<W>, legacy::Verifier<W>);

fn fed<const W: usize>(key: &PublicKey, scheme: Scheme, total: Option<usize>) -> Box<dyn Feed + Send> {
    use otaseal_device::Verifier;
    let keys = key_set::<W>(key);
    match scheme {
        Scheme::Pkcs1v15Sha256 => {
            Box::new((total.map_or_else(Verifier::<W>::unknown_total, Verifier::with_total), keys))
        }
        Scheme::Legacy => Box::new((
            total.map_or_else(legacy::Verifier::<W>::unknown_total, legacy::Verifier::with_total),
            keys,
        )),
    }
}

/// Judges everything that `reader` gives as one signed image, in constant memory.
///
/// `total` is the length in bytes, if the caller knows it. Otherwise the verifier holds the last bytes back until the
/// end, as a device does that does not know the length.
///
/// # Errors
/// [`JudgeError::Rejected`] with the first check that failed. [`JudgeError::Read`]: there is no verdict.
pub fn judge(
    reader: &mut dyn Read,
    total: Option<usize>,
    key: &PublicKey,
    scheme: Scheme,
) -> Result<Accepted, JudgeError> {
    let mut verifier = Verifier::of(key, scheme, total);
    let mut fed = Ok(());
    let read = each_chunk(reader, |chunk| {
        fed = verifier.update(chunk);
        fed.map_err(|_| io::ErrorKind::InvalidData.into())
    });
    fed.map_err(JudgeError::Rejected)?;
    read.map_err(JudgeError::Read)?;
    verifier.finish().map_err(JudgeError::Rejected)
}

/// Judges an image in memory: [`judge`] on a slice.
///
/// # Errors
/// The first check that failed.
pub fn judge_bytes(image: &[u8], key: &PublicKey, scheme: Scheme) -> Result<Accepted, Reject> {
    let mut verifier = Verifier::with_total(key, scheme, image.len());
    verifier.update(image)?;
    verifier.finish()
}

/// Judges the trailer of an image, from the digest of its payload.
///
/// # Errors
/// The first check that failed.
pub(crate) fn judge_hashed(
    payload: &HashedPayload,
    trailer: &[u8],
    key: &PublicKey,
    scheme: Scheme,
) -> Result<Accepted, Reject> {
    match key.size() {
        KeySize::Rsa2048 => judge_hashed_with::<64>(payload, trailer, key, scheme),
        KeySize::Rsa3072 => judge_hashed_with::<96>(payload, trailer, key, scheme),
        KeySize::Rsa4096 => judge_hashed_with::<128>(payload, trailer, key, scheme),
    }
}

fn judge_hashed_with<const W: usize>(
    payload: &HashedPayload,
    trailer: &[u8],
    key: &PublicKey,
    scheme: Scheme,
) -> Result<Accepted, Reject> {
    let keys = key_set::<W>(key);
    match scheme {
        Scheme::Pkcs1v15Sha256 => verify_hashed(payload, trailer, &keys),
        Scheme::Legacy => legacy::verify_hashed(payload, trailer, &keys),
    }
}

fn key_set<const W: usize>(key: &PublicKey) -> KeySet<1, W> {
    match key.to_device::<W>() {
        Ok(key) => KeySet::from(key),
        Err(_) => unreachable!("a key of {} bits has {W} words: KeySize says so", key.size().bits()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::digest::sha256;
    use crate::key::PrivateKey;
    use crate::sign::Signer;
    use otaseal_device::layout::length_field;

    const SCHEMES: [Scheme; 2] = [Scheme::Pkcs1v15Sha256, Scheme::Legacy];

    fn keys() -> [PrivateKey; 2] {
        ["other.pem", "next.pem"].map(|name| {
            let path =
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/keys").join(name);
            PrivateKey::from_bytes(&std::fs::read(path).unwrap()).unwrap()
        })
    }

    fn signed(payload: &[u8], key: &PrivateKey, scheme: Scheme) -> Vec<u8> {
        let signature = key.sign_digest(scheme, &sha256(payload)).unwrap();
        [payload, &signature, &length_field(signature.len())].concat()
    }

    fn fed(mut verifier: Verifier, image: &[u8], chunk: usize) -> Result<Accepted, Reject> {
        image.chunks(chunk).try_for_each(|chunk| verifier.update(chunk))?;
        verifier.finish()
    }

    #[test]
    fn chunks_of_any_size_give_one_verdict() {
        for key in keys() {
            for scheme in SCHEMES {
                let good = signed(&b"payload".repeat(200), &key, scheme);
                let mut changed = good.clone();
                changed[700] ^= 1;
                for image in [&good[..], &changed, &good[1..], &good[..good.len() - 1], &good[..4], b""] {
                    let verdict = judge_bytes(image, key.public(), scheme);
                    assert_eq!(verdict.is_ok(), image == good);
                    for chunk in [1, 3, 64, 255, 256, 1000, 100_000] {
                        let with_total = Verifier::with_total(key.public(), scheme, image.len());
                        assert_eq!(fed(with_total, image, chunk), verdict, "{chunk}");
                        assert_eq!(
                            fed(Verifier::new(key.public(), scheme), image, chunk),
                            verdict,
                            "{chunk}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn another_key_form_or_length_is_rejected() {
        let [key, larger] = keys();
        for scheme in SCHEMES {
            let image = signed(b"payload", &key, scheme);
            let total = image.len();
            for other in SCHEMES.into_iter().filter(|other| *other != scheme) {
                assert!(fed(Verifier::new(key.public(), other), &image, 50).is_err());
            }
            assert!(fed(Verifier::new(larger.public(), scheme), &image, 50).is_err());
            for wrong in [0, total - 1, total + 1, usize::MAX] {
                let rejected = fed(Verifier::with_total(key.public(), scheme, wrong), &image, 50);
                assert_eq!(rejected, Err(Reject::TotalMismatch), "{wrong}");
            }
            assert!(Verifier::new(key.public(), scheme).finish().is_err(), "nothing is no image");
        }
    }
}
