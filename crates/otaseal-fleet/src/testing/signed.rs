//! Packages that the published example key signed.

use otaseal::key::{KeySize, PrivateKey, PublicKey};
use otaseal::package::firmware::Firmware;
use otaseal::package::{ArtefactKind, Options, make};
use otaseal_delivery::release::Trust;
use otaseal_delivery::sim::image::Sample;

/// The published example key. It signs nothing but examples.
pub(crate) fn key() -> PrivateKey {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../keys.example/private.pem");
    PrivateKey::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn public() -> PublicKey {
    key().public().clone()
}

/// A key of which nobody else knows.
pub(crate) fn other() -> PublicKey {
    PrivateKey::generate(KeySize::Rsa2048).unwrap().public().clone()
}

pub(crate) fn trust() -> Trust {
    Trust::Keys(vec![public()])
}

/// An image of the firmware `lamp`.
pub(crate) fn image(version: &str) -> Vec<u8> {
    let seed = version.bytes().map(u32::from).sum();
    Sample { name: "lamp", version, bytes: 20_000, seed }.esp8266_with_key(&public())
}

/// The files of a package, the manifest first.
pub(crate) fn package(image: &[u8]) -> Vec<(String, Vec<u8>)> {
    package_of(image, ArtefactKind::ALL)
}

pub(crate) fn package_of(image: &[u8], kinds: &[ArtefactKind]) -> Vec<(String, Vec<u8>)> {
    let firmware = Firmware::from_bytes("lamp.bin", image.to_vec(), 0).unwrap();
    let mut options = Options::new("lamp.bin", "unused");
    options.artefacts = kinds.to_vec();
    let package = make(firmware, &options, &key()).unwrap().package;
    let files = package.files().iter().map(|file| (file.name().to_owned(), file.bytes().into_owned()));
    let manifest = ("manifest.json".to_owned(), package.manifest_json().as_bytes().to_vec());
    std::iter::once(manifest).chain(files).collect()
}
