//! Tests which bytes a permit signs.

use super::*;
use crate::format::gzip::Effort;
use crate::format::layers::unpack;
use crate::format::metadata::{Block, Labels};
use crate::key::{PrivateKey, PublicKey};
use crate::package::firmware::Firmware;
use crate::sign::verify::judge_bytes;
use std::io::Cursor;

fn key() -> PrivateKey {
    PrivateKey::from_bytes(include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../keys.example/private.pem"
    )))
    .unwrap()
}

fn firmware(bytes: &[u8]) -> Firmware {
    Firmware::from_bytes("fw.bin", bytes.to_vec(), 0).unwrap()
}

/// Signs what the gate judged into one file in memory.
fn sign(permit: &mut Permit<'_>) -> Result<Vec<u8>, PolicyError> {
    let mut file = Cursor::new(Vec::new());
    let output = Output { scheme: Scheme::Pkcs1v15Sha256, name: "out".into(), file: &mut file };
    permit.sign("in", &mut [output])?;
    Ok(file.into_inner())
}

#[test]
fn a_payload_with_the_judged_image_is_signed_in_each_of_its_forms() {
    let (key, policy) = (key(), Policy::default());
    let gate = policy.open(Some(&key)).unwrap();
    let firmware = firmware(b"a plain image that has no format");
    let permit = gate.judge(Candidate::new(firmware.bytes())).unwrap();
    let block = Block::of(firmware.bytes(), permit.tokens(), key.public().id(), &Labels::default());
    for payload in [
        firmware.plain(),
        firmware.labelled(&block),
        firmware.gzip(Effort::Fast).unwrap(),
        firmware.gzip_labelled(Effort::Fast, &block).unwrap(),
    ] {
        let signed = permit.sign_payload(&payload, Scheme::Pkcs1v15Sha256).unwrap().parts().concat();
        let accepted = judge_bytes(&signed, key.public(), Scheme::Pkcs1v15Sha256).unwrap();
        assert_eq!(accepted.payload_len, payload.bytes().len());
    }
}

#[test]
fn a_payload_with_another_image_is_not_signed() {
    let (key, policy) = (key(), Policy::default());
    let gate = policy.open(Some(&key)).unwrap();
    let judged = firmware(b"a plain image that has no format");
    let permit = gate.judge(Candidate::new(judged.bytes())).unwrap();
    for other in
        [&b"a plain image that has no formaT"[..], b"a plain image that has no format.", b"a plain image"]
    {
        let other = firmware(other);
        let block = Block::of(other.bytes(), permit.tokens(), key.public().id(), &Labels::default());
        for payload in [other.plain(), other.gzip(Effort::Fast).unwrap(), other.labelled(&block)] {
            let refused = permit.sign_payload(&payload, Scheme::Pkcs1v15Sha256);
            assert!(matches!(refused, Err(PolicyError::OtherPayload)));
        }
    }
    let broken = Payload::new(Cow::Borrowed(b"\x1f\x8b\x08 no gzip"), Encoding::Gzip);
    let refused = permit.sign_payload(&broken, Scheme::Pkcs1v15Sha256);
    assert!(matches!(refused, Err(PolicyError::OtherPayload)));
}

#[test]
fn the_bytes_that_were_judged_are_the_bytes_that_are_signed() {
    let (key, policy) = (key(), Policy::default());
    let gate = policy.open(Some(&key)).unwrap();
    let image = b"an image in a file".to_vec();
    let mut permit = gate.judge(Candidate::read(Cursor::new(&image)).unwrap()).unwrap();
    assert_eq!(permit.payload(), Some(&image[..]));
    let signed = sign(&mut permit).unwrap();
    assert_eq!(signed, crate::testing::signed(&image, &key, Scheme::Pkcs1v15Sha256));
    assert_eq!(unpack(&signed).unwrap().payload_len, image.len());
}

#[test]
fn a_gate_without_a_private_key_judges_and_does_not_sign() {
    let policy = Policy::default();
    let gate = policy.open(None).unwrap();
    let mut permit = gate.judge(Candidate::new(&b"image"[..])).unwrap();
    assert!(matches!(sign(&mut permit), Err(PolicyError::NoSigner)));
    let public: PublicKey = key().public().clone();
    let gate = policy.open(Some(&public)).unwrap();
    let mut permit = gate.judge(Candidate::new(&b"image"[..])).unwrap();
    assert!(matches!(sign(&mut permit), Err(PolicyError::Sign(SignError::Backend(_)))));
}

/// One byte more than any firmware has.
fn stream() -> Cursor<Vec<u8>> {
    Cursor::new(vec![0x5A; MAX_IMAGE + 1])
}

#[test]
fn a_stream_that_begins_as_no_image_does_is_refused() {
    let (key, policy) = (key(), Policy::default());
    let gate = policy.open(Some(&key)).unwrap();
    for start in [&b"\x7fELF\x01\x01\x01"[..], b"PK\x03\x04", b"<!DOCTYPE html>", b":00000001FF\n"] {
        let mut stream = stream();
        stream.get_mut()[..start.len()].copy_from_slice(start);
        let refused = gate.judge(Candidate::read(stream).unwrap()).map(drop);
        assert!(matches!(refused, Err(PolicyError::Guard(GuardError::NotAnImage { .. }))), "{refused:?}");
    }
}

#[test]
fn nothing_can_be_expected_of_a_stream_but_its_digest() {
    let key = key();
    let mut policy = Policy::default();
    let digest = sha256(stream().get_ref());
    policy.expect.sha256 = Some(digest);
    let gate = policy.open(Some(&key)).unwrap();
    let mut permit = gate.judge(Candidate::read(stream()).unwrap()).unwrap();
    assert!(permit.payload().is_none() && permit.continuity().is_none());
    assert_eq!(sign(&mut permit).unwrap().len(), MAX_IMAGE + 1 + 260);

    let mut other = policy.clone();
    other.expect.sha256 = Some(sha256(b"another"));
    let gate = other.open(Some(&key)).unwrap();
    let mut permit = gate.judge(Candidate::read(stream()).unwrap()).unwrap();
    let refused = sign(&mut permit);
    assert!(matches!(refused, Err(PolicyError::Guard(GuardError::OtherBuild { .. }))));

    let mut with_mode = policy.clone();
    with_mode.expect.flash_mode = Some(crate::format::image::esp8266::FlashMode::Dio);
    let gate = with_mode.open(Some(&key)).unwrap();
    let refused = gate.judge(Candidate::read(stream()).unwrap()).map(drop);
    assert!(matches!(refused, Err(PolicyError::Guard(GuardError::NoFlashMode))));
}

/// A boot loader reads the start of a file, however long the file is.
#[test]
fn a_gzip_that_bricks_is_refused_in_a_stream_too() {
    let policy = Policy::default();
    let gate = policy.open(None).unwrap();
    let judge = |start: &[u8]| {
        let mut stream = stream();
        stream.get_mut()[..start.len()].copy_from_slice(start);
        gate.judge(Candidate::read(stream).unwrap()).map(drop)
    };
    let whole = firmware(b"a plain image that has no format").gzip(Effort::Fast).unwrap();
    for bricks in [whole.bytes(), b"\x1f\x8b\x08 no gzip", b"\x1f\x8b"] {
        assert!(matches!(judge(bricks), Err(PolicyError::Gzip(_))), "{bricks:x?}");
    }
    for other in [&b""[..], b"\x1f", b"\x8b\x1f"] {
        assert!(judge(other).is_ok(), "{other:x?}");
    }
}

#[test]
fn the_digest_of_the_build_counts_where_the_image_was_taken_out_of_one() {
    let key = key();
    let mut policy = Policy::default();
    policy.expect.sha256 = Some(sha256(b"the ELF"));
    let gate = policy.open(Some(&key)).unwrap();
    let image = || Candidate::new(&b"the image"[..]);
    assert!(gate.judge(image().of_build(sha256(b"the ELF"))).is_ok());
    for other in [image(), image().of_build(sha256(b"another ELF"))] {
        assert!(matches!(
            gate.judge(other).map(drop),
            Err(PolicyError::Guard(GuardError::OtherBuild { .. }))
        ));
    }
}

#[test]
fn an_image_that_harms_the_named_devices_is_not_signed() {
    let key = key();
    let image = crate::testing::esp_image();
    let packed = crate::format::gzip::gzip(&image, Effort::Fast).unwrap();
    let with = |profiles: &[&str], chip: u32, bytes: &[u8]| {
        let mut policy = Policy::default();
        policy.devices.profiles = profiles.iter().map(|profile| profile.parse().unwrap()).collect();
        policy.devices.flash_bytes = Some(chip);
        policy.continuity.without_key = WithoutKey::Allow;
        let gate = policy.open(Some(&key)).unwrap();
        let mut permit = gate.judge(Candidate::new(bytes)).unwrap();
        sign(&mut permit)
    };
    let refused = |result: Result<Vec<u8>, PolicyError>| match result {
        Err(PolicyError::NoDevice { reasons }) => reasons.join("; "),
        other => panic!("{other:?}"),
    };
    assert!(with(&["esp8266@3.1.2"], 4 << 20, &packed).is_ok());
    assert!(refused(with(&["esp8266@3.1.2"], 1 << 20, &packed)).contains("last update"));
    assert!(refused(with(&["esp8266@2.7.4"], 4 << 20, &packed)).contains("bricks"));
    assert!(refused(with(&["homie-mqtt"], 4 << 20, &packed)).contains("400 BAD_FIRMWARE"));
    // One that accepts is enough.
    assert!(with(&["esp8266@2.7.4", "esp8266@3.1.2"], 4 << 20, &packed).is_ok());
    assert!(with(&["esp8266@2.7.4", "homie-mqtt"], 4 << 20, &image).is_ok());
    assert!(with(&[], 1 << 20, &packed).is_ok(), "no device is named");
}

#[test]
fn an_image_for_another_board_gets_no_permit_plain_or_packed() {
    let (key, mut policy) = (key(), Policy::default());
    let image = crate::testing::pico_image(Some("pico_w"));
    let packed = gzip::gzip(&image, Effort::Fast).unwrap();
    for (board, refused) in [("pico2", true), ("pico", true), ("pico-w", false), ("lamp-2", false)] {
        policy.expect.board = board.parse().ok();
        let gate = policy.open(Some(&key)).unwrap();
        for bytes in [&image, &packed] {
            let permit = gate.judge(Candidate::new(&bytes[..]));
            let is_refused = matches!(permit, Err(PolicyError::Guard(GuardError::OtherBoard { .. })));
            assert_eq!(is_refused, refused, "{board}: {:?}", permit.err());
        }
    }
}
