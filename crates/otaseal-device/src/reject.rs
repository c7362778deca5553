//! Why an image is refused.

use core::fmt;

/// The check that refused an image.
///
/// One variant per check, in the order of the checks; the number is stable and fits what a device can report
/// (a status byte, a blink code). No variant carries data from the image: an attacker learns nothing from it and
/// nothing has to be formatted on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum Reject {
    /// More or fewer bytes arrived than were announced.
    TotalMismatch = 1,
    /// The image is shorter than the length field at its end.
    NoTrailer = 2,
    /// The length field is not the length of the key's modulus: unsigned, signed by a key of another size, or cut.
    LengthField = 3,
    /// The image is shorter than the signature its length field speaks of.
    NoSignature = 4,
    /// There is nothing before the signature.
    EmptyPayload = 5,
    /// The signature is not below the modulus, so that a second spelling of a good signature would pass.
    SignatureRange = 6,
    /// The signature does not belong to this payload and to any of the keys.
    SignatureMismatch = 7,
}

impl Reject {
    /// Every variant, in the order of the checks.
    pub const ALL: [Self; 7] = [
        Self::TotalMismatch,
        Self::NoTrailer,
        Self::LengthField,
        Self::NoSignature,
        Self::EmptyPayload,
        Self::SignatureRange,
        Self::SignatureMismatch,
    ];

    /// The check's number. It never changes its meaning; a check that goes away takes its number along.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The check's name in kebab case, as in the names of the fixtures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TotalMismatch => "total-mismatch",
            Self::NoTrailer => "no-trailer",
            Self::LengthField => "length-field",
            Self::NoSignature => "no-signature",
            Self::EmptyPayload => "empty-payload",
            Self::SignatureRange => "signature-range",
            Self::SignatureMismatch => "signature-mismatch",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TotalMismatch => "more or fewer bytes than announced",
            Self::NoTrailer => "too short for a trailer",
            Self::LengthField => "the last four bytes are not the length of this key's signature",
            Self::NoSignature => "too short for the signature its length field speaks of",
            Self::EmptyPayload => "a signature with nothing before it",
            Self::SignatureRange => "the signature is not below the key's modulus",
            Self::SignatureMismatch => "the signature is not of this payload by this key",
        })
    }
}

impl core::error::Error for Reject {}
