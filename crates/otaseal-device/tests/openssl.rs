//! The verifier accepts images that OpenSSL signed, in one piece and in chunks.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{key, root, sign};
use otaseal_device::{KeySet, PayloadKind, Reject, Verifier, verify};

#[test]
fn an_image_signed_by_openssl_is_accepted() {
    let private = root().join("keys.example/private.pem");
    let keys: KeySet<1> = key::<64>(&private).into();
    for (payload, kind) in [
        (&b"\xe9\x01"[..], PayloadKind::EspImage),
        (&b"\x1f\x8b\x08"[..], PayloadKind::Gzip),
        (&b"\x1f"[..], PayloadKind::Other),
        (&[7; 1000][..], PayloadKind::Other),
    ] {
        let image = sign(payload, &private);
        let verdict = verify(&image, &keys).unwrap();
        assert_eq!(verdict.bytes(), payload);
        assert_eq!(verdict.accepted().kind, kind);
        for chunk in [1, 2, 3, 5, 64, 255, 256, 259, 260, 261, 300, 5000] {
            for mut verifier in [Verifier::<64>::with_total(image.len()), Verifier::unknown_total()] {
                image.chunks(chunk).for_each(|chunk| verifier.update(chunk).unwrap());
                assert_eq!(verifier.finish(&keys), Ok(verdict.accepted()), "chunks of {chunk}");
            }
        }
        let mut other = image.clone();
        *other.first_mut().unwrap() ^= 1;
        assert_eq!(verify(&other, &keys), Err(Reject::SignatureMismatch));
    }
}
