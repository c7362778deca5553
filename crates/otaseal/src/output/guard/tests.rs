//! Tests of the rule for outputs.

use super::*;
use crate::ledger::{Entry, Ledger, NamedDigest, Origin};
use crate::output::{Access, Overwrite, write};
use crate::sign::Scheme;
use crate::testing;

/// Returns whether a plain output of this name is refused, and asserts that the file is then as it was.
fn stays(path: &Path) -> bool {
    let before = fs::read(path).unwrap();
    match write(path, b"new", Overwrite::Replace, Access::Public) {
        Ok(()) => false,
        Err(OutputError::Kept { .. }) => {
            assert!(fs::read(path).unwrap() == before && is_kept(path).unwrap());
            true
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_kind_of_private_key_stays_and_no_public_key_does() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |words: &str| drop(testing::openssl(dir.path(), words));
    let mut private = Vec::new();
    for (name, algorithm) in [
        ("rsa", "RSA -pkeyopt rsa_keygen_bits:2048"),
        ("pss", "RSA-PSS -pkeyopt rsa_keygen_bits:2048"),
        ("ec", "EC -pkeyopt ec_paramgen_curve:P-256"),
        ("ed", "ED25519"),
    ] {
        openssl(&format!("genpkey -algorithm {algorithm} -out {name}.pem"));
        openssl(&format!("pkey -in {name}.pem -outform DER -out {name}.der"));
        openssl(&format!("pkcs8 -topk8 -in {name}.pem -passout pass:tr0mbone -out {name}.locked"));
        openssl(&format!("pkey -in {name}.pem -pubout -out {name}.pub.pem"));
        openssl(&format!("pkey -in {name}.pem -pubout -outform DER -out {name}.pub.der"));
        private.extend(["pem", "der", "locked"].map(|form| format!("{name}.{form}")));
    }
    openssl("rsa -in rsa.pem -traditional -out rsa.pkcs1");
    openssl("rsa -in rsa.pem -traditional -aes128 -passout pass:tr0mbone -out rsa.old");
    let text = fs::read_to_string(dir.path().join("rsa.pem")).unwrap();
    fs::write(dir.path().join("damaged.pem"), &text[..text.len() / 2]).unwrap();
    fs::write(dir.path().join("two.pem"), text.repeat(2)).unwrap();
    let latin_1 = b"friendlyName: Schl\xFCssel\n";
    fs::write(dir.path().join("named.pem"), [latin_1, text.as_bytes()].concat()).unwrap();
    fs::write(dir.path().join("named-damaged.pem"), [latin_1, &text.as_bytes()[..text.len() / 2]].concat())
        .unwrap();
    private.extend(["rsa.pkcs1", "rsa.old", "damaged.pem", "two.pem"].map(str::to_owned));
    private.extend(["named.pem", "named-damaged.pem"].map(str::to_owned));
    for name in private {
        assert!(stays(&dir.path().join(&name)), "{name}");
    }
    // Its form is that of an encrypted key, and a hash encrypts nothing.
    fs::write(dir.path().join("digest-info"), crate::sign::digest_info(&Sha256Digest([7; 32]))).unwrap();
    assert!(!stays(&dir.path().join("digest-info")));
    for name in ["rsa", "pss", "ec", "ed"] {
        assert!(!stays(&dir.path().join(format!("{name}.pub.pem"))), "{name}");
        assert!(!stays(&dir.path().join(format!("{name}.pub.der"))), "{name}");
    }
}

#[test]
fn a_ledger_stays_for_every_command_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let named = |name: &str| NamedDigest::new(name, 1, Sha256Digest([1; 32]));
    let entry = Entry {
        input: named("in"),
        output: named("out"),
        signature: Scheme::Pkcs1v15Sha256,
        key_id: otaseal_device::KeyId([2; 32]),
    };
    let ledger = Ledger::new(&path, Origin::default());
    for entries in [1, 300] {
        ledger.append(&vec![entry.clone(); entries]).unwrap();
        assert!(stays(&path));
        let replaced = write(&path, b"key", Overwrite::ReplaceKey, Access::OwnerOnly);
        assert!(matches!(replaced, Err(OutputError::Kept { .. })));
    }
    assert!(fs::metadata(&path).unwrap().len() > MAX_KEY_FILE as u64);
    // The rest of a ledger, and other files of JSON lines, can be made again.
    for text in ["{\"seq\":1,\"pre", "{\"seq\":1}\n", "{\"seq\":[}\n", "[\n"] {
        fs::write(&path, text).unwrap();
        assert!(!stays(&path), "{text}");
    }
}

#[test]
fn only_the_private_half_of_a_new_key_replaces_a_key() {
    use crate::key::pair::PairFiles;
    let dir = tempfile::tempdir().unwrap();
    let (private, public) = (dir.path().join("private"), dir.path().join("public"));
    let pem = "-----BEGIN PRIVATE KEY-----\n";
    fs::write(&private, pem).unwrap();
    drop(PairFiles::stage(&private, &public, Overwrite::ReplaceKey).unwrap());
    fs::write(&public, pem).unwrap();
    assert!(PairFiles::stage(&private, &public, Overwrite::ReplaceKey).is_err());
}

#[test]
fn large_files_and_images_with_keys_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let pem = b"-----BEGIN PRIVATE KEY-----\n";
    for bytes in [[pem, &[0; 9][..]].concat(), [pem, &[b' '; MAX_KEY_FILE][..]].concat(), Vec::new()] {
        fs::write(&path, bytes).unwrap();
        assert!(!stays(&path));
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_a_key_stays_too() {
    let dir = tempfile::tempdir().unwrap();
    let [key, hard, symbolic] = ["key", "hard", "symbolic"].map(|name| dir.path().join(name));
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    fs::hard_link(&key, &hard).unwrap();
    std::os::unix::fs::symlink(&key, &symbolic).unwrap();
    assert!(stays(&hard) && stays(&symbolic));
    let inputs = Inputs::new([&key]);
    for output in [&key, &hard, &symbolic] {
        assert_eq!(inputs.replaced_by(output), Some(&*key));
    }
}

#[test]
fn an_input_that_does_not_exist_yet_is_known_by_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = Inputs::new([dir.path().join("ledger")]);
    assert!(inputs.check(&dir.path().join(".").join("ledger")).is_err());
    assert!(inputs.check(&dir.path().join("other")).is_ok());
    assert!(inputs.check(Path::new("/")).is_ok());
}

#[test]
fn one_file_by_two_names_is_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&a, b"x").unwrap();
    fs::write(&b, b"x").unwrap();
    assert!(same_file(&a, &dir.path().join(".").join("a")));
    assert!(!same_file(&a, &b));
    fs::remove_file(&b).unwrap();
    fs::hard_link(&a, &b).unwrap();
    assert_eq!(same_file(&a, &b), cfg!(unix));
}
