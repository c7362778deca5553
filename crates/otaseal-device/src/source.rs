//! Judges an image in flash that the device reads through a driver.

use core::fmt;

use crate::key::KeySet;
use crate::reject::Reject;
use crate::stream::Verifier;
use crate::verify::Accepted;

/// Storage that you can read at any offset, such as a flash driver.
pub trait ReadAt {
    /// The error of a failed read.
    type Error;

    /// Fills `buffer` with the bytes that begin at `offset`.
    ///
    /// # Errors
    ///
    /// Fails when the storage cannot read all of these bytes.
    fn read_at(&mut self, offset: usize, buffer: &mut [u8]) -> Result<(), Self::Error>;
}

/// Why [`verify_at`] did not accept an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyAtError<E> {
    /// The storage failed to read. There is no verdict.
    Read(E),
    /// The verifier rejected the image.
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

/// Bytes that one read asks for. The ESP8266 Updater uses the same step.
const STEP: usize = 128;

/// Judges the image of `total` bytes at the beginning of `source`.
///
/// The function reads every byte exactly once. An attacker who answers the reads cannot show one byte to the hash and
/// another to the check of the signature or the length field.
///
/// The verdict does not prove that the payload is the same when the device reads it again, to execute or copy it. An
/// attacker who writes to the flash in between, or answers the reads, can change the payload after the verdict. If you
/// must exclude that, copy the image first and judge the copy.
///
/// # Errors
///
/// - [`VerifyAtError::Read`] with the source's error.
/// - [`VerifyAtError::Reject`] with the first check that fails.
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
        // The offset ends at `total`, so it cannot overflow.
        offset = offset.wrapping_add(step.len());
    }
    Ok(verifier.finish(keys)?)
}
