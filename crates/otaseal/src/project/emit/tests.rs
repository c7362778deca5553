//! Tests the emitted source. It is code, so these tests compile it with the compilers that users have.

use super::*;
use crate::key::{KeySize, PrivateKey};
use crate::testing::has_tool;
use std::fs;
use std::process::Command;

fn key() -> PrivateKey {
    PrivateKey::from_bytes(include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../keys.example/private.pem"
    )))
    .unwrap()
}

fn standalone() -> RustOptions {
    RustOptions::new(RustForm::Standalone)
}

fn rustc(source: &str) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key.rs"), source).unwrap();
    let lib = "#![no_std]\n#![deny(warnings, missing_docs)]\n//! A firmware.\n";
    fs::write(dir.path().join("lib.rs"), format!("{lib}/// The key.\npub mod key;\n")).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Command::new(rustc)
        .args(["--edition=2021", "--crate-type=lib", "--emit=metadata", "lib.rs"])
        .current_dir(dir.path())
        .output()
        .unwrap()
}

#[test]
fn standalone_source_compiles_without_std_or_dependency() {
    for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
        let key = PrivateKey::generate(size).unwrap();
        let module = Some("release_key".parse().unwrap());
        for options in
            [standalone(), RustOptions { module, self_test: Some(self_test(&key).unwrap()), ..standalone() }]
        {
            let output = rustc(&rust_source(key.public(), &options));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn edited_source_does_not_compile() {
    let source = rust_source(key().public(), &standalone());
    let first_word = source.split_once("MODULUS: [u32; 64] = [\n    ").unwrap().1;
    let first_word = &first_word[..10];
    let even = format!("{}0", &first_word[..9]);
    for (from, to, why) in [
        (first_word, &even[..], "even"),
        ("EXPONENT: u32 = 65537", "EXPONENT: u32 = 3", "exponent"),
        ("MODULUS_BITS: u32 = 2048", "MODULUS_BITS: u32 = 4096", "another size"),
    ] {
        let bad = source.replacen(from, to, 1);
        assert_ne!(bad, source, "{why}");
        let output = rustc(&bad);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && stderr.contains(why), "{why}: {stderr}");
    }
}

#[test]
fn the_same_key_gives_the_same_text() {
    let options =
        RustOptions { form: RustForm::Device, self_test: Some(self_test(&key()).unwrap()), ..standalone() };
    assert_eq!(rust_source(key().public(), &options), rust_source(key().public(), &options));
}

#[test]
fn the_c_header_holds_the_pem_and_a_zero() {
    if !has_tool("cc") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // The part of pgmspace.h that the header needs, and the calls that the cores' Updater makes with the array.
    fs::write(
        dir.path().join("pgmspace.h"),
        "#include <string.h>\n#include <stdio.h>\n#define PROGMEM\n#define strlen_P strlen\n",
    )
    .unwrap();
    fs::write(dir.path().join("Updater_Signing.h"), c_header(key().public(), &arduino_array())).unwrap();
    let main = "#include \"Updater_Signing.h\"\n#if !ARDUINO_SIGNING\n#error off\n#endif\n\
                int main(void) { return fwrite(signing_pubkey, 1, strlen_P(signing_pubkey), stdout) < 1; }\n";
    fs::write(dir.path().join("main.c"), main).unwrap();
    let compiled = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Werror", "-I.", "-o", "main", "main.c"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = Command::new(dir.path().join("main")).output().unwrap().stdout;
    assert_eq!(
        printed,
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../keys.example/public.pem"))
    );
}

#[test]
fn identifiers_are_legal_in_every_language() {
    for good in ["ota_key", "K", "_k1", "signing_pubkey"] {
        assert_eq!(good.parse::<Identifier>().unwrap().to_string(), good);
    }
    let long = "a".repeat(65);
    for bad in ["", "_", "__k", "1k", "a-b", "a b", "schlüssel", "a;", "k[]", "../k", "a\n", &long] {
        assert_eq!(bad.parse::<Identifier>(), Err(IdentifierError::Illegal(bad.into())));
    }
    for bad in ["fn", "Self", "class", "int", "gen", "constexpr"] {
        assert_eq!(bad.parse::<Identifier>(), Err(IdentifierError::Keyword(bad.into())));
    }
}

#[test]
fn check_never_writes_and_names_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.rs");
    let error = place(&Run::default(), &path, "text", None, Mode::Check, "cargo xtask pubkey").unwrap_err();
    assert!(matches!(error, EmitError::OutOfDate { command, .. } if command == "cargo xtask pubkey"));
    assert!(!path.exists());
    assert_eq!(place(&Run::default(), &path, "text", None, Mode::Write, "").unwrap(), Written::Changed);
    assert_eq!(place(&Run::default(), &path, "text", None, Mode::Check, "").unwrap(), Written::Unchanged);
    assert!(place(&Run::default(), &path, "other", None, Mode::Check, "").is_err());
    assert_eq!(fs::read(&path).unwrap(), b"text");
}
