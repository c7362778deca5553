//! What speaks against an image although it may be signed.

use crate::format::image::Kind;
use std::fmt;

/// Why some devices refuse an image that is undamaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageFinding {
    /// The length of a raw ESP8266 image is not a multiple of 4. The build's own images are: something was put behind
    /// it. Cores 3.1.0 to 3.1.2 hash the last bytes wrongly.
    Unaligned {
        /// The remainder.
        remainder: usize,
    },
    /// An application for the vendor's second-stage boot loader of the ESP8266. It begins with EA, and the Arduino core's
    /// updater takes only E9 and gzip.
    VendorV2,
}

impl fmt::Display for ImageFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unaligned { remainder } => write!(
                f,
                "the image's length is not a multiple of 4 (remainder {remainder}): esp8266 cores 3.1.0 to 3.1.2 \
                 refuse it signed, with error 12"
            ),
            Self::VendorV2 => f.write_str(
                "it is an ESP8266 version 2 image, which begins with EA: the updater of the Arduino core refuses it",
            ),
        }
    }
}

/// Returns the findings on an image of this kind. `raw_len` is its length in bytes if it is sent as it is.
pub(super) fn of_image(kind: &Kind, raw_len: Option<usize>) -> Vec<ImageFinding> {
    let finding = match (kind, raw_len.map(|length| length % 4)) {
        (Kind::Esp8266V2(_), _) => ImageFinding::VendorV2,
        (Kind::Esp8266(_), Some(remainder @ 1..)) => ImageFinding::Unaligned { remainder },
        _ => return Vec::new(),
    };
    vec![finding]
}
