//! The images are built as esptool builds them, and esptool judges them too.

use std::process::Command;

use proptest::strategy::Strategy;

use super::*;
use crate::format::digest::sha256;
use crate::format::gzip::{Effort, gzip};
use crate::format::image::esp32::ChipRevision;
use crate::format::image::esp32::tests::{application, esp32};
use crate::key::PrivateKey;
use crate::profile::{Judgement, Profile, Updater, judge};
use crate::sign::Scheme;
use crate::testing::esp_image;

const PULL: &[Via] = &[Via::Http];
const ESPOTA: &[Via] = &[Via::Espota];
const FORM: &[Via] = &[Via::Form];
const WAYS: [&[Via]; 3] = [PULL, ESPOTA, FORM];

fn device(profile: &str) -> Device<'static> {
    Device::new(profile.parse().unwrap(), None)
}

fn scheme(name: &str) -> Option<PartitionScheme> {
    Some(name.parse().unwrap())
}

fn brief(judged: &Judgement) -> String {
    match &judged.verdict {
        Verdict::Accepts => "ok".into(),
        Verdict::Refuses { code: Some(code), prints, .. } if *code > 0 => format!("{code} {prints}"),
        Verdict::Refuses { prints, .. } => prints.clone(),
        Verdict::KeepsTheOld { .. } => "keeps".into(),
        other => panic!("{other:?}"),
    }
}

/// The verdicts by pull, espota and form.
fn by_ways(image: &[u8], device: &Device<'_>) -> [String; 3] {
    WAYS.map(|via| brief(&judge(image, &Device { via: Some(via), ..*device })))
}

fn reason(image: &[u8], profile: &str) -> String {
    judge(image, &device(profile)).verdict.reason().unwrap().to_string()
}

/// An image of any chip and length, without an application's description.
fn image_of(chip: u16, length: usize) -> Vec<u8> {
    let image = esp32(chip, &[(0x4038_0000, &vec![0x22; length - 24 - 8 - 32 - 16])]);
    assert!(image.len() <= length);
    image
}

#[test]
fn an_image_for_the_chip_is_accepted_and_its_signature_does_not_count() {
    let image = application();
    let key = PrivateKey::from_bytes(include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../keys.example/private.pem"
    )));
    let signed = crate::testing::signed(&image, &key.unwrap(), Scheme::Pkcs1v15Sha256);
    for core in ["2.x", "3.x", "2.0.17", "3.3.8"] {
        let device = device(&format!("esp32c3@{core}"));
        assert!(!device.profile.verifies());
        for file in [&image, &signed, &[&image[..], b"bytes behind"].concat()] {
            assert_eq!(by_ways(file, &device), ["ok"; 3], "{core}");
        }
    }
    let assumed = |core: &str| judge(&image, &device(&format!("esp32c3@{core}"))).assumed;
    let (room, min) = (Assumption::Partition, Assumption::ChipRevision { min: ChipRevision(3) });
    assert_eq!(assumed("2.x"), [room, min]);
    assert_eq!(assumed("3.3.7"), [room, min]);
    assert_eq!(assumed("3.3.8"), [room, Assumption::NoUpdateSign, min]);
    assert_eq!(assumed("3.x"), [room, Assumption::NoUpdateSign, min]);
    let known = Device { partitions: scheme("default"), via: Some(PULL), ..device("esp32c3@3.x") };
    let judged = judge(&image, &known);
    assert_eq!(judged.passed, ["pull", "space", "first byte", "image"]);
    assert_eq!(judged.assumed, [Assumption::NoUpdateSign, min]);
}

#[test]
fn the_first_byte_has_another_error_in_each_core_and_way() {
    const PULL: &str = "-106: Verify Bin Header Failed";
    let bytes = |first: u8, length: usize| [&[first][..], &vec![7; length - 1]].concat();
    let packed = gzip(&application(), Effort::Fast).unwrap();
    let large = bytes(0x1F, 4097);
    for (core, espota, form) in [
        ("1.x", "8 Wrong Magic Byte", "8 Update error: Wrong Magic Byte"),
        ("2.x", "8 Wrong Magic Byte", "8 Update error: Wrong Magic Byte"),
        ("3.x", "13 Decryption error", "13 Update error: Decryption error"),
    ] {
        let device = device(&format!("esp32@{core}"));
        assert_eq!(by_ways(&large, &device), [PULL, espota, form].map(String::from), "{core}");
        // The form looks at less than a sector only at the end.
        let read = "3 Update error: Flash Read Failed";
        assert_eq!(by_ways(&packed, &device), [PULL, espota, read].map(String::from), "{core}");
        assert_eq!(
            by_ways(&[], &device),
            ["-101: Server Did Not Report Size", "5 Bad Size Given", read].map(String::from)
        );
    }
    assert_eq!(reason(&packed, "esp32@3.x"), "this core cannot unpack gzip");
    assert_eq!(reason(b"<html>", "esp32@3.x"), "an HTML or XML page is not an image for the ESP32 family");
}

#[test]
fn another_chip_and_damage_are_found_before_the_switch() {
    let image = application();
    let activate = |prefix: &str| format!("9 {prefix}Could Not Activate The Firmware");
    let refused = ["Update error: ", "", "Update error: "].map(activate);
    let all = |image: &[u8], profile: &str, because: &str| {
        assert_eq!(by_ways(image, &device(profile)), refused, "{profile}");
        assert_eq!(reason(image, profile), because);
    };
    all(&image, "esp32s3@3.x", "the image is for the ESP32-C3, but the device is an ESP32-S3");
    all(&esp_image(), "esp32@2.x", "the image is for the ESP8266, but the device is an ESP32");
    let mut changed = image.clone();
    changed[100] ^= 1;
    assert!(reason(&changed, "esp32c3@2.x").starts_with("the checksum is "));
    changed = image.clone();
    changed[5] ^= 1;
    assert!(reason(&changed, "esp32c3@2.x").starts_with("the hash is "));
    for length in 24..image.len() {
        assert_eq!(by_ways(&image[..length], &device("esp32c3@3.x")), refused, "{length}");
    }
    // The chip comes first.
    all(&changed, "esp32@2.x", "the image is for the ESP32-C3, but the device is an ESP32");
    // The other way round, an ESP8266 copies it over its boot loader.
    let judged = judge(&image, &device("esp8266@3.1.2/unsigned"));
    assert!(matches!(judged.verdict, Verdict::Bricks { .. }));
    let because = judged.verdict.reason().unwrap().to_string();
    assert!(because.contains("an ESP32-C3 image") && because.ends_with("not an ESP8266 image"), "{because}");
    assert!(matches!(judge(&image, &device("arduino-pico/unsigned")).verdict, Verdict::Bricks { .. }));
}

#[test]
fn a_partition_is_full_at_its_last_byte_and_for_the_form_a_sector_earlier() {
    let size = 0x14_0000;
    let at = |length: usize, change: &dyn Fn(&mut Device<'_>)| {
        let mut image = image_of(0, length);
        image.resize(length, 0xFF);
        let mut device = device("esp32@2.x");
        change(&mut device);
        by_ways(&image, &device)
    };
    let (space, too_large) = ("-100: Not Enough space", "5 Bad Size Given");
    let full = "4 Update error: Not Enough Space";
    for change in [
        &(|device: &mut Device<'_>| device.partitions = scheme("DEFAULT.csv")) as &dyn Fn(&mut Device<'_>),
        &|device: &mut Device<'_>| device.free_bytes = Some(0x14_0000),
        &|device: &mut Device<'_>| {
            (device.free_bytes, device.partitions) = (Some(0x14_0000), scheme("no_fs"))
        },
    ] {
        assert_eq!(at(size - 4096, change), ["ok"; 3]);
        assert_eq!(at(size - 4095, change), ["ok", "ok", full].map(String::from));
        assert_eq!(at(size, change), ["ok", "ok", full].map(String::from));
        assert_eq!(at(size + 1, change), [space, too_large, full].map(String::from));
    }
    let mut image = image_of(0, size);
    image.resize(size + 1, 0xFF);
    let known = Device { partitions: scheme("default"), ..device("esp32@2.x") };
    let because = judge(&image, &known).verdict.reason().unwrap().to_string();
    assert_eq!(because, "the file has 1310721 bytes, and there is room for 1310720: 1 too many");
}

#[test]
fn a_scheme_without_a_second_partition_takes_no_update() {
    let judged = |core: &str, name: &str| {
        let device = Device { partitions: scheme(name), ..device(&format!("esp32@{core}")) };
        by_ways(&image_of(0, 50_000), &device)
    };
    for name in ["huge_app", "no_ota", "minimal"] {
        assert_eq!(judged("2.x", name), ["abort() was called"; 3]);
        assert_eq!(judged("3.x", name), ["Partition Could Not be Found, or abort() was called"; 3]);
    }
    let (espota, form) = ("10 Partition Could Not be Found", "10 Update error: Partition Could Not be Found");
    for name in ["max_app_4MB", "bare_minimum_2MB"] {
        let pull = "-108: Partition Could Not be Found";
        assert_eq!(judged("3.x", name), [pull, espota, form].map(String::from));
        assert_eq!(judged("1.x", name), ["-100: Not Enough space", espota, form].map(String::from));
    }
}

#[test]
fn a_copy_of_the_whole_flash_changes_nothing() {
    // For a chip whose boot loader begins at 0: boot loader, partition table, application.
    let mut flash = image_of(9, 20_000);
    flash.resize(0x8000, 0xFF);
    flash.extend([0xAA, 0x50, 1, 2]);
    flash.resize(0x1_0000, 0xFF);
    flash.extend(image_of(9, 50_000));
    assert_eq!(by_ways(&flash, &device("esp32s3@3.x")), ["keeps"; 3]);
    // For the others it begins with FF.
    let behind = [vec![0xFF; 0x1000], image_of(0, 50_000)].concat();
    assert_eq!(by_ways(&behind, &device("esp32@3.x"))[1], "13 Decryption error");
}

#[test]
fn names_have_the_chip_and_then_the_core() {
    for text in ["esp32@1.x", "esp32@1.0.6", "esp32s2@2.x", "esp32c3@3.3.8", "esp32c5@3.x", "esp32c61@3.x"] {
        assert_eq!(text.parse::<Profile>().unwrap().to_string(), text);
        assert_eq!(format!("{text}/unsigned").parse::<Profile>().unwrap().to_string(), text);
    }
    for (text, why) in [
        ("esp32", "say which version"),
        ("esp32@", "the version of arduino-esp32 is"),
        ("esp32@3", "the version of arduino-esp32 is"),
        ("esp32@x", "the version of arduino-esp32 is"),
        ("esp32@3.x.x", "the version of arduino-esp32 is"),
        ("esp32@+3.x", "the version of arduino-esp32 is"),
        ("esp32@4.x", "the version of arduino-esp32 is"),
        ("esp32@0.x", "the version of arduino-esp32 is"),
        ("esp32@3.99999.0", "the version of arduino-esp32 is"),
        ("esp32c3@1.x", "arduino-esp32 has this chip since 2.x"),
        ("esp32c6@2.0.17", "arduino-esp32 has this chip since 3.x"),
        ("esp32h4@3.x", "expected "),
        ("ESP32-C3@3.x", "expected "),
    ] {
        let error = text.parse::<Profile>().unwrap_err();
        assert!(error.why.starts_with(why) || error.why.contains(why), "{text}: {}", error.why);
    }
    assert!("huge".parse::<PartitionScheme>().unwrap_err().to_string().contains("huge_app"));
    for scheme in SCHEMES {
        assert_eq!(SCHEMES.iter().filter(|other| other.name == scheme.name).count(), 1);
        assert!(scheme.app_bytes.is_multiple_of(SECTOR as u32));
    }
}

proptest::proptest! {
    /// A device accepts only bytes that begin with a whole image of its chip, whatever stands around them.
    #[test]
    fn only_whole_images_of_the_chip_are_accepted(
        mut image in proptest::prop_oneof![
            proptest::collection::vec(proptest::num::u8::ANY, 0..300),
            proptest::collection::vec(proptest::num::u8::ANY, 0..300).prop_map(|data| {
                let data = &data[..data.len() / 4 * 4];
                esp32(5, &[(0x3C00_0020, data), (0x4200_0020, data)])
            }),
        ],
        change in proptest::option::of((proptest::num::usize::ANY, 1u8..)),
        cut in proptest::option::of(0usize..300),
        free in proptest::option::of(0u32..20_000),
        core in proptest::sample::select(vec!["esp32c3@2.x", "esp32c3@3.x", "esp32@1.x", "esp32s3@3.3.8"]),
    ) {
        if let Some((at, change)) = change && !image.is_empty() {
            let at = at % image.len();
            image[at] ^= change;
        }
        if let Some(cut) = cut {
            image.truncate(image.len().saturating_sub(cut));
        }
        let device = Device { free_bytes: free, ..device(core) };
        let whole = is_whole(&image, device.profile);
        for via in WAYS {
            let device = Device { via: Some(via), ..device };
            let accepted = judge(&image, &device).verdict == Verdict::Accepts;
            let room = free.is_none_or(|free| {
                let room = if via == FORM { free.saturating_sub(4096) / 4096 * 4096 } else { free };
                image.len() <= room as usize
            });
            proptest::prop_assert_eq!(accepted, whole && room, "{:?}", via);
        }
    }
}

/// An independent reading of esp-idf's `image_load`.
fn is_whole(bytes: &[u8], profile: Profile) -> bool {
    let Updater::Esp32(core) = profile.updater else { return false };
    let read = || {
        let header = bytes.get(..24)?;
        let chip = u16::from_le_bytes([header[12], header[13]]);
        let mut sum = 0xEFu8;
        let mut at = 24;
        for _ in 0..header[1] {
            let length = u32::from_le_bytes(bytes.get(at + 4..at + 8)?.try_into().ok()?) as usize;
            let data = bytes.get(at + 8..(at + 8).checked_add(length)?)?;
            sum = data.iter().fold(sum, |sum, byte| sum ^ byte);
            at += 8 + length;
        }
        at = at / 16 * 16 + 15;
        let sound = header[0] == 0xE9 && (1..=16).contains(&header[1]) && chip == core.chip.id();
        let hash = header[23] == 0 || sha256(bytes.get(..=at)?).0 == bytes.get(at + 1..at + 33)?;
        Some(sound && *bytes.get(at)? == sum && hash)
    };
    read().unwrap_or(false)
}

#[test]
fn esptool_agrees_on_the_chip_and_on_damage() {
    let dir = tempfile::tempdir().unwrap();
    let info = |bytes: &[u8]| {
        std::fs::write(dir.path().join("app.bin"), bytes).unwrap();
        let run = ["-m", "esptool", "image-info", "app.bin"];
        let done = Command::new("python3").args(run).current_dir(dir.path()).output().ok()?;
        Some((done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned()))
    };
    if !info(&application()).is_some_and(|(done, said)| done && said.contains("ESP32-C3")) {
        crate::testing::skipped("esptool (PyPI) is not installed");
        return;
    }
    for (name, id) in
        [("esp32", 0), ("esp32s2", 2), ("esp32c3", 5), ("esp32s3", 9), ("esp32c6", 13), ("esp32p4", 18)]
    {
        let image = image_of(id, 500);
        let chip = chip_of(name);
        for at in [None, Some(60), Some(5), Some(image.len() - 1)] {
            let mut changed = image.clone();
            if let Some(at) = at {
                changed[at] ^= 1;
            }
            let (_, said) = info(&changed).unwrap();
            assert!(said.contains(&format!("Detected image type: {chip}\n")), "{said}");
            let valid = said.matches("(valid)").count() == 2;
            let accepted = judge(&changed, &device(&format!("{name}@3.x"))).verdict == Verdict::Accepts;
            assert_eq!(accepted, valid, "{name} {at:?}: {said}");
        }
    }
}

/// The chip of a profile's name, as esptool prints it.
fn chip_of(name: &str) -> &'static str {
    let profile: Profile = format!("{name}@3.x").parse().unwrap();
    let Updater::Esp32(core) = profile.updater else { panic!("{profile}") };
    core.chip.name()
}
