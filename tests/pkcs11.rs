//! Tests keys in a real token, SoftHSM, beside OpenSC's `pkcs11-tool`.

use crate::common::token::{HASHES_ONLY, PIN, Tokens, module};
use crate::common::{self, Bench, OTASEAL, root};
use std::fs;
use std::process::Output;

/// Makes `image.bin`, `key.pem` and its public key. The key is also in the token `Release`, as `firmware`.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    bench.openssl("pkey -in key.pem -pubout -out public.pem");
    bench.write("image.bin", &common::firmware(20_001));
    bench
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// `otaseal sign --key KEY` must exit with 3, show these words, write nothing, and not show the PIN.
fn refused(bench: &Bench, tokens: &Tokens<'_>, key: &str, parts: &[&str]) {
    let output = tokens.otaseal(&["sign", "image.bin", "-o", "out", "--key", key]);
    says(bench, key, &output, 3, parts);
}

fn says(bench: &Bench, key: &str, output: &Output, code: i32, parts: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{key}: {said}");
    assert!(parts.iter().all(|part| said.contains(part)), "{key}: {said}");
    assert!(said.contains("help: ") && !said.contains(PIN) && !bench.path("out").exists(), "{key}: {said}");
}

#[test]
fn what_cannot_be_used_is_told_apart() {
    let Some(module) = module() else { return };
    let bench = bench();
    let tokens = Tokens::new(&bench, module);
    tokens.make("Release");
    tokens.import("Release", "key.pem", "firmware", "A1B2");
    let sign = ["sign", "image.bin", "-o", "out", "--key"];
    let with_pin = |pin: Option<&str>, key: &str, more: &[&str]| {
        let mut command = tokens.command(OTASEAL);
        command.env("OTASEAL_PKCS11_MODULE", tokens.module());
        if let Some(pin) = pin {
            command.env("OTASEAL_PKCS11_PIN", pin);
        }
        command.args(sign).arg(key).args(more).output().unwrap()
    };
    let key = "pkcs11:token=Release;object=firmware";

    says(&bench, key, &with_pin(Some("tulip-2719"), key, &[]), 3, &["the PIN is wrong for token `Release`"]);
    says(&bench, key, &with_pin(Some("1"), key, &[]), 3, &["the PIN is wrong for token `Release`"]);
    says(
        &bench,
        key,
        &with_pin(None, key, &[]),
        3,
        &["no PIN was given", "pin-source", "OTASEAL_PKCS11_PIN"],
    );
    let missing = format!("{key}?pin-source=file:missing");
    says(
        &bench,
        key,
        &with_pin(Some(PIN), &missing, &[]),
        3,
        &["the PIN could not be read from the file that pin-source names"],
    );
    // The user gives the PIN itself where a file name belongs. `says` checks that no output shows it.
    for (code, wrong) in [
        (3, format!("{key}?pin-source={PIN}")),
        (3, format!("pkcs11:token=Other?pin-source={PIN}")),
        (3, format!("pkcs11:token=Release;object=other?pin-source={PIN}")),
        (2, format!("{key};{PIN}")),
        (2, format!("{key}?{PIN}")),
    ] {
        says(&bench, &wrong, &with_pin(None, &wrong, &[]), code, &["error: "]);
    }
    let argv = format!("{key}?pin-value={PIN}");
    says(&bench, key, &with_pin(None, &argv, &[]), 2, &["pin-value", "every user of this machine"]);

    refused(
        &bench,
        &tokens,
        "pkcs11:token=Other;object=firmware",
        &["no token matches", "the module has token `Release`"],
    );
    refused(&bench, &tokens, "pkcs11:token=Release;serial=0;object=firmware", &["no token matches"]);
    refused(&bench, &tokens, "pkcs11:token=Release;slot-id=1;object=firmware", &["no token matches"]);
    refused(&bench, &tokens, "pkcs11:token=Release;model=Other;object=firmware", &["no token matches"]);
    refused(
        &bench,
        &tokens,
        "pkcs11:token=Release;object=other",
        &["no private key in token `Release`", "it has `firmware` (id %A1%B2)"],
    );
    refused(&bench, &tokens, "pkcs11:token=Release;id=%A1", &["no private key"]);
    refused(&bench, &tokens, &format!("{key}?module-path=missing.so"), &["missing.so could not be loaded"]);
    refused(&bench, &tokens, &format!("{key}?module-path=image.bin"), &["image.bin could not be loaded"]);
    refused(&bench, &tokens, &format!("{key}?module-path=libm.so.6"), &["it is not a PKCS#11 module"]);
    refused(
        &bench,
        &tokens,
        &format!("{key}?module-name=no-such-module"),
        &["no PKCS#11 module `no-such-module`"],
    );
    let twice = format!("{key};object=x");
    says(&bench, key, &with_pin(Some(PIN), &twice, &[]), 2, &["`object` stands twice"]);
    let unknown = format!("{key};colour=red");
    says(&bench, key, &with_pin(Some(PIN), &unknown, &[]), 2, &["the unknown attribute `colour`"]);

    // Two keys with one name, a key that is not RSA, a key that devices do not verify, and a key without its public
    // key.
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.pem");
    tokens.import("Release", "other.pem", "firmware", "A1B3");
    refused(
        &bench,
        &tokens,
        key,
        &["2 private keys in token `Release`", "(id %A1%B2)", "(id %A1%B3)", "add id="],
    );
    refused(&bench, &tokens, "pkcs11:token=Release", &["2 private keys"]);
    tokens.ok(&[
        "sign",
        "image.bin",
        "-o",
        "made",
        "--key",
        "pkcs11:token=Release;object=firmware;id=%A1%B2",
    ]);
    tokens
        .tool("Release", &["--keypairgen", "--key-type", "EC:prime256v1", "--label", "curve", "--id", "C1"]);
    refused(&bench, &tokens, "pkcs11:token=Release;object=curve", &["`curve` (id %C1)", "is not an RSA key"]);
    tokens.tool("Release", &["--keypairgen", "--key-type", "rsa:1024", "--label", "small", "--id", "C2"]);
    refused(&bench, &tokens, "pkcs11:token=Release;object=small", &["`small` (id %C2)", "1024 bits"]);
    // Two tokens have one name.
    tokens.make("Release");
    refused(&bench, &tokens, key, &["2 tokens match", "serial", "slot", "add serial= or slot-id="]);
}

#[test]
fn the_pin_comes_from_a_file_the_environment_or_an_option() {
    let Some(module) = module() else { return };
    let bench = bench();
    let tokens = Tokens::new(&bench, module);
    tokens.make("A token; 100% soft");
    tokens.import("A token; 100% soft", "key.pem", "k/1", "00FF");
    bench.write("pin file", format!("{PIN}\n").as_bytes());
    bench.openssl("dgst -sha256 -sign key.pem -out signature image.bin");
    let key = "pkcs11:token=A%20token%3B%20100%25%20soft;object=k%2F1;id=%00%FF;type=private";
    let from_file = format!("{key}?pin-source=file:pin%20file&module-path={}", tokens.module());
    let module = ["--pkcs11-module", tokens.module()];
    for (key, pin, options) in [
        (from_file.as_str(), None, &[][..]),
        (&from_file, Some("wrong: the file comes first"), &[]),
        (key, Some(PIN), &module[..]),
        (key, None, &[&module[..], &["--passphrase-file", "pin file"]].concat()),
        // Debian's package has told p11-kit about SoftHSM.
        (key, Some(PIN), &[]),
    ] {
        let mut command = tokens.command(OTASEAL);
        if let Some(pin) = pin {
            command.env("OTASEAL_PKCS11_PIN", pin);
        }
        let output =
            command.args(["sign", "image.bin", "-o", "out", "--key", key]).args(options).output().unwrap();
        let said = text(&output);
        if said.contains("no PKCS#11 module is named") && std::env::var_os("CI").is_none() {
            eprintln!("SKIPPED: p11-kit's proxy is not installed");
            continue;
        }
        assert!(output.status.success() && !said.contains(PIN), "{key} {options:?}: {said}");
        let signed = bench.read("out");
        assert!(signed[20_001..20_257] == bench.read("signature"), "{key}");
        fs::remove_file(bench.path("out")).unwrap();
    }
}

#[test]
fn a_key_is_made_inside_the_token_and_never_leaves_it() {
    let Some(module) = module() else { return };
    let bench = bench();
    let tokens = Tokens::new(&bench, module);
    tokens.make("Release");
    let key = "pkcs11:token=Release;object=fleet%202";
    let made = text(&tokens.ok(&["keygen", "--key", key, "--public", "new.pem"]));
    assert!(made.contains("private  pkcs11:token=Release;object=fleet%202\n"), "{made}");
    let listed = text(&tokens.tool("Release", &["--list-objects", "--type", "privkey"]));
    assert!(listed.contains("fleet 2") && listed.contains("RSA"), "{listed}");
    for attribute in ["sensitive", "always sensitive", "never extract", "local"] {
        assert!(listed.contains(attribute), "{attribute}: {listed}");
    }
    let usage = listed.lines().find(|line| line.contains("Usage")).unwrap();
    assert!(usage.contains("sign") && !usage.contains("decrypt") && !usage.contains("unwrap"), "{usage}");
    let told = tokens.ok(&["pubkey", "--private-key", key, "--pem"]);
    assert!(told.stdout == bench.read("new.pem"));
    let source = text(&tokens.ok(&["pubkey", "--private-key", key, "--rust"]));
    assert!(source.contains("SELF_TEST"), "{source}");
    // OpenSC reads the same public key, and OpenSSL accepts its signature.
    tokens.tool("Release", &["--read-object", "--type", "pubkey", "--label", "fleet 2", "-o", "public.der"]);
    bench.openssl("pkey -pubin -in public.der -inform DER -out theirs.pem");
    assert!(bench.read("theirs.pem") == bench.read("new.pem"));
    tokens.ok(&["sign", "image.bin", "-o", "signed", "--key", key]);
    let signed = bench.read("signed");
    bench.write("signature", &signed[20_001..20_257]);
    bench.openssl("dgst -sha256 -verify new.pem -signature signature image.bin");
    bench.ok(&["verify", "signed", "--key", "new.pem"]);
    tokens.ok(&["package", "image.bin", "--key", key, "--expect-public", "new.pem", "--out-dir", "package"]);

    // Sign a release with the key that the settings name.
    bench.write("otaseal.toml", format!("key = '{key}'\nledger = 'ledger.jsonl'\n").as_bytes());
    let release = ["package", "image.bin", "--release", "--allow-no-key", "--out-dir", "release"];
    tokens.ok(&release);
    bench.ok(&["verify", "release/image.bin.signed", "--key", "new.pem"]);
    let words = ["sign", "image.bin", "-o", "signed", "--release", "--allow-no-key", "--key", key];
    tokens.ok(&words);
    fs::remove_file(bench.path("otaseal.toml")).unwrap();

    // If otaseal cannot write the public key, the error says where to get it.
    #[cfg(target_os = "linux")]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut keygen = tokens.command(OTASEAL);
        keygen.env("OTASEAL_PKCS11_PIN", PIN).env("OTASEAL_PKCS11_MODULE", tokens.module()).stdout(full);
        let unheard = "pkcs11:token=Release;object=unheard";
        let output = keygen.args(["keygen", "--key", unheard, "--public", "-"]).output().unwrap();
        let said = text(&output);
        assert!(output.status.code() == Some(3) && said.contains("the token has the private key"), "{said}");
        let told = tokens.ok(&["pubkey", "--private-key", unheard, "--pem"]);
        assert!(told.stdout.starts_with(b"-----BEGIN PUBLIC KEY-----"));
    }

    // otaseal replaces no key in the token, and no file beside it.
    let again = tokens.otaseal(&["keygen", "--key", key, "--public", "out"]);
    says(&bench, key, &again, 3, &["already has a key of that name", "`fleet 2`"]);
    let other = "pkcs11:token=Release;object=other";
    let taken = tokens.otaseal(&["keygen", "--key", other, "--public", "new.pem"]);
    says(&bench, key, &taken, 3, &["new.pem exists already"]);
    assert!(!text(&tokens.tool("Release", &["--list-objects"])).contains("other"));
    let nameless = tokens.otaseal(&["keygen", "--key", "pkcs11:token=Release", "--public", "out"]);
    says(&bench, key, &nameless, 3, &["the new key has no name"]);
    let large = tokens.otaseal(&["keygen", "--key", other, "--public", "-", "--bits", "3072"]);
    assert!(
        large.status.success() && large.stdout.starts_with(b"-----BEGIN PUBLIC KEY-----\n"),
        "{}",
        text(&large)
    );
}

#[test]
fn a_token_that_hashes_by_itself_is_given_the_image() {
    let Some(module) = module() else { return };
    let bench = bench();
    let tokens = Tokens::new(&bench, module);
    tokens.make("Release");
    tokens.import("Release", "key.pem", "firmware", "A1");
    tokens.configure(HASHES_ONLY);
    let key = "pkcs11:token=Release;object=firmware";
    tokens.ok(&["package", "image.bin", "--key", key, "--out-dir", "package"]);
    for name in ["image.bin.signed", "image.bin.gz.signed"] {
        bench.ok(&["verify", &format!("package/{name}"), "--key", "public.pem"]);
    }
    // The image is longer than one piece.
    bench.write("long.bin", &common::firmware(300_000));
    tokens.ok(&["sign", "long.bin", "-o", "long.signed", "--key", key]);
    bench.ok(&["verify", "long.signed", "--key", "public.pem"]);
    let legacy = tokens.otaseal(&["sign", "image.bin", "-o", "out", "--legacy", "out.legacy", "--key", key]);
    says(&bench, key, &legacy, 3, &["always writes a DigestInfo"]);
    tokens.configure("slots.mechanisms = CKM_SHA512_RSA_PKCS");
    refused(&bench, &tokens, key, &["offers neither CKM_RSA_PKCS nor CKM_SHA256_RSA_PKCS"]);
}

#[test]
fn many_images_are_signed_by_a_token_at_once() {
    let Some(module) = module() else { return };
    let bench = bench();
    let tokens = Tokens::new(&bench, module);
    tokens.make("Release");
    tokens.import("Release", "key.pem", "firmware", "A1");
    let names: Vec<String> = (0..60).map(|index| format!("image-{index}.bin")).collect();
    for (index, name) in names.iter().enumerate() {
        bench.write(name, &common::firmware(3000 + index));
    }
    let mut words = vec!["sign", "--out-dir", "signed", "--key", "pkcs11:token=Release;object=firmware"];
    words.extend(names.iter().map(String::as_str));
    tokens.ok(&words);
    for name in &names {
        bench.openssl(&format!("dgst -sha256 -sign key.pem -out signature {name}"));
        let expected = [bench.read(name), bench.read("signature"), vec![0, 1, 0, 0]].concat();
        assert!(bench.read(&format!("signed/{name}.signed")) == expected, "{name}");
    }
}

/// Some smart cards want the PIN again for every signature.
#[test]
fn a_key_that_wants_its_pin_each_time_gets_it() {
    let Some(module) = module() else { return };
    let bench = bench();
    let tokens = Tokens::new(&bench, module);
    tokens.make("Release");
    let words = ["--keypairgen", "--key-type", "rsa:2048", "--label", "card", "--id", "A1", "--always-auth"];
    tokens.tool("Release", &words);
    let key = "pkcs11:token=Release;object=card";
    tokens.tool("Release", &["--read-object", "--type", "pubkey", "--label", "card", "-o", "card.der"]);
    for name in ["one", "two"] {
        tokens.ok(&["sign", "image.bin", "-o", name, "--key", key]);
        bench.ok(&["verify", name, "--key", "card.der"]);
    }
}

/// The key's maker allows it only one mechanism.
#[test]
fn a_key_says_itself_what_it_may_be_used_for() {
    let Some(module) = module() else { return };
    let bench = bench();
    let tokens = Tokens::new(&bench, module);
    tokens.make("Release");
    let make = |label: &str, mechanism: &str| {
        let words =
            ["--keypairgen", "--key-type", "rsa:2048", "--label", label, "--allowed-mechanisms", mechanism];
        tokens.tool("Release", &words);
    };
    make("hashes", "SHA256-RSA-PKCS");
    make("other", "SHA512-RSA-PKCS");
    tokens.ok(&["sign", "image.bin", "-o", "signed", "--key", "pkcs11:object=hashes"]);
    refused(&bench, &tokens, "pkcs11:object=other", &["offers neither CKM_RSA_PKCS nor CKM_SHA256_RSA_PKCS"]);
}

/// Runs `cargo xtask` as a project without this program has it.
#[test]
fn the_cargo_hook_makes_and_uses_a_key_in_a_token() {
    let Some(module) = module() else { return };
    let bench = bench();
    let tokens = Tokens::new(&bench, module);
    tokens.make("Release");
    bench.write("pin", format!("{PIN}\n").as_bytes());
    let (image, package) = (bench.path("image.bin"), bench.path("package"));
    let (public, pin) = (bench.path("public.pem"), bench.path("pin"));
    fs::remove_file(&public).unwrap();
    let key = format!("pkcs11:token=Release;object=hook?module-path={}", tokens.module());
    // A project of its own: in this workspace, `keygen` would write the key into the demo firmware's source.
    let manifest = bench.path("Cargo.toml");
    bench.write("Cargo.toml", b"[package]\nname = \"lamp\"\nedition = \"2024\"\n[workspace]\n");
    fs::create_dir(bench.path("src")).unwrap();
    bench.write("src/main.rs", b"fn main() {}\n");
    let xtask = |task: &str, options: &[&std::ffi::OsStr]| {
        let mut cargo = tokens.command(env!("CARGO"));
        cargo.current_dir(root()).env_remove("SOURCE_DATE_EPOCH");
        cargo.args(["run", "--quiet", "--package", "xtask", "--", task, "--key", &key, "--passphrase-file"]);
        cargo.arg(&pin).arg("--public-key").arg(&public).arg("--manifest-path").arg(&manifest);
        let output = cargo.args(options).output().unwrap();
        let said = text(&output);
        assert!(output.status.success() && !said.contains(PIN), "{task}: {said}");
        said
    };
    xtask("keygen", &[]);
    let options = ["--allow-no-key", "--name", "lamp", "--firmware"].map(std::ffi::OsStr::new);
    let places = [image.as_os_str(), "--out-dir".as_ref(), package.as_os_str()];
    let said = xtask("sign", &[&options[..], &places].concat());
    assert!(said.contains("lamp.bin.gz.signed  verified"), "{said}");
    bench.ok(&["verify", "package/lamp.bin.signed", "--key", "public.pem"]);
}
