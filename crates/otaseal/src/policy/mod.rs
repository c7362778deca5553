//! What may be signed, and by which key.
//!
//! A [`Policy`] says what must hold. [`Policy::open`] judges the key and gives a [`Gate`], which judges images. What
//! passes both gets a [`Permit`], and only a permit signs.

pub mod continuity;
mod gate;
pub mod guard;
pub mod lint;
pub mod published_keys;
mod purpose;

pub use self::gate::{Candidate, Gate, Permit, PolicyError, SignedOutputs};
pub use self::purpose::Purpose;

use self::guard::{Content, Expected};
use crate::ledger::Ledger;
use crate::sign::AlreadySigned;

/// What must hold before an image is signed. The default is for development: any key, firmware, nothing expected.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Policy {
    /// Whether the signed image may leave the desk.
    pub purpose: Purpose,
    /// What the image is for; a recognised image of the other kind is refused.
    pub content: Content,
    /// What is expected of the public keys in the image. For a release, an image without one is refused unless that
    /// is allowed here.
    pub continuity: continuity::Rule,
    /// The key and the image that are meant; others are refused.
    pub expect: Expected,
    /// What becomes of an image that ends in what looks like a signature.
    pub already_signed: AlreadySigned,
    /// What becomes of a damaged image.
    pub damaged: Damaged,
    /// Where every signature is entered. A release without a ledger is refused.
    pub ledger: Option<Ledger>,
}

/// What becomes of an image that no device starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Damaged {
    /// It is refused.
    #[default]
    Refuse,
    /// The user means it.
    Allow,
}
