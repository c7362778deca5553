//! Tests how much of a private key in DER there must be, header by header.

use super::*;

/// Writes a value with the shortest header, as DER does.
fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let header = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [&header, content].concat()
}

/// Random bytes, the highest bit of the first one set and the last one odd.
fn number(length: usize) -> Vec<u8> {
    let mut number = noise(length, 11);
    number[0] |= 0x80;
    number[length - 1] |= 1;
    number
}

/// Asserts that otaseal takes the bytes for a private key, or does not.
#[track_caller]
fn assert_found(bytes: &[u8], is_found: bool, what: &str) {
    let found = search(&within(bytes), &[]).private;
    assert_eq!(found.map(|private| private.offset), is_found.then_some(1000), "{what}: {found:?}");
}

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 4;
const IDENTIFIER: u8 = 6;
const VERSION_0: [u8; 3] = [2, 1, 0];
const VERSION_1: [u8; 3] = [2, 1, 1];

/// The modulus tells an RSA key from any other list of numbers, and so does the room for the other numbers.
#[test]
fn an_rsa_key_has_a_plausible_modulus_and_room_for_the_rest() {
    // The key is cut off behind its modulus. Its header still says how long it was.
    let key = |zero: u8, modulus: &[u8], fields: usize| {
        let content = VERSION_0.len() + fields;
        let sequence = [SEQUENCE, 0x82, (content >> 8) as u8, content as u8];
        [&sequence[..], &VERSION_0, &value(2, &[&[zero], modulus].concat())].concat()
    };
    for (bytes, fields, is_found) in [
        (128, 4 * 128, true),
        (128, 4 * 128 - 1, false),
        (128, 5 * 128 + 63, true),
        (128, 5 * 128 + 64, false),
        (256, 4 * 256, true),
        (256, 5 * 256 + 64, false),
        // 512 bits are the fewest, and no size is in use that is no multiple of 8 bytes.
        (64, 4 * 64 + 10, true),
        (56, 4 * 56 + 10, false),
        (68, 4 * 68 + 10, false),
    ] {
        assert_found(&key(0, &number(bytes), fields), is_found, &format!("{bytes} and {fields} bytes"));
    }
    let mut small = number(128);
    small[0] &= 0x7F;
    let mut even = number(128);
    even[127] &= 0xFE;
    for (zero, modulus, what) in
        [(1, number(128), "no zero before it"), (0, small, "another size"), (0, even, "even")]
    {
        assert_found(&key(zero, &modulus, 4 * 128 + 10), false, what);
    }
}

#[test]
fn a_key_of_a_curve_is_a_number_that_fills_its_sequence() {
    let key = |number: &[u8], behind: &[u8]| {
        value(SEQUENCE, &[&VERSION_1[..], &value(OCTETS, number), behind].concat())
    };
    for (length, is_found) in [(13, false), (14, true), (32, true), (72, true), (73, false)] {
        assert_found(&key(&number(length), &[]), is_found, &format!("{length} bytes"));
    }
    let number = number(32);
    let whole = key(&number, &[]);
    for (tag, is_found) in [(0xA0, true), (0xA1, true), (0xA2, false), (0x30, false)] {
        assert_found(&key(&number, &value(tag, &[1; 40])), is_found, &format!("tag {tag:#x} behind it"));
    }
    for (length, is_found) in [(whole[1] - 1, false), (whole[1], true), (whole[1] + 1, false)] {
        let mut other = whole.clone();
        other[1] = length;
        assert_found(&other, is_found, &format!("a sequence of {length} bytes"));
    }
    // DER has no indefinite length.
    let indefinite = [&[SEQUENCE, 0x80], &key(&number, &value(0xA0, &[1; 90]))[3..]].concat();
    assert_found(&indefinite, false, "indefinite");
}

/// A program holds headers in front of text, zeros and tables. A secret number looks like none of these.
#[test]
fn a_secret_number_is_random() {
    let key = |number: &[u8]| value(SEQUENCE, &[&VERSION_1[..], &value(OCTETS, number)].concat());
    let with = |different: u8| (0..32).map(|at| 0x80 | (at % different)).collect::<Vec<u8>>();
    assert_found(&key(&with(22)), true, "two thirds of the bytes are different");
    assert_found(&key(&with(21)), false, "fewer are different");
    let small: Vec<u8> = (0..32).map(|at| 3 * at).collect();
    assert_found(&key(&small), false, "no byte above 127, as in text");
    // Only the first 32 bytes are looked at. The rest may be cut off.
    assert_found(&key(&[number(32), vec![0; 34]].concat()), true, "521 bits");
    assert_found(&key(&[vec![0; 34], number(32)].concat()), false, "zeros first");
}

#[test]
fn a_pkcs8_key_names_an_algorithm_and_holds_random_octets() {
    let key = |identifier: usize, octets: &[u8], behind: &[u8]| {
        let algorithm = value(SEQUENCE, &value(IDENTIFIER, &vec![0x2B; identifier]));
        value(SEQUENCE, &[&VERSION_0[..], &algorithm, &value(OCTETS, octets), behind].concat())
    };
    let octets = value(OCTETS, &number(32));
    for (identifier, is_found) in [(2, false), (3, true), (16, true), (17, false)] {
        assert_found(
            &key(identifier, &octets, &[]),
            is_found,
            &format!("an identifier of {identifier} bytes"),
        );
    }
    for (octets, is_found, what) in [
        (number(56), true, "the number itself"),
        (number(13), false, "too few bytes"),
        (value(OCTETS, &[0; 32]), false, "zeros"),
        (value(SEQUENCE, &number(32)), false, "a sequence, which is found as what it is"),
    ] {
        assert_found(&key(3, &octets, &[]), is_found, what);
    }
    for (tag, is_found) in [(0xA0, true), (0x81, true), (0xA1, true), (0x80, false), (SEQUENCE, false)] {
        assert_found(&key(3, &octets, &value(tag, &[1; 40])), is_found, &format!("tag {tag:#x} behind it"));
    }
    // The identifier must end within its sequence.
    let mut long = key(3, &octets, &[]);
    assert_eq!(long[5..9], [SEQUENCE, 5, IDENTIFIER, 3]);
    long[8] = 4;
    assert_found(&long, false, "an identifier that is longer than its sequence");
}

/// Every algorithm of PKCS#5 and PKCS#12 that makes a key out of a passphrase, and its neighbours.
#[test]
fn an_encrypted_key_is_told_by_its_algorithm() {
    const PKCS: [u8; 7] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01];
    let key = |scheme: &[u8]| {
        let identifier = value(IDENTIFIER, &[&PKCS, scheme].concat());
        let algorithm = value(SEQUENCE, &[&identifier[..], &value(SEQUENCE, &[5; 20])].concat());
        value(SEQUENCE, &[algorithm, value(OCTETS, &number(200))].concat())
    };
    for last in 0..=14 {
        let is_one = matches!(last, 1 | 3 | 4 | 6 | 10 | 11 | 13);
        assert_found(&key(&[5, last]), is_one, &format!("PKCS#5, {last}"));
        assert_found(&key(&[12, 1, last]), (1..=6).contains(&last), &format!("PKCS#12, {last}"));
    }
    for scheme in [&[5, 13, 1][..], &[5], &[12, 1], &[12, 2, 1], &[12, 1, 1, 1], &[7, 1]] {
        assert_found(&key(scheme), false, &format!("{scheme:?}"));
    }
    let good = key(&[5, 13]);
    let content = usize::from(good[2]);
    assert_eq!((good[1], content), (0x81, good.len() - 3));
    for length in [content - 1, content + 1] {
        let mut other = good.clone();
        other[2] = length as u8;
        assert_found(&other, false, "a sequence that ends elsewhere");
    }
    assert_found(&good[..60], true, "cut off");
}
