//! Tests with keys that OpenSSL makes. OpenSSL reads the keys that we write: our own reader alone proves nothing.

use super::*;
use crate::format::key_file::{Armor, KeyFileKind};
use crate::project::advice::{Advice, Speaker};
use crate::testing::{openssl, openssl_text};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn generate(dir: &Path, bits: &str) {
    openssl(dir, &format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out key.pem"));
}

fn read(dir: &Path, name: &str) -> Vec<u8> {
    fs::read(dir.join(name)).unwrap()
}

#[test]
fn every_form_that_openssl_writes_is_one_key() {
    let dir = dir();
    let dir = dir.path();
    generate(dir, "2048");
    for command in [
        "pkey -in key.pem -outform DER -out key.p8.der",
        "rsa -in key.pem -traditional -out key.p1.pem",
        "rsa -in key.pem -traditional -outform DER -out key.p1.der",
        "pkey -in key.pem -pubout -out pub.pem",
        "pkey -in key.pem -pubout -outform DER -out pub.der",
        "rsa -in key.pem -RSAPublicKey_out -out pub.p1.pem",
        "rsa -in key.pem -RSAPublicKey_out -outform DER -out pub.p1.der",
    ] {
        openssl(dir, command);
    }
    let digest = crate::format::digest::sha256(&read(dir, "pub.der")).0;
    let crlf = String::from_utf8(read(dir, "key.pem")).unwrap().replace('\n', "\r\n");
    fs::write(dir.join("key.crlf.pem"), crlf).unwrap();
    let noisy =
        [b"Bag Attributes\n    friendlyName: x\n", &read(dir, "key.pem")[..], b"\ntrailing text\n"].concat();
    fs::write(dir.join("key.bag.pem"), noisy).unwrap();
    for name in ["key.pem", "key.p8.der", "key.p1.pem", "key.p1.der", "key.crlf.pem", "key.bag.pem"] {
        let key = PrivateKey::from_bytes(&read(dir, name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.public().id(), KeyId(digest), "{name}");
    }
    for name in ["pub.pem", "pub.der", "pub.p1.pem", "pub.p1.der"] {
        let key = PublicKey::from_bytes(&read(dir, name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.id(), KeyId(digest), "{name}");
        assert_eq!(key.to_spki_pem().as_bytes(), read(dir, "pub.pem"), "{name}");
        assert_eq!(key.to_spki_der(), read(dir, "pub.der"), "{name}");
    }
}

#[test]
fn what_keygen_makes_is_sound_to_openssl() {
    for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
        let dir = dir();
        let key = PrivateKey::generate(size).unwrap();
        fs::write(dir.path().join("key.pem"), key.to_pkcs8_pem().unwrap()).unwrap();
        let text = openssl_text(dir.path(), "pkey -in key.pem -check -noout -text");
        assert!(text.contains("Key is valid"), "{text}");
        assert!(text.contains(&format!("({} bit, 2 primes)", size.bits())), "{text}");
        assert!(text.contains("publicExponent: 65537"), "{text}");
        openssl(dir.path(), "pkey -in key.pem -pubout -out pub.pem");
        assert_eq!(read(dir.path(), "pub.pem"), key.public().to_spki_pem().as_bytes());
        openssl(dir.path(), "pkey -in key.pem -out again.pem");
        assert_eq!(read(dir.path(), "again.pem"), *key.to_pkcs8_pem().unwrap(), "same bytes as OpenSSL's");
    }
}

fn private_error(bytes: &[u8]) -> KeyError {
    PrivateKey::from_bytes(bytes).expect_err("no private key for us")
}

fn public_error(bytes: &[u8]) -> KeyError {
    PublicKey::from_bytes(bytes).expect_err("no public key for us")
}

#[test]
fn a_private_key_is_never_a_public_one() {
    let dir = dir();
    let dir = dir.path();
    generate(dir, "2048");
    openssl(dir, "rsa -in key.pem -traditional -outform DER -out key.p1.der");
    openssl(dir, "pkcs8 -topk8 -in key.pem -passout pass:x -out enc.pem");
    openssl(dir, "ecparam -name prime256v1 -genkey -out ec.pem");
    for (name, kind) in [
        ("key.pem", KeyFileKind::Pkcs8Private),
        ("key.p1.der", KeyFileKind::Pkcs1Private),
        ("enc.pem", KeyFileKind::EncryptedPkcs8),
        ("ec.pem", KeyFileKind::EcPrivate),
    ] {
        assert_eq!(public_error(&read(dir, name)), KeyError::PrivateOffered(kind), "{name}");
    }
    openssl(dir, "pkey -in key.pem -pubout -out pub.pem");
    assert_eq!(private_error(&read(dir, "pub.pem")), KeyError::NotPrivate(KeyFileKind::SpkiPublic));
}

#[test]
fn an_encrypted_key_says_so_in_every_form() {
    let dir = dir();
    let dir = dir.path();
    generate(dir, "2048");
    openssl(dir, "pkcs8 -topk8 -in key.pem -passout pass:x -out enc.pem");
    openssl(dir, "pkcs8 -topk8 -in key.pem -passout pass:x -outform DER -out enc.der");
    openssl(dir, "rsa -in key.pem -traditional -aes128 -passout pass:x -out old.pem");
    assert_eq!(private_error(&read(dir, "enc.pem")), KeyError::Encrypted(KeyFileKind::EncryptedPkcs8));
    assert_eq!(private_error(&read(dir, "enc.der")), KeyError::Encrypted(KeyFileKind::EncryptedPkcs8));
    assert_eq!(private_error(&read(dir, "old.pem")), KeyError::Encrypted(KeyFileKind::EncryptedTraditional));
}

#[test]
fn other_algorithms_and_containers_are_named() {
    let dir = dir();
    let dir = dir.path();
    openssl(dir, "ecparam -name prime256v1 -genkey -noout -out ec.pem");
    openssl(dir, "ec -in ec.pem -outform DER -out ec.der");
    openssl(dir, "pkcs8 -topk8 -nocrypt -in ec.pem -outform DER -out ec.p8.der");
    openssl(dir, "ec -in ec.pem -pubout -out ec.pub.pem");
    openssl(dir, "genpkey -algorithm ed25519 -out ed.pem");
    openssl(dir, "genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.pem");
    generate(dir, "2048");
    openssl(dir, "req -x509 -key key.pem -subj /CN=x -days 1 -out cert.pem");
    openssl(dir, "x509 -in cert.pem -outform DER -out cert.der");
    openssl(dir, "req -new -key key.pem -subj /CN=x -out req.pem");
    openssl(dir, "req -in req.pem -outform DER -out req.der");
    for (name, kind) in [
        ("ec.pem", KeyFileKind::EcPrivate),
        ("ec.der", KeyFileKind::EcPrivate),
        ("ec.p8.der", KeyFileKind::EcPrivate),
        ("ec.pub.pem", KeyFileKind::EcPublic),
        ("ed.pem", KeyFileKind::OtherAlgorithm),
        ("pss.pem", KeyFileKind::RsaPss),
        ("cert.pem", KeyFileKind::Certificate),
        ("cert.der", KeyFileKind::Certificate),
        ("req.pem", KeyFileKind::CertificateRequest),
        ("req.der", KeyFileKind::CertificateRequest),
    ] {
        assert_eq!(private_error(&read(dir, name)), KeyError::NotPrivate(kind), "{name}");
    }
    assert_eq!(public_error(&read(dir, "cert.der")), KeyError::NotPublic(KeyFileKind::Certificate));
    assert_eq!(public_error(&read(dir, "ec.pub.pem")), KeyError::NotPublic(KeyFileKind::EcPublic));
    assert!(KeyError::NotPublic(KeyFileKind::Certificate).advice(Speaker::Program).contains("x509"));
}

#[test]
fn size_and_exponent_are_checked_at_the_door() {
    let dir = dir();
    let dir = dir.path();
    generate(dir, "1024");
    assert_eq!(private_error(&read(dir, "key.pem")), KeyError::Size { bits: 1024 });
    openssl(dir, "pkey -in key.pem -pubout -out pub.pem");
    assert_eq!(public_error(&read(dir, "pub.pem")), KeyError::Size { bits: 1024 });
    generate(dir, "2056");
    assert_eq!(private_error(&read(dir, "key.pem")), KeyError::Size { bits: 2056 });
    generate(dir, "2048 -pkeyopt rsa_keygen_pubexp:3");
    assert_eq!(private_error(&read(dir, "key.pem")), KeyError::Exponent("3".into()));
    openssl(dir, "pkey -in key.pem -pubout -out pub.pem");
    assert_eq!(public_error(&read(dir, "pub.pem")), KeyError::Exponent("3".into()));
    generate(dir, "2048 -pkeyopt rsa_keygen_primes:3");
    assert_eq!(private_error(&read(dir, "key.pem")), KeyError::MultiPrime);
}

#[test]
fn damage_never_passes_and_never_panics() {
    let dir = dir();
    let dir = dir.path();
    generate(dir, "2048");
    openssl(dir, "rsa -in key.pem -traditional -outform DER -out key.der");
    openssl(dir, "pkey -in key.pem -pubout -outform DER -out pub.der");
    let key = read(dir, "key.der");
    for length in 0..key.len() {
        assert!(PrivateKey::from_bytes(&key[..length]).is_err(), "cut at {length}");
    }
    let good = PublicKey::from_bytes(&read(dir, "pub.der")).unwrap();
    // A flip in dP, dQ or qInv is harmless, because otaseal computes them again. Any other flip must be an error.
    for (index, step) in (0..key.len()).step_by(7).zip(0..) {
        let mut bad = key.clone();
        bad[index] ^= 1 << (step % 8);
        if let Ok(key) = PrivateKey::from_bytes(&bad) {
            assert_eq!(key.public().id(), good.id(), "flip at {index}");
        }
    }
    let pem = String::from_utf8(read(dir, "key.pem")).unwrap();
    let cut = &pem[..pem.len() / 2];
    assert_eq!(private_error(cut.as_bytes()), KeyError::DamagedPem);
    assert_eq!(private_error(pem.replace("MII", "M!I").as_bytes()), KeyError::DamagedPem);
    assert_eq!(private_error(b""), KeyError::NotAKey);
    assert_eq!(private_error(&[0x30; 200]), KeyError::NotAKey);
    assert_eq!(private_error(&vec![b'-'; key_file::MAX_KEY_FILE + 1]), KeyError::TooLarge);
    let mut even = read(dir, "pub.der");
    let last = even.len() - 6; // before INTEGER 65537, 02 03 01 00 01
    even[last] &= 0xFE;
    assert_eq!(public_error(&even), KeyError::EvenModulus);
}

#[test]
fn debug_shows_the_key_id_and_nothing_else() {
    let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
    assert_eq!(format!("{key:?}"), format!("PrivateKey(2048 bits, {})", key.public().id()));
    assert_eq!(format!("{:?}", key.public()), format!("PublicKey(2048 bits, {})", key.public().id()));
}

#[test]
fn inspect_is_told_what_a_key_file_is() {
    let dir = dir();
    generate(dir.path(), "2048");
    let pem = read(dir.path(), "key.pem");
    let expected = key_file::Recognised { kind: KeyFileKind::Pkcs8Private, armor: Armor::Pem };
    assert_eq!(key_file::recognise(&pem), Some(expected));
    assert_eq!(key_file::recognise(b"\xE9\x04\x02\x40"), None);
    // Firmware that embeds a key is not a key file.
    let firmware = [b"\xE9\x04\x02\x40\0", &pem[..]].concat();
    assert_eq!(key_file::recognise(&firmware), None);
    assert_eq!(private_error(&firmware), KeyError::NotAKey);
}

/// `openssl pkcs12 -nodes` and `cat` put a certificate or a public key before the private key, or after it.
#[test]
fn the_one_private_key_counts_wherever_it_stands() {
    let dir = dir();
    generate(dir.path(), "2048");
    openssl(dir.path(), "pkey -in key.pem -pubout -out half.pem");
    openssl(dir.path(), "req -x509 -new -key key.pem -subj /CN=x -out certificate.pem");
    openssl(dir.path(), "pkcs12 -export -in certificate.pem -inkey key.pem -passout pass:x -out both.p12");
    openssl(dir.path(), "pkcs12 -in both.p12 -passin pass:x -nodes -out both.pem");
    openssl(dir.path(), "genpkey -algorithm RSA -out other.pem");
    openssl(dir.path(), "ecparam -name prime256v1 -genkey -out ec.pem");
    let [key, half, certificate, both, other, ec] =
        ["key.pem", "half.pem", "certificate.pem", "both.pem", "other.pem", "ec.pem"]
            .map(|name| read(dir.path(), name));
    let id = PrivateKey::from_bytes(&key).unwrap().public().id();
    for good in [
        both,
        [&certificate[..], &key].concat(),
        [&half[..], &key].concat(),
        [&key[..], &certificate, &half].concat(),
    ] {
        assert_eq!(PrivateKey::from_bytes(&good).unwrap().public().id(), id);
        assert_eq!(public_error(&good), KeyError::PrivateOffered(KeyFileKind::Pkcs8Private));
    }
    for pair in [[&key[..], &other], [&key, &key], [&key, &ec]] {
        let two = [&certificate[..], pair[0], pair[1]].concat();
        assert_eq!(private_error(&two), KeyError::Ambiguous);
        assert_eq!(public_error(&two), KeyError::Ambiguous);
        let found = key_file::recognise(&two).unwrap();
        assert!(found.kind.is_private(), "such a file is not to be copied into an output");
    }
    // The rest is cut off, so its kind is unknown.
    let cut = [&key[..], &other[..other.len() / 2]].concat();
    assert_eq!(private_error(&cut), KeyError::DamagedPem);
    assert!(key_file::recognise(&cut).unwrap().kind.is_private());
    assert_eq!(private_error(&certificate), KeyError::NotPrivate(KeyFileKind::Certificate));
}
