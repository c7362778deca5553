//! Tests with keys that OpenSSL makes. OpenSSL reads the keys that we write: our own reader alone proves nothing.

use super::*;
use crate::format::key_file::{Armor, KeyFileKind};
use crate::key::passphrase::Passphrase;
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

const BROKEN: [&str; 6] = [
    "all line ends lost",
    "all line ends gone",
    "a letter gone",
    "another character",
    "text behind the first line",
    "cut",
];

/// Whatever an editor, a mail program or a secret store made of a file: what OpenSSL reads, otaseal reads.
#[test]
fn pem_is_read_where_openssl_reads_it() {
    let dir = dir();
    let dir = dir.path();
    generate(dir, "2048");
    openssl(dir, "rsa -in key.pem -traditional -out p1.pem");
    openssl(dir, "rsa -in key.pem -traditional -aes128 -passout pass:x -out old.pem");
    openssl(dir, "pkcs8 -topk8 -in key.pem -passout pass:x -out enc.pem");
    openssl(dir, "pkey -in key.pem -pubout -out pub.pem");
    openssl(dir, "rsa -in key.pem -RSAPublicKey_out -out p1.pub.pem");
    let id = PrivateKey::from_bytes(&read(dir, "key.pem")).unwrap().public().id();
    for name in ["key.pem", "p1.pem", "old.pem", "enc.pem", "pub.pem", "p1.pub.pem"] {
        let pem = String::from_utf8(read(dir, name)).unwrap();
        let lines: Vec<&str> = pem.lines().collect();
        let headers = lines.iter().position(|line| line.is_empty()).map_or(1, |at| at + 1);
        let (start, end) = (lines[..headers].join("\n"), lines[lines.len() - 1]);
        let body = lines[headers..lines.len() - 1].concat();
        let wrapped = |width: usize| {
            let lines: Vec<_> =
                body.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!("{start}\n{}\n{end}\n", lines.join("\n"))
        };
        let forms = [
            ("as it is", pem.clone()),
            ("one line", wrapped(usize::MAX)),
            ("76 columns", wrapped(76)),
            ("48 columns", wrapped(48)),
            ("uneven", wrapped(7)),
            ("blanks at line ends", pem.replace('\n', " \n")),
            ("tabs at line ends", pem.replace('\n', "\t \n")),
            ("CRLF", pem.replace('\n', "\r\n")),
            ("no last line end", pem.trim_end().into()),
            ("text before", format!("Bag Attributes\n  friendlyName: x\n{pem}")),
            ("text behind", format!("{pem}and so on\n")),
            ("a label in a sentence", format!("The line -----BEGIN PRIVATE KEY----- is first.\n{pem}")),
            ("half a label before", format!("-----BEGIN it\n{pem}")),
            ("half a label behind", format!("{pem}It begins with -----BEGIN and so on\n")),
            (
                "an empty line inside",
                wrapped(64).replacen(&body[64..128], &format!("\n{}", &body[64..128]), 1),
            ),
            ("all line ends lost", pem.replace('\n', " ")),
            ("all line ends gone", pem.replace('\n', "")),
            ("a letter gone", pem.replacen(&body[100..104], &body[100..103], 1)),
            ("another character", pem.replacen(&body[100..101], "!", 1)),
            ("text behind the first line", pem.replacen("-----\n", "----- x\n", 1)),
            ("cut", pem[..pem.len() / 2].into()),
        ];
        let forms = forms.map(|(form, text)| (form, text.into_bytes()));
        let latin_1 = [
            ("Latin-1 before", [b"friendlyName: Schl\xFCssel\n", pem.as_bytes()].concat()),
            ("Latin-1 behind", [pem.as_bytes(), b"Schl\xFCssel\n"].concat()),
        ];
        for (form, text) in forms.into_iter().chain(latin_1) {
            fs::write(dir.join("form.pem"), &text).unwrap();
            let public = if name.contains("pub") { "-pubin" } else { "" };
            let public = if name == "p1.pub.pem" { "-RSAPublicKey_in" } else { public };
            let words = format!("rsa -in form.pem -passin pass:x {public} -noout -modulus");
            let peer = std::process::Command::new("openssl")
                .args(words.split_whitespace())
                .current_dir(dir)
                .output();
            let theirs = peer.unwrap().status.success();
            let ours = match name.contains("pub") {
                true => PublicKey::from_bytes(&text).map(|key| key.id()),
                false => PrivateKey::from_bytes_with(&text, &name, &Passphrase::new(b"x".to_vec()))
                    .map(|key| key.public().id()),
            };
            // OpenSSL checks the lengths of lines only where there are headers, and takes an empty line for the end of
            // headers. Neither hides a fault, so otaseal reads these too.
            let is_read = ours.as_ref().ok() == Some(&id);
            assert_eq!(is_read, !BROKEN.contains(&form), "{name}, {form}: {ours:?}");
            assert!(is_read || !theirs, "{name}, {form}: OpenSSL reads it, {ours:?}");
        }
    }
}

#[test]
fn keys_in_other_clothes_are_named() {
    let dir = dir();
    let dir = dir.path();
    generate(dir, "2048");
    openssl(dir, "req -x509 -key key.pem -subj /CN=x -days 1 -out cert.pem");
    openssl(dir, "pkcs12 -export -inkey key.pem -in cert.pem -passout pass:x -out key.p12");
    openssl(dir, "base64 -in key.pem -out key.base64");
    let pem = String::from_utf8(read(dir, "key.pem")).unwrap();
    let wide = |bom: &[u8], bytes: fn(u16) -> [u8; 2]| {
        [bom.to_vec(), pem.encode_utf16().flat_map(bytes).collect()].concat()
    };
    for (bytes, kind) in [
        (read(dir, "key.p12"), KeyFileKind::Pkcs12),
        (read(dir, "key.base64"), KeyFileKind::Base64OfPem),
        (wide(&[0xFF, 0xFE], u16::to_le_bytes), KeyFileKind::Utf16),
        (wide(&[0xFE, 0xFF], u16::to_be_bytes), KeyFileKind::Utf16),
        (wide(&[], u16::to_le_bytes), KeyFileKind::Utf16),
    ] {
        let error = private_error(&bytes);
        assert_eq!(error, KeyError::NotPrivate(kind));
        assert!(error.advice(Speaker::Program).contains("key.pem"), "{error}");
        assert_eq!(public_error(&bytes), KeyError::PrivateOffered(kind));
    }
    // Wide text without a key, and base64 of something else.
    for other in [&b"\xFF\xFEa\0b\0"[..], b"LS0tLS1FTkQ="] {
        assert_eq!(private_error(other), KeyError::NotAKey);
    }
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
