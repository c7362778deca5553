//! A file that somebody uploads: an archive, an image, or anything. It is bounded, and nothing of it stays if it is refused.
#![no_main]

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use otaseal_delivery::release::Trust;
use otaseal_fleet::intake::{Limits, MAX_FILES, Outcome, Said, intake, restore};
use otaseal_fleet::objects::{Depot, Folder};
use otaseal_fleet::store::rows::ReleaseId;
use tempfile::TempDir;

const LIMIT: u64 = 1 << 20;

static PLACE: LazyLock<(TempDir, Arc<Depot>)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let folder = Folder::open(directory.path()).expect("a folder for objects");
    (directory, Depot::new(folder, 0))
});

fuzz_target!(|data: &[u8]| {
    let (directory, depot) = &*PLACE;
    let (said, trust) = (Said::default(), Trust::Unsigned(Vec::new()));
    let mut reader = data;
    let upload = [("upload.bin", &mut reader as &mut dyn Read)];
    match intake(upload, depot, &trust, &said, Limits { upload_bytes: LIMIT }) {
        Ok(Outcome::Taken(taken)) => {
            let row = taken.row(ReleaseId(1), "fuzz", 0);
            let bytes: u64 = row.files.iter().map(|file| file.bytes).sum();
            // The payload of a signed image is a second file.
            assert!(bytes <= 2 * LIMIT && row.files.len() <= MAX_FILES);
            assert!(row.key_id.is_none());
            for file in &row.files {
                assert!(!file.name.contains(['/', '\\', '\0']) && file.name != "..");
                assert!(!file.name.chars().any(char::is_control));
            }
            let again = restore(&row, depot, &trust).expect("what was taken in can be restored");
            assert_eq!(format!("{again:?}"), format!("{:?}", taken.release()));
        }
        Ok(Outcome::Asked(asked)) => assert!(asked.firmware.is_none() || asked.version.is_none()),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.chars().any(char::is_control) && text.len() < 4096, "{text:?}");
        }
    }
    assert_eq!(files(directory.path()), 0);
});

/// Files below a directory.
fn files(directory: &Path) -> usize {
    let inside =
        std::fs::read_dir(directory).expect("the folder").map(|entry| entry.expect("an entry").path());
    inside.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}
