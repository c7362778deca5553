//! Tests every row of the table with every kind of image. The expected errors come from the devices' sources.

mod property;
mod runs;

use super::*;
use crate::format::gzip::{self, Effort, gzip};
use crate::format::image::esp8266::FlashMode;
use crate::key::{PrivateKey, PublicKey};
use crate::profile::fit::Flash;
use crate::sign::Scheme;
use crate::testing::esp_image;

struct Bench {
    key: PrivateKey,
    other: PrivateKey,
}

impl Bench {
    fn new() -> Self {
        let key = |pem: &[u8]| PrivateKey::from_bytes(pem).unwrap();
        Self {
            key: key(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../keys.example/private.pem"))),
            other: key(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/keys/other.pem"))),
        }
    }

    fn signed(&self, payload: &[u8], scheme: Scheme) -> Vec<u8> {
        crate::testing::signed(payload, &self.key, scheme)
    }

    /// What the table is about, by name.
    fn image(&self, name: &str) -> Vec<u8> {
        let plain = esp_image();
        let packed = gzip(&plain, Effort::Fast).unwrap();
        let current = Scheme::Pkcs1v15Sha256;
        match name {
            "plain" => plain,
            "signed" => self.signed(&plain, current),
            "legacy" => self.signed(&plain, Scheme::Legacy),
            "gz" => packed,
            "gz-signed" => self.signed(&packed, current),
            "unaligned-gz-signed" => {
                // A file name in the header, of the length it takes.
                let header = gzip::header_len(&packed).unwrap();
                let mut named = packed[..10].to_vec();
                named[3] = 8;
                while (named.len() + 1 + packed.len() - header) % 4 != 1 {
                    named.push(b'x');
                }
                named.push(0);
                named.extend_from_slice(&packed[header..]);
                self.signed(&named, current)
            }
            "two-members-signed" => self.signed(&[&packed[..], &packed].concat(), current),
            "base64" => b"6QECQAAAEEA=".to_vec(),
            "text" => b"a\x20\x02 text, not a firmware at all".to_vec(),
            "empty" => Vec::new(),
            other => panic!("{other}"),
        }
    }

    /// The verdict by espota, which asks nothing before the Updater does.
    fn verdict(&self, profile: &str, image: &[u8], change: impl FnOnce(&mut Device<'_>)) -> String {
        let mut device = Device::new(profile.parse().unwrap(), Some(self.key.public()));
        device.via = Some(&[Via::Espota]);
        change(&mut device);
        brief(&judge(image, &device).verdict)
    }
}

fn brief(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepts => "ok".into(),
        Verdict::Refuses { prints, .. } => prints.clone(),
        Verdict::KeepsTheOld { .. } => "keeps".into(),
        Verdict::LastUpdate { .. } => "last".into(),
        Verdict::InstallsButWillNotBoot { .. } => "no boot".into(),
        Verdict::Bricks { .. } => "bricks".into(),
        Verdict::Unknown { .. } => "unknown".into(),
    }
}

const E10_OLD: &str = "ERROR[10]: Magic byte is wrong, not 0xE9";
const E12: &str = "ERROR[12]: Signature verification failed";
const BAD: &str = "400 BAD_FIRMWARE";

#[test]
fn every_profile_does_what_its_source_says() {
    let images = ["plain", "signed", "legacy", "gz", "gz-signed", "unaligned-gz-signed"];
    // One column for each image.
    let table: &[(&[&str], [&str; 6])] = &[
        (&["esp8266@2.3.0", "esp8266@2.4.2"], ["ok", "ok", "ok", E10_OLD, E10_OLD, E10_OLD]),
        (&["esp8266@2.5.0", "esp8266@2.5.2"], [E12, E12, "ok", E12, E12, E12]),
        // The signature is looked at before the first byte.
        (&["esp8266@2.6.0", "esp8266@2.6.3"], [E12, "ok", E12, E12, E10_OLD, E10_OLD]),
        (&["esp8266@2.7.0", "esp8266@2.7.4"], [E12, "ok", E12, E12, "bricks", "bricks"]),
        (&["esp8266@3.0.0", "esp8266@3.0.2"], [E12, "ok", E12, E12, "ok", "ok"]),
        (&["esp8266@3.1.0", "esp8266@3.1.2"], [E12, "ok", E12, E12, "ok", E12]),
        (&["esp8266@3.1.3", "esp8266@3.2.0", "esp8266@4.0.0"], [E12, "ok", E12, E12, "ok", "ok"]),
        (&["arduino-pico"], [E12, "bricks", E12, E12, "bricks", "bricks"]),
        (
            &["homie-mqtt", "homie-mqtt@3.1.2", "homie-mqtt@2.7.4"],
            ["500 INTERNAL_ERROR 12", "ok", "500 INTERNAL_ERROR 12", BAD, BAD, BAD],
        ),
        (&["homie-mqtt@2.5.2"], ["500 INTERNAL_ERROR 12", "500 INTERNAL_ERROR 12", "ok", BAD, BAD, BAD]),
        // Without a key, a trailer is part of the file: no harm behind a plain image, death behind a gzip.
        (&["esp8266@2.5.2/unsigned"], ["ok", "ok", "ok", E10_OLD, E10_OLD, E10_OLD]),
        (&["esp8266@2.6.3/unsigned"], ["ok", "ok", "ok", E10_OLD, E10_OLD, E10_OLD]),
        (&["esp8266@2.7.4/unsigned"], ["ok", "ok", "ok", "ok", "bricks", "bricks"]),
        (&["esp8266@3.1.2/unsigned", "esp8266@3.2.0/unsigned"], ["ok", "ok", "ok", "ok", "bricks", "bricks"]),
        (&["homie-mqtt/unsigned"], ["ok", "ok", "ok", BAD, BAD, BAD]),
    ];
    let bench = Bench::new();
    let images = images.map(|name| (name, bench.image(name)));
    for (profiles, expected) in table {
        for profile in *profiles {
            for ((name, image), expected) in images.iter().zip(expected) {
                assert_eq!(bench.verdict(profile, image, |_| {}), *expected, "{profile}: {name}");
            }
        }
    }
}

#[test]
fn the_landscapes_rows_are_the_tables() {
    let row = |core: &str| {
        let row = core.parse::<Profile>().unwrap().behaviour();
        (row.signature, row.gzip, row.patches_flash_mode, row.homie_md5)
    };
    use {GzipSupport as G, HomieMd5 as M, SignatureCheck as S};
    assert_eq!(row("esp8266@2.4.2"), (S::None, G::Refused, true, M::Checked));
    assert_eq!(row("esp8266@2.5.1"), (S::Legacy, G::Refused, true, M::CheckedUnsigned));
    assert_eq!(row("esp8266@2.6.2"), (S::DigestInfo, G::Refused, true, M::CheckedUnsigned));
    assert_eq!(row("esp8266@2.7.3"), (S::DigestInfo, G::UnsignedOnly, true, M::CheckedUnsigned));
    assert_eq!(row("esp8266@3.0.1"), (S::DigestInfo, G::Works, true, M::Void));
    assert_eq!(row("esp8266@3.2.0"), (S::DigestInfo, G::Works, true, M::Void));
    assert_eq!(row("arduino-pico"), (S::DigestInfo, G::Works, false, M::NotApplicable));
    assert!(CORES.is_sorted_by_key(|(first, _)| *first));
    let unaligned: Vec<_> =
        CORES.iter().filter(|(_, row)| row.needs_aligned_payload).map(|(v, _)| *v).collect();
    assert_eq!(unaligned, [CoreVersion(3, 1, 0)]);
}

#[test]
fn our_own_device_gives_its_own_numbers() {
    let bench = Bench::new();
    let verdict = |image: &[u8]| bench.verdict("otaseal-device", image, |_| {});
    assert_eq!(verdict(&bench.image("signed")), "ok");
    assert_eq!(verdict(&bench.image("gz-signed")), "ok");
    assert!(verdict(&bench.image("plain")).starts_with("3: "));
    assert!(verdict(&bench.image("legacy")).starts_with("7: "));
    assert!(verdict(b"").starts_with("2: "));
    let tail = [b"image".as_slice(), &[0xFF; 4], &otaseal_device::metadata::TAIL_MAGIC].concat();
    assert!(verdict(&bench.signed(&tail, Scheme::Pkcs1v15Sha256)).starts_with("16: "));
}

#[test]
fn a_pico_takes_any_flash_contents_that_are_not_plainly_something_else() {
    let bench = Bench::new();
    let raw = b"vector table and so on".repeat(100);
    let verdict = |payload: &[u8]| {
        bench.verdict("arduino-pico", &bench.signed(payload, Scheme::Pkcs1v15Sha256), |_| {})
    };
    assert_eq!(verdict(&raw), "ok");
    assert_eq!(verdict(&gzip(&raw, Effort::Fast).unwrap()), "ok");
    assert_eq!(verdict(b"\x7fELF and so on"), "bricks");
    assert_eq!(bench.verdict("arduino-pico/unsigned", &raw, |_| {}), "ok");
    let signed = bench.signed(&gzip(&raw, Effort::Fast).unwrap(), Scheme::Pkcs1v15Sha256);
    assert_eq!(bench.verdict("arduino-pico/unsigned", &signed, |_| {}), "bricks");
}

#[test]
fn another_flash_mode_breaks_the_signature_of_a_plain_image_and_the_start_of_a_gzip() {
    let bench = Bench::new();
    let verdict = |profile, name, mode| {
        bench.verdict(profile, &bench.image(name), |device| device.flash_mode = Some(mode))
    };
    for profile in ["esp8266@2.6.3", "esp8266@2.7.4", "esp8266@3.1.2", "esp8266@3.2.0"] {
        assert_eq!(verdict(profile, "signed", FlashMode::Dio), "ok");
        assert_eq!(verdict(profile, "signed", FlashMode::Qio), E12);
        assert_eq!(verdict(profile, "signed", FlashMode::Dout), E12);
    }
    assert_eq!(verdict("esp8266@2.5.2", "legacy", FlashMode::Qio), E12);
    assert_eq!(verdict("homie-mqtt", "signed", FlashMode::Qout), "500 INTERNAL_ERROR 12");
    // Nothing is hashed without a signature.
    assert_eq!(verdict("esp8266@2.4.2", "plain", FlashMode::Qio), "ok");
    assert_eq!(verdict("esp8266@3.1.2/unsigned", "plain", FlashMode::Qio), "ok");
    assert_eq!(verdict("esp8266@3.1.2", "gz-signed", FlashMode::Dio), "ok");
    assert_eq!(verdict("esp8266@3.1.2", "gz-signed", FlashMode::Dout), "bricks");
    assert_eq!(verdict("esp8266@3.1.2/unsigned", "gz", FlashMode::Qio), "bricks");
    // A plain image that was signed for the device's mode and then changed back verifies there.
    let mut image = esp_image();
    image[2] = 0;
    let mut signed = bench.signed(&image, Scheme::Pkcs1v15Sha256);
    signed[2] = 2;
    let on = |mode| bench.verdict("esp8266@3.1.2", &signed, |device| device.flash_mode = Some(mode));
    assert_eq!((on(FlashMode::Qio), on(FlashMode::Dio)), ("ok".into(), E12.into()));
}

#[test]
fn space_comes_before_the_signature_and_the_chip_after_it() {
    let bench = Bench::new();
    let image = bench.signed(&esp_image(), Scheme::Legacy);
    let with = |profile: &str, image: &[u8], flash, flash_bytes| {
        bench.verdict(profile, image, |device| {
            device.flash = flash;
            device.flash_bytes = flash_bytes;
        })
    };
    let flash = |fs_start, installed| Some(Flash { fs_start, installed: Some(installed) });
    let full = flash(0x2_0000, 0x1_8000);
    assert_eq!(with("esp8266@3.1.2", &image, full, None), "ERROR[4]: Not Enough Space");
    assert_eq!(with("esp8266@2.4.2", &image, full, None), "ERROR[4]: Not Enough Space");
    assert_eq!(with("homie-mqtt", &image, full, None), "400 NOT_ENOUGH_SPACE");
    let text = bench.image("text");
    assert_eq!(with("esp8266@3.1.2/unsigned", &text, None, None), "ERROR[10]: Magic byte is not 0xE9");
    assert_eq!(with("esp8266@3.0.2/unsigned", &text, None, None), E10_OLD);
    assert_eq!(with("esp8266@3.1.2", b"", None, None), "ERROR[5]: Bad Size Given");
    assert_eq!(with("arduino-pico", b"", None, None), "ERROR[5]: Bad Size Given");
    assert_eq!(with("homie-mqtt", &bench.image("text"), None, None), BAD);
    assert_eq!(with("homie-mqtt", &bench.image("base64"), None, None), "unknown");
    // The image is for 4 MiB; its signature is looked at before its header.
    let good = bench.image("signed");
    let small = Some(1 << 20);
    assert_eq!(
        with("esp8266@3.1.2", &good, None, small),
        "ERROR[9]: new Flash config wrong, real size: 1048576"
    );
    assert_eq!(with("esp8266@2.7.4", &good, None, small), "ERROR[9]: new Flash config wrong real: 1048576");
    assert_eq!(with("esp8266@3.1.2", &image, None, small), E12);
    assert_eq!(
        with("esp8266@3.1.2", &bench.image("gz-signed"), None, small),
        "last",
        "no updater looks into a gzip, and none after it takes another update"
    );
}

#[test]
fn unpacking_that_overtakes_itself_bricks() {
    let bench = Bench::new();
    let image = bench.image("gz-signed");
    let at = |fs_start, installed| {
        let flash = Some(Flash { fs_start, installed: Some(installed) });
        bench.verdict("esp8266@3.1.2", &image, |device| device.flash = flash)
    };
    let staged = fit::round_up(image.len() as u64) as u32;
    assert_eq!(at(staged + 0x1_0000, 0x1000), "ok");
    assert_eq!(at(staged + 0x1000, 0x1000), "bricks");
    assert_eq!(at(staged + 0x1000, 0x2000), "ERROR[4]: Not Enough Space");
}

#[test]
fn what_a_boot_loader_cannot_inflate_is_seen() {
    let bench = Bench::new();
    // Of two members, eboot writes the first, to the length of the second.
    assert_eq!(bench.verdict("esp8266@3.1.2", &bench.image("two-members-signed"), |_| {}), "ok");
    let [long, short] = [esp_image(), vec![0xE9; 20_000]].map(|raw| gzip(&raw, Effort::Fast).unwrap());
    let two = [long, short].concat();
    assert_eq!(bench.verdict("esp8266@3.1.2/unsigned", &two, |_| {}), "bricks");
    let packed = gzip(&esp_image(), Effort::Fast).unwrap();
    let with = |change: fn(&mut Vec<u8>)| {
        let mut packed = packed.clone();
        change(&mut packed);
        bench.verdict("esp8266@3.1.2/unsigned", &packed, |_| {})
    };
    assert_eq!(with(|_| {}), "ok");
    assert_eq!(with(|gzip| gzip[3] |= 0x80), "keeps", "eboot cannot read the header");
    assert_eq!(with(|gzip| gzip[2] = 0), "keeps", "not deflate");
    assert_eq!(with(|gzip| gzip.extend([0; 4])), "keeps", "a length of 0");
    assert_eq!(with(|gzip| gzip.extend([0xFF; 4])), "keeps", "a negative length");
    assert_eq!(with(|gzip| { gzip.truncate(gzip.len() / 2) }), "bricks");
    assert_eq!(with(|gzip| *gzip.last_mut().unwrap() = 0x7F), "bricks", "longer than any flash");
    let at = |from_end: usize, change: fn(&mut u8)| {
        let mut packed = packed.clone();
        let at = packed.len() - from_end;
        change(&mut packed[at]);
        bench.verdict("esp8266@3.1.2/unsigned", &packed, |_| {})
    };
    assert_eq!(at(8, |crc| *crc ^= 1), "ok", "nobody checks the CRC32");
    assert_eq!(at(3, |length| *length += 0x10), "ok", "one more sector of anything");
    assert_eq!(at(3, |length| *length -= 0x10), "bricks", "the end is missing");
    let mut hashed = packed.clone();
    hashed[3] |= 2;
    let end = gzip::header_len(&packed).unwrap();
    hashed.splice(end..end, [0, 0]);
    assert_eq!(bench.verdict("esp8266@3.1.2/unsigned", &hashed, |_| {}), "ok", "nobody checks the CRC16");
    // Rightly signed and packed, and no ESP8266 image.
    for (content, expected) in
        [(&b"text"[..], "bricks"), (&esp_image()[..0x5000], "no boot"), (&[0xE9; 3], "bricks")]
    {
        let image = bench.signed(&gzip(content, Effort::Fast).unwrap(), Scheme::Pkcs1v15Sha256);
        assert_eq!(bench.verdict("esp8266@3.1.2", &image, |_| {}), expected);
    }
    let cut = bench.signed(&esp_image()[..0x5000], Scheme::Pkcs1v15Sha256);
    assert_eq!(bench.verdict("esp8266@2.6.3", &cut, |_| {}), "no boot");
}

#[test]
fn without_the_key_of_a_signing_device_there_is_no_verdict() {
    let bench = Bench::new();
    for profile in ["esp8266@2.5.2", "esp8266@3.1.2", "arduino-pico", "homie-mqtt", "otaseal-device"] {
        let judged = |name: &str| {
            brief(&judge(&bench.image(name), &Device::new(profile.parse().unwrap(), None)).verdict)
        };
        assert_eq!(judged("signed"), "unknown", "{profile}");
        // What is not signed at all is refused by every key.
        if profile != "otaseal-device" {
            assert_ne!(judged("plain"), "unknown", "{profile}");
        }
    }
    let unkeyed = |name: &str| {
        brief(&judge(&bench.image(name), &Device::new("esp8266@2.4.2".parse().unwrap(), None)).verdict)
    };
    assert_eq!(unkeyed("plain"), "ok");
    let other = Device::new("esp8266@3.1.2".parse().unwrap(), Some(bench.other.public()));
    assert_eq!(brief(&judge(&bench.image("signed"), &other).verdict), E12);
}

#[test]
fn what_is_not_known_is_said_to_be_assumed() {
    let bench = Bench::new();
    let device = Device::new("esp8266@3.1.2".parse().unwrap(), Some(bench.key.public()));
    let judged = judge(&bench.image("gz-signed"), &device);
    assert_eq!(judged.verdict, Verdict::Accepts);
    assert_eq!(judged.passed, ["pull", "signature", "header", "boot loader"]);
    assert_eq!(
        judged.assumed,
        [
            Assumption::RunningHeader,
            Assumption::Space,
            Assumption::Unpacking,
            Assumption::FlashMode(FlashMode::Dio),
            Assumption::Chip(4 << 20),
        ]
    );
    let known = Device {
        flash: Some(Flash { fs_start: 0x30_0000, installed: Some(300_000) }),
        flash_bytes: Some(4 << 20),
        running_flash_bytes: Some(4 << 20),
        flash_mode: Some(FlashMode::Dio),
        ..device
    };
    for name in ["gz-signed", "signed"] {
        assert!(judge(&bench.image(name), &known).assumed.is_empty(), "{name}");
    }
}

#[test]
fn profiles_are_read_and_written() {
    for text in [
        "esp8266@2.7.4",
        "esp8266@10.0.0/unsigned",
        "arduino-pico",
        "arduino-pico/unsigned",
        "otaseal-device",
    ] {
        assert_eq!(text.parse::<Profile>().unwrap().to_string(), text);
    }
    assert_eq!("homie-mqtt".parse::<Profile>().unwrap().to_string(), "homie-mqtt@3.1.2");
    for bad in [
        "",
        "esp8266",
        "esp8266@",
        "esp8266@3",
        "esp8266@3.1",
        "esp8266@3.1.2.4",
        "esp8266@+3.1.2",
        "esp8266@a.b.c",
        "esp8266@99999.0.0",
        "arduino-pico@3.0.0",
        "otaseal-device/unsigned",
        "esp32",
        "/unsigned",
    ] {
        let error = bad.parse::<Profile>().unwrap_err();
        assert!(!error.why.is_empty(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics_on_anything(
        first in proptest::sample::select(vec![0xE9u8, 0x1F, b'6', 0]),
        mut image in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
        trailer in proptest::bool::ANY,
    ) {
        if let Some(byte) = image.first_mut() {
            *byte = first;
        }
        if trailer {
            image.extend([0, 1, 0, 0]);
        }
        let key = Bench::new().key;
        for profile in ["esp8266@2.4.2", "esp8266@2.7.4", "esp8266@3.1.2/unsigned", "arduino-pico/unsigned",
            "homie-mqtt", "otaseal-device"]
        {
            let mut device = Device::new(profile.parse().unwrap(), Some(key.public()));
            device.flash = Some(Flash { fs_start: 0x10_0000, installed: Some(1) });
            device.free_bytes = Some(1 << 20);
            let _ = judge(&image, &device);
        }
    }
}
