//! Tests with bad keys, which Python makes as the faulty key generators did, and with good keys of our own.

use super::*;
use crate::key::PrivateKey;
use crate::key::encryption::Kdf;
use crate::testing::{openssl, skipped};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// Prints moduli of 2048 bits as `NAME HEX`.
const SCRIPT: &str = "
import random
random.seed(1)
def is_prime(n):
    if any(n % p == 0 for p in (2,3,5,7,11,13,17,19,23,29,31,37)): return False
    d, s = n - 1, 0
    while d % 2 == 0: d //= 2; s += 1
    for a in (2,3,5,7,11,13,17,19,23,29,31,37):
        x = pow(a, d, n)
        if x in (1, n - 1): continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1: break
        else: return False
    return True
def next_prime(n):
    n |= 1
    while not is_prime(n): n += 2
    return n
def top(bits):
    return random.getrandbits(bits) | 3 << (bits - 2)
p = next_prime(top(1024))
print('next', hex(p * next_prime(p + 2))[2:])
print('close', hex(p * next_prime(p + (1 << 514)))[2:])
print('same-upper-half', hex(p * next_prime((p >> 512 << 512) + random.getrandbits(511)))[2:])
print('square', hex(p * p)[2:])
print('far', hex(p * next_prime(p + (1 << 1000)))[2:])
print('good', hex(p * next_prime(top(1024)))[2:])
small = [n for n in range(2, 702) if all(n % d for d in range(2, n))]
M = 1
for q in small: M *= q
assert len(small) == 126
def rsalib():
    while True:
        k = top(1024) // M
        n = k * M + pow(65537, random.getrandbits(200), M)
        if n.bit_length() == 1024 and n >> 1022 == 3 and is_prime(n): return n
a, b = rsalib(), rsalib()
print('roca', hex(a * b)[2:])
print('half-roca', hex(a * p)[2:])
print('small-factor', hex(1019 * next_prime(random.getrandbits(2038) | 3 << 2036))[2:])
";

/// Returns the moduli of [`SCRIPT`], or `None` without Python.
fn moduli() -> Option<Vec<(String, Vec<u8>)>> {
    let Ok(output) = Command::new("python3").args(["-c", SCRIPT]).output() else {
        skipped("python3 is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let (name, hex) = line.split_once(' ').unwrap();
        let hex = format!("{hex:0>512}");
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        (name.to_owned(), bytes.collect())
    };
    Some(text.lines().map(line).collect())
}

#[test]
fn moduli_that_can_be_factored_are_found_and_others_are_not() {
    let Some(moduli) = moduli() else { return };
    assert_eq!(moduli.len(), 9);
    for (name, bytes) in moduli {
        let found = modulus::lint(&bytes);
        let expected = match name.as_str() {
            "next" => matches!(found[..], [Finding::CloseFactors { steps: 1 }]),
            "close" | "same-upper-half" => matches!(found[..], [Finding::CloseFactors { .. }]),
            "square" => matches!(found[..], [Finding::CloseFactors { steps: 0 }]),
            "roca" => found == [Finding::Roca],
            "small-factor" => found == [Finding::SmallFactor { factor: 1019 }],
            "far" | "good" | "half-roca" => found.is_empty(),
            _ => false,
        };
        assert!(expected, "{name}: {found:?}");
        // Reading the key accepts these numbers.
        if let Ok(key) = PublicKey::from_numbers(&bytes, &[1, 0, 1]) {
            let refused = public_key(&key).iter().any(|finding| finding.severity() == Severity::Refuse);
            assert_eq!(refused, !matches!(name.as_str(), "far" | "good" | "half-roca"), "{name}");
        } else {
            panic!("{name} is no key");
        }
    }
}

/// Checks a hundred keys that otaseal makes.
#[test]
fn a_hundred_good_keys_have_no_finding_and_take_no_time() {
    let mut time = Duration::ZERO;
    for _ in 0..100 {
        let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        let start = Instant::now();
        let findings = public_key(key.public());
        time += start.elapsed();
        assert_eq!(findings, [Finding::GoodThrough2030]);
    }
    assert!(time < Duration::from_secs(1), "{time:?} for 100 keys");
    let large = PrivateKey::generate(KeySize::Rsa3072).unwrap();
    assert_eq!(public_key(large.public()), []);
}

#[test]
fn a_published_key_has_no_other_finding() {
    let bytes = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../keys.example/private.pem"));
    let key = PrivateKey::from_bytes(bytes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("private.pem");
    fs::write(&path, bytes).unwrap();
    let findings = signing_key(key.public(), Kept::File(&KeyFile::new(&path, None)));
    assert!(matches!(findings[..], [Finding::Published { .. }]), "{findings:?}");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_found() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("private.pem");
    fs::write(&path, "x").unwrap();
    for (mode, found) in [
        (0o600, false),
        (0o400, false),
        (0o700, false),
        (0o640, true),
        (0o604, true),
        (0o620, true),
        (0o644, true),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let findings = private_file(&KeyFile::new(&path, None));
        let expected: &[Finding] = &[Finding::ReadableByOthers { path: path.clone(), mode }];
        assert_eq!(findings, if found { expected } else { &[] }, "{mode:o}");
    }
}

#[test]
fn a_file_that_git_has_is_found() {
    if !crate::testing::has_tool("git") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.org"]).args(args).current_dir(dir.path());
        assert!(git.output().unwrap().status.success(), "git {args:?}");
    };
    fs::create_dir(dir.path().join("keys")).unwrap();
    let path = dir.path().join("keys/private.pem");
    crate::output::write(&path, b"x", crate::output::Overwrite::Refuse, crate::output::Access::OwnerOnly)
        .unwrap();
    assert_eq!(private_file(&KeyFile::new(&path, None)), [], "no repository");
    git(&["init", "-q"]);
    assert_eq!(private_file(&KeyFile::new(&path, None)), [], "untracked");
    git(&["add", "."]);
    let tracked = [Finding::TrackedByGit { path: path.canonicalize().unwrap() }];
    assert_eq!(private_file(&KeyFile::new(&path, None)), tracked, "staged");
    git(&["commit", "-qm", "x"]);
    assert_eq!(private_file(&KeyFile::new(&path, None)), tracked, "committed");
    let link = dir.path().join("link.pem");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&path, &link).unwrap();
    #[cfg(unix)]
    assert_eq!(private_file(&KeyFile::new(&link, None)), tracked, "through a link");
    git(&["rm", "-q", "--cached", "keys/private.pem"]);
    assert_eq!(private_file(&KeyFile::new(&path, None)), [], "forgotten");
}

#[test]
fn a_passphrase_that_protects_little_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    openssl(dir.path(), "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    openssl(dir.path(), "rsa -in key.pem -traditional -aes256 -passout pass:x -out old.pem");
    let bytes = fs::read(dir.path().join("old.pem")).unwrap();
    let findings = private_file(&KeyFile::new(
        &dir.path().join("missing"),
        crate::key::encryption::describe(&bytes).unwrap(),
    ));
    assert!(matches!(findings[..], [Finding::WeakEncryption { .. }]), "{findings:?}");
    assert_eq!(findings[0].severity(), Severity::Warn);
}

/// A release says everything that stands against its key at once. For development the same key may sign.
#[test]
fn a_refused_key_has_every_reason_in_its_error() {
    let reasons = vec![Finding::SmallFactor { factor: 3 }, Finding::TrackedByGit { path: "key.pem".into() }];
    let findings = [&reasons[..], &[Finding::GoodThrough2030]].concat();
    let refused = judge(findings.clone(), Purpose::Release).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "this key may not sign releases: 3 divides the modulus: anybody can compute the private key; git tracks key.pem"
    );
    assert_eq!(judge(findings, Purpose::Development), Ok(reasons));
}

/// What otaseal could not check matters before a release. That a size has an end date is not worth a line.
#[test]
fn a_release_also_says_what_was_not_checked() {
    let encryption = Encryption { cipher: "AES-256-CBC", kdf: Kdf::OpensslMd5 };
    let warns = Finding::WeakEncryption { encryption };
    let unknown = Finding::NotChecked { what: "who may read the file", why: "this is no Unix".into() };
    let findings = vec![Finding::GoodThrough2030, warns.clone(), unknown.clone()];
    assert_eq!(judge(findings.clone(), Purpose::Development), Ok(vec![warns.clone()]));
    assert_eq!(judge(findings, Purpose::Release), Ok(vec![warns, unknown]));
}
