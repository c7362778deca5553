use super::*;
use crate::format::digest::sha256;
use crate::format::image::Content;
use crate::format::image::tests::esp8266;

#[test]
fn bytes_behind_the_image_are_told_apart_in_manifests_new_and_old() {
    // An Arduino file with a configuration behind it, with metadata behind that and without.
    let image = |pem: &[u8]| {
        let padded = [pem, &[0; 4][..4 - pem.len() % 4]].concat();
        let mut file = esp8266(2, 0x40, &[(0x4010_F000, &[7; 64])]);
        file.resize(0x1000, 0xAA);
        file.extend(esp8266(2, 0x40, &[(0x4020_1010, &padded)]));
        file.extend(b"config12");
        file
    };
    for metadata in [None, Some(Labels::default())] {
        let bench = Bench::of(image, metadata);
        let path = bench.path("dist/manifest.json");
        let plain = fs::read(bench.path("fw.bin")).unwrap();
        let said: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(said["installed"]["bytes_behind"], 8);
        assert_eq!(said["installed"]["size_bytes"], plain.len() - 8);
        bench.make().unwrap();
        bench.check().unwrap();
        // As manifests were before.
        fs::remove_dir_all(bench.path("release")).unwrap();
        edit(&path, &|said| {
            let installed = said["installed"].as_object_mut().unwrap();
            installed.remove("bytes_behind");
            installed.insert("size_bytes".into(), plain.len().into());
            installed.insert("sha256".into(), sha256(&plain).to_string().into());
        });
        bench.make().unwrap();
        bench.check().unwrap();
    }
}

#[test]
fn a_filesystem_is_bundled_as_one() {
    let bench = Bench::new();
    let image = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cmd/in/littlefs.4096.bin"));
    fs::write(bench.path("fw.bin"), image).unwrap();
    let mut options = Options::new(bench.path("fw.bin"), bench.path("dist"));
    options.policy.content = Content::Filesystem;
    options.policy.ledger = Some(bench.ledger());
    options.policy.devices.profiles = vec!["esp8266@3.1.2".parse().unwrap()];
    // The manifest does not say how the core was built, and the bundle is judged without it.
    options.policy.devices.atomic_fs_update = true;
    let report = package(&options, &bench.key).unwrap();
    let files: Vec<_> = report.manifest.artefacts.iter().map(|artefact| &*artefact.file).collect();
    assert_eq!(files, ["fw.bin.gz.signed"]);
    bench.make().unwrap();
    bench.check().unwrap();
    // Called firmware, it is none.
    fs::remove_dir_all(bench.path("release")).unwrap();
    edit(&bench.path("dist/manifest.json"), &|said| {
        said.as_object_mut().unwrap().remove("content");
        said["installed"]["md5"] = crate::format::digest::Md5Digest::of(image).to_string().into();
    });
    let error = bench.make().unwrap_err().to_string();
    assert!(error.contains("accepted_by"), "{error}");
}
