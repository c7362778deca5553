//! What real devices did with files of each class, by each way of delivery.

use super::*;
use crate::project::advice::{Advice, Speaker};
use crate::testing::esp_image_with;

/// A device as it stands in the table of device runs: 4 MB chip, layout 4m2m, a running image of 16,384 bytes in DOUT.
fn device_of_the_runs(profile: &str) -> Device<'static> {
    let mut device = Device::new(profile.parse().unwrap(), None);
    device.flash = Some(Flash { fs_start: 0x20_0000, installed: Some(16_384) });
    device.flash_bytes = Some(4 << 20);
    device.running_flash_bytes = Some(4 << 20);
    device.flash_mode = Some(FlashMode::Dout);
    device
}

fn by(via: &'static [Via], image: &[u8], device: &Device<'_>) -> String {
    brief(&judge(image, &Device { via: Some(via), ..*device }).verdict)
}

const PULL: &[Via] = &[Via::Http];
const ESPOTA: &[Via] = &[Via::Espota];
const FORM: &[Via] = &[Via::Form];

#[test]
fn a_gzip_for_a_larger_chip_is_the_last_update() {
    let device = Device { flash_bytes: Some(1 << 20), ..device_of_the_runs("esp8266@3.1.3/unsigned") };
    let device = Device { running_flash_bytes: Some(1 << 20), ..device };
    let image = |size: u8| esp_image_with(3, size, 50_000);
    let packed = gzip(&image(0x40), Effort::Fast).unwrap();
    for via in [PULL, ESPOTA, FORM] {
        assert_eq!(by(via, &packed, &device), "last");
        assert_eq!(by(via, &gzip(&image(0x20), Effort::Fast).unwrap(), &device), "ok");
    }
    // Sizes that the header's table does not have are no limit.
    for unknown in [0x50, 0x60, 0x70, 0xA0, 0xF0] {
        assert_eq!(by(PULL, &gzip(&image(unknown), Effort::Fast).unwrap(), &device), "ok");
        assert_eq!(by(PULL, &image(unknown), &device), "ok");
    }
    assert_eq!(by(PULL, &image(0x40), &device), "-107: New Binary Does Not Fit Flash Size");
    let error_9 = "ERROR[9]: new Flash config wrong, real size: 1048576";
    assert_eq!(by(ESPOTA, &image(0x40), &device), error_9);
    assert_eq!(by(FORM, &image(0x40), &device), error_9);
    // And then it runs: even the right image is refused.
    let locked = Device { running_flash_bytes: Some(4 << 20), ..device };
    for via in [PULL, ESPOTA, FORM] {
        let verdict = by(via, &image(0x20), &locked);
        assert_eq!(verdict, "ERROR[8]: Flash config wrong: real: 1048576, SDK: 4194304");
    }
    let old = Device { profile: "esp8266@3.0.2/unsigned".parse().unwrap(), ..locked };
    assert_eq!(by(PULL, &image(0x20), &old), "ERROR[8]: Flash config wrong real: 1048576 IDE: 4194304");
}

#[test]
fn damage_counts_only_where_the_boot_path_reads_it() {
    let device = device_of_the_runs("esp8266@3.1.3/unsigned");
    let sound = esp_image_with(3, 0x40, 50_000);
    let changed = |at: usize| {
        let mut image = sound.clone();
        image[at] ^= 1;
        image
    };
    let last = sound.len() - 1;
    // The boot loader's data and checksum; the CRC, the application's data and its checksum.
    for (at, expected) in [
        (0x10, "no boot"),
        (0x1F, "no boot"),
        (0x1014, "ok"),
        (0x2000, "ok"),
        (last, "ok"),
        (0x1001, "no boot"),
    ] {
        for image in [changed(at), gzip(&changed(at), Effort::Fast).unwrap()] {
            assert_eq!(by(ESPOTA, &image, &device), expected, "{at:#x}");
        }
    }
    // The Updater writes its own flash mode, which changes the CRC of the file as it was built.
    for mode in [FlashMode::Qio, FlashMode::Qout, FlashMode::Dio, FlashMode::Dout] {
        let device = Device { flash_mode: Some(mode), ..device };
        assert_eq!(by(Via::ALL, &sound, &device), "ok", "{mode}");
    }
}

#[test]
fn a_mode_byte_that_is_no_mode_spoils_the_md5() {
    let bench = Bench::new();
    let image = esp_image_with(7, 0x40, 50_000);
    let device = device_of_the_runs("esp8266@3.1.3/unsigned");
    let error_7 = "ERROR[7]: MD5 verification failed: expected: ";
    assert!(by(PULL, &image, &device).starts_with(error_7));
    assert!(by(ESPOTA, &image, &device).starts_with(error_7));
    assert_eq!(by(FORM, &image, &device), "ok");
    // Whatever the device's mode is, it is not 7.
    let unknown = Device { flash_mode: None, ..device };
    assert!(by(PULL, &image, &unknown).starts_with(error_7));
    let old = Device { profile: "esp8266@2.7.4/unsigned".parse().unwrap(), ..device };
    assert!(by(PULL, &image, &old).starts_with("ERROR[7]: MD5 Failed: expected:"));
    // Homie's MD5 is void since core 3.0.0.
    let homie = |core: &str| by(PULL, &image, &Device { profile: core.parse().unwrap(), ..device });
    assert_eq!(homie("homie-mqtt@3.1.2/unsigned"), "ok");
    assert_eq!(homie("homie-mqtt@2.7.4/unsigned"), "400 BAD_CHECKSUM");
    // Before 2.4.2 the byte stays as it is.
    assert_eq!(
        by(PULL, &image, &Device { profile: "esp8266@2.4.1/unsigned".parse().unwrap(), ..device }),
        "ok"
    );
    let signed = bench.signed(&image, Scheme::Pkcs1v15Sha256);
    for mode in [None, Some(FlashMode::Dio)] {
        let verdict = bench.verdict("esp8266@3.1.3", &signed, |device| device.flash_mode = mode);
        assert_eq!(verdict, E12);
    }
}

#[test]
fn each_way_asks_its_own_questions() {
    let unsigned = device_of_the_runs("esp8266@3.1.3/unsigned");
    let key = Bench::new().key;
    let verifying = Device { key: Some(key.public()), ..device_of_the_runs("esp8266@3.1.3") };
    let mut vendor = esp_image_with(3, 0x40, 50_000);
    vendor[0] = 0xEA;
    let one = [0xE9];
    let rows: &[(&str, &[u8], &Device<'_>, [&str; 3])] = &[
        (
            "empty",
            &[],
            &unsigned,
            ["-101: Server Did Not Report Size", "ERROR[5]: Bad Size Given", "ERROR[13]: No data supplied"],
        ),
        (
            "one byte",
            &one,
            &unsigned,
            ["-106: Verify Bin Header Failed", "bricks", "ERROR[13]: No data supplied"],
        ),
        (
            "0xEA",
            &vendor,
            &unsigned,
            [
                "-106: Verify Bin Header Failed",
                "ERROR[10]: Magic byte is not 0xE9",
                "ERROR[10]: Magic byte is not 0xE9",
            ],
        ),
        ("0xEA, verifying", &vendor, &verifying, ["-106: Verify Bin Header Failed", E12, E12]),
    ];
    for (name, image, device, expected) in rows {
        let found = [PULL, ESPOTA, FORM].map(|via| by(via, image, device));
        assert_eq!(found, expected.map(String::from), "{name}");
    }
    // Exactly the free space: the form announces one sector less.
    let image = esp_image_with(3, 0x40, 60_000);
    let flash =
        Flash { fs_start: 16_384 + fit::round_up(image.len() as u64) as u32, installed: Some(16_384) };
    let full = Device { flash: Some(flash), ..unsigned };
    assert_eq!(
        [PULL, ESPOTA, FORM].map(|via| by(via, &image, &full)),
        ["ok", "ok", "ERROR[4]: Not Enough Space"].map(String::from)
    );
    let flash = Flash { fs_start: flash.fs_start - 4096, ..flash };
    let too_full = Device { flash: Some(flash), ..unsigned };
    assert_eq!(
        [PULL, ESPOTA, FORM].map(|via| by(via, &image, &too_full)),
        ["-100: Not Enough space", "ERROR[4]: Not Enough Space", "ERROR[4]: Not Enough Space"]
            .map(String::from)
    );
    // Nobody says which way is used: one that accepts is enough, and the others are shown.
    let judged = judge(&image, &full);
    assert_eq!(judged.verdict, Verdict::Accepts);
    assert!(matches!(judged.worst(), Verdict::Refuses { code: Some(4), .. }));
    let judged = judge(&image, &Device { via: Some(Via::ALL), ..full });
    assert!(matches!(judged.verdict, Verdict::Refuses { code: Some(4), .. }));
    assert_eq!(
        judged.by_way.iter().map(|way| brief(&way.verdict)).collect::<Vec<_>>(),
        ["ok", "ok", "ERROR[4]: Not Enough Space"]
    );
    let json = serde_json::to_value(&judged).unwrap();
    assert_eq!((&json["verdict"], &json["by_way"][2]["via"]), (&"refuses".into(), &"form".into()));
    assert!(judge(&image, &unsigned).by_way.is_empty());
}

#[test]
fn a_gzip_without_room_is_not_told_to_be_compressed() {
    let image = esp_image_with(3, 0x40, 50_000);
    let flash = Some(Flash { fs_start: 0x8000, installed: Some(16_384) });
    let device = Device { flash, ..device_of_the_runs("esp8266@3.1.3/unsigned") };
    let advice = |file: &[u8]| {
        let judged = judge(file, &Device { via: Some(ESPOTA), ..device });
        assert!(matches!(judged.verdict, Verdict::Refuses { code: Some(4), .. }), "{}", judged.verdict);
        judged.verdict.reason().unwrap().advice(Speaker::Program)
    };
    assert!(advice(&image).contains("gzip"));
    let packed = advice(&gzip(&image, Effort::Fast).unwrap());
    assert!(!packed.contains("gzip") && !packed.contains("compress"), "{packed}");
}

#[test]
fn the_form_stages_right_behind_the_running_image() {
    // 96 KiB that compress to a quarter, over a sketch of 16 KiB.
    let mut image = esp_image_with(3, 0x40, 90_000);
    image.extend(vec![0; 0x1_8000 - image.len()]);
    let packed = gzip(&image, Effort::Default).unwrap();
    let device = device_of_the_runs("esp8266@3.1.3/unsigned");
    assert_eq!(
        [PULL, ESPOTA, FORM].map(|via| by(via, &packed, &device)),
        ["ok", "ok", "bricks"].map(String::from)
    );
    // Where nothing is known of the running image, the form's place is assumed to be good.
    let flash = Flash { installed: None, ..device.flash.unwrap() };
    let unknown = Device { flash: Some(flash), via: Some(FORM), ..device };
    let judged = judge(&packed, &unknown);
    assert_eq!(judged.verdict, Verdict::Accepts);
    assert!(judged.assumed.contains(&Assumption::Unpacking));
}

#[test]
fn a_digest_info_without_null_is_good_enough_for_the_arduino_cores() {
    let bench = Bench::new();
    let image = esp_image_with(3, 0x40, 50_000);
    let without_null = crate::testing::signed_without_null(&image, &bench.key);
    for profile in ["esp8266@3.1.2", "esp8266@2.6.3", "arduino-pico", "homie-mqtt"] {
        let expected = if profile == "arduino-pico" { "bricks" } else { "ok" };
        assert_eq!(bench.verdict(profile, &without_null, |_| {}), expected, "{profile}");
    }
    assert_eq!(bench.verdict("esp8266@2.5.2", &without_null, |_| {}), E12);
    assert!(bench.verdict("otaseal-device", &without_null, |_| {}).starts_with("7: "));
    let mut changed = without_null;
    changed[0x2000] ^= 1;
    assert_eq!(bench.verdict("esp8266@3.1.2", &changed, |_| {}), E12);
}

#[test]
fn a_pico_has_room_for_whole_blocks() {
    let raw = vec![0x5A; 65_536];
    let at = |free: u32, image: &[u8]| {
        let bench = Bench::new();
        bench.verdict("arduino-pico/unsigned", image, |device| device.free_bytes = Some(free))
    };
    // 16 blocks and their pointers do not fit into 16 blocks.
    assert_eq!(at(65_536, &raw), "ERROR[4]: Not Enough Space");
    assert_eq!(at(65_536 + 4096, &raw), "ok");
    assert_eq!(at(4096, &raw[..4096]), "ok");
    assert_eq!(at(4096, &raw[..4097]), "ERROR[4]: Not Enough Space");
    assert_eq!(at(0, &raw[..1]), "ERROR[4]: Not Enough Space");
    assert_eq!(at(4096, &raw[..1]), "keeps");
    let header = [&[0x1F, 0x8B, 7][..], &raw].concat();
    assert_eq!(at(1 << 20, &header), "keeps", "the boot loader cannot read the header");
}
