use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::esp8266::{FlashMode, Integrity};
use super::*;
use crate::format::elf::tests::{elf32, load};

pub(crate) mod knowledge;
mod peer;

#[test]
fn the_order_of_recognition_is_from_certain_to_likely() {
    assert_eq!(identify(b""), Kind::Empty);
    assert_eq!(identify(b"\x1f\x8b"), Kind::Gzip);
    assert_eq!(identify(&[0xFF; 4096]), Kind::Erased { byte: 0xFF });
    assert_eq!(identify(b"\xe9"), Kind::Unknown);
    assert!(
        matches!(identify(b"\x7fELF"), Kind::Elf(Elf { class_bits: None, .. })),
        "damaged is not unknown"
    );
}

#[test]
fn the_last_four_bytes_are_read_as_a_length() {
    let guess = |tail: &[u8], total| trailer(tail, total).map(|it| (it.signature_len, it.payload_len));
    for (field, len) in [(&[0, 1, 0, 0], 256), (&[0x80, 1, 0, 0], 384), (&[0, 2, 0, 0], 512)] {
        assert_eq!(guess(field, len as u64 + 4 + 1), Some((len, 1)));
        assert_eq!(guess(field, u64::MAX), Some((len, u64::MAX - 4 - len as u64)));
        assert_eq!(guess(field, len as u64 + 4), None, "no payload");
        assert_eq!(guess(field, len as u64 + 3), None);
        assert_eq!(guess(field, 0), None);
        assert_eq!(guess(&[b"tail", &field[..]].concat(), 9999), Some((len, 9999 - 4 - len as u64)));
        assert_eq!(guess(&field[1..], 9999), None);
    }
    for field in
        [[0, 0, 0, 0], [0xFF; 4], [0, 0, 1, 0], [0, 4, 0, 0], [0, 1, 0, 1], [1, 1, 0, 0], [0x47, 0, 0, 0]]
    {
        assert_eq!(guess(&field, 9999), None, "{field:?}");
    }
}

#[test]
fn intel_hex_is_told_by_its_first_record() {
    for text in [
        &b":10010000214601360121470136007EFE09D2190140\r\n:00000001FF"[..],
        b":00000001FF",
        b":0100000000ff\n",
        b":020000040800F2\n",
    ] {
        assert_eq!(identify(text), Kind::IntelHex, "{}", text.escape_ascii());
    }
    for text in [
        &b":"[..],
        b":00000001FE",
        b":02000001FD",
        b":00000001FF0",
        b":0000000001FF",
        b":00000001F",
        b":01000001FF",
        b":0000000 FF",
        b":00000001FFx",
        b"00000001FF",
        b":zz",
        b":\n",
    ] {
        assert_eq!(identify(text), Kind::Unknown, "{}", text.escape_ascii());
    }
    assert_eq!(identify(&[b":".to_vec(), vec![b'0'; 1 << 20]].concat()), Kind::Unknown);
}

#[test]
fn an_rp2040_image_is_told_by_its_boot_loaders_checksum() {
    // The check value of this CRC in the catalogue of parametrised CRC algorithms (CRC-32/MPEG-2).
    use crc::{CRC_32_MPEG_2, Crc};
    assert_eq!(Crc::<u32>::new(&CRC_32_MPEG_2).checksum(b"123456789"), 0x0376_E6E7);
    // Boot loaders that run on real boards.
    for boot2 in [
        rp2040_boot2::BOOT_LOADER_W25Q080,
        rp2040_boot2::BOOT_LOADER_GD25Q64CS,
        rp2040_boot2::BOOT_LOADER_GENERIC_03H,
    ] {
        let image = [&boot2[..], &[0; 64]].concat();
        assert!(matches!(identify(&image), Kind::Rp2040(_)));
        for bit in 0..256 * 8 {
            let mut damaged = image.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(identify(&damaged), Kind::Rp2040(_)), "bit {bit}");
        }
        assert_eq!(identify(&image[..255]), Kind::Unknown);
    }
}

pub(crate) fn uf2_block(flags: u32, address: u32, len: u32, family: u32) -> Vec<u8> {
    let words = [0x0A32_4655, 0x9E5D_5157, flags, address, len, 0, 1, family];
    let mut block: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    block.resize(508, 0xAA);
    block.extend(0x0AB1_6F30u32.to_le_bytes());
    block
}

#[test]
fn uf2_blocks_are_summed_up() {
    let blocks = [
        uf2_block(0x2000, 0x1000_0100, 256, 0xE48B_FF56),
        uf2_block(0x2000, 0x1000_0000, 256, 0xE48B_FF56),
        uf2_block(0x2001, 0x0000_0000, 100, 7),
    ];
    let Kind::Uf2(uf2) = identify(&blocks.concat()) else { panic!() };
    assert_eq!((uf2.blocks, uf2.payload_bytes, uf2.first_address), (3, 512, Some(0x1000_0000)));
    assert_eq!((uf2.family_id, uf2.family, uf2.intact), (Some(0xE48B_FF56), Some("RP2040"), true));
    assert_eq!(uf2.to_string(), "a UF2 file for RP2040");

    let damaged = |at: usize| {
        let mut file = blocks.concat();
        file[at] ^= 1;
        identify(&file)
    };
    assert!(matches!(damaged(512), Kind::Uf2(Uf2 { intact: false, payload_bytes: 256, .. })), "magic");
    assert!(matches!(damaged(512 + 511), Kind::Uf2(Uf2 { intact: false, .. })), "end magic");
    assert!(matches!(damaged(512 + 19), Kind::Uf2(Uf2 { intact: false, .. })), "payload size");
    assert_eq!(damaged(4), Kind::Unknown, "the first block decides");
    let Kind::Uf2(cut) = identify(&blocks.concat()[..1000]) else { panic!() };
    assert_eq!(
        (cut.blocks, cut.intact, cut.to_string().as_str()),
        (1, false, "a UF2 file for RP2040 (damaged)")
    );
    assert_eq!(identify(&blocks[0][..511]), Kind::Unknown);
}

#[test]
fn the_block_for_erratum_e10_belongs_to_no_image() {
    let arm = uf2_block(0x2000, 0x1000_0000, 256, 0xE48B_FF59);
    let e10 = uf2_block(0x2000, 0x10FF_FF00, 256, 0xE48B_FF57);
    // picotool puts it elsewhere if it is told to.
    let mut moved = uf2_block(0xA000, 0x103F_FF00, 256, 0xE48B_FF57);
    moved[24] = 2;
    moved[32..32 + 256].fill(0xEF);
    for block in [e10, moved] {
        let Kind::Uf2(uf2) = identify(&[&block[..], &arm].concat()) else { panic!() };
        assert_eq!(uf2.to_string(), "a UF2 file for RP2350 (rp2350-arm-s)");
        assert_eq!((uf2.first_address, uf2.end_address), (Some(0x1000_0000), Some(0x1000_0100)));
        assert_eq!((uf2.families, uf2.payload_bytes, uf2.e10_block), (1, 256, true));
    }
    for (family, name) in [
        (0xE48B_FF56, "RP2040"),
        (0xE48B_FF57, "any chip (absolute)"),
        (0xE48B_FF58, "a data partition (data)"),
        (0xE48B_FF5A, "RP2350 (rp2350-riscv)"),
        (0xE48B_FF5B, "RP2350 (rp2350-arm-ns)"),
        (0xE48B_FF5C, "family e48bff5c"),
    ] {
        let block = uf2_block(0x2000, 0x1000_0000, 256, family);
        assert_eq!(identify(&block).to_string(), format!("a UF2 file for {name}"));
        let is_firmware = name.starts_with("RP");
        let unpacked = super::uf2::unpack(&block, 0);
        assert_eq!(unpacked == Err(super::uf2::Uf2Error::UnknownFamily { family }), !is_firmware, "{name}");
    }
}

/// Segments and padding as the format has them, with a given flash mode and size byte.
pub(crate) fn esp8266(mode: u8, size_frequency: u8, segments: &[(u32, &[u8])]) -> Vec<u8> {
    let mut image = vec![0xE9, segments.len() as u8, mode, size_frequency, 0x34, 0x12, 0x10, 0x40];
    let mut sum = 0xEF;
    for (address, data) in segments {
        image.extend(address.to_le_bytes());
        image.extend((data.len() as u32).to_le_bytes());
        image.extend_from_slice(data);
        sum = data.iter().fold(sum, |sum, byte| sum ^ byte);
    }
    image.resize(image.len() | 15, 0);
    image.push(sum);
    image
}

/// What an Arduino build makes: boot loader, padding, application.
pub(crate) fn arduino() -> Vec<u8> {
    let mut file = esp8266(2, 0x40, &[(0x4010_F000, &[7; 3000]), (0x4010_FF00, &[1, 2, 3])]);
    file.resize(0x1000, 0xAA);
    file.extend(esp8266(2, 0x40, &[(0x4020_1010, &[0x55; 5000]), (0x3FFE_8000, &[9; 64])]));
    file
}

pub(crate) fn esp(bytes: &[u8]) -> Esp8266File {
    match identify(bytes) {
        Kind::Esp8266(file) => file,
        other => panic!("{other:?}"),
    }
}

#[test]
fn boot_loader_and_application_are_both_read() {
    let bytes = arduino();
    let file = esp(&bytes);
    assert!(file.is_intact());
    assert_eq!(file.bytes_after, Some(0));
    let application = file.application.as_ref().unwrap();
    assert_eq!(application.offset_bytes, 0x1000);
    assert_eq!((application.segments[1].address, application.segments[1].size_bytes), (0x3FFE_8000, 64));
    assert_eq!(bytes[application.segments[1].offset_bytes], 9);
    assert_eq!(file.first.header.entry_address, 0x4010_1234);
    assert_eq!(
        file.to_string(),
        "an ESP8266 image (flash mode DIO, 4096 KiB at 40 MHz, boot loader and application)"
    );
    let signed = [&bytes[..], &[0; 260]].concat();
    assert_eq!(esp(&signed).bytes_after, Some(260));
}

#[test]
fn damage_to_either_image_is_seen() {
    for (at, of_first) in [(100, true), (0x1000 + 100, false)] {
        let mut file = arduino();
        file[at] ^= 0x10;
        let file = esp(&file);
        assert!(!file.is_intact());
        let damaged = if of_first { file.first } else { file.application.unwrap() };
        let Integrity::ChecksumMismatch { stored, computed, .. } = damaged.integrity else { panic!() };
        assert_eq!(stored ^ computed, 0x10);
    }
}

#[test]
fn an_application_is_looked_for_behind_the_boot_loader_only() {
    // Data of one large image that has an E9 at the place.
    let mut file = esp8266(0, 0, &[(0, &[0xE9; 6000])]);
    assert!(esp(&file).application.is_none());
    file.truncate(5000);
    assert_eq!(esp(&file).first.integrity, Integrity::CutOff);
    assert_eq!(esp(&file).bytes_after, None);
    assert!(esp(&file).to_string().ends_with("; damaged or cut off)"));
    assert!(esp(&arduino()[..0x1007]).application.is_none(), "no whole header");
}

#[test]
fn every_cut_and_every_size_is_survived() {
    let whole = esp8266(3, 0x9F, &[(1, &[1; 20]), (21, &[2; 7])]);
    for len in 8..whole.len() {
        assert_eq!(esp(&whole[..len]).first.integrity, Integrity::CutOff, "{len}");
    }
    assert!(esp(&whole).is_intact());
    for size in [28u32, 0x7FFF_FFFF, u32::MAX] {
        let mut image = whole.clone();
        image[12..16].copy_from_slice(&size.to_le_bytes());
        assert!(!esp(&image).is_intact());
    }
    let mut none = whole.clone();
    none[1] = 0;
    assert!(matches!(esp(&none).first.integrity, Integrity::ChecksumMismatch { length_bytes: 16, .. }));
    none[1] = 255;
    assert_eq!(esp(&none).first.integrity, Integrity::CutOff);
}

#[test]
fn the_checksum_is_in_a_line_of_its_own_when_the_data_fills_one() {
    for len in 0..48 {
        let image = esp8266(0, 0, &[(0, &vec![1; len])]);
        assert_eq!(esp(&image).first.integrity, Integrity::Valid { length_bytes: (16 + len + 16) & !15 });
    }
}

#[test]
fn header_bytes_without_a_meaning_stay_visible() {
    let file = esp(&esp8266(7, 0x73, &[]));
    assert_eq!((file.first.header.flash_mode, file.first.header.flash_size_bytes), (None, None));
    let shown = file.to_string();
    assert!(shown.contains("flash mode byte 0x07") && shown.contains("byte 0x73"), "{shown}");
    assert!(matches!(identify(b"\xea\x04\x02\x40\0\0\x10\x40"), Kind::Esp8266V2(_)));
    assert_eq!(identify(b"\xea\x04\x02\x40\0\0\x10"), Kind::Unknown);
}

#[test]
fn json_has_units_in_its_names() {
    let json = serde_json::to_value(identify(&esp8266(2, 0x40, &[(0x4010_0000, &[0; 4])]))).unwrap();
    assert_eq!(json["kind"], "esp8266");
    assert_eq!(json["first"]["flash_mode"], "dio");
    assert_eq!(json["first"]["flash_size_bytes"], 4 << 20);
    assert_eq!(json["first"]["flash_frequency_mhz"], 40);
    assert_eq!(json["first"]["segments"][0]["size_bytes"], 4);
    assert_eq!(json["first"]["integrity"]["state"], "valid");
    assert_eq!(serde_json::to_string(&identify(b"\x1f\x8b")).unwrap(), r#"{"kind":"gzip"}"#);
    let elf = identify(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0\x01\0\0\0\x01\x01\0\x08");
    assert_eq!(elf.to_string(), "an ELF file (32-bit, Arm)");
    assert_eq!(serde_json::to_value(elf).unwrap()["entry_address"], 0x0800_0101);
}

#[test]
fn a_big_endian_elf_is_described_too() {
    let elf = identify(
        b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x08\0\0\0\x01\x01\x02\x03\x04\x05\x06\x07\x08",
    );
    assert_eq!(elf.to_string(), "an ELF file (64-bit, MIPS)");
    let Kind::Elf(elf) = elf else { panic!() };
    assert_eq!((elf.big_endian, elf.entry_address), (Some(true), Some(0x0102_0304_0506_0708)));
}

/// Runs esptool; `None` when it is not installed.
fn esptool(dir: &Path, arguments: &[&str]) -> Option<String> {
    let python = if cfg!(windows) { "python" } else { "python3" };
    let run = |arguments: &[&str]| {
        Command::new(python)
            .args(["-m", "esptool", "--chip", "esp8266"])
            .args(arguments)
            .current_dir(dir)
            .output()
    };
    if !run(&["version"]).is_ok_and(|done| done.status.success()) {
        crate::testing::skipped("esptool (PyPI) is not installed");
        return None;
    }
    let done = run(arguments).unwrap();
    Some(String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr))
}

#[test]
fn esptool_and_we_read_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let in_dir = |name: &str| dir.path().join(name);
    // Lengths are multiples of 4, to which esptool pads.
    let mut elf = elf32(&[
        load(".text", 0x4010_0000, &[0x11; 332]),
        load(".data", 0x3FFE_8000, b"not symmetric: XOR is no zero..!"),
    ]);
    elf[18] = 94;
    std::fs::write(in_dir("in.elf"), elf).unwrap();
    for (mode, size, frequency, expected) in [
        ("dio", "4MB", "80m", (FlashMode::Dio, 4 << 20, 80)),
        ("qio", "512KB", "40m", (FlashMode::Qio, 512 << 10, 40)),
        ("qout", "256KB", "26m", (FlashMode::Qout, 256 << 10, 26)),
        ("dout", "16MB", "20m", (FlashMode::Dout, 16 << 20, 20)),
        ("dio", "1MB", "40m", (FlashMode::Dio, 1 << 20, 40)),
        ("dio", "2MB", "40m", (FlashMode::Dio, 2 << 20, 40)),
        ("dio", "8MB", "40m", (FlashMode::Dio, 8 << 20, 40)),
    ] {
        let flags = ["elf2image", "-fm", mode, "-fs", size, "-ff", frequency, "-o", "out-", "in.elf"];
        let Some(said) = esptool(dir.path(), &flags) else { return };
        let image = std::fs::read(in_dir("out-0x00000.bin")).expect(&said);
        let file = esp(&image);
        let header = file.first.header;
        assert_eq!(header.flash_mode, Some(expected.0));
        assert_eq!(header.flash_size_bytes, Some(expected.1));
        assert_eq!(header.flash_frequency_mhz, Some(expected.2));
        assert_eq!(header.entry_address, 0x0800_0101);
        let segments: Vec<_> = file.first.segments.iter().map(|it| (it.address, it.size_bytes)).collect();
        assert_eq!(segments, [(0x4010_0000, 332), (0x3FFE_8000, 32)]);
        assert_eq!(file.first.integrity, Integrity::Valid { length_bytes: image.len() });
    }

    let mut image = std::fs::read(in_dir("out-0x00000.bin")).unwrap();
    image[50] ^= 1;
    std::fs::write(in_dir("damaged.bin"), &image).unwrap();
    let said = esptool(dir.path(), &["image-info", "damaged.bin"]).unwrap();
    let Integrity::ChecksumMismatch { stored, computed, .. } = esp(&image).first.integrity else { panic!() };
    assert!(said.contains(&format!("{stored:#04x} (invalid - calculated {computed:#04x})")), "{said}");

    esptool(dir.path(), &["elf2image", "-e", "2", "-fm", "qout", "-fs", "1MB", "-o", "v2.bin", "in.elf"]);
    let Kind::Esp8266V2(header) = identify(&std::fs::read(in_dir("v2.bin")).unwrap()) else { panic!() };
    assert_eq!((header.flash_mode, header.flash_size_bytes), (Some(FlashMode::Qout), Some(1 << 20)));
    assert_eq!(header.entry_address, 0x0800_0101);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(
        magic in prop::sample::select(vec![
            &b""[..], b"\xe9", b"\xe9\x02\x02\x40", b"\xea", b"\x1f\x8b", b"\x7fELF", b"\x7fELF\x02\x02", b":", b":00",
            b"UF2\nWQ\x5d\x9e", b"\0\0\0\0\xf0\x0f\xff\xf7littlefs", b"\xd3\xde\xff\xff\x42\x01\x21\x10", b"-----BEGIN ", b"-----BEGIN RSA PRIVATE KEY-----\n", b"\x30", b"\x30\x82\x04\xa3\x02\x01",
            b"\x78\x9c", b"\x78\xda\xec", b"PK\x03\x04", b"BZh9", b"<", b"version https://", b"QUJD",
            b"\xe9\x02\x02\x2f\0\0\x38\x40\xee\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\x01",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..1100),
    ) {
        let bytes = [magic, &rest].concat();
        let kind = identify(&bytes);
        prop_assert!(!kind.to_string().contains(char::is_control));
        serde_json::to_string(&kind).unwrap();
        trailer(&bytes, bytes.len() as u64);
        if bytes.starts_with(b"\x7fELF") {
            prop_assert!(matches!(kind, Kind::Elf(_)));
            prop_assert!(crate::format::elf::flatten(&bytes, 0).is_err());
        }
    }
}
