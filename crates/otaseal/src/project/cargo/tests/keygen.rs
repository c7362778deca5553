use super::*;

#[test]
fn keygen_makes_both_files_and_never_replaces_one_unasked() {
    let project = Project::new("");
    let (code, out, err) = project.run("keygen");
    assert_eq!(code, 0, "{err}");
    let private = PrivateKey::from_bytes(&fs::read(project.path("keys/private.pem")).unwrap()).unwrap();
    assert_eq!(private.public().size(), KeySize::Rsa2048);
    assert!(out.contains(&private.public().id().to_string()), "{out}");
    assert_eq!(fs::read_to_string(project.path("keys/public.pem")).unwrap(), private.public().to_spki_pem());
    fs::remove_file(project.path("keys/public.pem")).unwrap();
    let (code, _, err) = project.run("keygen");
    assert!(code == 3 && err.contains("exists already"), "{err}");
    assert!(!project.path("keys/public.pem").exists(), "both or none");
    assert_eq!(project.run("keygen --bits 1024").0, 2);
}

#[test]
fn a_new_key_can_be_encrypted_and_openssl_opens_it() {
    use crate::testing::{has_tool, openssl};
    for (options, scheme) in
        [("", "scrypt"), (" --kdf pbkdf2", "PBKDF2"), (" --kdf scrypt --bits 3072", "scrypt")]
    {
        let project = Project::new("firmware = \"lamp.bin\"");
        fs::write(project.path("words"), "three words\n").unwrap();
        let words = project.path("words").display().to_string();
        let (code, out, err) = project.run(&format!("keygen --encrypt{options} --passphrase-file {words}"));
        assert!(code == 0 && out.contains("(encrypted; keep it secret"), "{out}{err}");
        assert!(!format!("{out}{err}").contains("three words"));
        let private = fs::read_to_string(project.path("keys/private.pem")).unwrap();
        assert!(private.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{private}");
        let (code, _, err) = project.run("sign");
        assert!(code == 3 && err.contains("no passphrase was given"), "{err}");
        assert_eq!(project.run(&format!("sign --passphrase-file {words}")).0, 0);
        if has_tool("openssl") {
            openssl(project.0.path(), "pkey -in keys/private.pem -passin file:words -pubout -out opened.pem");
            let same = fs::read(project.path("opened.pem")).unwrap()
                == fs::read(project.path("keys/public.pem")).unwrap();
            assert!(same, "the halves belong together");
            let shown = crate::testing::openssl_text(project.0.path(), "asn1parse -in keys/private.pem");
            assert!(shown.contains(scheme), "{shown}");
        }
    }
}

#[test]
fn an_encrypted_key_needs_a_passphrase_that_can_be_one() {
    let project = Project::new("");
    for (name, text) in
        [("empty", ""), ("lines", "a\nb\n"), ("long", &*"x".repeat(2000)), ("good", "three words")]
    {
        fs::write(project.path(name), text).unwrap();
    }
    let file = |name: &str| format!("--passphrase-file {}", project.path(name).display());
    for (options, code, says) in [
        ("--encrypt".to_owned(), 3, "no new passphrase was given"),
        (format!("--encrypt {}", file("empty")), 3, "is empty"),
        (format!("--encrypt {}", file("lines")), 3, "line break"),
        (format!("--encrypt {}", file("long")), 3, "more than a passphrase"),
        (format!("--encrypt {}", file("missing")), 3, "could not be read from"),
        ("--encrypt --passphrase-env OTASEAL_TEST_NOT_SET".into(), 3, "is not set"),
        (file("good"), 2, "needs --encrypt"),
        (format!("--kdf scrypt {}", file("good")), 2, "--kdf needs --encrypt"),
        (format!("--encrypt --kdf md5 {}", file("good")), 2, "md5"),
        (format!("--encrypt {} --passphrase-env NAME", file("good")), 2, "one place"),
        (format!("--encrypt --key pkcs11:token=a;object=b {}", file("good")), 2, "has no file to encrypt"),
        (
            format!("--encrypt --key {0} --force --passphrase-file {0}", project.path("good").display()),
            2,
            "both",
        ),
        ("--encrypt=words".into(), 2, "--encrypt"),
    ] {
        let (found, _, err) = project.run(&format!("keygen {options}"));
        assert!(found == code && err.contains(says), "{options}: {found} {err}");
        assert!(!project.path("keys").exists(), "{options}");
    }
    assert_eq!(fs::read_to_string(project.path("good")).unwrap(), "three words");
}

#[cfg(unix)]
#[test]
fn a_private_key_is_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new("");
    assert_eq!(project.run("keygen").0, 0);
    let mode = fs::metadata(project.path("keys/private.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_new_key_goes_into_the_firmware_where_the_settings_say_so() {
    let emit = "emit = [{ path = \"ota_key.rs\", kind = \"rust-device\", self-test = true }]";
    let project = Project::new(emit);
    fs::write(project.path("words"), "three words\n").unwrap();
    // otaseal has the new key in memory: it reads the passphrase once.
    let words = project.path("words").display().to_string();
    let (code, out, err) = project.run(&format!("keygen --encrypt --passphrase-file {words}"));
    assert!(code == 0 && out.contains("written      ") && err.is_empty(), "{out}{err}");
    let (code, out, err) = project.run(&format!("pubkey --check --passphrase-file {words}"));
    assert!(code == 0 && out.contains("up to date"), "{out}{err}");
    let (code, out, _) = project.run("keygen --force");
    assert!(code == 0 && out.contains("written      "), "the file had the old key: {out}");
    // The key is made all the same if there is no place for it in the source.
    for (settings, says) in [
        ("", "the setting `emit` names no file"),
        ("emit = [{ path = \"nowhere/ota_key.rs\", kind = \"rust\" }]", "nowhere"),
    ] {
        let project = Project::new(settings);
        let (code, _, err) = project.run("keygen");
        assert!(code == 0 && project.path("keys/private.pem").exists(), "{err}");
        let warned = err.contains("the firmware does not have the new key yet: ") && err.contains(says);
        assert!(warned && err.contains("then type `cargo xtask pubkey`"), "{err}");
    }
}

/// A dry run of the task, and a real one: the same exit code, and no file before the real one.
#[test]
fn a_dry_run_of_each_task_writes_nothing() {
    let settings = "firmware = \"lamp.bin\"\nledger = \"ledger.jsonl\"\nemit = [{ path = \"ota_key.rs\", kind = \"rust\" }]";
    let project = Project::new(settings);
    let (dry, out, err) = project.run("keygen --dry-run");
    assert!(dry == 0 && out.starts_with("dry run        otaseal wrote nothing\n"), "{out}{err}");
    assert!(
        out.contains("would write") && out.contains("private.pem") && out.contains("ota_key.rs"),
        "{out}"
    );
    assert!(!project.path("keys").exists() && !project.path("ota_key.rs").exists());
    let project = project.with_key("other.pem", "other.pem");
    for (task, says, made) in [
        ("sign", "lamp.bin.signed", "target/otaseal/lamp/manifest.json"),
        ("pubkey", "ota_key.rs", "ota_key.rs"),
    ] {
        let (code, out, err) = project.run(&format!("{task} --dry-run"));
        assert!(code == 0 && out.contains(says), "{task}: {out}{err}");
        assert!(!project.path(made).exists() && !project.path("ledger.jsonl").exists(), "{task}: {out}");
    }
    for (task, made) in [("sign", "target/otaseal/lamp/manifest.json"), ("pubkey", "ota_key.rs")] {
        let (code, _, err) = project.run(task);
        assert!(code == 0 && project.path(made).exists(), "{task}: {err}");
    }
    assert!(project.path("ledger.jsonl").exists());
    // What a real run refuses, a dry run refuses too.
    assert_eq!(project.run("keygen --dry-run").0, project.run("keygen").0);
    assert_eq!(project.run("verify --dry-run").0, 2);
}
