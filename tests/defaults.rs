//! Commands without options: which key they take, how they name the output, and which file the output may replace.

use crate::common::Bench;
use std::fs;

fn said(bench: &Bench, command: &str) -> String {
    let output = bench.ok(&command.split_whitespace().collect::<Vec<_>>());
    String::from_utf8(output.stdout).unwrap()
}

fn refused(bench: &Bench, code: i32, command: &str) -> String {
    let output = bench.fails(code, &command.split_whitespace().collect::<Vec<_>>());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_key_and_the_output_follow_from_the_input() {
    let bench = Bench::with_keys_in_place();
    for (command, output, key) in [
        ("sign image.bin", Some("image.bin.signed"), Some("keys/private.pem")),
        ("verify image.bin.signed", None, Some("keys/public.pem")),
        ("compress image.bin", Some("image.bin.gz"), None),
        ("sign image.bin.gz", Some("image.bin.gz.signed"), Some("keys/private.pem")),
        ("strip image.bin.gz.signed", Some("image.bin.gz"), None),
        ("strip image.bin.signed", Some("image.bin"), None),
    ] {
        let text = said(&bench, command);
        let assumed: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("assumed  ")).collect();
        let key = key.map(|key| format!("--key {key}"));
        let expected: Vec<_> = key.into_iter().chain(output.map(|name| format!("--output {name}"))).collect();
        assert_eq!(assumed, expected, "{command}");
        assert!(output.is_none_or(|name| bench.path(name).exists()), "{command}");
        // What is named is not assumed.
        if let [first, ..] = &expected[..]
            && first.starts_with("--key")
        {
            let named = said(&bench, &format!("{command} {}", expected.join(" ")));
            assert!(!named.contains("assumed"), "{command}: {named}");
        }
    }
    bench.openssl("dgst -sha256 -sign keys/private.pem -out raw image.bin");
    let text = said(&bench, "attach image.bin raw");
    assert!(text.contains("--key keys/public.pem") && text.contains("--output image.bin.signed"), "{text}");
    let json = said(&bench, "sign image.bin --json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["defaults"][1]["value"], "image.bin.signed");
}

#[test]
fn without_a_key_the_error_says_where_one_was_looked_for() {
    let bench = Bench::with_keys();
    for (command, key) in [
        ("sign image.bin", "keys/private.pem"),
        ("verify image.bin", "keys/public.pem"),
        ("attach image.bin pass", "keys/public.pem"),
    ] {
        let error = refused(&bench, 2, command);
        assert!(error.contains(&format!("there is no {key}")) && error.contains("--key"), "{error}");
    }
}

#[test]
fn two_names_are_not_taken_for_input_and_output() {
    let bench = Bench::with_keys_in_place();
    let error = refused(&bench, 2, "sign image.bin firmware.signed");
    assert!(error.contains("`otaseal sign image.bin -o firmware.signed`"), "{error}");
    assert!(!bench.path("firmware.signed").exists());
}

#[cfg(unix)]
#[test]
fn a_stream_gives_no_name() {
    let bench = Bench::with_keys_in_place();
    for command in ["sign -", "sign /dev/stdin", "sign /dev/null", "compress -", "strip image.bin"] {
        let error = refused(&bench, 2, command);
        assert!(error.contains("--output"), "{command}: {error}");
    }
}

/// Every command that writes one file: twice, and over bytes that it did not make.
#[test]
fn an_output_is_made_again_and_a_foreign_file_stays() {
    let bench = Bench::with_keys_in_place();
    bench.ok(&[
        "sign",
        "image.bin",
        "-o",
        "other.signed",
        "-k",
        "keep.pem",
        "--rotate-to",
        "keys/public.pem",
    ]);
    bench.ok(&["compress", "image.bin", "-o", "stamped.gz"]);
    let mut stamped = bench.read("stamped.gz");
    stamped[4] = 1;
    let other_signature = bench.read("other.signed");
    // Its last bytes are those of a trailer, as the length of the content in some gzip.
    let nearly = [&[7_u8; 300][..], &[0, 1, 0, 0]].concat();
    bench.openssl("dgst -sha256 -sign keys/private.pem -out raw image.bin");
    bench.openssl("dgst -sha256 -sign keys/private.pem -out raw.later later.bin");
    fs::write(bench.path("ledger"), "").unwrap();
    bench.ok(&["sign", "image.bin", "--ledger", "ledger"]);
    fs::copy(bench.path("ledger"), bench.path("longer")).unwrap();
    bench.ok(&["sign", "later.bin", "--ledger", "longer"]);
    for (first, second, foreign) in [
        ("sign image.bin --output OUT", "sign later.bin --output OUT", &other_signature[..]),
        ("sign image.bin --output OUT", "sign later.bin --output OUT", &nearly),
        ("sign image.bin --output OUT", "sign later.bin --legacy OUT", b"x"),
        ("sign image.bin --legacy OUT", "sign later.bin --output OUT", b"x"),
        ("attach image.bin raw --output OUT", "attach later.bin raw.later --output OUT", &other_signature),
        ("compress image.bin --output OUT", "compress later.bin --effort fast --output OUT", &stamped),
        ("strip image.bin.signed --output OUT", "strip image.bin.signed --output OUT", b"x"),
        ("digest image.bin --output OUT", "digest later.bin --output OUT", br#"{"schema":1,"tool":"other"}"#),
        (
            "digest image.bin --raw digest-info --output OUT",
            "digest later.bin --raw digest-info --output OUT",
            b"x",
        ),
        ("pubkey keys/public.pem --rust --output OUT", "pubkey next.pem --rust --output OUT", b"// mine"),
        (
            "pubkey keys/public.pem --c-header --output OUT",
            "pubkey next.pem --c-header --output OUT",
            b"// mine",
        ),
        ("pubkey keys/public.pem --pem --output OUT", "pubkey keys/public.pem --pem --output OUT", b"x"),
        (
            "ledger export ledger --output OUT",
            "ledger export longer --format csv --output OUT",
            b"seq,time\r\n",
        ),
        ("ledger export ledger --format csv --output OUT", "ledger export longer --output OUT", b"[1]"),
        ("completions bash --output OUT", "completions bash --output OUT", b"# mine"),
        ("completions powershell --output OUT", "completions powershell --output OUT", b"# mine"),
    ] {
        let line = |command: &str| command.replace("OUT", "new");
        bench.write("new", b"");
        said(&bench, &line(first));
        said(&bench, &line(second));
        let made = bench.read("new");
        bench.write("new", foreign);
        let error = refused(&bench, 3, &line(second));
        assert!(error.contains("new exists already, and it is no earlier output"), "{second}: {error}");
        assert!(error.contains("--overwrite"), "{second}: {error}");
        assert!(bench.read("new") == foreign, "{second}");
        for option in ["--overwrite", "--force"] {
            bench.write("new", foreign);
            said(&bench, &format!("{} {option}", line(second)));
            assert!(bench.read("new") == made, "{second} {option}");
        }
        fs::remove_file(bench.path("new")).unwrap();
    }
}

/// A refusal comes before the signature: there is no line in the ledger without a file.
#[test]
fn a_foreign_file_is_refused_before_anything_is_signed() {
    let bench = Bench::with_keys_in_place();
    bench.write("image.bin.signed", b"mine");
    refused(&bench, 3, "sign image.bin --ledger ledger");
    assert!(!bench.path("ledger").exists());
}

/// The script that this command replaces writes over any file.
#[test]
fn signing_py_replaces_any_file() {
    let bench = Bench::with_keys_in_place();
    bench.write("out", b"#define ARDUINO_SIGNING 0\n");
    said(&bench, "signing-py --mode header --publickey keys/public.pem --out out");
    said(&bench, "signing-py --mode sign --privatekey keys/private.pem --bin image.bin --out out");
    said(&bench, "verify out");
}
