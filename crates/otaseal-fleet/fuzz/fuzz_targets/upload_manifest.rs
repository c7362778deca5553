//! A manifest that somebody uploads beside the files of a signed package: it is believed only where it is true of them.
#![no_main]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use otaseal::format::digest::sha256;
use otaseal::key::PrivateKey;
use otaseal::package::firmware::Firmware;
use otaseal::package::{ArtefactKind, Options, make};
use otaseal_delivery::release::Trust;
use otaseal_delivery::sim::image::Sample;
use otaseal_fleet::intake::{Limits, Outcome, Said, intake, restore};
use otaseal_fleet::objects::{Depot, Folder};
use otaseal_fleet::store::rows::ReleaseId;
use tempfile::TempDir;

struct Place {
    _directory: TempDir,
    depot: Arc<Depot>,
    files: BTreeMap<String, Vec<u8>>,
    trust: Trust,
    signer: String,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let key = PrivateKey::from_bytes(include_bytes!("../../../../keys.example/private.pem")).expect("a key");
    let image = Sample { name: "lamp", version: "1.2.3", bytes: 64, seed: 1 }.esp8266_with_key(key.public());
    let firmware = Firmware::from_bytes("lamp.bin", image, 0).expect("a firmware");
    let mut options = Options::new("lamp.bin", "unused");
    options.artefacts = vec![ArtefactKind::Plain, ArtefactKind::Signed];
    let package = make(firmware, &options, &key).expect("a package").package;
    let files = package.files().iter().map(|file| (file.name().to_owned(), file.bytes().into_owned()));
    let directory = tempfile::tempdir().expect("a temporary folder");
    let folder = Folder::open(directory.path()).expect("a folder for objects");
    Place {
        depot: Depot::new(folder, 0),
        files: files.collect(),
        trust: Trust::Keys(vec![key.public().clone()]),
        signer: key.public().id().to_string(),
        _directory: directory,
    }
});

fuzz_target!(|data: &[u8]| {
    let Place { depot, files, trust, signer, .. } = &*PLACE;
    let mut readers: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    readers.push(("manifest.json", data));
    let upload = readers.iter_mut().map(|(name, reader)| (*name, reader as &mut dyn Read));
    match intake(upload, depot, trust, &Said::default(), Limits::default()) {
        Ok(Outcome::Taken(taken)) => {
            let row = taken.row(ReleaseId(1), "fuzz", 0);
            assert_eq!(row.key_id.as_ref(), Some(signer));
            // The name and the version are those of the image, whatever the manifest says.
            assert_eq!((row.firmware.as_str(), row.version.as_str()), ("lamp", "1.2.3"));
            assert_eq!(row.files.len(), files.len());
            for file in &row.files {
                assert_eq!(file.sha256, sha256(&files[&file.name]).to_string());
            }
            restore(&row, depot, trust).expect("what was taken in can be restored");
        }
        Ok(Outcome::Asked(asked)) => panic!("the image says everything: {asked:?}"),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.chars().any(char::is_control) && text.len() < 4096, "{text:?}");
        }
    }
});
