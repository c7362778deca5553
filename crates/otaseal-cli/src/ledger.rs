//! The ledger: the options of every command that signs, and entering what was signed.

use crate::error::{Exit, Failure};
use crate::io::Place;
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use otaseal::ledger::{Ledger, LedgerError, Origin, Recovered};
use otaseal::project::settings::Settings;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// Images of a batch that are worked on at once where a ledger is written: most of them wait for the disk, and those who
/// wait together need it once.
pub(crate) const WAIT_AT_ONCE: usize = 16;

/// Where signatures are entered.
#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    /// Enter every signature here before the signed file gets its name; made when it is missing [default: what
    /// otaseal.toml says]
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(file))]
    ledger: Option<PathBuf>,
    /// What the build is called in the ledger [default: what the CI system calls it]
    #[arg(long, value_name = "ID")]
    build_id: Option<String>,
}

/// A ledger is read before it is written: no stream can be one.
fn file(path: PathBuf) -> Result<PathBuf, &'static str> {
    if path == Path::new("-") { Err("a ledger is a file, not a stream") } else { Ok(path) }
}

impl LedgerArgs {
    /// The ledger that was named, or else the settings'. `source` is a file of the tree whose commit is entered.
    pub(crate) fn open(&self, settings: &Settings, source: Option<&Path>) -> Option<Ledger> {
        let path = self.ledger.as_ref().or(settings.ledger.as_ref())?;
        let directory = source.and_then(Path::parent).unwrap_or(Path::new(""));
        let origin = Origin::of_environment(directory).with_build_id(self.build_id.as_deref());
        Some(Ledger::new(path, origin))
    }

    /// The place of that ledger, so that no output takes it.
    pub(crate) fn place(&self, settings: &Settings) -> Option<Place> {
        self.ledger.as_deref().or(settings.ledger.as_deref()).map(Place::from)
    }
}

/// What was entered.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entered {
    file: String,
    /// Number of the last line.
    seq: u64,
    /// Its SHA-256.
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<Recovered>,
}

impl Entered {
    pub(crate) fn new(ledger: &Ledger, appended: otaseal::ledger::Appended) -> Self {
        Self {
            file: ledger.path().display().to_string(),
            seq: appended.head.records,
            sha256: appended.head.sha256.to_string(),
            recovered: appended.recovered,
        }
    }

    pub(crate) fn warning(&self) -> Option<String> {
        let Recovered { file, size_bytes, .. } = self.recovered.as_ref()?;
        Some(format!(
            "the ledger ended in an unfinished line of {size_bytes} bytes: somebody was interrupted while signing; it \
             was moved to {file}"
        ))
    }
}

impl fmt::Display for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ledger   {}, line {}", self.file, self.seq)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let failure = Self::of(&error);
        if error.is_verdict() { Self { exit: Exit::Rejected, ..failure } } else { failure }
    }
}
