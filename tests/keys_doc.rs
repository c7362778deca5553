//! Types the commands of the guides on keys: "Encrypted keys" at a terminal, "Keys in tokens", "Any other signer" and
//! offline signing. It runs the jobs of "Build and sign in separate jobs" as the two CI systems would.
#![cfg(unix)]

use crate::common::document::{blocks, section, shell, shell_at_a_terminal, type_console};
use crate::common::token::{PIN, Tokens, module};
use crate::common::{self, Bench, python_with};
use std::fs;
use std::process::Output;

#[test]
fn a_key_is_kept_under_a_passphrase_as_the_document_says() {
    if !python_with("pty") {
        return;
    }
    let bench = Bench::new();
    let scripts = blocks(&section("guides/keys.md", "Encrypted keys"), "sh");
    let [script] = &scripts[..] else { panic!("one block: {scripts:?}") };
    let lines: Vec<&str> = script.lines().collect();
    let [keygen, passwd, info, convert] = lines[..] else { panic!("four commands: {lines:?}") };
    let old = |passphrase| ("Passphrase of keys/private.pem: ", passphrase);
    let new = |passphrase| [("ew passphrase of keys/private.pem: ", passphrase); 2];
    let typed = |line: &str, answers: &[(&str, &str)], said: &str| {
        let output = shell_at_a_terminal(bench.dir(), line, answers);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && shown.contains(said), "{line}: {shown}");
    };
    typed(keygen, &new("first-one"), "(encrypted)");
    bench.openssl("pkey -in keys/private.pem -passin pass:first-one -noout");
    typed(passwd, &[&[old("first-one")], &new("second-one")[..]].concat(), "locked   AES-256-CBC");
    bench.openssl("pkey -in keys/private.pem -passin pass:second-one -noout");
    typed(info, &[], "scrypt");
    // The key keeps its passphrase.
    typed(convert, &[old("second-one")], "key.der");
    bench.openssl("pkey -inform DER -in key.der -passin pass:second-one -pubout -out half.pem");
    assert!(bench.read("half.pem") == bench.read("keys/public.pem"));
}

#[test]
fn a_token_signs_as_the_document_says() {
    let Some(module) = module() else { return };
    let bench = Bench::new();
    let tokens = Tokens::new(&bench, module);
    tokens.make("Release");
    tokens.ok(&["keygen", "--key", "pkcs11:token=Release;object=firmware", "--public", "public.pem"]);
    bench.write("firmware.bin", &common::firmware(10_001));
    let scripts = blocks(&section("guides/tokens.md", "Keys in tokens"), "sh");
    let [script] = &scripts[..] else { panic!("one command: {scripts:?}") };
    let known = "/usr/lib/softhsm/libsofthsm2.so";
    assert!(script.contains(known), "{script}");
    let configuration = bench.path("softhsm2.conf");
    let environment = [("SOFTHSM2_CONF", configuration.to_str().unwrap()), ("OTASEAL_PKCS11_PIN", PIN)];
    let output = shell(bench.dir(), &script.replace(known, tokens.module()), &environment);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    bench.ok(&["verify", "firmware.bin.signed", "--key", "public.pem"]);
}

#[test]
fn a_signature_is_made_elsewhere_as_the_document_says() {
    let bench = Bench::new();
    bench.ok(&["keygen", "--private", "private.pem", "--public", "public.pem"]);
    bench.write("firmware.bin", &common::firmware(10_001));
    assert!(
        type_console(&bench, &section("guides/offline.md", "Sign one image")) >= 6,
        "the document has lost its commands"
    );
    bench.ok(&["verify", "firmware.bin.signed", "--key", "public.pem"]);
    // The other way in the text gives the same bytes.
    bench.ok(&["digest", "firmware.bin", "--raw", "digest-info", "-o", "again"]);
    assert!(bench.read("again") == bench.read("digest-info"));
}

/// Acts as the AWS CLI: it takes only the arguments of `kms sign` in its manual, and answers as it does. OpenSSL signs.
const AWS: &str = r#"#!/usr/bin/env python3
import argparse, base64, subprocess, sys
parser = argparse.ArgumentParser(prog="aws", allow_abbrev=False)
parser.add_argument("service", choices=["kms"])
parser.add_argument("operation", choices=["sign"])
parser.add_argument("--key-id", required=True)
parser.add_argument("--message", required=True)
parser.add_argument("--message-type", choices=["RAW", "DIGEST", "EXTERNAL_MU"], default="RAW")
parser.add_argument("--signing-algorithm", required=True, choices=[
    "RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512", "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512", "ECDSA_SHA_256", "ECDSA_SHA_384", "ECDSA_SHA_512"])
parser.add_argument("--output", choices=["json", "text", "table", "yaml", "yaml-stream", "off"], default="json")
parser.add_argument("--query")
asked = parser.parse_args()

def refused(name, why):
    print(f"\nAn error occurred ({name}) when calling the Sign operation: {why}", file=sys.stderr)
    sys.exit(254)

if asked.key_id != "alias/firmware":
    refused("NotFoundException", f"Alias {asked.key_id} is not found.")
if not asked.message.startswith("fileb://"):
    sys.exit("Invalid base64")
message = open(asked.message[len("fileb://"):], "rb").read()
if asked.message_type != "DIGEST" or asked.signing_algorithm != "RSASSA_PKCS1_V1_5_SHA_256":
    sys.exit("not what is asked for here")
if len(message) != 32:
    refused("ValidationException", "Digest is invalid length for algorithm RSASSA_PKCS1_V1_5_SHA_256.")
signed = subprocess.run("openssl pkeyutl -sign -inkey private.pem -pkeyopt rsa_padding_mode:pkcs1 "
                        "-pkeyopt digest:sha256".split(), input=message, stdout=subprocess.PIPE, check=True)
if asked.output != "text" or asked.query != "Signature":
    sys.exit("not what is asked for here")
print(base64.b64encode(signed.stdout).decode())
"#;

#[test]
fn any_other_signer_signs_as_the_document_says() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.ok(&["keygen", "--private", "private.pem", "--public", "public.pem"]);
    bench.write("firmware.bin", &common::firmware(10_001));
    fs::create_dir(bench.path("bin")).unwrap();
    bench.write("bin/aws", AWS.as_bytes());
    fs::set_permissions(bench.path("bin/aws"), fs::Permissions::from_mode(0o755)).unwrap();
    bench.ok(&["sign", "firmware.bin", "-o", "expected", "--key", "private.pem"]);
    let scripts = blocks(&section("guides/tokens.md", "Any other signer"), "sh");
    let [openssl, aws] = &scripts[..] else { panic!("two commands: {scripts:?}") };
    let run = |script: &str| {
        let _ = fs::remove_file(bench.path("firmware.bin.signed"));
        shell(bench.dir(), &format!("PATH=$PWD/bin:$PATH\n{script}"), &[])
    };
    for script in [openssl, aws] {
        let output = run(script);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(bench.read("firmware.bin.signed") == bench.read("expected"), "{script}");
    }
    // The stand-in is strict, and otaseal shows its error.
    for (from, to, said) in [
        ("alias/firmware", "alias/lamp", "NotFoundException"),
        ("--signer-cmd-input digest ", "", "ValidationException"),
        ("fileb://", "file://", "Invalid base64"),
        ("--message-type", "--message-kind", "unrecognized arguments"),
        ("V1_5_SHA_256", "V1_5_SHA256", "invalid choice"),
    ] {
        let script = aws.replace(from, to);
        assert_ne!(&script, aws, "{from}");
        let output = run(&script);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(3) && errors.contains(said), "{to}: {errors}");
        assert!(!bench.path("firmware.bin.signed").exists());
    }
}

/// Returns the scripts of one job of a YAML text: the text after `run:`, or the list below `script:`.
fn scripts(yaml: &str, job: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = yaml.lines().collect();
    let start = lines.iter().position(|line| line.trim() == format!("{job}:")).unwrap();
    let inside = |line: &&&str| indent(line) > indent(lines[start]);
    let job: Vec<&str> = lines[start + 1..].iter().take_while(inside).copied().collect();
    let mut scripts = Vec::new();
    for (index, line) in job.iter().enumerate() {
        let deeper =
            || job[index + 1..].iter().take_while(|next| indent(next) > indent(line)).map(|next| next.trim());
        match line.trim().trim_start_matches("- ").split_once(':') {
            Some(("run", "")) => panic!("`run` without a script"),
            Some(("run", " |")) => scripts.push(deeper().collect::<Vec<_>>().join("\n")),
            Some(("run", script)) => scripts.push(script.trim().to_owned()),
            Some(("script", "")) => {
                scripts.extend(deeper().map(|line| line.strip_prefix("- ").unwrap().to_owned()));
            }
            _ => {}
        }
    }
    scripts
}

/// Runs the two jobs, each in its own directory, and carries the artefact over. Returns the files of the second job.
fn two_jobs(yaml: &str, key_in_file: bool, exchange: Option<&[u8]>, other_key: bool) -> (Output, Bench) {
    let (build, sign, secret) = (Bench::new(), Bench::new(), Bench::new());
    secret.ok(&["keygen", "-o", "keys"]);
    secret.ok(&["keygen", "-o", "other"]);
    let used = if other_key { "other" } else { "keys" };
    secret.openssl(&format!("pkcs8 -topk8 -in {used}/private.pem -passout pass:four-words -out locked.pem"));
    let id = secret.ok(&["pubkey", "keys/public.pem", "--fingerprint"]).stdout;
    let id = String::from_utf8(id).unwrap();

    build.write("source", &common::firmware(12_000));
    let output = build.path("outputs");
    let environment = [("GITHUB_OUTPUT", output.to_str().unwrap())];
    for script in scripts(yaml, "build") {
        let script = script.replace("make firmware.bin", "cp source firmware.bin");
        let output = shell(build.dir(), &script, &environment);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let report = if key_in_file { "build.env" } else { "outputs" };
    let report = String::from_utf8(build.read(report)).unwrap();
    let (_, sha256) = report.trim().split_once('=').unwrap();

    let firmware = build.read("firmware.bin");
    sign.write("firmware.bin", exchange.unwrap_or(&firmware));
    let key = match key_in_file {
        true => secret.path("locked.pem").display().to_string(),
        false => String::from_utf8(secret.read("locked.pem")).unwrap(),
    };
    let environment = [
        ("SIGNING_KEY", key.as_str()),
        ("SIGNING_PASSPHRASE", "four-words"),
        ("FIRMWARE_SHA256", sha256),
        ("FIRMWARE_KEY_ID", id.trim()),
    ];
    let scripts = scripts(yaml, "sign");
    let [script] = &scripts[..] else { panic!("one script signs: {scripts:?}") };
    let output = shell(sign.dir(), script, &environment);
    if output.status.success() {
        let signed = sign.path("firmware.bin.signed");
        secret.ok(&["verify", signed.to_str().unwrap(), "--key", "keys/public.pem"]);
    }
    (output, sign)
}

#[test]
fn the_protected_jobs_sign_what_was_built_and_nothing_else() {
    let yaml = blocks(&section("guides/ci.md", "Build and sign in separate jobs"), "yaml");
    let [github, gitlab] = &yaml[..] else { panic!("two examples") };
    for (yaml, key_in_file) in [(github, false), (gitlab, true)] {
        let (output, _) = two_jobs(yaml, key_in_file, None, false);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for (exchange, other_key, what) in
            [(Some(&b"something else"[..]), false, "is expected"), (None, true, "the key id is")]
        {
            let (output, bench) = two_jobs(yaml, key_in_file, exchange, other_key);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{errors}");
            assert!(errors.contains(what) && !errors.contains("four-words"), "{errors}");
            assert!(!bench.path("firmware.bin.signed").exists());
        }
    }
}
