//! Reads the sections of a document, and runs its commands as a shell does.

use super::console::{Step, steps};
use super::{Bench, OTASEAL, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Returns the text of one section of a file in docs.
pub(crate) fn section(document: &str, title: &str) -> String {
    let path = root().join("docs").join(document);
    let text = fs::read_to_string(path).unwrap();
    let from = text.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("{document} has no {title}"));
    let rest = &text[from + 4..];
    rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
}

/// Returns its code blocks in one language.
pub(crate) fn blocks(text: &str, language: &str) -> Vec<String> {
    let mark = format!("```{language}\n");
    text.split(mark.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Runs `sh -e -c SCRIPT` with `otaseal` in its PATH.
pub(crate) fn shell(directory: &Path, script: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).current_dir(directory).env("PATH", path());
    for variable in ["CARGO_TARGET_DIR", "SOURCE_DATE_EPOCH"] {
        command.env_remove(variable);
    }
    command.envs(environment.iter().copied()).output().unwrap()
}

/// Does the same at a terminal, and answers the prompts.
pub(crate) fn shell_at_a_terminal(directory: &Path, script: &str, answers: &[(&str, &str)]) -> Output {
    let terminal = root().join("tests/peers/terminal.py");
    let mut command = Command::new("python3");
    command.arg(terminal).args(answers.iter().flat_map(|(prompt, answer)| [prompt, answer]));
    command.args(["--", "/bin/sh", "-e", "-c", script]).current_dir(directory).env("PATH", path());
    command.output().unwrap()
}

fn path() -> String {
    let program = Path::new(OTASEAL).parent().unwrap().display();
    format!("{program}:{}", std::env::var("PATH").unwrap())
}

/// Types the console lines of a text, as a person does who reads it from top to bottom. Each must succeed and print the
/// text below it. Returns the number of lines.
pub(crate) fn type_console(bench: &Bench, text: &str) -> usize {
    let steps = steps(text);
    let mut session = Session::new(bench.dir());
    steps.iter().for_each(|step| session.type_in("line", step));
    steps.len()
}

/// A shell at work: it stays in the directory to which a command changed.
pub(crate) struct Session {
    directory: PathBuf,
    place: tempfile::NamedTempFile,
}

impl Session {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.into(), place: tempfile::NamedTempFile::new().unwrap() }
    }

    /// Types one command of a document. It must succeed, and print what the document says.
    pub(crate) fn type_in(&mut self, document: &str, step: &Step) {
        let place = self.place.path().to_str().unwrap();
        let script = format!("trap 'pwd > \"$DIRECTORY_AFTER\"' EXIT\n{}", step.command);
        let output = shell(&self.directory, &script, &[("DIRECTORY_AFTER", place)]);
        let (printed, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let at = format!("{document}:{}: {}", step.line, step.command);
        assert!(output.status.success(), "{at}: {errors}");
        assert!(step.expects(&printed), "{at}\nexpected: {:#?}\nprinted: {printed}", step.expected);
        self.directory = fs::read_to_string(place).unwrap().trim_end().into();
    }
}
