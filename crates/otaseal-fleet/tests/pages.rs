//! The manual pages and the completions.

use std::fs;
use std::process::{Command, Output};

fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_otaseal-fleet")).args(words).output().unwrap()
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, path) = (folder.path().join("man1"), |name: &str| folder.path().join("man1").join(name));
    let words = ["man", "--out-dir", directory.to_str().unwrap()];
    assert!(run(&words).status.success());
    for name in ["otaseal-fleet.1", "otaseal-fleet-serve.1", "otaseal-fleet-push-espota.1"] {
        let text = fs::read_to_string(path(name)).unwrap();
        assert!(text.contains(".TH") && text.contains("SYNOPSIS"), "{name}");
    }
    assert_eq!(run(&["man"]).stdout, fs::read(path("otaseal-fleet.1")).unwrap());
    // The pages of an earlier run are replaced, and nothing else.
    assert!(run(&words).status.success());
    fs::write(path("otaseal-fleet.1"), "mine").unwrap();
    assert_eq!(run(&words).status.code(), Some(3));
    assert_eq!(fs::read_to_string(path("otaseal-fleet.1")).unwrap(), "mine");
}

#[test]
fn a_shell_completes_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("simulate"), "{shell}");
        let file = folder.path().join(shell);
        assert!(run(&["completions", shell, "-o", file.to_str().unwrap()]).status.success());
        assert_eq!(fs::read_to_string(file).unwrap(), text, "{shell}");
    }
}
