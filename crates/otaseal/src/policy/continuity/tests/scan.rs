//! Tests the limits of the search for public keys: certificates, many keys, and keys among random bytes.

use super::*;

/// A SEQUENCE with a length of two bytes that need not be right.
fn sequence(length: usize, content: &[u8]) -> Vec<u8> {
    [&[0x30, 0x82, (length >> 8) as u8, length as u8], content].concat()
}

/// otaseal takes a key for a certificate's only if the certificate's own fields lead to it.
#[test]
fn a_key_is_a_certificates_only_as_a_field_of_it() {
    let key = example().to_spki_der().to_vec();
    let field = |length: u8| [vec![4, length], noise(usize::from(length), 13)].concat();
    let is_found = |fields: &[Vec<u8>], inner: isize, outer: isize| {
        let content = [fields.concat(), key.clone()].concat();
        let length = content.len().checked_add_signed(inner).unwrap();
        let certificate =
            sequence((length + 4).checked_add_signed(outer).unwrap(), &sequence(length, &content));
        !search(&within(&certificate), &[]).keys.is_empty()
    };
    let three = [field(5), field(40), field(20)];
    // What remains of the inner sequence if it ends right before the key.
    let before_key = -(key.len() as isize);
    for (fields, inner, outer, expected, what) in [
        (&three[..], 0, 0, false, "the inner sequence fills the outer one"),
        (&three, 0, 300, false, "a signature follows"),
        (&three, 0, -1, true, "the inner sequence is longer than the outer one"),
        (&three, before_key, 300, true, "the inner sequence ends before the key"),
        (&three, before_key + 1, 300, false, "the inner sequence ends in the key"),
        (&[], 0, 0, false, "no field before it"),
        (&vec![field(3); 6], 0, 0, false, "six fields before it, as in a certificate"),
        (&vec![field(3); 7], 0, 0, true, "seven fields"),
        (&[vec![4, 6, 1, 2, 3, 4, 5]], 0, 0, true, "a field that ends behind the start of the key"),
        (&[vec![4, 4, 1, 2, 3, 4, 5]], 0, 0, true, "a field that ends before it"),
        (&[vec![4, 0x84, 0, 0, 0, 5, 1, 2, 3, 4, 5]], 0, 0, true, "a field with a header of no certificate"),
    ] {
        assert_eq!(is_found(fields, inner, outer), expected, "{what}");
    }
}

/// A number that no known method factors, as far as [`PublicKey::from_numbers`] looks.
fn invented(seed: u64) -> PublicKey {
    let mut modulus = noise(256, 2 * seed + 100_001);
    modulus[0] |= 0xC0;
    modulus[255] |= 1;
    PublicKey::from_numbers(&modulus, &[1, 0, 1]).unwrap()
}

/// An image with more is hostile, and the search must end.
#[test]
fn no_more_than_32_keys_are_told_apart() {
    let keys: Vec<_> = (0..34).map(invented).collect();
    for (form, write) in [
        (Form::SpkiDer, (|key| key.to_spki_der().to_vec()) as fn(&PublicKey) -> Vec<u8>),
        (Form::ModulusLittleEndian, device_form),
        (Form::Pem, |key| key.to_spki_pem().into_bytes()),
    ] {
        for count in [31, 32, 33, 34] {
            let parts = keys[..count].iter().flat_map(|key| [write(key), vec![0; 1024]].concat());
            let image: Vec<u8> = [0; 1024].into_iter().chain(parts).collect();
            let found = search(&image, &[]).keys;
            assert_eq!(found.len(), count.min(32), "{form:?}");
            assert!(found.iter().zip(&keys).all(|(found, key)| found.is(key.id()) && found.form == form));
        }
    }
}

/// A TLS client holds some certificates. otaseal looks for no more than 32, and takes the keys behind them for keys.
#[test]
fn no_more_than_32_certificates_are_told_apart() {
    let key = example().to_spki_der().to_vec();
    let certificate = sequence(key.len() + 4, &sequence(key.len(), &key));
    for (count, keys) in [(1, 0), (32, 0), (33, 1)] {
        let image = vec![within(&certificate); count].concat();
        assert_eq!(search(&image, &[]).keys.len(), keys, "{count}");
    }
}

/// Compressed data are random, and no key stands in the middle of them.
#[test]
fn a_key_among_random_bytes_is_found_near_an_end_of_them() {
    const BLOCK: usize = 128;
    let key = device_form(&example());
    let with = |before: usize, behind: usize| {
        let behind = noise(behind * BLOCK - key.len(), 15);
        let random = [&noise(before * BLOCK, 16)[..], &key, &behind].concat();
        !search(&[&[0; 8 * BLOCK][..], &random, &[0; 8 * BLOCK]].concat(), &[]).keys.is_empty()
    };
    for (before, behind, is_found) in
        [(0, 40, true), (9, 40, true), (10, 40, false), (40, 10, true), (40, 11, false), (40, 3, true)]
    {
        assert_eq!(with(before, behind), is_found, "{before} blocks before it, {behind} from its start");
    }
}

/// The search ends after a number of hashes. Bytes that cannot be a modulus with a key id beside it cost none.
#[test]
fn a_key_behind_many_random_bytes_is_found_if_they_can_be_no_keys() {
    let key = device_form(&example());
    let random = noise(256 * 128, 17);
    let with = |change: fn(usize, u8) -> u8| {
        let bytes: Vec<u8> = random.iter().enumerate().map(|(at, byte)| change(at, *byte)).collect();
        let runs = bytes.chunks(16 * 128).flat_map(|run| [run, &[0; 128]].concat());
        let image: Vec<u8> = runs.chain(key.iter().copied()).chain([0; 1024]).collect();
        !search(&image, &[]).keys.is_empty()
    };
    assert!(!with(|_, byte| byte));
    assert!(with(|at, byte| if at % 4 == 0 { byte & 0xFE } else { byte }), "even numbers");
    assert!(with(|at, byte| if at % 4 == 3 { byte & 0x7F } else { byte }), "numbers that are too small");
    assert!(with(|at, byte| if at % 8 == 1 { 0 } else { byte }), "an id has fewer zeros");
}

/// A device that trusts several keys has them in one array, and the quick search looks beside the key that signs.
#[test]
fn the_quick_search_finds_the_keys_of_one_array() {
    let keys = [example(), other(), fixture("next")];
    for order in [[0, 1, 2], [1, 0, 2], [1, 2, 0]] {
        let image = within(&order.map(|index| device_form(&keys[index])).concat());
        let found = quick_search(&image, &[&keys[0]]).keys;
        let places: Vec<_> = found.iter().map(|key| (key.key_id, key.offset)).collect();
        let expected: Vec<_> =
            order.iter().zip([1000, 1288, 1576]).map(|(index, at)| (keys[*index].id(), at)).collect();
        assert_eq!(places, expected);
    }
}
