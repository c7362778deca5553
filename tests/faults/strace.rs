//! Runs the program under strace, which lists system calls and makes one of them fail.

use crate::common::OTASEAL;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The calls that touch files.
const CALLS: &str = "openat,write,fsync,fdatasync,ftruncate,linkat,link,rename,renameat,renameat2,unlink,unlinkat,\
                     mkdir,chmod,fchmod,flock,copy_file_range";

/// One system call of the undisturbed run.
#[derive(Debug, Clone)]
pub(super) struct Call {
    name: String,
    /// Its number among the calls of this name, from 1.
    number: usize,
    /// Its arguments, for the report.
    text: String,
}

/// One thing that happens at one call.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    call: Call,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The call returns an error.
    Error(&'static str),
    /// The call returns an error, and the program must go on.
    Hiccup(&'static str),
    /// The program gets a signal before the call.
    Signal(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { name, number, text } = &self.call;
        write!(f, "{:?} at {name} {number} ({text})", self.kind)
    }
}

impl Fault {
    /// Returns the faults that can happen at this call.
    pub(super) fn all(call: &Call) -> Vec<Self> {
        use Kind::{Error, Hiccup, Signal};
        let mut kinds = match &*call.name {
            "openat" if call.text.contains("O_TMPFILE") => {
                vec![Error("EACCES"), Error("ENOSPC"), Hiccup("EOPNOTSUPP"), Hiccup("EINTR")]
            }
            "openat" => vec![Error("EACCES"), Error("EIO"), Hiccup("EINTR")],
            "write" => vec![Error("ENOSPC"), Error("EIO"), Hiccup("EINTR")],
            "fsync" | "fdatasync" => vec![Error("EIO"), Hiccup("EINTR")],
            "flock" => vec![Error("ENOLCK"), Hiccup("EINTR")],
            "linkat" | "link" | "mkdir" => vec![Error("ENOSPC"), Error("EIO")],
            _ => vec![Error("EIO"), Error("EACCES")],
        };
        kinds.extend([Signal("KILL"), Signal("TERM")]);
        kinds.into_iter().map(|kind| Self { call: call.clone(), kind }).collect()
    }

    pub(super) fn is_kill(&self) -> bool {
        self.kind == Kind::Signal("KILL")
    }
}

/// Returns whether strace can trace here. If not, it prints a notice; in CI it fails.
pub(super) fn works() -> bool {
    let output = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    let works = output.as_ref().is_ok_and(|output| output.status.success());
    let why =
        output.map_or_else(|error| error.to_string(), |out| String::from_utf8_lossy(&out.stderr).into());
    assert!(works || std::env::var_os("CI").is_none(), "strace must work in CI (it needs ptrace): {why}");
    if !works {
        eprintln!("SKIPPED: strace does not work here: {why}");
    }
    works
}

fn strace(dir: &Path, options: &[&str], words: &[&str]) -> Output {
    let mut command = Command::new("strace");
    command.args(["-qq", "--signal=none"]).args(options).arg(OTASEAL).args(words).current_dir(dir);
    // The time of an entry in the ledger may differ. Nothing else may.
    command.env_remove("GITHUB_SHA").output().unwrap()
}

/// Makes the file system look like one without unnamed files, if a call opens one.
pub(super) fn without_unnamed(calls: &[Call]) -> Option<String> {
    let call = calls.iter().find(|call| call.text.contains("O_TMPFILE"))?;
    Some(format!("inject=openat:error=EOPNOTSUPP:when={}", call.number))
}

/// Runs a command undisturbed and lists the calls that touch files of this directory. `always` is a fault that belongs
/// to the undisturbed run: calls of its name are not listed.
pub(super) fn calls(dir: &Path, words: &[&str], always: Option<&str>) -> Vec<Call> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let path = log.path().display().to_string();
    let calls = format!("trace={CALLS}");
    let mut options = vec!["-y", "-o", &path, "-e", &calls];
    options.extend(always.iter().flat_map(|always| ["-e", always]));
    let output = strace(dir, &options, words);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "otaseal {words:?}: {stderr}");
    let mut all: Vec<Call> = Vec::new();
    for line in fs::read_to_string(log.path()).unwrap().lines() {
        let Some((name, text)) = line.split_once('(') else { continue };
        let number = all.iter().filter(|call| call.name == name).count() + 1;
        all.push(Call { name: name.into(), number, text: text.chars().take(160).collect() });
    }
    all.retain(|call| touches(call, dir) && (always.is_none() || call.name != "openat"));
    all
}

/// Returns whether a call names a file of the directory, by a descriptor or by a relative path.
fn touches(call: &Call, dir: &Path) -> bool {
    let dir = dir.display().to_string();
    match &*call.name {
        "openat" => {
            let path = call.text.split('"').nth(1).unwrap_or_default();
            path.starts_with(&dir) || !path.starts_with('/')
        }
        "write" | "fsync" | "fdatasync" | "ftruncate" | "flock" | "fchmod" => call.text.contains(&dir),
        _ => true,
    }
}

/// Runs a command with one fault.
pub(super) fn injected(dir: &Path, words: &[&str], fault: &Fault, always: Option<&str>) -> Output {
    let Call { name, number, .. } = &fault.call;
    let what = match fault.kind {
        Kind::Error(error) | Kind::Hiccup(error) => format!("error={error}"),
        Kind::Signal(signal) => format!("signal={signal}"),
    };
    let inject = format!("inject={name}:{what}:when={number}");
    // strace sends a signal only at a call that it lists.
    let listed = format!("trace={name},openat");
    let mut options = vec!["-o", "/dev/null", "-e", &listed, "-e", &inject];
    options.extend(always.iter().flat_map(|always| ["-e", always]));
    strace(dir, &options, words)
}
