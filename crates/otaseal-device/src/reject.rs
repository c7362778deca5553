//! The reasons for which the verifier rejects an image.

use core::fmt;

/// The check that rejected an image.
///
/// There is one variant per check, in the order of the checks. The number is stable, and a device can report it in a
/// status byte or a blink code. No variant carries data from the image, so an attacker learns nothing from it and the
/// device need not format anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum Reject {
    /// More or fewer bytes arrived than were announced.
    TotalMismatch = 1,
    /// The image is shorter than the length field at its end.
    NoTrailer = 2,
    /// The length field is not the length of the key's modulus. The image is unsigned, or cut, or a key of another size
    /// signed it.
    LengthField = 3,
    /// The image is too short for a signature of the length in its length field.
    NoSignature = 4,
    /// The image has no bytes before the signature.
    EmptyPayload = 5,
    /// The signature is not below the modulus. If it passed, a good signature could have a second spelling.
    SignatureRange = 6,
    /// None of the keys made this signature of this payload.
    SignatureMismatch = 7,
}

impl Reject {
    /// All variants, in the order of the checks.
    pub const ALL: [Self; 7] = [
        Self::TotalMismatch,
        Self::NoTrailer,
        Self::LengthField,
        Self::NoSignature,
        Self::EmptyPayload,
        Self::SignatureRange,
        Self::SignatureMismatch,
    ];

    /// Returns the check's number. A number never changes its meaning, and no new check gets the number of an old one.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the check's name in kebab case, as in the names of the fixtures.
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
            Self::NoSignature => "too short for the signature that its length field announces",
            Self::EmptyPayload => "a signature without a payload",
            Self::SignatureRange => "the signature is not below the key's modulus",
            Self::SignatureMismatch => "the signature does not match the payload and the key",
        })
    }
}

impl core::error::Error for Reject {}
