//! Tests that all signers give the same bytes: a file, an encrypted file, a token, a command, offline signing.

use crate::common::token::{HASHES_ONLY, Tokens, module};
use crate::common::{self, Bench};
use std::fs;

const PADS: &str = "openssl pkeyutl -sign -inkey key.pem -pkeyopt rsa_padding_mode:pkcs1";

/// Makes `image.bin`, a key in `key.pem`, `locked.pem` and `public.pem`, and OpenSSL's signed images: `signed` with the
/// current signature, `legacy` with the legacy signature.
fn bench(bits: usize) -> Bench {
    let bench = Bench::new();
    bench.openssl(&format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out key.pem"));
    bench.openssl("pkey -in key.pem -pubout -out public.pem");
    bench.openssl("pkcs8 -topk8 -in key.pem -passout pass:three-words -out locked.pem");
    bench.write("passphrase", b"three-words\n");
    bench.write("image.bin", &common::firmware(30_001));
    bench.openssl("dgst -sha256 -sign key.pem -out signature image.bin");
    bench.openssl("dgst -sha256 -binary -out digest image.bin");
    bench.openssl(
        "pkeyutl -sign -inkey key.pem -pkeyopt rsa_padding_mode:pkcs1 -in digest -out signature.legacy",
    );
    for (signature, signed) in [("signature", "signed"), ("signature.legacy", "legacy")] {
        let length = (bits as u32 / 8).to_le_bytes();
        bench.write(signed, &[bench.read("image.bin"), bench.read(signature), length.to_vec()].concat());
    }
    bench
}

/// `otaseal sign` with these options gives OpenSSL's bytes with both signatures, or only with the current one.
fn signs(bench: &Bench, options: &[&str], both: bool, run: impl Fn(&[&str])) {
    let mut words = vec!["sign", "image.bin", "-o", "out"];
    words.extend(options);
    if both {
        words.extend(["--legacy", "out.legacy"]);
    }
    run(&words);
    assert!(bench.read("out") == bench.read("signed"), "{options:?}: other bytes than OpenSSL's");
    fs::remove_file(bench.path("out")).unwrap();
    if both {
        assert!(bench.read("out.legacy") == bench.read("legacy"), "{options:?}: other legacy bytes");
        fs::remove_file(bench.path("out.legacy")).unwrap();
    }
}

#[test]
fn a_signature_is_the_same_bytes_whoever_holds_the_key() {
    for bits in [2048, 3072] {
        let bench = bench(bits);
        let run = |words: &[&str]| drop(bench.ok(words));
        signs(&bench, &["--key", "key.pem"], true, run);
        signs(&bench, &["--key", "locked.pem", "--passphrase-file", "passphrase"], true, run);
        signs(&bench, &["--key", "public.pem", "--signer-cmd", PADS], true, run);
        let hashes = format!("{PADS} -pkeyopt digest:sha256");
        let options = ["--key", "public.pem", "--signer-cmd", &hashes, "--signer-cmd-input", "digest"];
        signs(&bench, &options, false, run);

        // Sign offline: only the request or its bytes go there, and only the signature comes back.
        bench.ok(&["digest", "image.bin", "--key", "public.pem", "-o", "request.json"]);
        bench.ok(&["digest", "image.bin", "--raw", "digest-info", "-o", "info"]);
        bench.ok(&["digest", "image.bin", "--raw", "digest", "-o", "bare"]);
        bench.openssl(&format!("{} -in info -out raw", PADS.trim_start_matches("openssl ")));
        bench.openssl(&format!("{} -in bare -out raw.legacy", PADS.trim_start_matches("openssl ")));
        bench.openssl("base64 -in raw -out base64");
        let hex: String = bench.read("raw").iter().map(|byte| format!("{byte:02x}\n")).collect();
        bench.write("hex", hex.as_bytes());
        for form in ["raw", "base64", "hex"] {
            let words = [
                "attach",
                "image.bin",
                form,
                "--key",
                "public.pem",
                "-o",
                "out",
                "--request",
                "request.json",
            ];
            bench.ok(&words);
            assert!(bench.read("out") == bench.read("signed"), "{form}: other bytes than OpenSSL's");
            fs::remove_file(bench.path("out")).unwrap();
        }
        bench.ok(&["attach", "image.bin", "raw.legacy", "--key", "public.pem", "-o", "out", "--legacy"]);
        assert!(bench.read("out") == bench.read("legacy"));
    }
}

#[test]
fn a_token_signs_the_same_bytes_too() {
    let Some(module) = module() else { return };
    for bits in [2048, 3072] {
        let bench = bench(bits);
        let tokens = Tokens::new(&bench, module.clone());
        tokens.make("Release");
        tokens.import("Release", "key.pem", "firmware", "A1B2");
        let run = |words: &[&str]| drop(tokens.ok(words));
        signs(&bench, &["--key", "pkcs11:token=Release;object=firmware"], true, run);
        // This token only signs what it hashes itself.
        tokens.configure(HASHES_ONLY);
        signs(&bench, &["--key", "pkcs11:token=Release;id=%A1%B2"], false, run);
    }
}

/// One way to let a command sign `image.bin`: the command line, and the output that it must make.
struct Road {
    name: &'static str,
    words: &'static [&'static str],
    /// Whether `otaseal.toml` names the command.
    by_settings: bool,
    made: &'static str,
}

const ROADS: [Road; 6] = [
    Road {
        name: "sign",
        words: &["sign", "image.bin", "-o", "out", "--key", "@PUBLIC"],
        by_settings: false,
        made: "out",
    },
    Road {
        name: "package",
        words: &["package", "image.bin", "--artefacts", "signed", "--out-dir", "made", "--key", "@PUBLIC"],
        by_settings: false,
        made: "made/image.bin.signed",
    },
    Road {
        name: "package, by settings",
        words: &["package", "image.bin", "--artefacts", "signed", "--out-dir", "made"],
        by_settings: true,
        made: "made/image.bin.signed",
    },
    Road {
        name: "package of many, by settings",
        words: &["package", "image.bin", "second.bin", "--artefacts", "signed", "--out-dir", "made"],
        by_settings: true,
        made: "made/image/image.bin.signed",
    },
    Road {
        name: "signing-py",
        words: &[
            "signing-py",
            "--mode",
            "sign",
            "--bin",
            "image.bin",
            "--out",
            "out",
            "--publickey",
            "@PUBLIC",
        ],
        by_settings: false,
        made: "out",
    },
    Road {
        name: "pubkey",
        words: &["pubkey", "@PUBLIC", "--rust", "-o", "out"],
        by_settings: false,
        made: "out",
    },
];

impl Road {
    /// Runs it with this command and public key.
    fn run(&self, bench: &Bench, command: &str, public: &str, input: &str) -> std::process::Output {
        let mut words: Vec<_> =
            self.words.iter().map(|word| if *word == "@PUBLIC" { public } else { word }).collect();
        let _ = fs::remove_file(bench.path("otaseal.toml"));
        match self.by_settings {
            true => {
                let settings = format!(
                    "signer-cmd = \"{command}\"\nsigner-cmd-input = '{input}'\nsigner-timeout = 1\npublic-key = '{public}'\n"
                );
                bench.write("otaseal.toml", settings.as_bytes());
            }
            false => {
                words.extend(["--signer-cmd", command, "--signer-cmd-input", input, "--signer-timeout", "1"])
            }
        }
        bench.otaseal(&words)
    }
}

#[test]
fn a_command_signs_the_same_bytes_on_every_road() {
    let bench = bench(2048);
    bench.write("second.bin", &common::firmware(20_000));
    bench.ok(&["pubkey", "--private-key", "key.pem", "--rust", "-o", "self-test"]);
    for road in &ROADS {
        for (command, input) in [(PADS, "digest-info"), (&format!("{PADS} -pkeyopt digest:sha256"), "digest")]
        {
            let output = road.run(&bench, command, "public.pem", input);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {errors}", road.name);
            let expected = if road.name == "pubkey" { "self-test" } else { "signed" };
            assert!(bench.read(road.made) == bench.read(expected), "{}, {input}: other bytes", road.name);
            fs::remove_file(bench.path(road.made)).unwrap();
        }
    }
}

/// The faults of a command, its public key, and the message for each.
#[cfg(unix)]
#[test]
fn what_a_command_does_wrong_is_refused_on_every_road() {
    let bench = bench(2048);
    bench.write("second.bin", &common::firmware(20_000));
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.pem");
    let other = PADS.replace("key.pem", "other.pem");
    for road in &ROADS {
        for (command, public, said) in [
            ("sh -c 'echo no such key >&2; exit 4'", "public.pem", "(exit status: 4); it said: no such key"),
            ("sleep 1000", "public.pem", "did not finish within 1 s, and otaseal killed it"),
            (&*other, "public.pem", "another key made it"),
            ("missing-program", "public.pem", "missing-program could not be started"),
            ("echo nothing", "public.pem", "gave no signature"),
            (PADS, "missing.pem", "the public key of the command"),
            (PADS, "key.pem", "key.pem"),
            (PADS, "image.bin", "image.bin"),
        ] {
            let output = road.run(&bench, command, public, "digest-info");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{}, {command}: {errors}", road.name);
            let first = errors.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
            assert!(first.contains(said), "{}, {command}, {public}: {errors}", road.name);
            assert!(!bench.path(road.made).exists(), "{}, {command}", road.name);
        }
    }
}

/// An option replaces all signer settings of the file, and otaseal refuses an option that then has no effect.
#[test]
fn a_key_that_is_named_signs_in_place_of_the_command_in_the_settings() {
    let bench = bench(2048);
    bench.write("otaseal.toml", b"signer-cmd = 'false'\npublic-key = 'public.pem'\n");
    let words = ["package", "image.bin", "--artefacts", "signed", "--out-dir", "made"];
    let with = |more: &[&str]| bench.otaseal(&[&words[..], more].concat());
    assert!(with(&["--key", "key.pem"]).status.success());
    assert!(bench.read("made/image.bin.signed") == bench.read("signed"));
    let output = with(&["--passphrase-file", "passphrase"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && errors.contains("it takes no passphrase"), "{errors}");
    assert_eq!(with(&["--signer-cmd", "true"]).status.code(), Some(2), "a command needs its public key");
    // Without another name, otaseal looks for a token's public key in this place.
    bench.write("otaseal.toml", format!("signer-cmd = '{PADS}'\n").as_bytes());
    let output = with(&[]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(3)
            && errors.contains("keys/public.pem, the public key of the command, could not be read"),
        "{errors}"
    );
    fs::create_dir(bench.path("keys")).unwrap();
    fs::copy(bench.path("public.pem"), bench.path("keys/public.pem")).unwrap();
    assert!(with(&[]).status.success());
    for words in [
        &["signing-py", "--mode", "sign", "--bin", "image.bin", "--out", "out", "--signer-cmd", PADS][..],
        &[
            "signing-py",
            "--mode",
            "sign",
            "--bin",
            "image.bin",
            "--out",
            "out",
            "-s",
            "key.pem",
            "-p",
            "public.pem",
            "--signer-cmd",
            PADS,
        ],
        &[
            "signing-py",
            "--mode",
            "sign",
            "--bin",
            "image.bin",
            "--out",
            "out",
            "-p",
            "public.pem",
            "--signer-timeout",
            "3",
        ],
        &["pubkey", "public.pem", "--pem", "--signer-cmd", PADS],
        &["pubkey", "--private-key", "key.pem", "--rust", "--signer-cmd", PADS],
    ] {
        bench.fails(2, words);
    }
    assert!(!bench.path("out").exists());
}

/// A command of the settings runs in the directory of the settings file.
#[cfg(unix)]
#[test]
fn the_command_of_a_settings_file_runs_where_the_file_is() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench(2048);
    fs::create_dir(bench.path("project")).unwrap();
    fs::copy(bench.path("key.pem"), bench.path("project/own.pem")).unwrap();
    fs::copy(bench.path("public.pem"), bench.path("project/public.pem")).unwrap();
    let script = format!("#!/bin/sh\n{}\n", PADS.replace("key.pem", "own.pem"));
    bench.write("project/sign.sh", script.as_bytes());
    fs::set_permissions(bench.path("project/sign.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    bench.write("project/release.toml", b"signer-cmd = './sign.sh'\npublic-key = 'public.pem'\n");
    let words = ["package", "image.bin", "--artefacts", "signed", "--out-dir", "made"];
    bench.ok(&[&words[..], &["--config", "project/release.toml"]].concat());
    assert!(bench.read("made/image.bin.signed") == bench.read("signed"));
}

/// Offline signing and `signing-py` can sign a release too. otaseal asks the same of it.
#[test]
fn a_release_asks_the_same_of_every_road() {
    let bench = bench(2048);
    let keyed = [bench.read("image.bin"), bench.read("public.pem")].concat();
    bench.write("keyed.bin", &keyed);
    bench.openssl("dgst -sha256 -sign key.pem -out keyed.signature keyed.bin");
    let attach =
        |image: &'static str, signature: &'static str| vec!["attach", image, signature, "-k", "public.pem"];
    let script =
        |image: &'static str| vec!["signing-py", "--mode", "sign", "--bin", image, "--privatekey", "key.pem"];
    let run = |words: Vec<&str>, more: &[&str]| {
        bench.otaseal(&[&words[..], &["-o", "out", "--release"], more].concat())
    };
    let ledger = ["--ledger", "ledger.jsonl"];
    for (words, more, says) in [
        (attach("keyed.bin", "keyed.signature"), &[][..], "a release needs a ledger"),
        (script("keyed.bin"), &[], "a release needs a ledger"),
        (attach("image.bin", "signature"), &ledger, "there is no public key in it"),
        (script("image.bin"), &ledger, "there is no public key in it"),
    ] {
        let output = run(words.clone(), more);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(3) && errors.contains(says), "{words:?}: {errors}");
        assert!(!bench.path("out").exists() && !bench.path("ledger.jsonl").exists(), "{words:?}");
    }
    for words in [attach("keyed.bin", "keyed.signature"), script("keyed.bin")] {
        let output = run(words, &ledger);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(bench.read("out").starts_with(&keyed));
        fs::remove_file(bench.path("out")).unwrap();
    }
    assert_eq!(bench.read("ledger.jsonl").iter().filter(|byte| **byte == b'\n').count(), 2);
}

#[test]
fn a_request_is_what_openssl_says_of_the_image() {
    let bench = bench(2048);
    bench.ok(&["digest", "image.bin", "--key", "public.pem", "-o", "request.json"]);
    let request = String::from_utf8(bench.read("request.json")).unwrap();
    let digest: String = bench.read("digest").iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(request.contains(&format!("\"sha256\": \"{digest}\"")), "{request}");
    bench.openssl("pkey -pubin -in public.pem -outform DER -out public.der");
    let id = String::from_utf8(bench.openssl("dgst -sha256 -r public.der").stdout).unwrap();
    assert!(request.contains(&id[..64]), "{request}");
    // The padding of OpenSSL's own signature holds the DigestInfo.
    bench.openssl("pkeyutl -verifyrecover -pubin -inkey public.pem -in signature -out recovered");
    let info: String = bench.read("recovered").iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(request.contains(&format!("\"digest_info\": \"{info}\"")), "{request}");
}
