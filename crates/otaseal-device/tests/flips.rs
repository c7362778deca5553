//! The verifier rejects an image with one flipped bit, a missing byte or an extra byte.
//!
//! `OTASEAL_FLIPS` sets the number of flips in the large image: 1,000 by default. 100,000 have passed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

mod common;

use std::thread;

use common::{key, root, sign};
use otaseal_device::{KeySet, Reject, Verifier, verify};

/// Returns bytes without a pattern.
fn payload(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Returns a signed image and the key that accepts it.
fn signed(len: usize) -> (Vec<u8>, KeySet<1>) {
    let private = root().join("keys.example/private.pem");
    let image = sign(&payload(len), &private);
    let keys = key::<64>(&private).into();
    assert!(verify(&image, &keys).is_ok());
    (image, keys)
}

/// Flips each of these bits alone, on two threads, and checks the verdict.
fn reject_flips(image: &[u8], keys: &KeySet<1>, bits: &[usize]) {
    let half = bits.len().div_ceil(2);
    thread::scope(|scope| {
        for bits in bits.chunks(half) {
            scope.spawn(move || {
                let mut image = image.to_vec();
                for bit in bits {
                    image[bit / 8] ^= 1 << (bit % 8);
                    let verdict = verify(&image, keys).map(|payload| payload.accepted());
                    image[bit / 8] ^= 1 << (bit % 8);
                    let expected = if bit / 8 >= image.len() - 4 {
                        verdict == Err(Reject::LengthField)
                    } else {
                        matches!(verdict, Err(Reject::SignatureMismatch | Reject::SignatureRange))
                    };
                    assert!(expected, "bit {bit}: {verdict:?}");
                }
            });
        }
    });
}

#[test]
fn every_single_bit_flip_of_a_4_kib_image_is_rejected() {
    let (image, keys) = signed(4096 - 260);
    assert_eq!(image.len(), 4096);
    reject_flips(&image, &keys, &(0..8 * image.len()).collect::<Vec<_>>());
}

#[test]
fn random_bit_flips_of_a_400_kb_image_are_rejected() {
    let count: usize = std::env::var("OTASEAL_FLIPS").map_or(1000, |count| count.parse().unwrap());
    let (image, keys) = signed(400_000);
    // The step has no factor in common with the number of bits, so no bit comes twice.
    let bits = 8 * image.len();
    let step = 1_299_709;
    assert!(count <= bits && !bits.is_multiple_of(step));
    reject_flips(&image, &keys, &(0..count).map(|i| (i * step) % bits).collect::<Vec<_>>());
}

#[test]
fn an_image_cut_at_any_byte_or_with_a_byte_more_is_rejected() {
    let (image, keys) = signed(1000);
    for len in 0..image.len() {
        let cut = &image[..len];
        assert!(verify(cut, &keys).is_err(), "cut to {len}");
        assert!(verify(&image[image.len() - len..], &keys).is_err(), "the last {len}");
        let mut verifier = Verifier::<64>::with_total(image.len());
        verifier.update(cut).unwrap();
        assert_eq!(verifier.finish(&keys), Err(Reject::TotalMismatch), "cut to {len}");
    }
    for byte in 0..=255 {
        assert!(verify(&[&image[..], &[byte]].concat(), &keys).is_err());
        assert!(verify(&[&[byte], &image[..]].concat(), &keys).is_err());
    }
}

#[test]
fn more_than_the_announced_total_is_refused_at_once_and_for_good() {
    let (image, keys) = signed(1000);
    let mut verifier = Verifier::<64>::with_total(image.len());
    verifier.update(&image).unwrap();
    assert_eq!(verifier.update(&[0]), Err(Reject::TotalMismatch));
    assert_eq!(verifier.update(&[]), Err(Reject::TotalMismatch));
    assert_eq!(verifier.finish(&keys), Err(Reject::TotalMismatch));
}
