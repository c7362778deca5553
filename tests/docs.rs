//! Types the commands of the guides and of the reference. The peers are OpenSSL and sha256sum.
#![cfg(unix)]

use crate::common::document::{blocks, section, type_console};
use crate::common::{self, Bench, OTASEAL};
use std::fs;
use std::process::Command;

/// Makes a directory with key pairs of these names in `keys`: `NAME.pem` and `NAME-public.pem`.
fn bench(names: &[&str]) -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.path("keys")).unwrap();
    for name in names {
        let (private, public) = (format!("keys/{name}.pem"), format!("keys/{name}-public.pem"));
        bench.ok(&["keygen", "--private", &private, "--public", &public]);
    }
    bench
}

/// Returns firmware that carries this public key.
fn firmware(bench: &Bench, length: usize, public: &str) -> Vec<u8> {
    [common::firmware(length), bench.read(public)].concat()
}

#[test]
fn a_ledger_is_kept_as_the_document_says() {
    let bench = bench(&["private"]);
    fs::rename(bench.path("keys/private-public.pem"), bench.path("keys/public.pem")).unwrap();
    bench.write("lamp.bin", &firmware(&bench, 20_000, "keys/public.pem"));
    let text = section("guides/release.md", "Ledger");
    assert!(type_console(&bench, &text) >= 5, "the document has lost its commands");
    // The document shows the message for a changed line that has another line after it.
    bench.ok(&["sign", "lamp.bin", "-o", "again", "--key", "keys/private.pem", "--ledger", "ledger.jsonl"]);
    let ledger = String::from_utf8(bench.read("ledger.jsonl")).unwrap();
    bench.write("ledger.jsonl", ledger.replacen("lamp.bin", "lamp.bim", 1).as_bytes());
    bench.fails(1, &["ledger", "verify", "ledger.jsonl"]);
    let exported = String::from_utf8(bench.read("ledger.csv")).unwrap();
    assert!(exported.contains("lamp.bin.signed"), "{exported}");
}

#[test]
fn a_key_is_replaced_as_the_document_says() {
    let bench = bench(&["old", "new"]);
    for (name, length) in [("1.4", 20_000), ("1.5", 21_000)] {
        let (image, signed) = (format!("{name}.bin"), format!("{name}.signed"));
        bench.write(&image, &firmware(&bench, length, "keys/old-public.pem"));
        bench.ok(&["sign", &image, "-o", &signed, "--key", "keys/old.pem"]);
    }
    bench.write("2.0.bin", &firmware(&bench, 22_000, "keys/new-public.pem"));
    assert!(
        type_console(&bench, &section("guides/rotation.md", "Rotation")) >= 2,
        "the document has lost its commands"
    );
    // A compromised key has no bridge.
    let plan = "rotate plan --compromised --old keys/old-public.pem --new keys/new-public.pem 1.4.signed bridge.signed";
    let said = bench.fails(1, &plan.split(' ').collect::<Vec<_>>());
    assert!(String::from_utf8_lossy(&said.stdout).contains("by hand"), "{said:?}");
}

#[test]
fn a_release_is_bundled_and_checked_as_the_document_says() {
    let bench = bench(&["private", "evidence"]);
    fs::rename(bench.path("keys/private-public.pem"), bench.path("keys/public.pem")).unwrap();
    bench.write("lamp.bin", &firmware(&bench, 20_000, "keys/public.pem"));
    let text = section("guides/release.md", "Evidence");
    assert!(type_console(&bench, &text) >= 5, "the document has lost its commands");
    // openssl and sha256sum find some faults, and only otaseal finds the others.
    let check = ["release", "verify", "lamp-2.0-release", "--key", "keys/evidence-public.pem"];
    bench.write("lamp-2.0-release/notes.txt", b"not listed");
    bench.fails(1, &check);
    fs::remove_file(bench.path("lamp-2.0-release/notes.txt")).unwrap();
    bench.write("lamp-2.0-release/lamp.bin", b"another image");
    bench.fails(1, &check);
    let sums = Command::new("sha256sum")
        .args(["-c", "index.sha256"])
        .current_dir(bench.path("lamp-2.0-release"))
        .output()
        .unwrap();
    assert!(!sums.status.success() && String::from_utf8_lossy(&sums.stdout).contains("lamp.bin: FAILED"));
}

#[test]
fn a_sketch_has_its_keys_and_is_looked_at_as_the_document_says() {
    let bench = Bench::new();
    assert!(
        type_console(&bench, &section("guides/arduino.md", "Keys")) >= 1,
        "the document has lost its commands"
    );
    bench.write("firmware.bin", &firmware(&bench, 20_000, "public.key"));
    let sign = "signing-py --mode sign --privatekey private.key --bin firmware.bin --out firmware.bin.signed";
    bench.ok(&sign.split(' ').collect::<Vec<_>>());
    assert!(
        type_console(&bench, &section("guides/arduino.md", "Afterwards")) >= 2,
        "the document has lost its commands"
    );
    bench.write("firmware.bin.signed", b"not that image");
    bench.fails(1, &["verify", "firmware.bin.signed", "--key", "public.key"]);
}

/// Tests the build for which arduino-cli gets the two lines. Both have a `…` in place of the lines above, which the
/// tests of `signing-py` run.
#[test]
fn the_lines_of_one_build_are_those_of_every_build() {
    let all = section("guides/arduino.md", "Arduino IDE and arduino-cli, every sketch");
    let one = section("guides/arduino.md", "arduino-cli, one build");
    let properties: Vec<_> =
        one.lines().filter_map(|line| line.split_once("--build-property '")?.1.split_once('…')).collect();
    assert_eq!(properties.len(), 2, "{one}");
    for (start, _) in properties {
        assert!(all.lines().any(|line| line.starts_with(start)), "{start}");
    }
}

/// otaseal reads the settings of the examples, and packages the project that another tool builds.
#[test]
fn the_examples_of_settings_work() {
    let examples = blocks(&section("reference/settings.md", "Examples"), "toml");
    let [cargo, arduino, cloud] = &examples[..] else { panic!("three examples: {examples:?}") };
    let bench = bench(&["private"]);
    fs::rename(bench.path("keys/private-public.pem"), bench.path("keys/public.pem")).unwrap();
    fs::create_dir(bench.path("build")).unwrap();
    bench.write("build/lamp.ino.bin", &firmware(&bench, 20_000, "keys/public.pem"));
    bench.write("otaseal.toml", arduino.as_bytes());
    bench.ok(&["package"]);
    let made = ["lamp.bin.signed", "lamp.bin.gz.signed", "lamp.bin.legacy_sig"];
    assert!(made.iter().all(|name| bench.path("dist").join(name).exists()));
    let text = section("reference/settings.md", "Examples");
    let (_, command) = text.split_once("There, `otaseal ").unwrap();
    let words: Vec<_> = command.split('`').next().unwrap().split(' ').collect();
    bench.ok(&words);
    assert!(String::from_utf8(bench.read("Updater_Signing.h")).unwrap().contains("signing_pubkey"));

    // The key moves to another place. A script that knows the place acts as the cloud.
    fs::create_dir(bench.path("tools")).unwrap();
    fs::rename(bench.path("keys/private.pem"), bench.path("lamp")).unwrap();
    fs::rename(bench.path("keys/public.pem"), bench.path("keys/lamp.public.pem")).unwrap();
    let script =
        "exec openssl pkeyutl -sign -inkey \"$1\" -pkeyopt rsa_padding_mode:pkcs1 -pkeyopt digest:sha256";
    bench.write("tools/sign-in-the-cloud.sh", script.as_bytes());
    bench.write("otaseal.toml", cloud.as_bytes());
    let first = bench.read("dist/lamp.bin.signed");
    bench.ok(&["package", "--out-dir", "again", "--name", "lamp"]);
    assert!(bench.read("again/lamp.bin.signed") == first);

    // For a Cargo project, this only reads the settings. Another test runs `cargo xtask sign`.
    bench.write("otaseal.toml", cargo.replace("[workspace.metadata.otaseal]", "").as_bytes());
    let output =
        Command::new(OTASEAL).args(["package", "build/lamp.ino.bin"]).current_dir(bench.dir()).output();
    let errors = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
    assert!(errors.contains("keys/private.pem"), "the settings are understood, the key has left: {errors}");
}

/// A file system of 32 KiB, made by littlefs itself.
#[test]
fn a_filesystem_is_judged_as_the_guide_says() {
    let bench = Bench::new();
    bench.write("littlefs.bin", &fs::read(common::input("littlefs.4096.bin")).unwrap());
    let guide = fs::read_to_string(common::root().join("docs/guides/filesystems.md")).unwrap();
    assert_eq!(type_console(&bench, &guide), 1, "the document has lost its command");
}
