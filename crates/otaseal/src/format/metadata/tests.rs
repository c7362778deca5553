//! Tests that the device crate reads the written metadata, and that inflaters that do not know it skip it.

use super::*;
use crate::format::gzip::{Effort, gunzip, gzip_with_extra};
use crate::format::homie;
use crate::testing::{has_tool, skipped};
use std::process::Command;

fn image(len: usize) -> Vec<u8> {
    let mut image = b"\xE9\x00\x02\x40\0\0\0\0".to_vec();
    image.extend(
        b"\xbf\x84\xe4\x13\x54blinds\x93\x44\x6b\xa7\x75\0\x6a\x3f\x3e\x0e\xe11.2.3\xb0\x30\x48\xd4\x1a\0",
    );
    image.resize(image.len().max(len), 7);
    image
}

fn block(plain: &[u8]) -> Block {
    let request =
        Labels { board: Some("d1-mini".parse().unwrap()), min_base_version: Some("1.0".parse().unwrap()) };
    Block::of(plain, &homie::extract(plain).unwrap(), KeyId([9; 32]), &request)
}

#[test]
fn the_device_crate_reads_what_is_written_here() {
    for len in 4000..4008 {
        let plain = image(len);
        let block = block(&plain);
        let tail = block.behind(&plain);
        assert_eq!(tail.len() % 4, 0);
        assert!(tail.starts_with(&plain));
        assert_eq!(without_tail(&tail), plain);
        let packed = gzip_with_extra(&plain, Effort::Fast, &block.subfield()).unwrap();
        assert_eq!(packed.len() % 4, 0);
        for payload in [&tail, &packed] {
            let found = MetadataBlock::of_unverified(payload).unwrap().unwrap();
            assert_eq!((found.name, found.version), (Some("blinds"), Some("1.2.3")));
            assert_eq!((found.board, found.min_base_version), (Some("d1-mini"), Some("1.0")));
            assert_eq!(found.flash_mode, Some(2));
            assert_eq!(found.raw_len, Some(len as u32));
            assert_eq!(found.raw_sha256, Some(&sha256(&plain).0));
            assert_eq!(found.key_id, Some(KeyId([9; 32])));
        }
        assert_eq!(summary(&tail, &tail).unwrap().unwrap().board.as_deref(), Some("d1-mini"));
        assert!(summary(&packed, &plain).unwrap().is_some());
        assert_eq!(summary(&packed, b"another").unwrap_err(), "the metadata belong to another image");
    }
    assert_eq!(without_tail(b"no tail"), b"no tail");
    assert_eq!(summary(b"no tail", b"no tail"), Ok(None));
}

/// A name that a device cannot read would be no name at all, and one left out would lift a demand on it.
#[test]
fn a_block_holds_every_name_and_version_that_a_token_holds() {
    for (name, version) in [
        ("Word Clock", "1.0 beta"),
        ("Wörteruhr/2", "2024-01-01 ü"),
        ("温度計温度計温度計 1", "ß"),
        (".", ".."),
    ] {
        let plain = [
            &image(100)[..8],
            b"\xbf\x84\xe4\x13\x54",
            name.as_bytes(),
            b"\x93\x44\x6b\xa7\x75\0\x6a\x3f\x3e\x0e\xe1",
            version.as_bytes(),
            b"\xb0\x30\x48\xd4\x1a\0",
        ]
        .concat();
        let block = block(&plain);
        let packed = gzip_with_extra(&plain, Effort::Fast, &block.subfield()).unwrap();
        for payload in [&block.behind(&plain), &packed] {
            let found = MetadataBlock::of_unverified(payload).unwrap().unwrap();
            assert_eq!((found.name, found.version), (Some(name), Some(version)));
            let summary = summary(payload, &plain).unwrap().unwrap();
            assert_eq!(summary.name.as_deref(), Some(name));
        }
    }
}

/// The device's reader leaves it to the host what a terminal can show.
#[test]
fn a_text_that_fools_its_reader_is_not_shown() {
    for text in ["a\u{202e}b", "\u{9b}2J", "a\u{200b}"] {
        let block = [&[FORMAT, tag::NAME, text.len() as u8], text.as_bytes()].concat();
        let payload = Block(block).behind(b"plain");
        assert!(MetadataBlock::of_unverified(&payload).unwrap().is_some());
        assert_eq!(
            summary(&payload, &payload).unwrap_err(),
            "the metadata have a text that is not printable"
        );
    }
}

#[test]
fn a_label_is_what_a_block_can_hold() {
    for bad in ["", "a b", "a/b", "ä", "a\0", &"a".repeat(33)] {
        assert!(bad.parse::<Label>().is_err(), "{bad:?}");
    }
    assert_eq!("nodemcu_v2".parse::<Label>().unwrap().to_string(), "nodemcu_v2");
}

/// gzip, Python's zlib and uzlib in C (MicroPython's `deflate`) give the same content with the block as without.
#[test]
fn old_inflaters_skip_the_block() {
    let plain = image(50_000);
    let packed = gzip_with_extra(&plain, Effort::Default, &block(&plain).subfield()).unwrap();
    assert_eq!(gunzip(&packed, plain.len()).unwrap(), plain);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("firmware.bin.gz");
    std::fs::write(&path, &packed).unwrap();
    let check = |program: &str, args: &[&std::ffi::OsStr]| {
        let output = Command::new(program).args(args).arg(&path).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == plain, "{program}");
    };
    if has_tool("gzip") {
        check("gzip", &["-dc".as_ref()]);
    }
    if has_tool("python3") {
        let script = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
        check("python3", &["-c".as_ref(), script.as_ref()]);
    }
    if has_tool("node") {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/uzlib.mjs");
        match std::env::var_os("OTASEAL_MICROPYTHON") {
            Some(modules) => check("node", &[script.as_ref(), "content".as_ref(), &modules]),
            None => skipped("OTASEAL_MICROPYTHON does not name a directory with MicroPython for node in it"),
        }
    }
}
