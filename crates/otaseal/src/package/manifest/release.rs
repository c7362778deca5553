//! A manifest that is read back: which release is it that a device runs?

use super::SCHEMA;
use crate::format::digest::Md5Digest;
use crate::format::image::esp8266::FlashMode;
use crate::output::is_file_name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most bytes that a manifest may have. Real ones have about two thousand.
const MAX_MANIFEST: usize = 1 << 20;

/// What is needed of a manifest to recognise a device that runs its release.
#[derive(Debug, Clone)]
pub struct Release {
    /// Homie firmware name.
    pub name: Option<String>,
    /// Homie firmware version.
    pub version: Option<String>,
    /// File name of the build.
    pub source: String,
    /// Id of the key that signed.
    pub key_id: Option<String>,
    /// Ids of the update keys in the image, where the manifest says them.
    pub carries: Option<Vec<String>>,
    md5: Md5Digest,
    flash_mode: Option<FlashMode>,
    by_flash_mode: BTreeMap<FlashMode, Md5Digest>,
    artefacts: Vec<(String, Md5Digest)>,
    signed: Vec<String>,
}

/// What an MD5 is in a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "match", rename_all = "kebab-case")]
pub enum Match {
    /// A device reports it that runs this release.
    Installed {
        /// The flash mode of that device, where the manifest tells it.
        flash_mode: Option<FlashMode>,
        /// Whether it is the mode that the release was built for.
        own_mode: bool,
    },
    /// It is the MD5 of a file as it is sent. No device reports it: signature and compression are gone by then.
    Sent {
        /// The file.
        file: String,
    },
}

/// Why a file is no manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// More than a mebibyte.
    #[error("it is larger than any manifest")]
    TooLarge,
    /// No JSON, or not that of a manifest.
    #[error("it is no manifest of otaseal: {0}")]
    Form(#[from] serde_json::Error),
    /// A manifest of a newer otaseal.
    #[error("it has schema {found}, this otaseal knows {SCHEMA}")]
    Schema {
        /// The schema found.
        found: u32,
    },
    /// A digest that is none.
    #[error("{text:?} is no MD5")]
    Digest {
        /// What stands there, cut to 40 characters.
        text: String,
    },
}

#[derive(Deserialize)]
struct Form {
    schema: u32,
    name: Option<String>,
    version: Option<String>,
    source: Source,
    installed: Installed,
    artefacts: Vec<Artefact>,
    key: Option<Key>,
    carries: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Key {
    id: String,
}

#[derive(Deserialize)]
struct Source {
    file: String,
}

#[derive(Deserialize)]
struct Installed {
    md5: String,
    flash_mode: Option<FlashMode>,
    #[serde(default)]
    md5_by_flash_mode: BTreeMap<FlashMode, String>,
}

#[derive(Deserialize)]
struct Artefact {
    file: String,
    md5: String,
    signature: Option<String>,
}

impl Release {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn from_json(json: &[u8]) -> Result<Self, ReleaseError> {
        if json.len() > MAX_MANIFEST {
            return Err(ReleaseError::TooLarge);
        }
        let form: Form = serde_json::from_slice(json)?;
        if form.schema != SCHEMA {
            return Err(ReleaseError::Schema { found: form.schema });
        }
        let signed = form.artefacts.iter().filter(|artefact| artefact.signature.is_some());
        let signed = signed.map(|artefact| artefact.file.clone()).filter(|file| is_file_name(file)).collect();
        let by_flash_mode = form.installed.md5_by_flash_mode.into_iter();
        let artefacts = form.artefacts.into_iter();
        Ok(Self {
            name: form.name.as_deref().map(on_one_line),
            version: form.version.as_deref().map(on_one_line),
            source: on_one_line(&form.source.file),
            key_id: form.key.map(|key| key.id),
            carries: form.carries,
            signed,
            md5: digest(&form.installed.md5)?,
            flash_mode: form.installed.flash_mode,
            by_flash_mode: by_flash_mode
                .map(|(mode, md5)| Ok((mode, digest(&md5)?)))
                .collect::<Result<_, ReleaseError>>()?,
            artefacts: artefacts
                .map(|artefact| Ok((artefact.file, digest(&artefact.md5)?)))
                .collect::<Result<_, ReleaseError>>()?,
        })
    }

    /// Names of the signed files, none of which leads out of the manifest's directory.
    pub fn signed_files(&self) -> impl Iterator<Item = &str> {
        self.signed.iter().map(String::as_str)
    }

    /// What an MD5 is in this release, if it is anything.
    pub fn find(&self, md5: Md5Digest) -> Option<Match> {
        if self.md5 == md5 {
            return Some(Match::Installed { flash_mode: self.flash_mode, own_mode: true });
        }
        if let Some((&mode, _)) = self.by_flash_mode.iter().find(|(_, of_mode)| **of_mode == md5) {
            return Some(Match::Installed { flash_mode: Some(mode), own_mode: false });
        }
        let sent = self.artefacts.iter().find(|(_, of_file)| *of_file == md5);
        sent.map(|(file, _)| Match::Sent { file: file.clone() })
    }
}

/// Names have no line ends or other control characters; whoever wrote some in wants reports to say what is not so.
fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn digest(text: &str) -> Result<Md5Digest, ReleaseError> {
    text.parse().map_err(|_| ReleaseError::Digest { text: text.chars().take(40).collect() })
}

#[cfg(test)]
mod tests;
