//! Opens files and the standard streams, for which `-` stands. Refuses outputs that would replace an input.

use crate::error::Failure;
use crate::made::Replaces;
use crate::report;
use otaseal::format::input::{self, Input};
use otaseal::format::layers::MAX_IMAGE;
use otaseal::format::secret::SecretBytes;
use otaseal::key::{PublicKey, material};
use otaseal::output::{Access, Inputs, Overwrite, Pending, Planned, Run, same_place};
use otaseal::policy::Candidate;
use otaseal::sign::ReadWriteSeek;
use otaseal::sign::source::KeyPlace;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Seek};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The run of this process: one that writes, or a dry run.
static RUN: OnceLock<Run> = OnceLock::new();

/// Makes this process a dry run. It counts only before the first output.
pub(crate) fn begin_dry_run() {
    let _ = RUN.set(Run::dry());
}

/// Returns the run of this process.
pub(crate) fn this_run() -> &'static Run {
    RUN.get_or_init(Run::default)
}

/// Largest image that otaseal takes from a stream, in bytes: with its signature.
const MAX_IMAGE_STREAM: u64 = MAX_IMAGE as u64 + 1024;

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

    /// Returns its path for a message of the library.
    pub(crate) fn to_path(&self) -> PathBuf {
        self.path().map_or_else(|| "standard input".into(), Path::to_owned)
    }

    /// Returns its name for a report: its path, or `-`. It does not show text that may be a key.
    pub(crate) fn name(&self) -> String {
        self.path().map_or_else(|| "-".into(), material::shown)
    }

    /// Opens it, as a file that the user named.
    pub(crate) fn open(&self) -> io::Result<Input> {
        match self {
            Self::Std => Input::stdin(),
            Self::Path(path) => Input::named(path),
        }
    }

    /// Reads a file of at most `limit` bytes.
    pub(crate) fn read(&self, limit: usize) -> Result<Vec<u8>, Failure> {
        let read = self.open().and_then(|input| input.read(limit));
        read.map_err(|error| Failure::read(self, &error))
    }

    /// Opens an image to be read more than once, and returns its length in bytes. It copies a stream to a temporary
    /// file without a name.
    pub(crate) fn open_seekable(&self) -> Result<(File, u64), Failure> {
        let failed = |error| Failure::read(self, &error);
        let input = self.open().map_err(failed)?;
        if let Some(length) = input.length() {
            return Ok((input.into_file(), length));
        }
        let mut spool = tempfile::tempfile().map_err(|error| spool_failed(&error))?;
        let length = input.copy(MAX_IMAGE_STREAM, &mut spool).map_err(|error| {
            // A stream that is too long is no error of the system.
            let of_system = error.raw_os_error().is_some();
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => spool_failed(&error),
                io::ErrorKind::FileTooLarge if of_system => spool_failed(&error),
                _ => failed(error),
            }
        })?;
        spool.rewind().map_err(|error| spool_failed(&error))?;
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

/// Refuses `-` where no stream can be used. `why` is a sentence without its full stop.
pub(crate) fn refuse_std(path: &Path, why: &str) -> Result<(), Failure> {
    match path == Path::new("-") {
        true => Err(Failure::usage(
            format_args!("- is no name here: {why}"),
            "give a name; for a file named -, ./-",
        )),
        false => Ok(()),
    }
}

/// Refuses a file that no option names and that is not regular: somebody else may have put it there. Opening a pipe
/// would wait for its writer.
pub(crate) fn check_unnamed(path: &Path) -> Result<(), Failure> {
    input::check_regular(path).map_err(|error| Failure {
        help: "put a file there; otaseal reads a pipe or a device only if you name it on the command line"
            .into(),
        ..Failure::read(&path.into(), &error)
    })
}

/// Refuses a command line that names a stream twice, names an input as output, or a directory as a file.
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
    let mut streams = HashMap::new();
    for place in inputs {
        let Some(stream) = input::stream(place.path()) else { continue };
        if let Some(other) = streams.insert(stream, place) {
            return Err(Failure::usage(
                format_args!("{other} and {place} are one stream"),
                "put one of the inputs into a file: a stream can be read only once",
            ));
        }
    }
    if outputs.is_empty() {
        return Ok(());
    }
    let inputs = Inputs::new(inputs.iter().filter_map(|input| input.path()));
    for (index, output) in outputs.iter().enumerate() {
        let Some(path) = output.path() else { continue };
        if path
            .as_os_str()
            .as_encoded_bytes()
            .last()
            .is_some_and(|last| std::path::is_separator(*last as char))
        {
            return Err(Failure::usage(
                format_args!("{} is the name of a directory, and this output is a file", path.display()),
                format_args!("add a file name: {}NAME", path.display()),
            ));
        }
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

/// Sends bytes straight to standard output, so that no temporary file ever holds them: they may be a key.
pub(crate) fn send(content: Content, bytes: &[u8]) -> Result<(), Failure> {
    if this_run().skips(|| Planned::Send { size_bytes: bytes.len() as u64 }) {
        return Ok(());
    }
    report::send(content, |stdout| stdout.write_all(bytes))
}

/// Makes a directory, and those above it that are missing.
pub(crate) fn make_directory(path: &Path) -> Result<(), Failure> {
    Ok(this_run().make_directory(path)?)
}

/// Whether an output is text. Binary output could upset a terminal, and is of no use in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Binary,
    Text,
}

/// The destination of an output: a file that has no name yet, or a temporary file whose contents go to standard output
/// at the end. Neither ever shows half an output.
pub(crate) enum Sink {
    File(Pending),
    Stdout(File, Content),
}

impl Sink {
    /// Opens an output. It replaces an old one that otaseal made, because otaseal can make it again. Only
    /// [`Replaces::Any`] replaces another file, and nothing replaces a private key or a ledger.
    pub(crate) fn create(place: &Place, content: Content, replaces: Replaces) -> Result<Self, Failure> {
        match (place, replaces) {
            (Place::Path(path), Replaces::Any) => {
                Ok(Self::File(this_run().create(path, Overwrite::Replace, Access::Public)?))
            }
            (Place::Path(path), Replaces::Made(made)) => {
                Ok(Self::File(this_run().create_over(path, made, Access::Public)?))
            }
            (Place::Std, _) if content == Content::Binary && io::stdout().is_terminal() => {
                Err(Failure::usage(
                    "this output is binary and would go to the terminal",
                    "redirect it, or give a file with -o",
                ))
            }
            (Place::Std, _) => {
                Ok(Self::Stdout(tempfile::tempfile().map_err(|error| spool_failed(&error))?, content))
            }
        }
    }

    pub(crate) fn target(&mut self) -> &mut dyn ReadWriteSeek {
        match self {
            Self::File(pending) => pending,
            Self::Stdout(spool, _) => spool,
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
            Self::Stdout(..) => spool_failed(error),
        }
    }

    /// Gives the file its name, or sends the bytes.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        match self {
            Self::File(pending) => Ok(pending.commit()?),
            Self::Stdout(spool, _) if this_run().is_dry() => {
                let size_bytes = spool.metadata().map_err(|error| spool_failed(&error))?.len();
                this_run().skips(|| Planned::Send { size_bytes });
                Ok(())
            }
            Self::Stdout(mut spool, content) => {
                spool.rewind().map_err(|error| spool_failed(&error))?;
                report::send(content, |stdout| io::copy(&mut spool, stdout).map(drop))
            }
        }
    }
}

fn spool_failed(error: &io::Error) -> Failure {
    Failure::write(&std::env::temp_dir(), error)
}
