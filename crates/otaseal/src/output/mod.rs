//! Writes files so that they appear whole or not at all.
//!
//! otaseal writes to a temporary file in the destination's own directory. A rename then gives it its name, which file
//! systems do in one step. So after a crash, a full disk or `kill -9`, the destination is the old file or the new one.
//! `kill -9` can leave a file named `.otaseal-*` beside it; nothing reads that file.
//!
//! Every output keeps to one rule, wherever it comes from: it replaces no file that its command reads ([`Inputs`]), and
//! no private key and no ledger ([`Pending::create`] looks).

mod guard;
mod turn;

pub(crate) use self::guard::is_kept;
pub use self::guard::{Inputs, same_file, same_place};
pub(crate) use self::turn::Turn;

use self::guard::{Kept, kept};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

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

fn is_input(output: &Path, input: &Path) -> String {
    match output == input {
        true => format!("{} is both input and output", input.display()),
        false => format!("the output {} is the input {}", output.display(), input.display()),
    }
}

/// A file that is being written and has no name yet. If you drop it without [`Pending::commit`], it is gone.
#[derive(Debug)]
pub struct Pending {
    temporary: NamedTempFile,
    destination: PathBuf,
    overwrite: Overwrite,
    access: Access,
}

impl Pending {
    /// Opens a temporary file beside `destination`.
    ///
    /// # Errors
    /// [`OutputError::Exists`] and [`OutputError::NotAFile`], as their names say. [`OutputError::Kept`] for a private
    /// key, unless `overwrite` allows it, and for a ledger. [`OutputError::Io`] if the directory is missing or not
    /// writable, or if the old file cannot be read: it may be a key.
    pub fn create(destination: &Path, overwrite: Overwrite, access: Access) -> Result<Self, OutputError> {
        match fs::metadata(destination) {
            Ok(found) if !found.is_file() => return Err(OutputError::NotAFile(destination.into())),
            Ok(_) if overwrite == Overwrite::Refuse => return Err(OutputError::Exists(destination.into())),
            Ok(found) => check_contents(destination, found.len(), overwrite)?,
            Err(_) => {}
        }
        let directory = match destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // This call is for its error alone: the error of the temporary file has lost the system's words.
        fs::metadata(directory).map_err(|source| OutputError::Io { path: destination.into(), source })?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".otaseal-");
        restrict(&mut builder, access);
        let temporary = builder
            .tempfile_in(directory)
            .map_err(|source| OutputError::Io { path: destination.into(), source: without_path(source) })?;
        Ok(Self { temporary, destination: destination.into(), overwrite, access })
    }

    /// Returns the path that the file will have.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Waits until the bytes have reached the disk.
    pub(crate) fn sync(&self) -> Result<(), OutputError> {
        let synced = self.temporary.as_file().sync_all();
        synced.map_err(|source| OutputError::Io { path: self.destination.clone(), source })
    }

    /// Gives the file its name. A private file is a key, and nobody can make it again: so this waits until its bytes
    /// are on the disk.
    ///
    /// # Errors
    /// [`OutputError::Io`] if the disk or the rename fails. [`OutputError::Exists`] if another process made the
    /// destination in the meantime, and otaseal may not replace it. The destination is then as it was.
    pub fn commit(self) -> Result<(), OutputError> {
        let Self { temporary, destination, overwrite, access } = self;
        let failed = |source| OutputError::Io { path: destination.clone(), source };
        // Without this, a power cut soon after the rename could leave the name on an empty file. For files that can be
        // made again, that loss is not worth the wait, which is longer than signing takes. Every verifier rejects an
        // image without its bytes.
        if access == Access::OwnerOnly {
            temporary.as_file().sync_all().map_err(failed)?;
        }
        match overwrite {
            Overwrite::Replace | Overwrite::ReplaceKey => {
                temporary.persist(&destination).map(drop).map_err(|error| failed(error.error))
            }
            Overwrite::Refuse => temporary.persist_noclobber(&destination).map(drop).map_err(|error| {
                match error.error.kind() {
                    io::ErrorKind::AlreadyExists => OutputError::Exists(destination.clone()),
                    _ => failed(error.error),
                }
            }),
        }
    }
}

/// Writes to the bare file: `tempfile` adds its random name to errors, and the user asked for another name.
impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.as_file_mut().flush()
    }
}

impl Read for Pending {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.temporary.as_file_mut().read(buffer)
    }
}

impl Seek for Pending {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.temporary.as_file_mut().seek(position)
    }
}

/// Writes a whole file atomically.
///
/// # Errors
/// The errors of [`Pending::create`] and [`Pending::commit`].
pub fn write(path: &Path, bytes: &[u8], overwrite: Overwrite, access: Access) -> Result<(), OutputError> {
    let mut pending = Pending::create(path, overwrite, access)?;
    pending.write_all(bytes).map_err(|source| OutputError::Io { path: path.into(), source })?;
    pending.commit()
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
    if has_bytes(path, bytes) {
        return Ok(Written::Unchanged);
    }
    write(path, bytes, Overwrite::Replace, Access::Public)?;
    Ok(Written::Changed)
}

/// Returns whether a file exists and holds exactly these bytes.
pub fn has_bytes(path: &Path, bytes: &[u8]) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut found = Vec::new();
    // One byte more than expected reveals a longer file without reading all of it.
    file.take(bytes.len() as u64 + 1).read_to_end(&mut found).is_ok() && found == bytes
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
        && name.chars().all(|letter| letter.is_alphanumeric() || "-_.+ @()".contains(letter))
}

/// Refuses to replace a private key, unless `overwrite` allows it, and a ledger.
fn check_contents(path: &Path, length: u64, overwrite: Overwrite) -> Result<(), OutputError> {
    match kept(path, length).map_err(|source| OutputError::Io { path: path.into(), source })? {
        None => Ok(()),
        Some(Kept::PrivateKey(_)) if overwrite == Overwrite::ReplaceKey => Ok(()),
        Some(found) => Err(OutputError::Kept { path: path.into(), holds: found.describe() }),
    }
}

#[cfg(unix)]
fn restrict(builder: &mut tempfile::Builder<'_, '_>, access: Access) {
    use std::os::unix::fs::PermissionsExt;
    let mode = match access {
        Access::Public => 0o666,
        Access::OwnerOnly => 0o600,
    };
    builder.permissions(fs::Permissions::from_mode(mode));
}

#[cfg(not(unix))]
fn restrict(_: &mut tempfile::Builder<'_, '_>, _: Access) {}

/// Takes the random name of the temporary file out of an error: `tempfile` adds it, and the user asked for another
/// name.
fn without_path(error: io::Error) -> io::Error {
    error.kind().into()
}

#[cfg(test)]
mod tests;
