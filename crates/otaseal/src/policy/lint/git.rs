//! Whether git has a file. Its index says, where it has one of the usual forms; otherwise git is asked, which takes longer to
//! start than an image to sign, and gives no answer about another user's repository, as it is in many a CI job.

use super::Finding;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Largest index that is searched, in bytes: git reads it faster than it would be read here.
const MAX_INDEX: u64 = 16 << 20;

pub(super) fn tracked_by_git(path: &Path) -> Option<Finding> {
    let path = path.canonicalize().ok()?;
    let top = path.ancestors().skip(1).find(|folder| folder.join(".git").exists())?;
    let known = match has(top, &path) {
        Some(known) => Ok(known),
        None => ask(&path),
    };
    match known {
        Ok(true) => Some(Finding::TrackedByGit { path }),
        Ok(false) => None,
        Err(why) => Some(Finding::GitUnknown { path, why }),
    }
}

/// What git says, or why it does not.
fn ask(path: &Path) -> Result<bool, String> {
    let unknown = || "git could not say".to_owned();
    let (directory, name) = path.parent().zip(path.file_name()).ok_or_else(unknown)?;
    let mut git = Command::new("git");
    git.args(["ls-files", "--error-unmatch", "--"]).arg(name).current_dir(directory);
    // The repository around the file is asked about, not another that a hook or a script works with.
    git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
    let status = git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status.map(|status| status.code()) {
        Ok(Some(0)) => Ok(true),
        Ok(Some(1)) => Ok(false),
        Ok(_) => Err(unknown()),
        Err(error) => Err(format!("git could not be started: {error}")),
    }
}

/// What the index of the repository in `top` says of a file, if it can be read here.
fn has(top: &Path, file: &Path) -> Option<bool> {
    let directory = directory(top)?;
    let name = file.strip_prefix(top).ok()?.as_os_str().as_encoded_bytes();
    let index = match File::open(directory.join("index")) {
        Ok(index) => BufReader::with_capacity(16 << 10, index.take(MAX_INDEX)),
        // A repository without an index has no file.
        Err(error) if error.kind() == io::ErrorKind::NotFound && directory.join("HEAD").is_file() => {
            return Some(false);
        }
        Err(_) => return None,
    };
    match names(index, name) {
        Ok(true) => Some(true),
        // Elsewhere the case of a name need not count, and its separator is another.
        Ok(false) if cfg!(target_os = "linux") => Some(false),
        _ => None,
    }
}

/// Where the repository keeps its files: `.git`, or what a file of this name points to, in a submodule or a further work
/// tree (gitrepository-layout(5)).
fn directory(top: &Path) -> Option<PathBuf> {
    /// Longest path that Linux opens, in bytes (PATH_MAX), with what stands before it.
    const LONGEST: u64 = 4096 + 16;
    let git = top.join(".git");
    if fs::metadata(&git).ok()?.is_dir() {
        return Some(git);
    }
    let mut text = String::new();
    File::open(git).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(top.join(text.strip_prefix("gitdir: ")?.trim_end_matches(['\r', '\n'])))
}

/// Reads an index of version 2 or 3 with SHA-1 (gitformat-index(5)). An error for every other: version 4 shortens names, in
/// a split index entries are elsewhere, in a sparse one a directory stands for what is in it.
fn names(mut index: impl BufRead, name: &[u8]) -> io::Result<bool> {
    const DIRECTORY: u32 = 0o040_000;
    const SHA1: usize = 20;
    /// Longest path that Linux opens, in bytes (PATH_MAX).
    const LONGEST: u64 = 4096;
    let unknown = || io::Error::from(io::ErrorKind::InvalidData);
    let number =
        |bytes: &[u8]| bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or_else(unknown);
    let mut header = [0; 12];
    index.read_exact(&mut header)?;
    if !header.starts_with(b"DIRC") || !matches!(number(&header[4..])?, 2 | 3) {
        return Err(unknown());
    }
    let (mut fixed, mut path) = ([0; 62], Vec::new());
    for _ in 0..number(&header[8..])? {
        index.read_exact(&mut fixed)?;
        let flags = u16::from_be_bytes([fixed[60], fixed[61]]);
        let more_flags = usize::from(flags & 0x4000 != 0) * 2;
        index.read_exact(&mut [0; 2][..more_flags])?;
        path.clear();
        index.by_ref().take(LONGEST).read_until(0, &mut path)?;
        let path = path.strip_suffix(&[0]).ok_or_else(unknown)?;
        let length = usize::from(flags & 0xFFF);
        if number(&fixed[24..])? == DIRECTORY || (length < 0xFFF && length != path.len()) {
            return Err(unknown());
        }
        if path == name {
            return Ok(true);
        }
        // At least one zero byte, and as many more as make the entry's length a multiple of eight.
        let padding = 7 - (fixed.len() + more_flags + path.len()) % 8;
        index.read_exact(&mut [0; 7][..padding])?;
    }
    let mut rest = Vec::new();
    index.read_to_end(&mut rest)?;
    let mut rest = &rest[..];
    while rest.len() > SHA1 {
        let (signature, extension) = rest.split_first_chunk::<4>().ok_or_else(unknown)?;
        // What does not begin with a capital letter must be understood.
        if !signature[0].is_ascii_uppercase() {
            return Err(unknown());
        }
        let length = 4 + number(extension)? as usize;
        rest = extension.get(length..).ok_or_else(unknown)?;
    }
    if rest.len() == SHA1 { Ok(false) } else { Err(unknown()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::has_tool;

    /// Whatever git's index looks like, it is known which files git has; of the usual one, without git.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_git_has_is_known() {
        if !has_tool("git") {
            return;
        }
        for (setting, is_read) in [
            ("index.version=2", true),
            ("index.version=3", true),
            ("index.version=4", false),
            ("core.splitIndex=true", false),
            ("index.sparse=true", true),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let git = |args: &[&str]| {
                let mut git = Command::new("git");
                git.args(["-c", setting, "-c", "user.name=x", "-c", "user.email=x@example.org"]);
                git.env_remove("GIT_DIR").env_remove("GIT_INDEX_FILE").env_remove("GIT_WORK_TREE");
                assert!(
                    git.args(args).current_dir(dir.path()).output().unwrap().status.success(),
                    "git {args:?}"
                );
            };
            git(&["init", "-q"]);
            fs::create_dir(dir.path().join("keys")).unwrap();
            for name in
                ["keys/private.pel", "keys/private.pem", "keys/other.pem", "top.pem", "private.pem", "link"]
            {
                fs::write(dir.path().join(name), name).unwrap();
            }
            let top = dir.path().canonicalize().unwrap();
            let read = |top: &Path, name: &str| has(top, &top.join(name));
            assert_eq!(read(&top, "top.pem"), Some(false), "there is no index yet");
            git(&["add", "keys/private.pel", "keys/private.pem", "link", "top.pem"]);
            for name in ["keys/private.pel", "keys/private.pem", "top.pem"] {
                assert_ne!(read(&top, name), Some(false), "{setting}: {name}");
                assert!(!is_read || read(&top, name) == Some(true), "{setting}: {name}");
                let found = tracked_by_git(&dir.path().join(name));
                assert!(matches!(found, Some(Finding::TrackedByGit { .. })), "{setting}: {name}: {found:?}");
            }
            // The second is the end of another's name.
            for name in ["keys/other.pem", "private.pem"] {
                assert_eq!(read(&top, name), is_read.then_some(false), "{setting}: {name}");
                assert_eq!(tracked_by_git(&top.join(name)), None);
            }
            // A second work tree has its index elsewhere.
            git(&["commit", "-qm", "x"]);
            git(&["worktree", "add", "-q", "second"]);
            let second = top.join("second");
            fs::write(second.join("new.pem"), "x").unwrap();
            assert!(!is_read || read(&second, "keys/private.pem") == Some(true), "{setting}");
            assert!(!is_read || read(&second, "new.pem") == Some(false), "{setting}");
            let found = tracked_by_git(&second.join("keys/private.pem"));
            assert!(matches!(found, Some(Finding::TrackedByGit { .. })), "{setting}: {found:?}");
            assert_eq!(tracked_by_git(&second.join("new.pem")), None);
        }
    }

    #[test]
    fn an_index_that_is_none_leaves_the_question_open() {
        // No entry, one extension that may be passed over, and the checksum.
        let index = [&b"DIRC\0\0\0\x02\0\0\0\0TREE\0\0\0\x03abc"[..], &[7; 20]].concat();
        assert!(!names(&index[..], b"key.pem").unwrap());
        // Cut where the rest is as long as a checksum, it could be one.
        for length in (0..index.len()).filter(|length| *length != 12 + 20) {
            assert!(names(&index[..length], b"key.pem").is_err(), "{length} bytes");
        }
        for (at, byte) in [(0, b'C'), (7, 4), (7, 1), (11, 1), (12, b't'), (19, 4), (19, 2), (16, 0xFF)] {
            let mut other = index.clone();
            other[at] = byte;
            assert!(names(&other[..], b"key.pem").is_err(), "byte {at}");
        }
        let endless = BufReader::new((&index[..]).chain(io::repeat(0)).take(MAX_INDEX));
        assert!(names(endless, b"key.pem").is_err());
    }
}
