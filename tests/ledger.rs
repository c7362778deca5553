//! The ledger among processes: several at once, and one that is killed at any moment.

mod common;

use common::{Bench, OTASEAL};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// The chain, checked by a program that knows nothing of otaseal.
const CHAIN: &str = r#"
import hashlib, json, sys
before, outputs = "0" * 64, set()
for number, line in enumerate(open(sys.argv[1], "rb").read().split(b"\n")[:-1], 1):
    record = json.loads(line)
    assert record["seq"] == number and record["prev"] == before, number
    before = hashlib.sha256(line).hexdigest()
    outputs.add((record["output"]["file"], record["output"]["sha256"]))
for path in sys.argv[2:]:
    assert (path, hashlib.sha256(open(path, "rb").read()).hexdigest()) in outputs, path
print(number, before)
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::copy(root.join("keys.example/private.pem"), bench.path("key.pem")).unwrap();
    fs::copy(root.join("fixtures/plain/demo-firmware.bin"), bench.path("fw.bin")).unwrap();
    bench
}

fn sign(bench: &Bench, output: &str) -> Command {
    let mut command = Command::new(OTASEAL);
    command.current_dir(bench.dir()).args(["sign", "fw.bin", "--key", "key.pem", "--ledger", "ledger.jsonl"]);
    command.args(["--build-id", output, "-o", output]).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Every output that has its name, with the ledger before them.
fn ledger_and_outputs(bench: &Bench) -> Vec<String> {
    let names =
        fs::read_dir(bench.dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let outputs = names.filter(|name| name.starts_with("out-"));
    [CHAIN.to_owned(), "ledger.jsonl".into()].into_iter().chain(outputs).collect()
}

fn chain(bench: &Bench) -> String {
    let words = ledger_and_outputs(bench);
    let output = bench.run("python3", &[&["-c".to_owned()], &words[..]].concat());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn processes_take_their_turns() {
    let bench = bench();
    thread::scope(|scope| {
        for process in 0..6 {
            let bench = &bench;
            scope.spawn(move || {
                for number in 0..8 {
                    let status = sign(bench, &format!("out-{process}-{number}")).status().unwrap();
                    assert!(status.success());
                }
            });
        }
    });
    let (count, head) = chain(&bench).split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(count, "48");
    let verified = bench.ok(&["ledger", "verify", "ledger.jsonl", "--contains", &head]);
    assert!(String::from_utf8(verified.stdout).unwrap().contains(&head));
}

/// After a kill at any moment no signed file is without its line, and the ledger goes on.
#[test]
fn a_kill_leaves_no_signed_file_that_is_not_in_the_ledger() {
    let bench = bench();
    let mut killed = 0;
    for round in 0..60 {
        let mut children: Vec<_> =
            (0..2).map(|n| sign(&bench, &format!("out-{round}-{n}")).spawn().unwrap()).collect();
        thread::sleep(Duration::from_micros(200 * round));
        for child in &mut children {
            let _ = child.kill();
            killed += usize::from(!child.wait().unwrap().success());
        }
    }
    assert!(killed > 0, "every process was done before it was killed");
    // Whatever the last one left.
    assert!(sign(&bench, "out-last").status().unwrap().success());
    chain(&bench);
    bench.ok(&["ledger", "verify", "ledger.jsonl"]);
}

/// The same for the moment that is hard to hit: in the middle of the line.
#[test]
fn half_a_line_is_kept_beside_the_ledger() {
    let bench = bench();
    assert!(sign(&bench, "out-1").status().unwrap().success());
    let whole = bench.read("ledger.jsonl");
    for cut in [1, 20, whole.len() - 1] {
        bench.write("ledger.jsonl", &[&whole[..], &whole[..cut]].concat());
        bench.fails(1, &["ledger", "verify", "ledger.jsonl"]);
        let report = bench.ok(&[
            "sign",
            "fw.bin",
            "--key",
            "key.pem",
            "--ledger",
            "ledger.jsonl",
            "-o",
            "out-2",
            "--json",
        ]);
        let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
        let recovered = &report["ledger"]["recovered"];
        assert_eq!(bench.read(recovered["file"].as_str().unwrap()), whole[..cut]);
        assert_eq!(recovered["size_bytes"], cut);
        assert!(chain(&bench).starts_with("2 "));
    }
}

/// Without its line a signature is not given out.
#[test]
fn what_cannot_be_entered_is_not_signed() {
    let bench = bench();
    bench.write("ledger.jsonl", b"a list of something else\n");
    assert_eq!(sign(&bench, "out-1").status().unwrap().code(), Some(3));
    assert!(!bench.path("out-1").exists());
    assert_eq!(bench.read("ledger.jsonl"), b"a list of something else\n");
    for (args, made) in [
        (
            &["package", "fw.bin", "--key", "key.pem", "--ledger", "ledger.jsonl", "-o", "dist"][..],
            "dist/manifest.json",
        ),
        (
            &[
                "signing-py",
                "-m",
                "sign",
                "-b",
                "fw.bin",
                "-s",
                "key.pem",
                "-o",
                "out-3",
                "--ledger",
                "ledger.jsonl",
            ],
            "out-3",
        ),
    ] {
        bench.fails(3, args);
        assert!(!bench.path(made).exists());
    }
}

/// Where the commit is known it is entered, and that the tree is not clean.
#[test]
fn the_ledger_names_commit_build_and_user() {
    let bench = bench();
    for words in ["init -q", "add fw.bin", "-c user.name=a -c user.email=a@b commit -qm first"] {
        bench.run("git", &words.split_whitespace().collect::<Vec<_>>());
    }
    let commit = String::from_utf8(bench.run("git", &["rev-parse", "HEAD"]).stdout).unwrap();
    let record = || -> serde_json::Value {
        let status =
            sign(&bench, "out-1").env("USER", "builder").env_remove("GITHUB_ACTOR").status().unwrap();
        assert!(status.success());
        let ledger = bench.read("ledger.jsonl");
        serde_json::from_slice(ledger.split(|byte| *byte == b'\n').rev().nth(1).unwrap()).unwrap()
    };
    let clean = record();
    assert_eq!(clean["git_commit"], commit.trim());
    assert_eq!(clean["build_id"], "out-1");
    assert!(clean["who"].as_str().unwrap().contains('@') || cfg!(windows));
    fs::write(bench.path("fw.bin"), [bench.read("fw.bin"), vec![0]].concat()).unwrap();
    assert_eq!(record()["git_commit"], format!("{}-dirty", commit.trim()));
}
