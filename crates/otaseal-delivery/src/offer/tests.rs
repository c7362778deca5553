use super::*;
use crate::device::{DeviceKey, Family, Known, Mac, Origin};
use crate::testing::{package_of, public, release, sample, unsigned};
use otaseal::format::digest::Md5Digest;
use otaseal::format::image::esp8266::FlashMode;
use otaseal::key::{KeySize, PrivateKey};
use otaseal::package::ArtefactKind;
use otaseal::profile::{CoreVersion, Device};
use proptest::prelude::*;

const HEADER: Origin = Origin::Header("x-ESP8266-test");

fn known<T>(value: T) -> Option<Known<T>> {
    Some(Known::new(value, HEADER))
}

/// An ESP8266 with 4 MB that polls as core 2.6.0 and later do, and runs a sketch that we do not know.
fn esp8266() -> DeviceFacts {
    DeviceFacts {
        family: known(Family::Esp8266),
        sta_mac: known(Mac([0x5C, 0xCF, 0x7F, 1, 2, 3])),
        core_at_least: known(CoreVersion(2, 6, 0)),
        sketch_bytes: known(60_000),
        free_bytes: known(0x10_0000 - 61_440),
        chip_bytes: known(4 << 20),
        ..DeviceFacts::default()
    }
}

fn on(profile: &str) -> DeviceFacts {
    DeviceFacts { profile: known(profile.parse().unwrap()), ..esp8266() }
}

fn pull() -> Policy {
    Policy::new(Way::Pull)
}

fn offered(decision: Decision<'_>) -> &str {
    match decision {
        Decision::Offer(offer) => offer.artefact.file.as_str(),
        Decision::NotNow(refusal) | Decision::Never(refusal) => panic!("{refusal:?}"),
    }
}

fn refused(decision: Decision<'_>) -> Refusal {
    match decision {
        Decision::Offer(offer) => panic!("{offer:?}"),
        Decision::NotNow(refusal) | Decision::Never(refusal) => {
            assert!(!refusal.facts.is_empty(), "{refusal:?}");
            refusal
        }
    }
}

#[test]
fn the_first_move_to_signing_is_plain() {
    // Whether it has a key is not known. A signed gzip would wreck a device without one.
    let release = release(&sample("2.0.0"));
    assert_eq!(offered(choose(&release, &esp8266(), pull())), "lamp.bin.signed");
    let keyless = DeviceFacts { key: DeviceKey::None(HEADER), ..on("esp8266@3.1.2/unsigned") };
    assert_eq!(offered(choose(&release, &keyless, pull())), "lamp.bin.gz");
}

#[test]
fn only_a_signed_gzip_for_a_device_without_a_key_is_refused() {
    let package = package_of(&sample("2.0.0"), &[ArtefactKind::GzSigned]);
    let release = Release::of_package(&package, &crate::release::Trust::Keys(vec![public()])).unwrap();
    assert_eq!(refused(choose(&release, &esp8266(), pull())).code, Code::FirstSigned);
}

#[test]
fn a_device_with_the_key_gets_the_smallest_signed_file() {
    let release = release(&sample("2.0.0"));
    for (profile, file) in [
        ("esp8266@3.1.2", "lamp.bin.gz.signed"),
        ("esp8266@3.0.2", "lamp.bin.gz.signed"),
        // Signed gzips destroy it.
        ("esp8266@2.7.4", "lamp.bin.signed"),
        ("esp8266@2.6.3", "lamp.bin.signed"),
        ("esp8266@2.5.2", "lamp.bin.legacy_sig"),
    ] {
        let facts = DeviceFacts { key: DeviceKey::Holds(vec![public()], HEADER), ..on(profile) };
        assert_eq!(offered(choose(&release, &facts, pull())), file, "{profile}");
        // A person who names the kind says that it has a key.
        assert_eq!(offered(choose(&release, &on(profile), pull())), file, "{profile}");
    }
}

#[test]
fn an_old_core_gets_no_gzip() {
    let release = release(&sample("2.0.0"));
    for (profile, file) in [
        ("esp8266@2.4.1/unsigned", "lamp.bin"),
        ("esp8266@2.6.3/unsigned", "lamp.bin"),
        ("esp8266@2.7.0/unsigned", "lamp.bin.gz"),
    ] {
        assert_eq!(offered(choose(&release, &on(profile), pull())), file, "{profile}");
    }
    let package = package_of(&sample("2.0.0"), &[ArtefactKind::Gz, ArtefactKind::GzSigned]);
    let gz = Release::of_package(&package, &crate::release::Trust::Keys(vec![public()])).unwrap();
    assert_eq!(refused(choose(&gz, &on("esp8266@2.6.3/unsigned"), pull())).code, Code::NoGzip);
}

#[test]
fn homie_gets_plain_images_only() {
    let release = release(&sample("2.0.0"));
    let policy = Policy::new(Way::HomieMqtt);
    assert_eq!(offered(choose(&release, &on("esp8266@3.1.2"), policy)), "lamp.bin.signed");
    assert_eq!(offered(choose(&release, &on("esp8266@3.1.2/unsigned"), policy)), "lamp.bin");
    let package = package_of(&sample("2.0.0"), &[ArtefactKind::Gz, ArtefactKind::GzSigned]);
    let gz = Release::of_package(&package, &crate::release::Trust::Keys(vec![public()])).unwrap();
    assert_eq!(refused(choose(&gz, &on("esp8266@3.1.2"), policy)).code, Code::PlainOnly);
}

#[test]
fn what_runs_already_is_not_offered_in_any_flash_mode() {
    let image = sample("2.0.0");
    let release = release(&image);
    for mode in FlashMode::ALL {
        let mut patched = image.clone();
        patched[2] = mode.byte();
        let facts = DeviceFacts { md5: known(Md5Digest::of(&patched)), ..esp8266() };
        let decision = choose(&release, &facts, pull());
        assert!(
            matches!(&decision, Decision::NotNow(refusal) if refusal.code == Code::AlreadyRunning),
            "{mode}"
        );
        let again = Policy { reinstall: true, ..pull() };
        assert!(matches!(choose(&release, &facts, again), Decision::Offer(_)), "{mode}");
    }
    // The MD5 of the file that was sent is not the MD5 of what runs.
    let sent = release.artefacts.iter().find(|one| one.file.ends_with(".bin.signed")).unwrap().digests.md5;
    let facts = DeviceFacts { md5: known(sent), ..esp8266() };
    assert!(matches!(choose(&release, &facts, pull()), Decision::Offer(_)));
}

#[test]
fn the_version_says_what_runs_only_where_no_digest_does() {
    let release = release(&sample("2.0.0"));
    let same = DeviceFacts { version: known("2.0.0".into()), ..esp8266() };
    assert_eq!(refused(choose(&release, &same, pull())).code, Code::AlreadyRunning);
    // Another build of the same version.
    let other = DeviceFacts { md5: known(Md5Digest([7; 16])), ..same };
    assert!(matches!(choose(&release, &other, pull()), Decision::Offer(_)));
}

#[test]
fn an_older_version_is_offered_only_on_demand() {
    let release = release(&sample("2.0.0"));
    let facts = DeviceFacts { version: known("2.0.1".into()), firmware: known("lamp".into()), ..esp8266() };
    let refusal = refused(choose(&release, &facts, pull()));
    assert_eq!(refusal.code, Code::OlderVersion);
    assert!(refusal.facts[0].contains("2.0.1"), "{refusal:?}");
    assert!(matches!(choose(&release, &facts, Policy { downgrade: true, ..pull() }), Decision::Offer(_)));
    // Versions without an order do not stand in the way.
    let facts = DeviceFacts { version: known("nightly".into()), ..facts };
    assert!(matches!(choose(&release, &facts, pull()), Decision::Offer(_)));
}

#[test]
fn another_firmware_is_offered_only_on_demand() {
    let release = release(&sample("2.0.0"));
    let facts = DeviceFacts { firmware: known("relay".into()), version: known("9.0".into()), ..esp8266() };
    assert_eq!(refused(choose(&release, &facts, pull())).code, Code::OtherFirmware);
    assert!(matches!(
        choose(&release, &facts, Policy { other_firmware: true, ..pull() }),
        Decision::Offer(_)
    ));
}

#[test]
fn another_family_board_or_content_is_refused() {
    let mut release = release(&sample("2.0.0"));
    for family in [Family::Esp32, Family::Rp2040] {
        let facts = DeviceFacts { family: known(family), ..esp8266() };
        assert_eq!(refused(choose(&release, &facts, pull())).code, Code::OtherChip, "{family}");
    }
    let policy = Policy { content: Content::Filesystem, ..pull() };
    assert_eq!(refused(choose(&release, &esp8266(), policy)).code, Code::OtherContent);
    release.board = Some("pico_w".into());
    let facts = DeviceFacts { board: known("pico2".into()), ..esp8266() };
    assert_eq!(refused(choose(&release, &facts, pull())).code, Code::OtherBoard);
    let facts = DeviceFacts { board: known("Pico-W".into()), ..esp8266() };
    assert!(matches!(choose(&release, &facts, pull()), Decision::Offer(_)));
}

#[test]
fn a_device_that_takes_no_updates_now_is_left_alone() {
    let facts = DeviceFacts { ota_enabled: known(false), ..on("homie-mqtt") };
    let release = release(&sample("2.0.0"));
    let decision = choose(&release, &facts, Policy::new(Way::HomieMqtt));
    assert!(matches!(decision, Decision::NotNow(refusal) if refusal.code == Code::OtaDisabled));
}

#[test]
fn free_space_that_wrapped_or_is_absurd_is_refused() {
    let release = release(&sample("2.0.0"));
    for free in [4_294_860_800, u64::from(u32::MAX), u64::MAX, (4 << 20) + 1] {
        let facts = DeviceFacts { free_bytes: known(free), ..esp8266() };
        assert_eq!(refused(choose(&release, &facts, pull())).code, Code::SpaceWrapped, "{free}");
    }
    let facts = DeviceFacts { free_bytes: known(8192), ..esp8266() };
    assert_eq!(refused(choose(&release, &facts, pull())).code, Code::NoSpace);
    let facts = DeviceFacts { free_bytes: known(0), ..esp8266() };
    assert_eq!(refused(choose(&release, &facts, pull())).code, Code::NoSpace);
}

#[test]
fn a_gzip_that_would_overwrite_itself_is_no_choice() {
    // Free space for the gzip alone.
    let release = unsigned_gzip(&sample("2.0.0"));
    let facts =
        DeviceFacts { sketch_bytes: known(4096), free_bytes: known(32_768), ..on("esp8266@3.1.2/unsigned") };
    let code = refused(choose(&release, &facts, pull())).code;
    assert!(matches!(code, Code::NoRoomToUnpack | Code::NoSpace), "{code}");
}

fn unsigned_gzip(image: &[u8]) -> Release {
    let gzip = otaseal::format::gzip::gzip(image, otaseal::format::gzip::Effort::Fast).unwrap();
    let trust = crate::release::Trust::Unsigned(Vec::new());
    Release::of_file("lamp.bin.gz", gzip.into(), Content::Firmware, &trust).unwrap()
}

#[test]
fn a_gzip_for_a_larger_chip_is_the_last_update() {
    let mut image = sample("2.0.0");
    // 16 MB in both headers.
    image[3] = 0x90;
    image[0x1003] = 0x90;
    let release = unsigned_gzip(&image);
    let facts = on("esp8266@3.1.2/unsigned");
    assert_eq!(refused(choose(&release, &facts, pull())).code, Code::LastUpdate);
}

#[test]
fn a_device_with_another_key_is_refused() {
    let release = release(&sample("2.0.0"));
    let other = PrivateKey::generate(KeySize::Rsa2048).unwrap().public().clone();
    let facts = DeviceFacts { key: DeviceKey::Holds(vec![other.clone()], HEADER), ..on("esp8266@3.1.2") };
    assert_eq!(refused(choose(&release, &facts, pull())).code, Code::OtherKey);
    let facts = DeviceFacts { key: DeviceKey::HoldsUnseen(vec![other.id()], HEADER), ..on("esp8266@3.1.2") };
    assert_eq!(refused(choose(&release, &facts, pull())).code, Code::OtherKey);
    let facts =
        DeviceFacts { key: DeviceKey::HoldsUnseen(vec![public().id()], HEADER), ..on("esp8266@3.1.2") };
    assert_eq!(offered(choose(&release, &facts, pull())), "lamp.bin.gz.signed");
}

#[test]
fn a_device_that_verifies_gets_nothing_unsigned() {
    let release = unsigned(&sample("2.0.0"));
    assert_eq!(refused(choose(&release, &on("esp8266@3.1.2"), pull())).code, Code::NotSigned);
    // It may have no key, and then it takes the plain image. A device with one refuses it, and comes to no harm.
    assert_eq!(offered(choose(&release, &esp8266(), pull())), "lamp.bin");
}

#[test]
fn a_device_of_no_known_family_gets_what_the_image_is_for() {
    let release = release(&sample("2.0.0"));
    let Decision::Offer(offer) = choose(&release, &DeviceFacts::default(), Policy::new(Way::Espota)) else {
        panic!("not offered")
    };
    assert_eq!(offer.artefact.file, "lamp.bin.signed");
    assert!(offer.assumed.iter().any(|what| what.contains("ESP8266")), "{:?}", offer.assumed);
    let unknown = crate::release::Trust::Unsigned(Vec::new());
    let blob = Release::of_file("blob.bin", vec![1; 5000].into(), Content::Firmware, &unknown).unwrap();
    let refusal = refused(choose(&blob, &DeviceFacts::default(), Policy::new(Way::Espota)));
    assert_eq!(refusal.code, Code::UnknownFamily);
}

#[test]
fn codes_are_stable_texts() {
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
    }
}

/// Releases of one image in its forms.
fn some_release() -> impl Strategy<Value = Vec<ArtefactKind>> {
    prop::sample::subsequence(ArtefactKind::ALL.to_vec(), 1..=ArtefactKind::ALL.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("CI").is_some() { 150 } else { 60 }))]

    /// Whatever is offered, a device of these facts takes it; and each refusal names a fact.
    #[test]
    fn nothing_is_offered_that_the_device_would_not_take(
        kinds in some_release(),
        core in prop::sample::select(otaseal::profile::CORES.iter().map(|(core, _)| *core).collect::<Vec<_>>()),
        has_key in any::<bool>(),
        tells in any::<(bool, bool, bool)>(),
        way in prop::sample::select(vec![Way::Pull, Way::Espota, Way::Form, Way::HomieMqtt]),
        fs_sectors in 16u32..256,
        mode in prop::sample::select(FlashMode::ALL.to_vec()),
    ) {
        let image = sample("2.0.0");
        let package = package_of(&image, &kinds);
        let trust = crate::release::Trust::Unsigned(vec![public()]);
        let release = Release::of_package(&package, &trust).unwrap();
        let (tells_core, tells_key, tells_mode) = tells;
        let key = public();
        let (sketch, fs_start) = (40_000u32, fs_sectors * 4096);
        let mut facts = DeviceFacts {
            sketch_bytes: known(sketch.into()),
            free_bytes: known(u64::from(fs_start.saturating_sub(40_960))),
            core_at_least: None,
            ..esp8266()
        };
        let profile = otaseal::profile::Profile::new(
            if way == Way::HomieMqtt { otaseal::profile::Updater::HomieMqtt(core) } else { otaseal::profile::Updater::Esp8266(core) },
            has_key,
        );
        if tells_core {
            facts.profile = known(profile);
        }
        if tells_key {
            facts.key = if has_key { DeviceKey::Holds(vec![key.clone()], HEADER) } else { DeviceKey::None(HEADER) };
        }
        if tells_mode {
            facts.flash_mode = known(mode);
        }
        match choose(&release, &facts, Policy::new(way)) {
            Decision::Offer(offer) => {
                // The real device, all of whose facts are known to us.
                let mut device = Device::new(profile, has_key.then_some(&key));
                let mut flash = otaseal::profile::fit::Flash::new(fs_start.max(40_960));
                flash.installed = Some(sketch);
                device.flash = Some(flash);
                device.flash_bytes = Some(4 << 20);
                device.flash_mode = tells_mode.then_some(mode);
                let ways: Vec<Via> = way.via().into_iter().collect();
                device.via = (!ways.is_empty()).then_some(ways.as_slice());
                let verdict = profile::judge(&offer.artefact.contents.load().unwrap(), &device).verdict;
                // If it did not tell all, it may refuse; it never comes to harm.
                let told = tells_core && (tells_key || has_key);
                let harmless = matches!(verdict, Verdict::Accepts) || (!told && matches!(verdict, Verdict::Refuses { .. }));
                prop_assert!(harmless, "{:?} {profile}: {verdict} {:?}", offer.artefact, offer.assumed);
            }
            Decision::NotNow(refusal) | Decision::Never(refusal) => {
                prop_assert!(!refusal.facts.is_empty() && !refusal.why.is_empty(), "{refusal:?}");
            }
        }
    }
}
