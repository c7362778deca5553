//! The page of commands is what the program prints, and the README's lines work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable with which `cargo xtask book --update` writes the page.
const UPDATE: &str = "OTASEAL_UPDATE_REFERENCE";

const PROGRAM: &str = env!("CARGO_BIN_EXE_otaseal-fleet");

const INTRODUCTION: &str = "\
# Commands of otaseal-fleet

<!-- `cargo xtask book --update` writes this page. -->

This is what `otaseal-fleet COMMAND --help` prints.
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_page_of_commands_is_what_the_program_prints() {
    let mut page = INTRODUCTION.to_owned();
    describe(&[], &mut page);
    let path = root().join("docs/reference/fleet.md");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let differs = page.lines().zip(found.lines()).find(|(new, old)| new != old);
    assert!(found == page, "the page is not up to date: run `cargo xtask book --update`: {differs:?}");
}

/// Adds the help of a command and of the commands below it.
fn describe(command: &[&str], page: &mut String) {
    let mut program = Command::new(PROGRAM);
    // The help is as wide as the terminal.
    program.args(command).arg("--help").env_clear().env("COLUMNS", "100").current_dir(root());
    let output = program.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let help = String::from_utf8(output.stdout).unwrap().replace("otaseal-fleet.exe", "otaseal-fleet");
    let title = if command.is_empty() { "otaseal-fleet".to_owned() } else { command.join(" ") };
    let level = if command.len() > 1 { "###" } else { "##" };
    page.push_str(&format!("\n{level} {title}\n\n```text\n"));
    for line in help.trim_end().lines() {
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
    let list =
        help.split("\nCommands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    for name in names.filter(|name| !name.is_empty() && *name != "help") {
        describe(&[command, &[name]].concat(), page);
    }
}

/// The words of a line, as a shell reads them: with spaces in single quotes.
fn words(line: &str) -> Vec<&str> {
    line.split('\'')
        .enumerate()
        .flat_map(|(number, part)| match number % 2 {
            0 => part.split_whitespace().collect::<Vec<_>>(),
            _ => vec![part],
        })
        .collect()
}

/// A page shows each command with at least one example, and each example is one that the parser takes.
#[test]
fn examples_of_the_help_parse() {
    let page = fs::read_to_string(root().join("docs/reference/fleet.md")).unwrap();
    let examples: Vec<&str> =
        page.lines().filter(|line| line.starts_with("  otaseal-fleet ")).map(str::trim).collect();
    assert!(examples.len() > 15, "{}", examples.len());
    for example in examples {
        // With `--help` at the end, the parser reads all that stands before, and nothing is done.
        let words: Vec<&str> = words(example).into_iter().skip(1).chain(["--help"]).collect();
        let output = Command::new(PROGRAM).args(&words).output().unwrap();
        assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
