//! Manifests and indices of release bundles: names never lead out of the directory, and otaseal believes nothing that
//! is unsigned or incomplete.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::Package;
use otaseal::format::digest::sha256;
use otaseal::format::input::Input;
use otaseal::key::{PrivateKey, PublicKey};
use otaseal::ledger::{Ledger, Origin};
use otaseal::package::manifest::Manifest;
use otaseal::release::bundle::{self, BundleError, BundleRequest, Keys};
use otaseal::release::rotate::{self, RotationReason};
use otaseal::sign::{Scheme, Signer};
use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    PrivateKey::from_bytes(include_bytes!("../../../../fixtures/keys/next.pem")).expect("a key")
});
/// The signature of another index.
static OTHERS: LazyLock<Vec<u8>> = LazyLock::new(|| sign(b"another index"));
static OTHER: LazyLock<PublicKey> = LazyLock::new(|| {
    PublicKey::from_bytes(include_bytes!("../../../../tests/cmd/in/keys/other.public.pem")).expect("a key")
});

fn sign(index: &[u8]) -> Vec<u8> {
    KEY.sign_digest(Scheme::Pkcs1v15Sha256, &sha256(index)).expect("signed")
}

fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = Manifest::from_json(data) {
        for text in [&manifest.name, &manifest.version].into_iter().flatten() {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        for file in manifest.artefacts.iter().map(|artefact| &artefact.file) {
            assert!(!file.is_empty() && !file.contains(['/', '\\']) && !file.starts_with('.'), "{file:?}");
        }
        let again = Manifest::from_json(manifest.to_json().as_bytes());
        assert_eq!(again.as_ref(), Ok(&manifest), "it is read as it was written");
    }
    Package::from_parts(data, BTreeMap::new()).expect_err("a package has files");

    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    fs::write(at("manifest.json"), data).expect("written");
    if let Ok(release) =
        rotate::read(&at("manifest.json"), Input::found(&at("manifest.json")), KEY.public(), &OTHER)
    {
        let plan = rotate::plan(KEY.public(), &OTHER, RotationReason::Compromised, vec![release])
            .expect("the new key is fit");
        assert_eq!(plan.groups.len(), 1);
        serde_json::to_string(&plan).expect("a plan has a JSON form");
    }
    let (out, ledger) = (at("out"), Ledger::new(at("ledger.jsonl"), Origin::default()));
    let request = BundleRequest::new(directory.path(), &out, &ledger, KEY.public());
    bundle::make(request, &*KEY).expect_err("nothing in it is signed");
    assert!(!at("out").exists());

    // otaseal reads the index only after its signature.
    fs::write(at(bundle::INDEX), data).expect("written");
    fs::write(at(bundle::SIGNATURE), &*OTHERS).expect("written");
    let unsigned = bundle::check(directory.path(), KEY.public(), Keys::default());
    assert!(matches!(unsigned, Err(BundleError::Signature(_))));
    // Signing is slow, so only inputs that get beyond the first field of the first line are signed.
    if !data.windows(2).any(|blanks| blanks == b"  ") {
        return;
    }
    fs::write(at(bundle::SIGNATURE), sign(data)).expect("written");
    // It would have to list a file that holds its own digest.
    bundle::check(directory.path(), KEY.public(), Keys::default()).expect_err("the manifest is the index");
});
