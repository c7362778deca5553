//! What a task tells while it runs.

use crate::ledger::Recovered;
use crate::package::evidence::SupportDoubt;
use crate::policy::lint::Finding;
use otaseal_device::KeyId;
use std::path::PathBuf;

/// What is worth telling while a task runs, and after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The build starts.
    Building {
        /// The command, as one could type it.
        command: String,
    },
    /// The firmware cannot be built here: its prebuilt image is packaged.
    Prebuilt {
        /// Why.
        why: String,
        /// The image.
        path: PathBuf,
    },
    /// The key that signs is published: the signatures prove nothing.
    PublishedKey {
        /// The file it was read from.
        path: PathBuf,
        /// Its key id.
        key_id: KeyId,
        /// Where it is published.
        published_at: &'static str,
    },
    /// Something else is wrong with the key that signs.
    Key(Finding),
    /// The firmware was signed, and what the keys in it say is worth a warning.
    Continuity {
        /// A sentence without its full stop.
        warning: String,
    },
    /// The promise of support cannot be kept, or is over.
    Support(SupportDoubt),
    /// The ledger ended in an unfinished line, which was moved aside.
    LedgerRecovered {
        /// Where it is.
        recovered: Recovered,
    },
    /// Git would take the private key.
    NotIgnored {
        /// The private key.
        path: PathBuf,
    },
}
