//! Makes system calls fail, and kills the program at them: every command that writes files, every call that touches
//! them. strace injects the faults.
//!
//! After each fault, a file is the old one or the new one, no file is left that nothing lists, no signature is without
//! its line in the ledger, and the message is true.

#![cfg(target_os = "linux")]

mod judge;
mod strace;

use self::judge::{Run, Tree};
use self::strace::{Fault, injected};
use crate::common::Bench;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A command to disturb.
struct Case {
    /// The command, with a blank between two words.
    command: &'static str,
    /// Commands that make the state before it.
    before: &'static [&'static str],
    /// Whether the file system has files without names, as most have on Linux.
    unnamed: bool,
    /// Other checks than those for every command.
    more: fn(&Run<'_>) -> Result<(), String>,
}

const fn case(command: &'static str, before: &'static [&'static str]) -> Case {
    Case { command, before, unnamed: true, more: |_| Ok(()) }
}

const SIGN: &str = "sign image.bin -k key.pem -o out";
/// Leaves another file in `out` that [`SIGN`] knows as its own.
const OLDER: &str = "sign image.bin -k key.pem -o out2 --legacy out";
const LEGACY: &str =
    "package image.bin --name fw -k key.pem -o dist --artefacts plain,signed,legacy-sig --ledger LEDGER";
const GZ: &str = "package image.bin --name fw -k key.pem -o dist --artefacts plain,gz,gz-signed";

const CASES: &[Case] = &[
    case(SIGN, &[]),
    case(SIGN, &[OLDER]),
    case("sign image.bin -k key.pem -o through", &[]),
    Case { unnamed: false, ..case("sign image.bin -k key.pem -o out --ledger LEDGER", &[]) },
    Case { unnamed: false, ..case("sign image.bin -k key.pem -o out --ledger LEDGER", &[OLDER]) },
    Case { unnamed: false, ..case("key convert key.pem --der --force -o key.pem", &[]) },
    case("sign image.bin -k key.pem -o out --legacy out2 --ledger LEDGER", &[OLDER]),
    Case { more: judge::package, ..case(LEGACY, &[]) },
    Case { more: judge::package, ..case(GZ, &[LEGACY]) },
    Case { more: judge::pair, ..case("keygen -o keys", &[]) },
    Case { more: judge::pair, ..case("keygen -o keys --force", &["keygen -o keys"]) },
    case("key passwd locked.pem --passphrase-file pass --remove", &[]),
    case("key convert key.pem --der --force -o key.pem", &[]),
    Case {
        more: judge::release,
        ..case(
            "release dist -o bundle -k keep.pem --firmware-key public.pem --ledger LEDGER",
            &["package image.bin --name fw -k key.pem -o dist --release --ledger LEDGER"],
        )
    },
    case("ledger export LEDGER -o out", &[]),
    case("strip signed -o out --overwrite", &[SIGN]),
    case("compress image.bin -o out --effort fast", &[]),
    case("digest image.bin --key public.pem -o out", &[]),
    case("pubkey public.pem --rust -o out", &["pubkey public.pem --rust --form device -o out"]),
];

/// Makes the files that the commands read.
fn inputs() -> Bench {
    let bench = Bench::with_keys();
    // One round, because the time goes into the runs.
    bench.openssl("pkcs8 -topk8 -in key.pem -iter 1 -passout pass:tr0mbone-quarry-14 -out locked.pem");
    bench.ok(&["sign", "image.bin", "-o", "signed", "-k", "key.pem", "--ledger", "LEDGER"]);
    std::os::unix::fs::symlink("target", bench.path("through")).unwrap();
    bench
}

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

/// Copies a directory to a place in memory.
fn copy(tree: &Tree) -> Bench {
    let bench = Bench::in_memory();
    tree.restore(bench.dir());
    bench
}

#[test]
fn whatever_fails_no_file_is_torn_and_the_message_is_true() {
    if !strace::works() {
        return;
    }
    let inputs = inputs();
    let base = Tree::of(inputs.dir());
    let mut jobs = Vec::new();
    for case in CASES {
        for line in case.before {
            inputs.ok(&words(line));
        }
        let old = Tree::of(inputs.dir());
        let bench = copy(&old);
        let mut calls = strace::calls(bench.dir(), &words(case.command), None);
        let always = if case.unnamed { None } else { strace::without_unnamed(&calls) };
        if always.is_some() {
            old.restore(bench.dir());
            calls = strace::calls(bench.dir(), &words(case.command), always.as_deref());
        }
        let new = Tree::of(bench.dir());
        assert!(calls.len() > 2, "{}: {calls:?}", case.command);
        let faults: Vec<Fault> = calls.iter().flat_map(Fault::all).collect();
        jobs.push((case, old, new, always, faults));
        base.restore(inputs.dir());
    }
    let all: Vec<_> = jobs.iter().flat_map(|job| job.4.iter().map(move |fault| (job, fault))).collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = 2 * thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(((case, old, new, always, _), fault)) =
                    all.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if let Err(what) = disturb(case, [old, new], fault, always.as_deref()) {
                        let text = format!("otaseal {}\n  {fault}: {what}", case.command);
                        wrong.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(all.len() > 300, "only {} faults: the test proves little", all.len());
    assert!(wrong.is_empty(), "{} of {} faults:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

/// Runs a command with one fault and judges what is left.
fn disturb(case: &Case, [old, new]: [&Tree; 2], fault: &Fault, always: Option<&str>) -> Result<(), String> {
    let bench = copy(old);
    let output = injected(bench.dir(), &words(case.command), fault, always);
    let run =
        Run { command: case.command, bench: &bench, old, new, now: Tree::of(bench.dir()), fault, output };
    judge::every(&run)?;
    (case.more)(&run)
}

/// Counts as a file of a run that was killed.
fn is_temporary(path: &str) -> bool {
    Path::new(path).components().any(|part| part.as_os_str().to_string_lossy().starts_with(".otaseal-"))
}

/// Reads the file of a directory that may be missing.
fn read(dir: &Path, name: &str) -> Option<Vec<u8>> {
    fs::read(dir.join(name)).ok()
}
