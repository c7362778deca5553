//! The verdict over an image that stays where it is, in flash that is read through a driver.

use core::fmt;

use crate::key::KeySet;
use crate::reject::Reject;
use crate::stream::Verifier;
use crate::verify::Accepted;

/// Storage that can be read at any offset, such as a flash driver.
pub trait ReadAt {
    /// What a failed read gives.
    type Error;

    /// Fills `buffer` with the bytes that begin at `offset`.
    ///
    /// # Errors
    ///
    /// When they cannot all be read.
    fn read_at(&mut self, offset: usize, buffer: &mut [u8]) -> Result<(), Self::Error>;
}

/// Why [`verify_at`] has not accepted an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyAtError<E> {
    /// The storage could not be read; the image was not judged.
    Read(E),
    /// The image was judged and refused.
    Reject(Reject),
}

impl<E> From<Reject> for VerifyAtError<E> {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl<E: fmt::Display> fmt::Display for VerifyAtError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "the image cannot be read: {error}"),
            Self::Reject(reject) => reject.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for VerifyAtError<E> {}

/// Bytes read at a time: the ESP8266 Updater's step.
const STEP: usize = 128;

/// Judges the image of `total` bytes at the beginning of `source`.
///
/// Every byte is read exactly once, so that what is hashed as payload cannot be another byte when it is taken for
/// the signature or the length field. What this does not prove is that the payload is still the same when it is
/// read again to be executed or copied: whoever can write to the flash in between, or answers reads in its
/// place, can change it after the verdict. Where that matters, copy first and judge the copy.
///
/// # Errors
///
/// [`VerifyAtError::Read`] with the source's error, [`VerifyAtError::Reject`] by the first check that fails.
pub fn verify_at<const N: usize, const W: usize, S: ReadAt>(
    source: &mut S,
    total: usize,
    keys: &KeySet<N, W>,
) -> Result<Accepted, VerifyAtError<S::Error>> {
    let mut verifier = Verifier::<W>::with_total(total);
    let mut buffer = [0; STEP];
    let mut offset = 0;
    while let Some(step) =
        buffer.get_mut(..total.saturating_sub(offset).min(STEP)).filter(|step| !step.is_empty())
    {
        source.read_at(offset, step).map_err(VerifyAtError::Read)?;
        verifier.update(step)?;
        // Ends at `total`, so it cannot overflow.
        offset = offset.wrapping_add(step.len());
    }
    Ok(verifier.finish(keys)?)
}
