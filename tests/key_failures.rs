//! Tests power cuts and full disks while otaseal makes or changes keys. The result is the old key or the new one, never
//! a piece of either. Other users can read no part of a key.

#![cfg(unix)]

use crate::common::{Bench, OTASEAL};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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

/// Commands that write a private key, each with the file that it would replace.
const COMMANDS: &[(&str, &[&str])] = &[
    ("plain.pem", &["key", "passwd", "plain.pem", "--new-passphrase-file", "new"]),
    ("plain.pem", &["key", "passwd", "plain.pem", "--new-passphrase-file", "new", "--kdf", "pbkdf2"]),
    (
        "locked.pem",
        &["key", "passwd", "locked.pem", "--passphrase-file", "old", "--new-passphrase-file", "new"],
    ),
    ("locked.pem", &["key", "passwd", "locked.pem", "--passphrase-file", "old", "--remove"]),
    ("out.pem", &["key", "convert", "plain.pem", "-o", "out.pem", "--force"]),
    (
        "out.pem",
        &[
            "key",
            "convert",
            "locked.pem",
            "-o",
            "out.pem",
            "--force",
            "--encrypt",
            "--passphrase-file",
            "old",
        ],
    ),
    ("keys/private.pem", &["keygen", "-o", "keys", "--force"]),
    ("keys/private.pem", &["keygen", "-o", "keys", "--force", "--encrypt", "--passphrase-file", "new"]),
    ("out.pem", &["keygen", "--private", "out.pem", "--public", "-", "--force"]),
];

/// Runs the program with a limit on the size of files, in KiB. A write beyond it fails, as on a full disk.
fn with_full_disk(bench: &Bench, kib: u32, args: &[&str]) -> Output {
    // The signal is ignored, so the write returns an error, as it does on a full disk.
    let script = format!("trap '' XFSZ; ulimit -f {kib}; umask 0; exec \"$0\" \"$@\"");
    Command::new("bash").args(["-c", &script, OTASEAL]).args(args).current_dir(bench.dir()).output().unwrap()
}

/// The disk has room for no byte, or for the public key and a piece of the private one.
#[test]
fn a_full_disk_leaves_the_old_key_and_exit_code_3() {
    let bench = bench();
    let before = files(bench.dir());
    for (_, args) in COMMANDS {
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

/// Starts the program with the widest umask.
fn start(bench: &Bench, args: &[&str]) -> Child {
    let mut command = Command::new("bash");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\"", OTASEAL]).args(args).current_dir(bench.dir());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until a temporary file exists, or the program has ended.
fn wait_for_temporary(directory: &Path, child: &mut Child) {
    let is_temporary = |name: &str| name.starts_with(".otaseal-");
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
        let mut names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        if names.any(|name| name.to_str().is_some_and(is_temporary)) {
            return;
        }
    }
}

/// Tells from the key id whether a file holds the old key or the new one, whole.
fn is_whole(bench: &Bench, file: &str) -> bool {
    [OLD, NEW].iter().any(|passphrase| {
        let mut openssl = Command::new("openssl");
        openssl.args(["rsa", "-check", "-noout", "-in", file, "-passin"]).arg(format!("pass:{passphrase}"));
        openssl.current_dir(bench.dir()).output().unwrap().status.success()
    })
}

#[test]
fn kill_at_any_moment_leaves_the_old_key_or_the_new_one() {
    let mut interrupted = 0;
    // Use only commands that derive at most one key from a passphrase. The others take seconds and write in the same
    // way.
    let quick = COMMANDS.iter().filter(|(_, args)| !args.contains(&"pbkdf2") && !args.contains(&"--encrypt"));
    for (file, args) in quick {
        let bench = bench();
        let saved = files(bench.dir());
        let path = bench.path(file);
        let old = bench.read(file);
        for round in 0..6u64 {
            let mut child = start(&bench, args);
            wait_for_temporary(path.parent().unwrap(), &mut child);
            // The program makes, encrypts and writes the key in this time. Most of it passes before the file exists.
            let wait = if args[0] == "keygen" { round * 30_000 } else { round * 80 };
            thread::sleep(Duration::from_micros(wait));
            child.kill().unwrap();
            child.wait().unwrap();
            let found = bench.read(file);
            assert!(found == old || is_whole(&bench, file), "{args:?}, round {round}: {} bytes", found.len());
            for (name, bytes) in files(bench.dir()) {
                let mode = fs::metadata(&name).unwrap().permissions().mode() & 0o777;
                let ours = !saved.contains_key(&name) || (found != old && Path::new(&name) == path);
                // All users may read the public key.
                let public =
                    bytes.is_empty() || b"-----BEGIN PUBLIC".starts_with(&bytes[..bytes.len().min(17)]);
                assert!(!ours || mode == 0o600 || public, "{args:?}, round {round}: {name} is {mode:o}");
                if !saved.contains_key(&name) {
                    assert!(name.contains("/.otaseal-"), "{args:?}, round {round}: {name}");
                    interrupted += u32::from(found == old);
                }
            }
            for name in files(bench.dir()).keys().filter(|name| !saved.contains_key(*name)) {
                fs::remove_file(name).unwrap();
            }
            saved.iter().for_each(|(name, bytes)| fs::write(name, bytes).unwrap());
        }
    }
    assert!(interrupted > 0, "no kill came between the first byte and the rename: the test proves nothing");
}
