//! Tests that splitting undoes joining, and that no length in an image leads the verifier astray.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

mod common;

use common::join;
use otaseal_device::{Reject, layout};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn the_length_field_is_little_endian() {
    assert_eq!(layout::length_field(256), [0, 1, 0, 0]);
    assert_eq!(layout::length_field(0x0403_0201), [1, 2, 3, 4]);
    assert_eq!(layout::length_field(u32::MAX as usize), [0xff; 4]);
}

#[test]
fn a_trailer_is_the_signature_and_four_bytes() {
    assert_eq!(layout::trailer_len(256), 260);
    assert_eq!(layout::trailer_len(512), 516);
    assert_eq!(layout::trailer_len(0), 4);
    assert_eq!(layout::trailer_len(usize::MAX), usize::MAX);
}

/// 2^32 + 256 must not pass for 256: the low 32 bits are equal.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_length_beyond_32_bits_is_not_taken_for_its_low_bits() {
    for low in [0, 1, 256, 512] {
        let len = (1 << 32) + low;
        assert_eq!(layout::length_field(len), [0xff; 4]);
        let image = [&[7; 600][..], &(low as u32).to_le_bytes()].concat();
        assert_eq!(layout::split(&image, len), Err(Reject::LengthField));
        let image = [&[7; 600][..], &[0xff; 4]].concat();
        assert_eq!(layout::split(&image, len), Err(Reject::LengthField));
    }
}

#[test]
fn an_image_of_every_length_around_the_trailer_is_refused_for_its_reason() {
    for signature_len in [256, 384, 512] {
        let whole = join(&[7; 2], &vec![9; signature_len]);
        for len in 0..whole.len() {
            let image = whole.get(whole.len() - len..).unwrap();
            let reject = match len {
                0..=3 => Reject::NoTrailer,
                _ if len < signature_len + 4 => Reject::NoSignature,
                _ if len == signature_len + 4 => Reject::EmptyPayload,
                _ => continue,
            };
            assert_eq!(layout::split(image, signature_len), Err(reject), "the last {len} bytes");
        }
    }
}

proptest! {
    #[test]
    fn splitting_undoes_joining(payload in vec(any::<u8>(), 1..200), signature in vec(any::<u8>(), 0..200)) {
        let image = join(&payload, &signature);
        prop_assert_eq!(layout::split(&image, signature.len()), Ok((&payload[..], &signature[..])));
        prop_assert_eq!(image.len(), payload.len() + layout::trailer_len(signature.len()));
    }

    /// The key decides on the length of the signature. An image that claims another one is refused.
    #[test]
    fn another_length_field_is_refused(
        payload in vec(any::<u8>(), 0..600),
        key in prop::sample::select(vec![256_usize, 384, 512]),
        claim in prop_oneof![any::<u32>(), 0_u32..600],
    ) {
        prop_assume!(claim as usize != key);
        let image = [&payload[..], &claim.to_le_bytes()].concat();
        prop_assert_eq!(layout::split(&image, key), Err(Reject::LengthField));
    }

    #[test]
    fn no_image_and_no_length_cause_a_panic(
        image in vec(any::<u8>(), 0..40),
        len in prop_oneof![any::<usize>(), 0_usize..40],
    ) {
        if let Ok((payload, signature)) = layout::split(&image, len) {
            prop_assert!(!payload.is_empty());
            prop_assert_eq!(signature.len(), len);
        }
    }
}
