//! Signs many images in one run. Tests the outputs, the order of the report, and the exit code.

use crate::common::{OTASEAL, root, tempdir};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const COUNT: usize = 40;
/// otaseal cannot sign an empty image.
const BAD: usize = 7;

fn folder() -> tempfile::TempDir {
    let dir = tempdir();
    for i in 0..COUNT {
        // Later images are smaller, so threads finish them first.
        let image: Vec<u8> = (0..(COUNT - i) * 5000).map(|at| (at * (i + 3) / 7) as u8).collect();
        fs::write(dir.path().join(name(i)), if i == BAD { &[] } else { &image[..] }).unwrap();
    }
    dir
}

fn name(i: usize) -> String {
    format!("image{i:02}.bin")
}

fn key() -> PathBuf {
    root().join("keys.example/private.pem")
}

fn sign(dir: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(OTASEAL);
    command.current_dir(dir).args(["sign", "--out-dir", "signed", "--key"]).arg(key()).args(options);
    command.args((0..COUNT).map(name)).output().unwrap()
}

/// Every line is one JSON object. The n-th line is about the n-th input.
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let inputs: Vec<_> = lines.iter().map(|line| line["input"].as_str().unwrap().to_owned()).collect();
    assert_eq!(inputs, (0..COUNT).map(name).collect::<Vec<_>>());
    lines
}

#[test]
fn all_but_the_bad_one_are_signed_when_told_to_keep_going() {
    let dir = folder();
    let output = sign(dir.path(), &["--keep-going", "--json", "--jobs", "3"]);
    assert_eq!(output.status.code(), Some(3), "the exit code of the worst");
    for (i, line) in lines(&output).iter().enumerate() {
        let made = dir.path().join("signed").join(name(i) + ".signed");
        if i == BAD {
            assert_eq!(line["exit_code"], 3);
            assert_eq!(line["error"], format!("{}: the input is empty", name(i)));
            assert!(!made.exists());
            continue;
        }
        assert_eq!(line["exit_code"], 0);
        // The bytes are those of a run with one image.
        let alone = Command::new(OTASEAL)
            .current_dir(dir.path())
            .args(["sign", &name(i), "-o", "alone", "--key"])
            .arg(key())
            .output()
            .unwrap();
        assert!(alone.status.success());
        assert_eq!(fs::read(&made).unwrap(), fs::read(dir.path().join("alone")).unwrap());
        assert_eq!(line["outputs"][0]["size_bytes"], fs::metadata(&made).unwrap().len());
    }
}

#[test]
fn nothing_is_started_after_a_failure() {
    let dir = folder();
    let output = sign(dir.path(), &["--json", "--jobs", "1"]);
    assert_eq!(output.status.code(), Some(3));
    let started = lines(&output).iter().filter(|line| !line.to_string().contains("not started")).count();
    assert_eq!(started, BAD + 1);
    assert_eq!(fs::read_dir(dir.path().join("signed")).unwrap().count(), BAD);
}

#[test]
fn the_text_says_how_many_and_warns_once() {
    let dir = folder();
    let output = sign(dir.path(), &["--keep-going"]);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(out.ends_with("signed 39 of 40, 1 failed\n"), "{out}");
    assert_eq!(out.lines().count(), COUNT);
    assert_eq!(err.matches("warning: the private half").count(), 1, "{err}");
    assert_eq!(err.matches("error: ").count(), 1, "{err}");
}

/// If the reader of the report has gone, signing still succeeds.
#[test]
fn a_closed_pipe_stops_nothing() {
    let dir = folder();
    fs::write(dir.path().join(name(BAD)), "no longer empty").unwrap();
    let script = format!(
        "{} sign --out-dir signed --key {} image*.bin --json | head -n 1 >first",
        OTASEAL,
        key().display()
    );
    let status = Command::new("sh").args(["-c", &script]).current_dir(dir.path()).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::read_dir(dir.path().join("signed")).unwrap().count(), COUNT);
    assert_eq!(fs::read_to_string(dir.path().join("first")).unwrap().lines().count(), 1);
}
