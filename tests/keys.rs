//! Keys and their passphrases as their users meet them: terminals, descriptors, real peers, and that nothing secret is
//! ever shown or left behind.

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod common;

use common::{Bench, OTASEAL, python_with};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const PASSPHRASE: &str = "tr0mbone-quarry-14";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A directory with `key.pem`, `locked.pem`, which is the same under [`PASSPHRASE`], `public.pem` and `image.bin`.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    bench.openssl("pkey -in key.pem -pubout -out public.pem");
    bench.openssl(&format!("pkcs8 -topk8 -in key.pem -scrypt -passout pass:{PASSPHRASE} -out locked.pem"));
    // A firmware that has the key: it is not what is looked at here.
    bench.write("image.bin", &[common::firmware(5000), bench.read("public.pem")].concat());
    bench
}

/// `otaseal ARGS` on a terminal, with the answers to its prompts; what it showed and how it ended.
fn on_a_terminal(bench: &Bench, answers: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String) {
    let mut python = Command::new("python3");
    python.arg(root().join("tests/peers/terminal.py"));
    python.args(answers.iter().flat_map(|(prompt, answer)| [prompt, answer]));
    let output = python.arg("--").arg(OTASEAL).args(args).current_dir(bench.dir()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(unix)]
#[test]
fn the_terminal_is_asked_and_shows_nothing_of_the_answer() {
    if !python_with("pty") {
        return;
    }
    let bench = bench();
    let sign = ["sign", "image.bin", "-o", "image.signed", "--key", "locked.pem"];
    let (code, shown) = on_a_terminal(&bench, &[("Passphrase of locked.pem: ", PASSPHRASE)], &sign);
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(PASSPHRASE), "{shown}");
    bench.ok(&["verify", "image.signed", "--key", "public.pem"]);

    fs::remove_file(bench.path("image.signed")).unwrap();
    for wrong in ["", "wrong"] {
        let (code, shown) = on_a_terminal(&bench, &[("Passphrase of locked.pem: ", wrong)], &sign);
        assert_eq!(code, Some(3), "{shown}");
        assert!(shown.contains("the passphrase is wrong") && !bench.path("image.signed").exists(), "{shown}");
    }
    // A key that needs none: nobody is asked.
    let (code, shown) =
        on_a_terminal(&bench, &[], &["sign", "image.bin", "-o", "image.signed", "--key", "key.pem"]);
    assert!(code == Some(0) && !shown.contains("assphrase"), "{shown}");
}

#[cfg(unix)]
#[test]
fn a_new_passphrase_is_typed_twice() {
    if !python_with("pty") {
        return;
    }
    let bench = bench();
    let keygen = ["keygen", "--encrypt", "--private", "new.pem", "--public", "new.public.pem"];
    let (first, again) = ("New passphrase of new.pem: ", "Same again, new passphrase of new.pem: ");
    for (answers, words) in [
        (&[(first, PASSPHRASE), (again, "other")][..], "the two passphrases differ"),
        (&[(first, "")], "the new passphrase is empty"),
    ] {
        let (code, shown) = on_a_terminal(&bench, answers, &keygen);
        assert!(code == Some(3) && shown.contains(words), "{shown}");
        assert!(!bench.path("new.pem").exists() && !bench.path("new.public.pem").exists());
    }
    let (code, shown) = on_a_terminal(&bench, &[(first, PASSPHRASE), (again, PASSPHRASE)], &keygen);
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(PASSPHRASE), "{shown}");
    bench.openssl(&format!("pkey -in new.pem -passin pass:{PASSPHRASE} -pubout -out derived.pem"));
    assert_eq!(bench.read("derived.pem"), bench.read("new.public.pem"));

    let passwd = ["key", "passwd", "new.pem"];
    let answers = [("Passphrase of new.pem: ", PASSPHRASE), (first, "another one"), (again, "another one")];
    let (code, shown) = on_a_terminal(&bench, &answers, &passwd);
    assert_eq!(code, Some(0), "{shown}");
    bench.run("openssl", &["pkey", "-in", "new.pem", "-passin", "pass:another one", "-noout"]);
}

/// `otaseal ARGS` by a shell, which opens descriptors.
#[cfg(unix)]
fn by_a_shell(bench: &Bench, command: &str) -> Output {
    let command = command.replace("otaseal", OTASEAL);
    Command::new("sh").args(["-c", &command]).current_dir(bench.dir()).output().unwrap()
}

#[cfg(unix)]
#[test]
fn a_descriptor_may_be_a_file_a_pipe_or_standard_input() {
    let bench = bench();
    bench.write("passphrase", format!("{PASSPHRASE}\n").as_bytes());
    bench.write("wrong", b"wrong\n");
    let sign = "otaseal sign image.bin -o image.signed --key locked.pem";
    for (command, code) in [
        (format!("{sign} --passphrase-fd 3 3< passphrase"), 0),
        (format!("{sign} --passphrase-fd 7 7< passphrase"), 0),
        (format!("{sign} --passphrase-fd 0 < passphrase"), 0),
        (format!("cat passphrase | {sign} --passphrase-fd 0"), 0),
        (format!("cat passphrase | {sign} --passphrase-file -"), 0),
        (format!("cat passphrase | {sign} --passphrase-fd 3 3<&0 < /dev/null"), 0),
        (format!("{sign} --passphrase-fd 3 3< wrong"), 3),
        (format!("{sign} --passphrase-fd 3 3< /dev/null"), 3),
        (format!("{sign} --passphrase-fd 3 3<&-"), 3),
        (format!("{sign} --passphrase-fd 0 0<&-"), 3),
        (format!("{sign} --passphrase-fd 3 3< /dev/zero"), 3),
        (format!("{sign} < /dev/null"), 3),
    ] {
        let _ = fs::remove_file(bench.path("image.signed"));
        let output = by_a_shell(&bench, &command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{command}: {stderr}");
        assert_eq!(bench.path("image.signed").exists(), code == 0, "{command}");
    }
    let shown = by_a_shell(
        &bench,
        "cat image.bin | otaseal sign - -o - --key locked.pem --passphrase-fd 3 3< passphrase",
    );
    assert!(shown.status.success() && shown.stdout.len() == bench.read("image.bin").len() + 260);
}

/// For development every key may sign, and what is wrong with it is said; a release is refused.
#[cfg(unix)]
#[test]
fn a_key_that_lies_open_is_a_warning_and_no_release() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench();
    let sign = ["sign", "image.bin", "-o", "image.signed", "--key", "key.pem"];
    let package = ["package", "image.bin", "--key", "key.pem"];
    let py = [
        "signing-py",
        "--mode",
        "sign",
        "--bin",
        "image.bin",
        "--out",
        "py.signed",
        "--privatekey",
        "key.pem",
    ];
    let run = |finding: Option<&str>| {
        for args in [&sign[..], &package, &py] {
            let output = bench.ok(args);
            let stderr = String::from_utf8_lossy(&output.stderr);
            match finding {
                Some(finding) => {
                    assert!(stderr.contains(&format!("warning: {finding}")), "{args:?}: {stderr}")
                }
                None => assert!(!stderr.contains("key.pem"), "{args:?}: {stderr}"),
            }
        }
        for args in [&sign[..], &package] {
            let args = [args, &["--release", "--ledger", "ledger.jsonl"]].concat();
            match finding {
                Some(finding) => {
                    let output = bench.fails(3, &args);
                    let stderr = String::from_utf8_lossy(&output.stderr);
                    let refused = format!("error: no release may be signed with this key: {finding}");
                    assert!(stderr.starts_with(&refused), "{args:?}: {stderr}");
                }
                None => drop(bench.ok(&args)),
            }
        }
        let code = if finding.is_some() { 1 } else { 0 };
        let check = bench.otaseal(&["key", "check", "key.pem"]);
        assert_eq!(check.status.code(), Some(code), "{}", String::from_utf8_lossy(&check.stdout));
    };
    let mode = |mode| {
        fs::set_permissions(bench.path("key.pem"), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o600);
    run(None);
    mode(0o644);
    run(Some("key.pem can be read by others than its owner (mode 0644)"));
    mode(0o600);
    bench.run("git", &["init", "-q"]);
    run(None);
    bench.run("git", &["add", "key.pem"]);
    let path = bench.path("key.pem").canonicalize().unwrap();
    run(Some(&format!("{} is tracked by git", path.display())));
}

/// Without git, or with one that does not work, nobody knows: a release says so.
#[cfg(unix)]
#[test]
fn what_could_not_be_checked_is_said() {
    let bench = bench();
    fs::create_dir(bench.path(".git")).unwrap();
    let sign = ["sign", "image.bin", "-o", "image.signed", "--key", "key.pem", "--release", "--ledger", "l"];
    for (path, words) in [
        ("/nowhere".to_owned(), "git could not be started"),
        (std::env::var("PATH").unwrap(), "git could not say"),
    ] {
        let output =
            Command::new(OTASEAL).args(sign).env("PATH", path).current_dir(bench.dir()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        assert!(
            stderr.contains("not checked: whether git has the file") && stderr.contains(words),
            "{stderr}"
        );
    }
}
