//! Keys, key sets, reading from storage, demands.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

mod common;

use common::{key, openssl_with, root, sign};
use otaseal_device::{
    KeyError, KeyId, KeySet, Metadata, PublicKey, ReadAt, Reject, Requirements, SELF_TEST_MESSAGE, Unmet,
    VerifyAtError, Version, legacy, verify, verify_at,
};

#[test]
fn any_key_of_a_set_accepts_and_the_verdict_names_it() {
    let (example, next) = (root().join("keys.example/private.pem"), root().join("fixtures/keys/next.pem"));
    let other = root().join("fixtures/keys/other.pem");
    let keys = KeySet::new([key::<64>(&example), key(&next)]);
    for (pem, place) in [(&example, 0), (&next, 1)] {
        let image = sign(b"payload", pem);
        assert_eq!(verify(&image, &keys).unwrap().accepted().key_id, keys.keys()[place].key_id());
    }
    assert_eq!(verify(&sign(b"payload", &other), &keys), Err(Reject::SignatureMismatch));
    let one = KeySet::from(key::<64>(&next));
    assert_eq!(verify(&sign(b"payload", &example), &one), Err(Reject::SignatureMismatch));
}

#[test]
fn a_key_id_is_the_fingerprint_and_prints_as_hex() {
    let public = key::<64>(&root().join("keys.example/public.pem"));
    assert_eq!(public, key(&root().join("keys.example/private.pem")));
    let text = public.key_id().to_string();
    assert_eq!(text.len(), 64);
    assert!(text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{text}");
    assert_eq!(format!("{public:?}"), format!("PublicKey<64>({text})"));
}

#[test]
fn a_modulus_that_is_no_key_is_refused() {
    let id = KeyId([0; 32]);
    let mut odd = [1; 64];
    odd[63] = 1 << 31;
    assert!(PublicKey::try_new(odd, id).is_ok());
    assert_eq!(PublicKey::try_new([1; 64], id), Err(KeyError::TopBitClear));
    assert_eq!(PublicKey::try_new([u32::MAX - 1; 64], id), Err(KeyError::Even));
    assert_eq!(PublicKey::try_new([u32::MAX; 32], id), Err(KeyError::Size));
    assert_eq!(PublicKey::try_new([u32::MAX; 65], id), Err(KeyError::Size));
    assert_eq!(PublicKey::try_new([], id), Err(KeyError::Size));
}

#[test]
fn the_self_test_passes_with_its_vector_only() {
    let private = root().join("keys.example/private.pem");
    let public = key::<64>(&private);
    let mut vector =
        openssl_with(&["dgst", "-sha256", "-sign", private.to_str().unwrap()], SELF_TEST_MESSAGE);
    assert_eq!(public.self_test(&vector), Ok(()));
    assert_eq!(public.self_test(&vector[1..]), Err(Reject::NoSignature));
    vector[200] ^= 1;
    assert_eq!(public.self_test(&vector), Err(Reject::SignatureMismatch));
    assert_eq!(public.self_test(&[0xff; 256]), Err(Reject::SignatureRange));
}

/// Storage that counts how often each byte is read and fails from some offset on.
struct Flash {
    bytes: Vec<u8>,
    reads: Vec<u32>,
    broken_from: usize,
}

impl ReadAt for Flash {
    type Error = &'static str;

    fn read_at(&mut self, offset: usize, buffer: &mut [u8]) -> Result<(), Self::Error> {
        let end = offset + buffer.len();
        if end > self.broken_from {
            return Err("flash is broken");
        }
        buffer.copy_from_slice(self.bytes.get(offset..end).ok_or("beyond the end")?);
        self.reads[offset..end].iter_mut().for_each(|count| *count += 1);
        Ok(())
    }
}

#[test]
fn storage_is_read_exactly_once() {
    let private = root().join("keys.example/private.pem");
    let keys: KeySet<1> = key::<64>(&private).into();
    for len in [1, 127, 128, 1000, 5000] {
        let bytes = sign(&vec![7; len], &private);
        let total = bytes.len();
        let mut flash = Flash { reads: vec![0; total], bytes, broken_from: usize::MAX };
        assert_eq!(verify_at(&mut flash, total, &keys).unwrap().payload_len, len);
        assert!(flash.reads.iter().all(|&count| count == 1), "{len}");
        assert_eq!(verify_at(&mut flash, total - 1, &keys), Err(Reject::LengthField.into()));
        assert_eq!(verify_at(&mut flash, total + 1, &keys), Err(VerifyAtError::Read("beyond the end")));
        flash.broken_from = total - 1;
        assert_eq!(verify_at(&mut flash, total, &keys), Err(VerifyAtError::Read("flash is broken")));
    }
    let mut nothing = Flash { bytes: Vec::new(), reads: Vec::new(), broken_from: 0 };
    assert_eq!(verify_at(&mut nothing, 0, &keys), Err(Reject::NoTrailer.into()));
}

#[test]
fn the_two_forms_do_not_pass_for_each_other() {
    let keys: KeySet<1> = key::<64>(&root().join("keys.example/public.pem")).into();
    let fixture = |name: &str| std::fs::read(root().join("fixtures/accept").join(name)).unwrap();
    assert!(verify(&fixture("plain.bin"), &keys).is_ok());
    assert!(legacy::verify(&fixture("plain.legacy.bin"), &keys).is_ok());
    assert_eq!(verify(&fixture("plain.legacy.bin"), &keys), Err(Reject::SignatureMismatch));
    assert_eq!(legacy::verify(&fixture("plain.bin"), &keys), Err(Reject::SignatureMismatch));
}

struct Label(Option<&'static str>, Option<Version>, Option<&'static str>);

impl Metadata for Label {
    fn name(&self) -> Option<&str> {
        self.0
    }
    fn version(&self) -> Option<Version> {
        self.1
    }
    fn board(&self) -> Option<&str> {
        self.2
    }
}

#[test]
fn demands_are_met_or_the_update_is_refused() {
    let keys: KeySet<1> = key::<64>(&root().join("keys.example/public.pem")).into();
    let image = std::fs::read(root().join("fixtures/accept/plain.bin")).unwrap();
    let proof = verify(&image, &keys).unwrap().accepted();
    let version = |major, minor, patch| Version { major, minor, patch };
    let label = Label(Some("lamp"), Some(version(1, 10, 0)), Some("d1-mini"));
    let check = |demands: Requirements<'_>| demands.check(&proof, &label);

    assert_eq!(Requirements::NONE.check(&proof, &()), Ok(()));
    assert_eq!(check(Requirements { name: Some("lamp"), ..Requirements::NONE }), Ok(()));
    assert_eq!(check(Requirements { name: Some("Lamp"), ..Requirements::NONE }), Err(Unmet::Name));
    assert_eq!(check(Requirements { board: Some("d1-mini"), ..Requirements::NONE }), Ok(()));
    assert_eq!(check(Requirements { board: Some("d1"), ..Requirements::NONE }), Err(Unmet::Board));
    for (least, met) in [
        (version(1, 10, 0), true),
        (version(1, 9, 99), true),
        (version(0, 99, 99), true),
        (version(1, 10, 1), false),
        (version(2, 0, 0), false),
    ] {
        let demands = Requirements { min_version: Some(least), ..Requirements::NONE };
        assert_eq!(check(demands).is_ok(), met, "{least:?}");
        assert_eq!(demands.check(&proof, &()), Err(Unmet::Version));
    }
    assert_eq!(Requirements { name: Some("x"), ..Requirements::NONE }.check(&proof, &()), Err(Unmet::Name));
    assert_eq!(Requirements { board: Some("x"), ..Requirements::NONE }.check(&proof, &()), Err(Unmet::Board));
    for unmet in [Unmet::Name, Unmet::Board, Unmet::Version] {
        assert!(Reject::ALL.iter().all(|reject| reject.code() != unmet.code()));
    }
}
