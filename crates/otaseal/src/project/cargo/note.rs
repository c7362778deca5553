//! The notes that a task gives while it runs.

use crate::ledger::Recovered;
use crate::package::evidence::SupportDoubt;
use crate::policy::guard::ImageFinding;
use crate::policy::lint::{Finding, NotIgnored};
use otaseal_device::KeyId;
use std::path::PathBuf;

/// A note for the user, while a task runs or after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The build starts.
    Building {
        /// The command, as you could type it.
        command: String,
    },
    /// No toolchain here can build the firmware, so otaseal packages the prebuilt image.
    Prebuilt {
        /// The reason.
        why: String,
        /// The image.
        path: PathBuf,
    },
    /// The key that signs is published: the signatures prove nothing.
    PublishedKey {
        /// The key's file.
        path: PathBuf,
        /// Its key id.
        key_id: KeyId,
        /// The place that published it.
        published_at: &'static str,
    },
    /// Another fault of the key that signs.
    Key(Finding),
    /// otaseal signed the firmware, and some devices refuse it.
    Image(ImageFinding),
    /// otaseal signed the firmware, and warns about the keys in it.
    Continuity {
        /// A sentence without its full stop.
        warning: String,
    },
    /// The promised support lasts longer than the key is good, or is over.
    Support(SupportDoubt),
    /// The ledger ended in an unfinished line. otaseal moved the line to another file.
    LedgerRecovered {
        /// The file with the line.
        recovered: Recovered,
    },
    /// Git does not ignore the private key, and could commit it.
    NotIgnored(NotIgnored),
    /// The new key is made, and its public half is in no source file of the firmware yet.
    NotEmitted {
        /// The reason.
        what: String,
        /// What the user can do.
        help: String,
    },
}
