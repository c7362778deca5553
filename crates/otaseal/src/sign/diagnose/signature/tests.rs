//! Tests signatures that OpenSSL makes with wrong options.

use super::*;
use crate::format::digest::sha256;
use crate::key::PrivateKey;
use crate::project::advice::{Advice, Speaker};
use crate::testing::{has_tool, openssl};
use std::fs;
use std::path::Path;

const MESSAGE: &[u8] = b"the payload of an image";

struct Bench {
    dir: tempfile::TempDir,
    key: PublicKey,
    digest: Sha256Digest,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        openssl(dir.path(), "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key");
        let key = PrivateKey::from_bytes(&fs::read(dir.path().join("key")).unwrap()).unwrap();
        let digest = sha256(MESSAGE);
        let hexadecimal = digest.to_string();
        for (name, bytes) in [
            ("message", MESSAGE),
            ("digest", &digest.0),
            ("info", &digest_info(&digest)),
            ("hex", hexadecimal.as_bytes()),
            ("other", b"another payload"),
        ] {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        Self { key: key.public().clone(), dir, digest }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn made(&self, words: &str) -> Vec<u8> {
        let (command, options) = words.split_once(' ').unwrap();
        openssl(self.path(), &format!("{command} -out made {options}"));
        fs::read(self.path().join("made")).unwrap()
    }

    fn ask(&self, signature: &[u8], scheme: Scheme) -> Option<Mismatch> {
        mismatch(signature, &self.key, scheme, &self.digest)
    }
}

#[test]
fn what_openssl_made_instead_is_named() {
    if !has_tool("openssl") {
        return;
    }
    let bench = Bench::new();
    let (current, legacy) = (Scheme::Pkcs1v15Sha256, Scheme::Legacy);
    let pkeyutl = |options: &str| bench.made(&format!("pkeyutl -sign -inkey key {options}"));
    let pkcs1 = "-pkeyopt rsa_padding_mode:pkcs1";
    let good = bench.made("dgst -sha256 -sign key message");
    let bare = pkeyutl(&format!("{pkcs1} -in digest"));
    assert_eq!(bench.ask(&good, current), None);
    assert_eq!(bench.ask(&bare, legacy), None);
    assert_eq!(bench.ask(&bare, current), Some(Mismatch::OtherScheme(legacy)));
    assert_eq!(bench.ask(&good, legacy), Some(Mismatch::OtherScheme(current)));

    assert_eq!(bench.ask(&good[1..], current), Some(Mismatch::Length { found: 255, expected: 256 }));
    assert_eq!(bench.ask(&[0x5A; 384], current), Some(Mismatch::Length { found: 384, expected: 256 }));
    let reversed: Vec<u8> = good.iter().rev().copied().collect();
    assert_eq!(bench.ask(&reversed, current), Some(Mismatch::Reversed));
    let mut damaged = good.clone();
    damaged[77] ^= 2;
    assert_eq!(bench.ask(&damaged, current), Some(Mismatch::OtherKey));
    assert_eq!(bench.ask(&[0xFF; 256], current), Some(Mismatch::OtherKey));

    for (expected, words) in [
        (Mismatch::OtherBytes, "dgst -sha256 -sign key other"),
        (Mismatch::HashedAgain, "dgst -sha256 -sign key digest"),
        (Mismatch::HashedDigestInfo, "dgst -sha256 -sign key info"),
        (Mismatch::HexadecimalText, "dgst -sha256 -sign key hex"),
        (Mismatch::OtherHash("MD5"), "dgst -md5 -sign key message"),
        (Mismatch::OtherHash("SHA-1"), "dgst -sha1 -sign key message"),
        (Mismatch::OtherHash("SHA-224"), "dgst -sha224 -sign key message"),
        (Mismatch::OtherHash("SHA-384"), "dgst -sha384 -sign key message"),
        (Mismatch::OtherHash("SHA-512"), "dgst -sha512 -sign key message"),
        (Mismatch::OtherHash("SHA3-256"), "dgst -sha3-256 -sign key message"),
        (Mismatch::Pss("SHA-256"), "dgst -sha256 -sigopt rsa_padding_mode:pss -sign key message"),
        (
            Mismatch::Pss("SHA-256"),
            "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sign key message",
        ),
        (
            Mismatch::Pss("SHA-512"),
            "dgst -sha512 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:0 -sign key message",
        ),
        (Mismatch::Pss("SHA-384"), "dgst -sha384 -sigopt rsa_padding_mode:pss -sign key message"),
    ] {
        assert_eq!(bench.ask(&bench.made(words), current), Some(expected), "{words}");
    }
    let text = pkeyutl(&format!("{pkcs1} -in hex"));
    assert_eq!(bench.ask(&text, current), Some(Mismatch::HexadecimalText));
    assert_eq!(
        bench.ask(&pkeyutl(&format!("{pkcs1} -in message")), current),
        Some(Mismatch::Unknown { length: MESSAGE.len() })
    );
    // A message of 32 bytes that is not our digest.
    fs::write(bench.path().join("other"), [7; 32]).unwrap();
    let other = pkeyutl(&format!("{pkcs1} -in other"));
    assert_eq!(bench.ask(&other, legacy), Some(Mismatch::OtherBytes));
    assert_eq!(bench.ask(&other, current), Some(Mismatch::Unknown { length: 32 }));

    // The bare private operation. A signer without padding, or with another padding, does this.
    let raw = |content: &[u8], padded: bool| {
        let mut block = vec![if padded { 0xFF } else { 0 }; 256 - content.len()];
        if padded {
            (block[0], block[1]) = (0, 1);
            *block.last_mut().unwrap() = 0;
        }
        block.extend(content);
        fs::write(bench.path().join("block"), block).unwrap();
        bench.made("pkeyutl -decrypt -inkey key -pkeyopt rsa_padding_mode:none -in block")
    };
    let info = digest_info(&bench.digest);
    assert_eq!(bench.ask(&raw(&info, true), current), None);
    assert_eq!(bench.ask(&raw(&info, false), current), Some(Mismatch::NoPadding));
    for (last, expected) in [(0, Mismatch::Trivial), (1, Mismatch::Trivial), (2, Mismatch::OtherKey)] {
        let mut number = [0; 256];
        number[255] = last;
        assert_eq!(bench.ask(&number, current), Some(expected), "{last}");
    }
    let twice = [&[0x30, 0x44][..], &DIGEST_INFO_PREFIX[2..17], &[0x04, 51], &info].concat();
    assert_eq!(bench.ask(&raw(&twice, true), current), Some(Mismatch::WrappedTwice));
    let no_null =
        [&[0x30, 0x2F, 0x30, 0x0B][..], &DIGEST_INFO_PREFIX[4..15], &[0x04, 0x20], &bench.digest.0].concat();
    assert_eq!(bench.ask(&raw(&no_null, true), current), Some(Mismatch::NoNull));

    openssl(bench.path(), "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key2");
    let other = bench.made("dgst -sha256 -sign key2 message");
    assert_eq!(bench.ask(&other, current), Some(Mismatch::OtherKey));
}

#[test]
fn every_mismatch_says_what_and_what_to_do() {
    for mismatch in [
        Mismatch::Length { found: 384, expected: 256 },
        Mismatch::OtherKey,
        Mismatch::Reversed,
        Mismatch::OtherScheme(Scheme::Legacy),
        Mismatch::OtherScheme(Scheme::Pkcs1v15Sha256),
        Mismatch::OtherBytes,
        Mismatch::HashedAgain,
        Mismatch::HashedDigestInfo,
        Mismatch::WrappedTwice,
        Mismatch::HexadecimalText,
        Mismatch::OtherHash("SHA-1"),
        Mismatch::NoNull,
        Mismatch::Pss("SHA-256"),
        Mismatch::NoPadding,
        Mismatch::Trivial,
        Mismatch::Unknown { length: 7 },
    ] {
        assert!(
            mismatch.to_string().len() > 15 && mismatch.advice(Speaker::Program).len() > 20,
            "{mismatch:?}"
        );
    }
    let length = Mismatch::Length { found: 384, expected: 256 };
    assert!(length.to_string().contains("a key of 3072 bits made it"));
}
