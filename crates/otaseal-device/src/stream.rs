//! Judges an image that arrives in chunks.

use crate::hash::Hasher;
use crate::key::KeySet;
use crate::layout;
use crate::reject::Reject;
use crate::rsa::{self, Form};
use crate::verify::{Accepted, PayloadKind};

/// Judges an image that arrives in chunks of any size, in constant memory.
///
/// The size of the chunks does not change the verdict, which equals that of [`verify`](crate::verify()). Only
/// [`finish`](Self::finish) gives the verdict. Do not use any of the bytes before it.
///
/// The verdict does not prove that the flash holds the bytes that you fed. A device that cannot rely on its flash
/// writes reads the bytes back and feeds those, as the ESP8266 Updater does.
#[derive(Clone)]
pub struct Verifier<const W: usize = 64> {
    inner: Stream<W>,
}

impl<const W: usize> Verifier<W> {
    /// Starts on an image of `total` bytes, trailer included. The verifier hashes the payload as it arrives.
    #[must_use]
    pub const fn with_total(total: usize) -> Self {
        Self { inner: Stream::new(Some(total)) }
    }

    /// Starts on an image of unknown length. The verifier always holds back the last `4 * W + 4` bytes.
    #[must_use]
    pub const fn unknown_total() -> Self {
        Self { inner: Stream::new(None) }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// [`Reject::TotalMismatch`] when more bytes arrive than were announced. You may stop receiving at once.
    /// [`finish`](Self::finish) gives the same verdict.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        self.inner.update(bytes)
    }

    /// Judges the image.
    ///
    /// # Errors
    ///
    /// Returns the [`Reject`] of the first check that fails.
    pub fn finish<const N: usize>(self, keys: &KeySet<N, W>) -> Result<Accepted, Reject> {
        self.inner.finish(keys, Form::DigestInfo)
    }
}

/// The state of both verifiers.
///
/// Bytes that may belong to the trailer pass through a queue: first the four bytes of `field`, then `ring`. Bytes that
/// leave the queue are payload. At the end of the image, `ring` holds the signature and `field` the length field.
#[derive(Clone)]
pub(crate) struct Stream<const W: usize> {
    total: Option<usize>,
    fed: usize,
    hasher: Hasher,
    /// Number of bytes in the queue.
    held: usize,
    /// The last four bytes as a little-endian number, used as a shift register.
    field: u32,
    /// The bytes before `field`. Once the ring is full, its oldest byte is at `oldest`.
    ring: [[u8; 4]; W],
    oldest: usize,
    /// The image's first two bytes.
    first: [u8; 2],
}

impl<const W: usize> Stream<W> {
    const SIGNATURE_LEN: usize = W.saturating_mul(4);
    const TRAILER_LEN: usize = layout::trailer_len(Self::SIGNATURE_LEN);

    pub(crate) const fn new(total: Option<usize>) -> Self {
        let ring = [[0; 4]; W];
        Self { total, fed: 0, hasher: Hasher::new(), held: 0, field: 0, ring, oldest: 0, first: [0; 2] }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        let before = self.fed;
        let Some(fed) = before.checked_add(bytes.len()) else {
            // The image is larger than the address space. From here on, no total matches.
            (self.fed, self.total) = (usize::MAX, Some(0));
            return Err(Reject::TotalMismatch);
        };
        self.fed = fed;
        for (slot, &byte) in self.first.iter_mut().skip(before).zip(bytes) {
            *slot = byte;
        }
        // Bytes that cannot belong to the trailer go straight into the hash.
        let payload = match self.total {
            Some(total) if fed > total => return Err(Reject::TotalMismatch),
            Some(total) => total.saturating_sub(Self::TRAILER_LEN).saturating_sub(before).min(bytes.len()),
            None => match bytes.len().checked_sub(Self::TRAILER_LEN) {
                Some(surplus) => {
                    self.drain();
                    surplus
                }
                None => 0,
            },
        };
        let (payload, rest) = bytes.split_at_checked(payload).unwrap_or_default();
        self.hasher.update(payload);
        rest.iter().for_each(|&byte| self.push(byte));
        Ok(())
    }

    /// Puts a byte into the queue, and hashes the byte that leaves it.
    fn push(&mut self, byte: u8) {
        let [from_field, ..] = self.field.to_le_bytes();
        self.field = self.field >> 8 | u32::from(byte) << 24;
        if self.held >= layout::LENGTH_FIELD_LEN
            && let Some(slot) = self.ring.as_flattened_mut().get_mut(self.oldest)
        {
            let from_ring = core::mem::replace(slot, from_field);
            self.oldest = self.oldest.wrapping_add(1);
            if self.oldest == Self::SIGNATURE_LEN {
                self.oldest = 0;
            }
            if self.held == Self::TRAILER_LEN {
                self.hasher.update(&[from_ring]);
                return;
            }
        }
        self.held = self.held.wrapping_add(1);
    }

    /// Hashes the whole queue. The caller has at least a whole trailer to follow it.
    fn drain(&mut self) {
        let (newer, older) = self.ring();
        let field = self.field.to_le_bytes();
        let mut hasher = self.hasher.clone();
        // A ring that is not full yet begins at index 0 and ends at `oldest`.
        if self.held == Self::TRAILER_LEN {
            hasher.update(older);
        }
        hasher.update(newer);
        let unused = layout::LENGTH_FIELD_LEN.saturating_sub(self.held);
        hasher.update(field.get(unused..).unwrap_or_default());
        self.hasher = hasher;
        (self.held, self.oldest) = (0, 0);
    }

    /// Returns the ring's two parts, in the order of the array.
    fn ring(&self) -> (&[u8], &[u8]) {
        self.ring.as_flattened().split_at_checked(self.oldest).unwrap_or_default()
    }

    pub(crate) fn finish<const N: usize>(&self, keys: &KeySet<N, W>, form: Form) -> Result<Accepted, Reject> {
        // Check 1: the announced total.
        if self.total.is_some_and(|total| total != self.fed) {
            return Err(Reject::TotalMismatch);
        }
        // Checks 2 to 5: the lengths.
        let before_field = self.fed.checked_sub(layout::LENGTH_FIELD_LEN).ok_or(Reject::NoTrailer)?;
        let payload_len = layout::payload_len(before_field, self.field, Self::SIGNATURE_LEN)?;
        // Checks 6 and 7: the signature. The image is longer than the trailer, so the ring is full.
        let (newer, older) = self.ring();
        let key_id = rsa::check(keys, &rsa::number(older, newer), &self.hasher.clone().finish(), form)?;
        let first = self.first.get(..payload_len).unwrap_or(&self.first);
        Ok(Accepted { payload_len, key_id, kind: PayloadKind::of(first) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Reject, Stream};
    use crate::key::{KeyId, KeySet, PublicKey};
    use crate::rsa::Form;

    /// A sender that never stops must not wrap the count of bytes round to the announced total.
    #[test]
    fn an_image_larger_than_the_address_space_is_refused_for_good() {
        let mut modulus = [1; 64];
        modulus[63] = u32::MAX;
        let keys = KeySet::new([PublicKey::new(modulus, KeyId([0; 32]))]);
        for total in [None, Some(1), Some(usize::MAX)] {
            let mut stream = Stream::<64>::new(total);
            stream.fed = usize::MAX;
            assert_eq!(stream.update(&[0; 2]), Err(Reject::TotalMismatch), "{total:?}");
            assert_eq!(stream.update(&[]), Err(Reject::TotalMismatch), "{total:?}");
            assert_eq!(stream.finish(&keys, Form::DigestInfo), Err(Reject::TotalMismatch), "{total:?}");
        }
    }
}
