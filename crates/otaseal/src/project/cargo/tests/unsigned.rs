//! Projects whose devices check no signature.

use super::*;

const UNCHECKING: &str = "firmware = \"lamp.bin\"\nfor = [\"arduino-pico/unsigned\"]";

fn made(project: &Project) -> Vec<String> {
    let names = fs::read_dir(project.path("target/otaseal/lamp")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn devices_that_check_no_signature_get_a_package_without_a_key() {
    let project = Project::new(UNCHECKING);
    let (code, out, err) = project.run("sign --dry-run");
    assert!(
        code == 0 && err.is_empty() && out.starts_with("dry run ") && !out.contains("key id"),
        "{out}{err}"
    );
    let (code, out, err) = project.run("sign");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("key id     none: nothing is signed") && !out.contains("verified"), "{out}");
    assert_eq!(made(&project), ["lamp.bin", "lamp.bin.gz", "manifest.json"]);
    let manifest = fs::read_to_string(project.path("target/otaseal/lamp/manifest.json")).unwrap();
    assert!(manifest.contains("\"key\": null"), "{manifest}");
    // There is nothing to verify, with or without a key.
    let (code, _, err) = project.run("verify");
    assert!(code == 3 && err.contains("has no signed package"), "{err}");
    let example = workspace().join("keys.example/private.pem").display().to_string();
    let project = Project::new(&format!("{UNCHECKING}\nexample-key = '{example}'"));
    let (code, _, err) = project.run("sign");
    assert_eq!((code, err.as_str()), (0, ""), "it signs with no published key");
}

#[test]
fn a_key_is_looked_for_where_one_must_sign() {
    let project = Project::new(UNCHECKING);
    for task in [
        "sign --for arduino-pico",
        "sign --for arduino-pico/unsigned,esp8266@3.1.2",
        "sign --artefacts plain,signed",
        "sign --legacy",
        "sign --release --ledger ledger.jsonl",
        "sign --key keys/private.pem",
        "sign --passphrase-env NAME",
        &format!("sign --expect-key-id {}", "0".repeat(64)),
    ] {
        let (code, _, err) = project.run(task);
        assert!(code == 3 && err.contains("private.pem does not exist"), "{task}: {err}");
        assert!(!project.path("target").exists() && !project.path("ledger.jsonl").exists(), "{task}");
    }
}

#[test]
fn a_signed_package_stays() {
    let project = Project::new(UNCHECKING).with_key("other.pem", "other.pem");
    let (code, _, err) = project.run("sign --for arduino-pico --allow-no-key");
    assert_eq!(code, 0, "{err}");
    let before = made(&project);
    assert!(before.contains(&"lamp.bin.signed".into()));
    let (code, _, err) = project.run("sign");
    assert!(
        code == 3 && err.contains("holds a signed package") && err.contains("another --out-dir"),
        "{err}"
    );
    assert_eq!(made(&project), before);
}
