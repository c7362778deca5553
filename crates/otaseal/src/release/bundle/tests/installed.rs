use super::*;
use crate::format::digest::sha256;
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
