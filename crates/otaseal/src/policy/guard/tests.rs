use super::*;
use crate::format::gzip::Effort;
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
    let cut = check(&filesystem[..1024], Content::Filesystem);
    assert!(matches!(cut, Err(GuardError::FilesystemCutOff { .. })));
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

#[test]
fn a_payload_is_checked_inside_its_gzip() {
    let build = Firmware::from_bytes("fw.bin", arduino(), 0).unwrap();
    let gzip = build.gzip(Effort::Fast).unwrap();
    for payload in [build.bytes(), gzip.bytes()] {
        assert_eq!(
            check_plain(plain_of(payload).as_deref(), Content::Firmware, Some(FlashMode::Dio)),
            Ok(())
        );
        let other = check_plain(plain_of(payload).as_deref(), Content::Firmware, Some(FlashMode::Dout));
        assert!(matches!(other, Err(GuardError::FlashMode { found: 2, .. })));
        let as_filesystem = check_plain(plain_of(payload).as_deref(), Content::Filesystem, None);
        assert!(matches!(as_filesystem, Err(GuardError::IsFirmware { .. })));
    }
    let cut = gzip::gzip(&arduino()[..0x1100], Effort::Fast).unwrap();
    assert!(matches!(
        check_plain(plain_of(&cut).as_deref(), Content::Firmware, None),
        Err(GuardError::Damaged(_))
    ));
    let no_gzip = &gzip.bytes()[..40];
    assert_eq!(
        check_plain(plain_of(no_gzip).as_deref(), Content::Firmware, None),
        Ok(()),
        "the linter's business"
    );
    let expected = check_plain(plain_of(no_gzip).as_deref(), Content::Firmware, Some(FlashMode::Dio));
    assert_eq!(expected, Err(GuardError::NoFlashMode), "what cannot be seen is not as expected");
    assert_eq!((Content::of(&littlefs()), Content::of(&arduino())), (Content::Filesystem, Content::Firmware));
}
