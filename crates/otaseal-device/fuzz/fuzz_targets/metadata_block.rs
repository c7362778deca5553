//! Fuzzes metadata blocks: nothing panics, and no text holds a control character of ASCII.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal_device::{Metadata, MetadataBlock};

fuzz_target!(|payload: &[u8]| {
    if let Ok(Some(block)) = MetadataBlock::of_unverified(payload) {
        for text in [block.name(), block.board()].into_iter().flatten() {
            assert!((1..=32).contains(&text.len()), "{text:?}");
            assert!(!text.bytes().any(|byte| byte.is_ascii_control()), "{text:?}");
        }
        let _ = block.version();
    }
});
