mod archives;
mod restored;

use super::*;
use crate::objects::Folder;
use crate::testing::signed::{image, other, package, package_of, public, trust};
use otaseal::package::ArtefactKind;
use otaseal_delivery::release::ReleaseError;
use otaseal_delivery::sim::image::Sample;
use std::io;
use tempfile::TempDir;

/// A release of which nothing is known.
pub(crate) fn row() -> ReleaseRow {
    empty_row()
}

type Parts = Vec<(String, Vec<u8>)>;

struct Rig {
    directory: TempDir,
    depot: Arc<Depot>,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let depot = Depot::new(Folder::open(directory.path()).unwrap(), 1 << 20);
        Self { directory, depot }
    }

    fn take_with(&self, parts: &Parts, trust: &Trust, said: &Said) -> Result<Outcome, IntakeError> {
        let mut readers: Vec<(&str, &[u8])> =
            parts.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
        let upload = readers.iter_mut().map(|(name, reader)| (*name, reader as &mut dyn Read));
        intake(upload, &self.depot, trust, said, Limits::default())
    }

    fn take(&self, parts: &Parts) -> Result<Outcome, IntakeError> {
        self.take_with(parts, &trust(), &Said::default())
    }

    fn taken(&self, parts: &Parts) -> Box<Taken> {
        taken(self.take(parts))
    }

    /// Why it is refused. Nothing stays of it.
    fn refused(&self, parts: &Parts) -> IntakeError {
        let error = self.take(parts).unwrap_err();
        assert_eq!(self.files(), 0, "{error}");
        error
    }

    fn files(&self) -> usize {
        fn count(directory: &std::path::Path) -> usize {
            let inside = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            inside.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(self.directory.path())
    }
}

fn taken(outcome: Result<Outcome, IntakeError>) -> Box<Taken> {
    match outcome {
        Ok(Outcome::Taken(taken)) => taken,
        other => panic!("{other:?}"),
    }
}

fn asked(outcome: Result<Outcome, IntakeError>) -> Asked {
    match outcome {
        Ok(Outcome::Asked(asked)) => asked,
        other => panic!("{other:?}"),
    }
}

fn one(name: &str, bytes: Vec<u8>) -> Parts {
    vec![(name.to_owned(), bytes)]
}

/// The file of a package with this ending.
fn part(parts: &Parts, ending: &str) -> Vec<u8> {
    parts.iter().find(|(name, _)| name.ends_with(ending)).unwrap().1.clone()
}

fn unsigned() -> Trust {
    Trust::Unsigned(vec![public()])
}

#[test]
fn a_package_is_taken_in_whole() {
    let rig = Rig::new();
    let parts = package(&image("1.2.3"));
    let taken = rig.taken(&parts);
    let row = taken.row(ReleaseId(7), "ci", 1000);
    assert_eq!((row.id, row.by.as_str(), row.at), (ReleaseId(7), "ci", 1000));
    assert_eq!((row.firmware.as_str(), row.version.as_str()), ("lamp", "1.2.3"));
    assert_eq!(row.key_id, Some(public().id().to_string()));
    assert_eq!(row.manifest.as_bytes(), parts[0].1);
    let names: Vec<&str> = row.files.iter().map(|file| file.name.as_str()).collect();
    let expected: Vec<&str> = parts[1..].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expected);
    for artefact in &taken.release().artefacts {
        assert!(artefact.contents.held().is_none(), "{} is in memory", artefact.file);
        assert_eq!(artefact.contents.load().unwrap(), part(&parts, &artefact.file));
    }
    let release = taken.stored();
    assert_eq!((release.title(), rig.files()), ("lamp 1.2.3".into(), 5));
    // The same again is the same objects.
    rig.taken(&parts).stored();
    assert_eq!(rig.files(), 5);
}

#[test]
fn a_release_that_is_not_stored_leaves_nothing() {
    let rig = Rig::new();
    let taken = rig.taken(&package(&image("1.2.3")));
    assert_eq!(rig.files(), 5);
    drop(taken);
    assert_eq!(rig.files(), 0);
}

#[test]
fn a_package_that_is_not_its_manifest_is_refused() {
    let rig = Rig::new();
    let whole = package(&image("1.2.3"));
    let mut changed = whole.clone();
    changed[1].1[100] ^= 1;
    assert!(matches!(rig.refused(&changed), IntakeError::Parts(_)));
    let mut missing = whole.clone();
    missing.pop();
    assert!(matches!(rig.refused(&missing), IntakeError::Parts(_)));
    let mut more = whole.clone();
    more.push(("extra.bin".into(), vec![1]));
    assert!(matches!(rig.refused(&more), IntakeError::Parts(_)));
    let mut swapped = whole.clone();
    (swapped[1].0, swapped[2].0) = (swapped[2].0.clone(), swapped[1].0.clone());
    assert!(matches!(rig.refused(&swapped), IntakeError::Parts(_)));
    let alone = whole[..1].to_vec();
    assert!(matches!(rig.refused(&alone), IntakeError::Parts(_)));
    let no_manifest = whole[1..].to_vec();
    assert!(matches!(rig.refused(&no_manifest), IntakeError::NoManifest { files: 5 }));
    let mut odd = whole.clone();
    odd[0].1 = b"{\"schema\": \"\x1b[2J\"}".to_vec();
    let shown = rig.refused(&odd).to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    let mut large = whole;
    large[0].1 = vec![b' '; MAX_MANIFEST + 1];
    assert!(matches!(rig.refused(&large), IntakeError::LargeManifest));
    assert!(matches!(rig.refused(&Vec::new()), IntakeError::NoManifest { files: 0 }));
}

#[test]
fn a_package_of_another_key_is_refused() {
    let rig = Rig::new();
    let parts = package(&image("1.2.3"));
    let other = Trust::Keys(vec![other()]);
    let error = rig.take_with(&parts, &other, &Said::default()).unwrap_err();
    assert!(matches!(error, IntakeError::Release(ReleaseError::BadSignature { .. })), "{error}");
    let error = rig.take_with(&parts, &Trust::Keys(Vec::new()), &Said::default()).unwrap_err();
    assert!(matches!(error, IntakeError::Release(_)), "{error}");
    let plain = package_of(&image("1.2.3"), &[ArtefactKind::Plain]);
    assert!(matches!(rig.refused(&plain), IntakeError::Release(ReleaseError::NotSigned { .. })));
}

#[test]
fn what_nobody_signed_is_marked_where_it_is_allowed() {
    let rig = Rig::new();
    let plain = one("lamp.bin", image("1.2.3"));
    let release = taken(rig.take_with(&plain, &unsigned(), &Said::default()));
    assert_eq!(release.row(ReleaseId(1), "me", 0).key_id, None);
    // The key that signed is in the image, and nobody here trusts it.
    let own = package(&image("1.2.3"));
    let nobody = Trust::Unsigned(Vec::new());
    let release = taken(rig.take_with(&own, &nobody, &Said::default()));
    assert!(release.release().signer.is_some());
    assert_eq!(release.row(ReleaseId(1), "me", 0).key_id, None);
}

#[test]
fn a_bare_signed_image_is_taken_in_with_its_payload() {
    let rig = Rig::new();
    let parts = package(&image("1.2.3"));
    let signed = part(&parts, "lamp.bin.signed");
    let taken = rig.taken(&one("lamp.bin.signed", signed.clone()));
    let row = taken.row(ReleaseId(1), "me", 5);
    let names: Vec<&str> = row.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["lamp.bin.signed", "lamp.bin"]);
    assert_eq!(row.files[0].bytes, signed.len() as u64);
    assert_eq!((row.manifest.as_str(), row.version.as_str()), ("", "1.2.3"));
    assert_eq!(row.key_id, Some(public().id().to_string()));
    assert!(taken.release().artefacts.iter().all(|artefact| artefact.contents.held().is_none()));
    taken.stored();
    assert_eq!(rig.files(), 2);
    // A gzip is an image too, and no archive.
    let gzip = part(&parts, "lamp.bin.gz.signed");
    assert_eq!(rig.taken(&one("lamp.bin.gz.signed", gzip)).release().title(), "lamp 1.2.3");
}

#[test]
fn what_the_image_does_not_say_is_asked() {
    let rig = Rig::new();
    // An image without tokens: their boundaries are gone.
    let mut nameless = Sample { name: "lamp", version: "1.2.3", bytes: 5_000, seed: 3 }.esp8266();
    nameless.iter_mut().filter(|byte| **byte > 0xBE).for_each(|byte| *byte = 0xEA);
    nameless[0] = 0xE9;
    let upload = one("blinds.bin", nameless);
    let take = |said: &Said| rig.take_with(&upload, &unsigned(), said);
    let nothing = Asked { firmware: None, version: None };
    assert_eq!(asked(take(&Said::default())), nothing);
    assert_eq!(rig.files(), 0);
    let mut said = Said { firmware: Some("blinds".into()), ..Said::default() };
    assert_eq!(asked(take(&said)), Asked { firmware: Some("blinds".into()), version: None });
    assert_eq!(rig.files(), 0);
    said.version = Some("7".into());
    let release = taken(take(&said));
    assert_eq!(release.release().title(), "blinds 7");
    said.version = Some(String::new());
    let release = taken(take(&said));
    assert_eq!(release.row(ReleaseId(1), "me", 0).version, "");
    assert_eq!(release.release().version, None);
}

#[test]
fn an_uploader_cannot_rename_an_image_nor_say_anything_odd() {
    let rig = Rig::new();
    let upload = package(&image("1.2.3"));
    let text = |text: &str| Some(text.to_owned());
    let refused = |said: Said| {
        let error = rig.take_with(&upload, &trust(), &said).unwrap_err();
        assert_eq!(rig.files(), 0);
        assert!(!error.to_string().chars().any(char::is_control), "{error}");
        error
    };
    let relay = Said { firmware: text("relay"), ..Said::default() };
    assert!(matches!(refused(relay), IntakeError::Contradiction { field: "firmware name", .. }));
    let newer = Said { version: text("1.2.4"), ..Said::default() };
    assert!(matches!(refused(newer), IntakeError::Contradiction { field: "version", .. }));
    let none = Said { version: text(""), ..Said::default() };
    assert!(matches!(refused(none), IntakeError::Contradiction { .. }));
    for board in ["", " d1", "a\nb", "a\u{202e}b", &"b".repeat(MAX_SAID + 1)] {
        let said = Said { board: text(board), ..Said::default() };
        assert!(matches!(refused(said), IntakeError::Said { field: "board", .. }), "{board:?}");
    }
    for notes in ["\x1b[2J".to_owned(), "n".repeat(MAX_NOTES + 1)] {
        assert!(matches!(refused(Said { notes, ..Said::default() }), IntakeError::Said { .. }));
    }
    let said = Said {
        firmware: text("lamp"),
        board: text("d1_mini"),
        notes: "First line\nsecond".into(),
        security: true,
        ..Said::default()
    };
    let row = taken(rig.take_with(&upload, &trust(), &said)).row(ReleaseId(1), "me", 0);
    assert_eq!((row.board, row.security, row.notes), (text("d1_mini"), true, said.notes));
}

#[test]
fn one_limit_holds_for_the_whole_upload() {
    let rig = Rig::new();
    let mut upload = Upload::new(&rig.depot, Limits { upload_bytes: 3 << 20 });
    upload.file("a.bin").unwrap();
    upload.write(&vec![0; 2 << 20]).unwrap();
    upload.file("b.bin").unwrap();
    upload.write(&vec![0; 1 << 20]).unwrap();
    let error = upload.write(&[0]).unwrap_err();
    assert!(matches!(error, IntakeError::TooLarge { .. }));
    assert!(error.to_string().contains("3 MiB"), "{error}");
    drop(upload);
    assert_eq!(rig.files(), 0);
}

#[test]
fn names_and_numbers_of_files_are_bounded() {
    let rig = Rig::new();
    let mut upload = Upload::new(&rig.depot, Limits::default());
    for name in [
        "",
        "..",
        ".",
        "../lamp.bin",
        "/etc/passwd",
        "a/b.bin",
        "a\\b.bin",
        "C:lamp.bin",
        ".hidden",
        "-rf",
        "a\0b",
        "a\nb",
        "<b>.bin",
        "a;b",
        &"n".repeat(201),
    ] {
        let error = upload.file(name).unwrap_err();
        assert!(matches!(error, IntakeError::Entry { .. }), "{name:?}");
        assert!(!error.to_string().chars().any(char::is_control), "{name:?}");
    }
    for path in ["../lamp.bin", "a\\b.bin", "C:lamp.bin", "a\0b", ".."] {
        let error = upload.file(path).unwrap_err();
        assert!(matches!(error, IntakeError::Entry { what: "its name is a path", .. }), "{path:?}: {error}");
    }
    upload.file("Lampe für Küche (2).bin").unwrap();
    assert!(matches!(upload.file("Lampe für Küche (2).bin"), Err(IntakeError::Entry { .. })));
    for number in 1..MAX_FILES {
        upload.file(&format!("{number}.bin")).unwrap();
    }
    assert!(matches!(upload.file("one-more.bin"), Err(IntakeError::TooMany)));
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Ok(buffer.len()),
                2 => Err(io::ErrorKind::Interrupted.into()),
                _ => Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
    }
    let rig = Rig::new();
    let mut broken = Broken(0);
    let upload = [("lamp.bin", &mut broken as &mut dyn Read)];
    let error = intake(upload, &rig.depot, &trust(), &Said::default(), Limits::default()).unwrap_err();
    assert!(matches!(error, IntakeError::Upload(_)), "{error}");
    assert_eq!((rig.files(), error.code()), (0, "broken-off"));
    let mut upload = Upload::new(&rig.depot, Limits::default());
    assert!(matches!(upload.write(b"before a file"), Err(IntakeError::Empty)));
}
