//! Fuzzes metadata blocks: nothing panics, and every text holds only allowed bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal_device::{Metadata, MetadataBlock, homie};

fuzz_target!(|payload: &[u8]| {
    if let Ok(Some(block)) = MetadataBlock::of_unverified(payload) {
        for text in [block.name(), block.board()].into_iter().flatten() {
            assert!((1..=32).contains(&text.len()), "{text:?}");
            assert!(text.bytes().all(homie::is_token_byte), "{text:?}");
        }
        let _ = block.version();
    }
});
