//! Describes a device, and its verdict on an image.

use std::fmt;

use serde::Serialize;

use super::{Assumption, Profile, Reason};
use crate::format::image::esp8266::FlashMode;
use crate::key::PublicKey;
use crate::profile::fit::Flash;

/// The known facts about a device.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Device<'k> {
    /// Its kind.
    pub profile: Profile,
    /// The public key in it.
    pub key: Option<&'k PublicKey>,
    /// Its flash, and the image that runs from it.
    pub flash: Option<Flash>,
    /// Size of its flash chip in bytes.
    pub flash_bytes: Option<u32>,
    /// The mode in which it reads its flash.
    pub flash_mode: Option<FlashMode>,
}

impl<'k> Device<'k> {
    /// A device of this kind, with or without a key. Nothing else is known.
    pub fn new(profile: Profile, key: Option<&'k PublicKey>) -> Self {
        Self { profile, key, flash: None, flash_bytes: None, flash_mode: None }
    }
}

/// What the device does with an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// It installs the image.
    Accepts,
    /// It refuses the image, and the old firmware goes on running.
    Refuses {
        /// The device's error number, if it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u8>,
        /// The text that the device prints or publishes.
        prints: String,
        /// The reason.
        reason: Reason,
    },
    /// The updater accepts the image, and afterwards the device does not run, or not as meant.
    Bricks {
        /// The reason.
        reason: Reason,
    },
    /// The verdict depends on a fact that is not given.
    Unknown {
        /// The missing fact.
        reason: Reason,
    },
}

impl Verdict {
    /// Returns why the device does not accept the image.
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

/// A verdict, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Judgement {
    /// What the device does with the image.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The updater's steps that the image passed, in their order.
    pub passed: Vec<&'static str>,
    /// Facts that are not known, and were assumed.
    pub assumed: Vec<Assumption>,
}
