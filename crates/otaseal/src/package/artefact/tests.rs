//! A package for devices holds the artefacts that they accept, and says why the others are missing.

use super::*;
use crate::format::metadata;
use crate::key::PrivateKey;
use crate::policy::continuity::WithoutKey;
use crate::policy::guard::ImageFinding;
use crate::profile::fit::Flash;
use crate::testing::esp_image;
use crate::{Options, PackageError, PackageReport, package};
use otaseal_device::MetadataBlock;
use std::fs;

struct Bench {
    dir: tempfile::TempDir,
    key: PrivateKey,
}

impl Bench {
    fn new() -> Self {
        let key = PrivateKey::from_bytes(include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../keys.example/private.pem"
        )))
        .unwrap();
        let bench = Self { dir: tempfile::tempdir().unwrap(), key };
        fs::write(bench.dir.path().join("fw.bin"), esp_image()).unwrap();
        bench
    }

    fn package(
        &self,
        profiles: &[&str],
        change: impl FnOnce(&mut Options),
    ) -> Result<PackageReport, PackageError> {
        let mut options = Options::new(self.dir.path().join("fw.bin"), self.dir.path().join("dist"));
        options.artefacts = ArtefactKind::ALL.to_vec();
        options.policy.continuity.without_key = WithoutKey::Allow;
        options.policy.devices.profiles = profiles.iter().map(|profile| profile.parse().unwrap()).collect();
        change(&mut options);
        package(&options, &self.key)
    }

    /// The names of the artefacts, without the part that all have in common.
    fn made(&self, profiles: &[&str]) -> Vec<String> {
        let report = self.package(profiles, |_| {}).unwrap();
        let made = report.manifest.artefacts.len();
        assert_eq!(made + report.left_out.len(), ArtefactKind::ALL.len());
        assert!(report.left_out.iter().all(|left| left.refused_by.len() == profiles.len()));
        report.manifest.artefacts.iter().map(|artefact| artefact.file.replace("fw.bin", "")).collect()
    }
}

#[test]
fn a_package_holds_what_its_devices_accept() {
    let bench = Bench::new();
    assert_eq!(bench.made(&["esp8266@2.4.2"]), ["", ".signed", ".legacy_sig"]);
    assert_eq!(bench.made(&["esp8266@2.5.2"]), [".legacy_sig"]);
    assert_eq!(bench.made(&["esp8266@2.7.4"]), [".signed"]);
    assert_eq!(bench.made(&["esp8266@3.1.2"]), [".signed", ".gz.signed"]);
    assert_eq!(bench.made(&["esp8266@3.1.2/unsigned"]), ["", ".gz", ".signed", ".legacy_sig"]);
    assert_eq!(bench.made(&["homie-mqtt"]), [".signed"]);
    assert_eq!(bench.made(&["tasmota-esp8266"]), ["", ".gz", ".signed", ".legacy_sig"]);
    assert_eq!(bench.made(&["esp8266@2.5.1", "esp8266@3.1.2"]), [".signed", ".gz.signed", ".legacy_sig"]);
}

#[test]
fn the_manifest_says_who_accepts_what() {
    let bench = Bench::new();
    let report = bench.package(&["esp8266@2.7.4", "esp8266@3.1.2"], |_| {}).unwrap();
    let manifest = serde_json::to_value(&report.manifest).unwrap();
    assert_eq!(
        manifest["artefacts"][0]["accepted_by"],
        serde_json::json!(["esp8266@2.7.4", "esp8266@3.1.2"])
    );
    assert_eq!(manifest["artefacts"][1]["accepted_by"], serde_json::json!(["esp8266@3.1.2"]));
    let report = serde_json::to_value(&report).unwrap();
    assert_eq!(report["left_out"][0]["kind"], "plain");
    assert_eq!(report["left_out"][0]["refused_by"][0]["prints"], "ERROR[12]: Signature verification failed");
    // Without profiles, the manifest has neither list.
    let plain = serde_json::to_value(bench.package(&[], |_| {}).unwrap()).unwrap();
    assert!(
        plain.get("left_out").is_none() && plain["manifest"]["artefacts"][0].get("accepted_by").is_none()
    );
}

#[test]
fn a_device_that_accepts_nothing_fails_the_package() {
    let bench = Bench::new();
    let only_gzip = |options: &mut Options| options.artefacts = vec![ArtefactKind::GzSigned];
    let error = bench.package(&["esp8266@3.1.2", "esp8266@2.7.4"], only_gzip).unwrap_err();
    assert!(matches!(error, PackageError::NothingFor { .. }), "{error}");
    assert!(error.to_string().starts_with("esp8266@2.7.4 accepts none"), "{error}");
    let full = |options: &mut Options| {
        options.policy.devices.flash = Some(Flash { fs_start: 0x2_0000, installed: Some(0x2_0000) });
    };
    let error = bench.package(&["esp8266@3.1.2"], full).unwrap_err();
    assert!(error.to_string().contains("-100: Not Enough space"), "{error}");
    assert!(!bench.dir.path().join("dist/manifest.json").exists());
}

#[test]
fn metadata_are_in_what_is_signed_and_change_nothing_for_the_devices() {
    let bench = Bench::new();
    let labelled = |options: &mut Options| {
        let board = Some("d1-mini".parse().unwrap());
        options.metadata = Some(metadata::Labels { board, min_base_version: None });
    };
    let report = bench.package(&["esp8266@3.1.2"], labelled).unwrap();
    assert_eq!(report.manifest.artefacts.len(), 2);
    for artefact in &report.manifest.artefacts {
        let bytes = fs::read(bench.dir.path().join("dist").join(&artefact.file)).unwrap();
        let key = bench.key.public().to_device::<64>().unwrap();
        let keys = otaseal_device::KeySet::from(key);
        let payload = otaseal_device::verify(&bytes, &keys).unwrap();
        let block = MetadataBlock::of(&payload).unwrap().unwrap();
        assert_eq!(block.board, Some("d1-mini"));
        assert!(block.names_key_of(&payload.accepted()));
        assert_eq!(bytes.len() % 4, 0);
    }
    // The plain artefact is the build.
    bench.package(&["esp8266@3.1.2/unsigned"], labelled).unwrap();
    assert!(fs::read(bench.dir.path().join("dist/fw.bin")).unwrap() == esp_image());
}

#[test]
fn what_some_devices_refuse_is_found_where_no_devices_are_named() {
    let bench = Bench::new();
    let findings = |image: &[u8], profiles: &[&str], change: &dyn Fn(&mut Options)| {
        fs::write(bench.dir.path().join("fw.bin"), image).unwrap();
        bench.package(profiles, change).unwrap().image_findings
    };
    let odd = [&esp_image()[..], b"config"].concat();
    assert_eq!(findings(&odd, &[], &|_| ()), [ImageFinding::Unaligned { remainder: 2 }]);
    assert_eq!(findings(&esp_image(), &[], &|_| ()), []);
    assert_eq!(findings(b"an image for another chip", &[], &|_| ()), []);
    // The verdicts of the devices say it, and name the core.
    assert_eq!(findings(&odd, &["esp8266@3.1.2/unsigned"], &|_| ()), []);
    // Metadata pad the raw image, and a gzip is padded in its header.
    let labelled = |options: &mut Options| options.metadata = Some(metadata::Labels::default());
    assert_eq!(findings(&odd, &[], &labelled), []);
    let gzip = |options: &mut Options| options.artefacts = vec![ArtefactKind::Gz, ArtefactKind::GzSigned];
    assert_eq!(findings(&odd, &[], &gzip), []);
    let v2 = [b"\xea\x04\x02\x40\0\0\x10\x40", &[7; 100][..]].concat();
    assert_eq!(findings(&v2, &[], &gzip), [ImageFinding::VendorV2]);
}
