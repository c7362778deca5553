//! Shared by the tests of this crate: keys from PEM files, and images that OpenSSL signs.
#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use otaseal_device::{KeyId, PublicKey};

/// Returns the folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Reads the public key of a PEM file with OpenSSL. The file holds a private or a public key.
pub(crate) fn key<const W: usize>(pem: &Path) -> PublicKey<W> {
    let pem = pem.to_str().unwrap();
    let public = std::fs::read_to_string(pem).unwrap().contains("PUBLIC KEY");
    let kind: &[&str] = if public { &["-pubin"] } else { &[] };
    let text = openssl(&[&["rsa", "-in", pem, "-noout", "-modulus"], kind].concat());
    let hex = std::str::from_utf8(&text).unwrap().trim().strip_prefix("Modulus=").unwrap();
    let mut modulus = [0; W];
    assert_eq!(hex.len(), 8 * W);
    for (word, digits) in modulus.iter_mut().rev().zip(hex.as_bytes().chunks(8)) {
        *word = u32::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    let spki = openssl(&[&["pkey", "-in", pem, "-pubout", "-outform", "DER"], kind].concat());
    use sha2::Digest;
    PublicKey::new(modulus, KeyId(sha2::Sha256::digest(spki).into()))
}

/// Runs `openssl` and returns its output.
pub(crate) fn openssl(args: &[&str]) -> Vec<u8> {
    openssl_with(args, b"")
}

/// Runs `openssl` with this input and returns its output.
pub(crate) fn openssl_with(args: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {args:?}");
    output.stdout
}

/// Makes an image that OpenSSL signed.
pub(crate) fn sign(payload: &[u8], pem: &Path) -> Vec<u8> {
    let signature = openssl_with(&["dgst", "-sha256", "-sign", pem.to_str().unwrap()], payload);
    join(payload, &signature)
}

/// Joins a payload, a signature and the length field.
pub(crate) fn join(payload: &[u8], signature: &[u8]) -> Vec<u8> {
    [payload, signature, &otaseal_device::layout::length_field(signature.len())].concat()
}
