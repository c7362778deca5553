use super::*;
use crate::format::digest::Digests;
use crate::format::image::esp8266::set_flash_mode;
use crate::format::image::tests::arduino;
use crate::package::manifest::Installed;

fn manifest(installed: &Installed) -> String {
    serde_json::json!({
        "schema": SCHEMA,
        "name": "blinds",
        "version": "1.2.3",
        "source": { "file": "fw.elf" },
        "installed": installed,
        "artefacts": [{ "file": "fw.bin.signed", "md5": "00112233445566778899AABBCCDDEEFF" }],
    })
    .to_string()
}

#[test]
fn a_device_in_any_flash_mode_is_recognised() {
    let installed = Installed::of(&arduino());
    let release = Release::from_json(manifest(&installed).as_bytes()).unwrap();
    assert_eq!((installed.flash_mode, installed.md5), (Some(FlashMode::Dio), Digests::of(&arduino()).md5));
    for mode in FlashMode::ALL {
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
    let installed = Installed::of(&with_tail);
    assert_eq!(installed.md5, Digests::of(&arduino()).md5);
    assert_eq!(installed.size_bytes, with_tail.len() as u64);
    assert_eq!(installed.sha256, Digests::of(&with_tail).sha256);
}

#[test]
fn other_chips_have_one_digest() {
    let installed = Installed::of(b"an image for another chip");
    assert_eq!(installed.md5, Digests::of(b"an image for another chip").md5);
    let json = serde_json::to_value(&installed).unwrap();
    assert!(json.get("md5_by_flash_mode").is_none() && json.get("flash_mode").is_none(), "{json}");
    let release = Release::from_json(manifest(&installed).as_bytes()).unwrap();
    let expected = Match::Installed { flash_mode: None, own_mode: true };
    assert_eq!(release.find(installed.md5), Some(expected));
}

#[test]
fn what_is_no_manifest_is_refused() {
    let good = manifest(&Installed::of(b"x"));
    for (from, to) in
        [("\"schema\":1", "\"schema\":2"), ("00112233", "0011223"), ("0011", "0g11"), ("{", "[")]
    {
        assert!(good.contains(from));
        assert!(Release::from_json(good.replacen(from, to, 1).as_bytes()).is_err(), "{from}");
    }
    assert!(Release::from_json(&vec![b' '; (1 << 20) + 1]).is_err());
    for text in [
        "",
        "0",
        "00112233445566778899aabbccddeef",
        "00112233445566778899aabbccddeeff0",
        "ü0112233445566778899aabbccddeef",
    ] {
        assert!(text.parse::<Md5Digest>().is_err(), "{text}");
    }
}
