//! Decides what may be signed, and by which key.
//!
//! A [`Policy`] holds the rules. [`Policy::open`] judges the key and gives a [`Gate`]. The gate judges images: one that
//! passes gets a [`Permit`], and only a permit signs. [`Policy::needs_key`] decides whether images for the named devices
//! need a key at all.

pub mod continuity;
mod gate;
pub mod guard;
pub mod lint;
pub mod published_keys;
mod purpose;
mod unsigned;

pub use self::gate::{Candidate, Gate, Permit, PolicyError, SignedOutputs};
pub use self::purpose::Purpose;
pub use self::unsigned::NeedsKey;

use self::guard::{Content, Expected};
use crate::ledger::Ledger;
use crate::output::Run;
use crate::profile::devices::Devices;
use crate::sign::AlreadySigned;

/// The rules for signing an image. The default is for development: any key, firmware, nothing expected.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Policy {
    /// Whether the signed image may go to devices.
    pub purpose: Purpose,
    /// The kind of the image. The policy refuses an image that it recognises as the other kind.
    pub content: Content,
    /// The rule for the public keys in the image. For a release, the policy refuses an image without a key, unless the
    /// rule allows it.
    pub continuity: continuity::Rule,
    /// The expected key and image. The policy refuses others.
    pub expect: Expected,
    /// Whether to sign an image that ends in a valid-looking trailer.
    pub already_signed: AlreadySigned,
    /// Whether to sign a damaged image.
    pub damaged: Damaged,
    /// The devices that get the signed image, if they are known. The policy refuses an image that harms one of them and
    /// helps none.
    pub devices: Devices,
    /// The ledger that gets a line for every signature. The policy refuses a release without a ledger.
    pub ledger: Option<Ledger>,
    /// Whether this is a dry run: then a stand-in may sign in the place of a token.
    pub run: Run,
}

/// Whether to sign an image that no device starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Damaged {
    /// Refuses it.
    #[default]
    Refuse,
    /// Signs it, because the user asks for that.
    Allow,
}
