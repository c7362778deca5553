//! Signed packages from which somebody has removed the key.

use super::*;

/// Removes the key and every trace of a signature, and names devices that check none.
fn downgrade(directory: &Path) {
    edit(&directory.join("manifest.json"), &|said| {
        said["key"] = serde_json::Value::Null;
        let artefacts = said["artefacts"].as_array_mut().unwrap();
        artefacts.retain(|artefact| artefact["signature"].is_null());
        for artefact in artefacts {
            artefact["accepted_by"] = serde_json::json!(["tasmota-esp8266"]);
        }
    });
    for name in FILES.iter().filter(|name| name.ends_with(".signed") || name.ends_with("_sig")) {
        fs::remove_file(directory.join(name)).unwrap();
    }
}

#[test]
fn a_package_that_lost_its_key_is_not_bundled() {
    let bench = Bench::new();
    downgrade(&bench.path("dist"));
    for key in [bench.key.public(), bench.evidence_key.public()] {
        let refused = bench.make_with(key, &bench.evidence_key);
        assert!(
            matches!(&refused, Err(BundleError::Unsigned(path)) if *path == bench.path("dist")),
            "{refused:?}"
        );
    }
    assert!(!bench.path("release").exists());
}

#[test]
fn a_bundle_that_lost_its_key_is_rejected() {
    let bench = Bench::new();
    bench.make().unwrap();
    downgrade(&bench.path("release"));
    // The attacker has no key of the evidence.
    assert!(bench.check().unwrap_err().is_verdict());
    // Not even that key makes a bundle of it, with the key of the firmware at hand or without.
    let files = FILES.iter().filter(|name| bench.path("release").join(name).exists());
    let digest = |name: &&str| sha256(&fs::read(bench.path("release").join(name)).unwrap());
    let index: String = files.map(|name| format!("{}  {name}\n", digest(name))).collect();
    fs::write(bench.path("release").join(INDEX), &index).unwrap();
    let signature = sign_index(index.as_bytes(), &bench.evidence_key).unwrap();
    fs::write(bench.path("release").join(SIGNATURE), signature).unwrap();
    for firmware in [None, Some(bench.key.public()), Some(bench.evidence_key.public())] {
        let keys = Keys { firmware, next: None };
        let checked = check(&bench.path("release"), bench.evidence_key.public(), keys);
        assert!(matches!(checked, Err(BundleError::Unsigned(_))), "{checked:?}");
    }
}
