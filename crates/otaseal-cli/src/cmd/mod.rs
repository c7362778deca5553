//! The commands, one file for each: its arguments, its result, and the text of the result.

pub(crate) mod attach;
pub(crate) mod completions;
pub(crate) mod compress;
mod device;
pub(crate) mod digest;
pub(crate) mod doctor;
pub(crate) mod identify;
pub(crate) mod inspect;
mod judged;
pub(crate) mod key;
pub(crate) mod keygen;
pub(crate) mod ledger;
pub(crate) mod man;
pub(crate) mod package;
pub(crate) mod pubkey;
pub(crate) mod release;
pub(crate) mod rotate;
pub(crate) mod sign;
pub(crate) mod signing_py;
pub(crate) mod strip;
pub(crate) mod verify;
mod verify_as;

use otaseal::key::PublicKey;
use otaseal::policy::published_keys;
use serde::Serialize;
use std::fmt;

/// A key as reports show it.
#[derive(Debug, Serialize)]
pub(crate) struct KeyInfo {
    id: String,
    bits: u32,
    /// The place that published its private half, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    published_at: Option<&'static str>,
}

impl KeyInfo {
    fn of(key: &PublicKey) -> Self {
        Self {
            id: key.id().to_string(),
            bits: key.size().bits(),
            published_at: published_keys::published_at(key.id()),
        }
    }

    /// Returns a warning if the key is published. Every command that signs with it or trusts it gives this warning.
    fn warning(&self) -> Option<String> {
        let published_at = self.published_at?;
        Some(format!(
            "the private half of this key is published ({published_at}): a signature by it proves nothing; \
             make your own key with `otaseal keygen`"
        ))
    }
}

impl fmt::Display for KeyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (RSA-{})", self.id, self.bits)
    }
}

/// Returns the scheme that `--legacy` chooses.
fn scheme(legacy: bool) -> otaseal::sign::Scheme {
    if legacy { otaseal::sign::Scheme::Legacy } else { otaseal::sign::Scheme::Pkcs1v15Sha256 }
}
