//! Tests of writing files.

use super::*;
use std::fs;
use std::io::Write;

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

/// Makes a directory with `old`, a link to it, a link to a file that does not exist, a link by way of another one, and a
/// circle.
#[cfg(unix)]
fn linked() -> tempfile::TempDir {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/old"), b"old").unwrap();
    for (target, link) in [
        ("sub/old", "link"),
        ("sub/new", "dangling"),
        ("link", "twice"),
        ("round", "circle"),
        ("circle", "round"),
        ("no/new", "nowhere"),
        ("sub", "directory"),
    ] {
        symlink(target, dir.path().join(link)).unwrap();
    }
    dir
}

#[cfg(unix)]
#[test]
fn an_output_goes_through_symbolic_links() {
    let dir = linked();
    let path = |name: &str| dir.path().join(name);
    for (link, target) in [("link", "sub/old"), ("dangling", "sub/new"), ("twice", "sub/old")] {
        for access in [Access::Public, Access::OwnerOnly] {
            write(&path(link), link.as_bytes(), Overwrite::Replace, access).unwrap();
            assert!(path(link).is_symlink() && !path(target).is_symlink(), "{link}");
            assert_eq!(fs::read_to_string(path(target)).unwrap(), link);
        }
        let refused = write(&path(link), b"x", Overwrite::Refuse, Access::Public);
        assert!(matches!(refused, Err(OutputError::Exists(named)) if named == path(link)));
    }
    write(&path("directory/in"), b"x", Overwrite::Refuse, Access::Public).unwrap();
    assert!(path("sub/in").exists());
    for (link, is_io) in [("circle", true), ("nowhere", true), ("directory", false)] {
        let error = write(&path(link), b"x", Overwrite::Replace, Access::Public).unwrap_err();
        assert_eq!(matches!(error, OutputError::Io { .. }), is_io, "{link}: {error}");
        assert!(error.to_string().contains(link) && path(link).is_symlink(), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 3, "no temporary file is left");
}

#[cfg(unix)]
#[test]
fn an_entry_of_a_directory_is_replaced_itself() {
    let dir = linked();
    for link in ["link", "dangling", "twice", "circle", "nowhere", "directory"] {
        let path = dir.path().join(link);
        let mut pending =
            Pending::create_entry(&Run::default(), &path, Overwrite::Replace, Access::Public).unwrap();
        pending.write_all(link.as_bytes()).unwrap();
        pending.commit().unwrap();
        assert!(!path.is_symlink() && fs::read_to_string(path).unwrap() == link);
    }
    assert_eq!(fs::read_to_string(dir.path().join("sub/old")).unwrap(), "old");
    assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 1);
    let directory =
        Pending::create_entry(&Run::default(), &dir.path().join("sub"), Overwrite::Replace, Access::Public);
    assert!(matches!(directory, Err(OutputError::NotAFile(_))));
}

/// The ledger is made between the check and the output.
#[cfg(unix)]
#[test]
fn a_dangling_link_to_an_input_is_the_input() {
    let dir = linked();
    let inputs = Inputs::new([dir.path().join("sub/new")]);
    assert!(matches!(inputs.check(&dir.path().join("dangling")), Err(OutputError::IsInput { .. })));
    inputs.check(&dir.path().join("nowhere")).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_being_written_has_no_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("old"), b"old").unwrap();
    for name in ["old", "new"] {
        let mut pending =
            Pending::create(&dir.path().join(name), Overwrite::Replace, Access::Public).unwrap();
        pending.write_all(b"whole").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(pending);
    }
}

/// A text of ours names otaseal.
const OURS: &[u8] = b"// by otaseal, 1";

#[test]
fn an_output_replaces_only_what_otaseal_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let write = |bytes: &[u8]| {
        let mut pending = Pending::create_over(&path, Made::begins_as(OURS), Access::Public)?;
        pending.write_all(bytes).unwrap();
        pending.commit()
    };
    write(OURS).unwrap();
    write(b"// by otaseal, 2").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"// by otaseal, 2");
    // `mktemp` made this one.
    fs::write(&path, b"").unwrap();
    write(OURS).unwrap();
    for foreign in [&b"mine"[..], b"// by otase", b"x// by otaseal, 1"] {
        fs::write(&path, foreign).unwrap();
        assert!(matches!(write(OURS), Err(OutputError::Foreign(_))));
        assert_eq!(fs::read(&path).unwrap(), foreign);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_foreign_file_that_appears_late_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let begin = || Pending::create_over(&path, Made::begins_as(OURS), Access::Public).unwrap();
    // Where there was nothing, and where there was a file of ours.
    for before in [None, Some(OURS)] {
        let _ = fs::remove_file(&path);
        before.map_or(Ok(()), |bytes| fs::write(&path, bytes)).unwrap();
        let pending = begin();
        fs::write(&path, b"another run's").unwrap();
        assert!(matches!(pending.commit(), Err(OutputError::Foreign(_))));
        assert_eq!(fs::read(&path).unwrap(), b"another run's");
        // Another run of ours made it meanwhile: the last one wins.
        fs::remove_file(&path).unwrap();
        let mut pending = begin();
        fs::write(&path, OURS).unwrap();
        pending.write_all(b"last").unwrap();
        pending.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"last");
    }
}

#[test]
fn a_dry_run_notes_what_it_does_not_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("old"), b"old").unwrap();
    let run = Run::dry();
    let write = |name: &str| run.write(&path(name), b"new bytes", Overwrite::Replace, Access::Public);
    write("new").unwrap();
    write("old").unwrap();
    assert!(matches!(write("deep/down/new"), Err(OutputError::Io { .. })));
    run.make_directory(&path("deep/down")).unwrap();
    run.make_directory(&path("deep")).unwrap();
    write("deep/down/new").unwrap();
    write("deep/new").unwrap();
    assert!(matches!(write("deep/up/new"), Err(OutputError::Io { .. })));
    assert!(run.make_directory(&path("old")).is_err() && run.make_directory(&path("old/deep")).is_err());
    assert!(run.remove(&path("old")).unwrap() && !run.remove(&path("none")).unwrap());
    let of = |name: &str| (path(name), 9);
    let [new, old, deep, up] = ["new", "old", "deep/down/new", "deep/new"].map(of);
    let written = |(path, size_bytes)| Planned::Write { path, size_bytes };
    let expected = [
        written(new),
        Planned::Replace { path: old.0.clone(), size_bytes: 9 },
        Planned::MakeDirectory { path: path("deep/down") },
        written(deep),
        written(up),
        Planned::Remove { path: old.0 },
    ];
    assert_eq!(run.planned(), expected);
    assert_eq!(fs::read(path("old")).unwrap(), b"old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(Run::default().planned().is_empty() && !Run::default().skips(|| unreachable!()));
}
