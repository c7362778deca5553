//! Metadata blocks: what is read, what is refused, and what a device makes of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

use otaseal_device::metadata::{BLOCK_MAX, FORMAT, SUBFIELD_ID, TAIL_MAGIC};
use otaseal_device::{Metadata, MetadataBlock, MetadataError, Version};

/// A block of these fields.
fn block(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut block = vec![FORMAT];
    for (tag, value) in fields {
        block.extend([*tag, value.len() as u8]);
        block.extend_from_slice(value);
    }
    block
}

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
    // An extra field that is not made of subfields, as some tools write it.
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
    // The subfield claims more than the extra field has.
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
        for value in [&b""[..], b"a b", b"a/b", b"\0", b"\xc3\xa4", &[b'a'; 33]] {
            refused(&block(&[(tag, value)]), MetadataError::Value);
        }
        assert!(MetadataBlock::parse(&block(&[(tag, &[b'a'; 32])])).is_ok());
    }
    for (tag, value) in [(4, &[4][..]), (4, &[]), (4, &[0, 0]), (5, &[0; 3]), (6, &[0; 31]), (8, &[0; 33])] {
        refused(&block(&[(tag, value)]), MetadataError::Value);
    }
}

#[test]
fn unknown_fields_and_padding_are_skipped() {
    let found = block(&[(0, &[0; 3]), (1, b"a"), (9, b"later"), (0, b""), (127, &[255; 200]), (0, &[0; 2])]);
    let found = MetadataBlock::parse(&found).unwrap();
    assert_eq!(found.name, Some("a"));
}

#[test]
fn every_bit_and_every_cut_is_survived() {
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
