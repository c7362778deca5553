//! Packages over packages: runs that were killed, and runs at the same time.

use super::*;
use crate::package::make::make_for;
use std::thread;

fn only(bench: &Bench, kind: ArtefactKind) -> Options {
    Options { artefacts: vec![kind], ..bench.options() }
}

/// A run that is killed leaves `manifest.json.unfinished`, and perhaps the manifest of the package before.
#[test]
fn the_next_run_removes_the_files_of_an_unfinished_package() {
    let bench = Bench::new();
    for both in [false, true] {
        bench.package(&Options { artefacts: ArtefactKind::ALL.to_vec(), ..bench.options() }).unwrap();
        fs::rename(bench.path("dist/manifest.json"), bench.path("dist/manifest.json.unfinished")).unwrap();
        if both {
            let mut manifest: Value = serde_json::from_slice(&bench.out("manifest.json.unfinished")).unwrap();
            manifest["artefacts"].as_array_mut().unwrap().truncate(1);
            fs::write(bench.path("dist/manifest.json"), manifest.to_string()).unwrap();
        }
        let mut report = bench.package(&only(&bench, ArtefactKind::GzSigned)).unwrap();
        report.removed.sort();
        assert_eq!(report.removed, ["fw.bin", "fw.bin.gz", "fw.bin.legacy_sig", "fw.bin.signed"]);
        assert_eq!(bench.listing(), ["fw.bin.gz.signed", "manifest.json"]);
    }
}

#[test]
fn an_unfinished_package_of_another_firmware_is_not_mixed_with_this_one() {
    let bench = Bench::new();
    bench.package(&bench.options()).unwrap();
    fs::rename(bench.path("dist/manifest.json"), bench.path("dist/manifest.json.unfinished")).unwrap();
    let before = bench.listing();
    let other = Options { base_name: Some("other".into()), ..bench.options() };
    assert!(matches!(bench.package(&other), Err(PackageError::Occupied { .. })));
    fs::write(bench.path("dist/manifest.json.unfinished"), "{}").unwrap();
    assert!(matches!(bench.package(&bench.options()), Err(PackageError::EarlierManifest { .. })));
    assert_eq!(bench.listing(), before);
}

/// Two builds go into one directory again and again. After each pair of runs, the directory has one package.
#[test]
fn runs_at_the_same_time_take_turns() {
    let bench = Bench::new();
    let make = |kinds: &[ArtefactKind], text: &[u8]| {
        bench.build(text);
        let options = Options { artefacts: kinds.to_vec(), ..bench.options() };
        let load = || Firmware::load_as(&options.firmware, options.max_gap, options.policy.content);
        make_for(&options, Some(&bench.key), load, |_, _| Ok(())).unwrap().0.package
    };
    let packages = [make(ArtefactKind::ALL, b"first"), make(ArtefactKind::DEFAULT, b"other")];
    let out_dir = bench.path("dist");
    for round in 0..60 {
        thread::scope(|scope| {
            for package in packages.iter().chain(&packages) {
                scope.spawn(|| package.write(&Destination::new(&out_dir)).unwrap());
            }
        });
        let manifest = Manifest::from_json(&bench.out("manifest.json")).unwrap();
        let mut listed = vec!["manifest.json".to_owned()];
        for artefact in manifest.artefacts {
            assert_eq!(
                artefact.digests,
                crate::format::digest::Digests::of(&bench.out(&artefact.file)),
                "{round}"
            );
            listed.push(artefact.file);
        }
        listed.sort();
        assert_eq!(bench.listing(), listed, "round {round}");
    }
}
