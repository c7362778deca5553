//! Tests signing in a stream: its input, its output, and its refusals.

use super::*;
use crate::key::KeySize;
use crate::key::{PrivateKey, PublicKey};
use crate::testing::openssl;
use otaseal_device::layout::length_field;
use std::fs;
use std::io::Cursor;

fn key() -> PrivateKey {
    PrivateKey::from_bytes(include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../keys.example/private.pem"
    )))
    .unwrap()
}

fn output(scheme: Scheme, file: &mut dyn ReadWriteSeek) -> Output<'_> {
    Output { scheme, name: "out".into(), file }
}

fn stream(
    input: &mut dyn Read,
    outputs: &mut [Output<'_>],
    key: &dyn Signer,
    rule: AlreadySigned,
) -> Result<Signed, SignError> {
    sign_stream(input, outputs, key, |tail, total, _| check_input(tail, total, rule))
}

/// Signs from memory and as a stream. Both give the same bytes.
fn sign(input: &[u8], scheme: Scheme, rule: AlreadySigned) -> Result<Vec<u8>, SignError> {
    let (mut target, mut streamed) = (Cursor::new(Vec::new()), Cursor::new(Vec::new()));
    let tail = &input[input.len().saturating_sub(layout::LENGTH_FIELD_LEN)..];
    let signed = check_input(tail, input.len() as u64, rule)
        .and_then(|()| sign_bytes(input, &mut [output(scheme, &mut target)], &key()));
    let stream = stream(&mut &input[..], &mut [output(scheme, &mut streamed)], &key(), rule);
    assert_eq!(format!("{signed:?}"), format!("{stream:?}"));
    signed?;
    assert!(target.get_ref() == streamed.get_ref());
    Ok(target.into_inner())
}

#[test]
fn both_forms_are_openssls_bytes_for_every_size_and_either_sides_key() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let payload: Vec<u8> = (0..70_001u32).map(|index| (index.wrapping_mul(index) >> 7) as u8).collect();
    fs::write(dir.join("in"), &payload).unwrap();
    openssl(dir, "dgst -sha256 -binary -out digest in");
    for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
        openssl(
            dir,
            &format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{} -out theirs.pem", size.bits()),
        );
        let ours = PrivateKey::generate(size).unwrap();
        fs::write(dir.join("ours.pem"), ours.to_pkcs8_pem().unwrap()).unwrap();
        for name in ["ours.pem", "theirs.pem"] {
            let key = PrivateKey::from_bytes(&fs::read(dir.join(name)).unwrap()).unwrap();
            let (mut current, mut legacy) = (Cursor::new(Vec::new()), Cursor::new(Vec::new()));
            let targets =
                &mut [output(Scheme::Pkcs1v15Sha256, &mut current), output(Scheme::Legacy, &mut legacy)];
            stream(&mut &payload[..], targets, &key, AlreadySigned::Refuse).unwrap();
            openssl(dir, &format!("dgst -sha256 -sign {name} -out sig in"));
            let expected = |signature: Vec<u8>| {
                [&payload[..], &signature, &(size.bytes() as u32).to_le_bytes()].concat()
            };
            assert!(current.into_inner() == expected(fs::read(dir.join("sig")).unwrap()), "{name} {size:?}");
            openssl(
                dir,
                &format!("pkeyutl -sign -inkey {name} -pkeyopt rsa_padding_mode:pkcs1 -in digest -out sig"),
            );
            assert!(
                legacy.into_inner() == expected(fs::read(dir.join("sig")).unwrap()),
                "legacy {name} {size:?}"
            );
        }
    }
}

#[test]
fn what_looks_signed_is_refused_unless_the_user_insists() {
    for length in [256, 384, 512] {
        let mut input = vec![7; length + 5];
        input.extend_from_slice(&length_field(length));
        let error = sign(&input, Scheme::Pkcs1v15Sha256, AlreadySigned::Refuse).unwrap_err();
        assert!(matches!(error, SignError::AlreadySigned { signature_len } if signature_len == length));
        assert!(sign(&input, Scheme::Pkcs1v15Sha256, AlreadySigned::Allow).is_ok());
        // The image is too short for the signature that its length field announces.
        assert!(sign(&input[6..], Scheme::Pkcs1v15Sha256, AlreadySigned::Refuse).is_ok());
    }
    let once = sign(b"image", Scheme::Pkcs1v15Sha256, AlreadySigned::Refuse).unwrap();
    assert!(sign(&once, Scheme::Pkcs1v15Sha256, AlreadySigned::Refuse).is_err());
    let legacy = sign(b"image", Scheme::Legacy, AlreadySigned::Refuse).unwrap();
    assert!(sign(&legacy, Scheme::Pkcs1v15Sha256, AlreadySigned::Refuse).is_err());
}

#[test]
fn nothing_is_not_signed() {
    assert!(matches!(sign(b"", Scheme::Pkcs1v15Sha256, AlreadySigned::Allow), Err(SignError::Empty)));
}

/// Gives `limit` bytes, one at a time, then fails.
struct Broken(usize);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::ConnectionReset)?;
        buffer[0] = 0x5A;
        Ok(1)
    }
}

#[test]
fn an_input_that_breaks_off_is_not_signed() {
    let mut target = Cursor::new(Vec::new());
    let result = stream(
        &mut Broken(300),
        &mut [output(Scheme::Pkcs1v15Sha256, &mut target)],
        &key(),
        AlreadySigned::Refuse,
    );
    assert!(matches!(result, Err(SignError::Read(_))));
    assert_eq!(target.into_inner().len(), 300, "no signature follows what was read");
}

/// A disk that loses the bytes after a point, or changes one byte, and reports no error.
struct BadDisk(Cursor<Vec<u8>>, fn(&mut Vec<u8>));

impl Write for BadDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (self.1)(self.0.get_mut());
        Ok(())
    }
}

impl Read for BadDisk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for BadDisk {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}

#[test]
fn what_the_disk_changed_is_found_before_the_file_gets_its_name() {
    let faults: [fn(&mut Vec<u8>); 7] = [
        |bytes| bytes[0] ^= 0x10,
        |bytes| bytes[4999] ^= 0x10,
        |bytes| bytes[5000] ^= 0x10,
        |bytes| bytes[1000] ^= 0x10,
        |bytes| bytes.truncate(1000),
        |bytes| drop(bytes.drain(10..20)),
        |bytes| bytes.push(0),
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        let mut target = BadDisk(Cursor::new(Vec::new()), fault);
        let input = vec![0xA5; 5000];
        let targets = &mut [output(Scheme::Pkcs1v15Sha256, &mut target)];
        let result = stream(&mut &input[..], targets, &key(), AlreadySigned::Refuse);
        assert!(matches!(result, Err(SignError::NotAsWritten)), "fault {index}: {result:?}");

        let mut target = BadDisk(Cursor::new(Vec::new()), fault);
        let targets = &mut [output(Scheme::Pkcs1v15Sha256, &mut target)];
        let result = sign_bytes(&input, targets, &key());
        assert!(matches!(result, Err(SignError::NotAsWritten)), "fault {index}: {result:?}");
    }
}

/// A signer that changes one bit of the signature.
struct WrongSigner(PrivateKey);

impl Signer for WrongSigner {
    fn public_key(&self) -> &PublicKey {
        self.0.public()
    }

    fn sign_digest(&self, scheme: Scheme, digest: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        let mut signature = self.0.sign_digest(scheme, digest)?;
        signature[200] ^= 4;
        Ok(signature)
    }
}

#[test]
fn a_signature_that_is_not_good_is_found_before_the_file_gets_its_name() {
    let signer = WrongSigner(key());
    for scheme in [Scheme::Pkcs1v15Sha256, Scheme::Legacy] {
        let mut target = Cursor::new(Vec::new());
        let result = sign_bytes(b"image", &mut [output(scheme, &mut target)], &signer);
        assert!(matches!(result, Err(SignError::Mismatch(_))), "{result:?}");
        let result =
            stream(&mut &b"image"[..], &mut [output(scheme, &mut target)], &signer, AlreadySigned::Refuse);
        assert!(matches!(result, Err(SignError::Mismatch(_))), "{result:?}");
    }
}

#[test]
fn what_is_read_back_is_compared_to_its_end() {
    let parts = [&b"payload"[..], b"trailer"];
    assert!(holds(&mut &b"payloadtrailer"[..], parts).unwrap());
    for other in
        ["", "payload", "payloadtraile", "payloadtrailers", "payloadTrailer", "paYloadtrailer", "trailer"]
    {
        assert!(!holds(&mut other.as_bytes(), parts).unwrap(), "{other}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_signer_joins_the_verifier_splits(payload in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..2000)) {
        let image = sign(&payload, Scheme::Pkcs1v15Sha256, AlreadySigned::Allow).unwrap();
        let (found, signature) = layout::split(&image, 256).unwrap();
        proptest::prop_assert_eq!(found, &payload[..]);
        proptest::prop_assert_eq!(signature.len(), 256);
        let accepted = verify::judge_bytes(&image, key().public(), Scheme::Pkcs1v15Sha256).unwrap();
        proptest::prop_assert_eq!(accepted.payload_len, payload.len());
        proptest::prop_assert_eq!(accepted.key_id, key().public().id());
        // otaseal never mixes up the two schemes.
        proptest::prop_assert!(verify::judge_bytes(&image, key().public(), Scheme::Legacy).is_err());
    }

    #[test]
    fn no_other_bytes_are_accepted(
        payload in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..300),
        edit in 0..3u8,
        at in proptest::prelude::any::<proptest::sample::Index>(),
        byte in 1..=255u8,
    ) {
        let mut image = sign(&payload, Scheme::Pkcs1v15Sha256, AlreadySigned::Allow).unwrap();
        let at = at.index(image.len());
        match edit {
            0 => image[at] ^= byte,
            1 => image.insert(at, byte),
            _ => drop(image.remove(at)),
        }
        let original = sign(&payload, Scheme::Pkcs1v15Sha256, AlreadySigned::Allow).unwrap();
        proptest::prop_assume!(image != original);
        proptest::prop_assert!(verify::judge_bytes(&image, key().public(), Scheme::Pkcs1v15Sha256).is_err());
    }
}
