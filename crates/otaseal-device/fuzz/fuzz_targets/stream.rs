//! Fuzzes the verifiers: all give one verdict, and they accept only images that OpenSSL signed.
//!
//! The verifiers judge the image in one piece, from storage, and in chunks with and without a known total. The input
//! chooses the chunks, so the fixtures can be the corpus as they are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal_device::{KeySet, ReadAt, Reject, Verifier, VerifyAtError, legacy, verify, verify_at};

#[allow(dead_code, reason = "the self-test vector is not used here")]
#[path = "../../../../fixtures/demo-firmware/src/next_key.rs"]
mod next_key;
#[allow(dead_code, reason = "the self-test vector is not used here")]
#[path = "../../../../fixtures/demo-firmware/src/ota_key.rs"]
mod ota_key;

static KEYS: KeySet<2> = KeySet::new([ota_key::KEY, next_key::KEY]);

/// Lengths of the payloads for which the corpus has good signatures. No other payload may be accepted.
const SIGNED_LENGTHS: [usize; 6] = [1, 27, 33, 50, 260, 310];

struct Memory<'a>(&'a [u8]);

impl ReadAt for Memory<'_> {
    type Error = ();

    fn read_at(&mut self, offset: usize, buffer: &mut [u8]) -> Result<(), ()> {
        buffer.copy_from_slice(self.0.get(offset..offset + buffer.len()).ok_or(())?);
        Ok(())
    }
}

fuzz_target!(|image: &[u8]| {
    let verdict = verify(image, &KEYS).map(|payload| payload.accepted());
    if let Ok(accepted) = verdict {
        assert!(SIGNED_LENGTHS.contains(&accepted.payload_len), "{accepted:?}");
    }
    assert_eq!(verify_at(&mut Memory(image), image.len(), &KEYS), verdict.map_err(VerifyAtError::Reject));

    let mut state = image
        .iter()
        .fold(image.len() as u32 | 1, |state, byte| (state ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let mut next = |bound: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % bound
    };
    let largest = [1, 5, 70, 300, 5000][next(5)];
    let mut chunks = Vec::new();
    let mut rest = image;
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(next(largest + 1).min(rest.len()));
        chunks.push(chunk);
        rest = tail;
    }
    for total in [Some(image.len()), None] {
        let mut verifier = total.map_or_else(Verifier::<64>::unknown_total, Verifier::with_total);
        for chunk in &chunks {
            verifier.update(chunk).expect("no more than was announced");
        }
        assert_eq!(verifier.finish(&KEYS), verdict, "{total:?}");

        let mut verifier =
            total.map_or_else(legacy::Verifier::<64>::unknown_total, legacy::Verifier::with_total);
        for chunk in &chunks {
            verifier.update(chunk).expect("no more than was announced");
        }
        assert_eq!(verifier.finish(&KEYS), legacy::verify(image, &KEYS).map(|payload| payload.accepted()));
    }
    let wrong = image.len() ^ (1 + next(8));
    let mut verifier = Verifier::<64>::with_total(wrong);
    let fed = chunks.iter().try_for_each(|chunk| verifier.update(chunk));
    assert_eq!(fed.and_then(|()| verifier.finish(&KEYS).map(drop)), Err(Reject::TotalMismatch));
});
