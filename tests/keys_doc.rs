//! What docs/keys.md tells people to type, typed: the console lines of "Signing elsewhere", and the jobs of "Sign what was
//! built" as the two CI systems would run them.
#![cfg(unix)]

mod common;
#[path = "common/console.rs"]
mod console;

use common::{Bench, OTASEAL};
use console::{lines_match, steps};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The text of one section.
fn section(title: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/keys.md");
    let text = fs::read_to_string(path).unwrap();
    let from = text.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("docs/keys.md has no {title}"));
    let rest = &text[from + 4..];
    rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
}

/// `sh -c SCRIPT` with `otaseal` in its PATH.
fn shell(directory: &Path, script: &str, environment: &[(&str, &str)]) -> Output {
    let program = Path::new(OTASEAL).parent().unwrap().display();
    let path = format!("{program}:{}", std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).current_dir(directory).env("PATH", path);
    command.envs(environment.iter().copied()).output().unwrap()
}

#[test]
fn a_signature_is_made_elsewhere_as_the_document_says() {
    let bench = Bench::new();
    bench.ok(&["keygen", "--private", "private.pem", "--public", "public.pem"]);
    bench.write("firmware.bin", &common::firmware(10_001));
    let steps = steps(&section("Signing elsewhere"));
    assert!(steps.len() >= 6, "the document has lost its commands");
    for step in steps {
        let output = shell(bench.dir(), &step.command, &[]);
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", step.command);
        let (printed, expected) = (printed.lines().collect::<Vec<_>>(), &step.expected);
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        assert!(lines_match(&expected, &printed), "{}: {expected:#?}, not {printed:#?}", step.command);
    }
    bench.ok(&["verify", "firmware.bin.signed", "--key", "public.pem"]);
    // The other way that the text names gives the same bytes.
    bench.ok(&["digest", "firmware.bin", "--raw", "digest-info", "-o", "again"]);
    assert!(bench.read("again") == bench.read("digest-info"));
}

/// The scripts of one job of a YAML text: what stands behind `run:`, or in the list below `script:`.
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

/// Runs the two jobs, each in a directory of its own, with the artefact carried over; what the second one left.
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
    let text = section("Sign what was built");
    let yaml: Vec<&str> =
        text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [github, gitlab] = yaml[..] else { panic!("two examples") };
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
