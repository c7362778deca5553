//! What a device may demand of an update beyond a good signature.

use core::fmt;

use crate::verify::Accepted;

/// A version, ordered by its parts from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Version {
    /// Incompatible changes.
    pub major: u32,
    /// Additions.
    pub minor: u32,
    /// Corrections.
    pub patch: u32,
}

/// What an image says of itself, inside its signed bytes.
///
/// The verdict does not depend on it. Whoever reads a format of metadata implements this; the format is not
/// this crate's, and an image may have none.
pub trait Metadata {
    /// The firmware's name.
    fn name(&self) -> Option<&str>;
    /// The firmware's version.
    fn version(&self) -> Option<Version>;
    /// The board it was built for.
    fn board(&self) -> Option<&str>;
}

/// An image without metadata: it meets no demand.
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

/// Demands on an update; what is `None` is not asked for.
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
    /// The firmware's name, to the byte.
    pub name: Option<&'a str>,
    /// The board, to the byte.
    pub board: Option<&'a str>,
    /// The oldest version that may be installed: what keeps an attacker from bringing back an old one, validly
    /// signed, with a known hole.
    pub min_version: Option<Version>,
}

impl Requirements<'_> {
    /// No demands.
    pub const NONE: Self = Self { name: None, board: None, min_version: None };

    /// Checks the demands on an image that was accepted; the proof is taken so that nobody asks before that.
    ///
    /// # Errors
    ///
    /// [`Unmet`], by the first demand that is not met. A demand on what the metadata does not say is not met.
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
    /// Another firmware, or one without a name.
    Name = 33,
    /// For another board, or for none that it names.
    Board = 34,
    /// Older than allowed, or without a version.
    Version = 35,
}

impl Unmet {
    /// The demand's number, stable, and none of [`Reject`](crate::Reject)'s.
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
