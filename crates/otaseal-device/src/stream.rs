//! The verdict over an image that arrives in pieces.

use crate::hash::Hasher;
use crate::key::KeySet;
use crate::layout;
use crate::reject::Reject;
use crate::rsa::{self, Form};
use crate::verify::{Accepted, PayloadKind};

/// Judges an image that is fed in chunks of any size, in constant memory.
///
/// The verdict is the same however the bytes are cut, and the same as [`verify`](crate::verify())'s. It comes
/// only from [`finish`](Self::finish): until then, nothing that was fed may be used.
///
/// What this does not prove: that the bytes written to flash are the bytes that were fed. A device that cannot
/// rely on its flash writes feeds what it reads back, as the ESP8266 Updater does.
#[derive(Clone)]
pub struct Verifier<const W: usize = 64> {
    inner: Stream<W>,
}

impl<const W: usize> Verifier<W> {
    /// For an image of `total` bytes, trailer included: all but the trailer is hashed as it comes.
    #[must_use]
    pub const fn with_total(total: usize) -> Self {
        Self { inner: Stream::new(Some(total)) }
    }

    /// For an image whose length only its end tells: the last `4 * W + 4` bytes are held back.
    #[must_use]
    pub const fn unknown_total() -> Self {
        Self { inner: Stream::new(None) }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// [`Reject::TotalMismatch`] when more than the announced total arrives. [`finish`](Self::finish) then says
    /// the same; a caller may stop receiving at once.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        self.inner.update(bytes)
    }

    /// Judges what was fed.
    ///
    /// # Errors
    ///
    /// [`Reject`], by the first check that fails.
    pub fn finish<const N: usize>(self, keys: &KeySet<N, W>) -> Result<Accepted, Reject> {
        self.inner.finish(keys, Form::DigestInfo)
    }
}

/// The machine behind both verifiers.
///
/// What may still turn out to be trailer passes through a queue: first the length field's four bytes, then the
/// signature's ring. What falls out at its end is payload. At the end of the image the two hold exactly the
/// trailer.
#[derive(Clone)]
pub(crate) struct Stream<const W: usize> {
    total: Option<usize>,
    fed: usize,
    hasher: Hasher,
    /// Bytes in the queue.
    held: usize,
    /// The last four bytes, as a little-endian number: a shift register.
    field: u32,
    /// The bytes before them; the oldest is at `oldest`, once the ring is full.
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
            // More than the address space: no total is right any more, and none will be.
            (self.fed, self.total) = (usize::MAX, Some(0));
            return Err(Reject::TotalMismatch);
        };
        self.fed = fed;
        for (slot, &byte) in self.first.iter_mut().skip(before).zip(bytes) {
            *slot = byte;
        }
        // What is payload for certain goes straight into the hash.
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

    /// Puts a byte into the queue; one that falls out is hashed.
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

    /// Hashes the whole queue, because more than a trailer follows it.
    fn drain(&mut self) {
        let (newer, older) = self.ring();
        let field = self.field.to_le_bytes();
        let mut hasher = self.hasher.clone();
        // A ring that was never full begins at its beginning and ends at `oldest`.
        if self.held == Self::TRAILER_LEN {
            hasher.update(older);
        }
        hasher.update(newer);
        let unused = layout::LENGTH_FIELD_LEN.saturating_sub(self.held);
        hasher.update(field.get(unused..).unwrap_or_default());
        self.hasher = hasher;
        (self.held, self.oldest) = (0, 0);
    }

    /// The ring's two parts, in the order of the array.
    fn ring(&self) -> (&[u8], &[u8]) {
        self.ring.as_flattened().split_at_checked(self.oldest).unwrap_or_default()
    }

    pub(crate) fn finish<const N: usize>(&self, keys: &KeySet<N, W>, form: Form) -> Result<Accepted, Reject> {
        // 1. The announced total.
        if self.total.is_some_and(|total| total != self.fed) {
            return Err(Reject::TotalMismatch);
        }
        // 2 to 5. The lengths.
        let before_field = self.fed.checked_sub(layout::LENGTH_FIELD_LEN).ok_or(Reject::NoTrailer)?;
        let payload_len = layout::payload_len(before_field, self.field, Self::SIGNATURE_LEN)?;
        // 6, 7. The signature. The image was longer than the trailer, so the ring is full.
        let (newer, older) = self.ring();
        let key_id = rsa::check(keys, &rsa::number(older, newer), &self.hasher.clone().finish(), form)?;
        let first = self.first.get(..payload_len).unwrap_or(&self.first);
        Ok(Accepted { payload_len, key_id, kind: PayloadKind::of(first) })
    }
}
