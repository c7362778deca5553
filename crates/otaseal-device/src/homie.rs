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

/// Tells whether a token may hold this character: Homie checks only a value's length, and so any printable text is one.
///
/// Refused are the characters that fool a reader of the text, or the terminal that shows it:
///
/// - control characters, and line and paragraph separators;
/// - characters that nobody sees or that turn the text around: Unicode's `Default_Ignorable_Code_Point`, which has the
///   zero-width characters and the bidirectional controls;
/// - characters without a meaning of their own: U+FFF0 to U+FFFF, private use, and all from U+E0000 on.
#[must_use]
pub const fn is_printable(character: char) -> bool {
    !matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{ffff}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..
    )
}

/// Takes the first character off the bytes of a text: a constant cannot call `str::chars`.
const fn split_first_char(text: &[u8]) -> Option<(char, &[u8])> {
    let (code, rest) = match text {
        [a @ ..0x80, rest @ ..] => (*a as u32, rest),
        [a @ ..0xe0, b, rest @ ..] => (bits(*a, 0x1f) << 6 | bits(*b, 0x3f), rest),
        [a @ ..0xf0, b, c, rest @ ..] => (bits(*a, 0x0f) << 12 | bits(*b, 0x3f) << 6 | bits(*c, 0x3f), rest),
        [a, b, c, d, rest @ ..] => {
            (bits(*a, 0x07) << 18 | bits(*b, 0x3f) << 12 | bits(*c, 0x3f) << 6 | bits(*d, 0x3f), rest)
        }
        _ => return None,
    };
    match char::from_u32(code) {
        Some(character) => Some((character, rest)),
        None => None,
    }
}

/// Returns the bits of a byte of UTF-8 that belong to the character.
const fn bits(byte: u8, mask: u8) -> u32 {
    (byte & mask) as u32
}

/// Makes one token. The macros call this at compile time.
///
/// # Panics
///
/// A panic in a constant is a compile error. The function panics when:
///
/// - the value is empty or longer than `max`;
/// - the value holds a character that [`is_printable`] refuses;
/// - `T` is not the value's length plus [`TOKEN_OVERHEAD`].
#[must_use]
pub const fn token<const T: usize>(left: [u8; 5], value: &str, right: [u8; 5], max: usize) -> [u8; T] {
    assert!(!value.is_empty(), "a Homie token must not be empty");
    assert!(value.len() <= max, "a Homie token is too long: name 32, version 16, brand 21 bytes");
    assert!(
        matches!(T.checked_sub(TOKEN_OVERHEAD), Some(len) if len == value.len()),
        "a Homie token is eleven bytes longer than its value"
    );
    // The last byte stays zero: it is the NUL.
    let mut token = [0; T];
    let mut out: &mut [u8] = &mut token;
    out = put(out, &left);
    let mut text = value.as_bytes();
    while let Some((character, rest)) = split_first_char(text) {
        assert!(is_printable(character), "a Homie token holds printable text only");
        text = rest;
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
/// The compiler checks both: a name is printable text of 1 to 32 bytes, a version of 1 to 16. The linker keeps the
/// strings although nothing reads them. A linker that collects sections keeps them from Rust 1.89 on.
///
/// ```
/// otaseal_device::homie_firmware!("thermostat", "1.4.0");
/// ```
///
/// ```
/// otaseal_device::homie_firmware!("Word Clock", "1.4.0");
/// ```
///
/// ```compile_fail
/// otaseal_device::homie_firmware!("two\nlines", "1.4.0");
/// ```
///
/// ```compile_fail
/// otaseal_device::homie_firmware!("lamp", "1.4.0 of last week");
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

/// Places the brand in the image. The compiler checks it: a brand is printable text of 1 to 21 bytes.
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
