//! Prints results, warnings, errors and progress. No other module prints.

use crate::colour;
use crate::error::{Exit, Failure};
use crate::io::{Content, this_run};
use crate::progress::Progress;
use clap::error::ErrorKind;
use otaseal::output::Planned;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::iter;
use std::process::ExitCode;

/// The result of a command. `Display` writes its text, `Serialize` its JSON.
pub(crate) trait Outcome: Serialize + Display {
    fn exit(&self) -> Exit {
        Exit::Done
    }

    /// Returns warnings, each a sentence without its full stop.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns whether the output of the command is on standard output. The report then goes to standard error.
    fn stdout_is_taken(&self) -> bool {
        false
    }

    /// Returns the key of the result, as a dry run shows it.
    fn key(&self) -> Option<String> {
        None
    }

    /// Returns whether the command has printed every result already. Then the text is only a summary, and JSON has
    /// nothing to add.
    fn is_reported(&self) -> bool {
        false
    }
}

/// What a dry run reports.
#[derive(Serialize)]
struct DryRun<'a> {
    dry_run: bool,
    steps: &'a [Planned],
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Prints the results of commands, as text or JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reporter {
    json: bool,
    quiet: bool,
}

#[derive(Serialize)]
struct WithWarnings<'a, T> {
    #[serde(flatten)]
    outcome: &'a T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Reporter {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Prints the outcome or the failure, and returns the exit code.
    pub(crate) fn finish<T: Outcome>(&self, result: Result<T, Failure>) -> ExitCode {
        let printed = result.and_then(|outcome| self.outcome(&outcome).map(|()| outcome.exit()));
        match printed {
            Ok(exit) => exit.into(),
            Err(failure) => self.failure(&failure),
        }
    }

    fn outcome<T: Outcome>(&self, outcome: &T) -> Result<(), Failure> {
        let steps = this_run().planned();
        if !steps.is_empty() {
            return self.planned(outcome, &steps);
        }
        let warnings = outcome.warnings();
        let text = if self.json && outcome.is_reported() {
            String::new()
        } else if self.json {
            to_json(&WithWarnings { outcome, warnings })
        } else {
            for warning in warnings {
                to_stderr(&format!("warning: {}\n", one_line(&warning)));
            }
            if self.quiet { String::new() } else { harmless(&outcome.to_string()) }
        };
        if outcome.stdout_is_taken() {
            to_stderr(&text);
            return Ok(());
        }
        to_stdout(&text)
    }

    /// Prints what a real run would do, in place of the result.
    fn planned<T: Outcome>(&self, outcome: &T, steps: &[Planned]) -> Result<(), Failure> {
        let (warnings, key) = (outcome.warnings(), outcome.key());
        if self.json {
            let report = DryRun { dry_run: true, steps, key, warnings };
            // After the lines of many results, this is one more line.
            return if outcome.is_reported() {
                self.json_line(&report)
            } else {
                to_stdout(&to_json(&report))
            };
        }
        for warning in warnings {
            to_stderr(&format!("warning: {}\n", one_line(&warning)));
        }
        if self.quiet {
            return Ok(());
        }
        let lines = iter::once("dry run        otaseal wrote nothing".to_owned())
            .chain(steps.iter().map(ToString::to_string))
            .chain(key.map(|key| format!("key id         {key}")));
        to_stdout(&lines.map(|line| one_line(&line) + "\n").collect::<String>())
    }

    /// Prints one result of many: a line of JSON, or its warnings and its line of text.
    pub(crate) fn line(&self, json: &impl Serialize, warnings: &[String], text: &str) -> Result<(), Failure> {
        let is_dry = this_run().is_dry();
        if self.json && is_dry {
            return Ok(());
        }
        if self.json {
            return self.json_line(json);
        }
        for warning in warnings {
            to_stderr(&format!("warning: {}\n", one_line(warning)));
        }
        if self.quiet || is_dry { Ok(()) } else { to_stdout(&format!("{}\n", one_line(text))) }
    }

    /// Prints one failure of many. As JSON, it is a line on standard output, like the results.
    pub(crate) fn failed_line(&self, json: &impl Serialize, failure: &Failure) -> Result<(), Failure> {
        if self.json {
            return self.json_line(json);
        }
        self.failure(failure);
        Ok(())
    }

    /// Prints a line of JSON, if the user asks for JSON.
    pub(crate) fn json_line(&self, json: &impl Serialize) -> Result<(), Failure> {
        match self.json {
            true => to_stdout(&(serde_json::to_string(json).unwrap_or_else(|_| "{}".into()) + "\n")),
            false => Ok(()),
        }
    }

    fn failure(&self, failure: &Failure) -> ExitCode {
        if self.json {
            to_stderr(&to_json(failure));
        } else {
            let (message, help) = (one_line(&failure.message), one_line(&failure.help));
            to_stderr(&format!("error: {message}\nhelp: {help}\n"));
        }
        failure.exit.into()
    }

    /// Shows on the terminal what takes so long, from the first second on, until the guard is dropped. If standard
    /// error is not a terminal, it shows nothing.
    pub(crate) fn progress(&self, what: &'static str) -> Progress {
        if self.json || self.quiet || !io::stderr().is_terminal() {
            return Progress::none();
        }
        Progress::of(what)
    }
}

/// Prints `clap`'s error about a command line, or the text of `--help` or `--version`.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let json = json_is_asked_for();
    if !error.use_stderr() {
        return match send(Content::Text, |_| error.print()) {
            Ok(()) => Exit::Done.into(),
            Err(failure) => Reporter::new(json, false).failure(&failure),
        };
    }
    let text = error.render().to_string();
    // An error without context comes from our own value parsers, and has two lines: the message and the advice.
    if error.kind() == ErrorKind::ValueValidation && error.context().next().is_none() {
        let text = text.trim().trim_start_matches("error: ");
        let (message, help) = text.split_once('\n').unwrap_or((text, "try --help"));
        return Reporter::new(json, false).failure(&Failure::usage(message, words(help)));
    }
    if !json {
        let _ = error.print();
        return Exit::Usage.into();
    }
    let mut paragraphs = text.trim().splitn(2, "\n\n").map(words);
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let failure = Failure::usage(message, paragraphs.next().unwrap_or_else(|| "try --help".into()));
    Reporter::new(true, false).failure(&failure)
}

/// Prints a failure that comes before the command line is parsed.
pub(crate) fn refused(failure: &Failure) -> ExitCode {
    Reporter::new(json_is_asked_for(), false).failure(failure)
}

/// Returns whether a command line that cannot be parsed asks for JSON.
fn json_is_asked_for() -> bool {
    std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json")
}

/// Replaces control characters in a text. An attacker could put them into a file, and a terminal would obey them.
fn harmless(text: &str) -> String {
    let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.chars().map(|c| if obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Does the same for a text that must stay on one line: a line break from a file could fake one of our own lines.
fn one_line(text: &str) -> String {
    harmless(&text.replace(['\n', '\t'], " "))
}

/// Returns a text on one line.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes a panic print two lines, like any error. It does not show the panic's message, which may hold a key.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        to_stderr(&format!(
            "error: otaseal {} stopped because of a bug{place}\nhelp: please report this bug\n",
            env!("CARGO_PKG_VERSION")
        ));
        std::process::exit(Exit::Failed as i32);
    }));
}

fn to_json(value: &impl Serialize) -> String {
    // Serializing fails only for a map whose keys are not strings, and there is none. The fallback is still one object.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|_| "{}".into());
    text.push('\n');
    text
}

fn to_stdout(text: &str) -> Result<(), Failure> {
    sent(Content::Text, colour::write(io::stdout().lock(), text))
}

/// Writes to standard output. The reader of a text may close the pipe when it has seen enough, as `head` does: the work
/// is done, and the exit code tells its result. A part of a binary output is of no use, so there it is a failure.
pub(crate) fn send(
    content: Content,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    sent(content, write(&mut stdout).and_then(|()| stdout.flush()))
}

fn sent(content: Content, written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe && content == Content::Text => Ok(()),
        Err(error) => Err(Failure::stdout(&error)),
        Ok(()) => Ok(()),
    }
}

/// Writes to standard error. It ignores an error, because there is no other place to report it.
fn to_stderr(text: &str) {
    let _ = colour::write(io::stderr().lock(), text);
}
