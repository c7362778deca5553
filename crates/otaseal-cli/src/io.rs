//! Opens files and the standard streams, for which `-` stands. Refuses outputs that would replace an input.

use crate::error::Failure;
use otaseal::format::secret::SecretBytes;
use otaseal::key::{PublicKey, material};
use otaseal::output::{Access, Inputs, Overwrite, Pending, same_place};
use otaseal::policy::Candidate;
use otaseal::sign::ReadWriteSeek;
use otaseal::sign::source::KeyPlace;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// A file named on the command line; `-` is standard input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Std,
    Path(PathBuf),
}

impl From<OsString> for Place {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::Std } else { Self::Path(text.into()) }
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self::Path(path.into())
    }
}

impl From<&KeyPlace> for Place {
    fn from(place: &KeyPlace) -> Self {
        match place {
            KeyPlace::Stdin => Self::Std,
            KeyPlace::Path(path) => Self::Path(path.clone()),
        }
    }
}

impl From<&Place> for KeyPlace {
    fn from(place: &Place) -> Self {
        match place {
            Place::Std => Self::Stdin,
            Place::Path(path) => Self::Path(path.clone()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Std => f.write_str("standard input"),
            Self::Path(_) => f.write_str(&self.name()),
        }
    }
}

impl Place {
    pub(crate) fn is_std(&self) -> bool {
        *self == Self::Std
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Std => None,
            Self::Path(path) => Some(path),
        }
    }

    /// Returns its name for a report: its path, or `-`. It does not show text that may be a key.
    pub(crate) fn name(&self) -> String {
        self.path().map_or_else(|| "-".into(), material::shown)
    }

    pub(crate) fn open(&self) -> Result<Box<dyn Read>, Failure> {
        Ok(match self {
            Self::Std => Box::new(io::stdin().lock()),
            Self::Path(path) => Box::new(open_file(path).map_err(|error| Failure::read(self, &error))?),
        })
    }

    /// Reads at most one byte more than `limit`. The caller then sees that the file is too large, and it does not fill
    /// the memory.
    pub(crate) fn read(&self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let read = self.open()?.take(limit as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| Failure::read(self, &error))?;
        Ok(bytes)
    }

    /// Opens the file to be read more than once, and returns its length in bytes. It copies a stream to a temporary
    /// file without a name.
    pub(crate) fn open_seekable(&self) -> Result<(File, u64), Failure> {
        let failed = |error| Failure::read(self, &error);
        if let Self::Path(path) = self {
            let file = open_file(path).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            if metadata.is_file() {
                return Ok((file, metadata.len()));
            }
        }
        let mut spool = tempfile::tempfile().map_err(failed)?;
        let length = io::copy(&mut self.open()?, &mut spool).map_err(failed)?;
        spool.rewind().map_err(failed)?;
        Ok((spool, length))
    }

    /// Reads the file as a candidate for a signature.
    pub(crate) fn candidate(&self) -> Result<Candidate<'static>, Failure> {
        let (file, _) = self.open_seekable()?;
        Candidate::read(file).map_err(|error| Failure::read(self, &error))
    }

    pub(crate) fn public_key(&self) -> Result<PublicKey, Failure> {
        Ok(KeyPlace::from(self).public_key()?)
    }

    pub(crate) fn key_bytes(&self) -> Result<SecretBytes, Failure> {
        Ok(KeyPlace::from(self).bytes()?)
    }
}

/// Opens a file. On Unix, opening a directory succeeds, and only the first read fails. Here it fails at once.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Refuses a command line that names a stream twice, or names an input as output.
pub(crate) fn check_places(inputs: &[&Place], outputs: &[&Place]) -> Result<(), Failure> {
    let twice = |places: &[&Place]| places.iter().filter(|place| place.is_std()).count() > 1;
    if twice(inputs) {
        return Err(Failure::usage(
            "standard input is named twice",
            "put one of the inputs into a file: only one can be -",
        ));
    }
    if twice(outputs) {
        return Err(Failure::usage(
            "standard output is named twice",
            "write one of the outputs to a file: only one can be -",
        ));
    }
    if outputs.is_empty() {
        return Ok(());
    }
    let inputs = Inputs::new(inputs.iter().filter_map(|input| input.path()));
    for (index, output) in outputs.iter().enumerate() {
        let Some(path) = output.path() else { continue };
        inputs.check(path)?;
        if outputs[..index].iter().any(|other| other.path().is_some_and(|other| same_place(path, other))) {
            return Err(Failure::usage(
                format_args!("{} is named for two outputs", path.display()),
                "give each output its own name",
            ));
        }
    }
    Ok(())
}

/// Whether an output is text. Binary output could upset a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Binary,
    Text,
}

/// The destination of an output: a file that has no name yet, or a temporary file whose contents go to standard output
/// at the end. Neither ever shows half an output.
pub(crate) enum Sink {
    File(Pending),
    Stdout(File),
}

impl Sink {
    /// Opens an output. It replaces an old one, because otaseal can make outputs again from their inputs. It does not
    /// replace a private key or a ledger: nobody can make these again.
    pub(crate) fn create(place: &Place, content: Content) -> Result<Self, Failure> {
        match place {
            Place::Path(path) => Ok(Self::File(Pending::create(path, Overwrite::Replace, Access::Public)?)),
            Place::Std if content == Content::Binary && io::stdout().is_terminal() => Err(Failure::usage(
                "this output is binary and would go to the terminal",
                "redirect it, or give a file with -o",
            )),
            Place::Std => Ok(Self::Stdout(tempfile::tempfile().map_err(|error| spool_failed(&error))?)),
        }
    }

    pub(crate) fn target(&mut self) -> &mut dyn ReadWriteSeek {
        match self {
            Self::File(pending) => pending,
            Self::Stdout(spool) => spool,
        }
    }

    /// Writes everything at once.
    pub(crate) fn put(mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.target().write_all(bytes);
        written.map_err(|error| self.failed(&error))?;
        self.commit()
    }

    /// Makes a failure from an error while writing.
    pub(crate) fn failed(&self, error: &io::Error) -> Failure {
        match self {
            Self::File(pending) => Failure::write(pending.destination(), error),
            Self::Stdout(_) => spool_failed(error),
        }
    }

    /// Gives the file its name, or sends the bytes.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        match self {
            Self::File(pending) => Ok(pending.commit()?),
            Self::Stdout(mut spool) => {
                spool.rewind().map_err(|error| spool_failed(&error))?;
                let mut stdout = io::stdout().lock();
                let sent = io::copy(&mut spool, &mut stdout).and_then(|_| stdout.flush());
                sent.map_err(|error| Failure::stdout(&error))
            }
        }
    }
}

fn spool_failed(error: &io::Error) -> Failure {
    Failure::write(&std::env::temp_dir(), error)
}
