//! Reads and changes the flash mode in an image's header.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Esp8266File, words};

/// The way in which the device reads its flash chip. A device that gets an image of another mode over the air changes
/// this byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlashMode {
    /// Four lines for address and data.
    Qio,
    /// Four lines for data.
    Qout,
    /// Two lines for address and data.
    Dio,
    /// Two lines for data.
    Dout,
}

impl FlashMode {
    /// Every mode, in the order of its byte.
    pub const ALL: &[Self] = &[Self::Qio, Self::Qout, Self::Dio, Self::Dout];

    /// Returns the mode of a header's byte 2.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Qio,
            1 => Self::Qout,
            2 => Self::Dio,
            3 => Self::Dout,
            _ => return None,
        })
    }

    /// Returns a header's byte 2 for this mode.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Qio => 0,
            Self::Qout => 1,
            Self::Dio => 2,
            Self::Dout => 3,
        }
    }
}

impl fmt::Display for FlashMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qio => "QIO",
            Self::Qout => "QOUT",
            Self::Dio => "DIO",
            Self::Dout => "DOUT",
        })
    }
}

impl FromStr for FlashMode {
    type Err = &'static str;

    /// Reads a name that `esptool --flash-mode` takes, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|mode| mode.to_string().eq_ignore_ascii_case(text))
            .ok_or("expected qio, qout, dio or dout")
    }
}

/// Offset of the flash mode in the header.
const MODE_OFFSET: usize = 2;

/// Sets the flash mode of an image. If the build wrote a CRC of the whole file, this function corrects it: the CRC
/// covers that byte. The checksums of the segments do not.
///
/// It changes the header at the very start, as a device does: the boot ROM reads no other. Returns the mode byte that
/// was there. Returns `None`, and changes nothing, if the bytes are no intact ESP8266 image.
pub fn set_flash_mode(bytes: &mut [u8], mode: FlashMode) -> Option<u8> {
    let file = Esp8266File::read(bytes).filter(Esp8266File::is_intact)?;
    let before = std::mem::replace(bytes.get_mut(MODE_OFFSET)?, mode.byte());
    if let (Some(words), Some(end)) = (&file.words, file.end()) {
        words::update_crc(bytes.get_mut(..end)?, words);
    }
    Some(before)
}
