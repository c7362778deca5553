//! Decides whether images need a key. Only images for devices that check no signature do without one.

use super::{Policy, Purpose};
use crate::profile::Profile;
use std::fmt;

/// Why a key must sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NeedsKey {
    /// It is a release.
    Release,
    /// The policy expects a key.
    Expected,
    /// No device is named, and a device may check signatures.
    AnyDevice,
    /// This kind of device checks signatures.
    Device(Profile),
    /// The caller asks for a signed file.
    SignedFile,
}

impl fmt::Display for NeedsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release => f.write_str("a release is signed"),
            Self::Expected => f.write_str("a key is expected"),
            Self::AnyDevice => f.write_str("no device is named, and devices may check signatures"),
            Self::Device(profile) => write!(f, "{profile} checks signatures"),
            Self::SignedFile => f.write_str("a signed file was asked for"),
        }
    }
}

impl Policy {
    /// Returns why a key must sign, or `None` if nobody needs a signature: every named device checks none.
    pub fn needs_key(&self) -> Option<NeedsKey> {
        if self.purpose == Purpose::Release {
            return Some(NeedsKey::Release);
        }
        // The caller knows the key of the devices. Without a signature, nothing shows that this key made the image.
        if self.expect.public_key.is_some() || self.expect.key_id.is_some() {
            return Some(NeedsKey::Expected);
        }
        match self.devices.verifying() {
            Some(profile) => Some(NeedsKey::Device(profile)),
            None if self.devices.profiles.is_empty() => Some(NeedsKey::AnyDevice),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests;
