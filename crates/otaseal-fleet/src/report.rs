//! Prints results, warnings, errors and progress. No other module prints.

use crate::error::{Exit, Failure};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// Prints as the user wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reporter {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Reporter {
    /// Prints a result: a text, or an object.
    ///
    /// # Errors
    /// Standard output cannot take it.
    pub(crate) fn result(self, text: impl Display, object: &impl Serialize) -> Result<(), Failure> {
        let line = match self.json {
            true => serde_json::to_string(object).unwrap_or_default(),
            false => text.to_string(),
        };
        put(&mut anstream::stdout().lock(), &line)
            .map_err(|error| Failure::new(format!("standard output: {error}"), "check where it goes"))
    }

    /// Prints a text as it is: it is for another program.
    ///
    /// # Errors
    /// Standard output cannot take it.
    pub(crate) fn text(self, text: &[u8]) -> Result<(), Failure> {
        let mut to = io::stdout().lock();
        ended(to.write_all(text).and_then(|()| to.flush()))
            .map_err(|error| Failure::new(format!("standard output: {error}"), "check where it goes"))
    }

    /// Tells how it goes, on standard error, unless the user wants quiet. JSON has its events instead.
    pub(crate) fn note(self, text: impl Display) {
        if !self.quiet && !self.json {
            let _ = put(&mut anstream::stderr().lock(), &text.to_string());
        }
    }

    /// Warns, on standard error.
    pub(crate) fn warn(self, text: impl Display) {
        let line = match self.json {
            true => serde_json::json!({ "warning": text.to_string() }).to_string(),
            false => format!("{YELLOW}warning:{YELLOW:#} {text}"),
        };
        let _ = put(&mut anstream::stderr().lock(), &line);
    }
}

const RED: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
const YELLOW: anstyle::Style = anstyle::AnsiColor::Yellow.on_default().bold();
const CYAN: anstyle::Style = anstyle::AnsiColor::Cyan.on_default().bold();

fn put(to: &mut impl Write, line: &str) -> io::Result<()> {
    ended(writeln!(to, "{line}").and_then(|()| to.flush()))
}

fn ended(written: io::Result<()>) -> io::Result<()> {
    match written {
        // Whoever reads the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(Exit::Failed as i32),
        result => result,
    }
}

/// Prints an error, and returns the exit code.
pub(crate) fn failure(failure: &Failure, json: bool) -> ExitCode {
    let line = match json {
        true => serde_json::to_string(failure).unwrap_or_default(),
        false => format!("{RED}error:{RED:#} {}\n{CYAN}help:{CYAN:#} {}", failure.message, failure.help),
    };
    let _ = put(&mut anstream::stderr().lock(), &line);
    failure.exit.into()
}

/// Prints what the parser says, and returns the exit code: help and version are no errors.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.use_stderr() {
        true => Exit::Usage.into(),
        false => Exit::Done.into(),
    }
}

/// A panic is our fault, and says so without the data that it stumbled over.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let place =
            info.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        let _ = put(
            &mut anstream::stderr().lock(),
            &format!("error: otaseal-fleet has a bug, at {place}\nhelp: report it, with the command line"),
        );
        std::process::exit(Exit::Failed as i32);
    }));
}
