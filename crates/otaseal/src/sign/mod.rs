//! Signing, and the proof that it worked.
//!
//! Nothing here returns a signature that has not been verified by the code that runs on the device.

pub mod command;
pub mod detached;
pub mod diagnose;
pub mod pkcs11;
pub mod request;
mod scheme;
mod signer;
pub mod source;
pub mod verify;

pub(crate) use self::scheme::DIGEST_INFO_PREFIX;
pub use self::scheme::{Scheme, digest_info};
pub use self::signer::{Expecting, Signer};

use self::diagnose::Mismatch;
use self::verify::JudgeError;
use crate::format::digest::{Sha256Digest, each_chunk};
use crate::format::image;
use otaseal_device::{Reject, layout};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// Nothing to sign.
    #[error("the input is empty")]
    Empty,
    /// The input ends in what looks like a signature and its length.
    #[error("the input looks signed already: it ends in the length {signature_len} of a signature")]
    AlreadySigned {
        /// The length found, in bytes.
        signature_len: usize,
    },
    /// The input could not be read.
    #[error("the input could not be read: {0}")]
    Read(#[source] io::Error),
    /// The output could not be written, or not read back.
    #[error("the output could not be written: {0}")]
    Write(#[source] io::Error),
    /// What was read back is not what was written.
    #[error("the output does not hold what was written to it")]
    NotAsWritten,
    /// The holder of the key did not sign.
    #[error("the key did not sign: {0}")]
    Backend(String),
    /// The holder of the key did not sign, and it is known what to do.
    #[error("the key did not sign: {message}")]
    Refused {
        /// What happened.
        message: String,
        /// What the user can do about it.
        help: String,
    },
    /// What came back is not the signature that was asked for.
    #[error("the signature is not good: {0}")]
    Mismatch(Mismatch),
    /// The image is not the one that was to be signed.
    #[error("its SHA-256 is {found}, {expected} is expected")]
    OtherImage {
        /// What was expected.
        expected: Sha256Digest,
        /// What the input has.
        found: Sha256Digest,
    },
    /// The device verifier rejects what was just signed.
    #[error("the signed image does not verify: {0}")]
    SelfCheck(Reject),
}

impl SignError {
    /// What the user can do about it.
    pub fn help(&self) -> &str {
        match self {
            Self::Empty => {
                "give the image that the build made; check that the build step before this one ran"
            }
            Self::AlreadySigned { .. } => {
                "sign the unsigned image; `otaseal strip` takes a signature off, and `otaseal sign --force` signs \
                 bytes that only look like one"
            }
            Self::Read(_) => "check that the file is there and that you may read it",
            Self::Write(_) => {
                "nothing was changed; free some space or choose another place, then run it again"
            }
            Self::NotAsWritten => {
                "nothing was changed; check the disk, and that nobody else writes there, then run it again"
            }
            Self::Refused { help, .. } => help,
            Self::Mismatch(mismatch) => mismatch.help(),
            Self::OtherImage { .. } => {
                "nothing was signed; take the image from the build whose digest was expected, or find out who changed it"
            }
            Self::Backend(_) | Self::SelfCheck(_) => {
                "nothing was written; check the key, and if it is good, the machine's memory"
            }
        }
    }
}

/// What to do with an input that ends in a valid-looking trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlreadySigned {
    /// It is an error: signing twice makes an image that no device accepts as meant.
    Refuse,
    /// The user says that the bytes only look like a trailer.
    Allow,
}

/// Where a signed image goes: it is written, then read back and verified.
pub trait Target: Read + Write + Seek {}
impl<T: Read + Write + Seek> Target for T {}

/// What was signed.
#[derive(Debug, Clone, Serialize)]
pub struct Signed {
    /// Length of the input, which is the payload of every output, in bytes.
    pub payload_len: u64,
    /// SHA-256 of the payload: what the signature is of. (No MD5 here: it would take as long as all the rest.)
    pub sha256: Sha256Digest,
    /// Length of each signature in bytes.
    pub signature_len: usize,
    /// SHA-256 of each output, in the order of the targets.
    pub output_sha256: Vec<Sha256Digest>,
}

impl Signed {
    /// Length of each output in bytes.
    pub fn output_len(&self) -> u64 {
        self.payload_len + layout::trailer_len(self.signature_len) as u64
    }
}

/// Signs a payload in memory into each target: it is written, read back and compared, and what stands behind it is
/// judged by the device verifier.
///
/// # Errors
/// [`SignError`]; the targets then hold something unfinished and must be thrown away.
pub fn sign_bytes(
    payload: &[u8],
    targets: &mut [(Scheme, &mut dyn Target)],
    signer: &dyn Signer,
    already_signed: AlreadySigned,
) -> Result<Signed, SignError> {
    let tail = &payload[payload.len().saturating_sub(layout::LENGTH_FIELD_LEN)..];
    check_input(tail, payload.len() as u64, already_signed)?;
    let hasher = Sha256::new_with_prefix(payload);
    let sha256 = Sha256Digest(hasher.clone().finalize().into());
    let mut output_sha256 = Vec::with_capacity(targets.len());
    for (scheme, target) in targets.iter_mut() {
        let trailer = trailer(signer, *scheme, &mut &*payload, &sha256.0)?;
        output_sha256.push(Sha256Digest(hasher.clone().chain_update(&trailer).finalize().into()));
        for part in [payload, &trailer] {
            target.write_all(part).map_err(SignError::Write)?;
        }
        target.flush().and_then(|()| target.rewind()).map_err(SignError::Write)?;
        if !holds(*target, [payload, &trailer]).map_err(SignError::Write)? {
            return Err(SignError::NotAsWritten);
        }
        verify::judge_hashed(payload, &sha256, &trailer, signer.public_key(), *scheme)
            .map_err(|reject| rejected(reject, &trailer, signer, *scheme, &sha256.0))?;
    }
    let payload_len = payload.len() as u64;
    Ok(Signed { payload_len, sha256, signature_len: signer.public_key().size().bytes(), output_sha256 })
}

/// Whether a reader gives exactly these bytes, and then ends.
fn holds(reader: &mut dyn Read, parts: [&[u8]; 2]) -> io::Result<bool> {
    let [mut rest, mut next] = parts;
    let mut same = true;
    each_chunk(reader, |mut chunk| {
        while !chunk.is_empty() && same {
            if rest.is_empty() {
                rest = std::mem::take(&mut next);
            }
            let length = chunk.len().min(rest.len());
            same = length > 0 && chunk[..length] == rest[..length];
            (chunk, rest) = (&chunk[length..], &rest[length..]);
        }
        Ok(())
    })?;
    Ok(same && rest.is_empty() && next.is_empty())
}

/// Signs what `input` gives into each target, in constant memory: the input is read once, each target is
/// written once, then read back from its start and judged by the device verifier.
///
/// # Errors
/// [`SignError`]; the targets then hold something unfinished and must be thrown away.
pub fn sign_stream(
    input: &mut dyn Read,
    targets: &mut [(Scheme, &mut dyn Target)],
    signer: &dyn Signer,
    already_signed: AlreadySigned,
) -> Result<Signed, SignError> {
    let mut hasher = Sha256::new();
    let mut tail = Vec::new();
    let mut write_error = None;
    let payload_len = each_chunk(input, |chunk| {
        hasher.update(chunk);
        tail.extend_from_slice(&chunk[chunk.len().saturating_sub(layout::LENGTH_FIELD_LEN)..]);
        tail.drain(..tail.len().saturating_sub(layout::LENGTH_FIELD_LEN));
        for (_, target) in targets.iter_mut() {
            if let Err(error) = target.write_all(chunk) {
                let kind = error.kind();
                write_error = Some(error);
                return Err(kind.into());
            }
        }
        Ok(())
    })
    .map_err(|error| match write_error.take() {
        Some(error) => SignError::Write(error),
        None => SignError::Read(error),
    })?;
    let sha256 = Sha256Digest(hasher.clone().finalize().into());
    let mut output_sha256 = Vec::with_capacity(targets.len());
    check_input(&tail, payload_len, already_signed)?;
    for (scheme, target) in targets.iter_mut() {
        target.rewind().map_err(SignError::Write)?;
        let mut message = Read::take(&mut **target, payload_len);
        let trailer = trailer(signer, *scheme, &mut message, &sha256.0)?;
        output_sha256.push(Sha256Digest(hasher.clone().chain_update(&trailer).finalize().into()));
        target.seek(SeekFrom::Start(payload_len)).map_err(SignError::Write)?;
        target.write_all(&trailer).and_then(|()| target.flush()).map_err(SignError::Write)?;
        target.rewind().map_err(SignError::Write)?;
        let accepted =
            verify::judge(&mut **target, None, signer.public_key(), *scheme).map_err(
                |error| match error {
                    JudgeError::Read(error) => SignError::Write(error),
                    JudgeError::Rejected(reject) => rejected(reject, &trailer, signer, *scheme, &sha256.0),
                },
            )?;
        // A disk that lost bytes in the middle would shift the trailer: then the verdict above fails. This
        // also binds the verdict to the number of bytes that were read.
        if accepted.payload_len as u64 != payload_len {
            return Err(SignError::Write(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(Signed { payload_len, sha256, signature_len: signer.public_key().size().bytes(), output_sha256 })
}

/// Refuses what must not be signed, by its last 4 bytes (fewer where there are no more) and its length.
///
/// # Errors
/// [`SignError::Empty`] and [`SignError::AlreadySigned`].
pub fn check_input(tail: &[u8], total: u64, rule: AlreadySigned) -> Result<(), SignError> {
    if total == 0 {
        return Err(SignError::Empty);
    }
    match image::trailer(tail, total) {
        Some(found) if rule == AlreadySigned::Refuse => {
            Err(SignError::AlreadySigned { signature_len: found.signature_len })
        }
        _ => Ok(()),
    }
}

/// The signature and its length field, as they follow the payload.
pub(crate) fn trailer(
    signer: &dyn Signer,
    scheme: Scheme,
    message: &mut dyn Read,
    digest: &[u8; 32],
) -> Result<Vec<u8>, SignError> {
    let mut trailer = signer.sign_message(scheme, message, digest)?;
    let (found, expected) = (trailer.len(), signer.public_key().size().bytes());
    if found != expected {
        return Err(SignError::Mismatch(Mismatch::Length { found, expected }));
    }
    trailer.extend_from_slice(&layout::length_field(expected));
    Ok(trailer)
}

/// Why the device verifier rejected what was just signed: the signature, or else what carried it.
pub(crate) fn rejected(
    reject: Reject,
    trailer: &[u8],
    signer: &dyn Signer,
    scheme: Scheme,
    digest: &[u8; 32],
) -> SignError {
    let signature = &trailer[..trailer.len().saturating_sub(layout::LENGTH_FIELD_LEN)];
    let mismatch = diagnose::mismatch(signature, signer.public_key(), scheme, digest);
    mismatch.map_or(SignError::SelfCheck(reject), SignError::Mismatch)
}

#[cfg(test)]
mod tests;
