//! A device as far as it is known, and what it does with an image.

use std::fmt;

use serde::Serialize;

use super::{Assumption, Profile, Reason};
use crate::format::image::esp8266::FlashMode;
use crate::key::PublicKey;
use crate::profile::fit::Flash;

/// A device, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Device<'k> {
    /// Its kind.
    pub profile: Profile,
    /// The public key in it.
    pub key: Option<&'k PublicKey>,
    /// Its flash, and what runs from it.
    pub flash: Option<Flash>,
    /// Size of its flash chip in bytes.
    pub flash_bytes: Option<u32>,
    /// The mode in which it reads its flash.
    pub flash_mode: Option<FlashMode>,
}

impl<'k> Device<'k> {
    /// Of a kind, with a key or not, and nothing else known.
    pub fn new(profile: Profile, key: Option<&'k PublicKey>) -> Self {
        Self { profile, key, flash: None, flash_bytes: None, flash_mode: None }
    }
}

/// What becomes of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// It is installed.
    Accepts,
    /// The old firmware goes on running.
    Refuses {
        /// The device's number for it, where it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u8>,
        /// What the device prints or publishes.
        prints: String,
        /// What is wrong.
        reason: Reason,
    },
    /// The updater takes it, and the device does not run, or not as meant, after it.
    Bricks {
        /// What happens.
        reason: Reason,
    },
    /// It depends on what was not said.
    Unknown {
        /// On what.
        reason: Reason,
    },
}

impl Verdict {
    /// Why it is not accepted.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accepts => None,
            Self::Refuses { reason, .. } | Self::Bricks { reason, .. } | Self::Unknown { reason, .. } => {
                Some(reason)
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepts => f.write_str("accepted"),
            Self::Refuses { prints, reason, .. } => write!(f, "refused: {prints} ({reason})"),
            Self::Bricks { reason, .. } => write!(f, "bricks the device: {reason}"),
            Self::Unknown { reason, .. } => write!(f, "cannot be judged: {reason}"),
        }
    }
}

/// A verdict, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Judgement {
    /// What becomes of the image.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The updater's steps that it passed, in their order.
    pub passed: Vec<&'static str>,
    /// What was taken for granted because nothing is known of it.
    pub assumed: Vec<Assumption>,
}
