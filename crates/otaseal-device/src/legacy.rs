//! Judges legacy signatures, the form of esp8266 core 2.5.0 to 2.5.2.
//!
//! A legacy signature has the padded block `00 01 FF … FF 00 | digest`: the block does not name the hash algorithm.
//! The layout, the keys and the checks are those of the crate's documentation.
//!
//! Use this module only for devices that run those versions. Its types are separate and no other type falls back to
//! them: a verifier that accepts both kinds of signature is as weak as the weaker kind.

use crate::key::KeySet;
use crate::reject::Reject;
use crate::rsa::Form;
use crate::stream::Stream;
use crate::verify::{Accepted, HashedPayload, Payload, verify_as, verify_hashed_as};

/// Judges an image with a legacy signature, as [`crate::verify()`] does with a current one.
///
/// # Errors
///
/// Returns the [`Reject`] of the first check that fails.
pub fn verify<'a, const N: usize, const W: usize>(
    image: &'a [u8],
    keys: &KeySet<N, W>,
) -> Result<Payload<'a>, Reject> {
    verify_as(image, keys, Form::Legacy)
}

/// Judges the trailer of an image with a legacy signature, as [`crate::verify_hashed`] does with a current one.
///
/// # Errors
///
/// Returns the [`Reject`] of the first check that fails. [`Reject::TotalMismatch`] means that the trailer is longer or
/// shorter than its length field says.
pub fn verify_hashed<const N: usize, const W: usize>(
    payload: &HashedPayload,
    trailer: &[u8],
    keys: &KeySet<N, W>,
) -> Result<Accepted, Reject> {
    verify_hashed_as(payload, trailer, keys, Form::Legacy)
}

/// Judges an image with a legacy signature in chunks, as [`crate::Verifier`] does with a current one.
#[derive(Clone)]
pub struct Verifier<const W: usize = 64> {
    inner: Stream<W>,
}

impl<const W: usize> Verifier<W> {
    /// Starts on an image of `total` bytes, trailer included.
    #[must_use]
    pub const fn with_total(total: usize) -> Self {
        Self { inner: Stream::new(Some(total)) }
    }

    /// Starts on an image of unknown length.
    #[must_use]
    pub const fn unknown_total() -> Self {
        Self { inner: Stream::new(None) }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// [`Reject::TotalMismatch`] when more bytes arrive than were announced.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        self.inner.update(bytes)
    }

    /// Judges the image.
    ///
    /// # Errors
    ///
    /// Returns the [`Reject`] of the first check that fails.
    pub fn finish<const N: usize>(self, keys: &KeySet<N, W>) -> Result<Accepted, Reject> {
        self.inner.finish(keys, Form::Legacy)
    }
}
