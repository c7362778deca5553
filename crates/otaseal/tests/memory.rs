//! Tests which bytes are left in memory when a key is dropped. It looks from another process, as a core dump would show
//! the memory.
//!
//! No part of the passphrase may be left, and no part of the key in the forms of key files. The arithmetic in `rsa`
//! makes copies of the primes that it does not wipe, as words with the least significant first. This test does not look
//! for those. To remove them too, use an allocator that wipes freed memory, as the program does. The program's own test
//! looks for them.

#![cfg(target_os = "linux")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "two processes talk, and a skipped test says so"
)]

#[path = "../../../tests/common/memory.rs"]
mod memory;

use memory::Secret;
use otaseal::format::digest::Sha256Digest;
use otaseal::key::PrivateKey;
use otaseal::key::passphrase::PassphraseSource;
use otaseal::sign::{Scheme, Signer};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const PASSPHRASE: &str = "no-such-words-in-a-program-4711";
const DIGEST: Sha256Digest = Sha256Digest([7; 32]);
const ROLE: &str = "OTASEAL_TEST_ROLE";

/// The process to look at. It is a test, so that this binary can start it. Without its variable it does nothing.
#[test]
fn holder_of_a_key() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let bytes = zeroize::Zeroizing::new(fs::read("locked.pem").unwrap());
    let secrets = Some(PassphraseSource::File("passphrase".into()));
    let key = PrivateKey::from_bytes_with(&bytes, &"locked.pem", &secrets).unwrap();
    let signature = key.sign_digest(Scheme::Pkcs1v15Sha256, &DIGEST).unwrap();
    assert_eq!(signature.len(), 256);
    let signature = key.sign_digest(Scheme::Pkcs1v15Sha256, &DIGEST).unwrap();
    assert_eq!(signature.len(), 256);
    let kept = if role == "keeps" { Some(key) } else { None };
    println!("\nready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    drop(kept);
}

/// Returns the secrets in the memory of a process in this role.
fn found(dir: &Path, role: &str, secrets: &[Secret]) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holder_of_a_key", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the process ended too early");
    }
    let found = memory::found(&memory::of(child.id()), secrets);
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    found
}

fn openssl(dir: &Path, words: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(words.split_whitespace()).current_dir(dir).stderr(Stdio::null());
    assert!(openssl.status().unwrap().success(), "openssl {words}");
}

#[test]
fn a_dropped_key_leaves_neither_its_numbers_nor_its_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    openssl(dir, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    fs::write(dir.join("passphrase"), PASSPHRASE).unwrap();
    let Some(numbers) = memory::private_numbers(&dir.join("key.pem")) else { return };
    let passphrase = memory::of_passphrase(PASSPHRASE);
    let secrets = [&numbers[..], &passphrase].concat();
    let of_files = numbers.iter().filter(|(name, _)| name.ends_with(" big-endian"));
    let ours: Vec<_> = of_files.chain(&passphrase).cloned().collect();
    for command in [
        "pkcs8 -topk8 -in key.pem -scrypt -out locked.pem -passout file:passphrase",
        "pkcs8 -topk8 -in key.pem -v2 aes-256-cbc -out locked.pem -passout file:passphrase",
        "rsa -in key.pem -traditional -aes256 -out locked.pem -passout file:passphrase",
    ] {
        openssl(dir, command);
        let kept = found(dir, "keeps", &secrets);
        assert!(kept.iter().any(|name| name.starts_with("p,")), "the search finds what is there: {kept:?}");
        let left = found(dir, "drops", &ours);
        assert!(left.is_empty(), "{command} leaves {left:?}");
    }
}
