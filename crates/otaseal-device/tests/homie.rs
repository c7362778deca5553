//! Tests the bytes of Homie tokens, and the values that the macros refuse.

use std::panic::catch_unwind;

use otaseal_device::homie::{
    BRAND_LEFT, BRAND_MAX, BRAND_RIGHT, NAME_LEFT, NAME_MAX, NAME_RIGHT, NameFault, TOKEN_OVERHEAD,
    VERSION_LEFT, VERSION_MAX, VERSION_RIGHT, is_token_byte, name_fault, token,
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

#[test]
fn a_byte_that_a_token_may_not_hold_is_refused_anywhere() {
    for byte in (0..=127).map(char::from).filter(|&byte| !is_token_byte(byte as u8)) {
        for value in [format!("{byte}ab"), format!("a{byte}b"), format!("ab{byte}")] {
            assert!(!accepts::<14>(&value, NAME_MAX), "{value:?}");
        }
    }
    assert!(!accepts::<14>("aä", NAME_MAX));
}

#[test]
fn a_token_byte_is_a_letter_a_digit_or_one_of_four_signs() {
    let allowed = b"+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    for byte in 0..=255 {
        assert_eq!(is_token_byte(byte), allowed.contains(&byte), "{byte:#x}");
    }
}

/// A name like these is hidden, is read as an option, or is another file or a device on Windows.
#[test]
fn a_value_that_is_not_a_name_everywhere_has_its_fault() {
    let cases: [(NameFault, &[&str]); 3] = [
        (NameFault::Lead, &[".", "..", ".lamp", "-", "-rf", "-.", ".nul", "-con.", "--"]),
        (NameFault::TrailingDot, &["lamp.", "a..", "1.", "nul.", "com1."]),
        (
            NameFault::Reserved,
            &[
                "CON",
                "PRN",
                "AUX",
                "NUL",
                "con",
                "Prn",
                "aUx",
                "nuL",
                "nul.bin",
                "con.tar.gz",
                "aux.-",
                "COM1",
                "com9",
                "Com0",
                "LPT1",
                "lpt5",
                "lPt9",
                "com3.bin",
                "lpt2.txt.gz",
            ],
        ),
    ];
    for (fault, values) in cases {
        for value in values {
            assert_eq!(name_fault(value.as_bytes()), Some(fault), "{value}");
        }
    }
}

#[test]
fn a_value_with_a_fault_is_no_token() {
    for value in [".ab", "-ab", "ab.", "nul", "Con"] {
        assert!(!accepts::<14>(value, NAME_MAX), "{value}");
    }
    assert!(accepts::<14>("a.b", NAME_MAX));
}

#[test]
fn a_value_that_only_resembles_a_reserved_name_has_no_fault() {
    for value in [
        "",
        "a",
        "co",
        "nu",
        "con1",
        "console",
        "nul-",
        "null",
        "aux_1",
        "com",
        "com.1",
        "com10",
        "comx",
        "com1x",
        "com1-",
        "lpt",
        "lpt10.txt",
        "xcon",
        "a.con",
        "lamp-",
        "a.b",
        "a-b",
        "1.4.0",
        "_.lamp",
        "+",
    ] {
        assert_eq!(name_fault(value.as_bytes()), None, "{value:?}");
    }
}

proptest! {
    /// Windows compares names without case, so a fault must not depend on the case.
    #[test]
    fn the_case_of_a_value_does_not_change_its_fault(
        value in "([.-]|con|nul|com[0-9]|lpt[0-9]|[a-z])[a-z0-9_.+-]{0,4}",
    ) {
        let fault = name_fault(value.as_bytes());
        prop_assert_eq!(name_fault(value.to_ascii_uppercase().as_bytes()), fault);
    }

    #[test]
    fn an_extension_does_not_free_a_reserved_name(
        device in "(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])",
        extension in "[A-Za-z0-9_.+-]{0,8}[A-Za-z0-9_+-]",
    ) {
        prop_assert_eq!(name_fault(format!("{device}.{extension}").as_bytes()), Some(NameFault::Reserved));
    }

    #[test]
    fn any_letter_behind_a_reserved_name_frees_it(
        device in "(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])",
        more in "[A-Za-z_+-][A-Za-z0-9_+-]{0,8}",
    ) {
        prop_assert_eq!(name_fault(format!("{device}{more}").as_bytes()), None);
    }
}
