//! Asks git whether it tracks the file of a key.

use super::Finding;
use std::path::Path;
use std::process::{Command, Stdio};

/// Looks for a repository around the file, and asks git only where there is one: to start git takes as long as to sign
/// an image.
pub(super) fn tracked_by_git(path: &Path) -> Option<Finding> {
    let path = path.canonicalize().ok()?;
    path.ancestors().skip(1).find(|folder| folder.join(".git").exists())?;
    match ask(&path) {
        Ok(true) => Some(Finding::TrackedByGit { path }),
        Ok(false) => None,
        Err(why) => Some(Finding::GitUnknown { path, why }),
    }
}

/// Returns git's answer, or why there is none. Git does not answer about a repository of another user.
fn ask(path: &Path) -> Result<bool, String> {
    let unknown = || "git could not say".to_owned();
    let (directory, name) = path.parent().zip(path.file_name()).ok_or_else(unknown)?;
    let mut git = Command::new("git");
    // A file name is not a pattern: `:key.pem` would ask about `key.pem`, and `k*` would match other files.
    git.args(["--literal-pathspecs", "ls-files", "--error-unmatch", "--"]).arg(name).current_dir(directory);
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
