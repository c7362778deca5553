//! Tests facts about images beyond their headers: damage, flash modes, RP2040 and RP2350, filesystems, UF2.

use crate::project::advice::{Advice, Speaker};
use proptest::prelude::*;

use super::esp8266::{Damage, FlashMode, Part, WordsState, set_flash_mode};
use super::rp::{Cpu, Security};
use super::tests::{arduino, esp, esp8266, uf2_block};
use super::uf2::{Uf2Error, unpack};
use super::*;

fn damage(bytes: &[u8]) -> Option<Damage> {
    esp(bytes).damage
}

/// CRC-32 as the loader has it, one bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ (0x04C1_1DB7 & 0u32.wrapping_sub(crc >> 31))
        })
    })
}

/// An Arduino file with its two words at `at`, patched in behind the checksum's back.
fn with_words(at: usize) -> Vec<u8> {
    let mut file = esp8266(2, 0x40, &[(0x4010_F000, &[7; 3000])]);
    file.resize(0x1000, 0xAA);
    let code = [&[0; 8][..], &[0x55; 5000]].concat();
    file.extend(esp8266(2, 0x40, &[(0x4020_1010, &code), (0x3FFE_8000, &[9; 64])]));
    file[at..at + 8].fill(0);
    let (length, crc) = (file.len() as u32, crc32(&file));
    file[at..at + 4].copy_from_slice(&length.to_le_bytes());
    file[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
    file
}

#[test]
fn the_words_are_found_in_both_their_places() {
    for at in [0x1010, 0xFF8] {
        let file = with_words(at);
        let found = esp(&file);
        let words = found.words.unwrap();
        assert_eq!((words.offset_bytes, words.state), (at, WordsState::Valid));
        assert_eq!((words.stored_length as usize, found.damage), (file.len(), None));
        let tail = [&file[..], b"a tail is no part of the sketch"].concat();
        assert_eq!(esp(&tail).words.unwrap().state, WordsState::Valid);
    }
    assert!(esp(&arduino()).words.is_none(), "program code of an older core");
    assert_eq!(damage(&arduino()), None);
}

#[test]
fn every_changed_byte_of_a_file_with_words_is_damage() {
    for at in [0x1010, 0xFF8] {
        let whole = with_words(at);
        // Two wrong words cannot be told from code, so that the length word alone is no proof of damage.
        for place in (3..whole.len()).step_by(7).chain(at..at + 8) {
            let mut file = whole.clone();
            file[place] ^= 0x20;
            assert!(!matches!(identify(&file), Kind::Esp8266(file) if file.is_intact()), "{place:#x}");
        }
    }
}

#[test]
fn each_kind_of_damage_has_its_own_name() {
    let whole = with_words(0x1010);
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        damage(&file)
    };
    let part = Part::Application;
    assert!(matches!(changed(0x1900, &[0]), Some(Damage::Checksum { part: Part::Application, .. })));
    assert!(matches!(changed(100, &[0]), Some(Damage::Checksum { part: Part::BootLoader, .. })));
    let length = whole.len();
    assert_eq!(
        changed(0x1010, &[0, 0, 0, 0]),
        Some(Damage::Length { offset: 0x1010, stored: 0, actual: length })
    );
    assert!(matches!(changed(0x1014, &[1, 2, 3, 4]), Some(Damage::Crc { offset: 0x1014, .. })));
    assert!(matches!(changed(2, &[3]), Some(Damage::Crc { .. })), "the mode byte is under the CRC");
    assert_eq!(
        damage(&whole[..length - 1]),
        Some(Damage::CutOff { part, found: 2, count: 2 }),
        "the checksum itself"
    );
    assert_eq!(damage(&whole[..length - 50]), Some(Damage::CutOff { part, found: 1, count: 2 }));
    for cut in [0xFF0, 0x1000, 0x1007] {
        assert_eq!(damage(&whole[..cut]), Some(Damage::NoApplication), "{cut:#x}");
    }
    assert_eq!(damage(&esp8266(2, 0, &[])), Some(Damage::NoSegments { part: Part::Image }));
    let overlap = esp8266(2, 0, &[(0x40, &[1; 32]), (0, &[]), (0x5F, &[2; 4]), (0x20, &[3; 32])]);
    assert_eq!(
        damage(&overlap),
        Some(Damage::Overlap { part: Part::Image, one: 1, other: 3, address: 0x5F })
    );
    assert_eq!(damage(&esp8266(2, 0, &[(0x40, &[1; 32]), (0x60, &[2; 4]), (0x20, &[3; 32])])), None);
    let beyond = esp8266(2, 0, &[(u32::MAX - 3, &[1; 4])]);
    assert_eq!(damage(&beyond), Some(Damage::AddressRange { part: Part::Image, segment: 1 }));
    for it in [damage(&overlap), damage(&beyond), changed(2, &[3]), damage(&whole[..0x1000])] {
        let it = it.unwrap();
        assert!(!it.to_string().is_empty() && !it.advice(Speaker::Program).is_empty());
    }
}

#[test]
fn setting_the_flash_mode_keeps_the_crc_right() {
    for at in [0x1010, 0xFF8] {
        for &mode in FlashMode::ALL {
            let mut file = with_words(at);
            assert_eq!(set_flash_mode(&mut file, mode), Some(2));
            let found = esp(&file);
            assert_eq!((found.first.header.flash_mode, found.damage), (Some(mode), None));
            let changed = file.iter().zip(with_words(at)).filter(|(new, old)| *new != old).count();
            assert!(changed <= 5, "the byte and the word, nothing else");
            assert_eq!(set_flash_mode(&mut file, FlashMode::Dio), Some(mode.byte()));
            assert_eq!(file, with_words(at), "and back");
        }
    }
    let mut old = arduino();
    set_flash_mode(&mut old, FlashMode::Qio).unwrap();
    assert_eq!(old.iter().zip(arduino()).filter(|(new, old)| *new != old).count(), 1, "no words, no change");
    let mut damaged = with_words(0x1010);
    damaged[0x1800] ^= 1;
    let before = damaged.clone();
    assert_eq!(set_flash_mode(&mut damaged, FlashMode::Qio), None);
    assert_eq!(damaged, before);
    assert_eq!(set_flash_mode(&mut [0; 64], FlashMode::Qio), None);
}

#[test]
fn flash_modes_have_the_names_that_esptool_takes() {
    for (name, &mode) in ["qio", "QOUT", "Dio", "dout"].into_iter().zip(FlashMode::ALL) {
        assert_eq!(name.parse(), Ok(mode));
        assert_eq!(FlashMode::from_byte(mode.byte()), Some(mode));
    }
    assert!("fast".parse::<FlashMode>().is_err() && "".parse::<FlashMode>().is_err());
}

/// The smallest image definition, RP2350 datasheet 5.9.5.1, with other flags and items before the last.
fn image_def(flags: u16, items: &[u32]) -> Vec<u8> {
    let mut words = vec![0xFFFF_DED3, 0x0142 | u32::from(flags) << 16];
    words.extend_from_slice(items);
    words.extend([0x0000_00FF | (1 + items.len() as u32) << 8, 0, 0xAB12_3579]);
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

#[test]
fn an_rp2350_image_is_told_by_its_image_definition() {
    let at = |offset: usize, block: &[u8]| {
        let mut image = vec![0; 8192];
        image[..4].copy_from_slice(&0x2008_2000u32.to_le_bytes());
        image[4..8].copy_from_slice(&0x1000_0101u32.to_le_bytes());
        image[offset..offset + block.len()].copy_from_slice(block);
        identify(&image)
    };
    let Kind::Rp2350(found) = at(0x100, &image_def(0x1021, &[])) else { panic!() };
    assert_eq!((found.image_def.cpu, found.image_def.security), (Cpu::Arm, Security::Secure));
    assert!(found.vector_table.unwrap().plausible);
    assert_eq!(found.to_string(), "an RP2350 image (Arm, secure)");
    let version = [0x0000_0248, 0x0002_0007];
    let Kind::Rp2350(found) = at(0xF00, &image_def(0x1101, &version)) else { panic!() };
    assert_eq!((found.image_def.cpu, found.image_def.version), (Cpu::RiscV, Some((2, 7))));
    assert_eq!(found.vector_table, None);
    assert_eq!(found.image_def.offset_bytes, 0xF00);
    let Kind::Rp2350(found) = at(0, &image_def(0x9021, &[0x0000_0344, 0x1000_0200, 0x2000_0000])) else {
        panic!()
    };
    assert_eq!(
        (found.image_def.entry_address, found.image_def.try_before_you_buy),
        (Some(0x1000_0200), true)
    );

    let good = image_def(0x1021, &[]);
    assert_eq!(at(0x1000, &good), Kind::Unknown, "behind the first 4 KiB");
    assert_eq!(at(0x102, &good), Kind::Unknown, "not on a word boundary");
    for (byte, value) in [(0, 0), (4, 0x43), (8, 0xFE), (9, 2), (16, 0), (6, 0x22), (7, 0x00), (7, 0x12)] {
        let mut block = good.clone();
        block[byte] = value;
        assert_eq!(at(0x100, &block), Kind::Unknown, "byte {byte}");
    }
}

#[test]
fn binary_info_is_read_through_its_copy_table_and_made_safe() {
    let mut image = [&rp2040_boot2::BOOT_LOADER_W25Q080[..], &[0; 0x700]].concat();
    let mut put = |at: usize, words: &[u32]| {
        for (index, word) in words.iter().enumerate() {
            image[at + 4 * index..][..4].copy_from_slice(&word.to_le_bytes());
        }
    };
    put(0x100, &[0x2004_2000, 0x1000_0201]);
    put(0x180, &[0x7188_EBF2, 0x1000_0400, 0x1000_0410, 0x1000_0300, 0xE71A_A390]);
    put(0x300, &[0x1000_0500, 0x2000_0000, 0x2000_0100, 0]);
    // A name in flash, a version in RAM, a wild pointer, the program's end.
    put(0x400, &[0x1000_0420, 0x2000_0000, 0xFFFF_FFF0, 0x1000_0440]);
    put(0x420, &[0x5052_0006, 0x0203_1C86, 0x1000_0480]);
    put(0x440, &[0x5052_0005, 0x68F4_65DE, 0x1000_0800]);
    put(0x500, &[0x5052_0006, 0x11A9_BC3A, 0x2000_0020]);
    image[0x480..0x48E].copy_from_slice(b"blink\x1b[2J\x07 x\0y");
    image[0x520..0x526].copy_from_slice(b"1.2.3\0");
    let Kind::Rp2040(found) = identify(&image) else { panic!() };
    let table = found.vector_table.unwrap();
    assert_eq!((table.stack_pointer, table.reset_address, table.plausible), (0x2004_2000, 0x1000_0201, true));
    let info = found.binary_info.unwrap();
    assert_eq!(info.program_name.as_deref(), Some("blink\u{FFFD}[2J\u{FFFD} x"));
    assert_eq!(info.program_version.as_deref(), Some("1.2.3"));
    assert_eq!((info.end_address, info.board), (Some(0x1000_0800), None));
    for (sp, reset) in [
        (0x2004_2004, 0x1000_0201u32),
        (0x2000_0000, 0x1000_0201),
        (0x2004_2000, 0x1000_0200),
        (0x2004_2000, 0x1001_0001),
        (0x2000_0002, 0x1000_0201),
    ] {
        let mut other = image.clone();
        other[0x100..0x104].copy_from_slice(&u32::to_le_bytes(sp));
        other[0x104..0x108].copy_from_slice(&reset.to_le_bytes());
        let Kind::Rp2040(found) = identify(&other) else { panic!() };
        assert!(!found.vector_table.unwrap().plausible, "{sp:#x} {reset:#x}");
    }
}

/// A SPIFFS image without files, from the layout in `spiffs_nucleus.h`.
pub(crate) fn spiffs(block: usize, page: usize, count: usize, counted: bool) -> Vec<u8> {
    let mut image = vec![0xFF; block * count];
    for index in 0..count {
        let left = if counted { (count - index) as u16 } else { 0 };
        let lookup_pages = (block / page * 2).div_ceil(page);
        let at = index * block + lookup_pages * page - 4;
        image[at..at + 2].copy_from_slice(&(0x0529 ^ page as u16 ^ left).to_le_bytes());
    }
    image
}

#[test]
fn spiffs_is_told_by_the_magic_of_every_block() {
    for (block, page, count) in [(8192, 256, 125), (4096, 256, 16), (65_536, 256, 3), (8192, 512, 2)] {
        for counted in [true, false] {
            let image = spiffs(block, page, count, counted);
            let Kind::Spiffs(found) = identify(&image) else { panic!("{block} {page} {count} {counted}") };
            assert_eq!(
                (found.block_size_bytes, found.page_size_bytes, found.block_count, found.complete),
                (block as u32, page as u32, count as u32, true)
            );
            // Without counts every second block looks like a filesystem with larger blocks.
            for index in 0..if counted { count } else { 0 } {
                let mut damaged = image.clone();
                damaged[index * block..(index + 1) * block].fill(0);
                assert!(!matches!(identify(&damaged), Kind::Spiffs(found) if found.complete), "{index}");
            }
        }
    }
    let image = spiffs(8192, 256, 125, true);
    let Kind::Spiffs(cut) = identify(&image[..8192 * 100]) else { panic!() };
    assert_eq!((cut.block_count, cut.complete), (125, false));
    assert!(cut.to_string().ends_with("; cut off)"));
    assert_eq!(identify(&image[..8192]), Kind::Unknown, "one block proves nothing");
    assert_eq!(identify(&vec![0xFF; 8192 * 4]), Kind::Erased { byte: 0xFF });
    assert_eq!(identify(&vec![0; 8192 * 4]), Kind::Erased { byte: 0 });
}

/// Blocks with their numbers.
fn uf2_file(blocks: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    for (number, (address, data)) in blocks.iter().enumerate() {
        let mut block = uf2_block(0x2000, *address, data.len() as u32, 0xE48B_FF56);
        block[20..24].copy_from_slice(&(number as u32).to_le_bytes());
        block[24..28].copy_from_slice(&(blocks.len() as u32).to_le_bytes());
        block[32..32 + data.len()].copy_from_slice(data);
        file.extend(block);
    }
    file
}

const FLASH: u32 = 0x1000_0000;

#[test]
fn a_spiffs_region_may_end_with_a_part_of_a_block() {
    // Layouts of esp8266/Arduino before 2.5: 0xFB000 bytes in blocks of 8192, and what `mkspiffs` leaves of the last.
    for (block, count, rest, counted) in
        [(8192, 125, 4096, false), (8192, 2, 4096, true), (65_536, 3, 4096 * 15, false)]
    {
        let whole = spiffs(block, 256, count, counted);
        let Kind::Spiffs(found) = identify(&[&whole[..], &vec![0xFF; rest]].concat()) else { panic!() };
        assert_eq!((found.block_size_bytes as usize, found.block_count as usize), (block, count));
        assert!(found.complete);
        // Only erased flash, and only whole sectors.
        for other in [vec![0; rest], vec![0xFF; rest - 1], vec![0xFF; 100]] {
            assert!(!matches!(identify(&[&whole[..], &other].concat()), Kind::Spiffs(_)));
        }
    }
}

#[test]
fn uf2_blocks_in_any_order_become_one_image() {
    let (a, b) = ([1; 256], [2; 256]);
    let unpacked = unpack(&uf2_file(&[(FLASH + 512, &b), (FLASH, &a), (FLASH, &a)]), 256).unwrap();
    assert_eq!(unpacked.bytes, [&a[..], &[0xFF; 256], &b].concat());
    assert_eq!(
        (unpacked.gaps, unpacked.gap_bytes, unpacked.duplicates, unpacked.in_order),
        (1, 256, 1, false)
    );
    // Partial overlap with the same bytes.
    let unpacked =
        unpack(&uf2_file(&[(FLASH, &a), (FLASH + 128, &[&a[..128], &b[..100]].concat())]), 0).unwrap();
    assert_eq!(unpacked.bytes, [&a[..], &b[..100]].concat());
    // The erratum's absolute block in front, with a count of its own.
    let mut e10 = uf2_block(0x2000, 0x10FF_FF00, 256, 0xE48B_FF57);
    e10[24..28].copy_from_slice(&2u32.to_le_bytes());
    let file = [e10, uf2_file(&[(FLASH, &a)])].concat();
    assert_eq!(unpack(&file, 0).unwrap().bytes, a);
}

#[test]
fn what_is_not_clean_in_a_uf2_file_is_named() {
    let (a, b) = ([1u8; 256], [2u8; 256]);
    let good = uf2_file(&[(FLASH, &a), (FLASH + 256, &b)]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        unpack(&file, 0).unwrap_err()
    };
    assert_eq!(unpack(&good[..1000], 0), Err(Uf2Error::CutOff));
    assert_eq!(unpack(&good[..512], 0), Err(Uf2Error::Missing { found: 1, announced: 2 }));
    assert_eq!(unpack(&good[512..], 0), Err(Uf2Error::Missing { found: 1, announced: 2 }));
    assert!(matches!(unpack(&[&good[..], &good].concat(), 0), Ok(found) if found.duplicates == 2));
    let longer = [good.clone(), uf2_file(&[(FLASH, &a)])].concat();
    assert!(matches!(unpack(&longer, 0), Err(Uf2Error::Missing { .. })), "two files joined");
    assert_eq!(changed(512, &[0]), Uf2Error::Damaged { block: 1 });
    assert_eq!(changed(511, &[0]), Uf2Error::Damaged { block: 0 });
    assert_eq!(changed(16, &477u32.to_le_bytes()), Uf2Error::Damaged { block: 0 });
    assert_eq!(changed(16, &u32::MAX.to_le_bytes()), Uf2Error::Damaged { block: 0 });
    assert_eq!(changed(512 + 28, &[0x59]), Uf2Error::Families { one: 0xE48B_FF56, other: 0xE48B_FF59 });
    assert_eq!(changed(8 + 1, &[0x30]), Uf2Error::FileContainer { block: 0 });
    assert_eq!(changed(512 + 12, &(FLASH + 255).to_le_bytes()), Uf2Error::Conflict { address: FLASH + 255 });
    assert_eq!(
        changed(512 + 12, &(FLASH + 257).to_le_bytes()),
        Uf2Error::Gap { address: FLASH + 256, length: 1 }
    );
    assert!(matches!(changed(512 + 12, &u32::MAX.to_le_bytes()), Uf2Error::TooLarge { .. }));
    assert!(matches!(changed(512 + 12, &0xF000_0000u32.to_le_bytes()), Uf2Error::TooLarge { .. }));
    assert_eq!(
        unpack(&uf2_file(&[(FLASH + 4096, &a)]), 0),
        Err(Uf2Error::NotAtStart { address: FLASH + 4096 })
    );
    assert_eq!(unpack(&uf2_file(&[(FLASH, &[])]), 0), Err(Uf2Error::Nothing));
    let mut unknown = uf2_file(&[(FLASH, &a)]);
    unknown[28] = 0;
    assert_eq!(unpack(&unknown, 0), Err(Uf2Error::UnknownFamily { family: 0xE48B_FF00 }));
}

#[test]
fn addresses_far_apart_take_no_memory() {
    // 10 MB of blocks that spread over 4 GiB: refused before anything is filled.
    let data = [0; 256];
    let blocks: Vec<_> = (0..20_000u32).map(|at| (at.wrapping_mul(214_748), &data[..])).collect();
    assert!(matches!(unpack(&uf2_file(&blocks), usize::MAX), Err(Uf2Error::TooLarge { .. })));
}

proptest! {
    #[test]
    fn any_blocks_become_what_they_write_or_an_error(
        blocks in prop::collection::vec((0u32..4096, 0usize..=476, any::<u8>()), 1..20),
        max_gap in 0usize..2048,
    ) {
        let data: Vec<_> = blocks.iter().map(|(at, len, fill)| (FLASH + at, vec![*fill; *len])).collect();
        let list: Vec<_> = data.iter().map(|(at, data)| (*at, &data[..])).collect();
        match unpack(&uf2_file(&list), max_gap) {
            Ok(unpacked) => {
                for (at, data) in &list {
                    let at = (at - FLASH) as usize;
                    prop_assert!(data.is_empty() || &unpacked.bytes[at..at + data.len()] == *data);
                }
                prop_assert!(unpacked.bytes.len() <= 4096 + 476);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty() && !error.advice(Speaker::Program).is_empty()),
        }
    }

    #[test]
    fn hostile_bytes_in_known_shapes_do_not_panic(
        mut file in prop::sample::select(vec![
            with_words(0x1010), with_words(0xFF8), spiffs(4096, 256, 3, true), uf2_file(&[(FLASH, &[1; 256])]),
            [vec![0; 256], image_def(0x1021, &[0x0000_0248, 1]), vec![0; 64]].concat(),
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if !whole {
            file.truncate(cut.index(file.len()));
        }
        let kind = identify(&file);
        prop_assert!(!kind.to_string().contains(char::is_control));
        serde_json::to_string(&kind).unwrap();
        let _ = unpack(&file, 4096);
        let mut patched = file.clone();
        if set_flash_mode(&mut patched, FlashMode::Qio).is_some() {
            // Two wrong words look like no words, until one of them becomes right.
            prop_assert!(esp(&patched).is_intact() || esp(&file).words.is_none());
        }
    }
}
