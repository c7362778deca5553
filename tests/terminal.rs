//! What a terminal gets: colours, progress, and no control characters from files.

use crate::common::{Bench, OTASEAL, input, root};
use std::fs;
use std::process::Command;

/// Runs `otaseal WORDS` with these variables, on a terminal or with pipes, and returns what it showed.
fn shown(bench: &Bench, words: &str, variables: &[(&str, &str)], terminal: bool) -> String {
    let mut command = match terminal {
        true => {
            let mut python = Command::new("python3");
            python.arg(root().join("tests/peers/terminal.py")).args(["--", OTASEAL]);
            python
        }
        false => Command::new(OTASEAL),
    };
    for name in ["CI", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm").envs(variables.iter().copied());
    let output = command.args(words.split(' ')).current_dir(bench.dir()).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[cfg(unix)]
#[test]
fn terminals_show_colours_and_nothing_else_does() {
    let bench = Bench::new();
    for name in ["firmware.bin.signed", "changed.bin.signed"] {
        fs::copy(input(name), bench.path(name)).unwrap();
    }
    fs::copy(input("keys/public.pem"), bench.path("key")).unwrap();
    for (words, texts) in [
        (
            "verify firmware.bin.signed -k key",
            &["\u{1b}[33mwarning:\u{1b}[0m", "\u{1b}[32maccepted\u{1b}[0m"][..],
        ),
        ("verify changed.bin.signed -k key", &["\u{1b}[31mrejected\u{1b}[0m: "]),
        ("inspect firmware.bin.signed -k key", &["verdict  \u{1b}[1m\u{1b}[32maccepted\u{1b}[0m"]),
        ("verify missing -k key", &["\u{1b}[31merror:\u{1b}[0m"]),
    ] {
        for (variables, terminal, coloured) in [
            (&[][..], true, true),
            (&[("NO_COLOR", "1")], true, false),
            (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true, false),
            (&[("TERM", "dumb")], true, false),
            (&[], false, false),
            (&[("CLICOLOR_FORCE", "1")], false, true),
        ] {
            let text = shown(&bench, words, variables, terminal);
            let what = format!("{words} {variables:?} {terminal}: {text:?}");
            assert_eq!(texts.iter().all(|painted| text.contains(painted)), coloured, "{what}");
            assert_eq!(text.contains('\u{1b}'), coloured, "{what}");
            let json = shown(&bench, &format!("{words} --json"), variables, terminal);
            assert!(!json.contains('\u{1b}'), "{json:?}");
        }
    }
}

/// A command signs here and takes its time, as a token or a key service does.
#[cfg(unix)]
#[test]
fn a_terminal_shows_progress_and_removes_it() {
    let bench = Bench::with_keys();
    let slow =
        "#!/bin/sh\nsleep 2.5; exec openssl pkeyutl -sign -inkey key.pem -pkeyopt rsa_padding_mode:pkcs1\n";
    bench.write("slow", slow.as_bytes());
    bench.run("chmod", &["+x", "slow"]);
    bench.write("otaseal.toml", b"signer-cmd = \"./slow\"\npublic-key = \"public.pem\"\n");
    for (command, word) in [
        ("sign image.bin -o out", "signing"),
        ("package image.bin --artefacts signed", "packaging"),
        ("signing-py --mode sign --bin image.bin --out out", "signing"),
        ("pubkey public.pem --rust -o key.rs --signer-cmd ./slow", "reading the key"),
    ] {
        let text = shown(&bench, command, &[], true);
        let last = format!("{word} … 2 s");
        assert!(text.contains(&format!("\r{word} … 1 s\r{last}")), "{command}: {text:?}");
        // Blanks take the place of the line, and the report stands there.
        let (_, after) = text.split_once(&last).unwrap();
        let blanks = format!("\r{}\r", " ".repeat(last.chars().count()));
        assert!(after.starts_with(&blanks) && !after.contains('…'), "{command}: {text:?}");
        for quiet in ["--json", "--quiet"] {
            let text = shown(&bench, &format!("{command} {quiet}"), &[], true);
            assert!(!text.contains('…'), "{command} {quiet}: {text:?}");
        }
        assert!(!shown(&bench, command, &[], false).contains('…'), "{command}");
    }
}

/// The line of the progress would stand in the way of an answer.
#[cfg(unix)]
#[test]
fn there_is_no_progress_while_the_user_types() {
    let bench = Bench::with_keys();
    bench
        .openssl("pkcs8 -topk8 -in key.pem -v2 aes-256-cbc -passout pass:tr0mbone-quarry-14 -out locked.pem");
    let mut python = Command::new("python3");
    python.arg(root().join("tests/peers/terminal.py")).current_dir(bench.dir());
    python.args(["Passphrase of locked.pem: ", "LATE tr0mbone-quarry-14", "--", OTASEAL]);
    let output = python.args(["sign", "image.bin", "-o", "out", "-k", "locked.pem"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains('…'), "{text:?}");
}

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
