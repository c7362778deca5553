//! Writes files so that they appear whole or not at all.
//!
//! otaseal writes the bytes first, and then gives the file its name, which file systems do in one step. So after a
//! crash, a full disk or `kill -9`, the destination is the old file or the new one.
//!
//! On Unix the file has no name while it is written ([`Pending`]). To replace an older file, it needs a temporary name
//! for a moment: `.otaseal-` and a number, beside the destination. The same holds for directories that appear whole.
//! [`remove_temporaries`] removes such names when the process must end, and [`signals`] calls it.
//!
//! Every output keeps to one rule, wherever it comes from: it replaces no file that its command reads ([`Inputs`]), and
//! no private key and no ledger ([`Pending::create`] looks). It follows symbolic links to the file that they name.
//! [`Pending::create_over`] also keeps files that otaseal did not make ([`Made`]).

mod guard;
mod links;
mod made;
mod names;
mod pending;
mod run;
#[cfg(feature = "signals")]
pub mod signals;
mod temporary;
mod turn;

pub(crate) use self::guard::is_kept;
pub use self::guard::{Inputs, repeated, same_file, same_place};
pub use self::made::Made;
pub(crate) use self::names::Steps;
pub use self::names::{Ended, TemporaryDirectory, remove_temporaries};
pub use self::pending::Pending;
pub use self::run::{Planned, Run};
pub(crate) use self::turn::Turn;

use crate::format::homie::is_device_name;
use crate::format::input::Input;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Says what happens if the destination exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// An error. The destination stays as it is.
    Refuse,
    /// The new file replaces it in one step. A private key or a ledger is an error.
    Replace,
    /// The same, and the new file may replace a private key: for commands that are made for it.
    ReplaceKey,
}

impl Overwrite {
    /// Returns the same for an output that holds no private key: it replaces none.
    pub fn for_public(self) -> Self {
        match self {
            Self::Refuse => Self::Refuse,
            Self::Replace | Self::ReplaceKey => Self::Replace,
        }
    }
}

/// Says who may read the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody whom the user's umask allows.
    Public,
    /// The owner alone: mode 0600 on Unix, from the moment the file exists. On other systems the directory's rules
    /// decide.
    OwnerOnly,
}

/// Why otaseal did not write a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The destination exists, and otaseal may not replace it.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The destination exists, and it is no earlier output of the command.
    #[error("{} exists already, and it is no earlier output of this command", .0.display())]
    Foreign(PathBuf),
    /// The destination is a directory, a device or a pipe. A rename would replace it by a file.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The command reads the file that the output would replace.
    #[error("{}", is_input(output, input))]
    IsInput {
        /// The destination.
        output: PathBuf,
        /// The name under which the command reads it.
        input: PathBuf,
    },
    /// The destination holds a private key or a ledger.
    #[error("{} is {holds}, and an output would replace it", path.display())]
    Kept {
        /// The destination.
        path: PathBuf,
        /// The kind of its contents, with an article.
        holds: &'static str,
    },
    /// The system did not remove an old file.
    #[error("{} could not be removed: {source}", path.display())]
    Removal {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system refused.
    #[error("{} could not be written: {source}", path.display())]
    Io {
        /// The destination.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Returns the error for an output that the system did not write.
pub(crate) fn failed(path: &Path, source: io::Error) -> OutputError {
    OutputError::Io { path: path.into(), source }
}

/// Returns the directory of a file.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes an old file. Returns whether there was one.
///
/// # Errors
/// [`OutputError::Removal`].
pub(crate) fn remove_old(path: &Path) -> Result<bool, OutputError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(OutputError::Removal { path: path.into(), source }),
    }
}

fn is_input(output: &Path, input: &Path) -> String {
    match output == input {
        true => format!("{} is both input and output", input.display()),
        false => format!("the output {} is the input {}", output.display(), input.display()),
    }
}

/// Writes a whole file atomically.
///
/// # Errors
/// The errors of [`Pending::create`] and [`Pending::commit`].
pub fn write(path: &Path, bytes: &[u8], overwrite: Overwrite, access: Access) -> Result<(), OutputError> {
    Run::default().write(path, bytes, overwrite, access)
}

/// Tells what [`write_if_changed`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It made or replaced the file.
    Changed,
    /// The file had these bytes already. It was not touched, so that no build starts again because of it.
    Unchanged,
}

/// Writes a file unless it has exactly these bytes.
///
/// # Errors
/// The errors of [`write()`].
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<Written, OutputError> {
    Run::default().write_if_changed(path, bytes, None)
}

/// Returns whether a file exists and holds exactly these bytes.
pub fn has_bytes(path: &Path, bytes: &[u8]) -> bool {
    let Ok(input) = Input::found(path) else { return false };
    let mut found = Vec::new();
    // One byte more than expected reveals a longer file without reading all of it.
    input.into_file().take(bytes.len() as u64 + 1).read_to_end(&mut found).is_ok() && found == bytes
}

/// Writes a value as JSON for people, with a final newline. The types of otaseal hold texts, numbers and lists of
/// them, which always have a JSON form.
pub(crate) fn pretty_json(value: &impl serde::Serialize) -> String {
    match serde_json::to_string_pretty(value) {
        Ok(text) => text + "\n",
        Err(error) => unreachable!("it has no JSON form: {error}"),
    }
}

/// Returns whether a name, joined to a directory, stays in that directory on every system.
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with(['.', '-'])
        && !is_device_name(name)
        && name.chars().all(|letter| letter.is_alphanumeric() || "-_.+ @()".contains(letter))
}

#[cfg(test)]
mod tests;
