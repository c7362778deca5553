//! Tests full disks while otaseal makes or changes keys. The result is the old key or the new one, never a piece of
//! either. `faults.rs` has other faults.

#![cfg(unix)]

use crate::common::{Bench, OTASEAL};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const OLD: &str = "the old passphrase";
const NEW: &str = "the new passphrase";

/// Makes a key pair, the same key under a passphrase, and files with passphrases. All users may read a new file here,
/// unless the program protects it.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.ok(&["keygen", "-o", "keys"]);
    bench.write("old", OLD.as_bytes());
    bench.write("new", NEW.as_bytes());
    let locked =
        "pkcs8 -topk8 -in keys/private.pem -v2 aes-256-cbc -iter 1000 -out locked.pem -passout file:old";
    bench.openssl(locked);
    bench.openssl("pkey -in keys/private.pem -out plain.pem");
    bench.openssl("rsa -in keys/private.pem -traditional -out out.pem");
    bench
}

/// Returns every file, with its name and its bytes.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => {
                found.insert(path.to_str().unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Commands that write a private key.
const COMMANDS: &[&str] = &[
    "key passwd plain.pem --new-passphrase-file new",
    "key passwd plain.pem --new-passphrase-file new --kdf pbkdf2",
    "key passwd locked.pem --passphrase-file old --new-passphrase-file new",
    "key passwd locked.pem --passphrase-file old --remove",
    "key convert plain.pem -o out.pem --force",
    "key convert locked.pem -o out.pem --force --encrypt --passphrase-file old",
    "keygen -o keys --force",
    "keygen -o keys --force --encrypt --passphrase-file new",
    "keygen --private out.pem --public - --force",
];

/// Runs the program with a limit on the size of files, in KiB. A write beyond it fails, as on a full disk.
fn with_full_disk(bench: &Bench, kib: u32, args: &[&str]) -> Output {
    // otaseal does not let the signal end it (SIGXFSZ), so the write returns an error, as it does on a full disk.
    let script = format!("ulimit -f {kib}; umask 0; exec \"$0\" \"$@\"");
    Command::new("bash").args(["-c", &script, OTASEAL]).args(args).current_dir(bench.dir()).output().unwrap()
}

/// The disk has room for no byte, or for the public key and a piece of the private one.
#[test]
fn a_full_disk_leaves_the_old_key_and_exit_code_3() {
    let bench = bench();
    let before = files(bench.dir());
    for command in COMMANDS {
        let args = &command.split(' ').collect::<Vec<_>>();
        for kib in [0, 1] {
            let output = with_full_disk(&bench, kib, args);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{args:?}: {stderr}");
            assert!(stderr.contains("error: ") && stderr.contains("help: "), "{args:?}: {stderr}");
            assert!(!stderr.contains(".otaseal-"), "{args:?}: {stderr}");
            assert!(!stderr.contains(OLD) && !stderr.contains(NEW), "{args:?}: {stderr}");
            assert!(files(bench.dir()) == before, "{args:?} with {kib} KiB changed something");
        }
    }
    // There is no new file at all.
    for args in [
        &["keygen", "-o", "other"][..],
        &["keygen", "-o", "other", "--encrypt", "--passphrase-file", "new"],
        &["key", "convert", "plain.pem", "-o", "other.der", "--der"],
    ] {
        for kib in [0, 1] {
            let output = with_full_disk(&bench, kib, args);
            assert_eq!(output.status.code(), Some(3), "{args:?}");
            assert!(files(bench.dir()) == before, "{args:?} with {kib} KiB left something");
        }
    }
}
