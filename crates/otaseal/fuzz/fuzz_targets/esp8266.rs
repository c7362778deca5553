//! Any bytes as an ESP8266 file: no panic, and an intact one stays intact when its flash mode is set.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::format::image::esp8266::{FlashMode, Integrity, set_flash_mode};
use otaseal::format::image::{Kind, identify};
use otaseal::package::manifest::Installed;
use otaseal::policy::guard::{Content, check};

fuzz_target!(|bytes: &[u8]| {
    // Most inputs would be no image at all: the first byte is given.
    let mut file = bytes.to_vec();
    if let Some(first) = file.first_mut() {
        *first = 0xE9;
    }
    let Kind::Esp8266(found) = identify(&file) else { return };
    for image in std::iter::once(&found.first).chain(&found.application) {
        assert!(image.segments.len() <= 255);
        for segment in &image.segments {
            assert!(segment.offset_bytes + segment.size_bytes as usize <= file.len());
        }
        if let Integrity::Valid { length_bytes } = image.integrity {
            assert_eq!(length_bytes % 16, 0);
            assert!(image.offset_bytes + length_bytes <= file.len());
        }
    }
    assert_eq!(check(&file, Content::Firmware).is_ok(), found.is_intact());
    assert_eq!(found.damage.is_none(), found.is_intact());
    let installed = Installed::of(&file);
    for &mode in FlashMode::ALL {
        let mut patched = file.clone();
        assert_eq!(set_flash_mode(&mut patched, mode).is_some(), found.is_intact());
        let Kind::Esp8266(again) = identify(&patched) else { panic!("no longer an image") };
        if found.is_intact() {
            // Two wrong words look like no words; setting the very mode that the CRC is of gives them away.
            assert!(again.is_intact() || found.words.is_none());
            assert_eq!(again.first.header.flash_mode, Some(mode));
            assert_eq!(again.first.segments, found.first.segments);
            // What a device of that mode reports of the file as it is.
            file[2] = mode.byte();
            let end = found.application.as_ref().and_then(|_| found.end()).unwrap_or(file.len());
            let digest = otaseal::format::digest::Digests::of(&file[..end]).md5;
            assert_eq!(installed.md5_by_flash_mode[&mode], digest);
            file[2] = found.first.header.flash_mode_byte;
        } else {
            assert_eq!(patched, file);
        }
    }
});
