//! Whether git has a file. Git says; but it takes longer to start than an image to sign, and where its index does not
//! even hold the file's name there is nothing to ask.

use super::Finding;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Largest index that is searched, in bytes: git reads it faster than it would be read here.
const MAX_INDEX: u64 = 16 << 20;

/// A file in a repository, by its full path.
struct Tracked {
    file: PathBuf,
    /// The directory that `.git` is in.
    top: PathBuf,
}

pub(super) fn tracked_by_git(path: &Path) -> Option<Finding> {
    let path = in_question(path)?;
    let (directory, name) = (path.parent()?, path.file_name()?);
    let mut git = Command::new("git");
    git.args(["ls-files", "--error-unmatch", "--"]).arg(name).current_dir(directory);
    let status = git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let not_checked = |why: String| Finding::NotChecked { what: "whether git has the file", why };
    match status.map(|status| status.code()) {
        Ok(Some(0)) => Some(Finding::TrackedByGit { path }),
        Ok(Some(1)) => None,
        Ok(_) => Some(not_checked("git could not say".into())),
        Err(error) => Some(not_checked(format!("git could not be started: {error}"))),
    }
}

/// The file's full path, where it lies in a repository that may have it.
fn in_question(path: &Path) -> Option<PathBuf> {
    let file = path.canonicalize().ok()?;
    let top = file.ancestors().skip(1).find(|folder| folder.join(".git").exists())?.to_owned();
    let tracked = Tracked { file, top };
    tracked.may_be().then_some(tracked.file)
}

impl Tracked {
    /// Whether the index can have the file. Only where it is plain to see that it does not, it cannot.
    fn may_be(&self) -> bool {
        // Elsewhere the case of a name need not count, and its separator is another.
        let elsewhere = !cfg!(target_os = "linux")
            || ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"]
                .iter()
                .any(|name| std::env::var_os(name).is_some());
        let (false, Some(name)) = (elsewhere, self.name()) else { return true };
        let git = self.top.join(".git");
        match File::open(git.join("index")) {
            Ok(index) => index_may_name(index, name),
            // A repository without an index has no file. (Where `.git` is a file, the index is elsewhere.)
            Err(_) => !git.join("HEAD").is_file() || git.join("index").exists(),
        }
    }

    /// As it stands in the index: from the top on.
    fn name(&self) -> Option<&[u8]> {
        self.file.strip_prefix(&self.top).ok().map(|name| name.as_os_str().as_encoded_bytes())
    }
}

/// Whether the index may have a file of this name: also where it cannot be told.
fn index_may_name(index: impl Read, name: &[u8]) -> bool {
    index_names(&mut BufReader::with_capacity(16 << 10, index.take(MAX_INDEX)), name).unwrap_or(true)
}

/// Reads an index of version 2 or 3 with SHA-1 (gitformat-index(5)). An error for every other: version 4 shortens names, in
/// a split index entries are elsewhere, in a sparse one a directory stands for what is in it.
fn index_names(index: &mut impl BufRead, name: &[u8]) -> io::Result<bool> {
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
    use std::fs;

    /// Whatever git's index looks like, a file that git has is in question; and in the usual one no other.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_git_has_is_in_question() {
        if !has_tool("git") {
            return;
        }
        for (setting, shortcut) in [
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
            let asked = |name: &str| in_question(&dir.path().join(name)).is_some();
            assert!(!asked("top.pem"), "there is no index yet");
            git(&["add", "keys/private.pel", "keys/private.pem", "link", "top.pem"]);
            for name in ["keys/private.pel", "keys/private.pem", "top.pem"] {
                assert!(asked(name), "{setting}: {name}");
                let found = tracked_by_git(&dir.path().join(name));
                assert!(matches!(found, Some(Finding::TrackedByGit { .. })), "{setting}: {name}: {found:?}");
            }
            assert_eq!(asked("keys/other.pem"), !shortcut, "{setting}");
            assert_eq!(tracked_by_git(&dir.path().join("keys/other.pem")), None);
            assert_eq!(asked("private.pem"), !shortcut, "{setting}: the end of another's name");
            assert_eq!(tracked_by_git(&dir.path().join("private.pem")), None);
            // A second work tree has its index elsewhere.
            git(&["commit", "-qm", "x"]);
            git(&["worktree", "add", "-q", "second"]);
            assert!(asked("second/keys/private.pem"), "{setting}");
            fs::write(dir.path().join("second/new.pem"), "x").unwrap();
            assert!(asked("second/new.pem"), "{setting}");
        }
    }

    #[test]
    fn an_index_that_is_none_leaves_the_question_open() {
        // No entry, one extension that may be passed over, and the checksum.
        let index = [&b"DIRC\0\0\0\x02\0\0\0\0TREE\0\0\0\x03abc"[..], &[7; 20]].concat();
        assert!(!index_may_name(&index[..], b"key.pem"));
        // Cut where the rest is as long as a checksum, it could be one.
        for length in (0..index.len()).filter(|length| *length != 12 + 20) {
            assert!(index_may_name(&index[..length], b"key.pem"), "{length} bytes");
        }
        for (at, byte) in [(0, b'C'), (7, 4), (7, 1), (11, 1), (12, b't'), (19, 4), (19, 2), (16, 0xFF)] {
            let mut other = index.clone();
            other[at] = byte;
            assert!(index_may_name(&other[..], b"key.pem"), "byte {at}");
        }
        assert!(index_may_name((&index[..]).chain(std::io::repeat(0)), b"key.pem"));
    }
}
