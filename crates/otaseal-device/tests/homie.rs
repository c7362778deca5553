//! Tests the bytes of Homie tokens, and the values that the macros refuse.

use std::panic::catch_unwind;

use otaseal_device::homie::{
    BRAND_LEFT, BRAND_MAX, BRAND_RIGHT, NAME_LEFT, NAME_MAX, NAME_RIGHT, TOKEN_OVERHEAD, VERSION_LEFT,
    VERSION_MAX, VERSION_RIGHT, is_printable, token,
};
use proptest::prelude::*;

/// Homie's own parser finds these bytes: `scripts/firmware_parser/firmware_parser.py`.
#[test]
fn a_token_is_the_value_between_its_boundaries_and_a_nul() {
    let name = token::<15>(NAME_LEFT, "lamp", NAME_RIGHT, NAME_MAX);
    assert_eq!(&name, b"\xbf\x84\xe4\x13\x54lamp\x93\x44\x6b\xa7\x75\0");
    let version = token::<16>(VERSION_LEFT, "1.4.0", VERSION_RIGHT, VERSION_MAX);
    assert_eq!(&version, b"\x6a\x3f\x3e\x0e\xe11.4.0\xb0\x30\x48\xd4\x1a\0");
    let brand = token::<12>(BRAND_LEFT, "A", BRAND_RIGHT, BRAND_MAX);
    assert_eq!(&brand, b"\xfb\x2a\xf5\x68\xc0A\x6e\x2f\x0f\xeb\x2d\0");
}

/// Tells whether [`token`] accepts a value. `T` is the length of the token.
fn accepts<const T: usize>(value: &str, max: usize) -> bool {
    catch_unwind(|| token::<T>(NAME_LEFT, value, NAME_RIGHT, max)).is_ok()
}

#[test]
fn a_value_has_one_byte_up_to_the_greatest_length() {
    assert!(accepts::<12>("a", NAME_MAX));
    assert!(accepts::<{ NAME_MAX + TOKEN_OVERHEAD }>(&"a".repeat(32), NAME_MAX));
    assert!(accepts::<{ VERSION_MAX + TOKEN_OVERHEAD }>(&"1".repeat(16), VERSION_MAX));
    assert!(accepts::<{ BRAND_MAX + TOKEN_OVERHEAD }>(&"b".repeat(21), BRAND_MAX));

    assert!(!accepts::<11>("", NAME_MAX));
    assert!(!accepts::<44>(&"a".repeat(33), NAME_MAX));
    assert!(!accepts::<28>(&"1".repeat(17), VERSION_MAX));
    assert!(!accepts::<33>(&"b".repeat(22), BRAND_MAX));
}

#[test]
fn a_token_of_another_length_than_its_value_needs_is_refused() {
    for refused in [accepts::<0>, accepts::<4>, accepts::<14>, accepts::<16>, accepts::<30>] {
        assert!(!refused("lamp", NAME_MAX));
    }
}

/// Each is in its own group of the rule. A terminal obeys it, or a reader does not see it.
const UNPRINTABLE: &[char] = &[
    '\0',
    '\t',
    '\n',
    '\r',
    '\x1b',
    '\x1f',
    '\x7f',
    '\u{80}',
    '\u{85}',
    '\u{9b}',
    '\u{9f}',
    '\u{ad}',
    '\u{34f}',
    '\u{61c}',
    '\u{115f}',
    '\u{1160}',
    '\u{17b4}',
    '\u{180e}',
    '\u{200b}',
    '\u{200d}',
    '\u{200e}',
    '\u{200f}',
    '\u{2028}',
    '\u{2029}',
    '\u{202a}',
    '\u{202e}',
    '\u{2060}',
    '\u{2066}',
    '\u{2069}',
    '\u{206f}',
    '\u{3164}',
    '\u{e000}',
    '\u{f8ff}',
    '\u{fe0f}',
    '\u{feff}',
    '\u{ffa0}',
    '\u{fff9}',
    '\u{fffd}',
    '\u{ffff}',
    '\u{1bca0}',
    '\u{1d173}',
    '\u{e0001}',
    '\u{e0041}',
    '\u{f0000}',
    '\u{10ffff}',
];

/// Their neighbours, and letters, signs and blanks of several scripts.
const PRINTABLE: &[char] = &[
    ' ',
    '!',
    '"',
    '#',
    '/',
    '\\',
    ':',
    '~',
    'a',
    'Z',
    '0',
    '\u{a0}',
    '\u{ac}',
    '\u{ae}',
    'é',
    'ß',
    '\u{350}',
    'Ж',
    'א',
    'ع',
    '\u{115e}',
    '\u{2010}',
    '\u{2027}',
    '\u{202f}',
    '\u{205f}',
    '€',
    '\u{3000}',
    '温',
    '度',
    '\u{d7ff}',
    '\u{f900}',
    '\u{fe10}',
    '\u{ffef}',
    '\u{10000}',
    '🕰',
    '\u{dffff}',
];

#[test]
fn text_is_printable_when_its_reader_sees_all_of_it() {
    for character in UNPRINTABLE {
        assert!(!is_printable(*character), "{character:?}");
    }
    for character in PRINTABLE {
        assert!(is_printable(*character), "{character:?}");
    }
}

#[test]
fn a_character_that_is_not_printable_is_refused_anywhere() {
    for &character in UNPRINTABLE {
        for value in [format!("{character}ab"), format!("a{character}b"), format!("ab{character}")] {
            let refused = match character.len_utf8() {
                1 => !accepts::<14>(&value, NAME_MAX),
                2 => !accepts::<15>(&value, NAME_MAX),
                3 => !accepts::<16>(&value, NAME_MAX),
                _ => !accepts::<17>(&value, NAME_MAX),
            };
            assert!(refused, "{value:?}");
        }
    }
}

#[test]
fn printable_text_of_any_script_is_a_value() {
    assert!(accepts::<21>("Word Clock", NAME_MAX));
    assert!(accepts::<14>("a/b", NAME_MAX));
    assert!(accepts::<14>("..\\", NAME_MAX));
    assert!(accepts::<14>("nul", NAME_MAX));
    assert!(accepts::<14>("aä", NAME_MAX));
    assert!(accepts::<17>("温度", NAME_MAX));
    assert!(accepts::<16>("🕰a", NAME_MAX));
}

proptest! {
    /// A constant decodes UTF-8 by itself: it must read the characters that `str::chars` reads.
    #[test]
    fn a_value_is_refused_for_each_character_that_is_not_printable(
        before in prop::char::any(),
        after in prop::char::any(),
    ) {
        let value = format!("{before}{after}");
        let good = is_printable(before) && is_printable(after);
        let accepted = match value.len() {
            2 => accepts::<13>(&value, NAME_MAX),
            3 => accepts::<14>(&value, NAME_MAX),
            4 => accepts::<15>(&value, NAME_MAX),
            5 => accepts::<16>(&value, NAME_MAX),
            6 => accepts::<17>(&value, NAME_MAX),
            7 => accepts::<18>(&value, NAME_MAX),
            _ => accepts::<19>(&value, NAME_MAX),
        };
        prop_assert_eq!(accepted, good);
    }
}
