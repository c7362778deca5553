use super::*;
use crate::format::elf::tests::{elf32, load};
use crate::format::gzip::Effort;
use crate::format::image::esp32::tests::application as esp32_application;
use crate::format::image::tests::knowledge::spiffs;
use crate::format::image::tests::{arduino, esp8266, uf2_block};
use crate::key::{KeySize, PrivateKey};
use crate::package::firmware::Firmware;
use crate::project::advice::{Advice, Speaker};
use crate::sign::Scheme;

fn littlefs() -> Vec<u8> {
    // Made by littlefs-python 0.19 with four blocks of 512 bytes and no file; the rest is erased flash.
    const SUPERBLOCK: [u8; 8] = *b"littlefs";
    let mut block = vec![0x02, 0, 0, 0];
    block.extend([0xF0, 0x0F, 0xFF, 0xF7]);
    block.extend(SUPERBLOCK);
    block.extend([0x2F, 0xE0, 0x00, 0x10]);
    for word in [0x0002_0001u32, 512, 4, 255, 0x7FFF_FFFF, 1022] {
        block.extend(word.to_le_bytes());
    }
    // A commit's CRC tag without padding: type 0x500, id 0x3FF, four bytes.
    let tag = 0x500u32 << 20 | 0x3FF << 10 | 4;
    block.extend((tag ^ (0x201 << 20 | 24)).to_be_bytes());
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_JAMCRC).checksum(&block);
    block.extend(crc.to_le_bytes());
    block.resize(2048, 0xFF);
    block
}

#[test]
fn a_filesystem_is_no_firmware_and_the_reverse() {
    let filesystem = littlefs();
    let found = image::identify(&filesystem).to_string();
    assert_eq!(found, "a LittleFS filesystem image (version 2.1, 4 blocks of 512 bytes)");
    assert_eq!(check(&filesystem, Content::Firmware), Err(GuardError::IsFilesystem { found }));
    assert_eq!(check(&filesystem, Content::Filesystem), Ok(()));
    let spiffs = spiffs(8192, 256, 8, true);
    assert_eq!(check(&spiffs, Content::Filesystem), Ok(()));
    for cut in [&filesystem[..1024], &spiffs[..8192 * 5]] {
        let cut = check(cut, Content::Filesystem);
        assert!(matches!(cut, Err(GuardError::FilesystemCutOff { .. })), "{cut:?}");
    }
    for firmware in [arduino(), uf2_block(0, 0, 256, 0), b"\x7fELF".to_vec(), b":00000001FF".to_vec()] {
        assert!(matches!(check(&firmware, Content::Filesystem), Err(GuardError::IsFirmware { .. })));
    }
    assert_eq!(check(b"no known format", Content::Filesystem), Ok(()));
    assert_eq!(check(b"no known format", Content::Firmware), Ok(()));
    assert_eq!(check(&arduino(), Content::Firmware), Ok(()));
    assert!(matches!(check(&arduino()[..0x1000], Content::Firmware), Err(GuardError::Damaged(_))));
}

#[test]
fn a_flash_mode_is_expected_of_esp8266_images_alone() {
    assert_eq!(expect_flash_mode(&arduino(), FlashMode::Dio), Ok(()));
    let error = expect_flash_mode(&arduino(), FlashMode::Qio).unwrap_err();
    assert_eq!(error.to_string(), "the flash mode of the image is DIO, QIO is expected");
    assert!(
        error.advice(Speaker::Program).contains("--set-flash-mode qio"),
        "{}",
        error.advice(Speaker::Program)
    );
    let strange = expect_flash_mode(&esp8266(9, 0, &[(0, &[1])]), FlashMode::Qio).unwrap_err();
    assert!(strange.to_string().contains("unknown (byte 0x09)"), "{strange}");
    assert_eq!(expect_flash_mode(b"any other image", FlashMode::Dio), Err(GuardError::NoFlashMode));
}

#[test]
fn the_other_key_is_named_by_both_ids() {
    let [one, other] = [(); 2].map(|()| PrivateKey::generate(KeySize::Rsa2048).unwrap());
    let expects = |key: &PublicKey| Expected { public_key: Some(key.clone()), ..Expected::default() };
    assert_eq!(expects(one.public()).check_key(one.public()), Ok(()));
    let error = expects(other.public()).check_key(one.public()).unwrap_err().to_string();
    assert!(
        error.contains(&one.public().id().to_string()) && error.contains(&other.public().id().to_string())
    );
    let expects = |id: KeyId| Expected { key_id: Some(id), ..Expected::default() };
    let (expected, found) = (other.public().id(), one.public().id());
    assert_eq!(expects(found).check_key(one.public()), Ok(()));
    assert_eq!(expects(expected).check_key(one.public()), Err(GuardError::OtherKeyId { expected, found }));
}

#[test]
fn an_image_is_told_from_another_build_through_its_layers() {
    let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
    let build = Firmware::from_bytes("today.bin", arduino(), 0).unwrap();
    let mut other = arduino();
    // This flips two bits in one column, so the checksum stays right.
    other[0x1100] ^= 1;
    other[0x1101] ^= 1;
    let other = Firmware::from_bytes("yesterday.bin", other, 0).unwrap();
    let mut in_qio = build.clone();
    in_qio.set_flash_mode(FlashMode::Qio).unwrap();
    for (firmware, expected) in
        [(&build, BuildMatch::Same), (&other, BuildMatch::Other), (&in_qio, BuildMatch::OtherFlashMode)]
    {
        for payload in [firmware.plain(), firmware.gzip(Effort::Fast).unwrap()] {
            assert_eq!(build_match(payload.bytes(), build.bytes()).unwrap(), expected);
            let signed = crate::testing::signed(payload.bytes(), &key, Scheme::Pkcs1v15Sha256);
            assert_eq!(build_match(&signed, build.bytes()).unwrap(), expected);
        }
    }
    let longer = [build.bytes(), b"more"].concat();
    assert_eq!(build_match(&longer, build.bytes()).unwrap(), BuildMatch::Other);
    assert!(build_match(b"\x1f\x8b\x08 no gzip", build.bytes()).is_err());
}

/// Checks a payload as a gate does.
fn judged(
    payload: &[u8],
    content: Content,
    flash_mode: Option<FlashMode>,
) -> Result<Vec<ImageFinding>, GuardError> {
    let permitted = Permitted { content, damaged: Damaged::Refuse, flash_mode, board: None, tokens: None };
    check_plain(plain_of(payload).as_ref(), permitted)
}

#[test]
fn a_payload_is_checked_inside_its_gzip() {
    let build = Firmware::from_bytes("fw.bin", arduino(), 0).unwrap();
    let gzip = build.gzip(Effort::Fast).unwrap();
    for payload in [build.bytes(), gzip.bytes()] {
        assert_eq!(judged(payload, Content::Firmware, Some(FlashMode::Dio)), Ok(vec![]));
        let other = judged(payload, Content::Firmware, Some(FlashMode::Dout));
        assert!(matches!(other, Err(GuardError::FlashMode { found: 2, .. })));
        let as_filesystem = judged(payload, Content::Filesystem, None);
        assert!(matches!(as_filesystem, Err(GuardError::IsFirmware { .. })));
    }
    let cut = gzip::gzip(&arduino()[..0x1100], Effort::Fast).unwrap();
    assert!(matches!(judged(&cut, Content::Firmware, None), Err(GuardError::Damaged(_))));
    let no_gzip = &gzip.bytes()[..40];
    assert_eq!(judged(no_gzip, Content::Firmware, None), Ok(vec![]), "the linter's business");
    let expected = judged(no_gzip, Content::Firmware, Some(FlashMode::Dio));
    assert_eq!(expected, Err(GuardError::NoFlashMode), "what cannot be seen is not as expected");
    assert_eq!((Content::of(&littlefs()), Content::of(&arduino())), (Content::Filesystem, Content::Firmware));
}

#[test]
fn files_that_are_no_image_are_refused_in_a_gzip_and_as_a_filesystem_too() {
    let key = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../keys.example/public.pem"));
    let base64 = "QUJDREVGZ2hpams0NTY3ODkw".repeat(20).into_bytes();
    let files: [(&[u8], &str, &str); 12] = [
        (b"<!DOCTYPE html><html>404</html>", "an HTML or XML page", "download the file again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "git lfs pull"),
        (b"PK\x03\x04 an artefact of a build", "a ZIP archive", "unpack it"),
        (b"\xFD7zXZ\0 and so on", "an xz file", "otaseal compress"),
        (b"BZh91AY&SY and so on", "a bzip2 file", "otaseal compress"),
        (&base64, "base64 text", "base64 -d"),
        (&[0xFF; 5000], "nothing but FF bytes", "erased flash"),
        (&[0; 5000], "nothing but 00 bytes", "erased flash"),
        (key, "an RSA public key", "--key"),
        (b"\x7fELF\x01\x01\x01", "an ELF file", "otaseal package"),
        (&uf2_block(0x2000, 0x1000_0000, 256, 0xE48B_FF56), "a UF2 file for RP2040", "otaseal package"),
        (b":00000001FF", "an Intel HEX file", ".bin or .elf"),
    ];
    for (file, name, advice) in files {
        let gzip = gzip::gzip(file, Effort::Fast).unwrap();
        for payload in [file, &gzip] {
            let error = judged(payload, Content::Firmware, None).unwrap_err();
            assert!(error.to_string().starts_with(&format!("it is {name}")), "{error}");
            assert!(error.to_string().ends_with(", not an image"), "{error}");
            assert!(error.advice(Speaker::Program).contains(advice), "{}", error.advice(Speaker::Program));
            let as_filesystem = judged(payload, Content::Filesystem, None);
            assert!(
                matches!(as_filesystem, Err(GuardError::NotAnImage { .. } | GuardError::IsFirmware { .. })),
                "{name}"
            );
        }
    }
    let twice = gzip::gzip(&gzip::gzip(&arduino(), Effort::Fast).unwrap(), Effort::Fast).unwrap();
    for content in [Content::Firmware, Content::Filesystem] {
        assert_eq!(judged(&twice, content, None), Err(GuardError::CompressedTwice));
    }
    // Not a gzip that a boot loader inflates: the linter names it.
    assert_eq!(judged(b"\x1f\x8b\x07 another method", Content::Firmware, None), Ok(vec![]));
}

#[test]
fn an_esp32_image_is_signed_if_it_is_whole() {
    let whole = esp32_application();
    let gzip = |bytes: &[u8]| gzip::gzip(bytes, Effort::Fast).unwrap();
    for payload in [whole.clone(), gzip(&whole)] {
        assert_eq!(judged(&payload, Content::Firmware, None), Ok(vec![]));
        assert!(matches!(judged(&payload, Content::Filesystem, None), Err(GuardError::IsFirmware { .. })));
        let mode = judged(&payload, Content::Firmware, Some(FlashMode::Dio));
        assert_eq!(mode, Err(GuardError::NoFlashMode), "no ESP8266 updater writes it");
    }
    let mut changed = whole.clone();
    changed[50] ^= 1;
    for (damaged, what) in [(&whole[..1000], "cut off"), (&changed, "checksum")] {
        for payload in [damaged.to_vec(), gzip(damaged)] {
            let error = judged(&payload, Content::Firmware, None).unwrap_err();
            let said = error.to_string();
            assert!(said.starts_with("damaged ESP32-C3 image: ") && said.contains(what), "{said}");
            assert!(!error.advice(Speaker::Program).is_empty());
            let permitted = Permitted {
                content: Content::Firmware,
                damaged: Damaged::Allow,
                flash_mode: None,
                board: None,
                tokens: None,
            };
            assert_eq!(check_plain(plain_of(&payload).as_ref(), permitted), Ok(vec![]));
        }
    }
}

#[test]
fn some_devices_refuse_an_image_that_may_be_signed() {
    let odd = [arduino(), b"AB".to_vec()].concat();
    assert_eq!(judged(&odd, Content::Firmware, None), Ok(vec![ImageFinding::Unaligned { remainder: 2 }]));
    // A gzip has a length of its own, and other chips have other updaters.
    assert_eq!(judged(&gzip::gzip(&odd, Effort::Fast).unwrap(), Content::Firmware, None), Ok(vec![]));
    assert_eq!(judged(b"another image", Content::Firmware, None), Ok(vec![]));
    let v2 = [b"\xea\x04\x02\x40\0\0\x10\x40", &[7; 100][..]].concat();
    for payload in [v2.clone(), gzip::gzip(&v2, Effort::Fast).unwrap()] {
        assert_eq!(judged(&payload, Content::Firmware, None), Ok(vec![ImageFinding::VendorV2]));
    }
    for finding in [ImageFinding::Unaligned { remainder: 2 }, ImageFinding::VendorV2] {
        assert!(!finding.to_string().is_empty() && !finding.advice(Speaker::Program).is_empty());
    }
}

#[test]
fn a_build_is_the_same_as_elf_uf2_and_bin() {
    // 700 bytes: the last page of the UF2 file has 68 zeros behind them.
    let image: Vec<u8> = (0..700u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
    let contents: &'static [u8] = Box::leak(image.clone().into_boxed_slice());
    let elf = elf32(&[load(".text", 0x1000_0000, contents)]);
    let mut uf2 = Vec::new();
    for (number, page) in image.chunks(256).enumerate() {
        let mut block = uf2_block(0x2000, 0x1000_0000 + 256 * number as u32, 256, 0xE48B_FF56);
        block[20] = number as u8;
        block[24] = 3;
        block[32..288].fill(0);
        block[32..32 + page.len()].copy_from_slice(page);
        uf2.extend(block);
    }
    let builds = [("fw.bin", image.clone()), ("fw.elf", elf), ("fw.uf2", uf2)]
        .map(|(name, bytes)| Firmware::from_bytes(name, bytes, 0).unwrap());
    assert_eq!(builds.each_ref().map(|build| build.bytes().len()), [700, 700, 768]);
    let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
    for made_from in &builds {
        for build in &builds {
            let expected = match made_from.bytes().len() == build.bytes().len() {
                true => BuildMatch::Same,
                false => BuildMatch::Padded,
            };
            for payload in [made_from.plain(), made_from.gzip(Effort::Fast).unwrap()] {
                let signed = crate::testing::signed(payload.bytes(), &key, Scheme::Pkcs1v15Sha256);
                assert_eq!(build_match(&signed, build.bytes()).unwrap(), expected);
            }
        }
    }
    // Only zeros, and only up to the end of a page.
    for other in [
        [&image[..], &[0; 67]].concat(),
        [&image[..], &[0; 68 + 256]].concat(),
        [&image[..], &[0xFF; 68]].concat(),
        vec![0; 256],
    ] {
        assert_eq!(build_match(&other, &image).unwrap(), BuildMatch::Other);
        assert_eq!(build_match(&image, &other).unwrap(), BuildMatch::Other);
    }
}
