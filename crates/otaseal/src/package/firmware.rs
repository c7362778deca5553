//! Reads a build: the plain image of an ELF, UF2 or `.bin` file, and its payloads.
//!
//! A [`Firmware`] is plain, and only it makes a [`Payload`], plain or gzip. The policy reads the Homie tokens from the
//! plain image when it judges it: [`Permit::tokens`](crate::policy::Permit::tokens).

use crate::format::digest::Digests;
use crate::format::elf::{self, ElfError};
use crate::format::gzip::{self, CompressError, Effort};
use crate::format::image::esp8266::{FlashMode, set_flash_mode};
use crate::format::image::uf2::{self, Uf2Error};
use crate::format::image::{self, Kind};
use crate::format::input::Input;
use crate::format::layers::{Encoding, MAX_IMAGE, Payload};
use crate::format::metadata::Block;
use crate::policy::guard::{self, Content, GuardError};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why otaseal cannot package a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FirmwareError {
    /// The file could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is larger than any flash ([`MAX_IMAGE`]).
    #[error("{name} is larger than {} MiB", MAX_IMAGE >> 20)]
    TooLarge {
        /// The file, or `-`.
        name: String,
    },
    /// Nothing in it.
    #[error("{name} is empty")]
    Empty {
        /// The file, or `-`.
        name: String,
    },
    /// The ELF cannot be flattened.
    #[error("{name}: {source}")]
    Elf {
        /// The file, or `-`.
        name: String,
        /// Which rule it breaks.
        source: ElfError,
    },
    /// The file is not a plain image.
    #[error("{name} is {found}, not a firmware build")]
    NotPlain {
        /// The file, or `-`.
        name: String,
        /// What it is.
        found: NotPlain,
    },
    /// The UF2 file cannot be unpacked.
    #[error("{name}: {source}")]
    Uf2 {
        /// The file, or `-`.
        name: String,
        /// Which rule it breaks.
        source: Uf2Error,
    },
    /// The image must not be signed: it is no image, damaged, or of another kind than the caller says.
    #[error("{name}: {source}")]
    Guard {
        /// The file, or `-`.
        name: String,
        /// The fault.
        source: GuardError,
    },
}

/// A file that is no build, although its kind is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotPlain {
    /// It ends in a signature.
    Signed,
    /// It is a gzip.
    Compressed,
}

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed => "signed already",
            Self::Compressed => "compressed already",
        })
    }
}

/// A plain image: the bytes that the flash holds when a device runs it.
#[derive(Debug, Clone)]
pub struct Firmware {
    bytes: Vec<u8>,
    source: Source,
}

/// The file that a firmware came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Source {
    /// Its name without directories.
    pub file: String,
    /// Size and digests of the file. Those of an ELF file are not those of its image.
    #[serde(flatten)]
    pub digests: Digests,
}

impl Firmware {
    /// Reads a build from a file that the user named. otaseal flattens an ELF file by load address and unpacks a UF2
    /// file. Any other file must be a plain image.
    ///
    /// `max_gap` is the largest hole between two sections or blocks that otaseal fills with FF, in bytes.
    ///
    /// # Errors
    /// [`FirmwareError`]: unreadable, empty, too large, not flat, packaged already, damaged, or a filesystem.
    pub fn load(path: &Path, max_gap: usize) -> Result<Self, FirmwareError> {
        Self::load_as(path, max_gap, Content::Firmware)
    }

    /// Does the same as [`Firmware::load`], for a file that may be a filesystem image. It must be of the kind
    /// `content`.
    ///
    /// # Errors
    /// The errors of [`Firmware::load`].
    pub fn load_as(path: &Path, max_gap: usize, content: Content) -> Result<Self, FirmwareError> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let bytes =
            Input::named(path).and_then(|input| input.read(MAX_IMAGE)).map_err(|source| {
                match source.kind() {
                    io::ErrorKind::FileTooLarge => FirmwareError::TooLarge { name: name.clone() },
                    _ => FirmwareError::Read { path: path.into(), source },
                }
            })?;
        Self::from_bytes_as(&name, bytes, max_gap, content)
    }

    /// Does the same as [`Firmware::load`], for bytes in memory. Messages and the manifest call them `name`.
    ///
    /// # Errors
    /// The errors of [`Firmware::load`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>, max_gap: usize) -> Result<Self, FirmwareError> {
        Self::from_bytes_as(name, bytes, max_gap, Content::Firmware)
    }

    /// Does the same as [`Firmware::from_bytes`], for bytes that may be a filesystem image.
    ///
    /// # Errors
    /// The errors of [`Firmware::load`].
    pub fn from_bytes_as(
        name: &str,
        bytes: Vec<u8>,
        max_gap: usize,
        content: Content,
    ) -> Result<Self, FirmwareError> {
        let owned = || name.to_owned();
        if bytes.len() > MAX_IMAGE {
            return Err(FirmwareError::TooLarge { name: owned() });
        }
        if bytes.is_empty() {
            return Err(FirmwareError::Empty { name: owned() });
        }
        let source = Source { file: owned(), digests: Digests::of(&bytes) };
        let kind = image::identify(&bytes);
        if let Some(found) = refused(&bytes, &kind) {
            return Err(FirmwareError::NotPlain { name: owned(), found });
        }
        let bytes = match kind {
            Kind::Elf(_) if content == Content::Firmware => {
                elf::flatten(&bytes, max_gap)
                    .map_err(|source| FirmwareError::Elf { name: owned(), source })?
                    .bytes
            }
            Kind::Uf2(_) if content == Content::Firmware => {
                uf2::unpack(&bytes, max_gap)
                    .map_err(|source| FirmwareError::Uf2 { name: owned(), source })?
                    .bytes
            }
            _ => bytes,
        };
        let firmware = Self { bytes, source };
        firmware.guarded(guard::check(&firmware.bytes, content))?;
        Ok(firmware)
    }

    /// Sets the image's flash mode and the CRC that covers it.
    ///
    /// # Errors
    /// [`FirmwareError::Guard`]: the image has no flash mode.
    pub fn set_flash_mode(&mut self, mode: FlashMode) -> Result<(), FirmwareError> {
        match set_flash_mode(&mut self.bytes, mode) {
            Some(_) => Ok(()),
            None => self.guarded(Err(GuardError::NoFlashMode)),
        }
    }

    pub(crate) fn guarded(&self, result: Result<(), GuardError>) -> Result<(), FirmwareError> {
        result.map_err(|source| FirmwareError::Guard { name: self.source.file.clone(), source })
    }

    /// The plain image.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The plain image, taken out.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The file it came from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The plain image as a payload.
    pub fn plain(&self) -> Payload<'_> {
        Payload::new(Cow::Borrowed(&self.bytes), Encoding::Plain)
    }

    /// The image as one reproducible gzip member whose length is a multiple of 4.
    ///
    /// # Errors
    /// [`CompressError`].
    pub fn gzip(&self, effort: Effort) -> Result<Payload<'static>, CompressError> {
        Ok(Payload::new(Cow::Owned(gzip::gzip(&self.bytes, effort)?), Encoding::Gzip))
    }
}

impl Firmware {
    /// The image with a metadata block behind it.
    pub fn labelled(&self, block: &Block) -> Payload<'static> {
        Payload::new(Cow::Owned(block.behind(&self.bytes)), Encoding::Plain)
    }

    /// Does the same as [`Firmware::gzip`], with a metadata block in the header.
    ///
    /// # Errors
    /// [`CompressError`].
    pub fn gzip_labelled(&self, effort: Effort, block: &Block) -> Result<Payload<'static>, CompressError> {
        let bytes = gzip::gzip_with_extra(&self.bytes, effort, &block.subfield())?;
        Ok(Payload::new(Cow::Owned(bytes), Encoding::Gzip))
    }
}

/// Returns what a file is instead of a build.
fn refused(bytes: &[u8], kind: &Kind) -> Option<NotPlain> {
    if image::trailer_of(bytes).is_some() {
        return Some(NotPlain::Signed);
    }
    (*kind == Kind::Gzip).then_some(NotPlain::Compressed)
}
