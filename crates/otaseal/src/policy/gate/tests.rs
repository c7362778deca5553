//! Tests which bytes a permit signs.

use super::*;
use crate::format::gzip::Effort;
use crate::format::layers::unpack;
use crate::format::metadata::{Block, Labels};
use crate::key::{PrivateKey, PublicKey};
use crate::ledger::{Ledger, Origin};
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
fn sign_into_memory(permit: &mut Permit<'_>) -> Result<Vec<u8>, PolicyError> {
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

/// A token, which nobody may ask in a dry run.
struct Token(PublicKey);

impl Signer for Token {
    fn public_key(&self) -> &PublicKey {
        &self.0
    }

    fn sign_digest(&self, _: Scheme, _: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        panic!("a dry run asked the token")
    }
}

#[test]
fn a_stand_in_signs_in_a_dry_run_alone() {
    let token = sign::rehearsing(Box::new(Token(key().public().clone()))).unwrap();
    let judged = firmware(b"a plain image that has no format");
    let signed = |policy: &Policy| {
        let gate = policy.open(Some(&*token)).unwrap();
        let mut permit = gate.judge(Candidate::new(judged.bytes())).unwrap();
        let payload = judged.plain();
        permit.sign_payload(&payload, Scheme::Pkcs1v15Sha256)?;
        sign_into_memory(&mut permit)
    };
    assert!(matches!(signed(&Policy::default()), Err(PolicyError::NoSigner)));
    let dry = Policy { run: crate::output::Run::dry(), ..Policy::default() };
    let image = signed(&dry).unwrap();
    assert!(judge_bytes(&image, key().public(), Scheme::Pkcs1v15Sha256).is_err());
    // A key in memory signs itself.
    let own = sign::rehearsing(Box::new(key())).unwrap();
    assert!(own.stand_in().is_none());
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
    let signed = sign_into_memory(&mut permit).unwrap();
    assert_eq!(signed, crate::testing::signed(&image, &key, Scheme::Pkcs1v15Sha256));
    assert_eq!(unpack(&signed).unwrap().payload_len, image.len());
}

#[test]
fn a_gate_without_a_private_key_judges_and_does_not_sign() {
    let policy = Policy::default();
    let gate = policy.open(None).unwrap();
    let mut permit = gate.judge(Candidate::new(&b"image"[..])).unwrap();
    assert!(matches!(sign_into_memory(&mut permit), Err(PolicyError::NoSigner)));
    let public: PublicKey = key().public().clone();
    let gate = policy.open(Some(&public)).unwrap();
    let mut permit = gate.judge(Candidate::new(&b"image"[..])).unwrap();
    assert!(matches!(sign_into_memory(&mut permit), Err(PolicyError::Sign(SignError::Backend(_)))));
}

/// The key that signed an image must not sign the result again: a device would take the first trailer for a part of it.
#[test]
fn an_image_that_is_signed_already_gets_no_permit() {
    let (key, mut policy) = (key(), Policy::default());
    let signed = crate::testing::signed(b"an image", &key, Scheme::Pkcs1v15Sha256);
    let judge = |policy: &Policy| policy.open(Some(&key)).unwrap().judge(Candidate::new(&signed)).map(drop);
    let refused = judge(&policy);
    assert!(matches!(refused, Err(PolicyError::Sign(SignError::AlreadySigned { signature_len: 256 }))));
    policy.already_signed = AlreadySigned::Allow;
    assert!(judge(&policy).is_ok());
}

#[test]
fn the_gate_names_what_is_wrong_with_a_key_that_may_sign() {
    let (key, policy) = (key(), Policy::default());
    let gate = policy.open(Some(&key)).unwrap();
    assert!(matches!(gate.findings(), [Finding::Published { .. }]), "{:?}", gate.findings());
}

/// A broken ledger is a verdict. A ledger that cannot be read says nothing about what was signed.
#[test]
fn only_a_ledger_that_was_read_gives_a_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ledger.jsonl");
    std::fs::write(&file, "{}\n").unwrap();
    let ledger = |path: &std::path::Path| Some(Ledger::new(path, Origin::default()));
    for (ledger, is_verdict) in [(ledger(&file), true), (ledger(dir.path()), false), (None, false)] {
        let policy = Policy { purpose: Purpose::Release, ledger, ..Policy::default() };
        let error = policy.open(None).map(drop).unwrap_err();
        assert_eq!(error.is_verdict(), is_verdict, "{error}");
    }
}

/// The search may end at the key that signs, but not for somebody who asks for every key.
#[test]
fn every_key_in_the_image_is_reported_on_demand() {
    let (key, policy) = (key(), Policy::default());
    let other = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/keys/other.pem"));
    let other = PrivateKey::from_bytes(other).unwrap();
    let swapped: Vec<u8> = other.public().modulus().iter().rev().copied().collect();
    let pem = key.public().to_spki_pem();
    let image = [&[0; 4096][..], &swapped, &other.public().id().0, &[0; 4096], pem.as_bytes()].concat();
    let gate = policy.open(Some(&key)).unwrap();
    let keys = |candidate| gate.judge(candidate).unwrap().continuity().map(|found| found.keys().len());
    assert_eq!(keys(Candidate::new(&image)), Some(1));
    assert_eq!(keys(Candidate::new(&image).with_every_key()), Some(2));
}

/// A gzip around bytes that do not compress, with this comment in its header.
fn gzip_with_comment(content: &[u8], comment: &[u8]) -> Vec<u8> {
    const FCOMMENT: u8 = 1 << 4;
    let mut gzip = gzip::gzip(content, Effort::Fast).unwrap();
    gzip[3] |= FCOMMENT;
    gzip.splice(10..10, [comment, &[0]].concat());
    gzip
}

#[test]
fn the_permit_names_the_firmware_plain_and_packed() {
    let (key, policy) = (key(), Policy::default());
    let gate = policy.open(Some(&key)).unwrap();
    let image =
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/plain/demo-firmware.bin"));
    for bytes in [image.to_vec(), gzip::gzip(image, Effort::Fast).unwrap()] {
        let permit = gate.judge(Candidate::new(bytes)).unwrap();
        let name = permit.tokens().name.as_ref().map(|token| token.value.to_string());
        assert_eq!(name.as_deref(), Some("demo-firmware"));
    }
}

/// The header of a gzip goes to the devices too.
#[test]
fn a_private_key_in_the_comment_of_a_gzip_is_refused() {
    let policy = Policy::default();
    let gate = policy.open(None).unwrap();
    let secret = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../keys.example/private.pem"));
    for (comment, refused) in [(&secret[..], true), (b"made by hand", false)] {
        let permit = gate.judge(Candidate::new(gzip_with_comment(b"an image", comment))).map(drop);
        let is_refused = matches!(
            permit,
            Err(PolicyError::Continuity(ContinuityError::PrivateKey(private))) if private.offset == 10
        );
        assert_eq!(is_refused, refused, "{permit:?}");
    }
}

#[test]
fn some_cores_refuse_a_gzip_that_may_be_signed() {
    let policy = Policy::default();
    let gate = policy.open(None).unwrap();
    for (comment, remainder) in [(&b""[..], 1), (b"ab", 3), (b"abc", 0)] {
        let permit = gate.judge(Candidate::new(gzip_with_comment(b"an image", comment))).unwrap();
        let unaligned = gzip_lint::GzipFinding::Unaligned { remainder };
        assert_eq!(permit.gzip_finding(), Some(&unaligned).filter(|_| remainder != 0));
    }
}

/// A user who names the devices wants to know about those devices alone.
#[test]
fn findings_about_an_image_are_for_devices_that_nobody_named() {
    let odd = [&crate::testing::esp_image()[..], b"AB"].concat();
    for (profiles, finding) in [
        (vec![], Some(ImageFinding::Unaligned { remainder: 2 })),
        (vec!["esp8266@3.1.2".parse().unwrap()], None),
    ] {
        let mut policy = Policy::default();
        policy.continuity.without_key = WithoutKey::Allow;
        policy.devices.profiles = profiles;
        let gate = policy.open(None).unwrap();
        let permit = gate.judge(Candidate::new(&odd)).unwrap();
        assert_eq!(permit.image_findings(), finding.as_slice());
    }
}

/// otaseal cannot look for keys in these. A release whose keys nobody saw may switch signature checks off.
#[test]
fn a_release_is_not_made_of_bytes_that_cannot_be_searched() {
    let mut policy = Policy::default();
    let judge = |policy: &Policy, candidate| policy.open(None).unwrap().judge(candidate).map(drop);
    for (rule, is_refused) in [(WithoutKey::Refuse, true), (WithoutKey::Allow, false)] {
        policy.continuity.without_key = rule;
        let large = judge(&policy, Candidate::read(stream()).unwrap());
        // A boot loader would not inflate it either, but that is not what the first check says.
        let damaged = judge(&policy, Candidate::new(&b"\x1f\x8b\x08 no gzip"[..]));
        for judged in [large, damaged] {
            let found = matches!(&judged, Err(PolicyError::Continuity(ContinuityError::NoKey { .. })));
            assert_eq!(found, is_refused, "{judged:?}");
        }
    }
}

#[test]
fn the_largest_image_is_still_searched() {
    let policy = Policy::default();
    let gate = policy.open(None).unwrap();
    let mut largest = stream();
    largest.get_mut().truncate(MAX_IMAGE);
    let permit = gate.judge(Candidate::read(largest).unwrap()).unwrap();
    assert!(permit.payload().is_some() && permit.continuity().is_some());
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
    assert_eq!(sign_into_memory(&mut permit).unwrap().len(), MAX_IMAGE + 1 + 260);

    let mut other = policy.clone();
    other.expect.sha256 = Some(sha256(b"another"));
    let gate = other.open(Some(&key)).unwrap();
    let mut permit = gate.judge(Candidate::read(stream()).unwrap()).unwrap();
    let refused = sign_into_memory(&mut permit);
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
    // The start of flash that is erased is not all of the file.
    for other in [&b""[..], b"\x1f", b"\x8b\x1f", &[0xFF; 100_000]] {
        assert!(judge(other).is_ok(), "{other:x?}");
    }
    // More of a gzip is read than of any other file: the fault is behind its end, and not that it is cut off.
    let content: Vec<u8> = (0..3000u32).flat_map(|at| sha256(&at.to_le_bytes()).0).collect();
    let long = gzip::gzip(&content, Effort::Fast).unwrap();
    assert!(long.len() > 64 << 10, "{}", long.len());
    let behind = judge(&long);
    assert!(
        matches!(&behind, Err(PolicyError::Gzip(gzip_lint::GzipFinding::TrailingBytes { .. }))),
        "{behind:?}"
    );
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
        sign_into_memory(&mut permit)
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

/// A device refuses by itself the signature that is for another core. It does not refuse to brick itself.
#[test]
fn one_of_two_signed_images_may_be_for_other_devices() {
    let (key, image) = (key(), crate::testing::esp_image());
    let packed = gzip::gzip(&image, Effort::Fast).unwrap();
    let with = |profile: &str, chip: u32, bytes: &[u8]| {
        let mut policy = Policy::default();
        policy.devices.profiles = vec![profile.parse().unwrap()];
        policy.devices.flash_bytes = Some(chip);
        policy.continuity.without_key = WithoutKey::Allow;
        let gate = policy.open(Some(&key)).unwrap();
        let mut permit = gate.judge(Candidate::new(bytes)).unwrap();
        let mut files = [Cursor::new(Vec::new()), Cursor::new(Vec::new())];
        let [legacy, standard] = &mut files;
        let mut outputs = [
            Output { scheme: Scheme::Legacy, name: "legacy".into(), file: legacy },
            Output { scheme: Scheme::Pkcs1v15Sha256, name: "standard".into(), file: standard },
        ];
        match permit.sign("in", &mut outputs) {
            Ok(signed) => Ok(signed.signed.output_sha256.len()),
            Err(PolicyError::NoDevice { reasons }) => Err(reasons.len()),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(with("esp8266@3.1.2", 4 << 20, &image), Ok(2));
    assert_eq!(with("homie-mqtt", 4 << 20, &packed), Err(2), "it refuses both by itself");
    assert_eq!(with("esp8266@3.1.2", 1 << 20, &packed), Err(1), "the second one is its last update");
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
