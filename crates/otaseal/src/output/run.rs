//! Runs that write, and dry runs, which make every check and write nothing.
//!
//! Every output goes through a [`Run`]. A dry run takes the same steps as a real one up to the name of the file: it
//! writes the bytes to a file that no name leads to, and notes what a real run would have written. So there is no second
//! decision on what may be written.

use super::guard::same_place;
use super::made::Made;
use super::{Access, OutputError, Overwrite, Pending, Written, directory, failed, has_bytes, remove_old};
use serde::Serialize;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A run that writes, or a dry run. A clone is the same run.
#[derive(Debug, Clone, Default)]
pub struct Run(Option<Arc<Mutex<Vec<Planned>>>>);

/// A step that a dry run did not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "would", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Planned {
    /// Makes a file.
    Write {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size_bytes: u64,
    },
    /// Makes a file in the place of an older one.
    Replace {
        /// The file.
        path: PathBuf,
        /// The size of the new file in bytes.
        size_bytes: u64,
    },
    /// Removes a file.
    Remove {
        /// The file.
        path: PathBuf,
    },
    /// Makes a directory, and those above it that are missing.
    MakeDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Enters signatures into a ledger.
    Enter {
        /// The ledger.
        path: PathBuf,
        /// Number of lines.
        lines: usize,
    },
    /// Sends bytes to standard output.
    Send {
        /// Number of bytes.
        size_bytes: u64,
    },
    /// Makes a key in a token.
    MakeKey {
        /// The PKCS#11 URI of the key.
        uri: String,
    },
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { path, size_bytes } => {
                write!(f, "would write    {} ({size_bytes} bytes)", path.display())
            }
            Self::Replace { path, size_bytes } => {
                write!(f, "would replace  {} ({size_bytes} bytes)", path.display())
            }
            Self::Remove { path } => write!(f, "would remove   {}", path.display()),
            Self::MakeDirectory { path } => write!(f, "would make     {}, a directory", path.display()),
            Self::Enter { path, lines: 1 } => write!(f, "would enter    1 line into {}", path.display()),
            Self::Enter { path, lines } => write!(f, "would enter    {lines} lines into {}", path.display()),
            Self::Send { size_bytes } => write!(f, "would send     {size_bytes} bytes to standard output"),
            Self::MakeKey { uri } => write!(f, "would make     {uri}, a key in a token"),
        }
    }
}

impl Run {
    /// Begins a dry run.
    pub fn dry() -> Self {
        Self(Some(Arc::default()))
    }

    /// Returns whether this is a dry run.
    pub fn is_dry(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the steps that a dry run did not take, in their order. A run that writes has none.
    pub fn planned(&self) -> Vec<Planned> {
        let steps = |steps: &Arc<Mutex<Vec<_>>>| steps.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.0.as_ref().map_or_else(Vec::new, steps)
    }

    /// Notes a step, if this is a dry run. Returns whether it is one, and the step must not be taken.
    pub fn skips(&self, step: impl FnOnce() -> Planned) -> bool {
        let Some(steps) = &self.0 else { return false };
        steps.lock().unwrap_or_else(PoisonError::into_inner).push(step());
        true
    }

    /// Does what [`Pending::create`] does. In a dry run, the file never gets its name.
    ///
    /// # Errors
    /// The errors of [`Pending::create`].
    pub fn create(&self, path: &Path, overwrite: Overwrite, access: Access) -> Result<Pending, OutputError> {
        Pending::create_in(self, path, overwrite, access)
    }

    /// Does what [`Pending::create_over`] does. In a dry run, the file never gets its name.
    ///
    /// # Errors
    /// The errors of [`Pending::create_over`].
    pub fn create_over(&self, path: &Path, made: Made, access: Access) -> Result<Pending, OutputError> {
        Pending::create_over_in(self, path, made, access)
    }

    /// Makes a directory, and those above it that are missing.
    ///
    /// # Errors
    /// [`OutputError::Io`]. In a dry run, if a file is in the place of a directory, or the directory above is not
    /// writable.
    pub fn make_directory(&self, path: &Path) -> Result<(), OutputError> {
        if !self.is_dry() {
            return fs::create_dir_all(path).map_err(|source| failed(path, source));
        }
        if !path.as_os_str().is_empty() && !path.is_dir() && !self.will_exist(path) {
            let above = path.ancestors().skip(1).find(|above| above.as_os_str().is_empty() || above.exists());
            let above = above.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let place = if path.exists() { Err(taken()) } else { writable(above) };
            place.map_err(|source| failed(path, source))?;
            self.skips(|| Planned::MakeDirectory { path: path.into() });
        }
        Ok(())
    }

    /// Writes a whole file atomically.
    ///
    /// # Errors
    /// The errors of [`Pending::create`] and [`Pending::commit`].
    pub fn write(
        &self,
        path: &Path,
        bytes: &[u8],
        overwrite: Overwrite,
        access: Access,
    ) -> Result<(), OutputError> {
        fill(self.create(path, overwrite, access)?, bytes)
    }

    /// Writes a file unless it has exactly these bytes. With `made`, it replaces only what that recognises.
    ///
    /// # Errors
    /// The errors of [`Pending::create_over`] and [`Pending::commit`].
    pub fn write_if_changed(
        &self,
        path: &Path,
        bytes: &[u8],
        made: Option<Made>,
    ) -> Result<Written, OutputError> {
        if has_bytes(path, bytes) {
            return Ok(Written::Unchanged);
        }
        let pending = match made {
            Some(made) => self.create_over(path, made, Access::Public)?,
            None => self.create(path, Overwrite::Replace, Access::Public)?,
        };
        fill(pending, bytes)?;
        Ok(Written::Changed)
    }

    /// Removes an old file. Returns whether there was one.
    pub(crate) fn remove(&self, path: &Path) -> Result<bool, OutputError> {
        match self.is_dry() {
            true => {
                Ok(path.symlink_metadata().is_ok() && self.skips(|| Planned::Remove { path: path.into() }))
            }
            false => remove_old(path),
        }
    }

    /// Checks in a dry run that a file could be made here.
    pub(crate) fn check_place(&self, path: &Path) -> io::Result<()> {
        let directory = directory(path);
        if self.will_exist(directory) { Ok(()) } else { writable(directory) }
    }

    /// Returns whether this dry run has planned a directory, or one below it.
    fn will_exist(&self, directory: &Path) -> bool {
        self.planned().iter().any(|step| match step {
            Planned::MakeDirectory { path } => {
                path.ancestors().any(|above| above == directory || same_place(above, directory))
            }
            _ => false,
        })
    }
}

fn fill(mut pending: Pending, bytes: &[u8]) -> Result<(), OutputError> {
    pending.write_all(bytes).map_err(|source| failed(pending.destination(), source))?;
    pending.commit()
}

/// Returns the system's error for a directory in which no file can be made.
fn writable(directory: &Path) -> io::Result<()> {
    let found = fs::metadata(directory)?;
    if !found.is_dir() {
        return Err(no_directory());
    }
    #[cfg(unix)]
    {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
    }
    Ok(())
}

/// The system's errors, in its own words.
#[cfg(unix)]
fn taken() -> io::Error {
    rustix::io::Errno::EXIST.into()
}

#[cfg(unix)]
fn no_directory() -> io::Error {
    rustix::io::Errno::NOTDIR.into()
}

#[cfg(not(unix))]
fn taken() -> io::Error {
    io::ErrorKind::AlreadyExists.into()
}

#[cfg(not(unix))]
fn no_directory() -> io::Error {
    io::ErrorKind::NotADirectory.into()
}
