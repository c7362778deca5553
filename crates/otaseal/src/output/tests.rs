//! Tests of writing files.

use super::*;

#[test]
fn a_dropped_file_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let mut pending = Pending::create(&path, Overwrite::Refuse, Access::Public).unwrap();
    pending.write_all(b"half").unwrap();
    drop(pending);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn refuse_keeps_the_old_file_even_when_it_appears_late() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let pending = Pending::create(&path, Overwrite::Refuse, Access::Public).unwrap();
    fs::write(&path, b"other").unwrap();
    assert!(matches!(pending.commit(), Err(OutputError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), b"other");
    let again = Pending::create(&path, Overwrite::Refuse, Access::Public);
    assert!(matches!(again, Err(OutputError::Exists(_))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_directory_and_a_missing_directory_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &Path| write(path, b"x", Overwrite::Replace, Access::Public);
    assert!(matches!(write(dir.path()), Err(OutputError::NotAFile(_))));
    assert!(matches!(write(&dir.path().join("no/out")), Err(OutputError::Io { .. })));
}

#[cfg(unix)]
#[test]
fn a_device_is_not_replaced_by_a_file() {
    let error = write(Path::new("/dev/null"), b"x", Overwrite::Replace, Access::Public);
    assert!(matches!(error, Err(OutputError::NotAFile(_))));
}

#[cfg(unix)]
#[test]
fn a_private_file_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write(&path, b"secret", Overwrite::Refuse, Access::OwnerOnly).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn unchanged_text_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.rs");
    assert_eq!(write_if_changed(&path, b"one").unwrap(), Written::Changed);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(write_if_changed(&path, b"one").unwrap(), Written::Unchanged);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    assert_eq!(write_if_changed(&path, b"on").unwrap(), Written::Changed);
    assert_eq!(fs::read(&path).unwrap(), b"on");
}
