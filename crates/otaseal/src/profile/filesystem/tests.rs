//! Tests every rule about filesystem images, for every way of delivery. The expected errors come from the sources.

mod property;

use super::*;
use crate::format::gzip::{Effort, gzip};
use crate::format::image::{Content, Kind, identify};
use crate::key::PrivateKey;
use crate::profile::fit::{FileSystemArea, Flash, FlashLayout};
use crate::profile::{Device, Judgement, judge};
use crate::sign::Scheme;
use crate::testing::esp_image;
use crc::{CRC_32_JAMCRC, Crc};

/// Eight blocks of 4096 bytes with one file, of littlefs-python.
const REAL: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cmd/in/littlefs.4096.bin"));

/// The superblock of the real image with other numbers in it.
fn littlefs(block: u32, count: u32) -> Vec<u8> {
    let mut image = REAL[..68].to_vec();
    image[24..28].copy_from_slice(&block.to_le_bytes());
    image[28..32].copy_from_slice(&count.to_le_bytes());
    let crc = Crc::<u32>::new(&CRC_32_JAMCRC).checksum(&image[..64]);
    image[64..68].copy_from_slice(&crc.to_le_bytes());
    image.resize((block * count) as usize, 0xFF);
    image
}

/// Fills the blocks that hold no directory. Packed, that is more than a sector.
fn with_contents(mut image: Vec<u8>) -> Vec<u8> {
    let mut state = 1u32;
    for byte in &mut image[0x2000..] {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 28) as u8;
    }
    image
}

/// As `mkspiffs` for the esp8266 makes it: a magic number in every block, and FF where no whole block has room.
fn spiffs(block: usize, count: usize, rest: usize) -> Vec<u8> {
    let mut one = vec![0xFF; block];
    one[252..254].copy_from_slice(&(0x0529u16 ^ 256).to_le_bytes());
    let mut image = one.repeat(count);
    image.resize(image.len() + rest, 0xFF);
    image
}

fn key() -> PrivateKey {
    let pem = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../keys.example/private.pem"));
    PrivateKey::from_bytes(pem).unwrap()
}

fn signed(payload: &[u8]) -> Vec<u8> {
    crate::testing::signed(payload, &key(), Scheme::Pkcs1v15Sha256)
}

fn packed(plain: &[u8]) -> Vec<u8> {
    gzip(plain, Effort::Fast).unwrap()
}

fn judged(profile: &str, image: &[u8], change: impl FnOnce(&mut Device<'_>)) -> Judgement {
    let key = key();
    let mut device = Device::new(profile.parse().unwrap(), Some(key.public()));
    device.content = Content::Filesystem;
    change(&mut device);
    judge(image, &device)
}

fn brief(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepts => "ok".into(),
        Verdict::Refuses { code, .. } => code.map_or("no code".into(), |code| code.to_string()),
        Verdict::KeepsTheOld { .. } => "keeps".into(),
        Verdict::InstallsButWillNotBoot { reason: Reason::Mount(_) } => "no mount".into(),
        Verdict::Bricks { .. } => "bricks".into(),
        other => format!("{other:?}"),
    }
}

const WAYS: [Via; 3] = [Via::Http, Via::Espota, Via::Form];

/// The verdicts of http, espota and the form.
fn by_way(profile: &str, image: &[u8], change: impl Fn(&mut Device<'_>)) -> [String; 3] {
    WAYS.map(|way| {
        let judgement = judged(profile, image, |device| {
            change(device);
            device.via = Some(match way {
                Via::Http => &[Via::Http],
                Via::Espota => &[Via::Espota],
                Via::Form => &[Via::Form],
            });
        });
        brief(&judgement.verdict)
    })
}

fn layout(device: &mut Device<'_>, name: &str) {
    let layout: FlashLayout = name.parse().unwrap();
    device.filesystem = Some(layout.file_system());
    device.flash = Some(Flash::new(layout.fs_start));
}

#[test]
fn the_images_are_what_they_seem() {
    assert_eq!(littlefs(4096, 8)[..68], REAL[..68]);
    assert!(matches!(identify(&littlefs(8192, 253)), Kind::LittleFs(found) if found.complete));
    assert!(matches!(identify(&spiffs(8192, 125, 4096)), Kind::Spiffs(found) if found.block_count == 125));
}

#[test]
fn an_esp8266_takes_an_image_of_the_size_of_its_layout() {
    let on = |core: &str, name: &str, image: &[u8]| {
        by_way(&format!("esp8266@{core}/unsigned"), image, |device| layout(device, name))
    };
    let all = |word: &str| WAYS.map(|_| word.to_owned());
    for core in ["2.6.3", "2.7.4", "3.0.2", "3.1.2", "3.2.0"] {
        assert_eq!(on(core, "512k32", REAL), all("ok"), "{core}");
        assert_eq!(on(core, "4m2m", &littlefs(8192, 253)), all("ok"), "{core}");
        // A sector too many.
        assert_eq!(on(core, "512k32", &littlefs(4096, 9)), ["-100", "4", "4"], "{core}");
        assert_eq!(on(core, "4m1m", &spiffs(8192, 125, 0)), all("ok"), "{core}");
        assert_eq!(on(core, "4m1m", &spiffs(8192, 124, 0)), all("no mount"), "{core}");
        assert_eq!(on(core, "4m2m", &littlefs(4096, 506)), all("no mount"), "{core}: other blocks");
        // The form announces nothing, which has a code of its own.
        assert_eq!(on(core, "4m", REAL), ["-100", "4", "5"], "{core}: no filesystem");
    }
    // Up to 2.5.2 half a block is left over, and mkspiffs fills it.
    let old = spiffs(8192, 125, 4096);
    assert_eq!(old.len(), 0xF_B000);
    assert_eq!(on("2.5.2", "4m1m", &old), all("ok"));
    assert_eq!(on("2.4.1", "4m1m", &old), all("ok"));
    assert_eq!(on("2.6.0", "4m1m", &old), ["-100", "4", "4"]);
    // LittleFS compares the number of blocks from its version 2.5 on: "Invalid block count (126 != 253)".
    let small = littlefs(8192, 126);
    assert_eq!(on("3.0.2", "4m2m", &small), all("ok"));
    assert_eq!(on("3.1.2", "4m2m", &small), all("no mount"));
    let verdict = judged("esp8266@3.1.2/unsigned", &small, |device| layout(device, "4m2m")).verdict;
    assert_eq!(
        verdict.to_string(),
        "installs, but will not mount: the device cannot mount it: the filesystem in the image has 1032192 bytes, the \
         device's has 2072576"
    );
    // The updater rounds up to sectors, a pull does not.
    let odd = [REAL, b"!"].concat();
    assert_eq!(on("3.1.2", "512k32", &odd), ["-100", "4", "4"]);
    let size = |device: &mut Device<'_>| device.filesystem = Some(FileSystemArea::new(0x8001));
    assert_eq!(by_way("esp8266@3.0.2/unsigned", &odd, size), ["4", "4", "4"]);
}

#[test]
fn bytes_that_are_no_filesystem_are_written_and_not_mounted() {
    for image in [
        esp_image(),
        b"<!DOCTYPE html>".repeat(300),
        REAL[..0x2000].to_vec(),
        packed(&with_contents(REAL.to_vec())),
    ] {
        for profile in ["esp8266@2.4.1", "esp8266@2.7.4/unsigned", "esp8266@3.1.2/unsigned"] {
            assert_eq!(by_way(profile, &image, |_| {}), WAYS.map(|_| "no mount"), "{profile}");
        }
        assert_eq!(by_way("arduino-pico/unsigned", &image, |_| {}), WAYS.map(|_| "no mount"));
    }
    // A format that otaseal does not know is mounted by whoever made it.
    let unknown = judged("esp8266@3.1.2/unsigned", &b"\x01\x02\x03\x84 FAT and so on".repeat(300), |_| {});
    assert_eq!(unknown.verdict, Verdict::Accepts);
    assert!(unknown.assumed.contains(&Assumption::KnownFileSystem));
    // No core has the blocks of 512 bytes that littlefs-python makes by default.
    assert_eq!(by_way("esp8266@3.1.2/unsigned", &littlefs(512, 64), |_| {}), WAYS.map(|_| "no mount"));
    // Sent as firmware, it is no firmware.
    let as_firmware = judged("esp8266@3.1.2/unsigned", REAL, |device| device.content = Content::Firmware);
    assert_eq!(as_firmware.verdict.reason(), Some(&Reason::FirstByte));
}

#[test]
fn the_running_header_and_the_empty_file_have_the_codes_of_firmware() {
    let small = |device: &mut Device<'_>| {
        (device.running_flash_bytes, device.flash_bytes) = (Some(4 << 20), Some(1 << 20));
    };
    assert_eq!(by_way("esp8266@3.1.2/unsigned", REAL, small), ["8", "8", "8"]);
    assert_eq!(by_way("esp8266@3.1.2/unsigned", b"", |_| {}), ["-101", "5", "13"]);
    assert_eq!(by_way("esp8266@2.7.4/unsigned", b"", |_| {}), ["-101", "5", "keeps"]);
    assert_eq!(by_way("arduino-pico", b"", |_| {}), ["-101", "5", "13"]);
    // The flash mode is patched in firmware alone: byte 2 of a filesystem stays as it is, and with it the MD5.
    let qio =
        |device: &mut Device<'_>| device.flash_mode = Some(crate::format::image::esp8266::FlashMode::Qio);
    assert_eq!(by_way("esp8266@3.1.2/unsigned", REAL, qio), ["ok", "ok", "ok"]);
}

#[test]
fn an_esp8266_with_a_key_wants_a_trailer_and_room_for_it() {
    let full = |device: &mut Device<'_>| layout(device, "512k32");
    for profile in ["esp8266@2.6.3", "esp8266@2.7.4", "esp8266@3.0.2", "esp8266@3.1.2", "esp8266@3.2.0"] {
        assert_eq!(by_way(profile, REAL, full), ["12", "12", "12"], "{profile}");
        assert_eq!(by_way(profile, &signed(REAL), full), ["-100", "4", "4"], "{profile}");
    }
    let reason = judged("esp8266@3.1.2", REAL, full).verdict.reason().unwrap().to_string();
    assert_eq!(reason, "it is not signed; the old filesystem is overwritten by then, the firmware runs on");
    // A LittleFS that leaves room for the trailer is none that LittleFS 2.5 mounts.
    let smaller = signed(&littlefs(4096, 7));
    assert_eq!(by_way("esp8266@3.0.2", &smaller, full), ["ok", "ok", "ok"]);
    assert_eq!(by_way("esp8266@3.1.2", &smaller, full), ["no mount", "no mount", "no mount"]);
    // Without the layout, the filesystem is assumed in which the image could be mounted.
    assert_eq!(by_way("esp8266@3.1.2", &smaller, |_| {}), ["-100", "4", "4"]);
    let assumed = judged("esp8266@3.1.2", &smaller, |_| {}).assumed;
    assert!(assumed.contains(&Assumption::FileSystemOf(7 * 4096)), "{assumed:?}");
    assert_eq!(by_way("esp8266@3.0.2", &smaller, |_| {}), ["ok", "ok", "ok"]);
    // SPIFFS forgives one block, in which the trailer lies.
    let on_4m1m = |device: &mut Device<'_>| layout(device, "4m1m");
    assert_eq!(by_way("esp8266@3.1.2", &signed(&spiffs(8192, 124, 0)), on_4m1m), ["ok", "ok", "ok"]);
    assert_eq!(by_way("esp8266@3.1.2", &signed(&spiffs(8192, 124, 0)), |_| {}), ["ok", "ok", "ok"]);
    assert_eq!(
        by_way("esp8266@3.1.2", &signed(&spiffs(8192, 123, 0)), on_4m1m),
        ["no mount", "no mount", "no mount"]
    );
    // The signature is checked as that of firmware.
    let legacy = crate::testing::signed(&littlefs(4096, 7), &key(), Scheme::Legacy);
    assert_eq!(by_way("esp8266@2.5.2", &legacy, full), ["ok", "ok", "ok"]);
    assert_eq!(by_way("esp8266@3.0.2", &legacy, full), ["12", "12", "12"]);
    assert_eq!(by_way("esp8266@2.5.2", &smaller, full), ["12", "12", "12"]);
    // Without a key, the trailer is a part of the file, behind the filesystem.
    assert_eq!(by_way("esp8266@3.0.2/unsigned", &smaller, full), ["ok", "ok", "ok"]);
    assert_eq!(by_way("esp8266@3.1.2/unsigned", &signed(REAL), full), ["-100", "4", "4"]);
}

#[test]
fn only_a_core_with_atomic_fs_update_inflates_a_gzip() {
    let atomic = |device: &mut Device<'_>| {
        layout(device, "1m64");
        device.flash.as_mut().unwrap().installed = Some(300_000);
        device.atomic_fs_update = true;
    };
    let image = with_contents(littlefs(4096, 16));
    for profile in ["esp8266@2.7.4/unsigned", "esp8266@3.0.2/unsigned", "esp8266@3.1.2/unsigned"] {
        assert_eq!(by_way(profile, &packed(&image), atomic), ["ok", "ok", "ok"], "{profile}");
        assert_eq!(by_way(profile, &image, atomic), ["ok", "ok", "ok"], "{profile}");
        let in_place = by_way(profile, &packed(&image), |device| layout(device, "1m64"));
        assert_eq!(in_place, WAYS.map(|_| "no mount"), "{profile}");
    }
    let reason = judged("esp8266@3.1.2/unsigned", &packed(&image), |device| device.via = Some(&[Via::Http]));
    let reason = reason.verdict.reason().unwrap().to_string();
    assert!(reason.ends_with("only a core built with ATOMIC_FS_UPDATE inflates it"), "{reason}");
    // The size of the filesystem is assumed from what is in the gzip.
    for (profile, file) in
        [("esp8266@3.1.3", signed(&packed(&image))), ("esp8266@3.1.2/unsigned", packed(&image))]
    {
        let judgement = judged(profile, &file, |device| device.atomic_fs_update = true);
        assert_eq!(judgement.verdict, Verdict::Accepts, "{profile}");
        assert!(judgement.assumed.contains(&Assumption::FileSystemOf(0x1_0000)));
    }
    // A signed gzip works on the cores that cut the trailer off, and bricks nothing but the filesystem on others.
    assert_eq!(by_way("esp8266@3.1.3", &signed(&packed(&image)), atomic), ["ok", "ok", "ok"]);
    assert_eq!(by_way("esp8266@2.7.4", &signed(&packed(&image)), atomic), ["bricks", "bricks", "bricks"]);
    // The staged copy is refused before it replaces anything.
    let verdict = judged("esp8266@3.1.3", &packed(&image), |device| {
        atomic(device);
        device.via = Some(&[Via::Http]);
    })
    .verdict;
    assert_eq!(verdict.reason(), Some(&Reason::NotSigned { key_given: true }));
    // The full-size image and its trailer are still too large, and so is what inflates to more than the filesystem.
    assert_eq!(by_way("esp8266@3.1.2", &signed(&image), atomic), ["-100", "4", "4"]);
    let large = packed(&with_contents(littlefs(4096, 17)));
    assert_eq!(by_way("esp8266@2.7.4/unsigned", &large, atomic), ["bricks", "bricks", "bricks"]);
    // Room beside the firmware: the form stages as much as the whole filesystem.
    let crowded = |device: &mut Device<'_>| {
        atomic(device);
        device.flash.as_mut().unwrap().installed = Some(0xE_B000 - 0xC000);
    };
    assert_eq!(by_way("esp8266@2.7.4/unsigned", &packed(&image), crowded), ["ok", "ok", "4"]);
    assert_eq!(by_way("esp8266@3.1.2/unsigned", &image, crowded), ["4", "4", "4"]);
}

#[test]
fn an_arduino_pico_writes_a_filesystem_as_it_is() {
    let sized = |bytes| move |device: &mut Device<'_>| device.filesystem = Some(FileSystemArea::new(bytes));
    assert_eq!(by_way("arduino-pico/unsigned", REAL, sized(0x8000)), ["ok", "ok", "ok"]);
    assert_eq!(by_way("arduino-pico/unsigned", REAL, |_| {}), ["ok", "ok", "ok"]);
    assert_eq!(by_way("arduino-pico/unsigned", REAL, sized(0x7FFF)), ["-100", "4", "4"]);
    assert_eq!(by_way("arduino-pico/unsigned", REAL, sized(0x1_0000)), WAYS.map(|_| "no mount"));
    // With a key, it checks no signature, and an MD5 that it does not compute.
    assert_eq!(by_way("arduino-pico", REAL, |_| {}), ["7", "7", "ok"]);
    let judgement = judged("arduino-pico", REAL, |_| {});
    assert_eq!((&judgement.verdict, judgement.by_way.len()), (&Verdict::Accepts, 3));
    // The trailer of a signed image is written too, and a full-size image leaves no room for it.
    for profile in ["arduino-pico", "arduino-pico/unsigned"] {
        assert_eq!(by_way(profile, &signed(REAL), |_| {}), ["-100", "4", "4"], "{profile}");
    }
    assert_eq!(by_way("arduino-pico/unsigned", &spiffs(4096, 8, 0), |_| {}), WAYS.map(|_| "no mount"));
    assert_eq!(by_way("arduino-pico/unsigned", &signed(&packed(REAL)), |_| {}), WAYS.map(|_| "no mount"));
}

#[test]
fn homie_delivers_firmware_alone() {
    for profile in ["homie-mqtt", "homie-mqtt@2.7.4/unsigned"] {
        let verdict = judged(profile, REAL, |_| {}).verdict;
        assert!(
            matches!(verdict, Verdict::Refuses { prints, .. } if prints == "400 BAD_FIRMWARE"),
            "{profile}"
        );
    }
}

#[test]
fn a_chip_of_the_esp32_family_is_not_judged_and_tasmota_takes_firmware_alone() {
    let verdict = judged("esp32@3.1.0", REAL, |_| {}).verdict;
    assert_eq!(verdict, Verdict::Unknown { reason: Reason::FileSystemNotJudged });
    let verdict = judged("tasmota-esp8266", REAL, |_| {}).verdict;
    assert!(matches!(verdict, Verdict::Refuses { .. }), "{verdict}");
}
