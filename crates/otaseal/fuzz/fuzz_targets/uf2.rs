//! Any blocks as a UF2 file: no panic, bounded memory, and every byte that a block writes is where it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::format::image::uf2::unpack;
use otaseal::format::image::{Kind, identify};
use otaseal::project::advice::{Advice, Speaker};

const MAX_GAP: usize = 64 << 10;

fuzz_target!(|bytes: &[u8]| {
    // Half of the inputs get their magic numbers, without which nothing is read.
    let mut file = bytes.to_vec();
    if file.first().is_some_and(|first| first & 1 == 0) {
        for block in file.chunks_exact_mut(512) {
            block[..8].copy_from_slice(&[0x55, 0x46, 0x32, 0x0A, 0x57, 0x51, 0x5D, 0x9E]);
            block[508..].copy_from_slice(&[0x30, 0x6F, 0xB1, 0x0A]);
        }
    }
    if let Kind::Uf2(found) = identify(&file) {
        assert!(found.blocks <= file.len() / 512 && found.payload_bytes <= file.len() as u64);
    }
    match unpack(&file, MAX_GAP) {
        Err(error) => assert!(
            !error.to_string().contains(char::is_control) && !error.advice(Speaker::Program).is_empty()
        ),
        Ok(unpacked) => {
            assert_eq!(unpacked.base_address, 0x1000_0000);
            assert!(unpacked.bytes.len() <= file.len() + file.len() / 512 * MAX_GAP);
            for block in file.chunks_exact(512) {
                let word = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
                let (flags, address, length) = (word(8), word(12), word(16) as usize);
                // The block for erratum E10 is the only one of the family "absolute" that is not refused.
                let is_absolute = flags & 0x2000 != 0 && word(28) == 0xE48B_FF57;
                if flags & 1 == 0 && !is_absolute && length > 0 {
                    let at = (address - 0x1000_0000) as usize;
                    assert_eq!(unpacked.bytes[at..at + length], block[32..32 + length]);
                }
            }
        }
    }
});
