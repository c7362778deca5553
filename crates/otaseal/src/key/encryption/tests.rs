//! Tests with encrypted keys from OpenSSL and Python. OpenSSL opens the keys that we write: our own reader alone proves
//! nothing.

use super::super::PrivateKey;
use super::super::passphrase::{NoSecrets, SecretPlace};
use super::*;
use crate::project::advice::{Advice, Speaker};
use crate::testing::{openssl, openssl_text};
use otaseal_device::KeyId;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PASSPHRASE: &str = "correct-horse";

/// Makes a directory with `key.pem`, an RSA-2048 key. Returns the key's id too.
fn with_key() -> (TempDir, KeyId) {
    let dir = tempfile::tempdir().unwrap();
    openssl(dir.path(), "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    openssl(dir.path(), "pkey -in key.pem -pubout -outform DER -out public.der");
    let id = KeyId(crate::format::digest::sha256(&fs::read(dir.path().join("public.der")).unwrap()).0);
    (dir, id)
}

fn load(path: &Path, passphrase: &str) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_bytes_with(&fs::read(path).unwrap(), &path.display(), &Passphrase::new(passphrase))
}

fn describe_file(path: &Path) -> Option<Encryption> {
    describe(&fs::read(path).unwrap()).unwrap()
}

/// One form that OpenSSL writes: the command, and the name of the form.
const OPENSSL: &[(&str, &str)] = &[
    // The default of OpenSSL 3 and of 1.1.
    ("pkcs8 -topk8 -in key.pem -v2 aes-256-cbc", "AES-256-CBC, PBKDF2-HMAC-SHA256, 2048 iterations"),
    ("pkey -in key.pem -aes128", "AES-128-CBC, PBKDF2-HMAC-SHA256, 2048 iterations"),
    ("pkey -in key.pem -aes192", "AES-192-CBC, PBKDF2-HMAC-SHA256, 2048 iterations"),
    ("pkcs8 -topk8 -in key.pem -outform DER", "AES-256-CBC, PBKDF2-HMAC-SHA256, 2048 iterations"),
    // OpenSSL 1.0 omits the hash. This stands for HMAC-SHA1.
    (
        "pkcs8 -topk8 -in key.pem -v2 aes-256-cbc -v2prf hmacWithSHA1",
        "AES-256-CBC, PBKDF2-HMAC-SHA1, 2048 iterations",
    ),
    (
        "pkcs8 -topk8 -in key.pem -v2 des3 -v2prf hmacWithSHA1",
        "DES-EDE3-CBC, PBKDF2-HMAC-SHA1, 2048 iterations",
    ),
    (
        "pkcs8 -topk8 -in key.pem -v2 aes-128-cbc -v2prf hmacWithSHA512 -iter 100000 -outform DER",
        "AES-128-CBC, PBKDF2-HMAC-SHA512, 100000 iterations",
    ),
    ("pkcs8 -topk8 -in key.pem -v2prf hmacWithSHA224", "AES-256-CBC, PBKDF2-HMAC-SHA224, 2048 iterations"),
    ("pkcs8 -topk8 -in key.pem -v2prf hmacWithSHA384", "AES-256-CBC, PBKDF2-HMAC-SHA384, 2048 iterations"),
    ("pkcs8 -topk8 -in key.pem -scrypt", "AES-256-CBC, scrypt N=16384 r=8 p=1"),
    (
        "pkcs8 -topk8 -in key.pem -scrypt -scrypt_N 1024 -scrypt_r 4 -scrypt_p 16 -outform DER",
        "AES-256-CBC, scrypt N=1024 r=4 p=16",
    ),
    // The default before 1.1. OpenSSL 3 needs its legacy provider for it.
    (
        "pkcs8 -topk8 -in key.pem -v1 PBE-MD5-DES -provider legacy -provider default",
        "DES-CBC, PBKDF1-MD5, 2048 iterations",
    ),
    (
        "pkcs8 -topk8 -in key.pem -v1 PBE-SHA1-DES -provider legacy -provider default",
        "DES-CBC, PBKDF1-SHA1, 2048 iterations",
    ),
    // The form that `openssl genrsa -aes256` of 1.x writes.
    ("rsa -in key.pem -traditional -aes128", "AES-128-CBC, one round of MD5"),
    ("rsa -in key.pem -traditional -aes192", "AES-192-CBC, one round of MD5"),
    ("rsa -in key.pem -traditional -aes256", "AES-256-CBC, one round of MD5"),
    ("rsa -in key.pem -traditional -des3", "DES-EDE3-CBC, one round of MD5"),
    ("rsa -in key.pem -traditional -des -provider legacy -provider default", "DES-CBC, one round of MD5"),
];

#[test]
fn every_form_that_openssl_writes_is_opened_by_the_right_passphrase_alone() {
    let (dir, id) = with_key();
    let path = dir.path().join("encrypted");
    for (command, description) in OPENSSL {
        openssl(dir.path(), &format!("{command} -passout pass:{PASSPHRASE} -out encrypted"));
        let key = load(&path, PASSPHRASE).unwrap_or_else(|error| panic!("{command}: {error}"));
        assert_eq!(key.public().id(), id, "{command}");
        assert_eq!(describe_file(&path).unwrap().to_string(), *description, "{command}");
        for wrong in ["correct-hors", "correct-horse ", "Correct-horse"] {
            let error = load(&path, wrong).expect_err("the passphrase is wrong");
            assert_eq!(error, KeyError::WrongPassphrase, "{command}, {wrong:?}");
        }
        let empty = load(&path, "").expect_err("it is not tried");
        assert!(matches!(empty, KeyError::Secret(SecretError::Empty { .. })), "{command}: {empty:?}");
        let kind = crate::format::key_file::recognise(&fs::read(&path).unwrap()).unwrap().kind;
        let nobody = PrivateKey::from_bytes(&fs::read(&path).unwrap()).expect_err("nobody knows it");
        assert_eq!(nobody, KeyError::Encrypted(kind), "{command}");
    }
}

/// CBC has no check: one wrong passphrase in 256 gives bytes whose padding looks right. Among 1,500 wrong passphrases,
/// there is almost certainly such a one.
#[test]
fn a_wrong_passphrase_whose_padding_looks_right_is_wrong() {
    let (dir, _) = with_key();
    openssl(dir.path(), "rsa -in key.pem -traditional -aes256 -passout pass:x -out old.pem");
    let command = "pkcs8 -topk8 -in key.pem -v2 aes-256-cbc -iter 1 -passout pass:x -out new.pem";
    openssl(dir.path(), command);
    for name in ["old.pem", "new.pem"] {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        for attempt in 0..1500 {
            let guess = Passphrase::new(format!("guess {attempt}"));
            let error = PrivateKey::from_bytes_with(&bytes, &name, &guess).expect_err("a guess");
            assert_eq!(error, KeyError::WrongPassphrase, "{name}, {attempt}");
        }
    }
}

#[test]
fn what_python_encrypts_is_opened() {
    const SCRIPT: &str = "
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa
import hashlib
key = rsa.generate_private_key(65537, 2048)
def write(name, encoding, form, encryption):
    open(name, 'wb').write(key.private_bytes(encoding, form, encryption))
P, D = s.Encoding.PEM, s.Encoding.DER
F = s.PrivateFormat
secret = 'pässwörd'.encode()
write('best.pem', P, F.PKCS8, s.BestAvailableEncryption(secret))
write('best.der', D, F.PKCS8, s.BestAvailableEncryption(secret))
write('old.pem', P, F.TraditionalOpenSSL, s.BestAvailableEncryption(secret))
print(hashlib.sha256(key.public_key().public_bytes(D, s.PublicFormat.SubjectPublicKeyInfo)).hexdigest())
";
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("python3").args(["-c", SCRIPT]).current_dir(dir.path()).output();
    let Ok(output) = output else {
        return crate::testing::skipped("python3 is not installed");
    };
    if !output.status.success() {
        return crate::testing::skipped("python3 has no cryptography");
    }
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    for name in ["best.pem", "best.der", "old.pem"] {
        let key = load(&dir.path().join(name), "pässwörd").unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.public().id().to_string(), id, "{name}");
        assert_eq!(load(&dir.path().join(name), "x").err(), Some(KeyError::WrongPassphrase), "{name}");
    }
}

#[test]
fn openssl_opens_what_we_write() {
    let (dir, _) = with_key();
    let key = load(&dir.path().join("key.pem"), "").unwrap();
    let passphrase = Passphrase::new(PASSPHRASE);
    for (derivation, description) in [
        (Derivation::Scrypt, "AES-256-CBC, scrypt N=16384 r=8 p=5"),
        (Derivation::Pbkdf2, "AES-256-CBC, PBKDF2-HMAC-SHA256, 600000 iterations"),
    ] {
        let start = Instant::now();
        let pem = key.to_pem(Protection::Passphrase(&passphrase, derivation)).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{derivation:?}");
        fs::write(dir.path().join("ours.pem"), &pem).unwrap();
        fs::write(dir.path().join("ours.der"), key.to_encrypted_der(&passphrase, derivation).unwrap())
            .unwrap();
        for (name, form) in [("ours.pem", "PEM"), ("ours.der", "DER")] {
            assert_eq!(describe_file(&dir.path().join(name)).unwrap().to_string(), description);
            let read = format!("pkey -in {name} -inform {form} -passin pass:{PASSPHRASE} -out again.pem");
            openssl(dir.path(), &read);
            assert_eq!(
                fs::read(dir.path().join("again.pem")).unwrap(),
                *key.to_pkcs8_pem().unwrap(),
                "{name}"
            );
            assert_eq!(load(&dir.path().join(name), PASSPHRASE).unwrap().public(), key.public());
        }
        let again = key.to_pem(Protection::Passphrase(&passphrase, derivation)).unwrap();
        assert_ne!(*pem, *again, "salt and vector are new each time");
    }
    let text = openssl_text(dir.path(), "asn1parse -in ours.pem");
    assert!(
        text.contains("PBES2") && text.contains("aes-256-cbc") && text.contains("hmacWithSHA256"),
        "{text}"
    );
}

#[test]
fn an_empty_or_unusable_new_passphrase_protects_nothing_and_is_refused() {
    let (dir, _) = with_key();
    let key = load(&dir.path().join("key.pem"), "").unwrap();
    for bad in ["", "two\nlines", "nul\0"] {
        let error = key.to_encrypted_der(&Passphrase::new(bad), Derivation::Pbkdf2).expect_err("refused");
        assert!(matches!(error, KeyError::Secret(SecretError::Refused(_))), "{error:?}");
    }
}

#[test]
fn the_source_of_the_passphrase_is_asked_once_by_name_and_only_when_needed() {
    let (dir, _) = with_key();
    openssl(dir.path(), &format!("pkey -in key.pem -aes256 -passout pass:{PASSPHRASE} -out locked.pem"));
    let asked = std::cell::RefCell::new(Vec::new());
    let secrets = |kind: SecretKind, what: &str| {
        asked.borrow_mut().push(format!("{kind} of {what}"));
        Ok(Passphrase::new(PASSPHRASE))
    };
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    PrivateKey::from_bytes_with(&read("key.pem"), &"key.pem", &secrets).unwrap();
    assert!(asked.borrow().is_empty());
    PrivateKey::from_bytes_with(&read("locked.pem"), &"locked.pem", &secrets).unwrap();
    assert_eq!(*asked.borrow(), ["passphrase of locked.pem"]);
    let failure = SecretError::Unset { kind: SecretKind::Passphrase, place: SecretPlace::UnnamedVariable };
    let failing = |_: SecretKind, _: &str| Err(failure.clone());
    let error = PrivateKey::from_bytes_with(&read("locked.pem"), &"locked.pem", &failing);
    assert_eq!(error.err(), Some(KeyError::Secret(failure.clone())));
}

/// DER: tag, length, contents.
fn tlv(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let length = match contents.len() {
        short @ 0..=127 => vec![short as u8],
        byte @ 128..=255 => vec![0x81, byte as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8],
    };
    [&[tag][..], &length, &contents].concat()
}

fn oid(text: &str) -> Vec<u8> {
    tlv(6, &[ObjectIdentifier::new_unwrap(text).as_bytes()])
}

/// A positive INTEGER of any size, from big-endian bytes.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
    tlv(2, &[sign, bytes])
}

/// Returns EncryptedPrivateKeyInfo with PBES2, this key derivation, this cipher and this vector.
fn pbes2_file(kdf: &str, kdf_parameters: &[&[u8]], cipher: &str, iv: &[u8]) -> Vec<u8> {
    let kdf = tlv(0x30, &[&oid(kdf), &tlv(0x30, kdf_parameters)]);
    let cipher = tlv(0x30, &[&oid(cipher), &tlv(4, &[iv])]);
    let algorithm = tlv(0x30, &[&oid("1.2.840.113549.1.5.13"), &tlv(0x30, &[&kdf, &cipher])]);
    tlv(0x30, &[&algorithm, &tlv(4, &[&[7; 1216]])])
}

const PBKDF2: &str = "1.2.840.113549.1.5.12";
const SCRYPT_OID: &str = "1.3.6.1.4.1.11591.4.11";
const AES: &str = "2.16.840.1.101.3.4.1.42";

/// Returns the error of a file. otaseal must refuse it at once, before it asks for a passphrase.
fn refused(bytes: &[u8]) -> EncryptionError {
    let start = Instant::now();
    let nobody =
        |_: SecretKind, _: &str| -> Result<Passphrase, SecretError> { panic!("asked for a passphrase") };
    let error = PrivateKey::from_bytes_with(bytes, &"key", &nobody).expect_err("hostile");
    assert!(start.elapsed() < Duration::from_millis(500), "{error}");
    let KeyError::Encryption(error) = error else { panic!("{error:?}") };
    assert!(!error.advice(Speaker::Program).is_empty());
    error
}

/// An attacker who can write the file chooses its parameters.
#[test]
fn costs_without_bound_are_refused() {
    let salt = tlv(4, &[&[1; 8]]);
    for count in
        [&[0x98, 0x96, 0x81][..], &[0x7F, 0xFF, 0xFF, 0xFF], &[0x80, 0, 0, 0], &[0xFF; 9], &[0xFF; 200]]
    {
        let file = pbes2_file(PBKDF2, &[&salt, &integer(count)], AES, &[0; 16]);
        assert!(matches!(refused(&file), EncryptionError::TooExpensive { .. }), "{count:02x?}");
    }
    let two_to = |exponent: usize| {
        let mut bytes = vec![0; exponent / 8 + 1];
        bytes[0] = 1 << (exponent % 8);
        bytes
    };
    for (n, r, p) in
        [(29, 3, 0), (21, 3, 0), (20, 4, 0), (1, 23, 0), (1, 15, 15), (14, 3, 20), (63, 63, 63), (200, 3, 0)]
    {
        let numbers = [integer(&two_to(n)), integer(&two_to(r)), integer(&two_to(p))];
        let file = pbes2_file(SCRYPT_OID, &[&salt, &numbers[0], &numbers[1], &numbers[2]], AES, &[0; 16]);
        let error = refused(&file);
        // A number beyond 64 bits reads as the largest number, which is not a power of two.
        let expected = match error {
            EncryptionError::TooExpensive { .. } => true,
            EncryptionError::Damaged => n > 63,
            EncryptionError::Unsupported(_) => false,
        };
        assert!(expected, "2^{n}, 2^{r}, 2^{p}: {error}");
    }
    assert_eq!(
        refused(&pbes2_file(PBKDF2, &[&salt, &integer(&[0x80, 0, 0, 0])], AES, &[0; 16])).to_string(),
        "opening this key would take 2147483648 iterations; the limit is 10000000"
    );
}

/// The scrypt library indexes and takes logarithms before it checks its parameters.
#[test]
fn parameters_that_fit_nothing_are_damage() {
    let salt = tlv(4, &[&[1; 8]]);
    let count = integer(&[1, 0]);
    for (cipher, lengths) in
        [(AES, &[0, 1, 8, 12, 15, 17, 32][..]), ("1.2.840.113549.3.7", &[0, 1, 7, 9, 16])]
    {
        for &length in lengths {
            let file = pbes2_file(PBKDF2, &[&salt, &count], cipher, &vec![0; length]);
            assert_eq!(refused(&file), EncryptionError::Damaged, "{cipher}, {length}");
        }
    }
    let one = integer(&[1]);
    for n in [&[0][..], &[1], &[3], &[0x40, 1]] {
        let file = pbes2_file(SCRYPT_OID, &[&salt, &integer(n), &one, &one], AES, &[0; 16]);
        assert_eq!(refused(&file), EncryptionError::Damaged, "{n:?}");
    }
    let zero = integer(&[0]);
    for (r, p) in [(&zero, &one), (&one, &zero)] {
        let file = pbes2_file(SCRYPT_OID, &[&salt, &integer(&[4]), r, p], AES, &[0; 16]);
        assert_eq!(refused(&file), EncryptionError::Damaged);
    }
    let none = pbes2_file(PBKDF2, &[&salt, &zero], AES, &[0; 16]);
    assert_eq!(refused(&none), EncryptionError::Damaged);
    let long = tlv(4, &[&[1; 33]]);
    let file = pbes2_file(PBKDF2, &[&long, &count], AES, &[0; 16]);
    assert!(matches!(refused(&file), EncryptionError::Unsupported(_)));
}

/// For a scheme that otaseal cannot read, the error names it, and the advice has the command that converts the key.
/// OpenSSL runs that command here.
#[test]
fn what_is_not_read_is_named_and_can_be_converted() {
    let (dir, id) = with_key();
    for (command, named) in [
        ("pkcs8 -topk8 -in key.pem -v1 PBE-SHA1-3DES", "pbeWithSHAAnd3-KeyTripleDES-CBC"),
        ("pkcs8 -topk8 -in key.pem -v1 PBE-SHA1-RC2-128", "pbeWithSHAAnd128BitRC2-CBC"),
        ("pkcs8 -topk8 -in key.pem -v1 PBE-MD5-RC2-64", "pbeWithMD5AndRC2-CBC"),
        ("pkcs8 -topk8 -in key.pem -v2 camellia-256-cbc", "1.2.392.200011.61.1.1.1.4"),
        ("rsa -in key.pem -traditional -camellia256", "CAMELLIA-256-CBC"),
        ("rsa -in key.pem -traditional -seed", "SEED-CBC"),
    ] {
        const LEGACY: &str = "-provider legacy -provider default";
        openssl(dir.path(), &format!("{command} {LEGACY} -passout pass:x -out old.pem"));
        let error = refused(&fs::read(dir.path().join("old.pem")).unwrap());
        assert!(matches!(&error, EncryptionError::Unsupported(what) if what.contains(named)), "{error}");
        assert!(
            error
                .advice(Speaker::Program)
                .contains("openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW.pem")
        );
        let convert = "pkcs8 -topk8 -v2 aes-256-cbc -in old.pem -out new.pem -passin pass:x -passout pass:x";
        openssl(dir.path(), &format!("{convert} {LEGACY}"));
        assert_eq!(load(&dir.path().join("new.pem"), "x").unwrap().public().id(), id, "{command}");
    }
}

/// Changes each byte of an encrypted key, and cuts it at each byte. The result is an error, never a panic and never
/// another key.
#[test]
fn damage_anywhere_is_an_error_or_no_damage() {
    let (dir, id) = with_key();
    for command in [
        "pkcs8 -topk8 -in key.pem -v2 aes-256-cbc -iter 1 -outform DER",
        "pkcs8 -topk8 -in key.pem -scrypt -scrypt_N 2 -scrypt_r 1 -scrypt_p 1 -outform DER",
        "rsa -in key.pem -traditional -aes256",
    ] {
        openssl(dir.path(), &format!("{command} -passout pass:x -out whole"));
        let whole = fs::read(dir.path().join("whole")).unwrap();
        let passphrase = Passphrase::new("x");
        for at in 0..whole.len().min(140) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;
            if let Ok(key) = PrivateKey::from_bytes_with(&bytes, &"key", &passphrase) {
                assert_eq!(key.public().id(), id, "{command}, byte {at}");
            }
            let cut = PrivateKey::from_bytes_with(&whole[..at], &"key", &passphrase);
            assert!(cut.is_err(), "{command}, cut at {at}");
        }
    }
}

#[test]
fn a_key_of_another_kind_under_a_passphrase_is_named() {
    let (dir, _) = with_key();
    openssl(
        dir.path(),
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -pass pass:x -out ec.pem",
    );
    openssl(dir.path(), "genpkey -algorithm ED25519 -aes256 -pass pass:x -out ed.pem");
    openssl(
        dir.path(),
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -aes256 -pass pass:x -out small.pem",
    );
    let error = |name: &str| load(&dir.path().join(name), "x").expect_err("no key for us");
    assert_eq!(error("ec.pem"), KeyError::NotPrivate(KeyFileKind::EcPrivate));
    assert_eq!(error("ed.pem"), KeyError::NotPrivate(KeyFileKind::OtherAlgorithm));
    assert_eq!(error("small.pem"), KeyError::Size { bits: 1024 });
}

#[test]
fn what_protects_nothing_much_is_known_for_it() {
    let weak = |cipher, kdf| Encryption { cipher, kdf }.is_weak();
    assert!(weak("AES-256-CBC", Kdf::OpensslMd5));
    assert!(weak("DES-CBC", Kdf::Pbkdf1 { hash: "MD5", iterations: 2048 }));
    assert!(weak("AES-256-CBC", Kdf::Pbkdf2 { hash: "SHA256", iterations: 1 }));
    assert!(weak("AES-256-CBC", Kdf::Scrypt { n: 2, r: 1, p: 1 }));
    assert!(!weak("AES-256-CBC", Kdf::Pbkdf2 { hash: "SHA256", iterations: 2048 }));
    assert!(!weak("AES-256-CBC", Kdf::Scrypt { n: 16384, r: 8, p: 1 }));
}

#[test]
fn nothing_that_holds_a_secret_shows_it() {
    let (dir, _) = with_key();
    let key = load(&dir.path().join("key.pem"), "").unwrap();
    let passphrase = Passphrase::new(PASSPHRASE);
    let shown = format!(
        "{key:?} {passphrase:?} {:?} {:?} {:?}",
        Protection::Passphrase(&passphrase, Derivation::Scrypt),
        KeyError::WrongPassphrase,
        NoSecrets
    );
    assert!(!shown.contains(PASSPHRASE) && !shown.contains("99, 111, 114"), "{shown}");
}
