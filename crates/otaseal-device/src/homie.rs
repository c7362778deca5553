//! Places Homie tokens in the image, in which Homie servers find the firmware's name and version.
//!
//! A token is one string constant: left boundary, value, right boundary, NUL. The marker is a separate string.
//! Source of every byte: homie-esp8266 `src/HomieNode.hpp` and `Homie.hpp` (the `Homie_setFirmware` and
//! `Homie_setBrand` macros) and `scripts/firmware_parser/firmware_parser.py`.

/// The marker of a Homie firmware: `%HOMIE_ESP8266_FW%`.
pub const MARKER: [u8; 18] = *b"%HOMIE_ESP8266_FW%";

/// The bytes before the firmware's name.
pub const NAME_LEFT: [u8; 5] = [0xbf, 0x84, 0xe4, 0x13, 0x54];
/// The bytes after the firmware's name.
pub const NAME_RIGHT: [u8; 5] = [0x93, 0x44, 0x6b, 0xa7, 0x75];
/// Greatest length of a name in bytes.
pub const NAME_MAX: usize = 32;

/// The bytes before the firmware's version.
pub const VERSION_LEFT: [u8; 5] = [0x6a, 0x3f, 0x3e, 0x0e, 0xe1];
/// The bytes after the firmware's version.
pub const VERSION_RIGHT: [u8; 5] = [0xb0, 0x30, 0x48, 0xd4, 0x1a];
/// Greatest length of a version in bytes.
pub const VERSION_MAX: usize = 16;

/// The bytes before the brand.
pub const BRAND_LEFT: [u8; 5] = [0xfb, 0x2a, 0xf5, 0x68, 0xc0];
/// The bytes after the brand.
pub const BRAND_RIGHT: [u8; 5] = [0x6e, 0x2f, 0x0f, 0xeb, 0x2d];
/// Greatest length of a brand in bytes. An access point's name has 32, and Homie appends to the brand.
pub const BRAND_MAX: usize = 21;

/// Number of bytes in a token besides its value: two boundaries and the NUL.
pub const TOKEN_OVERHEAD: usize = 11;

/// Tells whether a token may hold this byte: a letter, a digit or one of `-_.+`.
#[must_use]
pub const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+')
}

/// Why a value of allowed bytes cannot be the name of a file or a topic on every system.
///
/// otaseal refuses such a name when it packages a firmware, so the macros refuse it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// The value begins with `.` (a hidden file, `.` or `..`) or with `-` (programs take the name for an option).
    Lead,
    /// The value ends with `.`. Windows drops it, so two names would be one file.
    TrailingDot,
    /// The value is the name of a Windows device, alone or before a dot.
    Reserved,
}

/// Returns what is wrong with a value as a name. An empty value has no fault here.
///
/// Source of the reserved names: Microsoft, "Naming Files, Paths, and Namespaces". Windows reserves them in upper and
/// lower case and with any extension.
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

/// Makes one token. The macros call this at compile time.
///
/// # Panics
///
/// A panic in a constant is a compile error. The function panics when:
///
/// - the value is empty or longer than `max`;
/// - the value holds a byte that [`is_token_byte`] refuses, or has a [`name_fault`];
/// - `T` is not the value's length plus [`TOKEN_OVERHEAD`].
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
        "a Homie token is eleven bytes longer than its value"
    );
    // The last byte stays zero: it is the NUL.
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

/// Copies `bytes` to the front of `out` and returns the rest of `out`.
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

/// Places the marker, the firmware's name and its version in the image. Use it once per program.
///
/// The compiler checks both: a name has 1 to 32 bytes of `[A-Za-z0-9-_.+]`, a version 1 to 16. The linker keeps the
/// strings although nothing reads them. A linker that collects sections keeps them from Rust 1.89 on.
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

/// Places the brand in the image. The compiler checks it: a brand has 1 to 21 bytes of `[A-Za-z0-9-_.+]`.
///
/// Without a brand, Homie servers call the device "Homie".
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
