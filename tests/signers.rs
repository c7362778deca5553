//! A signature is the same bytes whoever holds the key: a file, an encrypted file, a token, a command, another machine.

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod common;
#[path = "common/token.rs"]
mod token;

use common::Bench;
use std::fs;
use token::{HASHES_ONLY, Tokens, module};

const PADS: &str = "openssl pkeyutl -sign -inkey key.pem -pkeyopt rsa_padding_mode:pkcs1";

/// `image.bin`, a key in `key.pem`, `locked.pem` and `public.pem`, and what OpenSSL makes of them: `signed` in the
/// current form, `legacy` in that of old cores.
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

/// `otaseal sign` with these options makes OpenSSL's bytes in both forms, or in the current one alone.
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

        // Elsewhere: only the request, or only its bytes, go there, and only the signature comes back.
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
        // A token that only hashes by itself.
        tokens.configure(HASHES_ONLY);
        signs(&bench, &["--key", "pkcs11:token=Release;id=%A1%B2"], false, run);
    }
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
    // What stands in the padding of OpenSSL's own signature is the DigestInfo.
    bench.openssl("pkeyutl -verifyrecover -pubin -inkey public.pem -in signature -out recovered");
    let info: String = bench.read("recovered").iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(request.contains(&format!("\"digest_info\": \"{info}\"")), "{request}");
}
