use super::*;
use crate::format::gzip::Effort;
use crate::format::image::esp8266::FlashMode;
use crate::package::Options;
use crate::sign::command::CommandInput;
use std::fs;
use std::time::Duration;

mod find;
mod precedence;

fn read(name: &str, text: &str) -> (tempfile::TempDir, Result<Settings, SettingsError>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    let settings = match name {
        "Cargo.toml" => Settings::from_workspace(&path),
        _ => Settings::from_file(&path),
    };
    (dir, settings)
}

fn error(text: &str) -> SettingsError {
    read(FILE_NAME, text).1.unwrap_err()
}

/// Every field, with a value from the documentation.
const FULL: &str = r#"
key = "keys/private.pem"
public-key = "keys/public.pem"
example-key = "example.pem"
emit = [
    { path = "src/ota_key.rs", kind = "rust-device", module = "ota", self-test = true },
    { path = "Updater_Signing.h", kind = "c-header", array = "signing_pubkey" },
]
firmware = "build/firmware.bin"
manifest-path = "firmware/Cargo.toml"
package = "firmware"
bin = "main"
profile = "release"
target = "thumbv6m-none-eabi"
features = ["ota"]
prebuilt = "firmware.bin"
out-dir = "dist"
name = "lamp"
artefacts = ["plain", "gz", "signed", "gz-signed", "legacy-sig"]
legacy = false
effort = "max"
max-gap = 4096
for = ["esp8266@2.7.4", "homie-mqtt"]
flash-layout = "4m1m"
partition-scheme = "min_spiffs"
via = ["http", "espota"]
atomic-fs-update = true
flash-mode = "dout"
expect-flash-mode = "DIO"
set-flash-mode = "dio"
metadata = true
board = "lamp-2"
min-base-version = "1.0.0"
support-until = "2030-12-31"
security = true
advisory = "https://example.com/1"
sbom = "sbom.json"
ledger = "ledger.jsonl"

[fallback]
cargo = "/usr/bin/cargo"
rustc = "rustc-web"
build-std = ["core"]
linker = "arm-none-eabi-ld"
"#;

#[test]
fn every_field_is_known_and_paths_belong_to_the_file() {
    let (dir, settings) = read(FILE_NAME, FULL);
    let settings = settings.unwrap();
    let at = |name: &str| Some(dir.path().join(name));
    assert_eq!(settings.key, at("keys/private.pem"));
    assert_eq!(settings.firmware, at("build/firmware.bin"));
    assert_eq!(settings.out_dir, at("dist"));
    assert_eq!(settings.ledger, at("ledger.jsonl"));
    assert_eq!(settings.sbom, at("sbom.json"));
    assert_eq!(settings.effort, Some(Effort::Max));
    let fallback = settings.fallback.unwrap();
    assert_eq!(fallback.rustc, Some("rustc-web".into()), "a bare name is looked up in PATH");
    let emit = settings.emit.unwrap();
    assert_eq!(emit[0].path, dir.path().join("src/ota_key.rs"));
    assert_eq!((emit[0].kind, emit[1].kind), (EmitKind::RustDevice, EmitKind::CHeader));
    // The lists of valid names are complete, because nothing above was refused. This checks the other direction: the
    // types know every name in the lists.
    for field in SETTINGS.iter().map(|setting| setting.name) {
        let text = if field.starts_with("signer-") { BY_COMMAND } else { FULL };
        assert!(text.contains(&format!("{field} = ")) || text.contains(&format!("[{field}]")), "{field}");
    }
}

/// A command that signs, with all of its settings.
const BY_COMMAND: &str = r#"
signer-cmd = "./sign.sh 'lamp key' --pin $PIN"
signer-cmd-input = "digest"
signer-timeout = 90
"#;

#[test]
fn a_command_is_run_where_the_file_is_that_names_it() {
    let (dir, settings) = read(FILE_NAME, BY_COMMAND);
    let command = settings.unwrap().signing_command().unwrap();
    assert_eq!((command.input, command.timeout), (CommandInput::Digest, Duration::from_secs(90)));
    let seen = format!("{command:?}");
    let program = format!("{:?}", dir.path().join("./sign.sh"));
    assert!(seen.contains(&program) && seen.contains(r#"["lamp key", "--pin", "$PIN"]"#), "{seen}");
    assert!(seen.contains(&format!("directory: Some({:?})", dir.path())), "{seen}");
    let (_dir, settings) = read(FILE_NAME, "signer-cmd = \"openssl pkeyutl\"");
    let seen = format!("{:?}", settings.unwrap().signing_command());
    assert!(seen.contains("program: \"openssl\""), "a bare name is looked up in PATH: {seen}");
}

#[test]
fn who_signs_is_said_as_a_whole() {
    let settings = |text: &str| read(FILE_NAME, text).1.unwrap();
    let (command, key) = (settings(BY_COMMAND), settings("key = \"k.pem\"\npublic-key = \"p.pem\""));
    let both = key.clone().or(command.clone());
    assert_eq!((both.signing_command(), &both.key), (None, &key.key));
    let both = command.clone().or(key.clone());
    assert_eq!((both.signing_command(), &both.key), (command.signing_command(), &None));
    assert_eq!(both.public_key, key.public_key, "it belongs to either");
    // The settings of one file's command do not apply to the command of another file.
    let both = settings("signer-cmd = \"other\"").or(command.clone());
    let other = both.signing_command().unwrap();
    assert_eq!((other.input, other.timeout), (CommandInput::DigestInfo, Duration::from_secs(60)));
    let both = settings("effort = \"max\"").or(command.clone());
    assert_eq!(both.signing_command(), command.signing_command());
}

#[test]
fn what_is_said_of_devices_reaches_the_options() {
    let mut options = Options::new("x.bin", "dist");
    read(FILE_NAME, FULL).1.unwrap().apply(&mut options);
    assert_eq!(
        options.policy.devices.profiles.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["esp8266@2.7.4", "homie-mqtt@3.1.2"]
    );
    assert_eq!(options.policy.devices.flash_bytes, Some(4 << 20));
    assert_eq!(
        options.policy.devices.flash_mode,
        Some(FlashMode::Dout),
        "not what images are expected to be"
    );
    assert_eq!(options.policy.devices.partitions.unwrap().name, "min_spiffs");
    let area = options.policy.devices.filesystem.map(|area| area.whole_blocks());
    assert_eq!((area, options.policy.devices.atomic_fs_update), (Some(0xF_A000), true));
    assert_eq!(options.policy.expect.flash_mode, Some(FlashMode::Dio));
    assert_eq!(options.set_flash_mode, Some(FlashMode::Dio));
    let request = options.metadata.unwrap();
    assert_eq!(request.board, "lamp-2".parse().ok());
    assert_eq!(request.min_base_version, "1.0.0".parse().ok());

    let apply = |text: &str| {
        let mut options = Options::new("x.bin", "dist");
        read(FILE_NAME, text).1.unwrap().apply(&mut options);
        options
    };
    let all = apply("for = [\"arduino-pico\"]");
    assert_eq!(all.artefacts, ArtefactKind::ALL, "everything is tried");
    assert_eq!(apply("expect-flash-mode = \"qio\"").policy.devices.flash_mode, Some(FlashMode::Qio));
    assert!(apply("board = \"b\"").metadata.is_some(), "a board is said in metadata");
    assert!(apply("metadata = false\nboard = \"b\"").metadata.is_none());
    for (text, line) in [
        ("\nfor = [\"esp32\"]", 2),
        ("flash-layout = \"9m\"", 1),
        ("partition-scheme = \"9m\"", 1),
        ("name = \"x\"\n\nflash-mode = \"fast\"", 3),
        ("board = \"../x\"", 1),
    ] {
        let SettingsError::Invalid { place, .. } = error(text) else { panic!("{text}") };
        assert_eq!(place.line, line, "{text}");
    }
}

#[test]
fn a_cargo_project_says_the_same_in_its_manifest() {
    let text = "[workspace]\nmembers = []\n\n[workspace.metadata.otaseal]\nkey = \"k.pem\"\n\
                [package]\nname = \"x\"\n[package.metadata.otaseal]\nkey = \"own.pem\"\n";
    let (dir, settings) = read("Cargo.toml", text);
    let workspace = settings.unwrap();
    let package = Settings::from_package(&dir.path().join("Cargo.toml")).unwrap();
    assert_eq!(workspace.key, Some(dir.path().join("k.pem")));
    assert_eq!(package.key, Some(dir.path().join("own.pem")));
    assert_eq!(package.clone().or(workspace).key, package.key);
}

#[test]
fn a_project_without_settings_has_empty_ones() {
    for text in ["", "[package]\nname = \"x\"\n", "[workspace.metadata.docs]\nkey = 1\n"] {
        assert_eq!(read("Cargo.toml", text).1.unwrap(), Settings::default(), "{text:?}");
    }
}

#[test]
fn an_unknown_field_is_refused_with_its_line_and_the_nearest_name() {
    let SettingsError::Unknown { place, field, valid, near: true } =
        error("key = \"a\"\n\neffrot = \"max\"\n")
    else {
        panic!("the slip was not seen")
    };
    assert_eq!((place.line, field.as_str(), valid[0]), (3, "effrot", "effort"));
    let near = |text| match error(text) {
        SettingsError::Unknown { valid, near: true, .. } => valid[0],
        other => panic!("{other}"),
    };
    assert_eq!(near("out_dir = \"x\""), "out-dir");
    assert_eq!(near("artifacts = []"), "artefacts");
    assert_eq!(near("signer_cmd = \"a\""), "signer-cmd");
    assert_eq!(near("[fallback]\nbuild_std = []"), "build-std");
    assert_eq!(near("[[emit]]\npath = \"a\"\nkind = \"pem\"\nselftest = true"), "self-test");
}

#[test]
fn a_far_name_gets_the_list() {
    // A user may paste a key as a value or as a name. The error quotes both.
    let key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
    for text in [format!("effort = '{key}'"), format!("{key} = 1"), format!("emit = [{{ {key} = 1 }}]")] {
        let error = error(&text).to_string();
        assert!(error.contains("this is a key itself") && !error.contains("MII"), "{error}");
    }
    let SettingsError::Unknown { valid, near: false, .. } = error("compression-level = 9") else {
        panic!("it is near nothing")
    };
    assert_eq!(valid.len(), SETTINGS.len());
}

#[test]
fn a_wrong_value_is_refused_with_its_line() {
    for (text, line, says) in [
        ("\nkey = 3", 2, "string"),
        ("effort = \"best\"", 1, "`best` is not an effort"),
        ("artefacts = [\n  \"plain\",\n  \"zip\",\n]", 3, "zip"),
        ("max-gap = -1", 1, "-1"),
        ("package = \"--config=x\"", 1, "cannot be a name"),
        ("features = [\"a b\"]", 1, "cannot be a name"),
        ("target = \"\"", 1, "cannot be a name"),
        ("[[emit]]\nkind = \"rust\"", 1, "path"),
        ("[[emit]]\npath = \"a\"\nkind = \"rust\"\nmodule = \"fn\"", 4, "keyword"),
        ("[[emit]]\npath = \"a\"\nkind = \"go\"", 3, "go"),
        ("legacy = \"yes\"", 1, "boolean"),
        ("key = \"a\"\nkey = \"b\"", 2, "duplicate"),
        ("key = ", 1, ""),
        ("key = \"a\"\nsigner-cmd = \"b\"", 2, "`key` already names the key that signs"),
        ("signer-cmd = \"b\"\n\nkey = \"pkcs11:object=a\"", 1, "`key` already names the key that signs"),
        ("signer-cmd = \"\"", 1, "is empty"),
        ("\nsigner-cmd = \"sh -c 'exit\"", 2, "not closed"),
        ("signer-cmd = [\"sh\"]", 1, "string"),
        ("signer-cmd = \"a\"\nsigner-cmd-input = \"sha256\"", 2, "expected digest-info or digest"),
        ("signer-cmd = \"a\"\nsigner-timeout = 0", 2, "from 1 to 86400"),
        ("signer-cmd = \"a\"\nsigner-timeout = 86401", 2, "from 1 to 86400"),
        ("signer-cmd = \"a\"\nsigner-timeout = -1", 2, "-1"),
        ("signer-cmd = \"a\"\nsigner-timeout = \"60\"", 2, "u64"),
        ("key = \"a\"\nsigner-timeout = 60", 2, "needs `signer-cmd`"),
        ("signer-cmd-input = \"digest\"", 1, "needs `signer-cmd`"),
    ] {
        match error(text) {
            SettingsError::Invalid { place, message } => {
                assert_eq!(place.line, line, "{text:?}: {message}");
                assert!(message.contains(says), "{text:?}: {message}");
            }
            other => panic!("{text:?}: {other}"),
        }
    }
}

#[test]
fn our_own_table_must_be_one() {
    let (_dir, settings) = read("Cargo.toml", "[workspace.metadata]\notaseal = 3\n");
    assert!(matches!(settings, Err(SettingsError::Invalid { place, .. }) if place.line == 2));
}

#[test]
fn a_missing_or_huge_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Settings::from_file(&dir.path().join(FILE_NAME));
    assert!(matches!(missing, Err(SettingsError::Read { .. })));
    let (_dir, huge) = read(FILE_NAME, &"#\n".repeat(600_000));
    assert!(matches!(huge, Err(SettingsError::Read { .. })));
}

#[test]
fn options_take_what_is_said_and_keep_the_rest() {
    let mut options = Options::new("a.elf", "dist");
    let before = options.clone();
    Settings::default().apply(&mut options);
    assert_eq!(format!("{options:?}"), format!("{before:?}"));
    let settings = Settings { legacy: Some(true), effort: Some(Effort::Fast), ..Settings::default() };
    settings.apply(&mut options);
    assert!(options.artefacts.contains(&ArtefactKind::LegacySig));
    assert_eq!(options.effort, Effort::Fast);
    let settings = Settings { legacy: Some(false), ..Settings::default() };
    settings.apply(&mut options);
    assert_eq!(options.artefacts, before.artefacts);
}
