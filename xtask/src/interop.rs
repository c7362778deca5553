//! `cargo xtask interop`: compares our verdict with that of the ESP8266 Updater, which uses BearSSL.
//!
//! The program in `tests/peers/bearssl` judges every fixture and many generated images, on this machine and on
//! the ESP8266's own core in QEMU. Both must say what `otaseal-device` says, with two exceptions that are known
//! and counted, see [`Difference`].

mod generate;
pub(crate) mod peers;

use std::fs;
use std::path::Path;

use num_bigint::BigUint;
use otaseal::device::{KeyId, KeySet, PublicKey, legacy, verify};

use crate::Result;
use generate::Image;
use peers::{Batch, Peer};

/// An allowed difference: BearSSL accepts more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// None: the verdicts must agree.
    None,
    /// A DigestInfo without NULL parameters: BearSSL takes it for compatibility, OpenSSL never writes it.
    NoNull,
    /// A signature over nothing: the Updater would go on to install zero bytes.
    EmptyPayload,
}

/// Compares the verdicts over all fixtures and over `count` generated images.
///
/// # Errors
///
/// A peer that cannot be built or run, or a verdict that differs.
pub(crate) fn run(root: &Path, count: usize) -> Result<String> {
    let peers = peers::build(root)?;
    let mut report = Vec::new();
    for (name, key) in [
        ("example", "keys.example/private.pem"),
        ("next", "fixtures/keys/next.pem"),
        ("rsa3072", "fixtures/keys/rsa3072.pem"),
        ("rsa4096", "fixtures/keys/rsa4096.pem"),
    ] {
        let key = generate::SigningKey::open(&root.join(key))?;
        for legacy in [false, true] {
            let fixtures = fixtures(root, name, legacy)?;
            report.push(compare(&peers, &key, legacy, &fixtures, &format!("fixtures for {name}"))?);
        }
    }
    let key = generate::SigningKey::open(&root.join("keys.example/private.pem"))?;
    let seed = 0x07a5_ea10;
    let eighth = count / 8;
    for (legacy, count) in [(false, count - eighth), (true, eighth)] {
        let images = generate::images(&key, seed, count, legacy);
        report.push(compare(&peers, &key, legacy, &images, &format!("generated from seed {seed:#x}"))?);
    }
    Ok(report.join("\n"))
}

/// Returns the fixtures for this key and scheme. A fixture for another key must be rejected here too.
fn fixtures(root: &Path, key: &str, legacy: bool) -> Result<Vec<Image>> {
    let mut images = Vec::new();
    for folder in ["accept", "reject"] {
        for entry in fs::read_dir(root.join("fixtures").join(folder))? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "bin") {
                continue;
            }
            let name = format!("{folder}/{}", path.file_stem().unwrap_or_default().display());
            let difference = match name.as_str() {
                "reject/signature-mismatch--without-null" if key == "example" && !legacy => {
                    Difference::NoNull
                }
                "reject/empty-payload--validly-signed" if key == "example" && !legacy => {
                    Difference::EmptyPayload
                }
                _ => Difference::None,
            };
            images.push(Image { name, bytes: fs::read(path)?, difference });
        }
    }
    images.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(images)
}

/// Lets every verifier judge the images.
fn compare(
    peers: &[Peer],
    key: &generate::SigningKey,
    legacy: bool,
    images: &[Image],
    what: &str,
) -> Result<String> {
    let ours = ours(&key.modulus, legacy, images)?;
    let batch = Batch { legacy, modulus: key.modulus.to_bytes_be(), images };
    for peer in peers {
        let theirs = peer.judge(&batch)?;
        for ((image, &our), &their) in images.iter().zip(&ours).zip(&theirs) {
            let agreed = if image.difference == Difference::None { our == their } else { !our && their };
            if !agreed {
                let path = std::env::temp_dir().join("otaseal-interop.bin");
                fs::write(&path, &image.bytes)?;
                return Err(format!(
                    "{}: otaseal-device accepts: {our}, {} accepts: {their} ({:?}); the image is {}",
                    image.name,
                    peer.name,
                    image.difference,
                    path.display()
                )
                .into());
            }
        }
    }
    let accepted = ours.iter().filter(|&&accepted| accepted).count();
    let known = images.iter().filter(|image| image.difference != Difference::None).count();
    let form = if legacy { "legacy" } else { "current" };
    let names: Vec<_> = peers.iter().map(|peer| peer.name).collect();
    Ok(format!(
        "{what}, {form} form: {} images, {accepted} accepted, {known} known differences, agreed with {}",
        images.len(),
        names.join(" and ")
    ))
}

fn ours(modulus: &BigUint, legacy: bool, images: &[Image]) -> Result<Vec<bool>> {
    match modulus.bits() {
        2048 => ours_by::<64>(modulus, legacy, images),
        3072 => ours_by::<96>(modulus, legacy, images),
        _ => ours_by::<128>(modulus, legacy, images),
    }
}

fn ours_by<const W: usize>(modulus: &BigUint, legacy: bool, images: &[Image]) -> Result<Vec<bool>> {
    let mut words = [0; W];
    for (word, digit) in words.iter_mut().zip(modulus.iter_u32_digits()) {
        *word = digit;
    }
    let keys: KeySet<1, W> = PublicKey::try_new(words, KeyId([0; 32]))?.into();
    let judge = if legacy { legacy::verify::<1, W> } else { verify::<1, W> };
    Ok(images.iter().map(|image| judge(&image.bytes, &keys).is_ok()).collect())
}
