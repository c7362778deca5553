//! What the tests share: keys, packages, releases.

use crate::release::{Release, Trust};
use crate::sim::image::Sample;
use otaseal::format::image::Content;
use otaseal::key::{PrivateKey, PublicKey};
use otaseal::package::firmware::Firmware;
use otaseal::package::{ArtefactKind, Options, Package, make};

/// The published example key. It signs nothing but examples.
pub(crate) fn key() -> PrivateKey {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../keys.example/private.pem");
    PrivateKey::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn public() -> PublicKey {
    key().public().clone()
}

pub(crate) fn sample(version: &str) -> Vec<u8> {
    let seed = version.bytes().map(u32::from).sum();
    Sample { name: "lamp", version, bytes: 50_000, seed }.esp8266_with_key(&public())
}

/// A package of this image with every kind of file.
pub(crate) fn package(image: &[u8]) -> Package {
    package_of(image, ArtefactKind::ALL)
}

pub(crate) fn package_of(image: &[u8], kinds: &[ArtefactKind]) -> Package {
    let firmware = Firmware::from_bytes("lamp.bin", image.to_vec(), 0).unwrap();
    let mut options = Options::new("lamp.bin", "unused");
    options.artefacts = kinds.to_vec();
    make(firmware, &options, &key()).unwrap().package
}

/// A release of this image with every kind of file, verified with the key.
pub(crate) fn release(image: &[u8]) -> Release {
    Release::of_package(&package(image), &Trust::Keys(vec![public()])).unwrap()
}

/// A release of this image alone, without a signature.
pub(crate) fn unsigned(image: &[u8]) -> Release {
    Release::of_file("lamp.bin", image.to_vec().into(), Content::Firmware, &Trust::Unsigned(Vec::new()))
        .unwrap()
}

/// Prints that a test does not run because a program is missing. In CI it fails.
#[allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
pub(crate) fn skipped(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI needs {what}");
    eprintln!("SKIPPED: {what} is missing");
}
