//! Signs images, and proves that each signature is good.
//!
//! A function here returns a signature only if the device's own code accepts it.

pub(crate) mod bearssl;
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
pub use self::signer::{Kept, KeyFile, Signer, rehearsing};

use self::command::CommandFailure;
use self::diagnose::Mismatch;
use self::pkcs11::TokenFailure;
use self::verify::JudgeError;
use crate::format::digest::{Sha256Digest, each_chunk};
use crate::format::image;
use crate::key::PublicKey;
use otaseal_device::{HashedPayload, PayloadKind, Reject, layout};
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
    /// The file on the disk does not hold the bytes that otaseal wrote.
    #[error("the output does not hold what was written to it")]
    NotAsWritten,
    /// The holder of the key did not sign.
    #[error("the key did not sign: {0}")]
    Backend(String),
    /// The command that holds the key did not sign.
    #[error("the key did not sign: {command} {failure}{}", said.as_ref().map_or_else(String::new, |said| format!("; it {said}")))]
    Command {
        /// Its name.
        command: String,
        /// The failure.
        failure: Box<CommandFailure>,
        /// Its words on standard error, as in "said: ...".
        said: Option<String>,
    },
    /// The token that holds the key did not sign.
    #[error("the key did not sign: {key}: {failure}")]
    Token {
        /// The key and its token.
        key: String,
        /// The failure.
        failure: TokenFailure,
    },
    /// The signer returned something else than the signature.
    #[error("the signature is not good: {0}")]
    Mismatch(Mismatch),
    /// The device verifier rejects what was just signed.
    #[error("the signed image does not verify: {0}")]
    SelfCheck(Reject),
}

/// Whether to sign an input that ends in a valid-looking trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AlreadySigned {
    /// It is an error: signing twice makes an image that no device accepts as meant.
    #[default]
    Refuse,
    /// The user says that the bytes only look like a trailer.
    Allow,
}

/// A file that is written, then read back.
pub trait ReadWriteSeek: Read + Write + Seek {}
impl<T: Read + Write + Seek> ReadWriteSeek for T {}

/// A file for one signed image.
#[non_exhaustive]
pub struct Output<'a> {
    /// The scheme of its signature.
    pub scheme: Scheme,
    /// Its name in the ledger.
    pub name: String,
    /// An empty file that has no name yet.
    pub file: &'a mut dyn ReadWriteSeek,
}

impl<'a> Output<'a> {
    /// Takes the scheme of the signature, the name of the signed image in the ledger, and its empty file.
    pub fn new(scheme: Scheme, name: impl Into<String>, file: &'a mut dyn ReadWriteSeek) -> Self {
        Self { scheme, name: name.into(), file }
    }
}

/// The result of signing into files.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Signed {
    /// Length of the input, which is the payload of every output, in bytes.
    pub payload_len: u64,
    /// SHA-256 of the payload: the signature covers it. (No MD5 here: it would take as long as all the rest.)
    pub sha256: Sha256Digest,
    /// Length of each signature in bytes.
    pub signature_len: usize,
    /// SHA-256 of each output, in the order of the outputs.
    pub output_sha256: Vec<Sha256Digest>,
}

impl Signed {
    /// Length of each output in bytes.
    pub fn output_len(&self) -> u64 {
        self.payload_len + layout::trailer_len(self.signature_len) as u64
    }
}

/// A payload with its signature, verified, in memory.
#[derive(Debug, Clone)]
pub struct SignedImage<'p> {
    payload: &'p [u8],
    /// Signature, then its length as u32 LE.
    trailer: Vec<u8>,
}

impl SignedImage<'_> {
    /// The bytes in order, in two pieces: the payload is not copied.
    pub fn parts(&self) -> [&[u8]; 2] {
        [self.payload, &self.trailer]
    }
}

/// Returns the key that accepts the signatures of a signer: its own, or in a dry run that of a stand-in.
pub(crate) fn judging_key(signer: &dyn Signer) -> &PublicKey {
    signer.stand_in().unwrap_or_else(|| signer.public_key())
}

/// Signs a payload that was hashed: returns the trailer, which the device verifier accepts behind that payload. No
/// other function of otaseal asks a signer for the signature of an image. `message` gives the payload from its start.
///
/// # Errors
/// [`SignError`] of the signer, or of what it returned.
pub(crate) fn seal(
    signer: &dyn Signer,
    scheme: Scheme,
    payload: &HashedPayload,
    message: &mut dyn Read,
) -> Result<Vec<u8>, SignError> {
    let key = judging_key(signer);
    let digest = Sha256Digest(payload.sha256);
    let mut trailer = signer.sign_message(scheme, message, &digest)?;
    let (found, expected) = (trailer.len(), key.size().bytes());
    if found != expected {
        return Err(SignError::Mismatch(Mismatch::Length { found, expected }));
    }
    trailer.extend_from_slice(&layout::length_field(expected));
    match verify::judge_hashed(payload, &trailer, key, scheme) {
        Ok(_) => Ok(trailer),
        Err(reject) => {
            let mismatch = diagnose::mismatch(&trailer[..expected], key, scheme, &digest);
            Err(mismatch.map_or(SignError::SelfCheck(reject), SignError::Mismatch))
        }
    }
}

/// A payload in memory, hashed.
pub(crate) fn hashed(payload: &[u8]) -> HashedPayload {
    HashedPayload {
        len: payload.len(),
        kind: PayloadKind::of(payload),
        sha256: Sha256::digest(payload).into(),
    }
}

/// Signs a payload in memory.
///
/// # Errors
/// [`SignError`].
pub(crate) fn sign_in_memory<'p>(
    payload: &'p [u8],
    scheme: Scheme,
    signer: &dyn Signer,
) -> Result<SignedImage<'p>, SignError> {
    let trailer = seal(signer, scheme, &hashed(payload), &mut &*payload)?;
    Ok(SignedImage { payload, trailer })
}

/// Signs a payload in memory into each output: otaseal writes it, reads it back and compares.
///
/// # Errors
/// [`SignError`]; the outputs then hold something unfinished and must be thrown away.
pub(crate) fn sign_bytes(
    payload: &[u8],
    outputs: &mut [Output<'_>],
    signer: &dyn Signer,
) -> Result<Signed, SignError> {
    let hasher = Sha256::new_with_prefix(payload);
    let sha256 = hasher.clone().finalize().into();
    let hashed = HashedPayload { len: payload.len(), kind: PayloadKind::of(payload), sha256 };
    let mut output_sha256 = Vec::with_capacity(outputs.len());
    for Output { scheme, file, .. } in outputs.iter_mut() {
        // Write the payload first: the disk and the signer then work at the same time.
        file.write_all(payload).map_err(SignError::Write)?;
        let trailer = seal(signer, *scheme, &hashed, &mut &*payload)?;
        output_sha256.push(Sha256Digest(hasher.clone().chain_update(&trailer).finalize().into()));
        file.write_all(&trailer).map_err(SignError::Write)?;
        file.flush().and_then(|()| file.rewind()).map_err(SignError::Write)?;
        if !holds(*file, [payload, &trailer]).map_err(SignError::Write)? {
            return Err(SignError::NotAsWritten);
        }
    }
    let signature_len = signer.public_key().size().bytes();
    Ok(Signed {
        payload_len: payload.len() as u64,
        sha256: Sha256Digest(sha256),
        signature_len,
        output_sha256,
    })
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

/// Signs what `input` gives into each output, in constant memory: otaseal reads the input once, writes each output
/// once, reads it back from its start and lets the device verifier judge it. `check` sees the last bytes (at most 4),
/// the length and the digest of the payload before the signer does.
///
/// # Errors
/// [`SignError`], and those of `check`; the outputs then hold something unfinished and must be thrown away.
pub(crate) fn sign_stream<E: From<SignError>>(
    input: &mut dyn Read,
    outputs: &mut [Output<'_>],
    signer: &dyn Signer,
    check: impl FnOnce(&[u8], u64, Sha256Digest) -> Result<(), E>,
) -> Result<Signed, E> {
    let mut hasher = Sha256::new();
    let (mut first, mut tail) = (Vec::new(), Vec::new());
    let mut write_error = None;
    let payload_len = each_chunk(input, |chunk| {
        hasher.update(chunk);
        first.extend(chunk.iter().take(2 - first.len().min(2)));
        tail.extend_from_slice(&chunk[chunk.len().saturating_sub(layout::LENGTH_FIELD_LEN)..]);
        tail.drain(..tail.len().saturating_sub(layout::LENGTH_FIELD_LEN));
        for output in outputs.iter_mut() {
            if let Err(error) = output.file.write_all(chunk) {
                let kind = error.kind();
                write_error = Some(error);
                return Err(kind.into());
            }
        }
        Ok(())
    })
    .map_err(|error| write_error.take().map_or(SignError::Read(error), SignError::Write))?;
    let sha256 = hasher.clone().finalize().into();
    check(&tail, payload_len, Sha256Digest(sha256))?;
    // No output that was written whole is longer than the address space.
    let hashed = HashedPayload { len: payload_len as usize, kind: PayloadKind::of(&first), sha256 };
    let mut output_sha256 = Vec::with_capacity(outputs.len());
    for Output { scheme, file, .. } in outputs.iter_mut() {
        file.rewind().map_err(SignError::Write)?;
        let trailer = seal(signer, *scheme, &hashed, &mut Read::take(&mut **file, payload_len))?;
        output_sha256.push(Sha256Digest(hasher.clone().chain_update(&trailer).finalize().into()));
        file.seek(SeekFrom::Start(payload_len)).map_err(SignError::Write)?;
        file.write_all(&trailer).and_then(|()| file.flush()).map_err(SignError::Write)?;
        file.rewind().map_err(SignError::Write)?;
        let accepted = verify::judge(&mut **file, None, judging_key(signer), *scheme);
        // The signature was good a moment ago: what is rejected now is what the disk gave back. A disk that lost
        // bytes in the middle shifts the trailer, and the number of bytes that were judged shows it as well.
        match accepted.map_err(|error| match error {
            JudgeError::Read(error) => SignError::Write(error),
            JudgeError::Rejected(_) => SignError::NotAsWritten,
        })? {
            accepted if accepted.payload_len as u64 == payload_len => {}
            _ => return Err(SignError::NotAsWritten.into()),
        }
    }
    let signature_len = signer.public_key().size().bytes();
    Ok(Signed { payload_len, sha256: Sha256Digest(sha256), signature_len, output_sha256 })
}

/// Refuses an empty input, and one that is signed already. `tail` is the last 4 bytes of the input, or all of a shorter
/// one.
///
/// # Errors
/// [`SignError::Empty`] and [`SignError::AlreadySigned`].
pub(crate) fn check_input(tail: &[u8], total: u64, rule: AlreadySigned) -> Result<(), SignError> {
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

#[cfg(test)]
mod tests;
