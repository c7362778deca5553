//! Tests which settings file otaseal reads.

use super::*;

#[test]
fn the_nearest_file_up_to_the_top_of_the_repository_counts() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let deep = root.join("repo/a/b");
    fs::create_dir_all(&deep).unwrap();
    let put = |name: &str| fs::write(root.join(name).join(FILE_NAME), "").unwrap();
    let found = |at: &str| {
        let file = Settings::find(&root.join(at))?;
        Some(file.strip_prefix(root).unwrap().parent().unwrap().to_str().unwrap().to_owned())
    };
    put("");
    assert_eq!(found("repo/a/b"), None, "outside of a repository only the directory itself");
    assert_eq!(found(""), Some(String::new()));
    // In a worktree, `.git` is a file.
    fs::write(root.join("repo/.git"), "gitdir: elsewhere").unwrap();
    assert_eq!(found("repo/a/b"), None, "never above the repository");
    put("repo");
    assert_eq!(found("repo/a/b").as_deref(), Some("repo"));
    put("repo/a");
    assert_eq!(found("repo/a/b").as_deref(), Some("repo/a"));
    fs::create_dir(root.join("repo/a/b/.git")).unwrap();
    assert_eq!(found("repo/a/b"), None, "a repository in a repository is one of its own");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", deep.join(FILE_NAME)).unwrap();
        assert_eq!(found("repo/a/b").as_deref(), Some("repo/a/b"), "it is there and cannot be read");
    }
}

/// Changes the owner of a file, so it needs root.
#[cfg(unix)]
#[test]
fn a_command_in_a_file_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        Settings::from_file(&path)
    };
    assert!(read("effort = 'max'").is_ok());
    let error = read("effort = 'max'\nsigner-cmd = 'true'").unwrap_err();
    assert!(matches!(error, SettingsError::Stranger { owner: 12345, user: 0, .. }), "{error}");
    std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    assert!(Settings::from_file(&path).is_ok());
}
