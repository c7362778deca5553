//! A release that may be offered: the files of a package, verified, in memory.
//!
//! Nothing is offered that was not verified. A package proves that its files are those of its manifest, but anybody can
//! write a manifest. So with a key, a signed file must verify, and each unsigned file must hold the image of a signed one.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use otaseal::device::{KeyId, layout};
use otaseal::format::digest::{Digests, Md5Digest, Sha256Digest};
use otaseal::format::gzip::GunzipError;
use otaseal::format::homie;
use otaseal::format::image::esp32::Esp32Chip;
use otaseal::format::image::{self, Content, Esp32Image, Kind};
use otaseal::format::layers::{self, Encoding};
use otaseal::key::PublicKey;
use otaseal::package::manifest::Installed;
use otaseal::package::{Package, PartsError};
use otaseal::policy::continuity;
use otaseal::profile::Profile;
use otaseal::sign::{Scheme, verify};
use serde::Serialize;

use crate::device::{DeviceFacts, DeviceKey, Family, Known, Origin};

/// Largest file that a release holds, in bytes: as large as the largest flash of these devices.
pub const MAX_FILE: usize = 16 << 20;

/// Whom we believe.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The owners of these keys: one of them must have signed.
    Keys(Vec<PublicKey>),
    /// Everybody who can write the file. If it is signed by one of these keys, the release says so.
    Unsigned(Vec<PublicKey>),
}

impl Trust {
    /// The keys, which may be none.
    pub fn keys(&self) -> &[PublicKey] {
        match self {
            Self::Keys(keys) | Self::Unsigned(keys) => keys,
        }
    }
}

/// A verified release.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Release {
    /// Start of its file names.
    pub base: String,
    /// Name of the firmware, where the image has one.
    pub firmware: Option<String>,
    /// Version of the firmware, where the image has one.
    pub version: Option<String>,
    /// What it is sent as.
    pub content: Content,
    /// The image that runs after the update, and its digests.
    pub installed: Installed,
    /// The family of chips that the image says it is for. `None` where an image says nothing, as a filesystem does.
    pub family: Option<Family>,
    /// The board that the image says it is for.
    pub board: Option<String>,
    /// Update keys that the image carries: a device that runs it trusts these.
    pub carries: Vec<PublicKey>,
    /// The key that signed: a trusted one, or one that the image carries. `None` if it is another, or nothing is signed.
    pub signer: Option<PublicKey>,
    /// The digest that an ESP32 image ends with. A device of that family reports it of what it runs.
    pub esp32_sha256: Option<Sha256Digest>,
    /// The chip of the ESP32 family that the image says it is for.
    pub esp32_chip: Option<Esp32Chip>,
    /// Seconds since 1970 of the package, if it says a time. Of two releases of one version, the later one is newer.
    pub timestamp: Option<u64>,
    /// Its files.
    pub artefacts: Vec<Artefact>,
}

/// One file of a release.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct Artefact {
    /// Its name, without directories.
    pub file: String,
    /// Whether its payload is plain or gzip.
    pub encoding: Encoding,
    /// The form of its signature, if it is signed.
    pub signature: Option<Scheme>,
    /// Size and digests of the file: what the device gets.
    #[serde(flatten)]
    pub digests: Digests,
    /// Profiles that accepted it when the package was made. Empty if the package was made for no named device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted_by: Vec<Profile>,
    /// The file.
    #[serde(skip)]
    pub contents: Contents,
}

impl fmt::Debug for Artefact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Artefact({}, {} bytes)", self.file, self.digests.size_bytes)
    }
}

/// The bytes of a file: in memory, or where they are stored.
#[derive(Clone)]
pub enum Contents {
    /// In memory.
    Held(Bytes),
    /// Elsewhere.
    Stored(Arc<dyn Stored>),
}

/// Where bytes are stored. They were verified once: [`Stored::load`] must give these bytes and no others.
pub trait Stored: Send + Sync {
    /// The bytes, if they are in memory.
    fn held(&self) -> Option<Bytes>;

    /// The bytes. This may take as long as a disk does.
    ///
    /// # Errors
    /// The system's, or [`io::ErrorKind::InvalidData`] if they are no longer the same bytes.
    fn load(&self) -> io::Result<Bytes>;
}

impl Contents {
    /// The bytes, if they are in memory.
    pub fn held(&self) -> Option<Bytes> {
        match self {
            Self::Held(bytes) => Some(bytes.clone()),
            Self::Stored(stored) => stored.held(),
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// Those of [`Stored::load`].
    pub fn load(&self) -> io::Result<Bytes> {
        match self {
            Self::Held(bytes) => Ok(bytes.clone()),
            Self::Stored(stored) => stored.load(),
        }
    }
}

/// Why a package or a file is not offered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The files are not those of the manifest.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// A file is larger than the flash of any device.
    #[error("{file} is larger than {MAX_FILE} bytes, the largest flash of these devices")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// The file is no firmware.
    #[error("{file} is {found}, not a firmware image")]
    NoImage {
        /// The file.
        file: String,
        /// What it is, with its article.
        found: String,
    },
    /// No file is signed by a trusted key.
    #[error("no file of it is signed by the key {}", ids(.expected))]
    NotSigned {
        /// Ids of the trusted keys.
        expected: Vec<KeyId>,
    },
    /// A signature does not verify.
    #[error("the signature of {file} is not by the key {}", ids(.expected))]
    BadSignature {
        /// The file.
        file: String,
        /// Ids of the trusted keys.
        expected: Vec<KeyId>,
    },
    /// A file holds another image than the signed one.
    #[error("{file} holds another image than the signed file {signed}")]
    OtherImage {
        /// The file.
        file: String,
        /// The signed file.
        signed: String,
    },
    /// A gzip that a boot loader would inflate wrongly.
    #[error("{file}: {source}")]
    Gzip {
        /// The file.
        file: String,
        /// The fault.
        source: GunzipError,
    },
    /// The tokens of the image contradict each other.
    #[error("{file}: {source}")]
    Tokens {
        /// The file.
        file: String,
        /// The fault.
        source: homie::TokenError,
    },
}

fn ids(keys: &[KeyId]) -> String {
    match keys {
        [] => "that we know (no key is given)".into(),
        keys => keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
    }
}

impl Release {
    /// Verifies a package: [`Package`] has compared its files with its manifest.
    ///
    /// # Errors
    /// [`ReleaseError`]: the first fault.
    pub fn of_package(package: &Package, trust: &Trust) -> Result<Self, ReleaseError> {
        let manifest = package.manifest();
        let mut files = Vec::new();
        for item in &manifest.artefacts {
            let found = package.files().iter().find(|file| file.name() == item.file);
            let Some(bytes) = found.map(|file| Bytes::from(file.bytes().into_owned())) else { continue };
            let artefact = Artefact {
                file: item.file.clone(),
                encoding: item.encoding,
                signature: item.signature,
                digests: item.digests,
                accepted_by: item.accepted_by.clone(),
                contents: Contents::Held(bytes.clone()),
            };
            files.push((artefact, bytes));
        }
        let release = Self::verified(package.base().to_owned(), manifest.content, files, trust)?;
        Ok(Self { timestamp: manifest.timestamp, ..release })
    }

    /// Verifies one file that is no package: an image, plain or in a gzip, signed or not. The payload of a signed file
    /// is offered too, to devices that check no signature.
    ///
    /// # Errors
    /// [`ReleaseError`]: the first fault.
    pub fn of_file(name: &str, bytes: Bytes, content: Content, trust: &Trust) -> Result<Self, ReleaseError> {
        let signature = image::trailer_of(&bytes).map(|found| layout::trailer_len(found.signature_len));
        let payload = bytes.slice(..bytes.len() - signature.unwrap_or(0));
        let encoding = match otaseal::format::gzip::is_gzip(&payload) {
            true => Encoding::Gzip,
            false => Encoding::Plain,
        };
        let artefact = |file: String, signature, bytes: Bytes| {
            let (digests, contents) = (Digests::of(&bytes), Contents::Held(bytes.clone()));
            (Artefact { file, encoding, signature, digests, accepted_by: Vec::new(), contents }, bytes)
        };
        let schemes = [Scheme::Pkcs1v15Sha256, Scheme::Legacy];
        let good = |scheme: &Scheme| {
            trust.keys().iter().any(|key| verify::judge_bytes(&bytes, key, *scheme).is_ok())
        };
        let files = match (signature, schemes.into_iter().find(good)) {
            (None, _) => vec![artefact(name.to_owned(), None, bytes.clone())],
            // It cannot be verified here, but the device that gets it may.
            (Some(_), None) => vec![artefact(name.to_owned(), Some(schemes[0]), bytes.clone())],
            (Some(_), Some(scheme)) => {
                let inner = name.strip_suffix(".signed").unwrap_or(name);
                let inner =
                    if inner == name { format!("{name} without its signature") } else { inner.to_owned() };
                vec![artefact(inner, None, payload), artefact(name.to_owned(), Some(scheme), bytes.clone())]
            }
        };
        let base = name.split('.').next().unwrap_or(name).to_owned();
        Self::verified(base, content, files, trust)
    }

    fn verified(
        base: String,
        content: Content,
        files: Vec<(Artefact, Bytes)>,
        trust: &Trust,
    ) -> Result<Self, ReleaseError> {
        let expected: Vec<KeyId> = trust.keys().iter().map(PublicKey::id).collect();
        let mut signed: Option<(&(Artefact, Bytes), &PublicKey)> = None;
        for file in &files {
            let (artefact, bytes) = file;
            if bytes.len() > MAX_FILE {
                return Err(ReleaseError::TooLarge { file: artefact.file.clone() });
            }
            let Some(scheme) = artefact.signature else { continue };
            let by = trust.keys().iter().find(|key| verify::judge_bytes(bytes, key, scheme).is_ok());
            match (by, trust) {
                (Some(key), _) => signed = signed.or(Some((file, key))),
                (None, Trust::Unsigned(_)) => {}
                (None, Trust::Keys(_)) => {
                    return Err(ReleaseError::BadSignature { file: artefact.file.clone(), expected });
                }
            }
        }
        if signed.is_none() && matches!(trust, Trust::Keys(_)) {
            return Err(ReleaseError::NotSigned { expected });
        }
        let Some(chief) = signed.map(|(file, _)| file).or(files.first()) else {
            return Err(ReleaseError::NotSigned { expected });
        };
        let plain = unpacked(chief)?;
        // To hash the image in each flash mode takes as long as to unpack a file.
        let installed = std::thread::scope(|scope| {
            let hashed = scope.spawn(|| Installed::of(otaseal::format::metadata::without_tail(&plain)));
            hold_one_image(&files, chief, &plain)?;
            Ok::<_, ReleaseError>(hashed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        let chief = &chief.0;
        let image = otaseal::format::metadata::without_tail(&plain);
        let kind = image::identify(image);
        let is_firmware = content == Content::Firmware;
        let no_image = || ReleaseError::NoImage { file: chief.file.clone(), found: kind.to_string() };
        if is_firmware && !may_be_firmware(&kind) {
            return Err(no_image());
        }
        let tokens = match is_firmware {
            true => homie::extract(image)
                .map_err(|source| ReleaseError::Tokens { file: chief.file.clone(), source })?,
            false => homie::Tokens::default(),
        };
        let carries = match is_firmware {
            true => continuity::quick_search(image, &trust.keys().iter().collect::<Vec<_>>()).keys,
            false => Vec::new(),
        };
        let carries: Vec<PublicKey> = carries.into_iter().map(|located| located.key).collect();
        // Nobody vouches for the keys in the image. But a device that has one of them takes the files that it signed.
        let own = || {
            let signed = files.iter().filter_map(|(artefact, bytes)| Some((bytes, artefact.signature?)));
            let by = |key: &&PublicKey| {
                signed.clone().any(|(bytes, scheme)| verify::judge_bytes(bytes, key, scheme).is_ok())
            };
            carries.iter().find(by).cloned()
        };
        let signer = signed.map(|(_, key)| key.clone()).or_else(own);
        Ok(Self {
            base,
            firmware: tokens.name.map(|name| name.value.as_str().to_owned()),
            version: tokens.version.map(|version| version.value.as_str().to_owned()),
            content,
            installed,
            family: family(&kind).filter(|_| is_firmware),
            board: board(&kind),
            carries,
            signer,
            esp32_sha256: esp32(&kind).and_then(|image| image.hash),
            esp32_chip: esp32(&kind).map(|image| image.header.chip),
            timestamp: None,
            artefacts: files.into_iter().map(|(artefact, _)| artefact).collect(),
        })
    }

    /// Every MD5 that a device reports while it runs this release: one for each flash mode, since an updater writes its
    /// own mode into the image, and the image's own, which a gzip keeps.
    pub fn running_md5s(&self) -> Vec<Md5Digest> {
        if self.content != Content::Firmware {
            return Vec::new();
        }
        let mut all: Vec<Md5Digest> = self.installed.md5.into_iter().collect();
        for md5 in self.installed.md5_by_flash_mode.values() {
            if !all.contains(md5) {
                all.push(*md5);
            }
        }
        all
    }

    /// Adds to the facts of a device what follows from the release that it runs: its name and version, its flash mode, and
    /// which keys it has.
    pub fn tell(&self, facts: &mut DeviceFacts) {
        let origin = Origin::RunningImage;
        let md5 = facts.md5.as_ref().map(|md5| md5.value);
        let text = |value: &Option<String>| value.clone().map(|value| Known::new(value, origin));
        facts.firmware = text(&self.firmware).or(facts.firmware.take());
        facts.version = text(&self.version).or(facts.version.take());
        facts.board = facts.board.take().or(text(&self.board));
        let by_mode = self.installed.md5_by_flash_mode.iter();
        let mode = by_mode.filter(|(_, of_mode)| Some(**of_mode) == md5).map(|(mode, _)| *mode).next();
        facts.flash_mode = mode.map(|mode| Known::new(mode, origin)).or(facts.flash_mode.take());
        if matches!(facts.key, DeviceKey::Unknown) {
            facts.key = match self.carries.as_slice() {
                [] => DeviceKey::None(origin),
                keys => DeviceKey::Holds(keys.to_vec(), origin),
            };
        }
    }

    /// A short name for people: firmware and version, or the file.
    pub fn title(&self) -> String {
        match (&self.firmware, &self.version) {
            (Some(firmware), Some(version)) => format!("{firmware} {version}"),
            _ => self.base.clone(),
        }
    }
}

/// Checks that every file holds the image of the chief one, which is `plain`.
fn hold_one_image(
    files: &[(Artefact, Bytes)],
    chief: &(Artefact, Bytes),
    plain: &[u8],
) -> Result<(), ReleaseError> {
    // A label behind a signed image is a part of the payload, and no part of the image.
    let of = otaseal::format::metadata::without_tail(plain);
    // Equal payloads hold equal images: a gzip and its signed form are unpacked once.
    let mut good = vec![(chief.0.encoding, payload(chief))];
    for other in files.iter().filter(|(other, _)| other.file != chief.0.file) {
        let same = (other.0.encoding, payload(other));
        if good.contains(&same) {
            continue;
        }
        if otaseal::format::metadata::without_tail(&unpacked(other)?) != of {
            return Err(ReleaseError::OtherImage {
                file: other.0.file.clone(),
                signed: chief.0.file.clone(),
            });
        }
        good.push(same);
    }
    Ok(())
}

/// The bytes of a file before its signature.
fn payload((artefact, bytes): &(Artefact, Bytes)) -> &[u8] {
    let length = match artefact.signature {
        Some(_) => image::trailer_of(bytes).map_or(0, |found| layout::trailer_len(found.signature_len)),
        None => 0,
    };
    &bytes[..bytes.len() - length]
}

/// The plain image of a file, without believing it.
fn unpacked(file: &(Artefact, Bytes)) -> Result<Vec<u8>, ReleaseError> {
    let (artefact, payload) = (&file.0, payload(file));
    if artefact.encoding == Encoding::Plain {
        return Ok(payload.to_vec());
    }
    otaseal::format::gzip::gunzip(payload, layers::MAX_IMAGE)
        .map_err(|source| ReleaseError::Gzip { file: artefact.file.clone(), source })
}

/// Whether a device of these families may be able to run it.
fn may_be_firmware(kind: &Kind) -> bool {
    matches!(kind, Kind::Esp8266(_) | Kind::Esp32(_) | Kind::Rp2040(_) | Kind::Rp2350(_) | Kind::Unknown)
}

fn family(kind: &Kind) -> Option<Family> {
    match kind {
        Kind::Esp8266(_) => Some(Family::Esp8266),
        Kind::Esp32(_) => Some(Family::Esp32),
        Kind::Rp2040(_) | Kind::Rp2350(_) => Some(Family::Rp2040),
        _ => None,
    }
}

fn esp32(kind: &Kind) -> Option<&Esp32Image> {
    match kind {
        Kind::Esp32(image) => Some(image),
        _ => None,
    }
}

fn board(kind: &Kind) -> Option<String> {
    let Kind::Rp2040(image) = kind else { return None };
    image.binary_info.as_ref()?.board.clone()
}

#[cfg(test)]
mod tests;
