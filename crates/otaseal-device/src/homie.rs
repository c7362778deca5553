//! The tokens by which Homie servers find a firmware's name and version inside its image.
//!
//! A token is one string constant: left boundary, value, right boundary, NUL. The marker is a string of its own.
//! Source of every byte: homie-esp8266 `src/HomieNode.hpp` and `Homie.hpp` (the `Homie_setFirmware` and
//! `Homie_setBrand` macros) and `scripts/firmware_parser/firmware_parser.py`.

/// What marks an image as a Homie firmware: `%HOMIE_ESP8266_FW%`.
pub const MARKER: [u8; 18] = *b"%HOMIE_ESP8266_FW%";

/// Before the firmware's name.
pub const NAME_LEFT: [u8; 5] = [0xbf, 0x84, 0xe4, 0x13, 0x54];
/// After the firmware's name.
pub const NAME_RIGHT: [u8; 5] = [0x93, 0x44, 0x6b, 0xa7, 0x75];
/// Bytes a name may have at most.
pub const NAME_MAX: usize = 32;

/// Before the firmware's version.
pub const VERSION_LEFT: [u8; 5] = [0x6a, 0x3f, 0x3e, 0x0e, 0xe1];
/// After the firmware's version.
pub const VERSION_RIGHT: [u8; 5] = [0xb0, 0x30, 0x48, 0xd4, 0x1a];
/// Bytes a version may have at most.
pub const VERSION_MAX: usize = 16;

/// Before the brand.
pub const BRAND_LEFT: [u8; 5] = [0xfb, 0x2a, 0xf5, 0x68, 0xc0];
/// After the brand.
pub const BRAND_RIGHT: [u8; 5] = [0x6e, 0x2f, 0x0f, 0xeb, 0x2d];
/// Bytes a brand may have at most: an access point's name of 32 bytes, less what Homie appends.
pub const BRAND_MAX: usize = 21;

/// Bytes of a token around its value: two boundaries and the NUL.
pub const TOKEN_OVERHEAD: usize = 11;

/// Whether a token may hold this byte: a letter, a digit or one of `-_.+`.
#[must_use]
pub const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+')
}

/// Why a value of good bytes cannot be the name of a file or a topic everywhere. Whoever packages a firmware refuses
/// it, so the macros do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// A leading `.` (hidden file, `.`, `..`) or `-` (read as an option by programs that are given the name).
    Lead,
    /// A trailing `.`, which Windows drops: two names would be one file.
    TrailingDot,
    /// The name of a Windows device, alone or before a dot.
    Reserved,
}

/// What is wrong with a value as a name; nothing with an empty one.
///
/// Source of the reserved names: Microsoft, "Naming Files, Paths, and Namespaces": reserved with any extension and in
/// any case.
#[must_use]
pub const fn name_fault(value: &[u8]) -> Option<NameFault> {
    match value {
        [b'.' | b'-', ..] => return Some(NameFault::Lead),
        [.., b'.'] => return Some(NameFault::TrailingDot),
        _ => {}
    }
    let (stem, letters) = match value {
        [a, b, c, rest @ ..] => {
            (rest, [a.to_ascii_uppercase(), b.to_ascii_uppercase(), c.to_ascii_uppercase()])
        }
        _ => return None,
    };
    let reserved = match (&letters, stem) {
        (b"CON" | b"PRN" | b"AUX" | b"NUL", [] | [b'.', ..]) => true,
        (b"COM" | b"LPT", [digit] | [digit, b'.', ..]) => digit.is_ascii_digit(),
        _ => false,
    };
    if reserved { Some(NameFault::Reserved) } else { None }
}

/// One token; the macros call this while compiling.
///
/// # Panics
///
/// When the value is empty, longer than `max`, holds a byte that [`is_token_byte`] refuses, has a [`name_fault`], or
/// `T` is not its length and [`TOKEN_OVERHEAD`]. In a constant, that is a compile error.
#[must_use]
pub const fn token<const T: usize>(left: [u8; 5], value: &str, right: [u8; 5], max: usize) -> [u8; T] {
    assert!(!value.is_empty(), "a Homie token must not be empty");
    assert!(value.len() <= max, "a Homie token is too long: name 32, version 16, brand 21 bytes");
    assert!(
        name_fault(value.as_bytes()).is_none(),
        "a Homie token must not start with a dot or a dash, end with a dot, or be a Windows device name"
    );
    assert!(
        matches!(T.checked_sub(TOKEN_OVERHEAD), Some(len) if len == value.len()),
        "the token's length is its value's and eleven"
    );
    // The NUL at the end is what the array begins with.
    let mut token = [0; T];
    let mut out: &mut [u8] = &mut token;
    out = put(out, &left);
    let mut bytes = value.as_bytes();
    while let [byte, rest @ ..] = bytes {
        assert!(is_token_byte(*byte), "a Homie token holds letters, digits and - _ . + only");
        bytes = rest;
    }
    out = put(out, value.as_bytes());
    put(out, &right);
    token
}

/// Copies `bytes` to the front of `out` and returns what is behind them.
const fn put<'a>(mut out: &'a mut [u8], mut bytes: &[u8]) -> &'a mut [u8] {
    while let [byte, rest @ ..] = bytes {
        match out {
            [slot, tail @ ..] => {
                *slot = *byte;
                out = tail;
            }
            [] => return &mut [],
        }
        bytes = rest;
    }
    out
}

/// Places the marker, the firmware's name and its version in the image, once per program.
///
/// Name and version are checked while compiling: 1 to 32 and 1 to 16 bytes of `[A-Za-z0-9-_.+]`. The linker
/// keeps the strings although nothing reads them; with a linker that collects sections, that takes Rust 1.89 or
/// newer.
///
/// ```
/// otaseal_device::homie_firmware!("thermostat", "1.4.0");
/// ```
///
/// ```compile_fail
/// otaseal_device::homie_firmware!("a/b", "1.4.0");
/// ```
///
/// ```compile_fail
/// otaseal_device::homie_firmware!("nul.bin", "1.4.0");
/// ```
#[macro_export]
macro_rules! homie_firmware {
    ($name:expr, $version:expr $(,)?) => {
        const _: () = {
            use $crate::homie;
            const NAME_VALUE: &str = $name;
            const VERSION_VALUE: &str = $version;
            #[used]
            static MARKER: [u8; 19] = *b"%HOMIE_ESP8266_FW%\0";
            #[used]
            static NAME: [u8; NAME_VALUE.len() + homie::TOKEN_OVERHEAD] =
                homie::token(homie::NAME_LEFT, NAME_VALUE, homie::NAME_RIGHT, homie::NAME_MAX);
            #[used]
            static VERSION: [u8; VERSION_VALUE.len() + homie::TOKEN_OVERHEAD] =
                homie::token(homie::VERSION_LEFT, VERSION_VALUE, homie::VERSION_RIGHT, homie::VERSION_MAX);
        };
    };
}

/// Places the brand in the image: 1 to 21 bytes of `[A-Za-z0-9-_.+]`, checked while compiling.
///
/// Without it, Homie servers call the device "Homie".
///
/// ```
/// otaseal_device::homie_brand!("Acme");
/// ```
///
/// ```compile_fail
/// otaseal_device::homie_brand!("a brand that is longer than the limit");
/// ```
#[macro_export]
macro_rules! homie_brand {
    ($brand:expr $(,)?) => {
        const _: () = {
            use $crate::homie;
            const BRAND_VALUE: &str = $brand;
            #[used]
            static BRAND: [u8; BRAND_VALUE.len() + homie::TOKEN_OVERHEAD] =
                homie::token(homie::BRAND_LEFT, BRAND_VALUE, homie::BRAND_RIGHT, homie::BRAND_MAX);
        };
    };
}
