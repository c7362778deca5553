use super::*;
use crate::testing::{key, package, package_of, public, sample};
use otaseal::format::gzip::{Effort, gzip};
use otaseal::key::{KeySize, PrivateKey};
use otaseal::package::ArtefactKind;
use std::collections::BTreeMap;

fn trust() -> Trust {
    Trust::Keys(vec![public()])
}

fn parts(package: &Package) -> (Vec<u8>, BTreeMap<String, Vec<u8>>) {
    let files = package.files().iter().map(|file| (file.name().to_owned(), file.bytes().into_owned()));
    (package.manifest_json().as_bytes().to_vec(), files.collect())
}

/// Puts a package together that is whole by its own manifest, as anybody can.
fn forged(kinds: &[ArtefactKind], image: &[u8], signed_from: &Package) -> Package {
    let (mine, mut files) = parts(&package_of(image, kinds));
    let (_, theirs) = parts(signed_from);
    let mut json: serde_json::Value = serde_json::from_slice(&mine).unwrap();
    for item in json["artefacts"].as_array_mut().unwrap() {
        let name = item["file"].as_str().unwrap().to_owned();
        let Some(bytes) = theirs.get(&name).filter(|_| name.ends_with(".signed")) else { continue };
        let digests = Digests::of(bytes);
        item["size_bytes"] = digests.size_bytes.into();
        item["md5"] = digests.md5.to_string().into();
        item["sha256"] = digests.sha256.to_string().into();
        files.insert(name, bytes.clone());
    }
    Package::from_parts(&serde_json::to_vec(&json).unwrap(), files).unwrap()
}

#[test]
fn a_package_is_verified_and_told_what_it_is() {
    let image = sample("1.2.3");
    let release = Release::of_package(&package(&image), &trust()).unwrap();
    assert_eq!(release.title(), "lamp 1.2.3");
    assert_eq!(release.family, Some(Family::Esp8266));
    assert_eq!(release.artefacts.len(), 5);
    assert_eq!(release.signer.as_ref().map(PublicKey::id), Some(public().id()));
    assert_eq!(release.installed.md5, Some(Md5Digest::of(&image)));
    assert_eq!(release.running_md5s().len(), 4);
}

#[test]
fn a_package_of_another_key_is_not_offered() {
    let other = PrivateKey::generate(KeySize::Rsa2048).unwrap().public().clone();
    let error =
        Release::of_package(&package(&sample("1.2.3")), &Trust::Keys(vec![other.clone()])).unwrap_err();
    assert!(
        matches!(&error, ReleaseError::BadSignature { expected, .. } if *expected == [other.id()]),
        "{error}"
    );
    assert!(Release::of_package(&package(&sample("1.2.3")), &Trust::Keys(vec![other, public()])).is_ok());
}

#[test]
fn a_package_without_a_signed_file_is_not_offered() {
    let plain = package_of(&sample("1.2.3"), &[ArtefactKind::Plain, ArtefactKind::Gz]);
    let error = Release::of_package(&plain, &trust()).unwrap_err();
    assert!(matches!(error, ReleaseError::NotSigned { .. }), "{error}");
    let error = Release::of_package(&plain, &Trust::Keys(Vec::new())).unwrap_err();
    assert!(matches!(error, ReleaseError::NotSigned { .. }), "{error}");
    assert!(Release::of_package(&plain, &Trust::Unsigned(Vec::new())).unwrap().signer.is_none());
}

#[test]
fn an_unsigned_file_beside_a_signed_one_must_hold_the_same_image() {
    // The attacker's manifest lists his own plain image beside our signed file.
    let ours = package(&sample("1.2.3"));
    for kinds in [
        [ArtefactKind::Plain, ArtefactKind::Signed],
        [ArtefactKind::Gz, ArtefactKind::Signed],
        [ArtefactKind::Plain, ArtefactKind::GzSigned],
    ] {
        let forged = forged(&kinds, &sample("6.6.6"), &ours);
        let error = Release::of_package(&forged, &trust()).unwrap_err();
        assert!(matches!(error, ReleaseError::OtherImage { .. }), "{kinds:?}: {error}");
    }
}

#[test]
fn a_second_signature_that_does_not_verify_is_not_offered() {
    let image = sample("1.2.3");
    let (json, mut files) = parts(&package_of(&image, &[ArtefactKind::Signed, ArtefactKind::GzSigned]));
    let bytes = files.get_mut("lamp.bin.gz.signed").unwrap_or_else(|| panic!("its name is another"));
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    let digests = Digests::of(bytes);
    let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    for item in json["artefacts"].as_array_mut().unwrap() {
        if item["file"].as_str().unwrap().ends_with("gz.signed") {
            item["md5"] = digests.md5.to_string().into();
            item["sha256"] = digests.sha256.to_string().into();
        }
    }
    let package = Package::from_parts(&serde_json::to_vec(&json).unwrap(), files).unwrap();
    let error = Release::of_package(&package, &trust()).unwrap_err();
    assert!(matches!(error, ReleaseError::BadSignature { .. }), "{error}");
}

#[test]
fn one_signed_file_gives_its_payload_too() {
    let image = sample("1.2.3");
    let package = package(&image);
    for (suffix, inner) in [(".bin.signed", "lamp.bin"), (".bin.gz.signed", "lamp.bin.gz")] {
        let file = package.files().iter().find(|file| file.name().ends_with(suffix)).unwrap();
        let bytes = Bytes::from(file.bytes().into_owned());
        let release = Release::of_file(file.name(), bytes, Content::Firmware, &trust()).unwrap();
        let names: Vec<&str> = release.artefacts.iter().map(|artefact| artefact.file.as_str()).collect();
        assert_eq!(names, [inner, file.name()]);
        assert_eq!(release.installed.md5, Some(Md5Digest::of(&image)));
    }
}

#[test]
fn a_bare_file_needs_a_signature_or_leave() {
    let image = Bytes::from(sample("1.2.3"));
    let of = |trust: &Trust| Release::of_file("lamp.bin", image.clone(), Content::Firmware, trust);
    assert!(matches!(of(&trust()), Err(ReleaseError::NotSigned { .. })));
    let release = of(&Trust::Unsigned(Vec::new())).unwrap();
    assert_eq!((release.artefacts.len(), release.title()), (1, "lamp 1.2.3".into()));
}

#[test]
fn what_is_no_firmware_is_not_offered() {
    let unsigned = Trust::Unsigned(Vec::new());
    for (name, bytes) in [
        ("page.bin", b"<!DOCTYPE html><html><body>404 Not Found</body></html>".to_vec()),
        ("key.pem", key().public().to_spki_pem().into_bytes()),
        ("empty.bin", Vec::new()),
        ("erased.bin", vec![0xFF; 4096]),
    ] {
        let error = Release::of_file(name, bytes.into(), Content::Firmware, &unsigned).unwrap_err();
        assert!(matches!(error, ReleaseError::NoImage { .. }), "{name}: {error}");
    }
    let mut gzip = gzip(&sample("1.2.3"), Effort::Fast).unwrap();
    gzip.truncate(gzip.len() / 2);
    let error = Release::of_file("cut.bin.gz", gzip.into(), Content::Firmware, &unsigned).unwrap_err();
    assert!(matches!(error, ReleaseError::Gzip { .. }), "{error}");
    let large = vec![0xE9; MAX_FILE + 1];
    let error = Release::of_file("large.bin", large.into(), Content::Firmware, &unsigned).unwrap_err();
    assert!(matches!(error, ReleaseError::TooLarge { .. }), "{error}");
}
