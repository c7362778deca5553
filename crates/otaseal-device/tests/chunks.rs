//! Tests that the sizes of the chunks do not change the verdict, for images that are good and images that are not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

mod common;

use std::sync::LazyLock;

use common::{key, root, sign};
use otaseal_device::{Accepted, KeySet, Reject, Verifier, legacy, verify};
use proptest::collection::vec;
use proptest::prelude::*;

static KEYS: LazyLock<KeySet<1>> =
    LazyLock::new(|| key::<64>(&root().join("keys.example/public.pem")).into());

/// Signed images whose payloads have 1 to 1,500 bytes. One begins as a gzip file does.
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let private = root().join("keys.example/private.pem");
    let gzip = [&[0x1f, 0x8b][..], &[5; 298]].concat();
    [vec![0xe9], gzip, (0..=255).cycle().take(1500).collect()].iter().map(|it| sign(it, &private)).collect()
});

/// Cuts an image at these sizes, which may be 0. The rest is the last chunk.
fn cut<'a>(mut image: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for size in sizes {
        let (chunk, rest) = image.split_at((*size).min(image.len()));
        chunks.push(chunk);
        image = rest;
    }
    chunks.push(image);
    chunks
}

/// Feeds chunks to a verifier that knows the total, or to one that does not.
fn stream(chunks: &[&[u8]], total: Option<usize>) -> Result<Accepted, Reject> {
    let mut verifier = total.map_or_else(Verifier::<64>::unknown_total, Verifier::with_total);
    chunks.iter().try_for_each(|chunk| verifier.update(chunk))?;
    verifier.finish(&KEYS)
}

/// Sizes that leave the queue empty, partly full and full, in any order.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![0_usize..6, 0_usize..300, 255_usize..265, 0_usize..1200], 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_good_image_is_accepted_in_any_chunks(image in 0_usize..3, sizes in sizes()) {
        let image = &IMAGES[image];
        let verdict = verify(image, &KEYS).unwrap().accepted();
        for total in [Some(image.len()), None] {
            prop_assert_eq!(stream(&cut(image, &sizes), total), Ok(verdict));
        }
    }

    #[test]
    fn a_changed_image_is_rejected_in_any_chunks_for_one_reason(
        image in 0_usize..3, sizes in sizes(), place in any::<prop::sample::Index>(), change in 1_u8..,
    ) {
        let mut image = IMAGES[image].clone();
        let place = place.index(image.len());
        image[place] ^= change;
        let reject = verify(&image, &KEYS).unwrap_err();
        for total in [Some(image.len()), None] {
            prop_assert_eq!(stream(&cut(&image, &sizes), total), Err(reject));
        }
    }

    #[test]
    fn an_image_that_is_cut_is_rejected_in_any_chunks_for_one_reason(
        image in 0_usize..3, sizes in sizes(), len in any::<prop::sample::Index>(),
    ) {
        let image = &IMAGES[image];
        let short = &image[..len.index(image.len())];
        let reject = verify(short, &KEYS).unwrap_err();
        for total in [Some(short.len()), None] {
            prop_assert_eq!(stream(&cut(short, &sizes), total), Err(reject));
        }
        prop_assert_eq!(stream(&cut(short, &sizes), Some(image.len())), Err(Reject::TotalMismatch));
    }

    #[test]
    fn another_total_than_announced_is_rejected_in_any_chunks(
        image in 0_usize..3, sizes in sizes(), total in prop_oneof![0_usize..2000, any::<usize>()],
    ) {
        let image = &IMAGES[image];
        prop_assume!(total != image.len());
        prop_assert_eq!(stream(&cut(image, &sizes), Some(total)), Err(Reject::TotalMismatch));
    }

    /// A current signature must not pass for a legacy signature, wherever the image is cut.
    #[test]
    fn a_current_signature_is_no_legacy_signature_in_any_chunks(image in 0_usize..3, sizes in sizes()) {
        let image = &IMAGES[image];
        let mut verifier = legacy::Verifier::<64>::unknown_total();
        for chunk in cut(image, &sizes) {
            verifier.update(chunk).unwrap();
        }
        prop_assert_eq!(verifier.finish(&KEYS), Err(Reject::SignatureMismatch));
    }
}
