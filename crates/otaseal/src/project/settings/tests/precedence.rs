//! Tests which setting wins if two levels have it.

use super::*;

fn settings(text: &str) -> Settings {
    read(FILE_NAME, text).1.unwrap()
}

/// Returns the artefacts that otaseal makes with `above` over `below`.
fn made(above: &str, below: &str) -> Vec<ArtefactKind> {
    let mut options = Options::new("x.bin", "dist");
    settings(above).or(settings(below)).apply(&mut options);
    options.artefacts.sort();
    options.artefacts.dedup();
    options.artefacts
}

#[test]
fn artefacts_legacy_and_devices_together_say_what_is_made() {
    use ArtefactKind::{Gz, LegacySig, Plain, Signed};
    let (all, default) = (ArtefactKind::ALL.to_vec(), ArtefactKind::DEFAULT.to_vec());
    for (text, expected) in [
        ("", &default[..]),
        ("legacy = true", &all),
        ("legacy = false", &default),
        ("artefacts = ['plain']", &[Plain]),
        ("artefacts = ['plain']\nlegacy = true", &[Plain, LegacySig]),
        ("artefacts = ['plain', 'legacy-sig']\nlegacy = false", &[Plain]),
        ("for = ['homie-mqtt']", &all),
        ("for = ['homie-mqtt']\nlegacy = true", &all),
        ("for = ['homie-mqtt']\nlegacy = false", &default),
        ("for = ['homie-mqtt']\nartefacts = ['signed']", &[Signed]),
        // Devices that check no signature.
        ("for = ['tasmota-esp8266', 'esp8266@3.1.2/unsigned']", &[Plain, Gz]),
        ("for = ['tasmota-esp8266', 'esp8266@3.1.2']", &all),
        ("for = ['tasmota-esp8266']\nlegacy = true", &[Plain, Gz, LegacySig]),
        ("for = ['tasmota-esp8266']\nartefacts = ['signed']", &[Signed]),
        ("for = ['homie-mqtt']\nartefacts = ['signed']\nlegacy = true", &[Signed, LegacySig]),
    ] {
        assert_eq!(made(text, ""), expected, "{text}");
        assert_eq!(made("", text), expected, "{text}");
    }
}

#[test]
fn each_field_counts_by_itself() {
    use ArtefactKind::{Plain, Signed};
    let all = ArtefactKind::ALL.to_vec();
    for (above, below, expected) in [
        ("artefacts = ['plain']", "artefacts = ['signed']", &[Plain][..]),
        ("legacy = true", "legacy = false", &all),
        ("artefacts = ['plain']", "for = ['homie-mqtt']", &[Plain]),
        ("for = ['homie-mqtt']", "artefacts = ['signed']", &[Signed]),
        ("legacy = false", "artefacts = ['signed', 'legacy-sig']", &[Signed]),
    ] {
        assert_eq!(made(above, below), expected, "{above} / {below}");
    }
    let both = settings("name = 'a'").or(settings("name = 'b'\neffort = 'max'"));
    assert_eq!((both.name.as_deref(), both.effort), (Some("a"), Some(Effort::Max)));
}

/// A setting shadows related settings of the levels below.
#[test]
fn settings_that_belong_together_come_from_one_level() {
    let artefacts = settings("artefacts = ['plain']");
    assert_eq!(artefacts.clone().or(settings("legacy = true")).legacy, None);
    assert_eq!(settings("legacy = true").or(artefacts).artefacts, Some(vec![ArtefactKind::Plain]));
    let both = settings("artefacts = ['plain']\nlegacy = true").or(settings("legacy = false"));
    assert_eq!(both.legacy, Some(true));

    let mut options = Options::new("x.bin", "dist");
    settings("expect-flash-mode = 'dio'").or(settings("flash-mode = 'qio'")).apply(&mut options);
    assert_eq!(options.policy.devices.flash_mode, Some(FlashMode::Dio));
    settings("flash-mode = 'dout'").or(settings("expect-flash-mode = 'dio'")).apply(&mut options);
    assert_eq!(options.policy.devices.flash_mode, Some(FlashMode::Dout));

    for implied in ["board = 'b'", "min-base-version = '1'"] {
        let mut options = Options::new("x.bin", "dist");
        settings(implied).or(settings("metadata = false")).apply(&mut options);
        assert!(options.metadata.is_some(), "{implied}");
        options.metadata = None;
        settings("metadata = false").or(settings(implied)).apply(&mut options);
        assert!(options.metadata.is_none(), "{implied}");
    }
    for name in SETTINGS.iter().flat_map(|setting| setting.shadows.iter().chain(&setting.belongs_to)) {
        assert!(SETTINGS.iter().any(|setting| setting.name == *name), "{name}");
    }
}

/// A command line gives the same settings as a file, except for tables.
#[test]
fn the_text_of_a_command_line_is_read_as_a_file_is() {
    let (mut file, mut line) = (settings(FULL), Settings::default());
    for (name, text) in [
        ("key", "keys/private.pem"),
        ("package", "firmware"),
        ("features", "ota"),
        ("artefacts", "plain,gz,signed,gz-signed,legacy-sig"),
        ("legacy", "false"),
        ("effort", "max"),
        ("max-gap", "4096"),
        ("for", "esp8266@2.7.4,homie-mqtt"),
        ("support-until", "2030-12-31"),
        ("ledger", "ledger.jsonl"),
    ] {
        line.set(name, text.as_ref()).unwrap();
        assert!(line.has(name));
        file.clear(name);
        assert!(!file.has(name));
    }
    line.rebase(Path::new("/there"));
    assert_eq!((line.key.as_deref(), line.legacy), (Some(Path::new("/there/keys/private.pem")), Some(false)));
    assert_eq!(line.devices.as_ref().map(Vec::len), Some(2));
    for (name, text, says) in [
        ("effort", "best", "`best` is not an effort"),
        ("artefacts", "plain,zip", "`zip` is not an artefact"),
        ("key", "", "a path is empty"),
        ("ledger", "-", "not a stream"),
        ("legacy", "yes", "true"),
        ("max-gap", "-1", "invalid digit"),
        ("package", "-x", "cannot be a name"),
        ("features", "a,", "cannot be a name"),
        ("signer-timeout", "1m", "from 1 to 86400"),
        ("emit", "x", "settings file"),
        ("effrot", "max", "there is no setting"),
    ] {
        let error = Settings::default().set(name, text.as_ref()).unwrap_err();
        assert!(error.contains(says), "{name} {text}: {error}");
    }
}

/// The files of a project, with the key and the example key that its settings name.
#[test]
fn the_example_key_stands_in_for_a_key_that_is_not_there_and_for_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let chosen = |key: &str| {
        let (key, example_key) = (Some(root.join(key)), Some(root.join("example.pem")));
        Settings { key, example_key, ..Settings::default() }.signing_key(root, None).unwrap()
    };
    fs::write(root.join("own.pem"), "").unwrap();
    assert!(chosen("nowhere.pem").is_example && chosen("nowhere/key.pem").is_example);
    assert_eq!(chosen("nowhere.pem").name, root.join("example.pem"));
    assert!(!chosen("own.pem").is_example);
    // This is a file where the path needs a directory. Even root cannot look into it.
    assert!(!chosen("own.pem/key.pem").is_example);
    #[cfg(unix)]
    for (link, target) in [("circle", "circle"), ("dangling.pem", "unplugged/key.pem")] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        assert!(!chosen(link).is_example, "{link}");
    }
    #[cfg(unix)]
    assert!(!chosen("circle/key.pem").is_example);
    let token = Settings {
        key: Some("pkcs11:object=a".into()),
        example_key: Some("example.pem".into()),
        ..Settings::default()
    };
    let token = token.signing_key(root, None).unwrap();
    assert_eq!((token.is_example, token.name), (false, "pkcs11:object=a".into()));
}

#[test]
fn a_public_key_belongs_to_the_projects_own_key() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir(root.join("keys")).unwrap();
    for file in ["own.pem", "public.pem", "keys/public.pem"] {
        fs::write(root.join(file), "").unwrap();
    }
    let public = |text: &str| settings(text).signing_key(root, None).unwrap().public;
    let own = format!("key = '{}'\n", root.join("own.pem").display());
    assert_eq!(public(""), Some(root.join("keys/public.pem")));
    assert_eq!(public("key = 'pkcs11:object=a'"), Some(root.join("keys/public.pem")));
    assert_eq!(public("signer-cmd = 'false'"), Some(root.join("keys/public.pem")));
    assert_eq!(public(&own), Some(root.join("public.pem")));
    assert_eq!(public(&format!("{own}public-key = '/p.pem'")), Some("/p.pem".into()));
    assert_eq!(public("public-key = '/p.pem'\nexample-key = '/nowhere/e.pem'"), None);
}
