//! Tests tokens that fail: locked, pulled out, short of sessions, wrong. SoftHSM does none of this, so a module between
//! it and the program does.

#![cfg(unix)]

use crate::common::token::{HASHES_ONLY, PIN, Tokens, module};
use crate::common::{self, Bench, OTASEAL, root};
use std::process::Output;

const KEY: &str = "pkcs11:token=Release;object=firmware";

/// Makes a token with a key, an image, and the module that fails.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    bench.openssl("pkey -in key.pem -pubout -out public.pem");
    bench.write("image.bin", &common::firmware(20_001));
    let source = root().join("tests/peers/faulty_token.c");
    let words =
        ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", "faulty.so", source.to_str().unwrap()];
    bench.run("cc", &words);
    bench
}

fn tokens(bench: &Bench) -> Option<Tokens<'_>> {
    let tokens = Tokens::new(bench, module()?);
    tokens.make("Release");
    tokens.import("Release", "key.pem", "firmware", "A1");
    Some(tokens)
}

/// Runs `otaseal ARGS` with a token that has this fault. It must end by itself: a process that waits for a session
/// forever is killed.
fn otaseal(tokens: &Tokens<'_>, fault: &str, args: &[&str]) -> Output {
    let mut command = tokens.command("timeout");
    command.args(["60", OTASEAL]).args(args);
    command.env("OTASEAL_PKCS11_PIN", PIN).env("OTASEAL_PKCS11_MODULE", "./faulty.so");
    command.env("FAULTY_REAL", tokens.module()).env("FAULTY", fault).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Checks that there is no new file.
fn nothing_new(bench: &Bench) {
    let names = std::fs::read_dir(bench.dir()).unwrap().map(|entry| entry.unwrap().file_name());
    let known = ["key.pem", "public.pem", "image.bin", "faulty.so", "tokens", "softhsm2.conf"];
    let others: Vec<_> = names.filter(|name| !known.iter().any(|known| name == known)).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn each_fault_is_exit_code_3_with_its_name_and_no_file() {
    let bench = bench();
    let Some(tokens) = tokens(&bench) else { return };
    let sign = ["sign", "image.bin", "-o", "out", "--key", KEY];
    let works = otaseal(&tokens, "none", &sign);
    assert!(works.status.success(), "{}", text(&works));
    bench.ok(&["verify", "out", "--key", "public.pem"]);
    std::fs::remove_file(bench.path("out")).unwrap();
    let token = "token `Release`";
    for (fault, parts) in [
        ("locked", &["the PIN of", token, "is locked", "security officer"][..]),
        ("login-locked", &["the PIN of", token, "is locked", "security officer"]),
        ("locks", &["the PIN of", token, "is locked", "security officer"]),
        ("last-try", &["the PIN is wrong for", token, "one more wrong PIN locks it", "tries a PIN once"]),
        ("sessions:0", &[token, "SessionCount in C_OpenSession", "end the other programs"]),
        ("removed-before", &[token, "DeviceRemoved in C_OpenSession", "put the token in again"]),
        ("removed-at-login", &[token, "DeviceRemoved in C_Login", "put the token in again"]),
        ("removed-at-search", &[token, "DeviceRemoved in C_FindObjects", "put the token in again"]),
        ("no-mechanisms", &[token, "DeviceError in C_GetMechanismList", "its own tool"]),
        ("device-error", &["`firmware` (id %A1)", token, "DeviceError in C_Sign", "otaseal wrote nothing"]),
        (
            "removed",
            &[
                "`firmware` (id %A1)",
                token,
                "DeviceRemoved in C_Sign",
                "put the token in again, then run it again; otaseal wrote nothing",
            ],
        ),
        ("flipped", &["the signature is not good: another key made it, or it is damaged"]),
        ("short", &["the signature is not good: it has 255 bytes, but the signatures of this key have 256"]),
        ("empty", &["the signature is not good: it has 0 bytes"]),
        ("zeros", &["the signature is not good: it is a number that no key makes", "its own tool"]),
    ] {
        let output = otaseal(&tokens, fault, &sign);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(3), "{fault}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{fault}: {said}");
        assert!(
            said.contains("error: ") && said.contains("help: ") && !said.contains(PIN),
            "{fault}: {said}"
        );
        nothing_new(&bench);
    }
}

/// An empty PIN is a missing secret. A token would count it as a wrong PIN, and lock after a few.
#[test]
fn an_empty_pin_is_never_tried() {
    let bench = bench();
    let Some(tokens) = tokens(&bench) else { return };
    bench.write("empty", b"");
    bench.write("line", b"\n");
    bench.write("pin", PIN.as_bytes());
    let from_file = |file: &str| format!("{KEY}?pin-source=file:{file}");
    let (empty, line) = (from_file("empty"), from_file("line"));
    let logins = || std::fs::read_to_string(bench.path("logins")).unwrap_or_default().lines().count();
    let run = |args: &[&str], pin: Option<&str>| {
        let mut command = tokens.command(OTASEAL);
        command.args(args).env("OTASEAL_PKCS11_MODULE", "./faulty.so").env("NONE", "");
        command.env("FAULTY_REAL", tokens.module()).env("FAULTY_LOGINS", "logins");
        pin.map(|pin| command.env("OTASEAL_PKCS11_PIN", pin));
        command.output().unwrap()
    };
    let variable = "the PIN is empty (the environment variable OTASEAL_PKCS11_PIN)";
    for (key, pin, options, says) in [
        (KEY, Some(""), &[][..], variable),
        // A variable that is set and empty is a missing secret. It does not ask for another source.
        (KEY, Some(""), &["--passphrase-file", "pin"], variable),
        (&empty, Some(PIN), &[], "the PIN is empty (empty)"),
        (&line, Some(PIN), &[], "the PIN is empty (line)"),
        (KEY, None, &["--passphrase-file", "empty"], "the PIN is empty (empty)"),
        (KEY, None, &["--passphrase-env", "NONE"], "the PIN is empty (its environment variable)"),
        (KEY, None, &["--passphrase-fd", "0"], "the PIN is empty (standard input)"),
        (KEY, None, &["--passphrase-file", "missing"], "the PIN could not be read from its file"),
        (KEY, None, &[], "no PIN was given"),
    ] {
        let new = key.replace("object=firmware", "object=new");
        for command in [
            &["sign", "image.bin", "-o", "out", "--key", key][..],
            &["package", "image.bin", "--out-dir", "made", "--key", key],
            &["keygen", "--key", &new, "--public", "new.pem"],
            &["signing-py", "--mode", "sign", "--bin", "image.bin", "--out", "out", "--privatekey", key],
            &["pubkey", "--private-key", key, "--pem"],
        ] {
            let output = run(&[command, options].concat(), pin);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(3), "{command:?} {options:?}: {said}");
            assert!(said.contains(says) && !said.contains("assphrase is"), "{command:?} {options:?}: {said}");
            assert_eq!(logins(), 0, "{command:?} {options:?}: the token was asked");
        }
    }
    assert!(run(&["sign", "image.bin", "-o", "out", "--key", KEY], Some(PIN)).status.success());
    assert_eq!(logins(), 1, "a login that is not noted proves nothing");
}

/// If a token hashes by itself, it fails at other calls.
#[test]
fn a_token_that_hashes_fails_as_loudly() {
    let bench = bench();
    let Some(tokens) = tokens(&bench) else { return };
    tokens.configure(HASHES_ONLY);
    bench.write("image.bin", &common::firmware(300_000));
    let sign = ["sign", "image.bin", "-o", "out", "--key", KEY];
    for (fault, part) in [
        ("removed-meanwhile", "DeviceRemoved in C_SignUpdate"),
        ("removed", "DeviceRemoved in C_SignFinal"),
        ("device-error", "DeviceError in C_SignFinal"),
        ("flipped", "the signature is not good"),
        ("short", "it has 255 bytes"),
    ] {
        let output = otaseal(&tokens, fault, &sign);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(3), "{fault}: {said}");
        assert!(said.contains(part) && said.contains("help: "), "{fault}: {said}");
        nothing_new(&bench);
    }
}

/// If the token returns a wrong signature, no command that signs writes it.
#[test]
fn no_command_takes_a_wrong_signature() {
    let bench = bench();
    let Some(tokens) = tokens(&bench) else { return };
    let package = ["package", "image.bin", "--key", KEY, "--out-dir", "out"];
    let legacy = ["sign", "image.bin", "-o", "out", "--legacy", "out.legacy", "--key", KEY];
    for args in [&package[..], &legacy] {
        // The second signature is wrong too. The first is good.
        for fault in ["flipped", "flipped:1", "short", "zeros"] {
            let output = otaseal(&tokens, fault, args);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(3), "{fault}: {said}");
            let left = std::fs::read_dir(bench.path("out")).map(|entries| entries.count()).unwrap_or(0);
            assert_eq!(left, 0, "{fault}: {said}");
            let _ = std::fs::remove_dir(bench.path("out"));
            nothing_new(&bench);
        }
    }
}

#[test]
fn a_new_key_that_cannot_sign_does_not_stay_in_the_token() {
    let bench = bench();
    let Some(tokens) = tokens(&bench) else { return };
    let keygen = ["keygen", "--key", "pkcs11:token=Release;object=new", "--public", "new.pem"];
    for fault in ["flipped", "short", "zeros", "device-error", "removed", "no-mechanisms"] {
        let output = otaseal(&tokens, fault, &keygen);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(3), "{fault}: {said}");
        nothing_new(&bench);
        let listed = text(&tokens.tool("Release", &["--list-objects"]));
        assert!(!listed.contains("new") && listed.contains("firmware"), "{fault}: {listed}");
    }
    let made = otaseal(&tokens, "none", &keygen);
    assert!(made.status.success(), "{}", text(&made));
}

#[test]
fn a_batch_with_fewer_sessions_than_threads_signs_everything() {
    let bench = bench();
    let Some(tokens) = tokens(&bench) else { return };
    let names: Vec<String> = (0..40).map(|index| format!("image-{index}.bin")).collect();
    for (index, name) in names.iter().enumerate() {
        bench.write(name, &common::firmware(3000 + index));
    }
    let mut args = vec!["sign", "--jobs", "8", "--out-dir", "signed", "--key", KEY];
    args.extend(names.iter().map(String::as_str));
    // The first session is for the login.
    for sessions in [1, 2, 3, 8] {
        for configuration in ["", HASHES_ONLY] {
            tokens.configure(configuration);
            let output = otaseal(&tokens, &format!("sessions:{sessions}"), &args);
            assert!(output.status.success(), "{sessions}: {}", text(&output));
            for name in &names {
                bench.ok(&["verify", &format!("signed/{name}.signed"), "--key", "public.pem"]);
            }
            std::fs::remove_dir_all(bench.path("signed")).unwrap();
        }
    }
}

/// Images that were signed before the fault stay. There are none after it, and the report names every input.
#[test]
fn a_token_that_is_pulled_out_in_a_batch_ends_it() {
    let bench = bench();
    let Some(tokens) = tokens(&bench) else { return };
    let names: Vec<String> = (0..12).map(|index| format!("image-{index}.bin")).collect();
    for (index, name) in names.iter().enumerate() {
        bench.write(name, &common::firmware(3000 + index));
    }
    for (fault, more) in
        [("removed:5", &[][..]), ("removed:5", &["--keep-going"]), ("device-error:5", &["--keep-going"])]
    {
        for sessions in ["1", "3"] {
            let mut args = vec!["sign", "--jobs", sessions, "--out-dir", "signed", "--key", KEY];
            args.extend(more.iter().copied().chain(names.iter().map(String::as_str)));
            let output = otaseal(&tokens, fault, &args);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(3), "{said}");
            let signed: Vec<_> = std::fs::read_dir(bench.path("signed"))
                .unwrap()
                .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
                .collect();
            // Other threads may have been signing at that moment.
            assert!((5..=7).contains(&signed.len()), "{fault} {more:?}: {signed:?} {said}");
            for name in &signed {
                bench.ok(&["verify", name, "--key", "public.pem"]);
            }
            std::fs::remove_dir_all(bench.path("signed")).unwrap();
        }
    }
}
