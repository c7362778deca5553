//! What is left in memory when a key is dropped: looked at from outside, in another process, as a core dump would
//! show it.
//!
//! Nothing of the passphrase and nothing of the key in the forms that files have. The arithmetic below, in `rsa`, makes
//! copies of the primes that it does not wipe; they are its own words, least significant first, and are not looked for
//! here. Whoever must be rid of these too takes an allocator that wipes what is given back.

#![cfg(target_os = "linux")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "two processes talk, and a skipped test says so"
)]

use otaseal::key::PrivateKey;
use otaseal::key::passphrase::PassphraseSource;
use otaseal::sign::{Scheme, Signer};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const PASSPHRASE: &str = "no-such-words-in-a-program-4711";
const ROLE: &str = "OTASEAL_TEST_ROLE";
const NUMBERS: &str = "
from cryptography.hazmat.primitives.serialization import load_pem_private_key
numbers = load_pem_private_key(open('key.pem', 'rb').read(), None).private_numbers()
for name in ('p', 'q', 'd', 'dmp1', 'dmq1', 'iqmp'):
    print(name, '%0512x' % getattr(numbers, name))
";

/// The process that is looked at. It is a test so that it can be started as one; by itself it does nothing.
#[test]
fn holder_of_a_key() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let bytes = zeroize::Zeroizing::new(fs::read("locked.pem").unwrap());
    let secrets = Some(PassphraseSource::File("passphrase".into()));
    let key = PrivateKey::from_bytes_with(&bytes, &"locked.pem", &secrets).unwrap();
    let signature = key.sign_digest(Scheme::Pkcs1v15Sha256, &[7; 32]).unwrap();
    assert_eq!(signature.len(), 256);
    let signature = key.sign_digest(Scheme::Pkcs1v15Sha256, &[7; 32]).unwrap();
    assert_eq!(signature.len(), 256);
    let kept = if role == "keeps" { Some(key) } else { None };
    println!("\nready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    drop(kept);
}

/// Everything that a process can read of itself.
fn memory_of(process: u32) -> Vec<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut regions = Vec::new();
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        // What is mapped from a file and cannot be written holds no secrets.
        if !rest.starts_with("rw") || end - start > 1 << 30 {
            continue;
        }
        let mut bytes = vec![0; (end - start) as usize];
        let read = memory.seek(SeekFrom::Start(start)).and_then(|_| memory.read_exact(&mut bytes));
        if read.is_ok() {
            regions.push(bytes);
        }
    }
    regions
}

/// The secrets that are found in the memory of a process of this role.
fn found(dir: &Path, role: &str, secrets: &[(String, Vec<u8>)]) -> Vec<String> {
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
    let memory = memory_of(child.id());
    assert!(memory.iter().map(Vec::len).sum::<usize>() > 100_000, "its memory could not be read");
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    let is_there = |secret: &[u8]| memory.iter().any(|region| memchr::memmem::find(region, secret).is_some());
    secrets.iter().filter(|(_, secret)| is_there(secret)).map(|(name, _)| name.clone()).collect()
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
    let numbers = Command::new("python3").args(["-c", NUMBERS]).current_dir(dir).output();
    let Some(numbers) = numbers.ok().filter(|output| output.status.success()) else {
        assert!(std::env::var_os("CI").is_none(), "python3 has no cryptography, and this is CI");
        eprintln!("SKIPPED: python3 has no cryptography");
        return;
    };
    let mut secrets = Vec::new();
    for line in String::from_utf8(numbers.stdout).unwrap().lines() {
        let (name, hex) = line.split_once(' ').unwrap();
        let digits = hex.trim_start_matches('0');
        let digits = if digits.len() % 2 == 1 { &hex[hex.len() - digits.len() - 1..] } else { digits };
        let bytes: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect();
        // From the middle, so that a number that is one larger or smaller is found as well.
        let window = bytes[32..64].to_vec();
        secrets.push((format!("{name}, big-endian"), window.clone()));
        secrets.push((format!("{name}, little-endian"), window.into_iter().rev().collect()));
    }
    secrets.push(("the passphrase".into(), PASSPHRASE.into()));
    // HMAC's two pads, RFC 2104.
    for pad in [0x36, 0x5C] {
        let padded = PASSPHRASE.bytes().map(|byte| byte ^ pad).collect();
        secrets.push((format!("the passphrase under the pad {pad:02x}"), padded));
    }
    let ours: Vec<_> = secrets.iter().filter(|(name, _)| !name.ends_with("little-endian")).cloned().collect();
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
