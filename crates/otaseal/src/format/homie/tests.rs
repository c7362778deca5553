use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn token(field: Field, value: &[u8]) -> Vec<u8> {
    let (left, right, _) = field.bounds();
    [left, value, right, b"\0"].concat()
}

fn name(value: &str) -> Vec<u8> {
    token(Field::Name, value.as_bytes())
}

fn version(value: &str) -> Vec<u8> {
    token(Field::Version, value.as_bytes())
}

/// An image of these parts with erased flash around each.
fn image(parts: &[Vec<u8>]) -> Vec<u8> {
    let gap = [0xFF; 7].as_slice();
    let parts = parts.iter().flat_map(|part| [gap, part]);
    parts.chain([gap]).flatten().copied().collect()
}

#[test]
fn the_bytes_are_those_of_the_homie_macros() {
    let image = b"..\xbf\x84\xe4\x13\x54relay-v2\x93\x44\x6b\xa7\x75\0\x6a\x3f\x3e\x0e\xe11.0.3+a\xb0\x30\x48\xd4\x1a\0\
                  %HOMIE_ESP8266_FW%\xfb\x2a\xf5\x68\xc0Acme\x6e\x2f\x0f\xeb\x2d";
    let tokens = extract(image).unwrap();
    let name = tokens.name.unwrap();
    assert_eq!((name.value.as_str(), name.offset), ("relay-v2", 2));
    let version = tokens.version.unwrap();
    assert_eq!((version.value.as_str(), version.offset), ("1.0.3+a", 21));
    let brand = tokens.brand.unwrap();
    assert_eq!((brand.value.as_str(), brand.offset), ("Acme", 57));
    assert!(tokens.marker);
}

#[test]
fn no_homie_firmware_is_no_error() {
    for image in [&b""[..], b"\xff", &[0; 4096], b"%HOMIE_ESP8266_FW%", &NAME_RIGHT, &VERSION_RIGHT] {
        assert_eq!(extract(image).unwrap(), Tokens::default());
    }
}

#[test]
fn the_same_value_twice_is_one_token_at_the_first_place() {
    let tokens = extract(&image(&[name("relay"), version("1"), name("relay"), version("1")])).unwrap();
    assert_eq!(tokens.name.unwrap().offset, 7);
    assert_eq!(tokens.version.unwrap().offset, 7 + 16 + 7);
}

#[test]
fn a_value_ends_at_the_first_right_boundary() {
    for between in [&b""[..], b"\0", b"xy"] {
        let twice = [name("a"), between.to_vec(), name("a"), version("1")].concat();
        assert_eq!(extract(&twice).unwrap().name.unwrap().value.as_str(), "a");
        let two_ends = [&NAME_LEFT, &b"a"[..], &NAME_RIGHT, between, &NAME_RIGHT, &version("1")].concat();
        assert_eq!(extract(&two_ends).unwrap().name.unwrap().value.as_str(), "a");
    }
}

#[test]
fn two_values_are_an_error_that_names_both_places() {
    let error = extract(&image(&[name("relay"), version("1"), name("relax"), version("1")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"two different values of the firmware name: "relay" at offset 0x7, "relax" at 0x31"#
    );
    let error = extract(&image(&[version("1.0"), name("a"), version("1.0.0")])).unwrap_err();
    assert!(matches!(error, TokenError::Conflict { field: Field::Version, .. }));
}

#[test]
fn a_line_feed_between_or_around_tokens_changes_nothing() {
    let parts = [b"\n".to_vec(), name("relay"), b"\r\n\n".to_vec(), version("1.0"), b"\n".to_vec()];
    let tokens = extract(&parts.concat()).unwrap();
    assert_eq!(tokens.name.unwrap().value.as_str(), "relay");
    assert_eq!(tokens.version.unwrap().value.as_str(), "1.0");
}

#[test]
fn a_start_within_a_token_is_damage() {
    let outer = [&NAME_LEFT[..], b"re", &name("relay")].concat();
    let error = extract(&image(&[outer, version("1")])).unwrap_err();
    assert_eq!(error, TokenError::Nested { field: Field::Name, outer: 7, inner: 14 });
    // Also where the first token has lost its end, and where its end would be out of reach.
    let long = [&NAME_LEFT[..], &[b'x'; 25], &name("a-name-of-many-bytes")].concat();
    assert!(matches!(extract(&long), Err(TokenError::Nested { outer: 0, inner: 30, .. })));
    // Starts of other fields are only bytes that a value may not have.
    let other = token(Field::Name, &[b"re", &VERSION_LEFT[..], b"lay"].concat());
    assert!(matches!(extract(&other), Err(TokenError::Invalid { field: Field::Name, .. })));
}

#[test]
fn lengths_are_those_of_the_field() {
    for field in [Field::Name, Field::Version, Field::Brand] {
        let (_, _, limit) = field.bounds();
        let fill = |len| token(field, &vec![b'a'; len]);
        let longest = extract(&image(&[fill(limit)]));
        match field {
            Field::Brand => assert_eq!(longest.unwrap().brand.unwrap().value.as_str().len(), limit),
            _ => assert!(matches!(longest, Err(TokenError::Missing { present, .. }) if present == field)),
        }
        let error = extract(&image(&[fill(limit + 1)])).unwrap_err();
        assert_eq!(error, TokenError::Unterminated { field, offset: 7, limit });
        let longer = vec![b'a'; limit + 1];
        let refused = [
            FirmwareName::try_from(longer.as_slice()).err(),
            FirmwareVersion::try_from(longer.as_slice()).err(),
            Brand::try_from(longer.as_slice()).err(),
        ];
        assert_eq!(refused[field as usize], Some(ValueError::TooLong { len: limit + 1, limit }));
        let error = extract(&image(&[fill(0)])).unwrap_err();
        assert!(matches!(error, TokenError::Invalid { offset: 7, source: ValueError::Empty, .. }), "{error}");
    }
}

#[test]
fn what_a_left_boundary_alone_means() {
    // Text follows, the end does not: cut off by the end of the image, by a NUL, by damage.
    for tail in [
        &b"relay"[..],
        b"relay\0\0",
        b"r",
        b"relay\x93\x44\x6b\xa7\x76",
        b" relay",
        b"\xc3\xa9",
        "温".as_bytes(),
    ] {
        let error = extract(&[&NAME_LEFT[..], tail].concat()).unwrap_err();
        assert!(matches!(error, TokenError::Unterminated { field: Field::Name, offset: 0, .. }), "{error}");
    }
    // Anything else follows: the boundary as a constant of a program that searches, or chance.
    for tail in [&b""[..], b"\0", b"\0relay", b"\xff\xff\xff", b"\x1frelay", b"\xc3", b"\xe2\x80\xae"] {
        assert_eq!(extract(&[&NAME_LEFT[..], tail].concat()).unwrap(), Tokens::default());
    }
    // It does not hide a real token further on.
    let both = [&NAME_LEFT[..], b"\0", &[0; 40], &name("relay"), &version("1")].concat();
    assert_eq!(extract(&both).unwrap().name.unwrap().offset, 46);
}

#[test]
fn one_without_the_other_was_lost() {
    let error = extract(&image(&[name("relay")])).unwrap_err();
    assert_eq!(error.to_string(), "the image has a firmware name (offset 0x7) but no firmware version");
    let error = extract(&image(&[version("1")])).unwrap_err();
    assert_eq!(error.to_string(), "the image has a firmware version (offset 0x7) but no firmware name");
}

#[test]
fn printable_text_up_to_the_limit_is_a_value() {
    for value in [
        "a",
        "relay-v2",
        "Relay_2.0+b",
        "1.0.0-rc.1+x",
        "Word Clock",
        " a ",
        "My Lamp (v2)",
        "a/b",
        "..",
        ".hidden",
        "-rf",
        "a.",
        "NUL",
        "<b>",
        "\"a\"",
        "é",
        "Wörter",
        "温度計",
        "a b c d e f g hi",
    ] {
        assert_eq!(FirmwareVersion::try_from(value).unwrap().to_string(), value);
        let tokens =
            extract(&image(&[name(value), version(value), token(Field::Brand, value.as_bytes())])).unwrap();
        assert_eq!(tokens.name.unwrap().value.as_str(), value);
        assert_eq!(tokens.version.unwrap().value.as_str(), value);
        assert_eq!(tokens.brand.unwrap().value.as_str(), value);
    }
    // The limit counts bytes, as Homie does.
    assert!(FirmwareVersion::try_from("温度計温度計").is_err());
}

#[test]
fn what_is_not_printable_text_is_no_value() {
    let unprintable: &[(&str, char, usize)] = &[
        ("a\0b", '\0', 1),
        ("a\nb", '\n', 1),
        ("\tb", '\t', 0),
        ("\x1b[2J", '\x1b', 0),
        ("ab\x7f", '\x7f', 2),
        ("\u{9b}2J", '\u{9b}', 0),
        ("a\u{ad}b", '\u{ad}', 1),
        ("a\u{200b}b", '\u{200b}', 1),
        ("ä\u{2028}b", '\u{2028}', 2),
        ("a\u{202e}b", '\u{202e}', 1),
        ("\u{2066}b", '\u{2066}', 0),
        ("\u{feff}b", '\u{feff}', 0),
        ("a\u{fffd}", '\u{fffd}', 1),
        ("a\u{e0041}", '\u{e0041}', 1),
    ];
    let unprintable = unprintable.iter().map(|&(value, character, position)| {
        (value.as_bytes(), ValueError::Unprintable { character, position })
    });
    let not_text: &[(&[u8], usize)] = &[
        (b"\xff", 0),
        (b"a\xc3", 1),
        (b"a\xc3(", 1),
        (b"ab\xe6\xb8", 2),
        (b"\xc0\xaf", 0),
        (b"\xed\xa0\x80", 0),
    ];
    let not_text = not_text.iter().map(|&(value, position)| (value, ValueError::NotText { position }));
    for (value, fault) in unprintable.chain(not_text).chain([(&b""[..], ValueError::Empty)]) {
        let shown = value.escape_ascii();
        assert_eq!(FirmwareVersion::try_from(value), Err(fault), "{shown}");
        assert_eq!(FirmwareName::try_from(value), Err(fault), "{shown}");
        assert_eq!(Brand::try_from(value), Err(fault), "{shown}");
        let error = extract(&image(&[token(Field::Name, value), version("1")])).unwrap_err();
        assert!(
            matches!(&error, TokenError::Invalid { offset: 7, source, .. } if *source == fault),
            "{error}"
        );
        assert!(error.to_string().is_ascii() && !error.to_string().contains(char::is_control), "{error:?}");
    }
}

#[test]
fn the_form_for_a_file_name_is_one_safe_path_component() {
    let form = |text: &str| FirmwareName::try_from(text).unwrap().file_form();
    for same in [
        "a",
        "relay-v2",
        "Relay_2.0+b",
        "+a",
        "_",
        "1.0.0-rc.1+x",
        "CONX",
        "COM",
        "COM10",
        "lpt",
        "nul-a",
        "con1",
        "com1x",
        "a.con",
        "lamp-",
        "xcon",
    ] {
        assert_eq!(form(same), same, "today's names keep their files");
    }
    for (text, expected) in [
        ("Word Clock", "Word-Clock"),
        ("a/b", "a-b"),
        ("/etc/passwd", "_etc-passwd"),
        ("../../x", "_.-..-x"),
        ("..\\a", "_.-a"),
        (".", "_"),
        ("..", "_-"),
        ("...", "_.-"),
        (".hidden", "_hidden"),
        ("-rf", "_rf"),
        ("--", "_-"),
        ("a.", "a-"),
        ("a..", "a.-"),
        ("c:", "c-"),
        ("a b.", "a-b-"),
        ("é", "_"),
        ("Wörter", "W-rter"),
        ("温度", "_-"),
        ("CON", "_CON"),
        ("con", "_con"),
        ("Nul.txt", "_Nul.txt"),
        ("nul.", "nul-"),
        ("aux.1.2", "_aux.1.2"),
        ("prn", "_prn"),
        ("COM1", "_COM1"),
        ("com0.x", "_com0.x"),
        ("LPT9", "_LPT9"),
    ] {
        assert_eq!(form(text), expected, "{text}");
    }
}

#[test]
fn an_invalid_value_is_shown_escaped_with_its_place() {
    let error = extract(&image(&[token(Field::Name, b"../\x1b[2J\n"), version("1")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the firmware name at offset 0x7, "../\x1b[2J\n", has the character U+001B at position 3"#
    );
}

#[test]
fn offsets_and_values_are_what_json_shows() {
    let tokens = extract(&image(&[name("relay"), version("1.0")])).unwrap();
    assert_eq!(
        serde_json::to_string(&tokens).unwrap(),
        r#"{"name":{"value":"relay","offset_bytes":7},"version":{"value":"1.0","offset_bytes":30},"brand":null,"marker":false}"#
    );
}

#[test]
fn an_image_of_nothing_but_starts_is_read_in_linear_time() {
    // Every start has its whole window searched; quadratic work on 16 MiB would take hours.
    let unit = [&NAME_LEFT[..], &[0; 33]].concat();
    let hostile = unit.repeat((16 << 20) / unit.len());
    assert_eq!(extract(&hostile).unwrap(), Tokens::default());
}

proptest! {
    #[test]
    fn the_form_of_any_name_is_safe_and_its_own_form(text in "[ -~]{1,32}|\\PC{1,8}|(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])[ -~]{0,4}") {
        if let Ok(name) = FirmwareName::try_from(text.as_str()) {
            let form = name.file_form();
            prop_assert!(!form.is_empty() && form.bytes().all(is_file_byte));
            prop_assert!(!form.starts_with(['.', '-']) && !form.ends_with('.'));
            let stem = form.split('.').next().unwrap().to_ascii_uppercase();
            prop_assert!(!["CON", "PRN", "AUX", "NUL"].contains(&&*stem));
            prop_assert!(stem.len() != 4 || !(stem.starts_with("COM") || stem.starts_with("LPT")) || !stem.ends_with(|c: char| c.is_ascii_digit()));
            if let Ok(again) = FirmwareName::try_from(form.as_str()) {
                prop_assert_eq!(again.file_form(), form);
            }
        }
    }

    #[test]
    fn planted_tokens_are_found_where_they_were_planted(
        noise in vec(vec(any::<u8>(), 0..300), 4),
        name_text in "[ -~]{1,32}|[ -~ä]{1,16}|[ä温🕰 ]{1,8}",
        version_text in "[ -~]{1,16}|[ä温🕰 ]{1,4}",
        brand_text in "[ -~]{1,21}|[ä温🕰 ]{1,5}",
        order in Just([0usize, 1, 2]).prop_shuffle(),
    ) {
        let tokens = [name(&name_text), version(&version_text), token(Field::Brand, brand_text.as_bytes())];
        let (mut image, mut at) = (noise[3].clone(), [0; 3]);
        for which in order {
            at[which] = image.len();
            image.extend_from_slice(&tokens[which]);
            image.extend_from_slice(&noise[which]);
        }
        let found = extract(&image).unwrap();
        let name = found.name.unwrap();
        prop_assert_eq!((name.value.as_str(), name.offset), (name_text.as_str(), at[0]));
        let version = found.version.unwrap();
        prop_assert_eq!((version.value.as_str(), version.offset), (version_text.as_str(), at[1]));
        let brand = found.brand.unwrap();
        prop_assert_eq!((brand.value.as_str(), brand.offset), (brand_text.as_str(), at[2]));
    }

    /// Boundaries, pieces of boundaries and text in any order: no panic, and what comes out obeys the rules.
    #[test]
    fn nothing_panics_and_nothing_unsafe_comes_out(
        parts in vec(prop_oneof![
            Just(NAME_LEFT.to_vec()), Just(NAME_RIGHT.to_vec()),
            Just(VERSION_LEFT.to_vec()), Just(VERSION_RIGHT.to_vec()),
            Just(BRAND_LEFT.to_vec()), Just(BRAND_RIGHT.to_vec()), Just(NAME_LEFT[..4].to_vec()),
            vec(any::<u8>(), 0..40), "[a-z./-]{0,33}".prop_map(String::into_bytes),
        ], 0..12),
    ) {
        if let Ok(Tokens { name: Some(name), .. }) = extract(&parts.concat()) {
            let form = name.value.file_form();
            let mut components = std::path::Path::new(&form).components();
            prop_assert!(matches!(components.next(), Some(std::path::Component::Normal(_))));
            prop_assert!(components.next().is_none());
            let text = name.value.as_str();
            prop_assert!((1..=NAME_MAX).contains(&text.len()) && text.chars().all(is_printable));
        }
    }
}
