//! Tests the ledger with processes: several at once, and one that is killed at any moment.

use crate::common::{self, Bench, OTASEAL, root};
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Checks the chain with a program that knows nothing of otaseal.
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
    let root = root();
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

/// Returns every output that has its name, after the ledger.
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

/// After a kill at any moment, every signed file has its line, and the ledger can go on.
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
    // One more signature works after the last kill.
    assert!(sign(&bench, "out-last").status().unwrap().success());
    chain(&bench);
    bench.ok(&["ledger", "verify", "ledger.jsonl"]);
}

const MANY: usize = 40;

/// Runs `otaseal sign` on many images, eight at once.
fn sign_many(bench: &Bench, directory: &str) -> Command {
    let mut command = Command::new(OTASEAL);
    command.current_dir(bench.dir()).args([
        "sign",
        "--key",
        "key.pem",
        "--ledger",
        "ledger.jsonl",
        "--jobs",
        "8",
    ]);
    command.args(["--json", "--out-dir", directory]).args((0..MANY).map(|n| format!("in-{n}.bin")));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn many() -> Bench {
    let bench = bench();
    (0..MANY).for_each(|n| bench.write(&format!("in-{n}.bin"), &common::firmware(3000 + n)));
    bench
}

/// Returns the files of a directory that have their names.
fn signed_in(bench: &Bench, directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(bench.path(directory)) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".signed")).map(|name| format!("{directory}/{name}")).collect()
}

/// Lines share one write. After any kill, a file that has its name has its line, and the chain can go on.
#[test]
fn a_batch_that_is_killed_leaves_no_signed_file_that_is_not_in_the_ledger() {
    let bench = many();
    let (mut signed, mut midway) = (Vec::new(), 0);
    for round in 0..50 {
        let directory = format!("batch-{round}");
        let mut child = sign_many(&bench, &directory).spawn().unwrap();
        thread::sleep(Duration::from_micros(1500 * round));
        let _ = child.kill();
        let _ = child.wait();
        let named = signed_in(&bench, &directory);
        midway += usize::from((1..MANY).contains(&named.len()));
        signed.extend(named);
    }
    assert!(midway > 0, "no batch was killed in the middle");
    assert!(sign_many(&bench, "last").status().unwrap().success());
    signed.extend(signed_in(&bench, "last"));
    let words = [&["-c".to_owned(), CHAIN.into(), "ledger.jsonl".into()], &signed[..]].concat();
    bench.run("python3", &words);
    bench.ok(&["ledger", "verify", "ledger.jsonl"]);
}

/// With two batches at once, every line of a report names its own line of the ledger.
#[test]
fn every_image_of_a_batch_is_told_its_own_line() {
    let bench = many();
    let start = |directory: &str| sign_many(&bench, directory).stdout(Stdio::piped()).spawn().unwrap();
    let reports = [start("one"), start("two")].map(|child| child.wait_with_output().unwrap());
    let ledger = String::from_utf8(bench.read("ledger.jsonl")).unwrap();
    let lines: Vec<&str> = ledger.lines().collect();
    let mut numbers = Vec::new();
    for report in reports {
        assert!(report.status.success());
        for line in String::from_utf8(report.stdout).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let number = line["ledger"]["seq"].as_u64().unwrap() as usize;
            let entered: serde_json::Value = serde_json::from_str(lines[number - 1]).unwrap();
            assert_eq!(entered["seq"], number);
            assert_eq!(entered["output"]["file"], line["outputs"][0]["file"]);
            assert_eq!(entered["input"]["file"], line["input"]);
            assert_eq!(
                line["ledger"]["sha256"],
                otaseal::format::digest::sha256(lines[number - 1].as_bytes()).to_string()
            );
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=2 * MANY).collect::<Vec<_>>());
    bench.ok(&["ledger", "verify", "ledger.jsonl"]);
}

/// If a write fails, the whole group fails, and the report says so for each image.
#[test]
fn a_batch_without_its_ledger_signs_nothing() {
    let bench = many();
    bench.write("ledger.jsonl", b"a list of something else\n");
    let output = sign_many(&bench, "out").arg("--keep-going").stdout(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(report.lines().filter(|line| line.contains("is not a ledger")).count(), MANY, "{report}");
    assert!(signed_in(&bench, "out").is_empty());
    assert_eq!(bench.read("ledger.jsonl"), b"a list of something else\n");
}

/// Tests a kill in the middle of a line, a moment that is hard to hit.
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

/// otaseal gives out no signature without its line.
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

/// If git knows the commit, otaseal enters it, and also whether files were changed.
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

/// The environment of a service or a container has no user name.
#[cfg(target_os = "linux")]
#[test]
fn whoever_has_no_name_has_a_number() {
    let bench = bench();
    let mut command = sign(&bench, "out-1");
    for name in ["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME", "USERNAME"] {
        command.env_remove(name);
    }
    assert!(command.status().unwrap().success());
    let id = String::from_utf8(bench.run("id", &["-u"]).stdout).unwrap();
    let record: serde_json::Value = serde_json::from_slice(bench.read("ledger.jsonl").trim_ascii()).unwrap();
    assert!(record["who"].as_str().unwrap().starts_with(&format!("uid {}@", id.trim())), "{record}");
}

/// A run checks the chain once, before the first image, and not for each image.
#[test]
fn a_release_of_many_adds_nothing_to_a_broken_ledger() {
    let bench = Bench::new();
    bench.ok(&["keygen"]);
    let key = bench.read("keys/public.pem");
    for name in ["a", "b", "c"] {
        bench.write(name, &[name.as_bytes(), &common::firmware(3000), &key].concat());
    }
    let release = ["--release", "--key", "keys/private.pem", "--ledger", "ledger.jsonl"];
    let sign = [&["sign", "a", "b", "c", "--out-dir", "signed"], &release[..]].concat();
    let package = [&["package", "a", "b", "c", "--artefacts", "signed"], &release[..]].concat();
    bench.ok(&sign);
    bench.ok(&package);
    let ledger = String::from_utf8(bench.read("ledger.jsonl")).unwrap();
    let edited = ledger.replacen("\"size_bytes\":", "\"size_bytes\":1", 1);
    bench.write("ledger.jsonl", edited.as_bytes());
    for directory in ["signed", "dist"] {
        fs::remove_dir_all(bench.path(directory)).unwrap();
    }
    for args in [&sign, &package] {
        let stderr = bench.fails(1, args).stderr;
        assert!(String::from_utf8_lossy(&stderr).contains("line 2: the chain is broken"), "{stderr:?}");
    }
    assert!(!bench.path("signed").exists() && !bench.path("dist").exists());
    assert_eq!(bench.read("ledger.jsonl"), edited.as_bytes());
    // The next signature moves half a line away, also for a release.
    bench.write("ledger.jsonl", [ledger.as_bytes(), b"{\"seq\":7"].concat().as_slice());
    bench.ok(&sign);
    bench.ok(&["ledger", "verify", "ledger.jsonl"]);
}

/// The signature of a release's index gets a line too. Without the line, otaseal makes no release.
#[test]
fn a_release_is_entered_into_the_ledger_of_the_settings() {
    let bench = Bench::new();
    bench.ok(&["keygen"]);
    bench.ok(&["keygen", "--out-dir", "others"]);
    bench.write("firmware", &[common::firmware(5000), bench.read("keys/public.pem")].concat());
    let package = ["package", "firmware", "--artefacts", "signed", "--release", "--key", "keys/private.pem"];
    let release = ["release", "dist", "-o", "made", "--key", "others/private.pem"];
    let release = [&release[..], &["--firmware-key", "keys/public.pem", "--build-id", "17"]].concat();
    bench.ok(&[&package[..], &["--ledger", "ledger.jsonl"]].concat());
    bench.fails(3, &release);
    bench.write("otaseal.toml", b"ledger = 'ledger.jsonl'\n");
    #[cfg(unix)]
    {
        // A fault that stops a release stops the key of the evidence too.
        use std::os::unix::fs::PermissionsExt;
        let mode = |mode| {
            fs::set_permissions(bench.path("others/private.pem"), fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o644);
        let stderr = bench.fails(3, &release).stderr;
        assert!(String::from_utf8_lossy(&stderr).contains("other users can read"), "{stderr:?}");
        assert!(!bench.path("made").exists());
        mode(0o600);
    }
    let made = bench.ok(&release);
    assert!(String::from_utf8_lossy(&made.stdout).contains("ledger.jsonl, line 2"), "{made:?}");
    bench.python(CHAIN, &["ledger.jsonl", "made/index.sha256.sig"]);
    let shown = bench.ok(&["ledger", "show", "ledger.jsonl", "--json"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("made/index.sha256") && shown.contains("\"17\""), "{shown}");
    bench.ok(&["release", "verify", "made", "--key", "others/public.pem"]);
}

/// Anybody may have chosen the names in a ledger. In a table, they must not reach a terminal or begin a line or a formula.
#[cfg(unix)]
#[test]
fn a_table_has_no_control_characters_and_no_formulas() {
    let bench = bench();
    let names = [
        "=1+1",
        "+x",
        "-x",
        "@x",
        "\u{ff1d}x",
        "\tx",
        "\r\n1,x",
        "a\u{1b}[2Jb",
        "a\u{202e}b",
        "a\"b",
        "a\u{85}b",
    ];
    for _ in names {
        bench.ok(&["sign", "fw.bin", "-o", "out", "--key", "key.pem", "--ledger", "LEDGER"]);
    }
    // otaseal itself enters no name with a line break. So give each line its name, and chain the lines again.
    bench.python(
        r#"
import hashlib, json, sys
before, lines = "0" * 64, []
for line, name in zip(open("LEDGER", "rb"), json.loads(sys.argv[1])):
    record = json.loads(line)
    record["prev"], record["input"]["file"] = before, name
    lines.append(json.dumps(record, separators=(",", ":")).encode())
    before = hashlib.sha256(lines[-1]).hexdigest()
open("LEDGER", "wb").write(b"\n".join(lines) + b"\n")
"#,
        &[&serde_json::to_string(&names).unwrap()],
    );
    let table =
        String::from_utf8(bench.ok(&["ledger", "export", "LEDGER", "--format", "csv"]).stdout).unwrap();
    let lines: Vec<_> = table.strip_suffix("\r\n").unwrap().split("\r\n").collect();
    assert_eq!(lines.len(), 1 + names.len(), "{table}");
    let shown = [
        "'=1+1",
        "'+x",
        "'-x",
        "'@x",
        "'\u{ff1d}x",
        "\\u{9}x",
        "\\u{d}\\u{a}1,x",
        "a\\u{1b}[2Jb",
        "a\\u{202e}b",
        "a\"\"b",
        "a\\u{85}b",
    ];
    for (line, name) in lines[1..].iter().zip(shown) {
        assert!(line.contains(&format!(",\"{name}\",")), "{name}: {line}");
        assert!(!line.contains(|c: char| c.is_control()), "{name}: {line}");
    }
}

/// A package has one line for each signature, and its report names all of them.
#[test]
fn a_report_names_every_line() {
    let bench = bench();
    let package = ["package", "fw.bin", "-o", "dist", "--key", "key.pem", "--ledger", "LEDGER"];
    let text = |args: &[&str]| String::from_utf8(bench.ok(args).stdout).unwrap();
    assert!(text(&package).contains("ledger   LEDGER, lines 1 to 2\n"));
    let json: serde_json::Value =
        serde_json::from_slice(&bench.ok(&[&package[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!((&json["ledger"]["first"], &json["ledger"]["head"]["records"]), (&3.into(), &4.into()));
    let sign = ["sign", "fw.bin", "-o", "out", "--key", "key.pem", "--ledger", "LEDGER"];
    assert!(text(&sign).contains("ledger   LEDGER, line 5\n"));
    let json: serde_json::Value =
        serde_json::from_slice(&bench.ok(&[&sign[..], &["--legacy", "old", "--json"]].concat()).stdout)
            .unwrap();
    assert_eq!((&json["ledger"]["first_seq"], &json["ledger"]["seq"]), (&6.into(), &7.into()));
}
