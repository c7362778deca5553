//! Opens the ledger of the settings, and shows in reports what was entered.

use crate::error::{Exit, Failure};
use crate::io::this_run;
use otaseal::ledger::{Appended, Ledger, LedgerError, Origin, Recovered};
use otaseal::project::settings::Settings;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// Number of images that a batch with a ledger works on at once. Most of them wait for the disk, and all that wait
/// together need only one write.
pub(crate) const WAIT_AT_ONCE: usize = 16;

/// Opens the ledger of the settings. Its lines name the commit of the working tree that holds `source`.
pub(crate) fn open(settings: &Settings, build_id: Option<&str>, source: Option<&Path>) -> Option<Ledger> {
    // Do nothing without a ledger: asking git for the commit takes time.
    let path = settings.ledger.as_ref()?;
    let directory = source.and_then(Path::parent).unwrap_or(Path::new(""));
    let origin = Origin::of_environment(directory).with_build_id(build_id);
    Some(Ledger::new(path, origin).in_run(this_run()))
}

/// The entry of a signature, for a report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entered {
    file: String,
    /// Number of the first line of this run.
    first_seq: u64,
    /// Number of the last one.
    seq: u64,
    /// Its SHA-256.
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<Recovered>,
}

impl Entered {
    /// Returns the entry, if there is a ledger and it got a line.
    pub(crate) fn of(ledger: Option<&Ledger>, appended: Option<Appended>) -> Option<Self> {
        let (ledger, Appended { first, head, recovered, .. }) = ledger.zip(appended)?;
        let file = ledger.path().display().to_string();
        Some(Self { file, first_seq: first, seq: head.records, sha256: head.sha256.to_string(), recovered })
    }

    pub(crate) fn warning(&self) -> Option<String> {
        let Recovered { file, size_bytes, .. } = self.recovered.as_ref()?;
        Some(format!(
            "the ledger ended in an unfinished line of {size_bytes} bytes, because an earlier run stopped while it \
             wrote; otaseal moved the line to {file}"
        ))
    }
}

impl fmt::Display for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first_seq {
            first if first < self.seq => writeln!(f, "ledger   {}, lines {first} to {}", self.file, self.seq),
            _ => writeln!(f, "ledger   {}, line {}", self.file, self.seq),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let failure = Self::of(&error);
        if error.is_verdict() { Self { exit: Exit::Rejected, ..failure } } else { failure }
    }
}
