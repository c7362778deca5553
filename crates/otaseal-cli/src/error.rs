//! Failures: the error, the advice, and the exit code.

use crate::io::Place;
use otaseal::PackageError;
use otaseal::key::{KeyError, material};
use otaseal::output::OutputError;
use otaseal::package::firmware::FirmwareError;
use otaseal::project::advice::{Advice, Speaker};
use otaseal::project::emit::EmitError;
use serde::{Serialize, Serializer};
use std::fmt::Display;
use std::io;
use std::path::Path;

/// The exit codes. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done, or judged and accepted.
    Done = 0,
    /// Judged and rejected.
    Rejected = 1,
    /// The command line is wrong.
    Usage = 2,
    /// otaseal could not do it, or could not judge.
    Failed = 3,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

/// Why a command failed: the two lines that the user sees, and the exit code.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    #[serde(rename = "error")]
    pub(crate) message: String,
    pub(crate) help: String,
    #[serde(rename = "exit_code")]
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn new(message: impl Display, help: impl Display) -> Self {
        let message = material::without_keys(without_numbers(&message.to_string()));
        Self { message, help: material::without_keys(help.to_string()), exit: Exit::Failed }
    }

    /// Makes a failure from an error of the library, with the advice for this program.
    pub(crate) fn of(error: &(impl Display + Advice)) -> Self {
        Self::new(error, error.advice(Speaker::Program))
    }

    pub(crate) fn usage(message: impl Display, help: impl Display) -> Self {
        Self { exit: Exit::Usage, ..Self::new(message, help) }
    }

    /// Makes a failure for a key file that otaseal cannot use.
    pub(crate) fn key(place: &Place, error: &KeyError) -> Self {
        Self::new(format_args!("{place}: {error}"), error.advice(Speaker::Program))
    }

    /// Makes a failure for a file that otaseal cannot read.
    pub(crate) fn read(place: &Place, error: &io::Error) -> Self {
        let help = match error.kind() {
            io::ErrorKind::NotFound => "check the name, and that the build step that makes the file has run",
            io::ErrorKind::PermissionDenied => "check that you may read it",
            io::ErrorKind::IsADirectory => "give a file, not a directory",
            io::ErrorKind::FileTooLarge => {
                let larger = error.to_string();
                let larger = larger.strip_prefix("it ").unwrap_or(&larger);
                return Self::new(format_args!("{place} {larger}"), "check that this is the right file");
            }
            _ => "check that the file is there and that you may read it",
        };
        Self::new(format_args!("{place} could not be read: {}", error), help)
    }

    /// Makes a failure for a file that otaseal cannot write.
    pub(crate) fn write(path: &Path, error: &io::Error) -> Self {
        // The library has a message for this. An `io::Error` cannot be copied, so make it again.
        let source = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        OutputError::Io { path: path.into(), source }.into()
    }

    /// Makes a failure for standard output that otaseal cannot write.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        Self::new(
            format_args!("standard output could not be written: {}", error),
            "check where you redirect it to; the output is not complete",
        )
    }
}

/// Removes the number that Rust adds to the system's message: ` (os error 2)`.
fn without_numbers(message: &str) -> String {
    let Some((before, rest)) = message.split_once(" (os error ") else { return message.to_owned() };
    match rest.split_once(')') {
        Some((number, after)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{before}{after}")
        }
        _ => message.to_owned(),
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        let exit = if matches!(error, OutputError::IsInput { .. }) { Exit::Usage } else { Exit::Failed };
        Self { exit, ..Self::of(&error) }
    }
}

impl From<FirmwareError> for Failure {
    fn from(error: FirmwareError) -> Self {
        Self::of(&error)
    }
}

impl From<PackageError> for Failure {
    fn from(error: PackageError) -> Self {
        match error {
            PackageError::Policy(error) => error.into(),
            error => Self::of(&error),
        }
    }
}

impl From<EmitError> for Failure {
    fn from(error: EmitError) -> Self {
        let exit = if matches!(error, EmitError::OutOfDate { .. }) { Exit::Rejected } else { Exit::Failed };
        Self { exit, ..Self::of(&error) }
    }
}
