//! Says which file an output may replace: an earlier output of the same command.
//!
//! | command | its earlier output |
//! |---|---|
//! | `sign`, `attach` | an image with a signature of the key that signs now |
//! | `compress` | a gzip in otaseal's form |
//! | `strip` | the same bytes |
//! | `digest` | a request of otaseal, or a DigestInfo |
//! | `pubkey`, `completions`, `man` | a text that begins with the same mention of otaseal, or the same bytes |
//! | `ledger export` | an array that begins with a ledger's line, or a table with the same head |
//!
//! `signing-py` takes the place of a script that replaces any file, so it does the same.

use crate::error::Failure;
use clap::Args;
use otaseal::format::digest::Sha256Digest;
use otaseal::format::gzip;
use otaseal::format::layers::MAX_IMAGE;
use otaseal::key::PublicKey;
use otaseal::output::Made;
use otaseal::sign::diagnose::carries_signature_of;
use otaseal::sign::digest_info;
use otaseal::sign::request::{MAX_REQUEST, SigningRequest};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::{Mutex, PoisonError};

/// The file that an output may replace.
#[derive(Debug, Clone)]
pub(crate) enum Replaces {
    /// Only one that otaseal made.
    Made(Made),
    /// Any file that is no private key and no ledger.
    Any,
}

/// The option to replace any file.
#[derive(Debug, Args)]
pub(crate) struct OverwriteArgs {
    /// Replace a file at the output that is no earlier output of this command
    #[arg(long, alias = "force", help_heading = "Output", hide_short_help = true)]
    overwrite: bool,
}

impl OverwriteArgs {
    pub(crate) fn over(&self, made: Made) -> Replaces {
        over(self.overwrite, made)
    }
}

/// Returns what an output may replace.
pub(crate) fn over(any: bool, made: Made) -> Replaces {
    if any { Replaces::Any } else { Replaces::Made(made) }
}

/// Recognises an image with a signature of this key, in either form. Its owner can sign again.
pub(crate) fn signed_by(key: &PublicKey) -> Made {
    let key = key.clone();
    Made::when(move |file| carries_signature_of(file, &key))
}

/// Recognises a gzip in otaseal's form.
pub(crate) fn gzip() -> Made {
    Made::when_bytes(MAX_IMAGE, |bytes| gzip::is_own(bytes, MAX_IMAGE))
}

/// Recognises a file with exactly the first `length` bytes of another one.
pub(crate) fn same(other: &File, length: u64) -> Result<Made, Failure> {
    let other = Mutex::new(other.try_clone().map_err(|error| Failure::read(&crate::io::Place::Std, &error))?);
    Ok(Made::when(move |file| {
        let mut other = other.lock().unwrap_or_else(PoisonError::into_inner);
        other.rewind()?;
        Ok(file.metadata()?.len() == length && equal(file, &mut other.by_ref().take(length))?)
    }))
}

/// Returns whether two readers give the same bytes.
fn equal(one: &mut impl Read, other: &mut impl Read) -> io::Result<bool> {
    const CHUNK: u64 = 64 << 10;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        one.take(CHUNK).read_to_end(&mut left)?;
        other.take(CHUNK).read_to_end(&mut right)?;
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}

/// Recognises a request, or the bytes that a signer pads.
pub(crate) fn request() -> Made {
    Made::when_bytes(MAX_REQUEST, |bytes| {
        let digest = bytes.last_chunk().copied().map(Sha256Digest);
        let padded = digest.is_some_and(|digest| digest_info(&digest) == *bytes);
        padded || SigningRequest::from_json(bytes).is_ok()
    })
}
