//! The kind of an image: the program, or the files beside it.

use super::{Kind, identify};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The kind of an image. The updater does not find it in the bytes. If it is told to, it writes a filesystem image in
/// place of firmware, and the device then starts those bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// The program.
    #[default]
    Firmware,
    /// Files beside it: LittleFS, SPIFFS, or another filesystem that is not recognised.
    Filesystem,
}

impl Content {
    /// Returns the kind that the bytes show: a recognised filesystem, or else firmware.
    pub fn of(plain: &[u8]) -> Self {
        match identify(plain) {
            Kind::LittleFs(_) | Kind::Spiffs(_) => Self::Filesystem,
            _ => Self::Firmware,
        }
    }

    /// Returns whether it is the program, which a manifest does not say.
    pub(crate) fn is_firmware(&self) -> bool {
        *self == Self::Firmware
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Firmware => "firmware",
            Self::Filesystem => "filesystem",
        })
    }
}

impl FromStr for Content {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "firmware" => Ok(Self::Firmware),
            "filesystem" => Ok(Self::Filesystem),
            _ => Err("expected firmware or filesystem"),
        }
    }
}
