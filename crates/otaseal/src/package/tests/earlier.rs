//! A package takes the place of the earlier one in its directory, and of nothing else.

use super::*;
use crate::output::OutputError;

#[test]
fn files_of_the_earlier_package_do_not_stay_behind() {
    let bench = Bench::new();
    let all = Options { artefacts: ArtefactKind::ALL.to_vec(), ..bench.options() };
    bench.package(&all).unwrap();
    fs::write(bench.path("dist/notes.txt"), "mine").unwrap();
    fs::write(bench.path("dist/other.bin.signed"), "mine").unwrap();
    let only = Options { artefacts: vec![ArtefactKind::GzSigned], ..bench.options() };
    let report = bench.package(&only).unwrap();
    assert_eq!(report.removed, ["fw.bin", "fw.bin.gz", "fw.bin.signed", "fw.bin.legacy_sig"]);
    assert_eq!(
        bench.listing(),
        ["fw.bin.gz.signed", "manifest.json", "notes.txt", "other.bin.signed"],
        "only what the manifest listed goes"
    );
}

#[test]
fn an_edited_manifest_cannot_make_us_delete_elsewhere() {
    let bench = Bench::new();
    fs::create_dir(bench.path("dist")).unwrap();
    fs::write(bench.path("keep.bin"), "mine").unwrap();
    fs::write(bench.path("dist/keep.txt"), "mine").unwrap();
    let absolute = bench.path("keep.bin").display().to_string();
    let files =
        ["../keep.bin", &absolute, "keep.txt", "..", "./../keep.bin", "a/../../keep.bin", "manifest.json"];
    bench.package(&bench.options()).unwrap();
    let good = bench.manifest();
    for file in files {
        let mut manifest = good.clone();
        manifest["artefacts"][1]["file"] = file.into();
        fs::write(bench.path("dist/manifest.json"), manifest.to_string()).unwrap();
        match bench.package(&bench.options()) {
            Ok(report) => assert!(report.removed.is_empty(), "{file}: {:?}", report.removed),
            Err(PackageError::EarlierManifest { source: ManifestError::Name { name, .. }, .. }) => {
                assert_eq!(name, file);
            }
            Err(error) => panic!("{file}: {error}"),
        }
        assert!(bench.path("keep.bin").exists() && bench.path("dist/keep.txt").exists(), "{file}");
    }
}

/// otaseal replaces the manifest of an earlier package, and no other file of that name.
#[test]
fn another_manifest_is_neither_replaced_nor_followed() {
    let bench = Bench::new();
    bench.package(&bench.options()).unwrap();
    let (path, good) = (bench.path("dist/manifest.json"), bench.manifest());
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        edit(&mut manifest);
        manifest.to_string()
    };
    let foreign =
        |error| matches!(error, PackageError::EarlierManifest { source: ManifestError::Foreign, .. });
    let unread = |error| matches!(error, PackageError::EarlierManifest { .. });
    type Is = fn(PackageError) -> bool;
    for (text, is) in [
        (r#"{"name":"Home Assistant","builds":[]}"#.into(), foreign as Is),
        (edited(&|manifest| manifest["tool"] = "other 1.0".into()), foreign),
        (edited(&|manifest| manifest["tool"] = ().into()), foreign),
        (edited(&|manifest| manifest["schema"] = 2.into()), unread),
        (edited(&|manifest| manifest["artefacts"] = "none".into()), unread),
        (edited(&|manifest| manifest["artefacts"][0]["sha256"] = "0".into()), unread),
        (String::new(), unread),
        (" ".repeat(2 << 20), unread),
    ] {
        fs::write(&path, &text).unwrap();
        let before = bench.listing();
        let only = Options { artefacts: vec![ArtefactKind::Gz], ..bench.options() };
        let error = bench.package(&only).unwrap_err();
        assert!(!error.to_string().contains('\n') && is(error), "{text:.80}");
        assert_eq!((fs::read_to_string(&path).unwrap(), bench.listing()), (text, before));
    }
    // No memory holds such a file: otaseal reads no more of it than a manifest can have.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(unread(bench.package(&bench.options()).unwrap_err()));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(bench.package(&bench.options()), Err(PackageError::EarlierUnread { .. })));
    fs::remove_dir(&path).unwrap();
    // otaseal would remove a ledger of that name together with the earlier manifest.
    let own = bench.with(|policy| policy.ledger = Some(Ledger::new(&path, ledger::Origin::default())));
    assert!(matches!(bench.package(&own), Err(PackageError::Overlap { .. })));
    assert!(!path.exists());
    bench.package(&bench.options()).unwrap();
}

/// A file that the user may not read may belong to anybody.
#[cfg(unix)]
#[test]
fn a_manifest_that_may_not_be_read_stays() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.package(&bench.options()).unwrap();
    let path = bench.path("dist/manifest.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        return; // The test runs as root.
    }
    assert!(matches!(bench.package(&bench.options()), Err(PackageError::EarlierUnread { .. })));
    assert!(path.exists());
}

#[test]
fn one_directory_holds_one_package() {
    let bench = Bench::new();
    bench.package(&bench.options()).unwrap();
    let names = bench.listing();
    let other = Options { base_name: Some("other".into()), ..bench.options() };
    assert!(matches!(bench.package(&other), Err(PackageError::Occupied { .. })));
    assert_eq!(bench.listing(), names);
    assert_eq!(bench.manifest()["artefacts"][0]["file"], "fw.bin");
}

/// Every project of PlatformIO has a build of the name firmware.bin.
#[test]
fn a_firmware_with_another_name_does_not_replace_a_package() {
    let bench = Bench::new();
    let named = |name: &str| {
        let name = [b"\xbf\x84\xe4\x13\x54", name.as_bytes(), b"\x93\x44\x6b\xa7\x75\0"].concat();
        fs::write(bench.path("fw.bin"), [name.as_slice(), VERSION].concat()).unwrap();
        bench.package(&bench.options())
    };
    named("Word Clock").unwrap();
    assert_eq!(bench.manifest()["name"], "Word Clock");
    assert_eq!(bench.listing()[0], "fw.bin");
    let before = bench.manifest();
    // The last two would have one form as a file name.
    for other in ["relay", "word clock", "Word-Clock"] {
        match named(other) {
            Err(PackageError::OtherFirmware { earlier, name, .. }) => {
                assert_eq!((&*earlier, &*name), ("Word Clock", other));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.manifest(), before);
    }
    named("Word Clock").unwrap();
    // A firmware without a name contradicts none.
    fs::write(bench.path("fw.bin"), "no tokens").unwrap();
    bench.package(&bench.options()).unwrap();
    named("relay").unwrap();
}

#[test]
fn a_failed_package_leaves_the_earlier_one_whole() {
    let bench = Bench::new();
    bench.package(&bench.options()).unwrap();
    let before: Vec<_> = bench.listing().iter().map(|name| bench.out(name)).collect();
    let names = bench.listing();
    // Two names in one image: the tokens contradict each other.
    let build = fs::read(bench.path("fw.bin")).unwrap();
    let second = b"\xbf\x84\xe4\x13\x54other\x93\x44\x6b\xa7\x75\0";
    fs::write(bench.path("fw.bin"), [&build[..], second].concat()).unwrap();
    assert!(matches!(
        bench.package(&bench.options()),
        Err(PackageError::Image { source: PolicyError::Tokens(_), .. })
    ));
    fs::write(bench.path("fw.bin"), b"").unwrap();
    assert!(matches!(
        bench.package(&bench.options()),
        Err(PackageError::Firmware(FirmwareError::Empty { .. }))
    ));
    assert_eq!(bench.listing(), names);
    assert!(bench.listing().iter().map(|name| bench.out(name)).eq(before));
}

/// The names of a package's files are no secret: somebody may have put a file of his own there.
#[test]
fn a_file_that_no_manifest_lists_is_not_replaced() {
    for name in ["fw.bin", "fw.bin.gz", "fw.bin.signed", "fw.bin.gz.signed"] {
        let bench = Bench::new();
        fs::create_dir(bench.path("dist")).unwrap();
        fs::write(bench.path("dist").join(name), "mine").unwrap();
        let error = bench.package(&bench.options()).unwrap_err();
        assert!(matches!(error, PackageError::Output(OutputError::Foreign(_))), "{name}: {error}");
        assert_eq!(fs::read(bench.path("dist").join(name)).unwrap(), b"mine");
        assert_eq!(bench.listing(), [name]);
        let forced = Options { overwrite: Overwrite::Replace, ..bench.options() };
        bench.package(&forced).unwrap();
        // From now on the manifest lists it. Without the manifest, its bytes say that nothing is lost.
        bench.package(&bench.options()).unwrap();
        fs::remove_file(bench.path("dist/manifest.json")).unwrap();
        fs::write(bench.path("dist").join(name), "").unwrap();
        bench.package(&bench.options()).unwrap();
    }
}
