//! The verdict of the device verifier, on the host: any key size, any source of bytes.
//!
//! There is no second check here. What decides is [`otaseal_device`]; this module feeds it.

use crate::format::digest::each_chunk;
use crate::key::{KeySize, PublicKey};
use crate::sign::Scheme;
use otaseal_device::{Accepted, HashedPayload, KeySet, Reject, legacy, verify_hashed};
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

/// Judges everything that `reader` gives as one signed image, in constant memory.
///
/// `total` is the length in bytes where it is known beforehand; without it the last bytes are held back until
/// the end, as on a device that is not told the length.
///
/// # Errors
/// [`JudgeError::Rejected`] with the first check that failed, [`JudgeError::Read`] when there is no verdict.
pub fn judge(
    reader: &mut dyn Read,
    total: Option<usize>,
    key: &PublicKey,
    scheme: Scheme,
) -> Result<Accepted, JudgeError> {
    match key.size() {
        KeySize::Rsa2048 => judge_with::<64>(reader, total, key, scheme),
        KeySize::Rsa3072 => judge_with::<96>(reader, total, key, scheme),
        KeySize::Rsa4096 => judge_with::<128>(reader, total, key, scheme),
    }
}

/// Judges an image in memory: [`judge`] on a slice.
///
/// # Errors
/// The first check that failed.
pub fn judge_bytes(image: &[u8], key: &PublicKey, scheme: Scheme) -> Result<Accepted, Reject> {
    match judge(&mut &image[..], Some(image.len()), key, scheme) {
        Ok(accepted) => Ok(accepted),
        Err(JudgeError::Rejected(reject)) => Err(reject),
        Err(JudgeError::Read(_)) => unreachable!("a slice can always be read"),
    }
}

/// Judges the trailer of an image whose payload was hashed.
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

fn judge_with<const W: usize>(
    reader: &mut dyn Read,
    total: Option<usize>,
    key: &PublicKey,
    scheme: Scheme,
) -> Result<Accepted, JudgeError> {
    let keys = key_set::<W>(key);
    // The two verifiers are separate types on purpose: a device must name the legacy one to get it.
    macro_rules! run {
        ($verifier:ty) => {{
            let mut verifier = match total {
                Some(total) => <$verifier>::with_total(total),
                None => <$verifier>::unknown_total(),
            };
            let mut verdict = Ok(());
            let read = each_chunk(reader, |chunk| {
                verdict = verifier.update(chunk);
                verdict.map_err(|_| io::ErrorKind::InvalidData.into())
            });
            verdict.map_err(JudgeError::Rejected)?;
            read.map_err(JudgeError::Read)?;
            verifier.finish(&keys).map_err(JudgeError::Rejected)
        }};
    }
    match scheme {
        Scheme::Pkcs1v15Sha256 => run!(otaseal_device::Verifier<W>),
        Scheme::Legacy => run!(legacy::Verifier<W>),
    }
}
