//! Releases from stored objects.

use super::*;
use otaseal_delivery::release::Contents;
use std::fs;

fn stored(rig: &Rig, parts: &Parts) -> ReleaseRow {
    let taken = rig.taken(parts);
    let row = taken.row(ReleaseId(1), "me", 0);
    taken.stored();
    row
}

fn path(rig: &Rig, row: &ReleaseRow, file: usize) -> std::path::PathBuf {
    let name = &row.files[file].sha256;
    rig.directory.path().join(&name[..2]).join(&name[2..])
}

#[test]
fn a_stored_release_is_the_one_that_was_taken_in() {
    let rig = Rig::new();
    let parts = package(&image("1.2.3"));
    let signed = one("lamp.bin.signed", part(&parts, "lamp.bin.signed"));
    for parts in [parts, signed] {
        let taken = rig.taken(&parts);
        let row = taken.row(ReleaseId(1), "me", 0);
        let before = taken.stored();
        let after = restore(&row, &rig.depot, &trust()).unwrap();
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
        for (one, other) in before.artefacts.iter().zip(&after.artefacts) {
            assert!(matches!(other.contents, Contents::Stored(_)));
            assert_eq!(one.contents.load().unwrap(), other.contents.load().unwrap());
        }
    }
}

#[test]
fn what_an_uploader_said_is_restored() {
    let rig = Rig::new();
    let said = Said { board: Some("d1_mini".into()), ..Said::default() };
    let taken = taken(rig.take_with(&package(&image("1.2.3")), &trust(), &said));
    let row = taken.row(ReleaseId(1), "me", 0);
    taken.stored();
    assert_eq!(restore(&row, &rig.depot, &trust()).unwrap().board.as_deref(), Some("d1_mini"));
}

#[test]
fn a_release_whose_objects_changed_is_not_offered() {
    let rig = Rig::new();
    let parts = package(&image("1.2.3"));
    let row = stored(&rig, &parts);
    for file in 0..row.files.len() {
        let path = path(&rig, &row, file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[50] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = restore(&row, &rig.depot, &trust()).unwrap_err();
        assert!(
            matches!(&error, RestoreError::Object { file: is, source: ObjectError::Damaged(_) } if *is == row.files[file].name),
            "{error}"
        );
        fs::remove_file(&path).unwrap();
        let error = restore(&row, &rig.depot, &trust()).unwrap_err();
        assert!(matches!(error, RestoreError::Object { source: ObjectError::Missing(_), .. }), "{error}");
        bytes[50] ^= 1;
        fs::write(&path, &bytes).unwrap();
    }
    restore(&row, &rig.depot, &trust()).unwrap();
}

#[test]
fn a_release_whose_key_is_distrusted_is_not_offered() {
    let rig = Rig::new();
    let row = stored(&rig, &package(&image("1.2.3")));
    let other = other();
    let error = restore(&row, &rig.depot, &Trust::Keys(vec![other.clone()])).unwrap_err();
    assert!(matches!(error, RestoreError::Release(_)), "{error}");
    // It was taken in as signed, so it does not become an unsigned one.
    let error = restore(&row, &rig.depot, &Trust::Unsigned(vec![other])).unwrap_err();
    assert!(matches!(error, RestoreError::Distrusted { .. }), "{error}");
    // And one that nobody signed is not offered once that is no longer allowed.
    let plain = one("lamp.bin", image("1.2.4"));
    let taken = taken(rig.take_with(&plain, &unsigned(), &Said::default()));
    let row = taken.row(ReleaseId(2), "me", 0);
    taken.stored();
    restore(&row, &rig.depot, &unsigned()).unwrap();
    assert!(matches!(restore(&row, &rig.depot, &trust()), Err(RestoreError::Release(_))));
}

#[test]
fn a_row_that_was_changed_is_not_offered() {
    let rig = Rig::new();
    let parts = package(&image("1.2.3"));
    let whole = stored(&rig, &parts);
    let other = stored(&rig, &package(&image("6.6.6")));
    let refused = |change: &dyn Fn(&mut ReleaseRow)| {
        let mut row = whole.clone();
        change(&mut row);
        restore(&row, &rig.depot, &trust()).unwrap_err()
    };
    assert!(matches!(refused(&|row| row.version = "1.2.4".into()), RestoreError::Row(_)));
    assert!(matches!(refused(&|row| row.firmware = "relay".into()), RestoreError::Row(_)));
    assert!(matches!(refused(&|row| row.files[0].sha256 = "../../etc/passwd".into()), RestoreError::Row(_)));
    assert!(matches!(refused(&|row| row.files[0].bytes += 1), RestoreError::Object { .. }));
    assert!(matches!(refused(&|row| row.files[0] = other.files[0].clone()), RestoreError::Parts(_)));
    assert!(matches!(refused(&|row| row.files.clear()), RestoreError::Parts(_)));
    assert!(matches!(refused(&|row| row.files[0].name = "other.bin".into()), RestoreError::Parts(_)));
    // A package passed off as a bare image.
    assert!(matches!(
        refused(&|row| {
            row.manifest.clear();
            row.files.clear();
        }),
        RestoreError::Row(_)
    ));
    let signed = stored(&rig, &one("lamp.bin.signed", part(&parts, "lamp.bin.signed")));
    let mut row = signed.clone();
    row.files.truncate(1);
    assert!(matches!(restore(&row, &rig.depot, &trust()), Err(RestoreError::Row(_))));
    // The signature of one, the payload of another.
    row.files.push(FileRow { name: "lamp.bin".into(), ..other.files[0].clone() });
    assert!(matches!(restore(&row, &rig.depot, &trust()), Err(RestoreError::Row(_))));
}
