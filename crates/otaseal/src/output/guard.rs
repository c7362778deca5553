//! The rule for every output: it replaces no file that the command reads, no private key and no ledger.
//!
//! [`Inputs`] knows the files that a command reads. [`kept`] looks into a file that an output would replace.

use super::OutputError;
use crate::format::digest::Sha256Digest;
use crate::format::input::Input;
use crate::format::key_file::{self, Armor, KeyFileKind, MAX_KEY_FILE};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files that a command reads. A file counts by any of its names, so hard and symbolic links lead to it too. A file
/// that does not exist yet, such as a new ledger, counts by its directory and its name. A clone shares the list.
#[derive(Debug, Clone, Default)]
pub struct Inputs(Arc<HashMap<Identity, PathBuf>>);

impl Inputs {
    /// Looks up the files.
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        let paths = paths.into_iter().map(Into::into);
        Self(Arc::new(paths.filter_map(|path| Some((Identity::of(&path)?, path))).collect()))
    }

    /// Returns the input that an output of this name would replace.
    pub fn replaced_by(&self, output: &Path) -> Option<&Path> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&Identity::of(output)?).map(PathBuf::as_path)
    }

    /// Refuses an output that would replace an input.
    ///
    /// # Errors
    /// [`OutputError::IsInput`].
    pub fn check(&self, output: &Path) -> Result<(), OutputError> {
        match self.replaced_by(output) {
            Some(input) => Err(OutputError::IsInput { output: output.into(), input: input.into() }),
            None => Ok(()),
        }
    }
}

/// Tells files apart.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Identity {
    /// A file that exists: its device and its inode.
    #[cfg(unix)]
    Inode(u64, u64),
    /// A file that exists. std cannot tell hard links apart on this system. If a rename replaces one of them, the other
    /// stays as it was.
    #[cfg(not(unix))]
    Path(PathBuf),
    /// The directory and the name of a file, which need not exist.
    Place(PathBuf, OsString),
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        Self::of_file(path).or_else(|| Self::of_place(path))
    }

    /// The place that a path leads to. A link may name a file that does not exist yet.
    fn of_place(path: &Path) -> Option<Self> {
        let path = &super::links::follow(path).ok()?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(Self::Place(directory, path.file_name()?.to_owned()))
    }

    #[cfg(unix)]
    fn of_file(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).ok().map(|found| Self::Inode(found.dev(), found.ino()))
    }

    #[cfg(not(unix))]
    fn of_file(path: &Path) -> Option<Self> {
        fs::canonicalize(path).ok().map(Self::Path)
    }
}

/// Returns whether two paths lead to one file, by any links. A path without a file equals no other.
pub fn same_file(one: &Path, other: &Path) -> bool {
    Identity::of_file(one).is_some_and(|one| Identity::of_file(other) == Some(one))
}

/// Returns whether two paths name one file, even if it does not exist yet: the same name in the same directory.
pub fn same_place(one: &Path, other: &Path) -> bool {
    Identity::of(one).is_some_and(|one| Identity::of(other) == Some(one))
}

/// Returns the first output that would replace an output before it: they have one name, or symbolic links lead from one
/// name to the other. Hard links do not count, because a new file takes the place of each.
pub fn repeated<'a>(outputs: impl IntoIterator<Item = &'a Path>) -> Option<&'a Path> {
    let (mut names, mut places) = (HashSet::new(), HashSet::new());
    let mut is_new = |output: &'a Path| {
        names.insert(output) && Identity::of_place(output).is_none_or(|place| places.insert(place))
    };
    outputs.into_iter().find(|output| !is_new(output))
}

/// The contents that no output replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    PrivateKey(&'static str),
    Ledger,
}

impl Kept {
    /// Returns the name of the contents in a sentence, with its article.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::PrivateKey(kind) => kind,
            Self::Ledger => "a ledger",
        }
    }
}

/// Returns whether an output may not replace or remove this file, because it holds a private key or a ledger. A file
/// that does not exist holds nothing.
///
/// # Errors
/// The system's error if the file cannot be read: it may be a key.
pub(crate) fn is_kept(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_file() && kept(path, found.len())?.is_some()),
        Err(_) => Ok(false),
    }
}

/// Looks for a private key or a ledger in a regular file of this length in bytes. It reads little of a large file: no
/// key is large, and a ledger shows in its first bytes.
pub(super) fn kept(path: &Path, length: u64) -> io::Result<Option<Kept>> {
    let mut file = Input::found(path)?.into_file();
    if length > MAX_KEY_FILE as u64 {
        let mut start = [0; LEDGER_START.len()];
        file.read_exact(&mut start)?;
        if start != *LEDGER_START {
            return Ok(None);
        }
        file.rewind()?;
    }
    let bytes = key_file::read(file)?;
    if is_ledger(&bytes) {
        return Ok(Some(Kept::Ledger));
    }
    Ok(private_key(&bytes).map(Kept::PrivateKey))
}

/// The beginning of every line of a ledger.
const LEDGER_START: &[u8; 7] = b"{\"seq\":";

/// The fields of a ledger's line that chain it, as the room `ledger` writes them. Later versions of otaseal may add
/// others.
#[derive(Deserialize)]
struct ChainedLine {
    seq: u64,
    prev: Sha256Digest,
}

/// Returns whether the first line is a line of a ledger. The first one of all has zeros in place of a predecessor.
fn is_ledger(bytes: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return false };
    bytes.starts_with(LEDGER_START)
        && serde_json::from_slice::<ChainedLine>(&bytes[..end])
            .is_ok_and(|line| (line.seq == 1) == (line.prev.0 == [0; 32]))
}

/// Names a private key of any algorithm. A PEM file whose label says so counts even if it is damaged: its owner may
/// still mend it.
fn private_key(bytes: &[u8]) -> Option<&'static str> {
    const OTHER: &str = "a private key";
    let holds = |text: &[u8]| memchr::memmem::find(bytes, text).is_some();
    match key_file::recognise(bytes) {
        Some(found) if found.kind.is_private() => return Some(found.kind.describe()),
        // These kinds are for private and public keys.
        Some(found)
            if matches!(found.kind, KeyFileKind::RsaPss | KeyFileKind::OtherAlgorithm)
                && found.armor == Armor::Der
                && key_file::spki(bytes).is_none() =>
        {
            return Some(OTHER);
        }
        _ => {}
    }
    let labelled = holds(b"-----BEGIN ") && holds(b"PRIVATE KEY-----");
    (bytes.len() <= MAX_KEY_FILE && labelled && key_file::is_text(bytes)).then_some(OTHER)
}

#[cfg(test)]
mod tests;
