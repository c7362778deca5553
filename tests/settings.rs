//! Tests which setting wins: the command line's or the file's.

use crate::common::Bench;
use std::fs;
use std::path::Path;

/// Makes a project with an image, a key pair and another key.
fn bench() -> Bench {
    let bench = Bench::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cmd/in");
    fs::copy(fixtures.join("esp8266.bin"), bench.path("lamp.bin")).unwrap();
    fs::create_dir(bench.path("keys")).unwrap();
    bench.ok(&["keygen", "--private", "keys/private.pem", "--public", "keys/public.pem"]);
    bench.ok(&["keygen", "--private", "other.pem", "--public", "other-public.pem"]);
    bench
}

/// Returns the manifest of the package that these settings and options make.
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
        // If the command line says what to make, the file adds nothing.
        ("artefacts = ['plain']\nlegacy = true", &["--artefacts", "signed"], &["signed"]),
        ("legacy = true", &["--artefacts", "signed"], &["signed"]),
        ("legacy = false", &["--artefacts", "signed,legacy-sig"], &["signed", "legacy-sig"]),
        ("", &["--artefacts", "signed", "--legacy"], &["signed", "legacy-sig"]),
        // otaseal tries all kinds, and keeps those that the device accepts.
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
    // The image has mode DIO.
    assert!(!accepts("expect-flash-mode = 'qio'", &[]));
    assert!(accepts("expect-flash-mode = 'qio'", &["--expect-flash-mode", "dio"]));
    assert!(accepts("set-flash-mode = 'qio'", &["--set-flash-mode", "dio", "--expect-flash-mode", "dio"]));
    assert!(accepts("set-flash-mode = 'qio'", &["--expect-flash-mode", "qio"]));
    // `--expect-flash-mode` says the mode of the devices too, whatever mode the file says.
    let device = "for = ['esp8266@3.1.2']\nvia = ['http', 'espota']\nflash-mode = 'qio'";
    assert!(!accepts(device, &[]));
    // The form takes nothing as small as this image.
    assert!(!accepts(device, &["--flash-mode", "dio", "--via", "form"]));
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
    // The public key of the settings belongs to the private key of the settings.
    assert!(key("public-key = 'other-public.pem'", &[]).is_err());
    assert_eq!(key("public-key = 'keys/public.pem'", &["--key", "other.pem"]).unwrap(), other);
    // The example key replaces a default key that does not exist. It never replaces a key that the user named.
    assert_eq!(key("key = 'nowhere.pem'\nexample-key = 'other.pem'", &[]).unwrap(), other);
    assert_eq!(key("example-key = 'other.pem'", &[]).unwrap(), own);
    assert!(key("example-key = 'other.pem'", &["--key", "nowhere.pem"]).is_err());
}

/// Returns the text of both streams, and whether the program succeeded.
fn said(output: &std::process::Output) -> (bool, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn every_command_that_signs_or_judges_honours_the_key_of_the_file() {
    let bench = bench();
    fs::remove_dir_all(bench.path("keys")).unwrap();
    let id = |key: &str| {
        let output = bench.ok(&["pubkey", key, "--fingerprint"]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let other = id("other-public.pem");
    let commands: [&[&str]; 6] = [
        &["sign", "lamp.bin", "-o", "signed", "--allow-no-key"],
        &["verify", "signed"],
        &["digest", "lamp.bin", "-o", "request.json", "--allow-no-key"],
        &["attach", "lamp.bin", "signature", "-o", "attached", "--allow-no-key"],
        &["signing-py", "--mode", "sign", "--bin", "lamp.bin", "--out", "by-script", "--allow-no-key"],
        &["signing-py", "--mode", "header", "--out", "key.h"],
    ];
    bench.openssl("dgst -sha256 -sign other.pem -out signature lamp.bin");
    for words in commands {
        match words[0] {
            "digest" => drop(bench.ok(words)),
            _ => drop(bench.fails(2, words)),
        }
    }
    bench.write("otaseal.toml", b"key = 'other.pem'\npublic-key = 'other-public.pem'\n");
    for words in commands {
        let (_, text) = said(&bench.ok(words));
        assert!(text.contains(&format!("key id   {other}")), "{words:?}: {text}");
        assert!(text.contains("\nsettings otaseal.toml\n"), "{words:?}: {text}");
    }
    assert!(
        bench.read("signed") == bench.read("attached") && bench.read("signed") == bench.read("by-script")
    );
    let json = bench.ok(&["verify", "signed", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["settings"], &json["verdict"]), (&"otaseal.toml".into(), &"accepted".into()));
    // An option wins over the file.
    bench.ok(&["keygen", "--private", "third.pem", "--public", "third-public.pem"]);
    let words = ["sign", "lamp.bin", "-o", "third", "--allow-no-key", "--key", "third.pem"];
    let (_, text) = said(&bench.ok(&words));
    assert!(text.contains(&format!("key id   {}", id("third-public.pem"))), "{text}");
    bench.fails(1, &["verify", "third"]);
    bench.ok(&["verify", "third", "--key", "third-public.pem"]);
    // The public key of the file belongs to its private key.
    bench.write("otaseal.toml", b"key = 'other.pem'\npublic-key = 'third-public.pem'\n");
    bench.fails(3, &["sign", "lamp.bin", "-o", "refused", "--allow-no-key"]);
    assert!(!bench.path("refused").exists());
}

#[test]
fn every_command_that_signs_honours_the_flash_mode_and_the_ledger_of_the_file() {
    let bench = bench();
    bench.openssl("dgst -sha256 -sign keys/private.pem -out signature lamp.bin");
    let commands: [&[&str]; 4] = [
        &["sign", "lamp.bin", "-o", "out"],
        &["digest", "lamp.bin", "-o", "out"],
        &["attach", "lamp.bin", "signature", "-o", "out"],
        &["signing-py", "--mode", "sign", "--bin", "lamp.bin", "--out", "out"],
    ];
    for words in commands {
        let words = [words, &["--allow-no-key"]].concat();
        // The image has mode DIO.
        bench.write("otaseal.toml", b"expect-flash-mode = 'qio'\nledger = 'ledger.jsonl'\n");
        bench.fails(3, &words);
        assert!(!bench.path("out").exists() && !bench.path("ledger.jsonl").exists(), "{words:?}");
        bench.ok(&[&words[..], &["--expect-flash-mode", "dio"]].concat());
        assert_eq!(bench.path("ledger.jsonl").exists(), words[0] != "digest", "{words:?}");
        let _ = fs::remove_file(bench.path("ledger.jsonl"));
        fs::remove_file(bench.path("out")).unwrap();
    }
}

#[test]
fn compress_and_verify_honour_what_concerns_them() {
    let bench = bench();
    bench.write("big.bin", &crate::common::firmware(60_000));
    let size = |options: &[&str]| {
        bench.ok(&[&["compress", "big.bin", "-o", "big.gz"], options].concat());
        bench.read("big.gz").len()
    };
    let (fast, max) = (size(&["--effort", "fast"]), size(&["--effort", "max"]));
    assert!(max < fast);
    bench.write("otaseal.toml", b"effort = 'max'\nflash-layout = '4m1m'\nflash-mode = 'qio'\n");
    assert_eq!((size(&[]), size(&["--effort", "fast"])), (max, fast));
    bench.ok(&["sign", "lamp.bin", "-o", "signed", "--allow-no-key"]);
    let judge = |options: &[&str]| {
        let words = ["verify", "signed", "--as", "esp8266@3.1.2", "-k", "keys/public.pem"];
        bench.otaseal(&[&words[..], options].concat()).status.code()
    };
    assert_eq!((judge(&[]), judge(&["--flash-mode", "dio"])), (Some(1), Some(0)));
}

/// If otaseal cannot read a key, it fails. It does not use the example key: anybody can sign with that.
#[test]
fn the_example_key_does_not_stand_in_for_a_key_that_cannot_be_read() {
    let bench = bench();
    let mut keys = vec!["lamp.bin/private.pem"];
    if cfg!(unix) {
        #[cfg(unix)]
        std::os::unix::fs::symlink("circle", bench.path("circle")).unwrap();
        keys.extend(["circle", "circle/private.pem"]);
    }
    for key in keys {
        bench.write("otaseal.toml", format!("key = '{key}'\nexample-key = 'other.pem'\n").as_bytes());
        for words in [
            &["package", "lamp.bin", "--allow-no-key"][..],
            &["sign", "lamp.bin", "-o", "signed", "--allow-no-key"],
            &["signing-py", "--mode", "sign", "--bin", "lamp.bin", "--out", "signed", "--allow-no-key"],
        ] {
            let (_, text) = said(&bench.fails(3, words));
            assert!(text.contains("could not be read"), "{key} {words:?}: {text}");
            assert!(!bench.path("dist").exists() && !bench.path("signed").exists(), "{key} {words:?}");
        }
    }
}

#[test]
fn the_file_is_found_up_to_the_top_of_the_repository() {
    let bench = bench();
    fs::create_dir_all(bench.path("firmware/build")).unwrap();
    fs::copy(bench.path("lamp.bin"), bench.path("firmware/build/lamp.bin")).unwrap();
    bench.write("otaseal.toml", b"name = 'found'\nfirmware = 'lamp.bin'\n");
    let package = |options: &[&str]| {
        let mut command = std::process::Command::new(crate::common::OTASEAL);
        command.args(["package", "--allow-no-key"]).args(options);
        said(&command.current_dir(bench.path("firmware/build")).output().unwrap())
    };
    let (done, text) = package(&[]);
    assert!(!done && text.contains("no firmware to package"), "outside of a repository: {text}");
    fs::create_dir(bench.path(".git")).unwrap();
    // The paths of key, firmware and output belong to the file's directory.
    let (done, text) = package(&[]);
    let file = bench.path("otaseal.toml").canonicalize().unwrap();
    assert!(done && text.contains(&format!("settings {}", file.display())), "{text}");
    assert!(bench.path("dist/found.bin.signed").exists());
    bench.write("firmware/build/otaseal.toml", b"name = 'near'\nkey = '../../other.pem'\n");
    let (done, text) = package(&["lamp.bin"]);
    assert!(done && text.contains("\nsettings otaseal.toml\n"), "{text}");
    assert!(bench.path("firmware/build/dist/near.bin.signed").exists());
}

/// Changes the owner of a file, so it needs root.
#[cfg(unix)]
#[test]
fn a_command_that_signs_counts_only_in_a_file_of_the_user() {
    let bench = bench();
    bench.write("otaseal.toml", b"signer-cmd = 'touch was-run'\n");
    if std::os::unix::fs::chown(bench.path("otaseal.toml"), Some(12345), None).is_err() {
        return;
    }
    for words in [&["package", "lamp.bin"][..], &["sign", "lamp.bin", "-o", "out"], &["verify", "lamp.bin"]] {
        let (_, text) = said(&bench.fails(3, words));
        assert!(text.contains("belongs to another user") && text.contains("--signer-cmd"), "{text}");
    }
    assert!(!bench.path("was-run").exists());
}

/// The program parses every option that the table gives to a command. A switch can be switched off.
#[test]
fn a_switch_of_the_command_line_can_say_no() {
    let bench = bench();
    assert_eq!(made(&bench, "legacy = true", &["--legacy=false"]), ["plain", "gz", "signed", "gz-signed"]);
    bench.fails(2, &["package", "lamp.bin", "--legacy=perhaps"]);
    bench.fails(2, &["package", "lamp.bin", "--signer-timeout", "5"]);
    bench.fails(2, &["package", "lamp.bin", "--ledger", "-"]);
    bench.fails(2, &["package", "lamp.bin", "--effort", "best"]);
    assert_eq!(made(&bench, "", &["--artefacts", "plain", "--artefacts", "signed"]), ["plain", "signed"]);
}
