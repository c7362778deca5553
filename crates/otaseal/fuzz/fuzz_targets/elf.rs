//! Any bytes as an ELF: no panic, no large allocation, and an image only of bytes that are in the file, or filler.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::format::elf::flatten;
use otaseal::project::advice::{Advice, Speaker};

/// Small, so that no input makes the fuzzer fill megabytes.
const MAX_GAP: usize = 4096;

fuzz_target!(|elf: &[u8]| {
    match flatten(elf, MAX_GAP) {
        Ok(flat) => {
            // Pieces do not overlap in memory, may share file bytes, and at most 256 segments or 65,279 sections
            // have gaps between them.
            assert!(!flat.bytes.is_empty());
            assert!(flat.bytes.len() <= otaseal::format::elf::MAX_FLAT_LEN);
            assert!(flat.base.checked_add(flat.bytes.len() as u64 - 1).is_some());
            // Every byte that is no filler is a byte of the file.
            let mut present = [false; 256];
            elf.iter().for_each(|&byte| present[usize::from(byte)] = true);
            present[0xFF] = true;
            assert!(flat.bytes.iter().all(|&byte| present[usize::from(byte)]));
            // The same again, and the same when gaps are allowed that are not there.
            assert_eq!(flatten(elf, MAX_GAP * 2).as_ref().ok(), Some(&flat));
        }
        Err(error) => {
            assert!(!error.to_string().contains(|c: char| c.is_control()));
            assert!(!error.advice(Speaker::Program).contains(|c: char| c.is_control()));
        }
    }
});
