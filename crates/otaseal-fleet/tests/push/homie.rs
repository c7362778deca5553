//! Homie over a real mosquitto.

use crate::setup::{Running, broker, example_key, exits, image, is_missing, package, publish};
use otaseal::format::digest::Md5Digest;
use std::fs;
use std::process::Command;
use tempfile::tempdir;

#[test]
fn a_signed_image_is_running_and_the_second_push_sends_nothing() {
    if is_missing("mosquitto") {
        return;
    }
    let folder = tempdir().unwrap();
    let key = example_key();
    let (_broker, url) = broker(folder.path());
    let old = folder.path().join("old.bin");
    fs::write(&old, image("1.0.0", &key)).unwrap();
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    let dist = dist.to_str().unwrap();
    let (device, _) = Running::start(&[
        "simulate",
        "homie",
        "--broker",
        &url,
        "--for",
        "homie-mqtt@3.1.2",
        "--running",
        old.to_str().unwrap(),
    ]);
    let push = ["push", "homie", "sim-1", dist, "--broker", &url];
    let said = exits(0, &push);
    assert!(said.contains("sends lamp.bin.signed of lamp 1.1.0"), "{said}");
    assert!(said.contains("running: the device came back as the new image"), "{said}");
    let said = exits(0, &push);
    assert!(said.contains("runs this image already"), "{said}");
    // An older version only on demand.
    let back = package(&folder.path().join("back"), &image("1.0.0", &key), &key);
    let push = ["push", "homie", "sim-1", back.to_str().unwrap(), "--broker", &url];
    let said = exits(1, &push);
    assert!(said.contains("older-version"), "{said}");
    exits(0, &[&push[..], &["--downgrade"]].concat());
    drop(device);
}

#[test]
fn a_device_that_is_not_there_is_waited_for_and_then_given_up() {
    if is_missing("mosquitto") {
        return;
    }
    let folder = tempdir().unwrap();
    let key = example_key();
    let (_broker, url) = broker(folder.path());
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    let said =
        exits(3, &["push", "homie", "nobody", dist.to_str().unwrap(), "--broker", &url, "--wait", "1"]);
    assert!(said.contains("failed"), "{said}");
    let said =
        exits(3, &["push", "homie", "nobody", dist.to_str().unwrap(), "--broker", "mqtt://127.0.0.1:9"]);
    assert!(said.contains("127.0.0.1:9"), "{said}");
}

#[test]
fn a_configuration_is_changed_and_no_secret_is_printed() {
    if is_missing("mosquitto") {
        return;
    }
    let folder = tempdir().unwrap();
    let (_broker, url) = broker(folder.path());
    let (_device, _) = Running::start(&["simulate", "homie", "--broker", &url]);
    let change = folder.path().join("change.json");
    let set = ["config", "homie", "sim-1", "set", change.to_str().unwrap(), "--broker", &url];
    fs::write(&change, r#"{"settings":{"interval":20}}"#).unwrap();
    let said = exits(0, &set);
    assert!(said.contains("settings.interval: 10 -> 20"), "{said}");
    fs::write(&change, r#"{"mqtt":{"host":"elsewhere"}}"#).unwrap();
    let said = exits(1, &set);
    assert!(said.contains("mqtt.host"), "{said}");
    fs::write(&change, "[1]").unwrap();
    exits(1, &set);
    let said = exits(0, &["config", "homie", "sim-1", "get", "--broker", &url]);
    assert!(said.contains("\"interval\": 20"), "{said}");
    for secret in ["wifi-secret", "mqtt-secret", "mqtt-user"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn a_reset_and_a_forget_want_the_name_of_the_device() {
    if is_missing("mosquitto") {
        return;
    }
    let folder = tempdir().unwrap();
    let (_broker, url) = broker(folder.path());
    let (_device, _) = Running::start(&["simulate", "homie", "--broker", &url]);
    for command in ["reset", "forget"] {
        let said = exits(1, &[command, "sim-1", "--broker", &url, "--confirm", "sim-2"]);
        assert!(said.contains("nothing was done"), "{said}");
        // There is no terminal to type it.
        exits(3, &[command, "sim-1", "--broker", &url]);
    }
    let said = exits(0, &["reset", "sim-1", "--broker", &url, "--confirm", "sim-1"]);
    assert!(said.contains("erased"), "{said}");
    let said = exits(0, &["forget", "sim-1", "--broker", &url, "--confirm", "sim-1"]);
    assert!(said.contains("cleared"), "{said}");
}

#[test]
fn retained_commands_are_found_and_cleared() {
    if is_missing("mosquitto") || is_missing("mosquitto_pub") {
        return;
    }
    let folder = tempdir().unwrap();
    let (_broker, url) = broker(folder.path());
    publish(&url, "homie/attic/$ota", "9.9.9", true);
    publish(&url, "homie/attic/$implementation/config/set", "{\"wifi\":{\"password\":\"hunter2\"}}", true);
    let discover = ["discover", "--broker", &url, "--seconds", "1"];
    let said = exits(1, &discover);
    assert!(said.contains("homie/attic/$ota") && said.contains("config/set"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let said = exits(0, &[&discover[..], &["--clear"]].concat());
    assert!(said.contains("cleared 2 of 2"), "{said}");
    let said = exits(0, &discover);
    assert!(!said.contains("retained"), "{said}");
}

#[test]
fn a_retained_image_of_the_device_would_undo_a_push() {
    if is_missing("mosquitto") || is_missing("mosquitto_pub") {
        return;
    }
    let folder = tempdir().unwrap();
    let key = example_key();
    let (_broker, url) = broker(folder.path());
    let old = image("1.0.0", &key);
    let (old_file, old_topic) = (folder.path().join("old.bin"), Md5Digest::of(&old));
    fs::write(&old_file, &old).unwrap();
    let old = old_file.to_str().unwrap();
    let simulate =
        ["simulate", "homie", "--broker", &url, "--for", "homie-mqtt@3.1.2/unsigned", "--running", old];
    let (device, _) = Running::start(&simulate);
    // It runs that image already, so it says 304 at every connect. After an update it would go back.
    let topic = format!("homie/sim-1/$implementation/ota/firmware/{old_topic}");
    let port = url.rsplit(':').next().unwrap();
    let words = ["-h", "127.0.0.1", "-p", port, "-r", "-t", &topic, "-f", old];
    assert!(Command::new("mosquitto_pub").args(words).status().unwrap().success());
    publish(&url, "homie/attic/$implementation/reset", "true", true);
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    let push = ["push", "homie", "sim-1", dist.to_str().unwrap(), "--broker", &url];
    for more in [&[][..], &["--dry-run"]] {
        let said = exits(1, &[&push[..], more].concat());
        assert!(said.contains("not sent (retained-command)") && said.contains(&topic), "{said}");
        assert!(said.contains("--clear") && !said.contains("attic"), "{said}");
    }
    let said = exits(0, &[&push[..], &["--clear", "--dry-run"]].concat());
    assert!(said.contains("would clear") && said.contains("would send"), "{said}");
    exits(1, &push);
    let said = exits(0, &[&push[..], &["--clear"]].concat());
    assert!(said.contains("cleared") && said.contains("running: the device came back"), "{said}");
    // A command that does no harm to the update is only shown.
    publish(&url, "homie/sim-1/$ota", "9.9.9", true);
    let said = exits(0, &push);
    assert!(said.contains("warning") && said.contains("sim-1/$ota"), "{said}");
    drop(device);
}
