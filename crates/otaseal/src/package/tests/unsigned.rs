//! Packages that nobody signs, and attempts to pass a signed package off as one.

use super::*;
use crate::key::PublicKey;
use crate::package::firmware::Firmware;
use crate::policy::NeedsKey;
use crate::testing::esp_image;
use std::collections::BTreeMap;

const UNCHECKING: &str = "esp8266@3.1.2/unsigned";

/// A bench whose build is an ESP8266 image without a key in it.
fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("fw.bin"), esp_image()).unwrap();
    bench
}

/// The options for devices. No rule permits an image without a key.
fn options_for(bench: &Bench, profiles: &[&str]) -> Options {
    let mut options = bench.with(|policy| policy.continuity = Rule::default());
    options.policy.devices.profiles = profiles.iter().map(|profile| profile.parse().unwrap()).collect();
    options.artefacts = vec![ArtefactKind::Plain, ArtefactKind::Gz];
    options
}

/// Signs as before, with an image that needs no key in it.
fn package_signed(bench: &Bench) {
    let mut options = bench.options();
    options.policy.devices.profiles = vec!["esp8266@3.1.2".parse().unwrap(), UNCHECKING.parse().unwrap()];
    bench.package(&options).unwrap();
}

#[test]
fn a_package_for_devices_that_check_nothing_has_no_key_and_no_signature() {
    let bench = bench();
    let mut options = options_for(&bench, &[UNCHECKING, "tasmota-esp8266"]);
    options.policy.ledger = Some(bench.ledger());
    options.metadata = Some(metadata::Labels::default());
    options.evidence.support_until = "2040-12-31".parse().ok();
    assert_eq!(options.needs_key(), None);
    let report = package_unsigned(&options).unwrap();
    assert_eq!(bench.listing(), ["fw.bin", "fw.bin.gz", "manifest.json"]);
    assert!(
        !bench.path("ledger.jsonl").exists() && report.ledger.is_none(),
        "there is no signature to enter"
    );
    assert_eq!(report.continuity.warnings(), [] as [String; 0]);
    assert_eq!(report.support_doubts(Some(1_795_219_200)), [], "no key ends before the support does");
    let manifest = bench.manifest();
    assert_eq!((&manifest["key"], &manifest["example_key"]), (&Value::Null, &Value::Bool(false)));
    assert!(manifest.as_object().unwrap().contains_key("key"), "it says so");
    for artefact in manifest["artefacts"].as_array().unwrap() {
        assert_eq!(artefact["signature"], Value::Null);
        assert_eq!(artefact["accepted_by"], serde_json::json!([UNCHECKING, "tasmota-esp8266"]));
    }
    assert_eq!(bench.out("fw.bin"), esp_image());
    // No device that reads metadata takes an image without a signature.
    let gzip = bench.out("fw.bin.gz");
    let plain = Options { metadata: None, out_dir: bench.path("plain"), ..options.clone() };
    package_unsigned(&plain).unwrap();
    assert_eq!(fs::read(bench.path("plain/fw.bin.gz")).unwrap(), gzip);
    // The same in memory, and the same bytes again.
    let before = bench.out("manifest.json");
    package_unsigned(&options).unwrap();
    assert_eq!(bench.out("manifest.json"), before);
    let firmware = Firmware::from_bytes("fw.bin", esp_image(), 0).unwrap();
    let made = make_unsigned(firmware, &options).unwrap();
    assert_eq!(made.package.manifest_json().as_bytes(), before);
    assert_eq!(made.package.ledger_entries().len(), 0);
}

#[test]
fn every_other_package_needs_a_key() {
    let bench = bench();
    let refused = |options: &Options, why: NeedsKey| {
        assert_eq!(options.needs_key(), Some(why));
        let firmware = Firmware::from_bytes("fw.bin", esp_image(), 0).unwrap();
        for result in [package_unsigned(options).map(drop), make_unsigned(firmware, options).map(drop)] {
            let error = result.unwrap_err();
            let PackageError::Policy(PolicyError::KeyNeeded(found)) = &error else { panic!("{error}") };
            assert_eq!(*found, why);
            assert!(!error.advice(Speaker::Program).is_empty() && !bench.path("dist").exists());
        }
    };
    refused(&options_for(&bench, &[]), NeedsKey::AnyDevice);
    refused(&bench.options(), NeedsKey::AnyDevice);
    for profile in ["esp8266@2.5.2", "esp8266@3.1.2", "homie-mqtt", "arduino-pico", "otaseal-device"] {
        let why = NeedsKey::Device(profile.parse().unwrap());
        refused(&options_for(&bench, &[profile]), why);
        refused(&options_for(&bench, &[UNCHECKING, profile]), why);
        refused(&options_for(&bench, &[profile, UNCHECKING]), why);
    }
    for kind in [ArtefactKind::Signed, ArtefactKind::GzSigned, ArtefactKind::LegacySig] {
        let mut options = options_for(&bench, &[UNCHECKING]);
        options.artefacts.push(kind);
        refused(&options, NeedsKey::SignedFile);
    }
    let mut options = options_for(&bench, &[UNCHECKING]);
    options.policy.purpose = Purpose::Release;
    options.policy.ledger = Some(bench.ledger());
    refused(&options, NeedsKey::Release);
    let mut options = options_for(&bench, &[UNCHECKING]);
    options.policy.expect.key_id = Some(bench.key.public().id());
    refused(&options, NeedsKey::Expected);
    let mut options = options_for(&bench, &[UNCHECKING]);
    options.policy.expect.public_key = Some(bench.key.public().clone());
    refused(&options, NeedsKey::Expected);
}

/// Somebody who has a key, and gives it, gets the manifest that otaseal always made.
#[test]
fn a_key_that_is_given_is_named_in_the_manifest() {
    let bench = bench();
    let mut options = options_for(&bench, &[UNCHECKING]);
    let error = bench.package(&options).unwrap_err();
    assert!(matches!(error, PackageError::Image { source: PolicyError::Continuity(_), .. }), "{error}");
    options.policy.continuity.without_key = WithoutKey::Allow;
    bench.package(&options).unwrap();
    assert_eq!(bench.listing(), ["fw.bin", "fw.bin.gz", "manifest.json"]);
    assert_eq!(bench.manifest()["key"]["id"], bench.key.public().id().to_string());
}

/// The devices of a directory may check signatures. A run without a key would leave them without an update.
#[test]
fn a_package_that_nobody_signed_does_not_replace_a_signed_one() {
    let bench = bench();
    package_signed(&bench);
    let (names, before) = (bench.listing(), bench.manifest());
    assert!(names.contains(&"fw.bin.signed".into()));
    let options = options_for(&bench, &[UNCHECKING]);
    let firmware = Firmware::from_bytes("fw.bin", esp_image(), 0).unwrap();
    let made = make_unsigned(firmware, &options).unwrap().package;
    let out_dir = bench.path("dist");
    let refused = || {
        [package_unsigned(&options).map(drop), made.write(&Destination::new(&out_dir)).map(drop)].map(
            |result| {
                let error = result.unwrap_err();
                let PackageError::EarlierSigned { file, key, .. } = &error else { panic!("{error}") };
                assert_eq!((&**file, *key), ("fw.bin.signed", bench.key.public().id()));
                let advice = [Speaker::Program, Speaker::Hook].map(|speaker| error.advice(speaker));
                assert!(advice.iter().all(|advice| advice.contains("another --out-dir")), "{advice:?}");
            },
        )
    };
    refused();
    assert_eq!((bench.listing(), bench.manifest()), (names.clone(), before));
    // A dry run says the same, and a package that a killed run left counts too.
    let dry = Options {
        policy: Policy { run: crate::output::Run::dry(), ..options.policy.clone() },
        ..options.clone()
    };
    assert!(matches!(package_unsigned(&dry), Err(PackageError::EarlierSigned { .. })));
    fs::rename(bench.path("dist/manifest.json"), bench.path("dist/manifest.json.unfinished")).unwrap();
    refused();
    // A new signature replaces it as always, and an order does.
    package_signed(&bench);
    let forced = Options { overwrite: Overwrite::Replace, ..options.clone() };
    assert_eq!(package_unsigned(&forced).unwrap().removed, ["fw.bin.signed", "fw.bin.gz.signed"]);
    assert_eq!(bench.listing(), ["fw.bin", "fw.bin.gz", "manifest.json"]);
    // From now on nobody signed the earlier one. A signed one replaces it.
    package_unsigned(&options).unwrap();
    package_signed(&bench);
    assert_eq!(bench.listing(), names);
}

type Files = BTreeMap<String, Vec<u8>>;
type Edit<'a> = &'a dyn Fn(&mut Value, &mut Files);

/// An attacker has a signed package, and wants somebody to take its plain files without a signature.
#[test]
fn a_signed_package_is_not_taken_for_one_that_nobody_signed() {
    let bench = bench();
    package_signed(&bench);
    let drop_signed: Edit<'_> = &|said, files| {
        files.retain(|name, _| !name.ends_with(".signed"));
        said["artefacts"].as_array_mut().unwrap().retain(|artefact| artefact["signature"].is_null());
    };
    let devices = |said: &mut Value, devices: Value| {
        for artefact in said["artefacts"].as_array_mut().unwrap() {
            artefact["accepted_by"] = devices.clone();
        }
    };
    let taken = |edits: &[Edit<'_>]| {
        let mut said = bench.manifest();
        let names = bench.listing().into_iter().filter(|name| name != "manifest.json");
        let mut files: Files = names.map(|name| (name.clone(), bench.out(&name))).collect();
        edits.iter().for_each(|edit| edit(&mut said, &mut files));
        Package::from_parts(said.to_string().as_bytes(), files).map_err(|error| error.to_string())
    };
    let without: Edit<'_> = &|said, _| said["key"] = Value::Null;
    let removed: Edit<'_> = &|said, _| drop(said.as_object_mut().unwrap().remove("key"));
    let published: Edit<'_> = &|said, _| said["example_key"] = true.into();
    let unsigned_names: Edit<'_> = &|said, _| {
        for artefact in said["artefacts"].as_array_mut().unwrap() {
            artefact["signature"] = Value::Null;
        }
    };
    assert!(taken(&[]).unwrap().manifest().key.is_some());
    for (edits, why) in [
        (&[removed][..], "missing field `key`"),
        (&[removed, drop_signed], "missing field `key`"),
        (&[without], "the file is signed, and the manifest names no key"),
        (&[without, unsigned_names], "a file of this name has"),
        (&[without, drop_signed, published], "`example_key` is true"),
        (&[without, drop_signed, &|said, _| devices(said, Value::Array(vec![]))], "no key, and no device"),
        (
            &[without, drop_signed, &|said, _| devices(said, serde_json::json!(["esp8266@3.1.2"]))],
            "checks signatures",
        ),
        (
            &[without, drop_signed, &|said, _| devices(said, serde_json::json!([UNCHECKING, "homie-mqtt"]))],
            "homie-mqtt@3.1.2 checks signatures",
        ),
    ] {
        let error = taken(edits).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
    // An attacker who edits every field has made another package. It says that nobody signed it, so a reader that
    // knows the key refuses it: see the tests of release bundles.
    assert_eq!(taken(&[without, drop_signed]).unwrap().manifest().key, None);
}

/// A bundle and a plan know the key of the devices.
#[test]
fn a_reader_that_knows_the_key_does_not_count_a_package_that_nobody_signed() {
    use crate::format::input::Input;
    use crate::release::bundle::{self, BundleError, BundleRequest};
    use crate::release::rotate::{self, Fate, RotationReason, SignedBy};
    let bench = bench();
    package_unsigned(&options_for(&bench, &[UNCHECKING])).unwrap();
    let (dist, out, ledger) = (bench.path("dist"), bench.path("release"), bench.ledger());
    let refused = bundle::make(BundleRequest::new(&dist, &out, &ledger, bench.key.public()), &bench.key);
    let Err(error @ BundleError::Unsigned(_)) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("nobody signed") && !error.advice(Speaker::Program).is_empty());
    assert!(!out.exists() && !bench.path("ledger.jsonl").exists());

    let next = PrivateKey::generate(KeySize::Rsa2048).unwrap();
    let (old, new): (&PublicKey, &PublicKey) = (bench.key.public(), next.public());
    let read = |name: &str| {
        let path = bench.path(name);
        rotate::read(&path, Input::named(&path), old, new).unwrap()
    };
    let plan = |releases| rotate::plan(old, new, RotationReason::Planned, releases).unwrap();
    assert_eq!(read("dist/manifest.json").signed_by, SignedBy::Nobody);
    assert_eq!(plan(vec![read("dist/manifest.json")]).groups[0].fate, Fate::Unchecked);
    // It carries the new key. Devices with the old key do not take it, so it is no bridge for them.
    let keyed = |key: &PublicKey| [b"code\0".repeat(9), key.to_spki_pem().into_bytes()].concat();
    fs::write(bench.path("fw.bin"), keyed(new)).unwrap();
    package_unsigned(&options_for(&bench, &["arduino-pico/unsigned"])).unwrap();
    let field = crate::testing::signed(&keyed(old), &bench.key, Scheme::Pkcs1v15Sha256);
    fs::write(bench.path("field.signed"), field).unwrap();
    let plan = plan(vec![read("field.signed"), read("dist/manifest.json")]);
    assert_eq!((&plan.groups[0].fate, plan.complete), (&Fate::Bridge { by: vec![] }, false));
    assert_eq!(plan.groups[0].takes, [plan.groups[0].runs.file.clone()]);
}
