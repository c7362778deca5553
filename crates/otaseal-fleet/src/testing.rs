//! What the tests share.

pub(crate) mod signed;

use otaseal::format::image::Content;
use otaseal_delivery::release::{Release, Trust};
use otaseal_delivery::sim::image::Sample;

/// A release that nobody signed.
pub(crate) fn release(name: &str, version: &str) -> Release {
    let seed = version.bytes().map(u32::from).sum();
    let image = Sample { name, version, bytes: 50_000, seed }.esp8266();
    let trust = Trust::Unsigned(Vec::new());
    Release::of_file(&format!("{name}.bin"), image.into(), Content::Firmware, &trust).unwrap()
}
