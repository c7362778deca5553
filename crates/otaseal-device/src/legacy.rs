//! The form of esp8266 core 2.5.0 to 2.5.2: the bare digest, without the name of its algorithm.
//!
//! Only for devices that run those versions. The types here are separate and nothing falls back to them, because
//! a verifier that accepts both forms accepts the weaker one. Layout, keys and checks are otherwise those of the
//! crate's documentation; the padded block is `00 01 FF … FF 00 | digest`.

use crate::key::KeySet;
use crate::reject::Reject;
use crate::rsa::Form;
use crate::stream::Stream;
use crate::verify::{Accepted, HashedPayload, Payload, verify_as, verify_hashed_as};

/// [`crate::verify()`] for the legacy form.
///
/// # Errors
///
/// [`Reject`], by the first check that fails.
pub fn verify<'a, const N: usize, const W: usize>(
    image: &'a [u8],
    keys: &KeySet<N, W>,
) -> Result<Payload<'a>, Reject> {
    verify_as(image, keys, Form::BareDigest)
}

/// [`crate::verify_hashed`] for the legacy form.
///
/// # Errors
///
/// [`Reject`], by the first check that fails.
pub fn verify_hashed<const N: usize, const W: usize>(
    payload: &HashedPayload,
    trailer: &[u8],
    keys: &KeySet<N, W>,
) -> Result<Accepted, Reject> {
    verify_hashed_as(payload, trailer, keys, Form::BareDigest)
}

/// [`crate::Verifier`] for the legacy form.
#[derive(Clone)]
pub struct Verifier<const W: usize = 64> {
    inner: Stream<W>,
}

impl<const W: usize> Verifier<W> {
    /// For an image of `total` bytes, trailer included.
    #[must_use]
    pub const fn with_total(total: usize) -> Self {
        Self { inner: Stream::new(Some(total)) }
    }

    /// For an image whose length only its end tells.
    #[must_use]
    pub const fn unknown_total() -> Self {
        Self { inner: Stream::new(None) }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// [`Reject::TotalMismatch`] when more than the announced total arrives.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        self.inner.update(bytes)
    }

    /// Judges what was fed.
    ///
    /// # Errors
    ///
    /// [`Reject`], by the first check that fails.
    pub fn finish<const N: usize>(self, keys: &KeySet<N, W>) -> Result<Accepted, Reject> {
        self.inner.finish(keys, Form::BareDigest)
    }
}
