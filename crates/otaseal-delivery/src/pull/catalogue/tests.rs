use super::*;
use crate::pull::homie_v1;
use crate::pull::redirect::TokenKey;
use crate::release::{Contents, Stored, Trust};
use crate::sim::image::Sample;
use crate::testing::{package, public, release};
use bytes::Bytes;
use otaseal::format::digest::Md5Digest;
use otaseal::format::image::Content;
use std::io;
use std::sync::Arc;
use zeroize::Zeroizing;

fn named(name: &str, version: &str) -> Vec<u8> {
    Sample { name, version, bytes: 50_000, seed: 3 }.esp8266_with_key(&public())
}

fn bare(name: &str, image: Vec<u8>) -> Release {
    Release::of_file(name, image.into(), Content::Firmware, &Trust::Unsigned(vec![public()])).unwrap()
}

/// lamp 1.0.0 and 1.1.0 and relay 2.0.0 as packages, arduino.bin as a bare file.
fn catalogue() -> Catalogue {
    let entry = |image: Vec<u8>, folder: &str| Entry::new(release(&image), Some(folder.into()));
    let listed = Listed::parse(
        "\"5C:CF:7F:00:00:01\" = \"relay\"\n\"5C:CF:7F:00:00:02\" = { firmware = \"lamp\", version = \"1.0.0\" }\n\
         \"5C:CF:7F:00:00:03\" = \"nothing\"\n\"5C:CF:7F:00:00:04\" = { firmware = \"lamp\", version = \"9.9\" }\n",
    )
    .unwrap();
    Catalogue::new(
        vec![
            entry(named("lamp", "1.0.0"), "lamp-1.0.0"),
            entry(named("lamp", "1.1.0"), "lamp-1.1.0"),
            entry(named("relay", "2.0.0"), "relay"),
            Entry::new(bare("arduino.bin", named("demo", "7.0.0")), None),
        ],
        listed,
    )
}

/// A request of an ESP8266 with these fields beside the usual ones.
fn request(path: &str, fields: &[(&str, &str)]) -> Request {
    let usual = [
        ("user-agent", "ESP8266-http-Update"),
        ("x-esp8266-free-space", "987136"),
        ("x-esp8266-sketch-size", "60000"),
        ("x-esp8266-chip-size", "4194304"),
        ("x-esp8266-chip-id", "77"),
        ("content-length", "0"),
    ];
    let fields = fields.iter().chain(&usual).map(|(name, value)| (*name, value.as_bytes()));
    Request::parse("GET", path, fields).unwrap()
}

fn answer(request: &Request) -> Served {
    catalogue().answer(request, &Settings::default(), 1_000)
}

fn file(served: &Served) -> (&str, Option<&str>) {
    match &served.answer {
        Answer::File(file) => (file.name.as_str(), file.version.as_deref()),
        other => panic!("{other:?}: {}", served.why),
    }
}

fn md5(image: &[u8]) -> String {
    Md5Digest::of(image).to_string()
}

#[test]
fn a_listed_device_gets_its_firmware_whatever_it_runs() {
    let running = md5(&named("lamp", "1.1.0"));
    let fields = [("x-esp8266-sta-mac", "5C:CF:7F:00:00:01"), ("x-esp8266-sketch-md5", running.as_str())];
    assert_eq!(file(&answer(&request("/ota/lamp", &fields))).1, Some("2.0.0"));
    // It is tried on this one device, and stays there.
    let fields = [("x-esp8266-sta-mac", "5C:CF:7F:00:00:02"), ("x-esp8266-sketch-md5", running.as_str())];
    assert_eq!(file(&answer(&request("/ota/lamp", &fields))).1, Some("1.0.0"));
    let pinned = md5(&named("lamp", "1.0.0"));
    let fields = [("x-esp8266-sta-mac", "5C:CF:7F:00:00:02"), ("x-esp8266-sketch-md5", pinned.as_str())];
    assert_eq!(answer(&request("/ota/lamp", &fields)).answer.status(), 304);
}

#[test]
fn a_line_without_its_release_is_404_and_no_guess() {
    for (mac, code) in [("5C:CF:7F:00:00:03", "no-such-firmware"), ("5C:CF:7F:00:00:04", "no-such-version")] {
        let served = answer(&request("/ota/lamp", &[("x-esp8266-sta-mac", mac)]));
        assert_eq!((served.answer.status(), served.why.code()), (404, code));
    }
}

#[test]
fn the_running_image_names_its_firmware() {
    let running = md5(&named("lamp", "1.0.0"));
    let served = answer(&request("/", &[("x-esp8266-sketch-md5", &running)]));
    assert_eq!(file(&served).1, Some("1.1.0"));
    assert_eq!(served.running.as_deref(), Some("lamp 1.0.0"));
    // It carries our key. So it gets the signed file, and a gzip, because it is known to have the key.
    assert!(file(&served).0.ends_with(".signed"), "{:?}", file(&served));
    // The address of another firmware does not move it.
    assert_eq!(file(&answer(&request("/ota/relay", &[("x-esp8266-sketch-md5", &running)]))).1, Some("1.1.0"));
    let newest = md5(&named("lamp", "1.1.0"));
    let served = answer(&request("/ota/relay", &[("x-esp8266-sketch-md5", &newest)]));
    assert_eq!((served.answer.status(), served.why.code()), (304, "already-running"));
}

#[test]
fn a_device_that_updated_is_known_in_its_flash_mode() {
    let mut image = named("lamp", "1.1.0");
    image[2] = 3;
    let served = answer(&request("/", &[("x-esp8266-sketch-md5", &md5(&image))]));
    assert_eq!(served.answer.status(), 304);
}

#[test]
fn homie_1_names_its_firmware_and_its_target() {
    let version = |version: &str| answer(&request("/ota", &[("x-esp8266-version", version)]));
    assert_eq!(file(&version("kitchen=lamp@1.0.0")).1, Some("1.1.0"));
    assert_eq!(file(&version("kitchen=lamp=0.9=1.0.0")).1, Some("1.0.0"));
    // A target that is older than what runs was asked for by a person.
    assert_eq!(file(&version("kitchen=lamp=1.1.0=1.0.0")).1, Some("1.0.0"));
    let hash = homie_v1::hashed("relay", "2.0.0").unwrap();
    assert_eq!(file(&version(&format!("kitchen=lamp=1.0.0={hash}"))).1, Some("2.0.0"));
    assert_eq!(version("kitchen=lamp@1.1.0").answer.status(), 304);
    assert_eq!(version("kitchen=lamp=1.0.0=5.0").why.code(), "no-such-version");
    assert_eq!(version("kitchen=other@1.0.0").why.code(), "no-such-firmware");
}

#[test]
fn the_address_names_a_firmware() {
    assert_eq!(file(&answer(&request("/ota/lamp", &[]))).1, Some("1.1.0"));
    assert_eq!(file(&answer(&request("/ota/lamp/lamp-1.0.0", &[]))).1, Some("1.0.0"));
    for path in ["/ota/nothing", "/ota/lamp/esp01"] {
        assert_eq!(answer(&request(path, &[])).why.code(), "no-such-firmware", "{path}");
    }
    for path in ["/", "/ota", "/ota/", "/ota/../lamp", "/update", "/%2e%2e/x"] {
        let served = answer(&request(path, &[]));
        assert_eq!(served.answer.status(), 404, "{path}");
    }
}

#[test]
fn the_simple_updater_gets_the_file_that_it_names() {
    let served = answer(&request("/arduino.bin", &[]));
    assert_eq!(file(&served), ("arduino.bin", Some("7.0.0")));
    // Also a device that says another version.
    assert_eq!(file(&answer(&request("/arduino.bin", &[("x-esp8266-version", "9.0")]))).0, "arduino.bin");
    // What it runs checks signatures, and nobody signed this file.
    let running = md5(&named("lamp", "1.1.0"));
    let served = answer(&request("/arduino.bin", &[("x-esp8266-sketch-md5", &running)]));
    assert_eq!((served.answer.status(), served.why.code()), (304, "not-signed"));
    let same = md5(&named("demo", "7.0.0"));
    assert_eq!(answer(&request("/arduino.bin", &[("x-esp8266-sketch-md5", &same)])).answer.status(), 304);
    // Files of packages in folders have no address of their own.
    for path in ["/lamp.bin", "/other.bin", "/lamp-1.0.0/lamp.bin", "/../arduino.bin"] {
        assert_eq!(answer(&request(path, &[])).answer.status(), 404, "{path}");
    }
}

#[test]
fn digests_of_files_are_texts() {
    let text = |path: &str| match answer(&request(path, &[])).answer {
        Answer::Digest(text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(text("/arduino.bin.md5"), format!("{}\n", md5(&named("demo", "7.0.0"))));
    assert_eq!(text("/arduino.bin.sha256").len(), 65);
    assert_eq!(answer(&request("/lamp.bin.md5", &[])).answer.status(), 404);
}

#[test]
fn a_device_that_asks_for_the_version_never_gets_304() {
    let newest = md5(&named("lamp", "1.1.0"));
    let fields = [("x-esp8266-mode", "version"), ("x-esp8266-sketch-md5", newest.as_str())];
    let served = answer(&request("/ota/lamp", &fields));
    assert!(matches!(&served.answer, Answer::Version(version) if version == "1.1.0"), "{:?}", served.answer);
    assert_eq!(answer(&request("/ota/none", &[("x-esp8266-mode", "version")])).answer.status(), 404);
}

#[test]
fn an_unknown_mode_is_404() {
    let served = answer(&request("/ota/lamp", &[("x-esp8266-mode", "bootloader")]));
    assert_eq!((served.answer.status(), served.why.code()), (404, "unknown-mode"));
}

#[test]
fn firmware_is_no_filesystem() {
    let served = answer(&request("/ota/lamp", &[("x-esp8266-mode", "spiffs")]));
    assert_eq!((served.answer.status(), served.why.code()), (404, "no-such-firmware"));
    let served = answer(&request("/arduino.bin", &[("x-esp8266-mode", "spiffs")]));
    assert_eq!((served.answer.status(), served.why.code()), (404, "no-such-file"));
}

#[test]
fn tasmota_never_gets_304() {
    let fields =
        [("x-esp8266-version", "9.1.0(tasmota)"), ("x-esp8266-sketch-md5", &*md5(&named("demo", "7.0.0")))];
    let served = answer(&request("/arduino.bin", &fields));
    assert_eq!((served.answer.status(), served.why.code()), (404, "already-running"));
}

#[test]
fn what_does_not_fit_is_not_served() {
    let fields = [("x-esp8266-free-space", "4294860800")];
    let served = answer(&request("/ota/lamp", &fields));
    assert_eq!((served.answer.status(), served.why.code()), (304, "space-wrapped"));
    let served = answer(&request("/ota/lamp", &[("x-esp8266-free-space", "8192")]));
    assert_eq!((served.answer.status(), served.why.code()), (304, "no-space"));
}

#[test]
fn two_newest_releases_are_no_choice() {
    let mut other = named("lamp", "1.1.0");
    let last = other.len() - 40;
    other[last] ^= 1;
    let trust = Trust::Unsigned(Vec::new());
    let fresh = Release::of_file("x.bin", other.into(), Content::Firmware, &trust).unwrap();
    let entries = vec![
        Entry::new(release(&named("lamp", "1.1.0")), Some("d1_mini".into())),
        Entry::new(fresh, Some("esp01".into())),
    ];
    let catalogue = Catalogue::new(entries, Listed::default());
    let served = |path: &str, fields: &[(&str, &str)]| {
        catalogue.answer(&request(path, fields), &Settings::default(), 0)
    };
    assert_eq!(served("/ota/lamp", &[]).why.code(), "ambiguous");
    assert_eq!(file(&served("/ota/lamp/d1-mini", &[])).1, Some("1.1.0"));
    // What runs says for which board it is.
    let running = md5(&named("lamp", "1.1.0"));
    assert_eq!(served("/", &[("x-esp8266-sketch-md5", &running)]).why.code(), "already-running");
}

#[test]
fn credentials_are_compared_whole() {
    let settings = Settings { credentials: Some(Secret(b"user:pass".to_vec())), ..Settings::default() };
    let status = |value: &str| {
        let fields = [("authorization", value)];
        catalogue().answer(&request("/ota/lamp", &fields), &settings, 0).answer.status()
    };
    assert_eq!(status("Basic dXNlcjpwYXNz"), 200);
    assert_eq!(status("basic dXNlcjpwYXNz"), 200);
    for wrong in [
        "",
        "Basic",
        "Basic ",
        "Basic dXNlcjpwYXN6",
        "Basic dXNlcjo=",
        "Bearer dXNlcjpwYXNz",
        "Basic %%%",
        "dXNlcjpwYXNz",
    ] {
        assert_eq!(status(wrong), 401, "{wrong}");
    }
}

#[test]
fn a_redirect_names_the_device_and_the_file_and_is_followed() {
    let elsewhere = || {
        let key = TokenKey::new(Zeroizing::new(vec![7; 32])).unwrap();
        Elsewhere::new("http://cdn.example", "http", Default::default(), key, 300).unwrap()
    };
    let settings = Settings { elsewhere: Some(elsewhere()), ..Settings::default() };
    let served = catalogue().answer(&request("/ota/lamp", &[]), &settings, 1_000);
    let Answer::Elsewhere(redirect) = served.answer else { panic!("{:?}", served.answer) };
    let target = redirect.location.strip_prefix("http://cdn.example").unwrap().to_owned();
    // The device drops its fields.
    let bare = |target: &str| {
        Request::parse("GET", target, [("user-agent", &b"ESP8266-http-Update"[..])].into_iter()).unwrap()
    };
    let get = |target: &str, now| catalogue().answer(&bare(target), &settings, now);
    assert_eq!(file(&get(&target, 1_299)).0, "lamp.bin.signed");
    assert_eq!(get(&target, 1_300).answer.status(), 403);
    let (path, token) = target.split_once('?').unwrap();
    assert_eq!(get(path, 1_000).answer.status(), 403);
    assert_eq!(get(&format!("/file/{}?{token}", "00".repeat(32)), 1_000).answer.status(), 403);
    // Without a secret, no token is good.
    assert_eq!(catalogue().answer(&bare(&target), &Settings::default(), 1_000).answer.status(), 403);
}

#[test]
fn nearly_every_poll_needs_no_judging() {
    let catalogue = catalogue();
    let quick = |request: &Request| match catalogue.quick(request, &Settings::default(), 0) {
        Quick::Done(served) => Some(served.answer.status()),
        Quick::MustJudge => None,
    };
    let newest = md5(&named("lamp", "1.1.0"));
    assert_eq!(quick(&request("/", &[("x-esp8266-sketch-md5", &newest)])), Some(304));
    assert_eq!(quick(&request("/", &[])), Some(404));
    let first = request("/ota/lamp", &[]);
    assert_eq!(quick(&first), None);
    assert_eq!(catalogue.answer(&first, &Settings::default(), 0).answer.status(), 200);
    // Another device of the same kind.
    let second = request("/ota/lamp", &[("x-esp8266-sta-mac", "5C:CF:7F:00:00:99")]);
    assert_eq!(quick(&second), Some(200));
}

#[test]
fn a_file_that_changed_on_the_disk_is_not_served() {
    struct Gone;
    impl Stored for Gone {
        fn held(&self) -> Option<Bytes> {
            None
        }
        fn load(&self) -> io::Result<Bytes> {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the file has changed"))
        }
    }
    let mut release = release(&named("lamp", "1.1.0"));
    for artefact in &mut release.artefacts {
        artefact.contents = Contents::Stored(Arc::new(Gone));
    }
    let catalogue = Catalogue::new(vec![Entry::new(release, None)], Listed::default());
    let served = catalogue.answer(&request("/ota/lamp", &[]), &Settings::default(), 0);
    assert_eq!((served.answer.status(), served.why.code()), (304, "cannot-read"));
    // The next time it may be there again.
    assert!(matches!(catalogue.quick(&request("/ota/lamp", &[]), &Settings::default(), 0), Quick::MustJudge));
}

#[test]
fn a_package_at_the_top_has_its_files_there() {
    let top = Release::of_package(&package(&named("lamp", "1.1.0")), &Trust::Keys(vec![public()])).unwrap();
    let catalogue = Catalogue::new(vec![Entry::new(top, None)], Listed::default());
    let served = catalogue.answer(&request("/lamp.bin.signed", &[]), &Settings::default(), 0);
    assert_eq!(file(&served).0, "lamp.bin.signed");
    // This device may have no key: a signed gzip would wreck it, also if the sketch asks for it.
    let served = catalogue.answer(&request("/lamp.bin.gz.signed", &[]), &Settings::default(), 0);
    assert_eq!((served.answer.status(), served.why.code()), (304, "first-signed"));
}
