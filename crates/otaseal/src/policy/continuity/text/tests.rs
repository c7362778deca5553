//! Tests the needles, which tell where a key can be. A needle that is too short is found everywhere, and costs time.

use super::*;

#[test]
fn a_needle_is_the_digits_that_every_key_has() {
    // INTEGER 0 or 1 is `AgEA` or `AgEB`, `IBAA` or `IBAB`, `CAQA` or `CAQB`, and 020100 or 020101.
    for (byte, bits, place, digits) in [
        (0, 6, 0, &[0, 32, 4][..]),
        (1, 6, 2, &[8, 1, 0]),
        (2, 6, 3, &[2, 0, 16]),
        (0, 4, 0, &[0, 2, 0, 1, 0]),
    ] {
        let needle = Needle::of(&[2, 1, 0], 23, byte, bits);
        assert_eq!((needle.bits, needle.place, needle.finder.needle()), (bits, place, digits));
    }
}

#[test]
fn every_needle_is_as_long_as_what_it_stands_for() {
    // 23 bits of a version, 56 of the identifier and 80 of the label, less what fills no digit.
    let lengths: Vec<_> = NEEDLES.iter().map(|needle| needle.finder.needle().len()).collect();
    assert_eq!(lengths, [3, 3, 3, 5, 9, 8, 9, 14, 13, 12, 13, 20]);
}
