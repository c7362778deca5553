//! Any bytes as a file to describe: no panic, and nothing that could write on a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::format::image::{Kind, identify, trailer};

fuzz_target!(|bytes: &[u8]| {
    let kind = identify(bytes);
    assert_eq!(matches!(kind, Kind::Elf(_)), bytes.starts_with(b"\x7fELF"));
    assert_eq!(matches!(kind, Kind::Gzip), bytes.starts_with(&[0x1F, 0x8B]));
    assert_eq!(matches!(kind, Kind::Empty), bytes.is_empty());
    assert!(!kind.to_string().contains(|c: char| c.is_control()));
    let json = serde_json::to_string(&kind).expect("every kind has a JSON form");
    assert!(json.starts_with("{\"kind\":"));
    if let Kind::Esp32(image) = &kind {
        assert!(image.segments.len() <= 16);
        for segment in &image.segments {
            assert!(segment.offset_bytes + segment.size_bytes as usize <= bytes.len());
        }
    }
    if let Some(guess) = trailer(bytes, bytes.len() as u64) {
        assert!(guess.payload_len >= 1);
        assert_eq!(guess.payload_len + guess.signature_len as u64 + 4, bytes.len() as u64);
    }
});
