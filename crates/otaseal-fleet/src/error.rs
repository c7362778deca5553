//! Failures: the error, the advice, and the exit code.

use otaseal::key::material;
use serde::{Serialize, Serializer};
use std::fmt::Display;
use std::io;
use std::path::Path;

/// The exit codes. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// otaseal or the device refused.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// It could not be done, or cannot be known.
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
        let clean = |text: String| material::without_keys(text);
        Self { message: clean(message.to_string()), help: clean(help.to_string()), exit: Exit::Failed }
    }

    pub(crate) fn usage(message: impl Display, help: impl Display) -> Self {
        Self { exit: Exit::Usage, ..Self::new(message, help) }
    }

    pub(crate) fn refused(message: impl Display, help: impl Display) -> Self {
        Self { exit: Exit::Refused, ..Self::new(message, help) }
    }

    /// A file that cannot be read.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(format!("{}: {error}", material::shown(path)), "check its name and its permissions")
    }
}
