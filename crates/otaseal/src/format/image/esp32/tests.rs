use std::path::Path;
use std::process::Command;

use super::*;
use crate::format::image::tests::{arduino, esp, esp8266};
use crate::format::image::{Kind, identify};

/// An image of esptool's form: mode DIO, 4 MiB at 80 MHz.
pub(crate) fn esp32(chip: u16, segments: &[(u32, &[u8])]) -> Vec<u8> {
    let mut image = vec![0xE9, segments.len() as u8, 2, 0x2F];
    image.extend(0x4038_0000u32.to_le_bytes());
    image.extend([0xEE, 0, 0, 0]);
    image.extend(chip.to_le_bytes());
    image.extend([3, 3, 0, 199, 0, 0, 0, 0, 0, 1]);
    let mut sum = 0xEF;
    for (address, data) in segments {
        image.extend(address.to_le_bytes());
        image.extend((data.len() as u32).to_le_bytes());
        image.extend_from_slice(data);
        sum = data.iter().fold(sum, |sum, byte| sum ^ byte);
    }
    image.resize(image.len() | 15, 0);
    image.push(sum);
    let hash = sha256(&image).0;
    image.extend(hash);
    image
}

/// The description of an application.
fn description() -> Vec<u8> {
    let mut description = 0xABCD_5432u32.to_le_bytes().to_vec();
    description.extend([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (text, len) in [("1.2.3", 32), ("lamp", 32), ("12:34:56", 16), ("Nov 27 2026", 16), ("v5.3.1", 32)] {
        let end = description.len() + len;
        description.extend(text.as_bytes());
        description.resize(end, 0);
    }
    description.resize(256, 0);
    description
}

/// An application as an ESP32-C3 has it.
pub(crate) fn application() -> Vec<u8> {
    let rodata = [description(), vec![0x11; 500]].concat();
    esp32(5, &[(0x3C00_0020, &rodata), (0x4038_0000, &[0x22; 300]), (0x4200_0020, &[0x33; 4000])])
}

fn read(bytes: &[u8]) -> Esp32Image {
    match identify(bytes) {
        Kind::Esp32(image) => image,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_chip_and_the_application_are_named() {
    let image = read(&application());
    assert_eq!(image.damage, None);
    assert_eq!(image.to_string(), "an ESP32-C3 image (flash mode DIO, 4096 KiB at 80 MHz)");
    assert_eq!((image.segments.len(), image.segments[0].offset_bytes, image.bytes_after), (3, 32, Some(0)));
    assert_eq!(image.header.min_chip_revision.unwrap().to_string(), "0.3");
    assert_eq!(image.header.max_chip_revision.unwrap().to_string(), "1.99");
    let app = image.app.as_ref().unwrap();
    assert_eq!((&*app.project_name, &*app.version, &*app.idf_version), ("lamp", "1.2.3", "v5.3.1"));
    assert_eq!((&*app.built, app.secure_version), ("Nov 27 2026 12:34:56", 7));
    let json = serde_json::to_value(identify(&application())).unwrap();
    assert_eq!((&json["kind"], &json["chip"]), (&"esp32".into(), &"ESP32-C3".into()));
    assert_eq!((&json["min_chip_revision"], &json["app"]["project_name"]), (&3.into(), &"lamp".into()));
}

#[test]
fn text_of_an_application_cannot_write_on_the_terminal() {
    let mut rodata = description();
    rodata[48..52].copy_from_slice(b"\x1b[2J");
    let image = read(&esp32(5, &[(0x3C00_0020, &rodata)]));
    assert_eq!(image.app.unwrap().project_name, "\u{FFFD}[2J");
}

#[test]
fn every_damage_is_named_and_stays_that_of_an_esp32() {
    let whole = application();
    let damage = |bytes: &[u8]| read(bytes).damage;
    for length in 24..whole.len() {
        let found = damage(&whole[..length]).unwrap();
        let expected = match whole.len() - length {
            1..=32 => matches!(found, Esp32Damage::NoHash),
            _ => matches!(found, Esp32Damage::CutOff { count: 3, .. }),
        };
        assert!(expected, "{length}: {found}");
    }
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        damage(&bytes)
    };
    assert!(matches!(changed(100), Some(Esp32Damage::Checksum { .. })), "data");
    assert!(matches!(changed(whole.len() - 33), Some(Esp32Damage::Checksum { .. })), "the checksum");
    assert!(matches!(changed(5), Some(Esp32Damage::Hash { .. })), "the header is not in the checksum");
    assert!(matches!(changed(whole.len() - 1), Some(Esp32Damage::Hash { .. })), "the hash");
    let behind = [&whole[..], b"a signature block"].concat();
    assert_eq!((damage(&behind), read(&behind).bytes_after), (None, Some(17)));
    let mut unhashed = whole[..whole.len() - 32].to_vec();
    unhashed[23] = 0;
    assert_eq!((damage(&unhashed), read(&unhashed).hash), (None, None));
}

#[test]
fn a_cut_off_image_is_not_taken_for_an_esp8266_image() {
    // Read as an ESP8266 image, its first segment would have five bytes.
    let mut cut = application()[..24].to_vec();
    cut.extend([0x20, 0, 0, 0x3C, 0, 1, 0, 0]);
    cut.extend([0x77; 600]);
    let image = read(&cut);
    assert_eq!(image.damage, Some(Esp32Damage::CutOff { found: 1, count: 3 }));
    assert_eq!(
        image.to_string(),
        "an ESP32-C3 image (flash mode DIO, 4096 KiB at 80 MHz; damaged or cut off)"
    );
}

#[test]
fn an_esp8266_image_never_becomes_an_esp32_image() {
    // Sizes that are numbers of chips, and zeros where the extended header has zeros.
    for (id, _) in header::CHIPS {
        for address in [0x4010_0000, 0x4020_1010, 0x3FFE_8000] {
            let data = vec![0; usize::from(id)];
            let image = esp8266(2, 0x40, &[(address, &data), (0x4010_F000, &[0; 64])]);
            for length in 8..=image.len() {
                esp(&image[..length]);
            }
        }
        // At an address of no ESP8266, as some of our own tests have it.
        let image = esp8266(2, 0x40, &[(0xEE, &vec![0x11; usize::from(id)]), (0x4010_F000, &[0; 64])]);
        assert!(esp(&image).is_intact());
    }
    for length in 8..arduino().len() {
        esp(&arduino()[..length]);
    }
}

#[test]
fn a_header_that_makes_no_sense_is_none() {
    let whole = application();
    let other = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        identify(&bytes)
    };
    for (at, byte) in [(1, 0), (1, 17), (12, 1), (13, 1), (19, 1), (22, 1), (23, 2), (11, 0x40)] {
        let is_esp32 = matches!(other(at, byte), Kind::Esp32(_));
        // Only an address of the ESP8266's memory at offset 8 speaks for an ESP8266.
        assert_eq!(is_esp32, at == 11, "{at}");
    }
    let mut eight = whole.clone();
    eight[8..12].copy_from_slice(&0x4010_0000u32.to_le_bytes());
    assert!(matches!(identify(&eight), Kind::Esp8266(_)));
    assert!(matches!(identify(&whole[..23]), Kind::Esp8266(_)), "less than a header");
}

#[test]
fn esptool_and_we_name_the_same_chips() {
    let python = |script: &str, dir: &Path| {
        let done = Command::new("python3").args(["-c", script]).current_dir(dir).output().ok()?;
        done.status.success().then(|| String::from_utf8(done.stdout).unwrap())
    };
    let dir = tempfile::tempdir().unwrap();
    let script = "
from esptool.targets import CHIP_DEFS
for chip in CHIP_DEFS.values():
    if isinstance(getattr(chip, 'IMAGE_CHIP_ID', None), int):
        print(chip.IMAGE_CHIP_ID, chip.CHIP_NAME, *('%x=%s' % (v, k) for k, v in chip.FLASH_FREQUENCY.items()))
";
    let Some(said) = python(script, dir.path()) else {
        crate::testing::skipped("esptool (PyPI) is not installed");
        return;
    };
    for line in said.lines() {
        let [id, name, clocks @ ..] = &line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let chip = Esp32Chip::from_id(id.parse().unwrap()).unwrap_or_else(|| panic!("{name} is not known"));
        assert_eq!(chip.name(), *name);
        for nibble in 0..16 {
            let prefix = format!("{nibble:x}=");
            let expected = clocks.iter().find_map(|clock| clock.strip_prefix(&prefix)?.strip_suffix('m'));
            let ours = chip.flash_frequency_mhz(nibble).map(|mhz| mhz.to_string());
            assert_eq!(ours.as_deref(), expected, "{name} {nibble:x}");
        }
    }

    std::fs::write(dir.path().join("app.bin"), application()).unwrap();
    let run = ["-m", "esptool", "image-info", "app.bin"];
    let done = Command::new("python3").args(run).current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let hash = format!("Validation hash: {} (valid)", read(&application()).hash.unwrap());
    let lines = [
        "Detected image type: ESP32-C3",
        "Chip ID: 5 (ESP32-C3)",
        "Minimal chip revision: v0.3,",
        "Maximal chip revision: v1.99",
        "Flash size: 4MB",
        "Flash freq: 80m",
        "Flash mode: DIO",
        "(valid)",
        &hash,
        "Project name: lamp",
        "App version: 1.2.3",
        "ESP-IDF: v5.3.1",
    ];
    for line in lines {
        assert!(said.contains(line), "{line}: {said}");
    }
}
