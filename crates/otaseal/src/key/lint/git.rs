//! Whether git has a file. Git says; but it takes longer to start than an image to sign, and where its index does not
//! even hold the file's name there is nothing to ask.

use super::Finding;
use memchr::memmem;
use std::fs::File;
use std::io::Read;
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

/// Versions 2 and 3 of the index hold whole names, each ended by a zero byte (gitformat-index(5)). Version 4 shortens
/// them; with the extensions `link` and `sdir` other entries are elsewhere, or whole directories are one.
fn index_may_name(index: impl Read, name: &[u8]) -> bool {
    let mut bytes = Vec::new();
    if index.take(MAX_INDEX + 1).read_to_end(&mut bytes).is_err() || bytes.len() as u64 > MAX_INDEX {
        return true;
    }
    let has = |part: &[u8]| memmem::find(&bytes, part).is_some();
    let whole_names =
        [2, 3].iter().any(|version| bytes.starts_with(&[b'D', b'I', b'R', b'C', 0, 0, 0, *version]));
    !whole_names || has(b"link") || has(b"sdir") || has(&[name, b"\0"].concat())
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
            for name in ["keys/private.pel", "keys/private.pem", "keys/other.pem", "top.pem", "private.pem"] {
                fs::write(dir.path().join(name), name).unwrap();
            }
            let asked = |name: &str| in_question(&dir.path().join(name)).is_some();
            assert!(!asked("top.pem"), "there is no index yet");
            git(&["add", "keys/private.pel", "keys/private.pem", "top.pem"]);
            for name in ["keys/private.pel", "keys/private.pem", "top.pem"] {
                assert!(asked(name), "{setting}: {name}");
                let found = tracked_by_git(&dir.path().join(name));
                assert!(matches!(found, Some(Finding::TrackedByGit { .. })), "{setting}: {name}: {found:?}");
            }
            assert_eq!(asked("keys/other.pem"), !shortcut, "{setting}");
            assert_eq!(tracked_by_git(&dir.path().join("keys/other.pem")), None);
            // The end of another's name: asked, and git says no.
            assert!(asked("private.pem"), "{setting}");
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
        for index in [&b""[..], b"DIRC", b"DIRC\0\0\0\x05", b"CRID\0\0\0\x02"] {
            assert!(index_may_name(index, b"key.pem"));
        }
        let endless = std::io::repeat(0);
        assert!(index_may_name((&b"DIRC\0\0\0\x02"[..]).chain(endless), b"key.pem"));
        assert!(!index_may_name(&b"DIRC\0\0\0\x02"[..], b"key.pem"));
    }
}
