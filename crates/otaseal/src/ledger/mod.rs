//! The ledger: one line for every signature, each bound to the one before it.
//!
//! A ledger is a text file of JSON lines that only grows. Each line holds the SHA-256 of the line before it, so that
//! none can be changed, taken out or put in between without every later one showing it. What a chain alone cannot
//! show is that its end was cut off: whoever keeps the last digest elsewhere ([`Head::sha256`]) sees that too.
//!
//! ```text
//! {"seq":1,"prev":"00…00","time":"2026-11-21T07:45:00Z","input":{…},"output":{…},"signature":"pkcs1v15-sha256",…}
//! ```
//!
//! A line is on the disk before the signed file gets its name: there may be a line without a file, never a file
//! without its line.

mod append;
mod group;
mod origin;

use crate::format::digest::{Sha256Digest, sha256};
use crate::sign::Scheme;
use fd_lock::RwLock;
use otaseal_device::KeyId;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::append::Appended;
use self::group::Group;
pub use self::origin::Origin;

/// Longest line, in bytes. Real ones have about seven hundred.
pub const MAX_LINE: usize = 64 * 1024;

/// What the first line has in place of a predecessor's digest.
const FIRST: Sha256Digest = Sha256Digest([0; 32]);

/// A ledger that signatures are entered into.
#[derive(Debug, Clone)]
pub struct Ledger {
    path: PathBuf,
    origin: Origin,
    group: Arc<Group>,
}

/// One signature, to be entered.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What was signed: the payload.
    pub input: NamedDigest,
    /// The signed file.
    pub output: NamedDigest,
    /// The form of the signature.
    pub signature: Scheme,
    /// The key that signed.
    pub key_id: KeyId,
}

/// A file and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedDigest {
    /// Its name, as it was given.
    pub file: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

impl NamedDigest {
    /// From a digest that is known.
    pub fn new(file: impl Into<String>, size_bytes: u64, sha256: Sha256Digest) -> Self {
        /// A line must hold two names.
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
    /// SHA-256 of the line before it, without its line end; zeros for the first.
    pub prev: Sha256Digest,
    /// When it was entered: UTC, RFC 3339.
    pub time: String,
    /// What was signed.
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
    /// Commit of the source tree, with `-dirty` behind it when files were changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    /// What the build is called by whatever ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// User and machine. It is what the environment says, and proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// What stood after the line before it and was no whole line: somebody was interrupted while writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered>,
}

/// An unfinished line that was moved aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// The file beside the ledger that holds it now.
    pub file: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

/// The end of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Head {
    /// How many lines there are.
    pub records: u64,
    /// SHA-256 of the last line; zeros when there is none.
    pub sha256: Sha256Digest,
}

/// Why a ledger was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The system refused.
    #[error("the ledger {} could not be {action}: {source}", path.display())]
    Io {
        /// The ledger.
        path: PathBuf,
        /// What was done to it: read, written or locked.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is no ledger", .0.display())]
    NotALedger(PathBuf),
    /// A line that cannot be what was written.
    #[error("{}: line {line}: {what}", path.display())]
    Broken {
        /// The ledger.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        what: Break,
    },
    /// A digest that was noted elsewhere belongs to no line.
    #[error("{} has no line with the SHA-256 {digest}", path.display())]
    Missing {
        /// The ledger.
        path: PathBuf,
        /// The digest.
        digest: Sha256Digest,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Break {
    /// Longer than [`MAX_LINE`].
    #[error("it is longer than {} KiB", MAX_LINE / 1024)]
    TooLong,
    /// Not a record in JSON.
    #[error("it is no record: {0}")]
    Form(String),
    /// Its number is not the next.
    #[error("its number is {found}, {expected} is the next")]
    Sequence {
        /// The next number.
        expected: u64,
        /// Its number.
        found: u64,
    },
    /// It does not hold the digest of the line before it.
    #[error("the chain is broken: the line before it is not the one that it was written after")]
    Chain,
    /// No line end: writing it was interrupted.
    #[error("it is not finished")]
    Torn,
}

impl LedgerError {
    /// The same once more: one failure can be that of several signatures.
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

    /// Whether the ledger was read and found wanting, rather than not read.
    pub fn is_verdict(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Missing { .. })
    }
}

impl Ledger {
    /// A ledger in a file, which is made by the first entry. Every entry says where it comes from.
    pub fn new(path: impl Into<PathBuf>, origin: Origin) -> Self {
        Self { path: path.into(), origin, group: Arc::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks the whole chain before something is added to it, once for this ledger and all its clones. A ledger that is
    /// not there yet is whole, and an unfinished last line is moved aside by [`Ledger::append`].
    ///
    /// # Errors
    /// As [`walk`].
    pub fn verify_once(&self) -> Result<(), LedgerError> {
        self.group.once(|| {
            // What is no file is refused by the one who writes; reading a pipe would wait for ever.
            if !self.path.is_file() {
                return Ok(());
            }
            match verify(&self.path, None) {
                Ok(_) | Err(LedgerError::Broken { what: Break::Torn, .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}

/// Reads a ledger from its first line to its last and checks the chain on the way; `each` gets every record that was
/// found good, with its line as it stands there.
///
/// # Errors
/// [`LedgerError::Broken`] with the first line that is not as it was written.
pub fn walk(path: &Path, each: &mut dyn FnMut(&Record, &str)) -> Result<Head, LedgerError> {
    let failed = |action| move |source| LedgerError::Io { path: path.into(), action, source };
    let file = File::open(path).map_err(failed("read"))?;
    if file.metadata().map_err(failed("read"))?.is_dir() {
        return Err(failed("read")(io::ErrorKind::IsADirectory.into()));
    }
    // So that nobody is seen in the middle of writing.
    let lock = RwLock::new(file);
    let guard = lock.read().map_err(failed("locked"))?;
    let mut reader = BufReader::new(&*guard);
    let mut head = Head { records: 0, sha256: FIRST };
    let mut line = Vec::new();
    loop {
        line.clear();
        let broken = |what| LedgerError::Broken { path: path.into(), line: head.records + 1, what };
        let limited = (&mut reader).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        match limited.map_err(failed("read"))? {
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

/// Checks the whole chain, and that the line with this digest is in it, where one is given: the last line of the
/// ledger as it was at some time, noted elsewhere.
///
/// # Errors
/// As [`walk`], and [`LedgerError::Missing`].
pub fn verify(path: &Path, contains: Option<Sha256Digest>) -> Result<Head, LedgerError> {
    let mut found = contains.is_none();
    let head = walk(path, &mut |_, line| found |= Some(sha256(line.as_bytes())) == contains)?;
    match contains {
        Some(digest) if !found => Err(LedgerError::Missing { path: path.into(), digest }),
        _ => Ok(head),
    }
}

#[cfg(test)]
mod tests;
