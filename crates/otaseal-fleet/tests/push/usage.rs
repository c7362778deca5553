//! Wrong command lines, and files that are no firmware.

use crate::setup::exits;
use std::fs;
use tempfile::tempdir;

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for arguments in [
        &["push"][..],
        &["push", "espota"],
        &["push", "espota", "host"],
        &["push", "espota", "a b", "x.bin"],
        &["push", "espota", "--from-list", "list", "host", "x.bin"],
        &["push", "espota", "host", "x.bin", "--ports", "9-1"],
        &["push", "espota", "host", "x.bin", "--for", "esp9"],
        &["push", "espota", "host", "x.bin", "--until", "settled"],
        &["push", "form", "ftp://host/update", "x.bin"],
        &["push", "form", "http://host/update", "x.bin", "--user", "me"],
        &["push", "homie", "a/b", "x.bin", "--broker", "mqtt://h"],
        &["push", "homie", "a", "x.bin", "--broker", "http://h"],
        &["push", "homie", "a", "x.bin", "--broker", "mqtt://h", "--base", "homie"],
        &["push", "homie", "a", "x.bin"],
        &["simulate", "espota", "--count", "0"],
        &["simulate", "espota", "--for", "esp8266@3.1.2"],
        &["discover", "--clear"],
        &["nothing"],
    ] {
        let said = exits(2, arguments);
        assert!(said.contains("error:") || said.contains("Usage:"), "{arguments:?}: {said}");
    }
}

#[test]
fn what_is_no_firmware_is_not_sent() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (name, bytes) in [
        ("page.bin", &b"<!DOCTYPE html><html><body>404 Not Found</body></html>"[..]),
        ("empty.bin", b""),
        ("key.pem", include_bytes!("../../../../keys.example/public.pem")),
    ] {
        fs::write(path(name), bytes).unwrap();
        let said = exits(1, &["push", "espota", "127.0.0.1", &path(name), "--dry-run"]);
        assert!(said.contains(name), "{said}");
    }
    exits(3, &["push", "espota", "127.0.0.1", &path("missing.bin"), "--dry-run"]);
    fs::create_dir(path("dist")).unwrap();
    let said = exits(1, &["push", "espota", "127.0.0.1", &path("dist"), "--dry-run"]);
    assert!(said.contains("manifest.json"), "{said}");
}

#[test]
fn a_key_on_the_command_line_is_not_repeated() {
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----";
    let said = exits(2, &["serve", ".", "--key", key]);
    assert!(!said.contains("MIIEvQ"), "{said}");
}

#[test]
fn help_and_version_are_no_errors() {
    for arguments in [&["--help"][..], &["--version"], &["push", "espota", "--help"], &["serve", "-h"]] {
        exits(0, arguments);
    }
}
