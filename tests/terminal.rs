//! otaseal shows texts from files, and the terminal never obeys control characters in them.

use crate::common::{Bench, input};
use std::fs;

/// Escape sequences and a line end, as JSON spells them.
const HOSTILE: &str = r#""\u001b[2Jgone\u009b\r\nerror: made up""#;

/// Copies a file of `tests/cmd/in`, and replaces a text in it.
fn changed(bench: &Bench, file: &str, old: &str, new: &str, name: &str) {
    let text = fs::read_to_string(input(file)).unwrap();
    assert!(text.contains(old), "{file} has no {old}");
    bench.write(name, text.replacen(old, &new.replace("HOSTILE", HOSTILE), 1).as_bytes());
}

#[test]
fn escape_sequences_in_files_do_not_reach_the_terminal() {
    let bench = Bench::new();
    let copy = |file: &str, name: &str| fs::copy(input(file), bench.path(name)).unwrap();
    copy("keys/public.pem", "public.pem");
    copy("keys/other.public.pem", "other.pem");
    copy("keys/rsa3072.public.pem", "old.pem");
    copy("firmware.bin", "firmware.bin");
    copy("signatures/raw", "raw");
    let ledger = |old, name| {
        changed(&bench, "ledger.jsonl", old, "HOSTILE", name);
        // The lines after the first hold the digest of the line before.
        let first = bench.read(name).split_inclusive(|&byte| byte == b'\n').next().unwrap().to_vec();
        bench.write(name, &first);
    };
    ledger(r#""pkcs1v15-sha256""#, "form.jsonl");
    ledger(r#""lamp.signed""#, "names.jsonl");
    let manifest = |old, new, name| changed(&bench, "release/manifest.json", old, new, name);
    manifest("\"name\": null", "\"name\": HOSTILE", "name.json");
    manifest("\"installed\": {", "\"installed\": {\"flash_mode\": HOSTILE,", "form.json");
    let request = |old, name| changed(&bench, "signatures/request.json", old, "HOSTILE", name);
    request(r#""pkcs1v15-sha256""#, "form.request");
    request(r#""firmware.bin""#, "name.request");
    let plan = |file| ["rotate", "plan", "--old", "old.pem", "--new", "other.pem", file];
    let attach = |file| {
        [
            "attach",
            "firmware.bin",
            "raw",
            "--key",
            "public.pem",
            "--allow-no-key",
            "--request",
            file,
            "-o",
            "out",
        ]
    };
    for (args, said) in [
        (&["ledger", "verify", "form.jsonl"][..], "it is not a record"),
        (&["ledger", "show", "names.jsonl"], "lamp.bin"),
        (&plan("name.json"), "gone"),
        (&plan("form.json"), "gone"),
        (&["identify", "00000000000000000000000000000000", "name.json"], ""),
        (&attach("form.request"), "it is not a signing request"),
        (&attach("name.request"), ""),
        (&["sign", "firmware.bin", "-o", "out", "--key", "pkcs11:slot-id=%1B%5B2J"], "slot-id"),
    ] {
        let output = bench.otaseal(args);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let obeyed = |c: char| c.is_control() && c != '\n';
        assert!(text.contains(said) && !text.contains(obeyed), "{args:?}: {text:?}");
        let made_up = text.lines().filter(|line| line.starts_with("error: made up")).count();
        assert_eq!(made_up, 0, "{args:?}: {text}");
    }
}
