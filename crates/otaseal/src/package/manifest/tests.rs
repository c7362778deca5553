use super::*;
use crate::format::digest::Digests;
use crate::format::image::esp8266::set_flash_mode;
use crate::format::image::tests::arduino;
use crate::package::manifest::Installed;
use serde_json::Value;

fn manifest(installed: &Installed) -> Value {
    let digests = Digests::of(b"a file");
    serde_json::json!({
        "schema": SCHEMA,
        "tool": "otaseal 0.1.0",
        "name": "blinds",
        "version": "1.2.3",
        "brand": null,
        "source": { "file": "fw.elf", "size_bytes": 6, "md5": digests.md5, "sha256": digests.sha256 },
        "installed": installed,
        "key": { "id": "a".repeat(64), "bits": 2048 },
        "example_key": false,
        "carries": ["b".repeat(64)],
        "timestamp": 1_700_000_000,
        "support_until": "2030-12-31",
        "security": true,
        "advisory": "https://example.com/1",
        "sbom": { "file": "fw.sbom.json", "size_bytes": 6, "sha256": digests.sha256 },
        "artefacts": [{
            "file": "fw.bin.signed",
            "encoding": "plain",
            "signature": "pkcs1v15-sha256",
            "accepted_by": ["esp8266@2.7.4"],
            "size_bytes": 6,
            "md5": "00112233445566778899AABBCCDDEEFF",
            "sha256": digests.sha256,
        }],
    })
}

fn read(manifest: &Value) -> Result<Manifest, ManifestError> {
    Manifest::from_json(manifest.to_string().as_bytes())
}

#[test]
fn a_filesystem_is_said_to_be_one_and_promises_no_md5() {
    let firmware = Installed::sent_as(&arduino(), Content::Firmware);
    assert_eq!(firmware, Installed::of(&arduino()));
    let json = |change: &dyn Fn(&mut Value)| {
        let mut json = manifest(&firmware);
        change(&mut json);
        Manifest::from_json(json.to_string().as_bytes())
    };
    // Manifests of firmware, and all older ones, do not say the kind.
    let old = json(&|_| {}).unwrap();
    assert_eq!(old.content, Content::Firmware);
    assert!(!old.to_json().contains("content"));
    assert!(json(&|said| drop(said["installed"].as_object_mut().unwrap().remove("md5"))).is_err());
    // No device reports the MD5 of its filesystem.
    let filesystem = json(&|said| {
        said["content"] = "filesystem".into();
        said["installed"] = serde_json::to_value(Installed::sent_as(b"files", Content::Filesystem)).unwrap();
    });
    let filesystem = filesystem.unwrap();
    assert_eq!((filesystem.content, filesystem.installed.md5), (Content::Filesystem, None));
    assert_eq!(filesystem.installed.sha256, Digests::of(b"files").sha256);
    assert_eq!(filesystem.find(Digests::of(b"files").md5), None);
    assert_eq!(Manifest::from_json(filesystem.to_json().as_bytes()).unwrap(), filesystem);
}

#[test]
fn a_device_in_any_flash_mode_is_recognised() {
    let installed = Installed::of(&arduino());
    let release = read(&manifest(&installed)).unwrap();
    assert_eq!(
        (installed.flash_mode, installed.md5),
        (Some(FlashMode::Dio), Some(Digests::of(&arduino()).md5))
    );
    for &mode in FlashMode::ALL {
        // The updater changes the byte and nothing else.
        let mut on_device = arduino();
        on_device[2] = mode.byte();
        let expected = Match::Installed { flash_mode: Some(mode), own_mode: mode == FlashMode::Dio };
        assert_eq!(release.find(Digests::of(&on_device).md5), Some(expected));
        let mut built = arduino();
        set_flash_mode(&mut built, mode).unwrap();
        assert_eq!(Installed::of(&built).flash_mode, Some(mode));
    }
    assert_eq!(release.find(Digests::of(b"another build").md5), None);
    let sent = "00112233445566778899aabbccddeeff".parse().unwrap();
    assert_eq!(release.find(sent), Some(Match::Sent { file: "fw.bin.signed".into() }));
}

#[test]
fn what_follows_the_sketch_is_not_part_of_what_the_device_reports() {
    let with_tail = [arduino(), b"a tail".to_vec()].concat();
    let (installed, counted) = (Installed::of(&with_tail), Digests::of(&arduino()));
    // All of one thing.
    assert_eq!(installed.size_bytes, counted.size_bytes);
    assert_eq!((installed.md5, installed.sha256), (Some(counted.md5), counted.sha256));
    assert_eq!(installed.bytes_behind, 6);
    assert_eq!(Installed { bytes_behind: 0, ..installed.clone() }, Installed::of(&arduino()));
    let release = read(&manifest(&installed)).unwrap();
    assert_eq!(release.installed, installed);
    let expected = Match::Installed { flash_mode: Some(FlashMode::Dio), own_mode: true };
    assert_eq!(release.find(counted.md5), Some(expected));
    assert_eq!(release.find(Digests::of(&with_tail).md5), None, "no device reports it");
    let json = serde_json::to_value(Installed::of(&arduino())).unwrap();
    assert!(json.get("bytes_behind").is_none(), "{json}");
}

#[test]
fn other_chips_have_one_digest() {
    let installed = Installed::of(b"an image for another chip");
    assert_eq!(installed.md5, Some(Digests::of(b"an image for another chip").md5));
    let json = serde_json::to_value(&installed).unwrap();
    assert!(json.get("md5_by_flash_mode").is_none() && json.get("flash_mode").is_none(), "{json}");
    let release = read(&manifest(&installed)).unwrap();
    let expected = Match::Installed { flash_mode: None, own_mode: true };
    assert_eq!(release.find(installed.md5.unwrap()), Some(expected));
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    for plain in [&arduino()[..], b"an image for another chip"] {
        let first = read(&manifest(&Installed::of(plain))).unwrap();
        let json = first.to_json();
        let second = Manifest::from_json(json.as_bytes()).unwrap();
        assert_eq!((&second, second.to_json()), (&first, json));
    }
    // An older otaseal said less, and a newer one may say more.
    let mut other = manifest(&Installed::of(b"x"));
    for optional in ["carries", "timestamp", "support_until", "security", "advisory", "sbom", "brand"] {
        other.as_object_mut().unwrap().remove(optional);
    }
    other["artefacts"][0].as_object_mut().unwrap().remove("accepted_by");
    other["more"] = serde_json::json!({ "file": "../x" });
    other["artefacts"][0]["more"] = 1.into();
    let other = read(&other).unwrap();
    assert_eq!((other.carries, other.sbom, other.artefacts[0].accepted_by.len()), (None, None, 0));
}

#[test]
fn texts_cannot_add_lines_to_a_report() {
    let mut hostile = manifest(&Installed::of(b"x"));
    for field in ["name", "version", "brand"] {
        hostile[field] = "a\nb\u{1b}[2K".into();
    }
    hostile["source"]["file"] = "a\nb.elf".into();
    let read = read(&hostile).unwrap();
    let expected = Some("a\u{FFFD}b\u{FFFD}[2K");
    assert_eq!([read.name.as_deref(), read.version.as_deref(), read.brand.as_deref()], [expected; 3]);
    assert_eq!(read.source.file, "a\u{FFFD}b.elf");
}

type Edit = &'static dyn Fn(&mut Value);

/// Every field, with a value of the wrong form.
const DAMAGED: [Edit; 40] = [
    &|said| said["schema"] = ().into(),
    &|said| said["schema"] = (-1).into(),
    &|said| said["schema"] = "1".into(),
    &|said| said["name"] = 1.into(),
    &|said| said["version"] = Value::Array(vec![]),
    &|said| said["source"] = "fw.elf".into(),
    &|said| said["source"]["file"] = ().into(),
    &|said| said["source"]["size_bytes"] = (-1).into(),
    &|said| said["source"]["md5"] = "0011".into(),
    &|said| said["source"]["sha256"] = ().into(),
    &|said| said["installed"] = ().into(),
    &|said| said["installed"]["size_bytes"] = 1.5.into(),
    &|said| said["installed"]["md5"] = "g".repeat(32).into(),
    &|said| said["installed"]["sha256"] = "0".repeat(63).into(),
    &|said| said["installed"]["flash_mode"] = "fast".into(),
    &|said| said["installed"]["md5_by_flash_mode"] = Value::Array(vec![]),
    &|said| said["installed"]["md5_by_flash_mode"] = serde_json::json!({ "fast": "0".repeat(32) }),
    &|said| said["installed"]["md5_by_flash_mode"] = serde_json::json!({ "dio": "0".repeat(31) }),
    &|said| said["key"] = "none".into(),
    &|said| said["key"]["id"] = "a".repeat(63).into(),
    &|said| said["key"]["id"] = "../x".into(),
    &|said| said["key"]["bits"] = 1024.into(),
    &|said| said["example_key"] = ().into(),
    &|said| said["carries"] = "b".repeat(64).into(),
    &|said| said["carries"][0] = "b".repeat(65).into(),
    &|said| said["timestamp"] = "now".into(),
    &|said| said["support_until"] = "2030-02-30".into(),
    &|said| said["security"] = 1.into(),
    &|said| said["advisory"] = "javascript:x".into(),
    &|said| said["sbom"] = "fw.sbom.json".into(),
    &|said| said["sbom"]["sha256"] = "x".into(),
    &|said| said["artefacts"] = ().into(),
    &|said| said["artefacts"][0] = "fw.bin".into(),
    &|said| said["artefacts"][0]["encoding"] = "zip".into(),
    &|said| said["artefacts"][0]["signature"] = "none".into(),
    &|said| said["artefacts"][0]["accepted_by"][0] = "toaster".into(),
    &|said| said["artefacts"][0]["size_bytes"] = ().into(),
    &|said| said["artefacts"][0]["md5"] = "\u{fc}0112233445566778899aabbccddeef".into(),
    &|said| said["artefacts"][0]["sha256"] = ().into(),
    &|said| *said = Value::Array(vec![said.clone()]),
];

#[test]
fn a_damaged_manifest_is_refused() {
    let good = manifest(&Installed::of(b"x"));
    for (number, edit) in DAMAGED.iter().enumerate() {
        let mut bad = good.clone();
        edit(&mut bad);
        assert_ne!(bad, good, "{number}");
        assert!(matches!(read(&bad), Err(ManifestError::Form(_))), "{number}: {:?}", read(&bad));
    }
    for required in ["schema", "source", "installed", "key", "example_key", "artefacts"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(required);
        assert!(matches!(read(&bad), Err(ManifestError::Form(_))), "{required}");
    }
    for bytes in [&b""[..], b"{", b"\xff", b"{\"tool\": \"otaseal 1\", \"schema\": 1, \"x\": \"\xff\"}"] {
        assert!(matches!(Manifest::from_json(bytes), Err(ManifestError::Form(_))), "{bytes:?}");
    }
    assert_eq!(Manifest::from_json(&vec![b' '; MAX_MANIFEST + 1]), Err(ManifestError::TooLarge));
}

/// The field says `null`. A manifest that lost the field is damaged.
#[test]
fn a_manifest_without_a_key_lists_no_signed_file() {
    let mut unsigned = manifest(&Installed::of(b"x"));
    unsigned["key"] = ().into();
    let said = ManifestError::SignedByNobody { field: "artefacts[0].signature".into() };
    assert_eq!(read(&unsigned), Err(said));
    unsigned["artefacts"][0]["signature"] = ().into();
    let read_one = read(&unsigned).unwrap();
    assert_eq!((&read_one.key, read_one.signed_files().next()), (&None, None));
    assert!(read_one.to_json().contains("\n  \"key\": null,\n"), "{}", read_one.to_json());
    assert_eq!(Manifest::from_json(read_one.to_json().as_bytes()).unwrap(), read_one);
    let mut published = unsigned.clone();
    published["example_key"] = true.into();
    assert!(matches!(read(&published), Err(ManifestError::Form(_))));
    let mut signed_later = unsigned.clone();
    let second = manifest(&Installed::of(b"x"))["artefacts"][0].clone();
    signed_later["artefacts"].as_array_mut().unwrap().push(second);
    let said = ManifestError::SignedByNobody { field: "artefacts[1].signature".into() };
    assert_eq!(read(&signed_later), Err(said));
    for not_a_key in [serde_json::json!({}), false.into(), 0.into(), "".into(), serde_json::json!([])] {
        unsigned["key"] = not_a_key;
        assert!(matches!(read(&unsigned), Err(ManifestError::Form(_))));
    }
    unsigned.as_object_mut().unwrap().remove("key");
    assert!(matches!(read(&unsigned), Err(ManifestError::Form(_))));
}

#[test]
fn another_manifest_is_told_apart_from_a_damaged_one() {
    let mut newer = manifest(&Installed::of(b"x"));
    newer["schema"] = 2.into();
    newer["artefacts"] = "in another form".into();
    assert_eq!(read(&newer), Err(ManifestError::Schema { found: 2 }));
    for tool in [Value::Null, "otaseal".into(), "esphome 2026".into(), "Otaseal 1.0".into()] {
        let mut foreign = newer.clone();
        foreign["tool"] = tool;
        assert_eq!(read(&foreign), Err(ManifestError::Foreign));
    }
    assert_eq!(Manifest::from_json(b"{}"), Err(ManifestError::Foreign));
}

#[test]
fn names_are_file_names() {
    let good = manifest(&Installed::of(b"x"));
    let long = "x".repeat(300);
    for name in
        ["", ".", "..", "../fw.bin", "/etc/passwd", "a/b", "a\\b", "-x", ".x", "a\0", "a\n", "a:b", &long]
    {
        for (field, edit) in [
            (
                "artefacts[0].file",
                &(|said: &mut Value| said["artefacts"][0]["file"] = name.into()) as &dyn Fn(&mut _),
            ),
            ("sbom.file", &|said: &mut Value| said["sbom"]["file"] = name.into()),
        ] {
            let mut bad = good.clone();
            edit(&mut bad);
            let error = read(&bad).unwrap_err();
            assert!(matches!(&error, ManifestError::Name { field: found, .. } if found == field), "{name:?}");
            assert!(!error.to_string().contains(char::is_control) && error.to_string().len() < 300);
        }
    }
}

/// Readers differ on which of the two counts.
#[test]
fn a_field_that_is_there_twice_is_refused() {
    let good = manifest(&Installed::of(&arduino())).to_string();
    for field in [
        "schema",
        "tool",
        "name",
        "file",
        "size_bytes",
        "md5",
        "sha256",
        "id",
        "bits",
        "carries",
        "encoding",
        "dio",
    ] {
        let name = format!("\"{field}\":");
        for (at, _) in good.match_indices(&name) {
            let value = &good[at + name.len()..];
            let mut values = serde_json::Deserializer::from_str(value).into_iter::<Value>();
            values.next().unwrap().unwrap();
            let twice = &good[at..at + name.len() + values.byte_offset()];
            let bad = format!("{}{twice},{}", &good[..at], &good[at..]);
            let error = Manifest::from_json(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, ManifestError::Form(_)), "{field} at {at}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn hostile_json_never_panics(text in "[\\[\\]{}\":,a-z0-9 ]{0,200}", at: usize, byte: u8) {
        let _ = Manifest::from_json(text.as_bytes());
        // A manifest with one wrong byte.
        let mut bytes = manifest(&Installed::of(b"x")).to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(manifest) = Manifest::from_json(&bytes) {
            proptest::prop_assert!(Manifest::from_json(manifest.to_json().as_bytes()).is_ok());
        }
        let _ = Manifest::from_json(&bytes[..at]);
    }
}
