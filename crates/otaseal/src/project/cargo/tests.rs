use super::*;
use crate::key::encryption::{Derivation, Protection};
use crate::key::passphrase::Passphrase;
use crate::key::{KeySize, PrivateKey};
use crate::output::{Access, Overwrite};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

mod command;
mod keygen;
mod unsigned;

/// The directory of this crate's workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().into()
}

/// A project with a firmware that another tool built.
struct Project(tempfile::TempDir);

impl Project {
    fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let manifest = format!(
            "[workspace]\nresolver = \"3\"\nmembers = []\n[workspace.metadata.otaseal]\n{settings}\n"
        );
        fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
        fs::write(dir.path().join("lamp.bin"), vec![0x5a; 4096]).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Gives the project a key pair. It copies a fixture, because making a key takes long.
    fn with_key(self, name: &str, public: &str) -> Self {
        fs::create_dir_all(self.path("keys")).unwrap();
        let private = fs::read(workspace().join("fixtures/keys").join(name)).unwrap();
        // Git checks files out readable by all users. otaseal would warn about that.
        crate::output::write(&self.path("keys/private.pem"), &private, Overwrite::Replace, Access::OwnerOnly)
            .unwrap();
        let key = fs::read(workspace().join("fixtures/keys").join(public)).unwrap();
        let key = PrivateKey::from_bytes(&key).unwrap();
        fs::write(self.path("keys/public.pem"), key.public().to_spki_pem()).unwrap();
        self
    }

    /// Runs one task, and returns its exit code, output and notes.
    fn run(&self, task: &str) -> (u8, String, String) {
        let manifest = self.path("Cargo.toml");
        let words = task.split_whitespace().map(OsString::from);
        let words = words.chain(["--manifest-path".into(), manifest.into_os_string()]);
        self.run_words(words)
    }

    fn run_words(&self, words: impl Iterator<Item = OsString>) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = format!("{:?}", run(words, &mut out, &mut err));
        let code = code.chars().filter(char::is_ascii_digit).collect::<String>();
        (code.parse().unwrap_or_default(), String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }
}

#[test]
fn a_build_of_another_tool_is_packaged_and_verified() {
    let project = Project::new("firmware = \"lamp.bin\"\nlegacy = true").with_key("other.pem", "other.pem");
    let (code, out, err) = project.run("sign --release --allow-no-key");
    assert!(code == 3 && err.contains("a release needs a ledger"), "{out}{err}");
    let ledger = project.path("ledger.jsonl");
    let (code, out, err) =
        project.run(&format!("sign --release --allow-no-key --ledger {}", ledger.display()));
    assert_eq!(crate::ledger::verify(&ledger, None).unwrap().records, 3);
    assert_eq!((code, out.matches("  verified\n").count()), (0, 3), "{out}{err}");
    assert!(err.contains("no public key was found"), "{err}");
    assert!(project.path("target/otaseal/lamp/manifest.json").exists());
    let (code, out, _) = project.run("verify");
    assert_eq!((code, out.matches("accepted").count()), (0, 3), "{out}");
    let image = project.path("target/otaseal/lamp/lamp.bin.legacy_sig");
    assert_eq!(project.run(&format!("verify --legacy {}", image.display())).0, 0);
    assert_eq!(project.run(&format!("verify {}", image.display())).0, 1, "the form must be named");
    // A release checks the whole chain, and refuses a broken ledger.
    let edited = fs::read_to_string(&ledger).unwrap().replacen("lamp.bin", "lump.bin", 1);
    fs::write(&ledger, &edited).unwrap();
    let (code, _, err) = project.run(&format!("sign --release --allow-no-key --ledger {}", ledger.display()));
    assert!(code == 1 && err.contains("line 2: the chain is broken"), "{code}: {err}");
    assert_eq!(fs::read_to_string(&ledger).unwrap(), edited);
}

#[test]
fn support_is_not_promised_for_longer_than_the_key_is_good() {
    let project = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem");
    for (until, says) in [
        ("2040-12-31", "warning: support is promised until 2040-12-31, RSA-2048 is good through 2030"),
        ("2020-01-01", "warning: support ended on 2020-01-01 already"),
    ] {
        let (code, _, err) = project.run(&format!("sign --allow-no-key --support-until {until}"));
        assert!(code == 0 && err.contains(says), "{err}");
    }
}

/// `cargo xtask` judges the keys in the firmware as the program does.
#[test]
fn firmware_without_its_key_is_no_package() {
    let project = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem");
    let fixture = |name: &str| fs::read(workspace().join("fixtures/keys").join(name)).unwrap();
    let public =
        |name: &str| PrivateKey::from_bytes(&fixture(name)).unwrap().public().to_spki_pem().into_bytes();
    let example = fs::read(workspace().join("keys.example/public.pem")).unwrap();
    // No text of any kind has zeros: this is not a key file with words before the key.
    let code = [0xA5, 0].repeat(2048);
    for (image, task, words) in [
        (crate::testing::esp_image(), "sign", "switches signature checking off"),
        ([&code[..], &public("next.pem")].concat(), "sign", "it carries another key than the one that signs"),
        (
            [&code[..], &public("other.pem"), &fixture("next.pem")].concat(),
            "sign --allow-no-key",
            "a private key",
        ),
        (
            [&code[..], &public("other.pem"), &example].concat(),
            "sign --release --ledger ledger.jsonl",
            "its devices would trust the key",
        ),
    ] {
        fs::write(project.path("lamp.bin"), image).unwrap();
        let (code, _, err) = project.run(task);
        assert!(code == 3 && err.contains(words), "{code} {err}, not {words}");
        assert!(!project.path("target/otaseal").exists());
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_lies_open_is_a_warning_and_no_release() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem");
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(project.path("keys/private.pem"), open).unwrap();
    let (code, _, err) = project.run("sign --allow-no-key");
    assert!(code == 0 && err.contains("other users can read"), "{err}");
    let (code, _, err) = project.run("sign --allow-no-key --release");
    assert!(code == 3 && err.contains("this key may not sign releases"), "{err}");
}

#[test]
fn an_encrypted_key_takes_its_passphrase_from_a_file() {
    let project = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem");
    let key = PrivateKey::from_bytes(&fs::read(project.path("keys/private.pem")).unwrap()).unwrap();
    let passphrase = Passphrase::new("a secret");
    let pem = key.to_pem(Protection::Passphrase(&passphrase, Derivation::Pbkdf2)).unwrap();
    let path = project.path("keys/private.pem");
    crate::output::write(&path, &pem, Overwrite::ReplaceKey, Access::OwnerOnly).unwrap();
    fs::write(project.path("right"), "a secret\n").unwrap();
    fs::write(project.path("wrong"), "another\n").unwrap();
    let run = |file: &str| {
        project.run(&format!("sign --allow-no-key --passphrase-file {}", project.path(file).display()))
    };
    let (code, _, err) = project.run("sign --allow-no-key");
    assert!(
        code == 3 && err.contains("no passphrase was given") && err.contains("--passphrase-file"),
        "{err}"
    );
    let (code, _, err) = run("wrong");
    assert!(code == 3 && err.contains("the passphrase is wrong"), "{err}");
    let (code, _, err) = run("missing");
    assert!(code == 3 && err.contains("could not be read from"), "{err}");
    assert_eq!(run("right").0, 0);
    let (code, _, err) = project.run("sign --passphrase-fd 3 --passphrase-env X");
    assert!(code == 2 && err.contains("one place"), "{err}");
    assert_eq!(project.run("sign --passphrase-word secret").0, 2);
}

#[test]
fn the_key_in_the_firmware_is_found_in_every_form() {
    let project = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem");
    let key = PrivateKey::from_bytes(&fs::read(project.path("keys/private.pem")).unwrap()).unwrap();
    let swapped: Vec<u8> = key.public().modulus().iter().rev().copied().collect();
    let forms = [key.public().to_spki_der().to_vec(), swapped, key.public().to_spki_pem().into_bytes()];
    for form in forms {
        fs::write(project.path("lamp.bin"), [&[0xff; 64][..], &form, &[0; 64]].concat()).unwrap();
        let (code, _, err) = project.run("sign");
        assert_eq!((code, err.as_str()), (0, ""));
    }
}

#[test]
fn without_a_key_nothing_is_signed() {
    let project = Project::new("firmware = \"lamp.bin\"");
    let (code, _, err) = project.run("sign");
    assert_eq!(code, 3);
    assert!(err.contains("keys/private.pem does not exist") || cfg!(windows), "{err}");
    assert!(err.contains("help: make one with `cargo xtask keygen`"), "{err}");
    assert!(!project.path("target").exists());
}

#[test]
fn the_example_key_stands_in_with_a_warning_and_never_for_a_release() {
    let example = workspace().join("keys.example/private.pem").display().to_string();
    let project = Project::new(&format!("firmware = \"lamp.bin\"\nexample-key = '{example}'"));
    let (code, _, err) = project.run("sign");
    assert!(code == 0 && err.contains("WARNING: signing with a published key"), "{err}");
    let manifest = fs::read_to_string(project.path("target/otaseal/lamp/manifest.json")).unwrap();
    assert!(manifest.contains("\"example_key\": true"));
    let (code, _, err) = project.run("sign --release");
    assert!(code == 3 && err.contains("is published"), "{err}");
    // otaseal knows the key by its key id, not by its file name.
    fs::create_dir_all(project.path("keys")).unwrap();
    fs::copy(&example, project.path("keys/private.pem")).unwrap();
    assert_eq!(project.run("sign --release").0, 3);
}

#[test]
fn another_key_or_build_than_expected_is_refused() {
    let project = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem");
    let key = PrivateKey::from_bytes(&fs::read(project.path("keys/private.pem")).unwrap()).unwrap();
    let (id, digest) = (key.public().id(), crate::format::digest::sha256(&[0x5a; 4096]));
    let sign = |digest: &str, id: &str| {
        project.run(&format!("sign --allow-no-key --expect-sha256 {digest} --expect-key-id {id}"))
    };
    let (id, digest) = (id.to_string(), digest.to_string());
    assert_eq!(sign(&digest, &id).0, 0);
    let (code, _, err) = sign(&id, &id);
    assert!(code == 3 && err.contains(&format!("{id} is expected")), "{err}");
    let (code, _, err) = sign(&digest, &digest);
    assert!(code == 3 && err.contains(&format!("the key id is {id}, {digest} is expected")), "{err}");
    assert_eq!(sign("12", &id).0, 2);
    assert_eq!(sign(&digest, "12").0, 2);
}

#[test]
fn a_key_in_a_token_is_no_file() {
    let example = workspace().join("keys.example/private.pem").display().to_string();
    // The example key never replaces a key in a token.
    let settings = "key = \"pkcs11:token=Release;object=firmware?module-path=/missing.so\"";
    let project = Project::new(&format!("firmware = \"lamp.bin\"\n{settings}\nexample-key = '{example}'"));
    let (code, _, err) = project.run("sign");
    let why = if cfg!(feature = "pkcs11") { "/missing.so could not be loaded" } else { "without PKCS#11" };
    assert!(code == 3 && err.contains(why), "{err}");
    let (code, _, err) = project.run("sign --key pkcs11:object=a;colour=red");
    assert!(code == 3 && err.contains("`colour`"), "{err}");
    assert_eq!(project.run("keygen").0, 3);
    assert_eq!(project.run("keygen --key file.pem --passphrase-env NAME").0, 2);
    assert!(!project.path("keys/private.pem").exists());
}

#[test]
fn a_damaged_key_has_no_stand_in() {
    let example = workspace().join("keys.example/private.pem").display().to_string();
    let project = Project::new(&format!("firmware = \"lamp.bin\"\nexample-key = '{example}'"));
    fs::create_dir_all(project.path("keys")).unwrap();
    fs::write(project.path("keys/private.pem"), "-----BEGIN PRIVATE KEY-----\nAAAA\n").unwrap();
    assert_eq!(project.run("sign").0, 3);
}

#[test]
fn the_public_key_of_another_pair_is_refused() {
    let project = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "next.pem");
    let (code, _, err) = project.run("sign");
    assert!(code == 3 && err.contains("is not the public half of"), "{err}");
    assert!(!project.path("target/otaseal").exists());
}

#[test]
fn the_public_key_is_emitted_once_and_checked() {
    let settings = "emit = [\n{ path = \"ota_key.rs\", kind = \"rust-device\", self-test = true },\n\
                    { path = \"Updater_Signing.h\", kind = \"c-header\" },\n{ path = \"key.der\", kind = \"der\" }]";
    let project = Project::new(settings).with_key("other.pem", "other.pem");
    let (code, _, err) = project.run("pubkey --check");
    assert!(code == 3 && err.contains("help: run: cargo xtask pubkey"), "{err}");
    assert_eq!(project.run("pubkey").1.matches("written").count(), 3);
    assert_eq!(project.run("pubkey").1.matches("up to date").count(), 3);
    assert_eq!(project.run("pubkey --check").0, 0);
    let source = fs::read_to_string(project.path("ota_key.rs")).unwrap();
    assert!(source.contains("SELF_TEST_SIGNATURE"));
    fs::write(project.path("key.der"), b"x").unwrap();
    assert_eq!(project.run("pubkey --check").0, 3);
}

#[test]
fn emit_settings_that_do_not_fit_are_refused() {
    for wrong in [
        "kind = \"pem\", module = \"key\"",
        "kind = \"rust\", array = \"key\"",
        "kind = \"der\", self-test = true",
    ] {
        let project = Project::new(&format!("emit = [{{ path = \"k\", {wrong} }}]"));
        let project = project.with_key("other.pem", "other.pem");
        assert_eq!(project.run("pubkey").0, 3, "{wrong}");
        assert!(!project.path("k").exists());
    }
    assert_eq!(Project::new("").run("pubkey").0, 3, "nothing to emit");
}

#[test]
fn a_private_key_is_never_emitted() {
    let project =
        Project::new("public-key = \"keys/private.pem\"\nemit = [{ path = \"k.pem\", kind = \"pem\" }]")
            .with_key("other.pem", "other.pem");
    let (code, _, err) = project.run("pubkey");
    assert!(code == 3 && err.contains("a public key is needed"), "{err}");
    assert!(!project.path("k.pem").exists());
}

#[test]
fn a_project_without_a_firmware_says_what_it_needs() {
    let project = Project::new("").with_key("other.pem", "other.pem");
    let (code, _, err) = project.run("sign");
    assert!(code == 3 && err.contains("which package is the firmware?"), "{err}");
    let (code, _, err) = project.run("sign --package lamp");
    assert!(code == 3 && err.contains("has no package `lamp`"), "{err}");
}

#[test]
fn a_wrong_setting_names_its_line() {
    let (code, _, err) = Project::new("firmwear = \"lamp.bin\"").run("sign");
    assert!(code == 3 && err.contains("Cargo.toml:5: there is no setting `firmwear`"), "{err}");
    assert!(err.contains("help: did you mean `firmware`?"), "{err}");
}

#[test]
fn a_wrong_command_line_is_usage() {
    let project = Project::new("");
    for wrong in
        ["", "sing", "sign --kee x", "sign image.bin", "sign --effort best", "sign --package -Zx", "-q"]
    {
        let (code, out, err) = project.run_words(wrong.split_whitespace().map(OsString::from));
        assert_eq!((code, out.as_str()), (2, ""), "{wrong}: {err}");
        assert!(err.starts_with("error: ") && err.contains("\nhelp: "), "{wrong}: {err}");
    }
    for help in ["--help", "help", "sign --help", "keygen -h", "pubkey --help", "verify --help"] {
        let (code, out, _) = project.run_words(help.split_whitespace().map(OsString::from));
        assert!(code == 0 && out.starts_with("cargo xtask"), "{help}");
        assert!(out.lines().all(|line| line.len() <= 120), "{out}");
    }
}

#[test]
fn verify_without_a_package_is_no_acceptance() {
    let project = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem");
    let (code, _, err) = project.run("verify");
    assert!(code == 3 && err.contains("has no signed package"), "{err}");
    assert_eq!(project.run("verify nowhere.bin").0, 3);
}

/// `--key "$(cat private.pem)"` puts a key on the command line. No task shows it.
#[test]
fn a_secret_in_the_place_of_a_name_is_not_shown() {
    let project = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem");
    let pem = fs::read_to_string(project.path("keys/private.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let secret = body[body.len() / 2..body.len() / 2 + 24].to_owned();
    let words = ["QUARRY-14", "QUARRY_14", "--QUARRY", "two QUARRY"].map(str::to_owned);
    let keys = [pem.clone(), pem.replace('\n', " "), body];
    let mut runs = 0;
    for task in ["sign", "keygen", "pubkey"] {
        for option in ["--key", "--public-key", "--passphrase-file", "--passphrase-fd", "--passphrase-env"] {
            let takes_words = option.starts_with("--passphrase");
            for value in keys.iter().chain(words.iter().filter(|_| takes_words)) {
                for arguments in [vec![option.to_owned(), value.clone()], vec![format!("{option}={value}")]] {
                    let mut line: Vec<_> = vec![task.to_owned()];
                    line.extend(arguments);
                    // A new key, so that the task needs the passphrase.
                    if task == "keygen" && takes_words {
                        line.extend(["--encrypt", "--key"].map(str::to_owned));
                        line.push(project.path("new.pem").display().to_string());
                    }
                    line.extend(["--manifest-path".into(), project.path("Cargo.toml").display().to_string()]);
                    let (code, out, err) = project.run_words(line.iter().map(OsString::from));
                    let shown = format!("{out}{err}");
                    assert!(!shown.contains(&secret) && !shown.contains("QUARRY"), "{line:?}: {shown}");
                    // otaseal does not read a passphrase that the key does not need.
                    let needless = takes_words && task != "keygen";
                    assert!(
                        code == 2 || (code == 3 && takes_words) || (needless && code != 1),
                        "{line:?}: {shown}"
                    );
                    runs += 1;
                }
            }
        }
    }
    assert!(runs > 150, "{runs}");
    // A key in the settings is not shown either.
    let project = Project::new(&format!("firmware = \"lamp.bin\"\nkey = \"\"\"{pem}\"\"\""));
    let (code, out, err) = project.run("sign");
    assert!(code == 2 || code == 3, "{code}");
    assert!(!format!("{out}{err}").contains(&secret), "{out}{err}");
}

/// A task that needs a public key takes a file, not a key in a token.
#[test]
fn a_public_key_in_a_token_is_said_to_be_one() {
    let project = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem");
    let (code, _, err) = project.run("verify --public-key pkcs11:token=Release lamp.bin");
    assert!(
        code == 2 && err.contains("names a key in a token") && err.contains("--private-key"),
        "{code} {err}"
    );
}
