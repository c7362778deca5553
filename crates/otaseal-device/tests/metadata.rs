//! Tests which metadata blocks are read, which are refused, and which demands they meet.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

mod common;

use common::{key, root, sign};
use otaseal_device::metadata::{BLOCK_MAX, FORMAT, SUBFIELD_ID, TAIL_MAGIC};
use otaseal_device::{
    KeySet, Metadata, MetadataBlock, MetadataError, Payload, Requirements, Unmet, Version, verify,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Makes a block of these fields.
fn block(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut block = vec![FORMAT];
    for (tag, value) in fields {
        block.extend([*tag, value.len() as u8]);
        block.extend_from_slice(value);
    }
    block
}

/// Makes a gzip header with these subfields.
fn in_gzip(subfields: &[([u8; 2], &[u8])]) -> Vec<u8> {
    let mut extra = Vec::new();
    for (id, data) in subfields {
        extra.extend_from_slice(id);
        extra.extend((data.len() as u16).to_le_bytes());
        extra.extend_from_slice(data);
    }
    let mut payload = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
    payload.extend((extra.len() as u16).to_le_bytes());
    payload.extend(extra);
    payload
}

/// Puts a block behind an image.
fn in_tail(image: &[u8], block: &[u8]) -> Vec<u8> {
    [image, block, &(block.len() as u32).to_le_bytes(), &TAIL_MAGIC].concat()
}

const FIELDS: [(u8, &[u8]); 8] = [
    (1, b"thermostat"),
    (2, b"1.10.2"),
    (3, b"d1-mini"),
    (4, &[2]),
    (5, &[0x40, 0x42, 0x0f, 0x00]),
    (6, &[0xA5; 32]),
    (7, b"1.2"),
    (8, &[0x5A; 32]),
];

#[test]
fn a_block_is_read_from_a_gzip_header_and_from_a_tail() {
    let block = block(&FIELDS);
    let foreign: ([u8; 2], &[u8]) = (*b"Ap", b"something else");
    for payload in [
        in_gzip(&[(SUBFIELD_ID, &block)]),
        in_gzip(&[foreign, (SUBFIELD_ID, &block), foreign]),
        in_tail(b"\xe9 an image", &block),
    ] {
        let found = MetadataBlock::of_unverified(&payload).unwrap().unwrap();
        assert_eq!(found.name, Some("thermostat"));
        assert_eq!(found.version, Some("1.10.2"));
        assert_eq!(found.board, Some("d1-mini"));
        assert_eq!(found.flash_mode, Some(2));
        assert_eq!(found.raw_len, Some(1_000_000));
        assert_eq!(found.raw_sha256, Some(&[0xA5; 32]));
        assert_eq!(found.min_base_version, Some("1.2"));
        assert_eq!(found.key_id.unwrap().0, [0x5A; 32]);
    }
}

#[test]
fn a_payload_without_a_block_has_none() {
    let extra = in_gzip(&[(*b"Ap", b"x")]);
    // Some tools write an extra field that does not consist of subfields.
    let rough = [&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 3, 0][..], b"abc"].concat();
    let cut = [&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 6, 0][..], b"Ap\x09\x00xy"].concat();
    let plain: [&[u8]; 6] =
        [b"", b"\xe9", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\xff", &TAIL_MAGIC[1..], &[7; 99]];
    for payload in plain.into_iter().chain([&extra[..], &rough, &cut]) {
        assert_eq!(MetadataBlock::of_unverified(payload), Ok(None), "{payload:x?}");
    }
}

#[test]
fn a_block_out_of_place_is_refused() {
    let good = block(&FIELDS);
    let refused = |payload: &[u8], error| {
        assert_eq!(MetadataBlock::of_unverified(payload), Err(error), "{payload:x?}");
    };
    refused(&in_gzip(&[(SUBFIELD_ID, &good), (SUBFIELD_ID, &good)]), MetadataError::Twice);
    let whole = in_gzip(&[(SUBFIELD_ID, &good)]);
    for len in 10..whole.len() {
        refused(&whole[..len], MetadataError::Place);
    }
    // The subfield claims more bytes than the extra field has.
    let mut longer = whole.clone();
    longer[14] += 1;
    refused(&longer, MetadataError::Place);
    refused(&TAIL_MAGIC, MetadataError::Place);
    for len in [1u32, 9, u32::MAX, 1 << 31] {
        refused(&[&len.to_le_bytes()[..], &TAIL_MAGIC].concat(), MetadataError::Place);
    }
    refused(&in_tail(b"\xe9", b""), MetadataError::Size);
}

#[test]
fn every_rule_of_a_block_has_its_error() {
    let refused = |block: &[u8], error| assert_eq!(MetadataBlock::parse(block), Err(error), "{block:x?}");
    refused(b"", MetadataError::Size);
    refused(&[vec![FORMAT], vec![0; BLOCK_MAX]].concat(), MetadataError::Size);
    refused(&[0], MetadataError::Format);
    refused(&[2, 1, 1, b'a'], MetadataError::Format);
    refused(&[FORMAT, 1], MetadataError::Cut);
    refused(&[FORMAT, 1, 2, b'a'], MetadataError::Cut);
    refused(&[FORMAT, 200, 255], MetadataError::Cut);
    refused(&block(&[(2, b"1"), (1, b"a")]), MetadataError::Order);
    refused(&block(&[(1, b"a"), (1, b"a")]), MetadataError::Order);
    refused(&block(&[(1, b"a"), (0, b""), (1, b"a")]), MetadataError::Order);
    refused(&block(&[(128, b"")]), MetadataError::Critical);
    refused(&block(&[(255, b"x")]), MetadataError::Critical);
    refused(&block(&[(0, b"\0x")]), MetadataError::Value);
    for tag in [1, 2, 3, 7] {
        for value in
            [&b""[..], b"\0", b"a\nb", b"\x1b[2J", b"a\x7f", b"\xc3", b"a\xff", b"\xed\xa0\x80", &[b'a'; 33]]
        {
            refused(&block(&[(tag, value)]), MetadataError::Value);
        }
        for value in ["a b", "a/b", "ä", "Word Clock", "温度計"] {
            assert!(MetadataBlock::parse(&block(&[(tag, value.as_bytes())])).is_ok(), "{value}");
        }
        assert!(MetadataBlock::parse(&block(&[(tag, &[b'a'; 32])])).is_ok());
    }
    for (tag, value) in [(4, &[4][..]), (4, &[]), (4, &[0, 0]), (5, &[0; 3]), (6, &[0; 31]), (8, &[0; 33])] {
        refused(&block(&[(tag, value)]), MetadataError::Value);
    }
}

#[test]
fn a_block_of_the_greatest_length_is_read_and_a_longer_one_is_refused() {
    // The format takes one byte and the head of each field two.
    let of_len = |len: usize| block(&[(1, b"a"), (0, &[0; 255]), (0, &vec![0; len - 1 - 3 - 257 - 2])]);
    assert_eq!(of_len(BLOCK_MAX).len(), BLOCK_MAX);
    assert_eq!(MetadataBlock::parse(&of_len(BLOCK_MAX)).unwrap().name, Some("a"));
    assert_eq!(MetadataBlock::parse(&of_len(BLOCK_MAX + 1)), Err(MetadataError::Size));
    for whole in [in_tail(b"\xe9", &of_len(BLOCK_MAX + 1)), in_gzip(&[(SUBFIELD_ID, &of_len(BLOCK_MAX + 1))])]
    {
        assert_eq!(MetadataBlock::of_unverified(&whole), Err(MetadataError::Size));
    }
}

#[test]
fn unknown_fields_and_padding_are_skipped() {
    let found = block(&[(0, &[0; 3]), (1, b"a"), (9, b"later"), (0, b""), (127, &[255; 200]), (0, &[0; 2])]);
    let found = MetadataBlock::parse(&found).unwrap();
    assert_eq!(found.name, Some("a"));
}

#[test]
fn flipped_bits_and_cuts_do_not_panic() {
    let good = block(&FIELDS);
    for payload in [in_gzip(&[(SUBFIELD_ID, &good)]), in_tail(b"\xe9", &good)] {
        for len in 0..=payload.len() {
            let _ = MetadataBlock::of_unverified(&payload[..len]);
            let _ = MetadataBlock::of_unverified(&payload[len..]);
        }
        for bit in 0..payload.len() * 8 {
            let mut payload = payload.clone();
            payload[bit / 8] ^= 1 << (bit % 8);
            let _ = MetadataBlock::of_unverified(&payload);
        }
    }
}

#[test]
fn versions_have_an_order_or_meet_no_demand() {
    let version = |text: &str| {
        let block = block(&[(2, text.as_bytes())]);
        MetadataBlock::parse(&block).unwrap().version()
    };
    let some = |major, minor, patch| Some(Version { major, minor, patch });
    assert_eq!(version("1.10.2"), some(1, 10, 2));
    assert_eq!(version("1.10"), some(1, 10, 0));
    assert_eq!(version("07"), some(7, 0, 0));
    assert_eq!(version("1.2.3+git.5"), some(1, 2, 3));
    assert!(version("1.10.0") > version("1.9.9"));
    for text in ["1.2.3-rc1", "v1", "1.2.3.4", "1..2", ".", "+1", "1.+2", "4294967296", "1.x", "-1", "1.-2"] {
        assert_eq!(version(text), None, "{text}");
    }
}

#[test]
fn an_image_can_ask_for_a_base() {
    let running = |major, minor| Version { major, minor, patch: 0 };
    let over = |base: &str, running| {
        let block = block(&[(7, base.as_bytes())]);
        MetadataBlock::parse(&block).unwrap().installs_over(running)
    };
    assert!(over("1.2", running(1, 2)) && over("1.2", running(2, 0)));
    assert!(!over("1.2", running(1, 1)));
    assert!(!over("1.2-rc1", running(9, 9)), "a base without order allows none");
    assert!(MetadataBlock::default().installs_over(running(0, 0)));
}

/// Signs a payload with the example key, and hands the verified payload over.
fn signed(payload: &[u8], judge: impl FnOnce(Payload<'_>)) {
    let private = root().join("keys.example/private.pem");
    let keys: KeySet<1> = key::<64>(&private).into();
    judge(verify(&sign(payload, &private), &keys).unwrap());
}

#[test]
fn the_block_of_a_verified_payload_is_the_block_inside_its_signed_bytes() {
    signed(&in_tail(b"\xe9", &block(&FIELDS)), |payload| {
        let found = MetadataBlock::of(&payload).unwrap().unwrap();
        assert_eq!((found.name, found.flash_mode), (Some("thermostat"), Some(2)));
    });
    signed(b"\xe9 without a block", |payload| assert_eq!(MetadataBlock::of(&payload), Ok(None)));
    signed(&in_tail(b"\xe9", &[2]), |payload| {
        assert_eq!(MetadataBlock::of(&payload), Err(MetadataError::Format));
    });
}

/// The signature covers the payload only. A block behind the signed bytes is not the signer's word.
#[test]
fn a_block_behind_the_signed_bytes_is_not_read() {
    let private = root().join("keys.example/private.pem");
    let keys: KeySet<1> = key::<64>(&private).into();
    let image = sign(b"\xe9 without a block", &private);
    assert!(verify(&in_tail(&image, &block(&FIELDS)), &keys).is_err());
}

#[test]
fn a_block_names_the_key_that_signed_or_another_or_none() {
    signed(b"\xe9", |payload| {
        let accepted = payload.accepted();
        let names =
            |fields: &[(u8, &[u8])]| MetadataBlock::parse(&block(fields)).unwrap().names_key_of(&accepted);
        assert!(names(&[(8, &accepted.key_id.0)]));
        assert!(names(&[]), "no key is named");
        for byte in 0..32 {
            let mut other = accepted.key_id.0;
            other[byte] ^= 1;
            assert!(!names(&[(8, &other)]), "byte {byte}");
        }
        assert!(!names(&[(8, &[0; 32])]));
    });
}

#[test]
fn a_block_meets_the_demands_that_its_fields_meet() {
    signed(&in_tail(b"\xe9", &block(&FIELDS)), |payload| {
        let found = MetadataBlock::of(&payload).unwrap().unwrap();
        let check = |demands: Requirements<'_>| demands.check(&payload.accepted(), &found);
        let version = |major, minor, patch| Some(Version { major, minor, patch });
        let good =
            Requirements { name: Some("thermostat"), board: Some("d1-mini"), min_version: version(1, 10, 2) };
        assert_eq!(check(good), Ok(()));
        for name in ["", "thermosta", "Thermostat", "xyzzy"] {
            assert_eq!(check(Requirements { name: Some(name), ..good }), Err(Unmet::Name), "{name}");
        }
        for board in ["", "d1", "d1-mini2", "xyzzy"] {
            assert_eq!(check(Requirements { board: Some(board), ..good }), Err(Unmet::Board), "{board}");
        }
        for least in [version(1, 10, 3), version(1, 11, 0), version(2, 0, 0)] {
            assert_eq!(check(Requirements { min_version: least, ..good }), Err(Unmet::Version), "{least:?}");
        }
    });
}

proptest! {
    /// Every reader finds the fields that a writer put down, whatever padding and unknown fields lie between them.
    #[test]
    fn fields_are_read_as_they_were_written(
        name in "[A-Za-z0-9_.+-]{1,32}|[ -~ä温]{1,10}",
        board in prop::option::of("[A-Za-z0-9_.+-]{1,32}"),
        raw_len in any::<u32>(),
        unknown in prop::option::of((9_u8..128, vec(any::<u8>(), 0..40))),
        padding in vec(0_usize..9, 4),
    ) {
        let zeros = |place: usize| (0, &[0; 9][..padding[place]]);
        let len = raw_len.to_le_bytes();
        let mut fields = vec![zeros(0), (1, name.as_bytes()), zeros(1)];
        fields.extend(board.as_ref().map(|board| (3, board.as_bytes())));
        fields.extend([zeros(2), (5, &len)]);
        fields.extend(unknown.as_ref().map(|(tag, value)| (*tag, &value[..])));
        fields.push(zeros(3));
        let block = block(&fields);
        for payload in [in_tail(b"\xe9", &block), in_gzip(&[(*b"Ap", b"x"), (SUBFIELD_ID, &block)])] {
            let found = MetadataBlock::of_unverified(&payload).unwrap().unwrap();
            prop_assert_eq!((found.name, found.board), (Some(&name[..]), board.as_deref()));
            prop_assert_eq!((found.raw_len, found.version, found.key_id), (Some(raw_len), None, None));
        }
    }

    /// A device that does not know a critical field must not install: the field may forbid it.
    #[test]
    fn an_unknown_critical_field_refuses_the_block(tag in 128_u8.., value in vec(any::<u8>(), 0..40)) {
        let found = block(&[(1, b"a"), (tag, &value)]);
        prop_assert_eq!(MetadataBlock::parse(&found), Err(MetadataError::Critical));
    }

    #[test]
    fn fields_out_of_order_refuse_the_block(first in 1_u8..128, second in 1_u8..128) {
        prop_assume!(second <= first);
        let value = |tag: u8| -> &'static [u8] {
            match tag {
                1 | 2 | 3 | 7 => b"1",
                4 => &[0],
                5 => &[0; 4],
                6 | 8 => &[0; 32],
                _ => b"anything",
            }
        };
        let found = block(&[(first, value(first)), (second, value(second))]);
        prop_assert_eq!(MetadataBlock::parse(&found), Err(MetadataError::Order));
    }

    #[test]
    fn a_block_that_is_cut_is_refused(cut in 1_usize..40) {
        let whole = block(&FIELDS);
        let found = MetadataBlock::parse(&whole[..whole.len() - cut]);
        // A cut between two fields leaves a shorter block that is whole.
        let between = cut == 34 || cut == 39;
        prop_assert_eq!(found.err(), (!between).then_some(MetadataError::Cut));
    }

    #[test]
    fn no_payload_causes_a_panic(noise in vec(any::<u8>(), 0..80), place in 0_usize..3) {
        let payload = match place {
            0 => noise.clone(),
            1 => in_tail(b"\xe9", &noise),
            _ => in_gzip(&[(SUBFIELD_ID, &noise)]),
        };
        if let Ok(Some(found)) = MetadataBlock::of_unverified(&payload) {
            let _ = (found.version(), found.installs_over(Version { major: 1, minor: 0, patch: 0 }));
        }
        let _ = MetadataBlock::parse(&noise);
    }
}
