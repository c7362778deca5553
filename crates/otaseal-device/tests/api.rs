//! Tests keys, key sets, storage, legacy signatures and demands.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

mod common;

use common::{key, openssl_with, root, sign};
use otaseal_device::{
    Accepted, KeyError, KeyId, KeySet, Metadata, PublicKey, ReadAt, Reject, Requirements, SELF_TEST_MESSAGE,
    Unmet, VerifyAtError, Version, legacy, verify, verify_at,
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
fn a_key_id_is_the_hash_of_the_public_key_and_prints_as_hex() {
    let public = key::<64>(&root().join("keys.example/public.pem"));
    assert_eq!(public, key(&root().join("keys.example/private.pem")));
    let text = public.key_id().to_string();
    assert_eq!(text.len(), 64);
    assert!(text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{text}");
    assert_eq!(format!("{public:?}"), format!("PublicKey<64>({text})"));
    let id = KeyId(core::array::from_fn(|place| place as u8 * 8));
    let hex = "0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8";
    assert_eq!((id.to_string(), format!("{id:?}")), (hex.to_owned(), format!("KeyId({hex})")));
}

#[test]
fn a_modulus_that_is_not_a_key_is_refused() {
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
fn the_self_test_accepts_only_its_own_signature() {
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

/// Storage that counts the reads of each byte, and fails from an offset on.
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
fn a_legacy_signature_does_not_pass_for_a_current_one_or_the_reverse() {
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

/// Returns the proof that an image was accepted.
fn proof() -> Accepted {
    let keys: KeySet<1> = key::<64>(&root().join("keys.example/public.pem")).into();
    let image = std::fs::read(root().join("fixtures/accept/plain.bin")).unwrap();
    verify(&image, &keys).unwrap().accepted()
}

#[test]
fn demands_are_met_or_the_update_is_refused() {
    let proof = proof();
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
}

/// An empty demand is a demand: an image that states nothing does not meet it.
#[test]
fn an_image_without_metadata_meets_no_demand() {
    assert_eq!((Metadata::name(&()), Metadata::version(&()), Metadata::board(&())), (None, None, None));
    let proof = proof();
    let nothing = Label(None, None, None);
    for text in ["", "x", "xyzzy"] {
        let name = Requirements { name: Some(text), ..Requirements::NONE };
        assert_eq!(name.check(&proof, &()), Err(Unmet::Name));
        assert_eq!(name.check(&proof, &nothing), Err(Unmet::Name));
        let board = Requirements { board: Some(text), ..Requirements::NONE };
        assert_eq!(board.check(&proof, &()), Err(Unmet::Board));
        assert_eq!(board.check(&proof, &nothing), Err(Unmet::Board));
    }
    let oldest = Version { major: 0, minor: 0, patch: 0 };
    let version = Requirements { min_version: Some(oldest), ..Requirements::NONE };
    assert_eq!(version.check(&proof, &()), Err(Unmet::Version));
    assert_eq!(version.check(&proof, &nothing), Err(Unmet::Version));
}

#[test]
fn the_first_demand_that_is_not_met_is_the_answer() {
    let newest = Version { major: u32::MAX, minor: 0, patch: 0 };
    let all = Requirements { name: Some("a"), board: Some("b"), min_version: Some(newest) };
    let check = |demands: Requirements<'_>| demands.check(&proof(), &Label(Some("x"), None, Some("y")));
    assert_eq!(check(all), Err(Unmet::Name));
    assert_eq!(check(Requirements { name: Some("x"), ..all }), Err(Unmet::Board));
    assert_eq!(check(Requirements { name: None, board: Some("y"), ..all }), Err(Unmet::Version));
}
