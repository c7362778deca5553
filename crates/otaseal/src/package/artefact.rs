//! The artefacts: the files of a package beside its manifest.

use crate::format::layers::Encoding;
use crate::profile::Profile;
use crate::profile::devices::Refusal;
use crate::sign::Scheme;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// One kind of file in a package, beside the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtefactKind {
    /// The plain image: `NAME.bin`.
    Plain,
    /// Compressed: `NAME.bin.gz`.
    Gz,
    /// Plain and signed: `NAME.bin.signed`.
    Signed,
    /// Compressed, then signed: `NAME.bin.gz.signed`.
    GzSigned,
    /// Plain, with the legacy signature: `NAME.bin.legacy_sig`.
    LegacySig,
}

impl ArtefactKind {
    /// Every kind, in the order in which a manifest lists them.
    pub const ALL: &[Self] = &[Self::Plain, Self::Gz, Self::Signed, Self::GzSigned, Self::LegacySig];
    /// The default: every kind except the legacy signature.
    pub const DEFAULT: &[Self] = &[Self::Plain, Self::Gz, Self::Signed, Self::GzSigned];

    /// The end of the file name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => ".bin",
            Self::Gz => ".bin.gz",
            Self::Signed => ".bin.signed",
            Self::GzSigned => ".bin.gz.signed",
            Self::LegacySig => ".bin.legacy_sig",
        }
    }

    /// Returns whether a file of this kind has a signature.
    pub const fn is_signed(self) -> bool {
        self.scheme().is_some()
    }

    /// The part before the suffix, and the kind that the suffix tells.
    pub(crate) fn of_file(name: &str) -> Option<(&str, Self)> {
        Self::ALL.iter().find_map(|kind| Some((name.strip_suffix(kind.suffix())?, *kind)))
    }

    pub(crate) const fn encoding(self) -> Encoding {
        match self {
            Self::Gz | Self::GzSigned => Encoding::Gzip,
            Self::Plain | Self::Signed | Self::LegacySig => Encoding::Plain,
        }
    }

    pub(crate) const fn scheme(self) -> Option<Scheme> {
        match self {
            Self::Plain | Self::Gz => None,
            Self::Signed | Self::GzSigned => Some(Scheme::Pkcs1v15Sha256),
            Self::LegacySig => Some(Scheme::Legacy),
        }
    }
}

impl FromStr for ArtefactKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "plain" => Self::Plain,
            "gz" => Self::Gz,
            "signed" => Self::Signed,
            "gz-signed" => Self::GzSigned,
            "legacy-sig" => Self::LegacySig,
            _ => {
                return Err(format!(
                    "`{text}` is not an artefact: expected plain, gz, signed, gz-signed or legacy-sig"
                ));
            }
        })
    }
}

/// An artefact that no device of the package accepts. otaseal did not make it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// Its kind.
    pub kind: ArtefactKind,
    /// The verdict of each kind of device.
    pub refused_by: Vec<Refusal>,
}

impl LeftOut {
    /// Why one kind of device does not accept it, in one line.
    pub fn reason(&self, profile: Profile) -> Option<String> {
        let refusal = self.refused_by.iter().find(|refusal| refusal.profile == profile)?;
        Some(format!("{} {}", self.kind.suffix(), refusal.verdict))
    }
}

#[cfg(test)]
mod tests;
