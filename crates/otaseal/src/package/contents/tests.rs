//! otaseal takes a package that somebody sent if all files are there and the manifest is true of them.

use super::*;
use crate::key::PrivateKey;
use crate::package::firmware::Firmware;
use crate::package::{Destination, Options, make};
use crate::policy::continuity::WithoutKey;
use std::fs;

type Files = BTreeMap<String, Vec<u8>>;

fn key() -> PrivateKey {
    PrivateKey::from_bytes(include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../keys.example/private.pem"
    )))
    .unwrap()
}

/// A package of every kind of artefact, with a bill of materials.
fn package() -> Package {
    let dir = tempfile::tempdir().unwrap();
    let sbom = dir.path().join("bom.json");
    fs::write(&sbom, r#"{"bomFormat":"CycloneDX"}"#).unwrap();
    let mut options = Options::new("fw.bin", "");
    options.artefacts = ArtefactKind::ALL.to_vec();
    options.policy.continuity.without_key = WithoutKey::Allow;
    options.evidence.sbom = Some(sbom);
    let firmware = Firmware::from_bytes("fw.bin", b"code".repeat(3000), 0).unwrap();
    make(firmware, &options, &key()).unwrap().package
}

fn sent(package: &Package) -> (String, Files) {
    let files = package.files().iter().map(|file| (file.name().into(), file.bytes().into_owned()));
    (package.manifest_json().into(), files.collect())
}

#[test]
fn a_package_that_was_made_is_taken_and_written() {
    let made = package();
    let (json, files) = sent(&made);
    assert_eq!(files.len(), 6);
    let taken = Package::from_parts(json.as_bytes(), files.clone()).unwrap();
    assert_eq!((taken.manifest(), taken.base()), (made.manifest(), "fw"));
    assert_eq!(sent(&taken), (json, files.clone()));
    assert_eq!(taken.ledger_entries().len(), 3);
    let dir = tempfile::tempdir().unwrap();
    taken.write(&Destination::new(dir.path())).unwrap();
    for (name, bytes) in &files {
        assert!(fs::read(dir.path().join(name)).unwrap() == *bytes, "{name}");
    }
    assert_eq!(fs::read_to_string(dir.path().join("manifest.json")).unwrap(), taken.manifest_json());
}

/// A signed artefact is a payload and a trailer. The payload is in memory once.
#[test]
fn files_share_their_payload() {
    let package = package();
    let payload = |name: &str| {
        let file = package.files().iter().find(|file| file.name() == name).unwrap();
        file.parts()[0].as_ptr()
    };
    assert_eq!(payload("fw.bin"), payload("fw.bin.signed"));
    assert_eq!(payload("fw.bin"), payload("fw.bin.legacy_sig"));
    assert_eq!(payload("fw.bin.gz"), payload("fw.bin.gz.signed"));
}

/// A newer otaseal may add fields. The package keeps the text, so readers that know them still find them.
#[test]
fn the_text_of_a_manifest_is_kept() {
    let (json, files) = sent(&package());
    let newer = json.replacen('{', "{\n  \"more\": [1],", 1);
    assert_eq!(Package::from_parts(newer.as_bytes(), files).unwrap().manifest_json(), newer);
}

#[test]
fn files_that_are_not_the_ones_of_the_manifest_are_refused() {
    let (json, good) = sent(&package());
    let refused = |files: Files| Package::from_parts(json.as_bytes(), files).unwrap_err();
    for name in good.keys() {
        let file = name.clone();
        let mut files = good.clone();
        let bytes = files.remove(name).unwrap();
        assert_eq!(refused(files.clone()), PartsError::Missing { file: file.clone() });
        for bytes in [[&bytes[..], b"!"].concat(), bytes[1..].to_vec(), Vec::new()] {
            files.insert(name.clone(), bytes);
            assert_eq!(refused(files.clone()), PartsError::Changed { file: file.clone() });
        }
    }
    for name in ["more", "other.bin", "manifest.json", "../fw.bin", ""] {
        let mut files = good.clone();
        files.insert(name.into(), b"x".to_vec());
        assert_eq!(refused(files), PartsError::Unlisted { file: name.into() });
    }
    assert!(matches!(refused(Files::new()), PartsError::Missing { .. }));
}

#[test]
fn a_manifest_that_is_not_true_of_its_files_is_refused() {
    let (json, files) = sent(&package());
    let good: serde_json::Value = serde_json::from_str(&json).unwrap();
    let edited = |edit: &dyn Fn(&mut serde_json::Value), files: Files| {
        let mut said = good.clone();
        edit(&mut said);
        Package::from_parts(said.to_string().as_bytes(), files).unwrap_err()
    };
    type Edit<'a> = (&'a str, &'a dyn Fn(&mut serde_json::Value));
    let lies: [Edit<'_>; 9] = [
        ("artefacts[0].size_bytes", &|said| said["artefacts"][0]["size_bytes"] = 1.into()),
        ("artefacts[1].md5", &|said| said["artefacts"][1]["md5"] = "0".repeat(32).into()),
        ("artefacts[0].file", &|said| said["artefacts"][0]["file"] = "fw.exe".into()),
        ("artefacts[1].file", &|said| said["artefacts"][1]["file"] = "other.bin.gz".into()),
        ("artefacts[1].file", &|said| said["artefacts"][1] = said["artefacts"][0].clone()),
        ("artefacts[2].signature", &|said| said["artefacts"][2]["signature"] = ().into()),
        ("artefacts[1].encoding", &|said| said["artefacts"][1]["encoding"] = "plain".into()),
        ("sbom.file", &|said| said["sbom"]["file"] = "fw.bin".into()),
        ("sbom.size_bytes", &|said| said["sbom"]["size_bytes"] = 1.into()),
    ];
    for (name, lie) in lies {
        let error = edited(lie, files.clone());
        assert!(matches!(&error, PartsError::Wrong { field, .. } if field == name), "{name}: {error}");
    }
    let changed = edited(&|said| said["artefacts"][0]["sha256"] = "0".repeat(64).into(), files.clone());
    assert_eq!(changed, PartsError::Changed { file: "fw.bin".into() });
    let outside = edited(&|said| said["artefacts"][0]["file"] = "../fw.bin".into(), files.clone());
    assert!(matches!(outside, PartsError::Manifest(ManifestError::Name { .. })), "{outside}");
    let nothing = |said: &mut serde_json::Value| {
        said["artefacts"] = serde_json::json!([]);
        said.as_object_mut().unwrap().remove("sbom");
    };
    assert_eq!(edited(&nothing, Files::new()), PartsError::Empty);
    assert!(matches!(Package::from_parts(b"", files), Err(PartsError::Manifest(_))));
}
