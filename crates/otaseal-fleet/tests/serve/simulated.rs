//! Simulated devices of Homie 1 and Tasmota ask the server.

use crate::server::{Server, lamp, public};
use crate::setup::{example_key, exits, image};
use std::fs;
use tempfile::tempdir;

#[test]
fn devices_of_homie_1_get_the_version_that_they_name() {
    let folder = tempdir().unwrap();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        lamp(&folder.path().join(version), version);
    }
    let running = folder.path().join(".running.bin");
    fs::write(&running, image("1.0.0", &example_key())).unwrap();
    let mut server = Server::start(folder.path(), &["--key", &public()]);
    let url = format!("http://{}/ota", server.address);
    // These cores say no MD5 of what runs.
    let simulate =
        ["simulate", "http", &url, "--for", "esp8266@2.3.0/unsigned", "--polls", "2", "--every", "0"];
    let simulate = [&simulate[..], &["--running", running.to_str().unwrap()]].concat();
    let asks = |more: &[&str]| exits(0, &[&simulate[..], more].concat());
    let said = asks(&["--says", "homie-1.3", "--target", "1.1.0"]);
    assert!(said.contains("updated, runs 1.1.0") && said.contains("no update, runs 1.1.0"), "{said}");
    server.line("200 GET /ota lamp 1.1.0");
    let said = asks(&["--says", "homie-1.0"]);
    assert!(said.contains("updated, runs 1.2.0") && said.contains("no update, runs 1.2.0"), "{said}");
    server.line("200 GET /ota lamp 1.2.0");
    let said = asks(&["--says", "homie-1.3", "--target", "9.9.9"]);
    assert!(said.contains("failed: error -102"), "{said}");
    // Without its version, nobody knows what it is.
    let said = asks(&["--says", "nothing"]);
    assert!(said.contains("failed: error -102"), "{said}");
}

#[test]
fn tasmota_is_updated_once_and_then_gets_404_instead_of_304() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("tasmota.bin"), image("15.0.1", &example_key())).unwrap();
    let mut server = Server::start(folder.path(), &["--allow-unsigned", "--verbose"]);
    let url = format!("http://{}/tasmota.bin", server.address);
    let simulate = ["simulate", "http", &url, "--says", "tasmota", "--polls", "3", "--every", "0"];
    let said = exits(0, &[&simulate[..], &["--for", "tasmota-esp8266"]].concat());
    assert_eq!(said.matches("updated, runs 15.0.1").count(), 1, "{said}");
    assert_eq!(said.matches("failed: error -102, runs 15.0.1").count(), 2, "{said}");
    server.line("200 GET /tasmota.bin");
    server.line("404 GET /tasmota.bin");
    assert!(!server.seen.iter().any(|line| line.contains("304")), "{:#?}", server.seen);
}

#[test]
fn a_target_is_for_homie_1_3() {
    let simulate = ["simulate", "http", "http://127.0.0.1:9/ota"];
    let said = exits(2, &[&simulate[..], &["--says", "homie-1.3"]].concat());
    assert!(said.contains("--target"), "{said}");
    let said = exits(2, &[&simulate[..], &["--target", "1.0.0"]].concat());
    assert!(said.contains("homie-1.3"), "{said}");
}
