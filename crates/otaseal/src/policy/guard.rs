//! Checks an image and a key before the signature. It refuses files that are no image, damaged images, filesystems in
//! place of firmware, a flash mode that the device does not have, and a key that the device does not trust.
//!
//! A signature says that somebody meant these bytes. Nobody can have meant the bytes that these checks refuse.

use crate::format::digest::Sha256Digest;
use crate::format::gzip::{self, GunzipError};
use crate::format::homie::Tokens;
use crate::format::image::esp32::{Esp32Chip, Esp32Damage};
use crate::format::image::esp8266::{Damage, FlashMode, set_flash_mode};
use crate::format::image::{self, Kind};
use crate::format::layers::{self, MAX_IMAGE};
use crate::format::metadata::Label;
use crate::key::PublicKey;
use crate::policy::Damaged;
use otaseal_device::KeyId;
use otaseal_device::metadata::MetadataBlock;
use serde::Serialize;
use std::borrow::Cow;

mod board;
mod finding;

pub(crate) use self::board::check_board;
pub use self::finding::ImageFinding;
pub use crate::format::image::Content;

/// Why something must not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// A file that is recognised as something that no flash holds.
    #[error("it is {kind}, not an image")]
    NotAnImage {
        /// What it is.
        kind: Box<Kind>,
    },
    /// A gzip in a gzip. A device inflates once, and starts the inner gzip.
    #[error("it is a gzip inside a gzip")]
    CompressedTwice,
    /// An ESP8266 image that no device starts.
    #[error("damaged ESP8266 image: {0}")]
    Damaged(#[from] Damage),
    /// An image for a chip of the ESP32 family that no device starts.
    #[error("damaged {chip} image: {damage}")]
    DamagedEsp32 {
        /// The chip.
        chip: Esp32Chip,
        /// What is wrong with the image.
        damage: Esp32Damage,
    },
    /// A filesystem image that is shorter than it says.
    #[error("it is {found}")]
    FilesystemCutOff {
        /// Its kind, with the article.
        found: String,
    },
    /// A filesystem image where firmware is expected.
    #[error("it is {found}, not firmware")]
    IsFilesystem {
        /// Its kind, with the article.
        found: String,
    },
    /// Firmware where a filesystem image is expected.
    #[error("it is {found}, not a filesystem image")]
    IsFirmware {
        /// Its kind, with the article.
        found: String,
    },
    /// The image is built for another flash mode.
    #[error("the flash mode of the image is {}, {expected} is expected", mode_name(*.found))]
    FlashMode {
        /// The mode that the device has.
        expected: FlashMode,
        /// Byte 2 of the image.
        found: u8,
    },
    /// A flash mode is expected or to be set, and the image has none.
    #[error("it has no flash mode: it is no ESP8266 image")]
    NoFlashMode,
    /// The private key is not the one whose public half the devices have.
    #[error(
        "the private key does not belong to the expected public key: its key id is {found}, not {expected}"
    )]
    OtherKey {
        /// Key id of the expected public key.
        expected: KeyId,
        /// Key id of the key that would sign.
        found: KeyId,
    },
    /// The key is not the one whose id is expected.
    #[error("the key id is {found}, {expected} is expected")]
    OtherKeyId {
        /// The key id that was expected.
        expected: KeyId,
        /// Key id of the key that would sign.
        found: KeyId,
    },
    /// The image is for another board than the one that was said.
    #[error("it is said to be for the board {said}, but it is {found}")]
    OtherBoard {
        /// The name that was said.
        said: String,
        /// What the image says of itself, with the article.
        found: String,
    },
    /// The build is not the one that was expected.
    #[error("its SHA-256 is {found}, {expected} is expected")]
    OtherBuild {
        /// What was expected.
        expected: Sha256Digest,
        /// What the file has.
        found: Sha256Digest,
    },
}

fn mode_name(byte: u8) -> String {
    FlashMode::from_byte(byte).map_or_else(|| format!("unknown (byte {byte:#04x})"), |mode| mode.to_string())
}

/// The key and the image that somebody expects: a reviewer, or the job that built the image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Expected {
    /// The public key that the devices have.
    pub public_key: Option<PublicKey>,
    /// Id of the key.
    pub key_id: Option<KeyId>,
    /// SHA-256 of the build's file.
    pub sha256: Option<Sha256Digest>,
    /// Flash mode of the devices.
    pub flash_mode: Option<FlashMode>,
    /// The board that the firmware is for. Only the known name of another board or chip contradicts an image.
    pub board: Option<Label>,
}

impl Expected {
    /// Checks the key that would sign.
    ///
    /// # Errors
    /// [`GuardError::OtherKey`] and [`GuardError::OtherKeyId`].
    pub(crate) fn check_key(&self, key: &PublicKey) -> Result<(), GuardError> {
        let found = key.id();
        if let Some(expected) = self.public_key.as_ref().map(PublicKey::id).filter(|id| *id != found) {
            return Err(GuardError::OtherKey { expected, found });
        }
        match self.key_id.filter(|expected| *expected != found) {
            Some(expected) => Err(GuardError::OtherKeyId { expected, found }),
            None => Ok(()),
        }
    }

    /// Checks the SHA-256 of the file that would be signed.
    ///
    /// # Errors
    /// [`GuardError::OtherBuild`].
    pub(crate) fn check_build(&self, found: Sha256Digest) -> Result<(), GuardError> {
        match self.sha256.filter(|expected| *expected != found) {
            Some(expected) => Err(GuardError::OtherBuild { expected, found }),
            None => Ok(()),
        }
    }
}

/// Checks that a plain image is an image, undamaged, and of the given kind. An unknown format passes as either kind.
///
/// # Errors
/// [`GuardError::NotAnImage`], [`GuardError::Damaged`], [`GuardError::DamagedEsp32`], [`GuardError::IsFilesystem`],
/// [`GuardError::FilesystemCutOff`], [`GuardError::IsFirmware`].
pub fn check(plain: &[u8], content: Content) -> Result<(), GuardError> {
    check_kind(image::identify(plain), content)
}

fn check_kind(kind: Kind, content: Content) -> Result<(), GuardError> {
    let is_filesystem = matches!(kind, Kind::LittleFs(_) | Kind::Spiffs(_));
    let complete = match &kind {
        Kind::LittleFs(filesystem) => filesystem.complete,
        Kind::Spiffs(filesystem) => filesystem.complete,
        _ => true,
    };
    match (content, kind) {
        (Content::Firmware, kind) if is_filesystem => {
            Err(GuardError::IsFilesystem { found: kind.to_string() })
        }
        (Content::Filesystem, kind) if !complete => {
            Err(GuardError::FilesystemCutOff { found: kind.to_string() })
        }
        (Content::Firmware, Kind::Esp8266(file)) => file.damage.map_or(Ok(()), |damage| Err(damage.into())),
        (Content::Firmware, Kind::Esp32(image)) => {
            let chip = image.header.chip;
            image.damage.map_or(Ok(()), |damage| Err(GuardError::DamagedEsp32 { chip, damage }))
        }
        (
            Content::Filesystem,
            kind @ (Kind::Esp8266(_)
            | Kind::Esp8266V2(_)
            | Kind::Esp32(_)
            | Kind::Rp2040(_)
            | Kind::Rp2350(_)
            | Kind::Uf2(_)
            | Kind::Elf(_)
            | Kind::IntelHex),
        ) => Err(GuardError::IsFirmware { found: kind.to_string() }),
        (_, kind) if is_no_image(&kind) => Err(GuardError::NotAnImage { kind: Box::new(kind) }),
        _ => Ok(()),
    }
}

/// Whether no flash holds such bytes: build output that must be converted first, and files of other programs.
fn is_no_image(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Elf(_)
            | Kind::Uf2(_)
            | Kind::IntelHex
            | Kind::Key(_)
            | Kind::Archive { .. }
            | Kind::Page
            | Kind::LfsPointer
            | Kind::Text { .. }
            | Kind::Erased { .. }
    )
}

/// Checks the start of a file that is too large for an image. More of it would not fit into memory.
///
/// # Errors
/// [`GuardError::NotAnImage`].
pub(crate) fn check_start(start: &[u8]) -> Result<(), GuardError> {
    match image::identify(start) {
        // The rest of the file may hold other bytes.
        Kind::Erased { .. } => Ok(()),
        kind if is_no_image(&kind) => Err(GuardError::NotAnImage { kind: Box::new(kind) }),
        _ => Ok(()),
    }
}

/// Checks the flash mode of a plain image against the device's.
///
/// # Errors
/// [`GuardError::FlashMode`], and [`GuardError::NoFlashMode`] when it is no ESP8266 image.
pub fn expect_flash_mode(plain: &[u8], expected: FlashMode) -> Result<(), GuardError> {
    check_flash_mode(&image::identify(plain), expected)
}

fn check_flash_mode(kind: &Kind, expected: FlashMode) -> Result<(), GuardError> {
    let Kind::Esp8266(file) = kind else { return Err(GuardError::NoFlashMode) };
    match file.first.header.flash_mode_byte {
        found if found == expected.byte() => Ok(()),
        found => Err(GuardError::FlashMode { expected, found }),
    }
}

/// Returns the plain image in a payload, and inflates a gzip. `None` for a gzip that cannot be inflated.
pub(crate) fn plain_of(payload: &[u8]) -> Option<Cow<'_, [u8]>> {
    match gzip::is_gzip(payload) {
        true => gzip::gunzip(payload, MAX_IMAGE).ok().map(Cow::Owned),
        false => Some(Cow::Borrowed(payload)),
    }
}

/// What the checks before a signature permit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permitted<'a> {
    pub(crate) content: Content,
    pub(crate) damaged: Damaged,
    pub(crate) flash_mode: Option<FlashMode>,
    pub(crate) board: Option<&'a Label>,
    /// The tokens in the image, where they can be believed. A brand or a name is a board's only if it is the known name
    /// of one.
    pub(crate) tokens: Option<&'a Tokens>,
}

impl Permitted<'_> {
    /// What is said of the board: by the user, then by Homie's brand and name.
    fn said_boards(self) -> impl Iterator<Item = String> {
        let brand = self.tokens.and_then(|tokens| tokens.brand.as_ref()).map(|token| token.value.to_string());
        let name = self.tokens.and_then(|tokens| tokens.name.as_ref()).map(|token| token.value.to_string());
        self.board.map(Label::to_string).into_iter().chain(brand).chain(name)
    }
}

/// Checks the plain image that [`plain_of`] gives, and returns what speaks against it all the same. `payload_len` is the
/// length of the payload in bytes. A gzip that cannot be inflated passes, unless a flash mode is expected.
///
/// # Errors
/// The errors of [`check`], [`expect_flash_mode`] and [`check_board`].
pub(crate) fn check_plain(
    plain: Option<&Cow<'_, [u8]>>,
    permitted: Permitted<'_>,
) -> Result<Vec<ImageFinding>, GuardError> {
    let Some(plain) = plain else {
        return permitted.flash_mode.map_or(Ok(Vec::new()), |_| Err(GuardError::NoFlashMode));
    };
    // The image is recognised once: that takes a sum over all of it.
    let kind = image::identify(plain);
    let is_raw = matches!(plain, Cow::Borrowed(_));
    if kind == Kind::Gzip && !is_raw {
        return Err(GuardError::CompressedTwice);
    }
    let findings = match permitted.content {
        Content::Firmware => finding::of_image(&kind, is_raw.then_some(plain.len())),
        Content::Filesystem => Vec::new(),
    };
    let board = permitted.said_boards().try_for_each(|board| check_board(&kind, &board));
    let flash_mode = permitted.flash_mode.map_or(Ok(()), |mode| check_flash_mode(&kind, mode));
    match check_kind(kind, permitted.content) {
        Err(GuardError::Damaged(_) | GuardError::DamagedEsp32 { .. })
            if permitted.damaged == Damaged::Allow => {}
        checked => checked?,
    }
    board.and(flash_mode).map(|()| findings)
}

/// How an image relates to a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildMatch {
    /// It is that build.
    Same,
    /// It is that build, but one of them has padding at its end: blocks of a UF2 file have 256 bytes.
    Padded,
    /// It is that build in another flash mode.
    OtherFlashMode,
    /// It is another build: stale, if it should have been made from this one.
    Other,
}

/// Compares the plain image in a file, which may be signed or compressed, with the plain image of a build.
///
/// # Errors
/// [`GunzipError`] where the image cannot be inflated.
pub fn build_match(image: &[u8], build: &[u8]) -> Result<BuildMatch, GunzipError> {
    let layers = layers::unpack(image)?;
    let plain = without_metadata(&layers.plain);
    if plain == build {
        return Ok(BuildMatch::Same);
    }
    if is_padded(plain, build) || is_padded(build, plain) {
        return Ok(BuildMatch::Padded);
    }
    let mode = plain.get(2).copied().and_then(FlashMode::from_byte);
    if let Some(mode) = mode.filter(|_| plain.len() == build.len()) {
        let mut patched = build.to_vec();
        if set_flash_mode(&mut patched, mode).is_some() && plain == patched {
            return Ok(BuildMatch::OtherFlashMode);
        }
    }
    Ok(BuildMatch::Other)
}

/// Whether `long` is `short` and the zeros that fill up its last block in a UF2 file: elf2uf2 of pico-sdk and picotool
/// write whole pages of the flash.
fn is_padded(long: &[u8], short: &[u8]) -> bool {
    const PAGE: usize = 256;
    let padding = long.strip_prefix(short);
    !short.is_empty()
        && long.len() == short.len().next_multiple_of(PAGE)
        && padding.is_some_and(|padding| padding.iter().all(|&byte| byte == 0))
}

/// A raw image may end in a metadata block, which says how long the image is without it.
fn without_metadata(plain: &[u8]) -> &[u8] {
    let block = MetadataBlock::of_unverified(plain).ok().flatten();
    let length = block.and_then(|block| usize::try_from(block.raw_len?).ok());
    length.and_then(|length| plain.get(..length)).unwrap_or(plain)
}

#[cfg(test)]
mod tests;
