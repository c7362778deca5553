//! Types the commands of the book's "Getting started", for each of the four roles. What another program does between
//! two commands, such as a build, the test does in its place.
#![cfg(unix)]

use crate::common::document::{blocks, section, type_console};
use crate::common::{self, Bench, root};
use std::fs;

/// Returns a firmware with this public key in it, as a build makes it.
fn firmware(bench: &Bench, public: &str) -> Vec<u8> {
    [common::firmware(20_000), bench.read(public)].concat()
}

fn typed(bench: &Bench, page: &str, title: &str) {
    assert!(type_console(bench, &section(page, title)) >= 1, "{page}: {title} has lost its commands");
}

#[test]
fn an_arduino_sketch_is_signed_as_the_page_says() {
    let page = "start/arduino.md";
    let bench = Bench::new();
    typed(&bench, page, "1. Make the keys");
    // The tests of `signing-py` run the lines of the guide. They sign what the core's build makes.
    let lines = |page: &str, title: &str| blocks(&section(page, title), "text");
    let every = lines("guides/arduino.md", "Arduino IDE and arduino-cli, every sketch");
    assert_eq!(lines(page, "2. Let the IDE call otaseal"), every);
    bench.write("lamp.ino.bin", &firmware(&bench, "public.key"));
    let sign = "signing-py --mode sign --privatekey private.key --bin lamp.ino.bin --out lamp.ino.bin.signed";
    bench.ok(&sign.split(' ').collect::<Vec<_>>());
    typed(&bench, page, "4. Check");
}

#[test]
fn a_platformio_project_is_signed_as_the_page_says() {
    let page = "start/platformio.md";
    let bench = Bench::new();
    typed(&bench, page, "1. Make the keys");
    assert_eq!(bench.read(".gitignore"), b"/keys\n");
    // The tests of `signing-py` run the script in SCons.
    let lines = blocks(&section(page, "2. Add the script"), "ini").concat();
    let guide = blocks(&section("guides/platformio.md", "Set it up"), "ini").concat();
    assert!(!lines.is_empty() && guide.ends_with(&lines), "{lines}");
    let build = bench.path(".pio/build/d1_mini");
    fs::create_dir_all(&build).unwrap();
    fs::write(build.join("firmware.bin"), firmware(&bench, "keys/public.pem")).unwrap();
    let image = ".pio/build/d1_mini/firmware.bin";
    let sign = ["signing-py", "--mode", "sign", "--privatekey", "keys/private.pem", "--bin", image];
    bench.ok(&[&sign[..], &["--out", ".pio/build/d1_mini/firmware.bin.signed"]].concat());
    typed(&bench, page, "4. Check");
}

/// Another test builds the project of the README. Its files are the same on this page.
#[test]
fn a_rust_project_has_the_files_of_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let page = fs::read_to_string(root().join("docs/start/rust.md")).unwrap();
    let of = |text: &str| [blocks(text, "toml"), blocks(text, "rust")].concat();
    let (there, here) = (of(&readme), of(&page));
    assert_eq!(there.len(), 5, "three files, the settings and the firmware");
    for block in there {
        assert!(here.contains(&block), "docs/start/rust.md lacks:\n{block}");
    }
    let device = fs::read_to_string(root().join("docs/device.md")).unwrap();
    let example = blocks(&readme, "rust").into_iter().find(|block| block.contains("mod ota_key;")).unwrap();
    assert!(device.contains(&example), "docs/device.md has another example");
}

#[test]
fn a_file_and_a_release_are_signed_as_the_page_says() {
    let page = "start/release.md";
    let bench = Bench::new();
    bench.write("firmware.bin", &common::firmware(20_000));
    typed(&bench, page, "1. Look at the file");
    typed(&bench, page, "2. Make the keys");
    bench.write("firmware.bin", &firmware(&bench, "keys/public.pem"));
    typed(&bench, page, "3. Sign");
    typed(&bench, page, "4. Make a release");
}

/// The guide on a compromised key shows a plan in which an update of the new key reaches the devices with both keys.
#[test]
fn a_compromised_key_is_replaced_as_the_guide_says() {
    let bench = Bench::new();
    let guide = section("guides/compromised.md", "2. Make a new key");
    let (_, keygen) = guide.split_once("Type `otaseal ").unwrap();
    bench.ok(&keygen.split('`').next().unwrap().split(' ').collect::<Vec<_>>());
    bench.ok(&["keygen", "--private", "old.pem", "--public", "old-public.pem"]);
    let both =
        [common::firmware(20_000), bench.read("old-public.pem"), bench.read("new-public.pem")].concat();
    for (name, length) in [("1.4", 0), ("1.5", 1)] {
        bench.write("image.bin", &[&both[..], &vec![7; length]].concat());
        bench.ok(&["sign", "image.bin", "-o", &format!("{name}.signed"), "--key", "old.pem"]);
    }
    bench.write("image.bin", &firmware(&bench, "new-public.pem"));
    bench.ok(&["sign", "image.bin", "-o", "2.0.signed", "--key", "new.pem"]);
    let section = section("guides/compromised.md", "3. Find out which devices you can still reach");
    let commands = blocks(&section, "sh");
    let words: Vec<_> = commands[0].split_whitespace().skip(1).collect();
    bench.ok(&words);
    // Devices with the old key alone take nothing that is safe.
    bench.write("image.bin", &firmware(&bench, "old-public.pem"));
    bench.ok(&["sign", "image.bin", "-o", "1.4.signed", "--key", "old.pem"]);
    bench.fails(1, &words);
}
