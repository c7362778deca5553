//! Says how far an update got, and how that is known.
//!
//! A device of these families rarely tells all. A server that has sent every byte knows nothing of the flash. So evidence
//! is a ladder, and a report names the highest rung that was reached.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// What is known of an update of one device, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// E0: nothing.
    Nothing,
    /// E1: somebody with this identity was there. The identity is a claim.
    Contact,
    /// E2: every byte was handed to the network.
    HandedOver,
    /// E3: every byte reached the device's network code.
    Sent,
    /// E4: the device says that it took the update.
    Taken,
    /// E5: the device came back as the new image.
    Running,
    /// E6: it still runs the new image after a while.
    Settled,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing is known",
            Self::Contact => "the device was there",
            Self::HandedOver => "every byte was handed to the network",
            Self::Sent => "sent: every byte reached the device",
            Self::Taken => "taken: the device says that it took the update",
            Self::Running => "running: the device came back as the new image",
            Self::Settled => "settled: the device still runs the new image",
        })
    }
}

/// Who refused an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// We did, before a byte was sent.
    Us,
    /// The device did.
    Device,
}

/// The end of one update of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum End {
    /// Nobody refused. This is the strongest evidence that was reached.
    Reached {
        /// The evidence.
        evidence: Evidence,
        /// What would prove more, as a sentence. Empty if nothing could.
        more: String,
    },
    /// The device runs this image already. Nothing was sent.
    AlreadyRunning,
    /// The update was refused.
    Refused {
        /// By whom.
        by: By,
        /// A stable code: ours, or the device's status or error number.
        code: String,
        /// The device's own words, escaped. Empty if we refused.
        says: String,
        /// Why, and what to do, as sentences.
        why: String,
    },
    /// It could not be done, or the result cannot be known.
    Failed {
        /// The strongest evidence that was reached before.
        evidence: Evidence,
        /// What went wrong, as a sentence.
        why: String,
        /// What to do. Empty if there is no advice.
        advice: String,
    },
}

impl End {
    /// Returns the evidence that an update ends with. A refusal is none.
    pub fn evidence(&self) -> Evidence {
        match self {
            Self::Reached { evidence, .. } | Self::Failed { evidence, .. } => *evidence,
            Self::AlreadyRunning => Evidence::Running,
            Self::Refused { .. } => Evidence::Nothing,
        }
    }
}

/// What happens during an update. A host tells it as it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The host waits for the device.
    Waits {
        /// For what.
        what: &'static str,
    },
    /// The device answered, or connected.
    Contact {
        /// Its address or its name.
        with: String,
    },
    /// The device asks for a password, and the host answers it.
    Authenticates {
        /// The scheme.
        scheme: &'static str,
    },
    /// So many bytes were handed to the network so far.
    Progress {
        /// Bytes of the file.
        sent: u64,
        /// Bytes of the whole file.
        of: u64,
    },
    /// The device says something. The text is escaped.
    Says {
        /// Its words.
        text: String,
    },
    /// The host starts again.
    Retries {
        /// Why.
        why: String,
        /// How long it waits before.
        after: Duration,
    },
    /// Higher evidence was reached.
    Reached {
        /// The evidence.
        evidence: Evidence,
    },
}
