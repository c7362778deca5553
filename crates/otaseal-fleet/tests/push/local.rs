//! espota and the web form.

use crate::setup::{Running, example_key, exits, image, json, new_key, package, run, text};
use std::fs;
use tempfile::tempdir;

/// The port in `simulates ArduinoOTA on 127.0.0.1:PORT`.
fn port(line: &str) -> &str {
    line.rsplit(':').next().unwrap().trim()
}

#[test]
fn espota_with_a_password_brings_a_signed_image_to_a_device_with_the_key() {
    let folder = tempdir().unwrap();
    let key = example_key();
    let old = folder.path().join("old.bin");
    fs::write(&old, image("1.0.0", &key)).unwrap();
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    let password = folder.path().join("password");
    fs::write(&password, "a-real-password\n").unwrap();
    let (old, password, dist) = (old.to_str().unwrap(), password.to_str().unwrap(), dist.to_str().unwrap());
    let (device, line) = Running::start(&[
        "simulate",
        "espota",
        "--port",
        "0",
        "--for",
        "esp8266@3.1.2",
        "--running",
        old,
        "--password-file",
        password,
    ]);
    let host = format!("127.0.0.1:{}", port(&line));
    // Without the password, and with a wrong one, nothing is sent.
    let refused = exits(1, &["push", "espota", &host, dist]);
    assert!(refused.contains("password"), "{refused}");
    let wrong = folder.path().join("wrong");
    fs::write(&wrong, "another\n").unwrap();
    exits(1, &["push", "espota", &host, dist, "--password-file", wrong.to_str().unwrap()]);
    // Nobody said that it has the key: the plain file is right for both kinds of devices.
    let sent = exits(0, &["push", "espota", &host, dist, "--password-file", password]);
    assert!(sent.contains("sends lamp.bin.signed of lamp 1.1.0"), "{sent}");
    assert!(sent.contains("taken"), "{sent}");
    // Somebody says so. A gzip is still no choice: nobody knows whether the boot loader can unpack it in this flash.
    let sent =
        exits(0, &["push", "espota", &host, dist, "--password-file", password, "--for", "esp8266@3.1.2"]);
    assert!(sent.contains("lamp.bin.gz.signed: it is not known whether it can be unpacked"), "{sent}");
    let report = device.interrupt();
    assert!(report.contains("restarted 2 times, runs lamp 1.1.0"), "{report}");
}

#[test]
fn a_device_that_refuses_says_why_and_the_exit_code_is_1() {
    let folder = tempdir().unwrap();
    let (key, other) = (example_key(), new_key());
    let old = folder.path().join("old.bin");
    fs::write(&old, image("1.0.0", &key)).unwrap();
    // Signed by a key that the device does not have.
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &other), &other);
    let (device, line) = Running::start(&[
        "simulate",
        "espota",
        "--port",
        "0",
        "--for",
        "esp8266@3.1.2",
        "--running",
        old.to_str().unwrap(),
    ]);
    let host = format!("127.0.0.1:{}", port(&line));
    let refused = exits(1, &["push", "espota", &host, dist.to_str().unwrap()]);
    assert!(refused.contains("ERROR[12]: Signature verification failed"), "{refused}");
    assert!(!refused.contains("taken"), "{refused}");
    let output = run(&["push", "espota", &host, dist.to_str().unwrap(), "--json"]);
    let lines = json(&String::from_utf8(output.stdout).unwrap());
    let end = lines.last().unwrap();
    assert_eq!(
        (end["end"].as_str(), end["by"].as_str(), end["exit_code"].as_u64()),
        (Some("refused"), Some("device"), Some(1))
    );
    let report = device.interrupt();
    assert!(report.contains("restarted 0 times, runs lamp 1.0.0"), "{report}");
}

#[test]
fn what_espota_cannot_prove_is_not_claimed() {
    let folder = tempdir().unwrap();
    let key = example_key();
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    let (_device, line) = Running::start(&["simulate", "espota", "--port", "0"]);
    let host = format!("127.0.0.1:{}", port(&line));
    let push = ["push", "espota", &host, dist.to_str().unwrap()];
    for (until, code) in [("sent", 0), ("taken", 0), ("running", 3)] {
        let said = exits(code, &[&push[..], &["--until", until]].concat());
        assert_eq!(said.contains("is not proved"), code == 3, "{said}");
    }
}

#[test]
fn nobody_answers() {
    let folder = tempdir().unwrap();
    let key = example_key();
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    // Nobody listens: the system says so at once.
    let said = exits(3, &["push", "form", "http://127.0.0.1:9/update", dist.to_str().unwrap()]);
    assert!(said.contains("nothing is known"), "{said}");
}

#[test]
fn many_devices_of_a_list_are_updated_and_the_worst_counts() {
    let folder = tempdir().unwrap();
    let key = example_key();
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    let (first, line) = Running::start(&["simulate", "espota", "--port", "0"]);
    let (second, other) =
        Running::start(&["simulate", "espota", "--port", "0", "--for", "esp8266@2.6.3/unsigned"]);
    let list = folder.path().join("devices.txt");
    let hosts =
        format!("# two rooms\n127.0.0.1:{} kitchen\n\n127.0.0.1:{} hall # old\n", port(&line), port(&other));
    fs::write(&list, &hosts).unwrap();
    let push = ["push", "espota", "--from-list", list.to_str().unwrap(), dist.to_str().unwrap()];
    let said = exits(0, &push);
    assert_eq!(said.matches("sends lamp.bin.signed").count(), 2, "{said}");
    for device in [first, second] {
        assert!(device.interrupt().contains("restarted once, runs lamp 1.1.0"));
    }
    let output = run(&[&push[..], &["--dry-run", "--json"]].concat());
    assert_eq!(json(&String::from_utf8(output.stdout).unwrap()).len(), 2);
    fs::write(&list, "127.0.0.1:99999\n").unwrap();
    let said = exits(2, &push);
    assert!(said.contains("line 1"), "{said}");
}

/// One device takes the update, one refuses it, and at the third address nobody listens.
#[test]
fn of_several_devices_the_worst_end_counts_whatever_is_waited_for() {
    let folder = tempdir().unwrap();
    let (key, other) = (example_key(), new_key());
    let old = folder.path().join("old.bin");
    fs::write(&old, image("1.0.0", &key)).unwrap();
    // A device that checks signatures does not have this key.
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &other), &other);
    let simulate = ["simulate", "espota", "--port", "0"];
    let (_takes, line) = Running::start(&simulate);
    let takes = format!("127.0.0.1:{}", port(&line));
    let checks = ["--for", "esp8266@3.1.2", "--running", old.to_str().unwrap()];
    let (_refuses, line) = Running::start(&[&simulate[..], &checks].concat());
    let refuses = format!("127.0.0.1:{}", port(&line));
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let list = folder.path().join("devices.txt");
    let push = ["push", "espota", "--from-list", list.to_str().unwrap(), dist.to_str().unwrap(), "--json"];
    let ends = |devices: &[&String], until: &str, worst: i32| {
        fs::write(&list, devices.iter().map(|device| format!("{device}\n")).collect::<String>()).unwrap();
        let output = run(&[&push[..], &["--until", until]].concat());
        assert_eq!(output.status.code(), Some(worst), "{until}: {}", text(&output));
        let lines = json(&String::from_utf8(output.stdout).unwrap());
        let ends = lines.iter().filter(|line| line["exit_code"].is_u64());
        let ends = ends.map(|end| (end["device"].as_str().unwrap(), end["exit_code"].as_u64().unwrap()));
        let of = |device: &&String| ends.clone().find(|(name, _)| name == *device).map(|(_, code)| code);
        devices.iter().map(|device| of(device).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ends(&[&takes], "sent", 0), [0]);
    assert_eq!(ends(&[&takes, &refuses], "sent", 1), [0, 1]);
    assert_eq!(ends(&[&refuses, &takes], "taken", 1), [1, 0]);
    // espota never proves that the new image runs.
    assert_eq!(ends(&[&takes, &refuses], "running", 3), [3, 1]);
    assert_eq!(ends(&[&takes, &free, &refuses], "sent", 3), [0, 3, 1]);
}

/// The system tells that the last byte arrived; the device tells nothing.
#[test]
#[cfg(target_os = "linux")]
fn what_arrived_is_sent_and_not_taken() {
    use otaseal_delivery::sim::board::Board;
    use otaseal_delivery::sim::espota::{Fault, Settings, start};
    let folder = tempdir().unwrap();
    let key = example_key();
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    let board = Board::new("esp8266@3.1.2/unsigned".parse().unwrap(), &image("1.0.0", &key));
    let mut settings = Settings::new(board);
    settings.flags.fault = Some(Fault::ClosesAtTheEnd);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let device = runtime.block_on(start(settings, "127.0.0.1:0".parse().unwrap())).unwrap();
    let host = device.address().to_string();
    for (until, code) in [("sent", 0), ("taken", 3), ("running", 3)] {
        let said = exits(code, &["push", "espota", &host, dist.to_str().unwrap(), "--until", until]);
        assert!(said.contains("sent: every byte reached the device"), "{said}");
        assert!(said.contains("without saying whether it took the update"), "{said}");
        assert_eq!(said.contains("is not proved"), code == 3, "{said}");
    }
}

#[test]
fn the_web_form_takes_an_image_with_a_password() {
    let folder = tempdir().unwrap();
    let key = example_key();
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    let password = folder.path().join("password");
    fs::write(&password, "secret\n").unwrap();
    let login = ["--user", "admin", "--password-file", password.to_str().unwrap()];
    let (device, line) = Running::start(&[&["simulate", "form", "--port", "0"][..], &login].concat());
    let url = format!("http://127.0.0.1:{}/update", port(&line));
    let push = ["push", "form", &url, dist.to_str().unwrap()];
    let said = exits(1, &push);
    assert!(said.contains("401"), "{said}");
    let said = exits(0, &[&push[..], &login].concat());
    assert!(said.contains("taken"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    assert!(device.interrupt().contains("restarted once, runs lamp 1.1.0"));
}

#[test]
fn a_rotation_goes_over_a_bridge() {
    let folder = tempdir().unwrap();
    let (old, new) = (example_key(), new_key());
    let running = folder.path().join("running.bin");
    fs::write(&running, image("1.0.0", &old)).unwrap();
    // The bridge is signed by the old key and carries the new one.
    let bridge = package(&folder.path().join("bridge"), &image("1.1.0", &new), &old);
    let after = package(&folder.path().join("after"), &image("1.2.0", &new), &new);
    let (device, line) = Running::start(&[
        "simulate",
        "form",
        "--port",
        "0",
        "--for",
        "esp8266@3.1.2",
        "--running",
        running.to_str().unwrap(),
    ]);
    let url = format!("http://127.0.0.1:{}/update", port(&line));
    let said = exits(1, &["push", "form", &url, after.to_str().unwrap()]);
    assert!(said.contains("ERROR[12]"), "{said}");
    exits(
        0,
        &["push", "form", &url, bridge.to_str().unwrap(), "--key", public(&folder, "old", &old).as_str()],
    );
    // The board of the simulator takes its key from what runs.
    let report = device.interrupt();
    assert!(report.contains("runs lamp 1.1.0"), "{report}");
    let bridged = bridge.join("lamp.bin");
    let (device, line) = Running::start(&[
        "simulate",
        "form",
        "--port",
        "0",
        "--for",
        "esp8266@3.1.2",
        "--running",
        bridged.to_str().unwrap(),
    ]);
    let url = format!("http://127.0.0.1:{}/update", port(&line));
    exits(0, &["push", "form", &url, after.to_str().unwrap()]);
    assert!(device.interrupt().contains("runs lamp 1.2.0"));
}

fn public(folder: &tempfile::TempDir, name: &str, key: &otaseal::key::PrivateKey) -> String {
    let path = folder.path().join(format!("{name}.pem"));
    fs::write(&path, key.public().to_spki_pem()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn with_a_key_only_what_it_verifies_is_sent() {
    let folder = tempdir().unwrap();
    let (key, other) = (example_key(), new_key());
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    let (own, theirs) = (public(&folder, "own", &key), public(&folder, "theirs", &other));
    let push = ["push", "espota", "127.0.0.1:8266", dist.to_str().unwrap(), "--dry-run", "--key"];
    exits(0, &[&push[..], &[own.as_str()]].concat());
    let said = exits(1, &[&push[..], &[theirs.as_str()]].concat());
    assert!(said.contains("signature"), "{said}");
    // A file that was changed afterwards.
    let file = dist.join("lamp.bin");
    let mut bytes = fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let said = text(&run(&[&push[..], &[own.as_str()]].concat()));
    assert!(said.contains("lamp.bin"), "{said}");
}
