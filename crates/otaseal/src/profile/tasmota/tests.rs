use super::*;
use crate::format::gzip::{Effort, gzip};
use crate::format::image::esp32::tests::application;
use crate::format::image::esp8266::FlashMode;
use crate::key::PrivateKey;
use crate::profile::fit::{Flash, FlashLayout};
use crate::profile::{Device, Profile, judge};
use crate::sign::Scheme;
use crate::testing::esp_image_with;

const PULL: &[Via] = &[Via::Http];
const FORM: &[Via] = &[Via::Form];

/// A device of 1 MiB that runs an image of this size.
fn device(installed: u32) -> Device<'static> {
    let mut device = Device::new("tasmota-esp8266".parse().unwrap(), None);
    let layout: FlashLayout = "1m".parse().unwrap();
    device.flash = Some(Flash { fs_start: layout.fs_start, installed: Some(installed) });
    (device.flash_bytes, device.running_flash_bytes) = (Some(1 << 20), Some(1 << 20));
    device.flash_mode = Some(FlashMode::Dout);
    device
}

fn by_ways(image: &[u8], device: &Device<'_>) -> [String; 2] {
    [PULL, FORM].map(|via| match judge(image, &Device { via: Some(via), ..*device }).verdict {
        Verdict::Accepts => "ok".into(),
        Verdict::Refuses { code: Some(code), prints, .. } => format!("{code} {prints}"),
        Verdict::Bricks { .. } => "bricks".into(),
        other => panic!("{other:?}"),
    })
}

fn image(program: u32) -> Vec<u8> {
    esp_image_with(3, 0x20, program)
}

#[test]
fn a_gzip_is_accepted_and_a_signed_gzip_bricks() {
    let key = PrivateKey::from_bytes(include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../keys.example/private.pem"
    )))
    .unwrap();
    let plain = image(50_000);
    let packed = gzip(&plain, Effort::Fast).unwrap();
    let signed = |payload: &[u8]| crate::testing::signed(payload, &key, Scheme::Pkcs1v15Sha256);
    for device in [device(200_000), Device { key: Some(key.public()), ..device(200_000) }] {
        assert!(!device.profile.verifies());
        for (file, expected) in
            [(&plain, "ok"), (&packed, "ok"), (&signed(&plain), "ok"), (&signed(&packed), "bricks")]
        {
            assert_eq!(by_ways(file, &device), [expected; 2]);
        }
    }
}

#[test]
fn a_file_that_does_not_fit_needs_minimal_first() {
    // Beside 600 KiB, as a whole Tasmota has.
    let device = device(600 << 10);
    let plain = image(600_000);
    assert_eq!(
        by_ways(&plain, &device),
        ["-100 Failed Not Enough space", "2 Not enough space"].map(String::from)
    );
    for via in [PULL, FORM] {
        let judged = judge(&plain, &Device { via: Some(via), ..device });
        assert!(matches!(judged.verdict.reason(), Some(Reason::BesideTasmota(Misfit::NoSpace { .. }))));
    }
    let packed = gzip(&plain, Effort::Fast).unwrap();
    // The pull stages it at the end of the free space, the form right behind the running image.
    assert_eq!(by_ways(&packed, &device), ["ok", "ok"]);
    // Over a minimal build, the form's staging area is too low.
    let minimal =
        Device { flash: device.flash.map(|flash| Flash { installed: Some(16_384), ..flash }), ..device };
    assert_eq!(by_ways(&packed, &minimal), ["ok", "bricks"]);
    assert_eq!(by_ways(&plain, &minimal), ["ok", "ok"]);
    // No sector is left to announce.
    let full =
        Device { flash: device.flash.map(|flash| Flash { installed: Some(0xF_A000), ..flash }), ..device };
    assert_eq!(by_ways(&image(10), &full)[1], "2 Not enough space");
}

#[test]
fn the_form_has_its_own_texts() {
    let device = device(16_384);
    let larger = esp_image_with(3, 0x40, 50_000);
    let update = "Failed Update error: ERROR";
    let rows: &[(&[u8], [String; 2])] = &[
        (&[], ["-101 Failed Server Did Not Report Size".into(), "6 Upload failed. Enable logging 3".into()]),
        (&[7; 5000], ["-106 Failed Verify Bin Header Failed".into(), "3 Magic byte is not 0xE9".into()]),
        (
            &larger,
            [
                "-107 Failed New Binary Does Not Fit Flash Size".into(),
                "4 Program flash size is larger than real flash size".into(),
            ],
        ),
        // The first byte of a gzip alone.
        (
            &[&[0x1F][..], &[7; 5000]].concat(),
            [
                format!("10 {update}[10]: Magic byte is wrong, not 0xE9"),
                "6 Upload failed. Enable logging 3".into(),
            ],
        ),
        (&application(), ["bricks".into(), "bricks".into()]),
    ];
    for (image, expected) in rows {
        let mut image = image.to_vec();
        // The ESP32 image has the size that this chip has.
        if image.get(3) == Some(&0x2F) {
            image[3] = 0x20;
        }
        assert_eq!(by_ways(&image, &device), *expected);
    }
}

#[test]
fn it_has_one_name_and_two_ways() {
    for text in ["tasmota-esp8266", "tasmota-esp8266/unsigned"] {
        assert_eq!(text.parse::<Profile>().unwrap().to_string(), "tasmota-esp8266");
    }
    assert_eq!("tasmota-esp8266@14.0.0".parse::<Profile>().unwrap_err().why, "it has no versions");
    let judged = judge(&image(10), &Device { via: Some(&[Via::Espota]), ..device(16_384) });
    assert_eq!(judged.verdict, Verdict::Unknown { reason: Reason::NoSuchWay });
}
