//! The manifest of a package: its artefacts, the build, the key.
//!
//! `manifest.json` is sorted and has no clock unless it is given one: the same build gives the same bytes.
//!
//! [`Manifest`] is the one description of the format. It writes the file and reads it.

mod read;

use crate::format::digest::{Digests, Md5Digest, Sha256Digest, sha256};
use crate::format::image::esp8266::FlashMode;
use crate::format::image::{self, Content, Kind};
use crate::format::layers::Encoding;
use crate::key::KeySize;
use crate::output::pretty_json;
use crate::package::evidence::{Advisory, Sbom, SupportDate};
use crate::package::firmware::Source;
use crate::profile::Profile;
use crate::sign::Scheme;
use md5::{Digest, Md5};
use otaseal_device::KeyId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use self::read::ManifestError;

/// Version of the manifest's format. It grows when a field changes its meaning or goes away, not when a field joins.
pub const SCHEMA: u32 = 1;

/// File name of the manifest in the output directory.
pub const FILE_NAME: &str = "manifest.json";

/// Largest manifest that otaseal reads, in bytes. Real ones have about two thousand.
pub const MAX_MANIFEST: usize = 1 << 20;

/// The manifest of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `otaseal` and its version.
    pub tool: String,
    /// Homie firmware name, where the image has one.
    pub name: Option<String>,
    /// Homie firmware version, where the image has one.
    pub version: Option<String>,
    /// Homie brand, where the image has one. A device without a brand says "Homie".
    pub brand: Option<String>,
    /// The kind of the image. A manifest of firmware does not say it, as those of older versions of otaseal.
    #[serde(default, skip_serializing_if = "Content::is_firmware")]
    pub content: Content,
    /// The build.
    pub source: Source,
    /// The contents of the flash after the update.
    pub installed: Installed,
    /// The key that signed. `None`: nothing is signed, because the devices of the package check no signature. The file
    /// then says `null`. If the field is missing, the manifest is damaged.
    ///
    /// Nothing protects this field: an attacker can take a signed package, remove its signed files and write `null`. So
    /// refuse `None` if you know the key of the devices.
    #[serde(deserialize_with = "Option::deserialize")]
    pub key: Option<Key>,
    /// Whether it is a published key: then the signatures prove nothing.
    pub example_key: bool,
    /// Ids of the update keys in the image, in their order there: its devices trust them. `None` in the manifests of
    /// older versions of otaseal.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::key::id::optional_list")]
    pub carries: Option<Vec<KeyId>>,
    /// Seconds since 1970-01-01 UTC, if the caller gave a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// The last day of support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_until: Option<SupportDate>,
    /// Whether this update fixes a vulnerability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<bool>,
    /// The address of the advisory that describes the vulnerability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advisory: Option<Advisory>,
    /// Software bill of materials, beside this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Sbom>,
    /// The artefacts, by kind.
    pub artefacts: Vec<Artefact>,
}

/// The image that a device runs, and the digests by which a device reports it: all of the same bytes.
///
/// A device counts the image from its start to the checksum of the application. What stands behind it, such as a
/// configuration, is in the flash too, but no device reports it: see `bytes_behind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Installed {
    /// Size of the image in bytes, as the device counts it.
    pub size_bytes: u64,
    /// MD5 of the plain, unsigned image. A device of the image's own flash mode reports it as `$fw/checksum` (Homie)
    /// and `x-ESP8266-sketch-md5` (HTTP), whichever artefact it received. `None` for a filesystem image: no device
    /// reports the MD5 of its filesystem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<Md5Digest>,
    /// SHA-256 of the same bytes. A rebuild must give the same.
    pub sha256: Sha256Digest,
    /// Bytes behind the image in the plain artefact. 0 where the device counts the whole file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_behind: u64,
    /// The image's own flash mode, if it is an ESP8266 image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flash_mode: Option<FlashMode>,
    /// The MD5 that a device of each flash mode reports after it received the raw image: since core 2.4.2 the updater
    /// writes its own mode into byte 2 and changes nothing else. It does not change a compressed image.
    #[serde(default, deserialize_with = "read::by_flash_mode", skip_serializing_if = "BTreeMap::is_empty")]
    pub md5_by_flash_mode: BTreeMap<FlashMode, Md5Digest>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Installed {
    /// Describes a plain image. The sketch of a device ends with the application's checksum. The device does not count
    /// bytes behind it.
    pub fn of(plain: &[u8]) -> Self {
        Self::with_digests(plain, Digests::of(plain))
    }

    /// Does the same as [`Installed::of`], for an image whose digests are known.
    pub fn with_digests(plain: &[u8], whole: Digests) -> Self {
        let (sketch, header) = match image::identify(plain) {
            Kind::Esp8266(file) if file.is_intact() => {
                let end = file.application.as_ref().and_then(|_| file.end()).unwrap_or(plain.len());
                (plain.get(..end).unwrap_or(plain), Some(file.first.header))
            }
            _ => (plain, None),
        };
        let counted = if sketch.len() < plain.len() { Digests::of(sketch) } else { whole };
        let mut installed = Self {
            size_bytes: counted.size_bytes,
            md5: Some(counted.md5),
            sha256: counted.sha256,
            bytes_behind: (plain.len() - sketch.len()) as u64,
            flash_mode: header.and_then(|header| header.flash_mode),
            md5_by_flash_mode: BTreeMap::new(),
        };
        if let Some(header) = header {
            let of_mode = |mode: FlashMode| match mode.byte() {
                byte if byte == header.flash_mode_byte => (mode, counted.md5),
                byte => (mode, md5_in_mode(sketch, byte)),
            };
            installed.md5_by_flash_mode = FlashMode::ALL.iter().copied().map(of_mode).collect();
        }
        installed
    }

    /// Describes an image that is sent as this kind.
    pub(crate) fn sent_as(plain: &[u8], content: Content) -> Self {
        match content {
            Content::Firmware => Self::of(plain),
            Content::Filesystem => Self {
                size_bytes: plain.len() as u64,
                md5: None,
                sha256: sha256(plain),
                bytes_behind: 0,
                flash_mode: None,
                md5_by_flash_mode: BTreeMap::new(),
            },
        }
    }

    /// Describes the same image as manifests did before they had `bytes_behind`: with the size and the SHA-256 of the
    /// whole file.
    pub(crate) fn of_whole_file(self, plain: &[u8]) -> Self {
        Self { size_bytes: plain.len() as u64, sha256: sha256(plain), bytes_behind: 0, ..self }
    }
}

/// MD5 of a sketch with a given byte 2.
fn md5_in_mode(sketch: &[u8], mode: u8) -> Md5Digest {
    let (start, rest) = sketch.split_at(sketch.len().min(3));
    let start = [start.first().copied().unwrap_or_default(), start.get(1).copied().unwrap_or_default(), mode];
    Md5Digest(Md5::new().chain_update(start).chain_update(rest).finalize().into())
}

/// The key in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Key {
    /// Its key id.
    #[serde(with = "crate::key::id")]
    pub id: KeyId,
    /// Size of the modulus.
    #[serde(rename = "bits")]
    pub size: KeySize,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Artefact {
    /// Its name, without directories.
    pub file: String,
    /// Whether its payload is plain or gzip.
    pub encoding: Encoding,
    /// The form of its signature, if it is signed.
    pub signature: Option<Scheme>,
    /// Profiles of the devices that accept it, among those that the package is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_by: Vec<Profile>,
    /// Size and digests of the file.
    #[serde(flatten)]
    pub digests: Digests,
}

impl Manifest {
    /// Writes the manifest as JSON with a final newline.
    pub fn to_json(&self) -> String {
        pretty_json(self)
    }

    /// Names of the signed files.
    pub fn signed_files(&self) -> impl Iterator<Item = &str> {
        let signed = self.artefacts.iter().filter(|artefact| artefact.signature.is_some());
        signed.map(|artefact| artefact.file.as_str())
    }

    /// Looks for an MD5 in this package.
    pub fn find(&self, md5: Md5Digest) -> Option<Match> {
        let installed = &self.installed;
        if installed.md5 == Some(md5) {
            return Some(Match::Installed { flash_mode: installed.flash_mode, own_mode: true });
        }
        if let Some((&mode, _)) = installed.md5_by_flash_mode.iter().find(|(_, of_mode)| **of_mode == md5) {
            return Some(Match::Installed { flash_mode: Some(mode), own_mode: false });
        }
        let sent = self.artefacts.iter().find(|artefact| artefact.digests.md5 == md5);
        sent.map(|artefact| Match::Sent { file: artefact.file.clone() })
    }
}

/// The meaning of an MD5 in a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "match", rename_all = "kebab-case")]
pub enum Match {
    /// A device that runs this package reports it.
    Installed {
        /// The flash mode of that device, where the manifest tells it.
        flash_mode: Option<FlashMode>,
        /// Whether the package was built for that mode.
        own_mode: bool,
    },
    /// The MD5 of an artefact. No device reports it: the device removes signature and compression first.
    Sent {
        /// The file.
        file: String,
    },
}

#[cfg(test)]
mod tests;
