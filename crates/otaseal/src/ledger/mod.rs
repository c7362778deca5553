//! Keeps the ledger: one line for every signature, each bound to the line before it.
//!
//! A ledger is a text file of JSON lines that only grows. Each line holds the SHA-256 of the line before it. So if
//! somebody changes, removes or inserts a line, every later line shows it. A chain alone cannot show that its end was
//! cut off. If you keep the last digest elsewhere ([`Head::sha256`]), you see that too.
//!
//! ```text
//! {"seq":1,"prev":"00…00","time":"2026-11-21T07:45:00Z","input":{…},"output":{…},"signature":"pkcs1v15-sha256",…}
//! ```
//!
//! A line is on the disk before the signed file gets its name. So there may be a line without a file, but never a file
//! without its line.

mod append;
mod group;
mod origin;

use crate::format::digest::{Sha256Digest, sha256};
use crate::format::input::{Input, too_large};
use crate::output::Run;
use crate::sign::Scheme;
use fd_lock::RwLock;
use otaseal_device::KeyId;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use self::append::enter;
pub use self::append::{Appended, now};
use self::group::Group;
pub use self::origin::Origin;

/// Longest line, in bytes. Real lines have about seven hundred.
pub const MAX_LINE: usize = 64 * 1024;

/// Largest ledger that otaseal reads from a stream, in bytes: some hundred thousand lines. A ledger in a file may be
/// larger.
pub const MAX_STREAM: u64 = 256 << 20;

/// Stands in the first line in the place of a predecessor's digest.
const FIRST: Sha256Digest = Sha256Digest([0; 32]);

/// A ledger for signatures.
#[derive(Debug, Clone)]
pub struct Ledger {
    path: PathBuf,
    origin: Origin,
    group: Arc<Group>,
    run: Run,
}

/// One signature to enter.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The payload: the bytes that were signed.
    pub input: NamedDigest,
    /// The signed file.
    pub output: NamedDigest,
    /// The form of the signature.
    pub signature: Scheme,
    /// The key that signed.
    pub key_id: KeyId,
}

impl Entry {
    /// Makes the entry of one signature: the payload, the signed file, the form of the signature, the key that signed.
    pub fn new(input: NamedDigest, output: NamedDigest, signature: Scheme, key_id: KeyId) -> Self {
        Self { input, output, signature, key_id }
    }
}

/// A file and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NamedDigest {
    /// Its name, as it was given.
    pub file: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

impl NamedDigest {
    /// Makes one from a known digest.
    pub fn new(file: impl Into<String>, size_bytes: u64, sha256: Sha256Digest) -> Self {
        /// A line must have room for two names.
        const LONGEST: usize = 4096;
        let file: String = file.into();
        let file = file.chars().take(LONGEST).collect();
        Self { file, size_bytes, sha256 }
    }
}

/// One line of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// Number of the line, from 1.
    pub seq: u64,
    /// SHA-256 of the line before it, without its line end. Zeros in the first line.
    pub prev: Sha256Digest,
    /// Time of the entry: UTC, RFC 3339.
    pub time: String,
    /// The payload: the bytes that were signed.
    pub input: NamedDigest,
    /// The signed file.
    pub output: NamedDigest,
    /// The form of the signature.
    pub signature: Scheme,
    /// The key that signed.
    #[serde(with = "crate::key::id")]
    pub key_id: KeyId,
    /// `otaseal` and its version.
    pub tool: String,
    /// Commit of the source tree. `-dirty` follows if files were changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    /// The name that the CI system gives to the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// User and machine, according to the environment. This proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The unfinished line that stood after the line before: somebody was interrupted while writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered>,
}

/// An unfinished line that was moved aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recovered {
    /// The file beside the ledger that now holds it.
    pub file: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

/// The end of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Head {
    /// Number of lines.
    pub records: u64,
    /// SHA-256 of the last line. Zeros if there is none.
    pub sha256: Sha256Digest,
}

/// Why otaseal did not read or write a ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The system refused.
    #[error("the ledger {} could not be {action}: {source}", path.display())]
    Io {
        /// The ledger.
        path: PathBuf,
        /// The action: read, written or locked.
        action: &'static str,
        /// The system's words.
        source: io::Error,
    },
    /// The file is not a ledger.
    #[error("{} is not a ledger", .0.display())]
    NotALedger(PathBuf),
    /// A line is not as it was written.
    #[error("{}: line {line}: {what}", path.display())]
    Broken {
        /// The ledger.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The fault of the line.
        what: Break,
    },
    /// A digest that somebody noted belongs to no line.
    #[error("{} has no line with the SHA-256 {digest}", path.display())]
    Missing {
        /// The ledger.
        path: PathBuf,
        /// The digest.
        digest: Sha256Digest,
    },
}

/// The fault of a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Break {
    /// It is longer than [`MAX_LINE`].
    #[error("it is longer than {} KiB", MAX_LINE / 1024)]
    TooLong,
    /// It is not a record in JSON.
    #[error("it is not a record: {0}")]
    Form(String),
    /// Its number is not the next number.
    #[error("its number is {found}, but {expected} is the next")]
    Sequence {
        /// The next number.
        expected: u64,
        /// Its number.
        found: u64,
    },
    /// It does not hold the digest of the line before it.
    #[error("the chain is broken: the line before it is another one than when it was written")]
    Chain,
    /// It has no line end: somebody was interrupted while writing it.
    #[error("it is not finished")]
    Torn,
}

impl LedgerError {
    /// Copies the error: one failure can concern several signatures.
    fn again(&self) -> Self {
        let copy = |error: &io::Error| {
            let same = error.raw_os_error().map(io::Error::from_raw_os_error);
            same.unwrap_or_else(|| io::Error::new(error.kind(), error.to_string()))
        };
        match self {
            Self::Io { path, action, source } => {
                Self::Io { path: path.clone(), action, source: copy(source) }
            }
            Self::NotALedger(path) => Self::NotALedger(path.clone()),
            Self::Broken { path, line, what } => {
                Self::Broken { path: path.clone(), line: *line, what: what.clone() }
            }
            Self::Missing { path, digest } => Self::Missing { path: path.clone(), digest: *digest },
        }
    }

    /// Returns whether otaseal read the ledger and found a fault, or could not read it.
    pub fn is_verdict(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Missing { .. })
    }
}

impl Ledger {
    /// Makes a ledger in a file. The first entry creates the file. Every entry has this origin.
    pub fn new(path: impl Into<PathBuf>, origin: Origin) -> Self {
        Self { path: path.into(), origin, group: Arc::default(), run: Run::default() }
    }

    /// Returns the same ledger for a run. A dry run enters nothing.
    #[must_use]
    pub fn in_run(self, run: &Run) -> Self {
        Self { run: run.clone(), ..self }
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks the whole chain before something is added to it, once for this ledger and all its clones. A ledger that
    /// does not exist yet counts as whole. [`Ledger::append`] moves an unfinished last line aside.
    ///
    /// # Errors
    /// The errors of [`walk`].
    pub fn verify_once(&self) -> Result<(), LedgerError> {
        self.group.once(|| match verify(&self.path, None) {
            Ok(_) | Err(LedgerError::Broken { what: Break::Torn, .. }) => Ok(()),
            Err(LedgerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        })
    }
}

/// Reads a ledger from its first line to its last and checks the chain. `each` gets every good record, with its line.
///
/// # Errors
/// [`LedgerError::Broken`] with the first line that is not as it was written.
pub fn walk(path: &Path, each: &mut dyn FnMut(&Record, &str)) -> Result<Head, LedgerError> {
    let input = Input::found(path);
    let input = input.map_err(|source| LedgerError::Io { path: path.into(), action: "read", source })?;
    walk_input(path, input, each)
}

/// Does the same as [`walk`], for a ledger that is open. Messages call it `path`. It may come from a pipe, of which
/// this reads [`MAX_STREAM`] bytes at most.
///
/// # Errors
/// The errors of [`walk`].
pub fn walk_input(
    path: &Path,
    input: Input,
    each: &mut dyn FnMut(&Record, &str),
) -> Result<Head, LedgerError> {
    let failed = |action| move |source| LedgerError::Io { path: path.into(), action, source };
    if input.length().is_none() {
        let mut stream = BufReader::new(input.take(MAX_STREAM + 1));
        let read = lines(path, &mut stream, each);
        return match stream.into_inner().limit() {
            0 => Err(failed("read")(too_large(MAX_STREAM))),
            _ => read,
        };
    }
    // The lock keeps this from reading in the middle of a write.
    let lock = RwLock::new(input.into_file());
    let guard = loop {
        match lock.read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other.map_err(failed("locked"))?,
        }
    };
    lines(path, &mut BufReader::new(&*guard), each)
}

/// Reads the lines of a ledger.
fn lines(
    path: &Path,
    reader: &mut impl BufRead,
    each: &mut dyn FnMut(&Record, &str),
) -> Result<Head, LedgerError> {
    let failed = |source| LedgerError::Io { path: path.into(), action: "read", source };
    let mut head = Head { records: 0, sha256: FIRST };
    let mut line = Vec::new();
    loop {
        line.clear();
        let broken = |what| LedgerError::Broken { path: path.into(), line: head.records + 1, what };
        let limited = reader.take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        match limited.map_err(failed)? {
            0 => return Ok(head),
            _ if line.last() == Some(&b'\n') => line.pop(),
            length if length > MAX_LINE => return Err(broken(Break::TooLong)),
            _ => return Err(broken(Break::Torn)),
        };
        let (record, text) = check(&line, head).map_err(broken)?;
        each(&record, text);
        head = Head { records: record.seq, sha256: sha256(&line) };
    }
}

/// Checks that a line follows another.
fn check(line: &[u8], before: Head) -> Result<(Record, &str), Break> {
    let text = std::str::from_utf8(line).map_err(|_| Break::Form("it is not UTF-8".into()))?;
    let record: Record = serde_json::from_str(text).map_err(|error| Break::Form(error.to_string()))?;
    let expected = before.records + 1;
    if record.seq != expected {
        return Err(Break::Sequence { expected, found: record.seq });
    }
    if record.prev != before.sha256 {
        return Err(Break::Chain);
    }
    Ok((record, text))
}

/// Checks the whole chain. If you give a digest that you noted as the last line's at some time, this also checks that
/// its line is there.
///
/// # Errors
/// The errors of [`walk`], and [`LedgerError::Missing`].
pub fn verify(path: &Path, contains: Option<Sha256Digest>) -> Result<Head, LedgerError> {
    verify_by(path, contains, |each| walk(path, each))
}

/// Does the same as [`verify`], for a ledger that is open, as [`walk_input`] takes it.
///
/// # Errors
/// The errors of [`verify`].
pub fn verify_input(path: &Path, input: Input, contains: Option<Sha256Digest>) -> Result<Head, LedgerError> {
    verify_by(path, contains, |each| walk_input(path, input, each))
}

fn verify_by(
    path: &Path,
    contains: Option<Sha256Digest>,
    walk: impl FnOnce(&mut dyn FnMut(&Record, &str)) -> Result<Head, LedgerError>,
) -> Result<Head, LedgerError> {
    let mut found = contains.is_none();
    let head = walk(&mut |_, line| found |= Some(sha256(line.as_bytes())) == contains)?;
    match contains {
        Some(digest) if !found => Err(LedgerError::Missing { path: path.into(), digest }),
        _ => Ok(head),
    }
}

#[cfg(test)]
mod tests;
