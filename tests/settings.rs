//! Which setting counts: the command line's, or the file's.

use crate::common::Bench;
use std::fs;
use std::path::Path;

/// A project with an image, a key pair and another key.
fn bench() -> Bench {
    let bench = Bench::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cmd/in");
    fs::copy(fixtures.join("esp8266.bin"), bench.path("lamp.bin")).unwrap();
    fs::create_dir(bench.path("keys")).unwrap();
    bench.ok(&["keygen", "--private", "keys/private.pem", "--public", "keys/public.pem"]);
    bench.ok(&["keygen", "--private", "other.pem", "--public", "other-public.pem"]);
    bench
}

/// The manifest of the package that these settings and these options make.
fn manifest(bench: &Bench, settings: &str, options: &[&str]) -> serde_json::Value {
    bench.write("otaseal.toml", settings.as_bytes());
    let _ = fs::remove_dir_all(bench.path("dist"));
    let words = ["package", "lamp.bin", "--allow-no-key"];
    bench.ok(&[&words[..], options].concat());
    serde_json::from_slice(&bench.read("dist/manifest.json")).unwrap()
}

fn made(bench: &Bench, settings: &str, options: &[&str]) -> Vec<&'static str> {
    let manifest = manifest(bench, settings, options);
    let artefacts = manifest["artefacts"].as_array().unwrap();
    let kind = |artefact: &serde_json::Value| match artefact["file"].as_str().unwrap() {
        "lamp.bin" => "plain",
        "lamp.bin.gz" => "gz",
        "lamp.bin.signed" => "signed",
        "lamp.bin.gz.signed" => "gz-signed",
        "lamp.bin.legacy_sig" => "legacy-sig",
        other => panic!("{other}"),
    };
    artefacts.iter().map(kind).collect()
}

#[test]
fn artefacts_legacy_and_devices_of_the_command_line_win() {
    let bench = bench();
    let default = ["plain", "gz", "signed", "gz-signed"];
    let all = ["plain", "gz", "signed", "gz-signed", "legacy-sig"];
    let old = ["--for", "esp8266@2.5.2"];
    for (settings, options, expected) in [
        ("", &[][..], &default[..]),
        ("legacy = true", &[], &all),
        ("", &["--legacy"], &all),
        ("legacy = false", &["--legacy"], &all),
        ("artefacts = ['plain', 'legacy-sig']\nlegacy = false", &["--legacy"], &["plain", "legacy-sig"]),
        ("artefacts = ['plain']", &["--artefacts", "signed"], &["signed"]),
        // What the command line makes is what it says, whatever the file adds.
        ("artefacts = ['plain']\nlegacy = true", &["--artefacts", "signed"], &["signed"]),
        ("legacy = true", &["--artefacts", "signed"], &["signed"]),
        ("legacy = false", &["--artefacts", "signed,legacy-sig"], &["signed", "legacy-sig"]),
        ("", &["--artefacts", "signed", "--legacy"], &["signed", "legacy-sig"]),
        // Of everything, what the device accepts.
        ("", &old, &["legacy-sig"]),
        ("for = ['esp8266@2.5.2']", &[], &["legacy-sig"]),
        ("for = ['esp8266@3.1.2']", &old, &["legacy-sig"]),
        ("artefacts = ['signed', 'legacy-sig']", &old, &["legacy-sig"]),
        ("for = ['esp8266@2.5.2']", &["--artefacts", "signed,legacy-sig"], &["legacy-sig"]),
    ] {
        assert_eq!(made(&bench, settings, options), expected, "{settings:?} {options:?}");
    }
    for (settings, options) in
        [("artefacts = ['signed']", &old[..]), ("for = ['esp8266@2.5.2']", &["--artefacts", "signed"])]
    {
        bench.write("otaseal.toml", settings.as_bytes());
        bench.fails(3, &[&["package", "lamp.bin", "--allow-no-key"], options].concat());
    }
}

#[test]
fn every_other_option_of_a_package_wins_over_the_file() {
    let bench = bench();
    // The file, the options, a field of the manifest, its value.
    for (settings, options, field, value) in [
        (
            "support-until = '2029-01-01'",
            &["--support-until", "2029-02-02"][..],
            "support_until",
            "2029-02-02",
        ),
        ("security = true", &["--security=false"], "security", "false"),
        (
            "advisory = 'https://a.example'",
            &["--advisory", "https://b.example"],
            "advisory",
            "https://b.example",
        ),
    ] {
        let text = |options| match &manifest(&bench, settings, options)[field] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(text(options), value);
        assert!(settings.contains(&text(&[])), "{settings}");
    }
    let made = |settings: &str, options: &[&str]| {
        manifest(&bench, settings, options)["artefacts"][0]["file"].as_str().unwrap().to_owned()
    };
    assert_eq!(made("name = 'a'", &[]), "a.bin");
    assert_eq!(made("name = 'a'", &["--name", "b"]), "b.bin");
    manifest(&bench, "out-dir = 'there'", &["--out-dir", "dist", "--name", "again"]);
    assert!(!bench.path("there").exists());
}

#[test]
fn flash_modes_and_metadata_of_the_command_line_win() {
    let bench = bench();
    let accepts = |settings: &str, options: &[&str]| {
        bench.write("otaseal.toml", settings.as_bytes());
        bench.otaseal(&[&["package", "lamp.bin", "--allow-no-key"], options].concat()).status.success()
    };
    // The image is DIO.
    assert!(!accepts("expect-flash-mode = 'qio'", &[]));
    assert!(accepts("expect-flash-mode = 'qio'", &["--expect-flash-mode", "dio"]));
    assert!(accepts("set-flash-mode = 'qio'", &["--set-flash-mode", "dio", "--expect-flash-mode", "dio"]));
    assert!(accepts("set-flash-mode = 'qio'", &["--expect-flash-mode", "qio"]));
    // What the image is expected to be is what the devices are, whatever the file says of them.
    let device = "for = ['esp8266@3.1.2']\nflash-mode = 'qio'";
    assert!(!accepts(device, &[]));
    assert!(accepts(device, &["--expect-flash-mode", "dio"]));
    assert!(accepts(device, &["--flash-mode", "dio"]));

    let words = |settings: &str, options: &[&str]| {
        let options = [&["--artefacts", "signed", "--name", "lamp"], options].concat();
        manifest(&bench, settings, &options);
        let image = bench.read("dist/lamp.bin.signed");
        ["old-board", "new-board"].map(|board| image.windows(9).any(|bytes| bytes == board.as_bytes()))
    };
    assert_eq!(words("board = 'old-board'", &[]), [true, false]);
    assert_eq!(words("board = 'old-board'", &["--board", "new-board"]), [false, true]);
    assert_eq!(words("board = 'old-board'", &["--metadata"]), [true, false]);
    assert_eq!(words("board = 'old-board'\nmetadata = false", &[]), [false, false]);
    assert_eq!(words("metadata = false", &["--board", "new-board"]), [false, true]);
}

#[test]
fn the_key_of_the_command_line_wins_with_all_that_belongs_to_it() {
    let bench = bench();
    let key = |settings: &str, options: &[&str]| {
        bench.write("otaseal.toml", settings.as_bytes());
        let output = bench.otaseal(&[&["package", "lamp.bin", "--allow-no-key"], options].concat());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.success() {
            true => Ok(serde_json::from_slice::<serde_json::Value>(&bench.read("dist/manifest.json"))
                .unwrap()["key"]["id"]
                .to_string()),
            false => Err(errors),
        }
    };
    let (own, other) = (key("", &[]).unwrap(), key("", &["--key", "other.pem"]).unwrap());
    assert_ne!(own, other);
    assert_eq!(key("key = 'other.pem'", &[]).unwrap(), other);
    assert_eq!(key("key = 'other.pem'", &["--key", "keys/private.pem"]).unwrap(), own);
    assert_eq!(key("signer-cmd = 'false'", &["--key", "other.pem"]).unwrap(), other);
    // The public key of the settings belongs to the private one of the settings.
    assert!(key("public-key = 'other-public.pem'", &[]).is_err());
    assert_eq!(key("public-key = 'keys/public.pem'", &["--key", "other.pem"]).unwrap(), other);
    // The example key stands in for a key that is not there, and for no key that was named.
    assert_eq!(key("key = 'nowhere.pem'\nexample-key = 'other.pem'", &[]).unwrap(), other);
    assert_eq!(key("example-key = 'other.pem'", &[]).unwrap(), own);
    assert!(key("example-key = 'other.pem'", &["--key", "nowhere.pem"]).is_err());
}
