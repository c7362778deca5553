//! Compares our reading of images with esptool's, and our reading of filesystems with littlefs's.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::esp8266::{Damage, Image, Integrity, Part, WordsState};
use super::tests::esp;
use super::*;

const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// Runs a Python program; `None` when a module that it imports is missing.
fn python(modules: &str, arguments: &[&str], dir: &Path) -> Option<Vec<u8>> {
    let imports = format!("import {modules}");
    let has_modules = Command::new(PYTHON).args(["-c", &imports]).output();
    if !has_modules.is_ok_and(|done| done.status.success()) {
        crate::testing::skipped(&format!("the Python module {modules} is not installed"));
        return None;
    }
    let done = Command::new(PYTHON).args(arguments).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(done.stdout)
}

fn compare(name: &str, ours: &Image, theirs: &Value) {
    if theirs["error"].is_string() {
        assert_eq!(ours.integrity, Integrity::CutOff, "{name}: {}", theirs["error"]);
        return;
    }
    assert_eq!(ours.header.flash_mode_byte, theirs["flash_mode_byte"], "{name}");
    assert_eq!(ours.header.flash_size_frequency_byte, theirs["flash_size_frequency_byte"], "{name}");
    assert_eq!(ours.header.entry_address, theirs["entry_address"], "{name}");
    let segments: Vec<_> = ours
        .segments
        .iter()
        .map(|it| serde_json::json!([it.address, it.offset_bytes - ours.offset_bytes, it.size_bytes]))
        .collect();
    assert_eq!(Value::from(segments), theirs["segments"], "{name}");
    match ours.integrity {
        Integrity::ChecksumMismatch { stored, computed, .. } => {
            assert_eq!(
                (stored.into(), computed.into()),
                (&theirs["checksum"], &theirs["computed"]).cloned(),
                "{name}"
            );
        }
        Integrity::Valid { .. } if ours.offset_bytes == 0 => {
            assert_eq!(theirs["checksum"], theirs["computed"], "{name}");
        }
        // Here the two differ: see the module `words`.
        Integrity::Valid { .. } => {}
        Integrity::CutOff => panic!("{name}: esptool reads all of it"),
    }
}

trait Cloned {
    fn cloned(self) -> (Value, Value);
}

impl Cloned for (&Value, &Value) {
    fn cloned(self) -> (Value, Value) {
        (self.0.clone(), self.1.clone())
    }
}

#[test]
fn esptool_reads_the_same_in_twenty_images() {
    let dir = tempfile::tempdir().unwrap();
    if Command::new("xtensa-lx106-elf-gcc").arg("--version").output().is_err() {
        return crate::testing::skipped("xtensa-lx106-elf-gcc (Debian: gcc-xtensa-lx106) is not installed");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/esp8266_images.py");
    let arguments = [script.to_str().unwrap(), dir.path().to_str().unwrap()];
    let Some(said) = python("esptool", &arguments, dir.path()) else { return };
    let said: serde_json::Map<String, Value> = serde_json::from_slice(&said).unwrap();
    assert!(said.len() >= 20, "{}", said.len());
    for (name, theirs) in &said {
        let bytes = std::fs::read(dir.path().join(format!("{name}.bin"))).unwrap();
        let ours = esp(&bytes);
        compare(name, &ours.first, &theirs["first"]);
        assert_eq!(ours.application.is_some(), theirs.get("application").is_some(), "{name}");
        if let Some(application) = &ours.application {
            compare(name, application, &theirs["application"]);
        }
        let crc = theirs["crc"].as_u64().unwrap_or_default() as u32;
        match (name.as_str(), ours.words.map(|words| words.state), ours.damage) {
            ("arduino" | "arduino-words-in-padding", Some(WordsState::Valid), None) => {
                assert_eq!(ours.words.unwrap().stored_crc32, crc);
            }
            ("arduino-unfilled", Some(WordsState::Unfilled), None) => {}
            ("arduino-qio-mode-byte-only", _, Some(Damage::Crc { computed, .. })) => {
                assert_eq!(computed, crc)
            }
            ("arduino-wrong-length", _, Some(Damage::Length { .. })) => {}
            ("arduino-byte-flipped", _, Some(Damage::Checksum { part: Part::Application, .. })) => {}
            ("arduino-boot-flipped", _, Some(Damage::Checksum { part: Part::BootLoader, .. })) => {}
            ("arduino-cut" | "arduino-huge-segment", None, Some(Damage::CutOff { .. })) => {}
            ("arduino-boot-only", None, Some(Damage::NoApplication)) => {}
            ("overlap", None, Some(Damage::Overlap { one: 1, other: 2, address: 0x4010_003C, .. })) => {}
            ("beyond", None, Some(Damage::AddressRange { .. })) => {}
            ("adjacent", None, None) => {}
            (other, None, None) if other.starts_with("stub-") || other.starts_with("e2i-") => {}
            (name, words, damage) => panic!("{name}: {words:?}, {damage:?}"),
        }
    }
}

#[test]
fn littlefs_images_are_what_littlefs_says() {
    const PROGRAM: &str = "
from littlefs import LittleFS
for name, size, count, version in [('a', 8192, 125, 0x20000), ('b', 4096, 64, 0x20001), ('c', 512, 40, 0x20001)]:
    fs = LittleFS(block_size=size, block_count=count, disk_version=version)
    for number in range(5):
        with fs.open(f'file{number}', 'w') as file:
            file.write('content ' * number * 40)
    open(name, 'wb').write(bytes(fs.context.buffer))
";
    let dir = tempfile::tempdir().unwrap();
    if python("littlefs", &["-c", PROGRAM], dir.path()).is_none() {
        return;
    }
    for (name, size, count, version) in
        [("a", 8192, 125, (2, 0)), ("b", 4096, 64, (2, 1)), ("c", 512, 40, (2, 1))]
    {
        let image = std::fs::read(dir.path().join(name)).unwrap();
        let Kind::LittleFs(found) = identify(&image) else { panic!("{name}") };
        assert_eq!((found.version, found.block_size_bytes, found.block_count), (version, size, count));
        assert_eq!((found.name_max, found.file_max_bytes, found.complete), (255, 0x7FFF_FFFF, true));
        let size = size as usize;
        assert!(matches!(identify(&image[..image.len() - size]), Kind::LittleFs(cut) if !cut.complete));
        // One of the two superblocks may be lost, both may not.
        let mut damaged = image.clone();
        damaged[20] ^= 1;
        assert!(matches!(identify(&damaged), Kind::LittleFs(_)), "block 1 is still there");
        damaged[size + 20] ^= 1;
        assert_eq!(identify(&damaged), Kind::Unknown, "a wrong CRC in both");
        for len in [0, 3, 15, 40, 60] {
            assert_eq!(
                identify(&image[..len.min(image.len())]),
                if len == 0 { Kind::Empty } else { Kind::Unknown }
            );
        }
    }
}
