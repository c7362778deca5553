//! The metadata block: where it lies in a payload, and its fields.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::device::MetadataBlock;
use otaseal::format::metadata;

fuzz_target!(|data: &[u8]| {
    if let Ok(block) = MetadataBlock::parse(data) {
        for text in [block.name, block.version, block.board, block.min_base_version].into_iter().flatten() {
            assert!((1..=32).contains(&text.len()), "{text:?}");
            assert!(!text.bytes().any(|byte| byte.is_ascii_control()), "{text:?}");
        }
        assert!(block.flash_mode.is_none_or(|mode| mode <= 3));
        // The same block is found in both of its places.
        let len = (data.len() as u32).to_le_bytes();
        let tail = [b"\xe9image", data, &len, b"OtaSeal\x1a"].concat();
        assert_eq!(MetadataBlock::of_unverified(&tail), Ok(Some(block)));
        assert_eq!(metadata::without_tail(&tail), b"\xe9image");
        let field = (data.len() as u16 + 4).to_le_bytes();
        let header = [b"\x1f\x8b\x08\x04\0\0\0\0\0\xff", &field[..], b"Ot", &len[..2], data].concat();
        assert_eq!(MetadataBlock::of_unverified(&header), Ok(Some(block)));
    }
    let _ = MetadataBlock::of_unverified(data);
    let _ = metadata::summary(data, data);
});
