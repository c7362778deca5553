//! What the tests share.

pub(crate) mod signed;

use otaseal::format::image::Content;
use otaseal_delivery::release::{Release, Trust};
use otaseal_delivery::sim::image::Sample;

/// An ESP8266 image.
pub(crate) fn image(name: &str, version: &str) -> Vec<u8> {
    let seed = version.bytes().map(u32::from).sum();
    Sample { name, version, bytes: 50_000, seed }.esp8266()
}

/// A release that nobody signed.
pub(crate) fn release(name: &str, version: &str) -> Release {
    let trust = Trust::Unsigned(Vec::new());
    Release::of_file(&format!("{name}.bin"), image(name, version).into(), Content::Firmware, &trust).unwrap()
}
