//! Asks git whether it tracks the file of a key, and whether it would take the file.

use super::Finding;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file in a repository whose git would take it with the next `git add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NotIgnored {
    /// The file, as the caller named it.
    pub path: PathBuf,
    /// The `.gitignore` at the top of the repository. It may not exist yet.
    pub ignore_file: PathBuf,
    /// The line for that `.gitignore` that matches this file alone.
    pub line: String,
}

impl fmt::Display for NotIgnored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "git does not ignore {}: `git add` would take it", self.path.display())
    }
}

/// What git would do with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InGit {
    /// There is no repository around the file.
    NoRepository,
    /// Git ignores the file.
    Ignored,
    /// Git would take the file, or has it already.
    NotIgnored(NotIgnored),
    /// Git did not answer.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// Looks for a repository around the file, and asks git what it would do with the file. The file exists.
pub fn in_git(path: &Path) -> InGit {
    let Some((full, top)) = repository(path) else { return InGit::NoRepository };
    // This command takes names, not patterns.
    match ask(&full, &["check-ignore", "-q"]) {
        Ok(true) => InGit::Ignored,
        Ok(false) => {
            let inside = full.strip_prefix(&top).unwrap_or(&full);
            InGit::NotIgnored(NotIgnored {
                path: path.into(),
                ignore_file: top.join(".gitignore"),
                line: ignore_line(inside),
            })
        }
        Err(why) => InGit::Unknown { why },
    }
}

/// Returns the line of a `.gitignore` for one file, which `inside` names from the top of the repository. Some characters
/// of a name would otherwise be a pattern (gitignore(5)).
fn ignore_line(inside: &Path) -> String {
    let mut line = String::new();
    for part in inside {
        line.push('/');
        for letter in part.to_string_lossy().chars() {
            if matches!(letter, '\\' | '*' | '?' | '[' | ' ') {
                line.push('\\');
            }
            line.push(letter);
        }
    }
    line
}

/// Finds the repository around a file. Returns the file's full path, and the top of the repository. To start git takes
/// as long as to sign an image, so otaseal asks it only where there is a repository.
fn repository(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let path = path.canonicalize().ok()?;
    let top = path.ancestors().skip(1).find(|folder| folder.join(".git").exists())?.to_owned();
    Some((path, top))
}

pub(super) fn tracked_by_git(path: &Path) -> Option<Finding> {
    let (path, _) = repository(path)?;
    // A file name is not a pattern: `k*` would match other files.
    match ask(&path, &["--literal-pathspecs", "ls-files", "--error-unmatch"]) {
        Ok(true) => Some(Finding::TrackedByGit { path }),
        Ok(false) => None,
        Err(why) => Some(Finding::GitUnknown { path, why }),
    }
}

/// Returns git's answer about a file, or why there is none. Git does not answer about a repository of another user.
fn ask(path: &Path, question: &[&str]) -> Result<bool, String> {
    let unknown = || "git could not say".to_owned();
    let (directory, name) = path.parent().zip(path.file_name()).ok_or_else(unknown)?;
    let mut git = Command::new("git");
    // `:key.pem` alone would ask about `key.pem`.
    git.args(question).arg("--").arg(Path::new(".").join(name)).current_dir(directory);
    // A hook or a script may work with another repository. The question is about the one around the file.
    git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
    let status = git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status.map(|status| status.code()) {
        Ok(Some(0)) => Ok(true),
        Ok(Some(1)) => Ok(false),
        Ok(_) => Err(unknown()),
        Err(error) => Err(format!("git could not be started: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::has_tool;
    use std::fs;

    fn git(directory: &Path, args: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.org"]).args(args).current_dir(directory);
        git.env_remove("GIT_DIR").env_remove("GIT_INDEX_FILE").env_remove("GIT_WORK_TREE");
        assert!(git.output().unwrap().status.success(), "git {args:?}");
    }

    fn is_tracked(path: &Path) -> bool {
        match tracked_by_git(path) {
            Some(Finding::TrackedByGit { .. }) => true,
            None => false,
            other => panic!("{}: {other:?}", path.display()),
        }
    }

    #[test]
    fn the_line_for_gitignore_hides_this_file_alone() {
        if !has_tool("git") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        fs::create_dir(top.join("my keys")).unwrap();
        let names =
            ["private.pem", "my keys/[x].pem", "my keys/:a*b?.pem", "#key\\.pem", "!key.pem ", "other.pem"];
        let names: Vec<_> =
            names.into_iter().filter(|name| !cfg!(windows) || !name.contains(['?', ':', '\\'])).collect();
        for name in &names {
            fs::write(top.join(name), name).unwrap();
            assert_eq!(in_git(&top.join(name)), InGit::NoRepository);
        }
        git(&top, &["init", "-q"]);
        for name in &names {
            fs::remove_file(top.join(".gitignore")).ok();
            let InGit::NotIgnored(found) = in_git(&top.join(name)) else { panic!("{name}") };
            assert_eq!((&found.path, &found.ignore_file), (&top.join(name), &top.join(".gitignore")));
            fs::write(found.ignore_file, found.line + "\n").unwrap();
            for other in &names {
                let ignored = in_git(&top.join(other)) == InGit::Ignored;
                assert_eq!(ignored, name == other, "{name} and {other}");
            }
        }
    }

    #[test]
    fn git_answers_about_this_file_alone() {
        if !has_tool("git") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        fs::create_dir(top.join("keys")).unwrap();
        // Names that are the end of another's, or a pattern that matches another's.
        let tracked = ["keys/private.pem", "keys/[x].pem", "top.pem"];
        let untracked = ["keys/other.pem", "keys/p?ivate.pem", "keys/:private.pem", "private.pem"];
        for name in
            tracked.iter().chain(&untracked).filter(|name| !cfg!(windows) || !name.contains(['?', ':']))
        {
            fs::write(top.join(name), name).unwrap();
        }
        assert!(tracked.iter().all(|name| !is_tracked(&top.join(name))), "there is no repository");
        git(top, &["init", "-q"]);
        assert!(tracked.iter().all(|name| !is_tracked(&top.join(name))), "there is no index yet");
        git(top, &[&["--literal-pathspecs", "add"][..], &tracked].concat());
        for name in tracked {
            assert!(is_tracked(&top.join(name)), "{name}");
        }
        for name in untracked {
            assert!(!is_tracked(&top.join(name)), "{name}");
        }
        // A second work tree has an index of its own.
        git(top, &["commit", "-qm", "x"]);
        git(top, &["worktree", "add", "-q", "second"]);
        fs::write(top.join("second/new.pem"), "x").unwrap();
        assert!(is_tracked(&top.join("second/keys/private.pem")));
        assert!(!is_tracked(&top.join("second/new.pem")));
    }
}
