//! mDNS by multicast, with somebody else's responder.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]

use otaseal_delivery::sim::image::Sample;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A Python that has zeroconf: Debian's, or the one in PATH. In CI, one must have it.
fn python() -> Option<&'static str> {
    let has = |python: &&str| {
        let import = Command::new(python).args(["-c", "import zeroconf"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let found = ["/usr/bin/python3", "python3"].into_iter().find(has);
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "python3-zeroconf must be installed in CI");
    if found.is_none() {
        eprintln!("SKIPPED: no python3 has zeroconf");
    }
    found
}

#[test]
fn devices_are_found_and_resolved_by_multicast() {
    let Some(python) = python() else { return };
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    for program in ["ip", "unshare", "nsenter", "timeout"] {
        let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
        assert!(found || std::env::var_os("CI").is_none(), "{program} must be installed in CI");
    }
    let folder = tempfile::tempdir().unwrap();
    let own = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mdns").join(name);
    let (image, ready) = (folder.path().join("lamp.bin"), folder.path().join("ready"));
    fs::write(&image, Sample { name: "lamp", version: "2.0.0", bytes: 60_000, seed: 3 }.esp8266()).unwrap();
    // Root of a user's own: nothing of this computer's networks changes.
    let output = Command::new("timeout")
        .args(["100", "unshare", "--map-root-user", "--net", "bash", "-eu"])
        .arg(own("two_networks.sh"))
        .current_dir(folder.path())
        .env("PATH", path)
        .env("FLEET", env!("CARGO_BIN_EXE_otaseal-fleet"))
        .env("PYTHON", python)
        .env("DEVICE", own("device.py"))
        .env("IMAGE", &image)
        .env("READY", &ready)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let says = String::from_utf8_lossy(&output.stderr);
    if !ready.exists() {
        // A container may forbid it, and then so does CI's. Where root can make a network, nothing is skipped.
        eprintln!("SKIPPED: mDNS was NOT tested. No second network can be made here: {says}");
        return;
    }
    assert!(output.status.success(), "{says}");
    let said = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let discovered = said("discovered");
    for line in [
        "esp8266-0a1b2c.local espota port 8266 at 10.9.8.1, board ESP8266_WEMOS_D1MINI\n",
        "kitchen.local http port 80 at 10.9.8.1\n",
        "exit 0\n",
    ] {
        assert!(discovered.contains(line), "{discovered}");
    }
    for name in ["by-name", "by-discovery"] {
        let pushed = said(name);
        assert!(
            pushed.contains("taken: the device says") && pushed.ends_with("exit 0\n"),
            "{name}: {pushed}"
        );
    }
    let nobody = said("nobody");
    assert!(nobody.contains("no device answered to the name") && nobody.ends_with("exit 3\n"), "{nobody}");
}
