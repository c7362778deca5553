//! `otaseal doctor` finds what has to be mended, and its advice mends it.
#![cfg(unix)]

use crate::common::{Bench, firmware, input};
use std::fs;

/// Runs `otaseal doctor WORDS`, which must exit with this code. Returns its lines.
fn doctor(bench: &Bench, code: i32, words: &[&str]) -> String {
    let output = bench.otaseal(&[&["doctor"], words].concat());
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
    let states = text.lines().filter(|line| !line.starts_with(' '));
    let mended = states.clone().all(|line| line.starts_with("ok       ") || line.starts_with("settings "));
    assert_eq!(mended, code == 0, "{text}");
    text
}

/// Makes a key pair in `keys`, and `image.bin`, which carries the public key.
fn healthy() -> Bench {
    let bench = Bench::new();
    bench.ok(&["keygen"]);
    bench.write("image.bin", &[firmware(5000), bench.read("keys/public.pem")].concat());
    bench
}

#[test]
fn what_is_ok_is_said_too() {
    let bench = healthy();
    let text = doctor(&bench, 0, &["image.bin"]);
    for line in [
        "ok       settings: there is no otaseal.toml, so the defaults count\n",
        "ok       key: keys/private.pem: ",
        " (RSA-2048), its owner's alone\n",
        "ok       git: there is no repository around keys/private.pem\n",
        "ok       clock: 2",
        "ok       file: image.bin: `otaseal package` takes it\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    bench.ok(&["sign", "image.bin"]);
    let text = doctor(&bench, 0, &["image.bin.signed"]);
    assert!(text.contains("file: image.bin.signed: a signed image, which this key accepts\n"), "{text}");
    bench.write("otaseal.toml", b"ledger = \"ledger.jsonl\"\n");
    let text = doctor(&bench, 0, &[]);
    assert!(
        text.contains("ok       settings: otaseal.toml\n") && text.contains("is not there yet"),
        "{text}"
    );
    bench.ok(&["sign", "image.bin"]);
    let text = doctor(&bench, 0, &[]);
    assert!(text.contains("ok       ledger: ledger.jsonl: 1 lines\n"), "{text}");
    let before = bench.listing();
    let json: serde_json::Value = serde_json::from_slice(&bench.ok(&["doctor", "--json"]).stdout).unwrap();
    let checks: Vec<_> = json["checks"].as_array().unwrap().iter().map(|check| &check["check"]).collect();
    assert_eq!(checks, ["settings", "key", "git", "ledger", "clock"]);
    assert!(json["checks"].as_array().unwrap().iter().all(|check| check["state"] == "ok"), "{json}");
    assert_eq!(before, bench.listing(), "it writes nothing");
}

/// A project whose devices check no signature never makes a key.
#[test]
fn no_key_is_missed_where_no_device_checks_a_signature() {
    let bench = Bench::new();
    bench.write("image.bin", &firmware(5000));
    bench.write("otaseal.toml", b"for = [\"arduino-pico/unsigned\"]\n");
    let text = doctor(&bench, 0, &["image.bin"]);
    for line in [
        "ok       key: `otaseal package` needs none: the devices of the settings check no signature\n",
        "ok       file: image.bin: `otaseal package` takes it\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // A key that the user names, or that a device or an artefact needs, is looked for.
    doctor(&bench, 1, &["--key", "missing.pem"]);
    for more in [
        "for = [\"arduino-pico\"]",
        "for = [\"arduino-pico/unsigned\", \"esp8266@3.1.2\"]",
        "for = [\"arduino-pico/unsigned\"]\nartefacts = [\"plain\", \"signed\"]",
        "for = [\"arduino-pico/unsigned\"]\nlegacy = true",
        "for = []",
    ] {
        bench.write("otaseal.toml", more.as_bytes());
        let text = doctor(&bench, 1, &[]);
        assert!(text.contains("mend     key: keys/private.pem could not be read"), "{more}: {text}");
    }
    // A key that is there is checked all the same.
    bench.ok(&["keygen"]);
    bench.write("otaseal.toml", b"for = [\"arduino-pico/unsigned\"]\n");
    assert!(doctor(&bench, 0, &[]).contains("ok       key: keys/private.pem: "));
    bench.run("chmod", &["644", "keys/private.pem"]);
    doctor(&bench, 1, &[]);
}

#[test]
fn faults_of_the_key_are_found() {
    let bench = Bench::new();
    let text = doctor(&bench, 1, &[]);
    assert!(
        text.contains("mend     key: keys/private.pem could not be read") && text.contains("otaseal keygen")
    );
    bench.ok(&["keygen"]);
    doctor(&bench, 0, &[]);
    bench.run("chmod", &["644", "keys/private.pem"]);
    let text = doctor(&bench, 1, &[]);
    assert!(text.contains(
        "other users can read keys/private.pem (mode 0644)\n         chmod 600 keys/private.pem\n"
    ));
    bench.run("chmod", &["600", "keys/private.pem"]);
    fs::copy(input("keys/private.pem"), bench.path("known.pem")).unwrap();
    let text = doctor(&bench, 1, &["--key", "known.pem"]);
    assert!(text.contains("mend     key: known.pem: the private half of this key is published"), "{text}");
    // The public key of the settings is another one.
    fs::copy(input("keys/other.public.pem"), bench.path("other.pem")).unwrap();
    bench.write("otaseal.toml", b"key = \"keys/private.pem\"\npublic-key = \"other.pem\"\n");
    let text = doctor(&bench, 1, &[]);
    assert!(text.contains("mend     key: ") && text.contains("help") == text.contains("help: "), "{text}");
    bench.write("otaseal.toml", b"kye = \"keys/private.pem\"\n");
    let text = doctor(&bench, 1, &[]);
    assert!(
        text.contains("mend     settings: otaseal.toml:1: ") && text.contains("did you mean `key`?"),
        "{text}"
    );
    assert!(text.contains("ok       clock: "), "the other checks go on: {text}");
    bench.run("rm", &["otaseal.toml"]);
    for (wrong, says) in
        [("garbage", "mend     key: garbage: "), ("pkcs11:object=a;nonsense=b", "mend     key: ")]
    {
        bench.write("garbage", b"no key");
        let text = doctor(&bench, 1, &["--key", wrong]);
        assert!(text.contains(says), "{text}");
    }
}

/// otaseal asks for no passphrase here: the check may run where nobody sits.
#[test]
fn an_encrypted_key_is_checked_as_far_as_it_goes() {
    let bench = healthy();
    bench.write("pass", b"tr0mbone-quarry-14\n");
    bench.ok(&["key", "passwd", "keys/private.pem", "--new-passphrase-file", "pass"]);
    let text = doctor(&bench, 0, &["image.bin"]);
    assert!(
        text.contains("ok       key: keys/private.pem: it is encrypted; to check what is in it"),
        "{text}"
    );
    let text = doctor(&bench, 0, &["--passphrase-file", "pass"]);
    assert!(text.contains(" (RSA-2048), its owner's alone\n"), "{text}");
    bench.run("chmod", &["640", "keys/private.pem"]);
    assert!(doctor(&bench, 1, &[]).contains("other users can read"));
    bench.run("chmod", &["600", "keys/private.pem"]);
    bench.write("pass", b"another\n");
    assert!(doctor(&bench, 1, &["--passphrase-file", "pass"]).contains("the passphrase is wrong"));
}

#[test]
fn git_is_asked_about_the_key() {
    let bench = healthy();
    bench.run("git", &["init", "-q"]);
    let text = doctor(&bench, 1, &[]);
    let (_, advice) = text
        .split_once("mend     git: git does not ignore keys/private.pem: `git add` would take it\n")
        .unwrap();
    let (_, command) = advice.lines().next().unwrap().split_once("tell it to ignore the key: ").unwrap();
    bench.run("sh", &["-c", command]);
    assert!(doctor(&bench, 0, &[]).contains("ok       git: it ignores keys/private.pem\n"));
    bench.run("git", &["add", "--force", "keys/private.pem"]);
    assert!(doctor(&bench, 1, &[]).contains("mend     git: git tracks "));
}

#[test]
fn faults_of_the_ledger_the_clock_and_the_file_are_found() {
    let bench = healthy();
    bench.write("otaseal.toml", b"ledger = \"ledger.jsonl\"\n");
    bench.ok(&["sign", "image.bin"]);
    let line = String::from_utf8(bench.read("ledger.jsonl")).unwrap();
    let (before, after) = line.split_once("\"time\":\"2").unwrap();
    bench.write("ledger.jsonl", format!("{before}\"time\":\"9{after}").as_bytes());
    let text = doctor(&bench, 1, &[]);
    assert!(text.contains("but the last line of the ledger is younger\n         set the clock"), "{text}");
    bench.write("ledger.jsonl", b"no ledger\n");
    assert!(doctor(&bench, 1, &[]).contains("mend     ledger: "));
    bench.run("rm", &["otaseal.toml"]);
    fs::copy(input("esp8266.bin"), bench.path("bare.bin")).unwrap();
    let text = doctor(&bench, 1, &["bare.bin"]);
    assert!(
        text.contains("mend     file: bare.bin: there is no public key in it (an ESP8266 image)"),
        "{text}"
    );
    fs::copy(input("firmware.other.signed"), bench.path("other.signed")).unwrap();
    let text = doctor(&bench, 1, &["other.signed"]);
    assert!(text.contains("mend     file: other.signed is rejected: "), "{text}");
    assert!(doctor(&bench, 1, &["missing.bin"]).contains("mend     file: missing.bin could not be read"));
}

#[cfg(feature = "pkcs11")]
#[test]
fn the_module_of_a_token_is_loaded() {
    use crate::common::token::{PIN, Tokens, module};
    let Some(module) = module() else { return };
    let bench = healthy();
    let tokens = Tokens::new(&bench, module);
    tokens.make("Release");
    tokens.import("Release", "keys/private.pem", "firmware", "A1B2");
    let key = format!("pkcs11:token=Release;object=firmware?module-path={}", tokens.module());
    let run = |key: &str, pin: Option<&str>| {
        let mut command = tokens.command(crate::common::OTASEAL);
        command.args(["doctor", "--key", key]).envs(pin.map(|pin| ("OTASEAL_PKCS11_PIN", pin)));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = run(&key, Some(PIN));
    assert!(code == Some(0) && text.contains("ok       module: it has the token `Release`"), "{text}");
    assert!(
        text.contains(" (RSA-2048)\n") && text.contains("git: there is no file with the private key"),
        "{text}"
    );
    let (code, text) = run(&key, None);
    assert!(code == Some(0) && text.contains("it has a PIN; to check the key"), "{text}");
    for (wrong, says) in [
        (key.replace("token=Release", "token=Relaese"), "mend     module: "),
        ("pkcs11:token=Release?module-path=/dev/null".into(), "mend     module: "),
        (key.replace("object=firmware", "object=frmware"), "mend     key: "),
    ] {
        let (code, text) = run(&wrong, Some(PIN));
        assert!(code == Some(1) && text.contains(says), "{wrong}: {text}");
    }
}
