//! From a package to a device that runs it: each way that pulls, with simulated devices.

use super::*;
use crate::pull::answer::RedirectStatus;
use crate::pull::redirect::{Elsewhere, TokenKey};
use crate::pull::request::Secret;
use crate::release::{Release, Trust};
use crate::sim::board::Board;
use crate::sim::http::{Device, Fault, HomieForm, Mode, Outcome, Says};
use crate::testing::{package_of, public, release};
use otaseal::format::image::Content;
use otaseal::package::ArtefactKind;
use otaseal::profile::fit::FileSystemArea;
use zeroize::Zeroizing;

const CORE: &str = "esp8266@3.1.2";

fn firmware(version: &str) -> Vec<u8> {
    Sample { name: "lamp", version, bytes: 50_000, seed: version.len() as u32 }.esp8266()
}

fn with_key(version: &str) -> Vec<u8> {
    Sample { name: "lamp", version, bytes: 50_000, seed: version.len() as u32 }.esp8266_with_key(&public())
}

/// One plain file that nobody signed.
fn plain(image: &[u8]) -> Release {
    let trust = Trust::Unsigned(vec![public()]);
    Release::of_file("lamp.bin", image.to_vec().into(), Content::Firmware, &trust).unwrap()
}

fn serving(releases: Vec<Release>, listed: &str) -> Port {
    let entries = releases.into_iter().map(|release| {
        let folder = release.title();
        Entry::new(release, Some(folder))
    });
    let catalogue = Catalogue::new(entries.collect(), Listed::parse(listed).unwrap());
    start(catalogue, Settings::default(), Limits::default())
}

fn device(port: &Port, profile: &str, running: &[u8]) -> Device {
    let board = Board::new(profile.parse().unwrap(), running);
    Device::new(board, &port.address.to_string(), "/ota/lamp")
}

/// A device whose firmware carries the key, and so checks signatures.
fn verifying(port: &Port, running: &[u8]) -> Device {
    let mut device = device(port, CORE, running);
    device.board.key = Some(public());
    device
}

fn poll(device: &mut Device, mode: Mode) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, device.poll(mode)).await.expect("it hangs") })
}

/// What the server offered.
fn offered(port: &Port) -> String {
    let record = port.record();
    match record.why {
        Ok(Why::Offered { file, .. }) => {
            assert_eq!(record.evidence, Some(Evidence::Sent));
            file
        }
        other => panic!("no offer: {other:?}"),
    }
}

/// The next poll says what runs, and gets 304: the proof.
fn proves(port: &Port, device: &mut Device, image: &[u8]) {
    assert!(device.board.running() == image, "it runs another image");
    assert_eq!(poll(device, Mode::Sketch), Outcome::NoUpdates);
    let record = port.record();
    assert_eq!((record.status, record.why.unwrap().code()), (Some(304), "already-running"));
    assert!(record.running.is_some_and(|running| running.starts_with("lamp ")));
}

#[test]
fn a_plain_image_is_pulled_and_proven() {
    let new = firmware("2.0.0");
    let port = serving(vec![plain(&new)], "");
    for profile in ["esp8266@2.5.2/unsigned", "esp8266@3.1.2/unsigned"] {
        let mut device = device(&port, profile, &firmware("1.0"));
        assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Updated, "{profile}");
        assert_eq!(offered(&port), "lamp.bin");
        proves(&port, &mut device, &new);
        assert_eq!(device.board.starts(), 1);
    }
}

#[test]
fn a_gzip_is_pulled_and_proven_where_the_core_is_known() {
    let new = with_key("2.0.0");
    let listed = "\"5C:CF:7F:00:00:01\" = { firmware = \"lamp\", profile = \"esp8266@3.1.2/unsigned\" }\n\
                  \"5C:CF:7F:00:00:02\" = { firmware = \"lamp\", profile = \"esp8266@2.6.3/unsigned\" }\n";
    let package = package_of(&new, &[ArtefactKind::Plain, ArtefactKind::Gz]);
    let both = Release::of_package(&package, &Trust::Unsigned(vec![public()])).unwrap();
    let port = serving(vec![both], listed);
    for (last, profile, file) in
        [(1, "esp8266@3.1.2/unsigned", "lamp.bin.gz"), (2, "esp8266@2.6.3/unsigned", "lamp.bin")]
    {
        let mut device = device(&port, profile, &firmware("1.0"));
        device.mac = [0x5C, 0xCF, 0x7F, 0, 0, last];
        assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Updated, "{profile}");
        assert_eq!(offered(&port), file);
        proves(&port, &mut device, &new);
    }
}

#[test]
fn a_signed_image_is_pulled_and_proven() {
    let (old, new) = (with_key("1.0"), with_key("2.0.0"));
    let port = serving(vec![release(&old), release(&new)], "");
    let mut device = verifying(&port, &old);
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Updated);
    // What it runs is known, and so is its key: it gets the smallest file.
    let file = offered(&port);
    assert!(file.ends_with(".signed"), "{file}");
    proves(&port, &mut device, &new);
}

#[test]
fn the_first_move_to_signing_is_no_signed_gzip() {
    let (old, new, third) = (firmware("1.0"), with_key("2.0.0"), with_key("3.0.0.1"));
    let port = serving(vec![release(&new)], "");
    // Nobody knows whether it has a key. It has none.
    let mut device = device(&port, "esp8266@3.1.2/unsigned", &old);
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Updated);
    let first = offered(&port);
    assert!(!first.ends_with(".gz.signed"), "{first}");
    proves(&port, &mut device, &new);
    // Its firmware has the key now, and from here on everything is signed.
    device.board.profile = CORE.parse().unwrap();
    device.board.key = Some(public());
    let entries = [&new, &third].map(|image| Entry::new(release(image), None));
    port.shared.replace(Catalogue::new(entries.into(), Listed::default()));
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Updated);
    assert!(offered(&port).ends_with(".signed"));
    proves(&port, &mut device, &third);
}

#[test]
fn homie_1_pulls_its_target_in_each_form() {
    let new = firmware("2.0.0");
    let hash = crate::pull::homie_v1::hashed("lamp", "2.0.0").unwrap();
    for (form, target, profile) in [
        (HomieForm::V1_0, None, "esp8266@2.5.2/unsigned"),
        (HomieForm::March2016, Some(hash.clone()), "esp8266@2.5.2/unsigned"),
        (HomieForm::V1_3, Some(hash), "esp8266@2.7.4/unsigned"),
        (HomieForm::V1_3, Some("2.0.0".into()), "esp8266@2.7.4/unsigned"),
    ] {
        let port = serving(vec![plain(&firmware("1.0")), plain(&new)], "");
        let mut device = device(&port, profile, &firmware("1.0"));
        device.path = "/ota".into();
        device.says = Says::Homie { form, id: "kitchen".into(), target };
        assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Updated, "{form:?}");
        assert_eq!(offered(&port), "lamp.bin");
        // With or without an update it leaves its OTA mode by a start.
        assert_eq!(device.board.starts(), 1);
        proves(&port, &mut device, &new);
        assert_eq!(device.board.starts(), 2);
    }
}

#[test]
fn a_filesystem_image_is_pulled() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cmd/in/littlefs.4096.bin");
    let image = std::fs::read(path).unwrap();
    let trust = Trust::Unsigned(Vec::new());
    let made = Release::of_file("lamp.fs.bin", image.clone().into(), Content::Filesystem, &trust).unwrap();
    let catalogue = Catalogue::new(
        vec![Entry::new(made, None), Entry::new(plain(&firmware("2.0.0")), None)],
        Listed::default(),
    );
    let port = start(catalogue, Settings::default(), Limits::default());
    let mut device = device(&port, "esp8266@3.1.2/unsigned", &firmware("1.0"));
    device.path = "/lamp.fs.bin".into();
    device.board.filesystem = Some(FileSystemArea::new(image.len() as u32));
    assert_eq!(poll(&mut device, Mode::Spiffs), Outcome::Updated);
    assert!(device.board.written_filesystem() == Some(&image[..]), "another filesystem");
    assert_eq!(offered(&port), "lamp.fs.bin");
    // The same address is no firmware.
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Failed(-102));
}

#[test]
fn an_update_that_fails_is_seen_at_the_next_poll() {
    let new = firmware("2.0.0");
    let port = serving(vec![plain(&new)], "");
    let mut device = device(&port, "esp8266@3.1.2/unsigned", &firmware("1.0"));
    device.flags.fault = Some(Fault::HangsAtTheEnd(Duration::ZERO));
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Dead);
    // It was sent, and that proves nothing: the device asks again.
    assert_eq!(offered(&port), "lamp.bin");
    device.flags.fault = None;
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Updated);
    assert_eq!(offered(&port), "lamp.bin");
    proves(&port, &mut device, &new);
}

#[test]
fn a_device_with_another_key_is_offered_what_it_takes_or_nothing() {
    let (old, new) = (with_key("1.0"), firmware("2.0.0"));
    // What runs has a key, and nobody signed the new one.
    let port = serving(vec![release(&old), plain(&new)], "");
    let mut device = verifying(&port, &old);
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::NoUpdates);
    assert_eq!(port.record().why.unwrap().code(), "not-signed");
    assert!(device.board.running() == old, "it runs another image");
}

#[test]
fn a_device_follows_a_redirect_and_shows_its_credentials() {
    let new = firmware("2.0.0");
    let entry = || Entry::new(plain(&new), None);
    let login = || Some(Secret(b"user:pass".to_vec()));
    let key = || TokenKey::new(Zeroizing::new(vec![7; 32])).unwrap();
    let to = |port: &str| Elsewhere::new(port, "http", RedirectStatus::Found, key(), 300).unwrap();
    // The one that has the files, and the one to which devices come.
    let files = Settings { elsewhere: Some(to("http://unused.example")), credentials: login() };
    let files = start(Catalogue::new(vec![entry()], Listed::default()), files, Limits::default());
    let front = Settings { elsewhere: Some(to(&format!("http://{}", files.address))), credentials: login() };
    let front = start(Catalogue::new(vec![entry()], Listed::default()), front, Limits::default());
    let mut device = device(&front, "esp8266@3.1.2/unsigned", &firmware("1.0"));
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Failed(-108));
    device.login = Some("dXNlcjpwYXNz".into());
    // The sketch has to allow it.
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Failed(-104));
    device.follows = true;
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Updated);
    assert!(device.board.running() == new, "it runs another image");
    assert_eq!(files.record().evidence, Some(Evidence::Sent));
    assert_eq!(poll(&mut device, Mode::Sketch), Outcome::NoUpdates);
}

#[test]
fn tasmota_does_not_start_again_and_again() {
    let image = Sample { name: "demo", version: "2.0.0", bytes: 50_000, seed: 1 }.esp8266();
    let trust = Trust::Unsigned(Vec::new());
    let file = Release::of_file("tasmota.bin", image.clone().into(), Content::Firmware, &trust).unwrap();
    let catalogue = Catalogue::new(vec![Entry::new(file, None)], Listed::default());
    let port = start(catalogue, Settings::default(), Limits::default());
    let mut device = device(&port, "esp8266@2.7.4/unsigned", &image);
    (device.path, device.says) = ("/tasmota.bin".into(), Says::Tasmota("tasmota".into()));
    for _ in 0..3 {
        assert_eq!(poll(&mut device, Mode::Sketch), Outcome::Failed(-102));
    }
    assert_eq!(device.board.starts(), 0);
}

/// Tasmota with 1 MiB of flash has no room for its own size. After its own error -100, and after no answer of a server, it
/// fetches the file with `-minimal` in its name first.
#[test]
fn tasmota_without_room_gets_minimal_first_and_then_the_whole() {
    let image = |version, bytes| Sample { name: "demo", version, bytes, seed: 1 }.esp8266();
    let (old, minimal, new) =
        (image("1.0.0", 600_000), image("2.0.0-minimal", 250_000), image("2.0.0", 600_000));
    let entry = |name: &str, image: &[u8]| {
        let trust = Trust::Unsigned(Vec::new());
        let file = Release::of_file(name, image.to_vec().into(), Content::Firmware, &trust).unwrap();
        Entry::new(file, None)
    };
    let serving = |entries| {
        let catalogue = Catalogue::new(entries, Listed::default());
        start(catalogue, Settings::default(), Limits::default())
    };
    let port = serving(vec![entry("tasmota.bin", &new), entry("tasmota-minimal.bin", &minimal)]);
    let tasmota = |port: &Port| {
        let mut device = device(port, "tasmota-esp8266", &old);
        (device.path, device.says) = ("/tasmota.bin".into(), Says::Tasmota("tasmota".into()));
        // As with 1 MiB of flash: the rest is for a filesystem.
        device.board.fs_start = 0xF_B000;
        device
    };
    let mut one = tasmota(&port);
    assert_eq!(poll(&mut one, Mode::Sketch), Outcome::Failed(-100));
    let record = port.record();
    assert_eq!((record.status, record.why.unwrap().code()), (Some(200), "minimal-first"));
    assert!(record.evidence < Some(Evidence::Sent), "{:?}", record.evidence);
    assert_eq!(poll(&mut one, Mode::Sketch), Outcome::Updated);
    assert_eq!(offered(&port), "tasmota-minimal.bin");
    assert!(one.board.running() == minimal, "it runs another image");
    assert_eq!(poll(&mut one, Mode::Sketch), Outcome::Updated);
    assert_eq!(offered(&port), "tasmota.bin");
    assert!(one.board.running() == new, "it runs another image");
    assert_eq!(poll(&mut one, Mode::Sketch), Outcome::Failed(-102));
    // Where there is no minimal firmware, a file that does not fit is not sent again and again.
    let port = serving(vec![entry("tasmota.bin", &new)]);
    let mut one = tasmota(&port);
    assert_eq!(poll(&mut one, Mode::Sketch), Outcome::Failed(-102));
    assert_eq!(port.record().why.unwrap().code(), "no-space");
    // Another device goes by 304, and no file.
    let port = serving(vec![entry("tasmota.bin", &new), entry("tasmota-minimal.bin", &minimal)]);
    let mut other = tasmota(&port);
    other.says = Says::OwnVersion;
    assert_eq!(poll(&mut other, Mode::Sketch), Outcome::NoUpdates);
    assert_eq!(port.record().why.unwrap().code(), "no-space");
}

#[test]
fn a_device_that_only_asks_for_the_version_gets_it() {
    let port = serving(vec![plain(&firmware("2.0.0"))], "");
    let mut device = device(&port, "esp8266@3.1.2/unsigned", &firmware("1.0"));
    assert_eq!(poll(&mut device, Mode::Version), Outcome::Version("2.0.0".into()));
    assert!(device.board.running() == firmware("1.0"), "it runs another image");
}

#[test]
fn many_devices_are_updated_at_once_by_readers_of_their_speed() {
    let new = firmware("2.0.0");
    let port = serving(vec![plain(&new)], "");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..100u8 {
            let mut device = device(&port, "esp8266@3.1.2/unsigned", &firmware("1.0"));
            device.mac[5] = number;
            device.flags.reads_per_second = Some(60_000);
            let new = new.clone();
            tasks.spawn(async move {
                let outcome = device.poll(Mode::Sketch).await;
                outcome == Outcome::Updated && device.board.running() == new
            });
        }
        tokio::time::timeout(PATIENCE, tasks.join_all()).await.expect("they hang")
    });
    assert!(done.iter().all(|done| *done), "{done:?}");
}
