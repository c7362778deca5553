//! The demands that a device can make of an update, besides a good signature.

use core::fmt;

use crate::verify::Accepted;

/// A version. Versions compare by major, then minor, then patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Version {
    /// Rises with incompatible changes.
    pub major: u32,
    /// Rises with additions.
    pub minor: u32,
    /// Rises with corrections.
    pub patch: u32,
}

/// The facts that an image states about itself, inside its signed bytes.
///
/// The verdict does not depend on them, and an image may have none. [`MetadataBlock`](crate::MetadataBlock) implements
/// this trait. Implement it for your own format of metadata.
pub trait Metadata {
    /// Returns the firmware's name.
    fn name(&self) -> Option<&str>;
    /// Returns the firmware's version.
    fn version(&self) -> Option<Version>;
    /// Returns the board that the firmware is for.
    fn board(&self) -> Option<&str>;
}

/// An image without metadata. It meets no demand.
impl Metadata for () {
    fn name(&self) -> Option<&str> {
        None
    }

    fn version(&self) -> Option<Version> {
        None
    }

    fn board(&self) -> Option<&str> {
        None
    }
}

/// Demands on an update. A field that is `None` demands nothing.
///
/// ```
/// # use otaseal_device::{Accepted, Metadata, Requirements, Unmet, Version};
/// # fn install(accepted: Accepted, metadata: &impl Metadata) -> Result<(), Unmet> {
/// let running = Version { major: 1, minor: 4, patch: 0 };
/// let demands = Requirements { name: Some("thermostat"), min_version: Some(running), ..Requirements::NONE };
/// demands.check(&accepted, metadata)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements<'a> {
    /// The firmware's name. Every byte must match.
    pub name: Option<&'a str>,
    /// The board. Every byte must match.
    pub board: Option<&'a str>,
    /// The oldest version that the device installs. Without this demand, an attacker can bring back an old firmware
    /// that has a good signature and a known hole.
    pub min_version: Option<Version>,
}

impl Requirements<'_> {
    /// No demands.
    pub const NONE: Self = Self { name: None, board: None, min_version: None };

    /// Checks the demands on an image that the verifier accepted. It takes the proof, so that nobody calls it earlier.
    ///
    /// # Errors
    ///
    /// Returns the [`Unmet`] of the first demand that the image does not meet. An image that does not state a fact does
    /// not meet a demand on that fact.
    pub fn check(&self, _proof: &Accepted, metadata: &impl Metadata) -> Result<(), Unmet> {
        if self.name.is_some() && self.name != metadata.name() {
            return Err(Unmet::Name);
        }
        if self.board.is_some() && self.board != metadata.board() {
            return Err(Unmet::Board);
        }
        match self.min_version {
            Some(least) if metadata.version().is_none_or(|version| version < least) => Err(Unmet::Version),
            _ => Ok(()),
        }
    }
}

/// The demand that an image does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum Unmet {
    /// The firmware has another name, or none.
    Name = 33,
    /// The firmware is for another board, or does not name one.
    Board = 34,
    /// The firmware is older than the device allows, or has no version.
    Version = 35,
}

impl Unmet {
    /// Returns the demand's number. It is stable, and no [`Reject`](crate::Reject) has it.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "not the firmware this device asks for",
            Self::Board => "not for this board",
            Self::Version => "older than this device allows",
        })
    }
}

impl core::error::Error for Unmet {}
