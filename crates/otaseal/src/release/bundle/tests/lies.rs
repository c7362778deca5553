//! A manifest that says what is not so, field by field.

use super::*;

type Lie = (&'static str, &'static dyn Fn(&mut serde_json::Value));

/// Every field that the files can disprove, with a false value, and the name that the error must show. A check of a
/// bundle without the firmware's key finds all of them too.
const LIES: [Lie; 18] = [
    ("artefacts[0].size_bytes", &|said| said["artefacts"][0]["size_bytes"] = 1.into()),
    ("artefacts[3].md5", &|said| said["artefacts"][3]["md5"] = "0".repeat(32).into()),
    ("artefacts[2].signature", &|said| said["artefacts"][2]["signature"] = ().into()),
    ("artefacts[4].signature", &|said| said["artefacts"][4]["signature"] = "pkcs1v15-sha256".into()),
    ("artefacts[0].signature", &|said| said["artefacts"][0]["signature"] = "pkcs1v15-sha256".into()),
    ("artefacts[1].encoding", &|said| said["artefacts"][1]["encoding"] = "plain".into()),
    ("artefacts[5].file", &|said| {
        let first = said["artefacts"][0].clone();
        said["artefacts"].as_array_mut().unwrap().push(first);
    }),
    ("artefacts[1].file", &|said| said["artefacts"][1]["file"] = "other.bin.gz".into()),
    ("sbom.file", &|said| said["sbom"]["file"] = "fw.bin".into()),
    ("sbom.size_bytes", &|said| said["sbom"]["size_bytes"] = 1.into()),
    ("installed.size_bytes", &|said| said["installed"]["size_bytes"] = 1.into()),
    ("installed.sha256", &|said| said["installed"]["sha256"] = "0".repeat(64).into()),
    ("installed.bytes_behind", &|said| said["installed"]["bytes_behind"] = 1.into()),
    ("installed.flash_mode", &|said| said["installed"]["flash_mode"] = "dio".into()),
    ("installed.md5_by_flash_mode", &|said| {
        said["installed"]["md5_by_flash_mode"] = serde_json::json!({"dio": "0".repeat(32)});
    }),
    ("brand", &|said| said["brand"] = "Acme".into()),
    ("source.md5", &|said| said["source"]["md5"] = "0".repeat(32).into()),
    ("carries", &|said| said["carries"] = serde_json::json!([])),
];

#[test]
fn every_field_that_says_what_is_not_so_is_named() {
    let bench = Bench::new();
    let path = bench.path("dist/manifest.json");
    let good = fs::read(&path).unwrap();
    let field = |result: Result<Bundle, BundleError>| match result {
        Err(BundleError::Wrong { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    for (name, lie) in LIES {
        edit(&path, lie);
        assert_eq!(field(bench.make()), name);
        assert!(!bench.path("release").exists(), "{name}");
        fs::write(&path, &good).unwrap();
    }
    for (name, value) in [("sha256", "0".repeat(64).into()), ("size_bytes", 1.into())] {
        edit(&path, &|said| said["source"][name] = serde_json::Value::clone(&value));
        assert_eq!(field(bench.make()), format!("source.{name}"));
        fs::write(&path, &good).unwrap();
    }
    edit(&path, &|said| said["key"]["bits"] = 3072.into());
    assert_eq!(field(bench.make()), "key.bits");
    edit(&path, &|said| said["artefacts"][2]["accepted_by"] = serde_json::json!(["esp8266@2.7.4"]));
    assert_eq!(field(bench.make()), "key.bits", "the first that is wrong");
    fs::write(&path, &good).unwrap();
    edit(&path, &|said| said["artefacts"][2]["accepted_by"] = serde_json::json!(["esp8266@2.7.4"]));
    assert_eq!(field(bench.make()), "artefacts[2].accepted_by");
    // A field must not stand there twice.
    let twice =
        String::from_utf8(good.clone()).unwrap().replacen("\"carries\"", "\"carries\": [], \"carries\"", 1);
    fs::write(&path, twice).unwrap();
    assert!(matches!(bench.make(), Err(BundleError::Manifest { .. })));
    fs::write(&path, good).unwrap();

    bench.make().unwrap();
    let path = bench.path("release/manifest.json");
    let good = fs::read(&path).unwrap();
    for (name, lie) in LIES {
        edit(&path, lie);
        sign_again(&bench);
        match bench.check() {
            // The sizes are compared first, and the file may be the one that is wrong.
            Err(BundleError::Changed { list: "the manifest", .. }) => {
                assert!(name.ends_with(".size_bytes") || name == "sbom.file", "{name}");
            }
            other => assert_eq!(field(other), name),
        }
        fs::write(&path, &good).unwrap();
    }
    edit(&path, &|said| said["source"]["sha256"] = "0".repeat(64).into());
    sign_again(&bench);
    assert_eq!(field(bench.check()), "source.sha256");
    edit(&path, &|said| said["key"]["bits"] = 3072.into());
    sign_again(&bench);
    assert_eq!(field(bench.check()), "artefacts[2].signature", "the signatures are shorter");
}
