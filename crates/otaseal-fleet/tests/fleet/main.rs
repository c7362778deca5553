//! Runs `otaseal-fleet serve` with a fleet, simulated devices that pull from it, and curl for its API.

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_otaseal-fleet");

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A fleet that is served, with the addresses of its ports.
struct Fleet {
    folder: tempfile::TempDir,
    process: Option<Process>,
    lines: Receiver<String>,
    devices: String,
    api: String,
    token: String,
}

fn image(folder: &Path, version: &str) -> PathBuf {
    use otaseal_delivery::sim::image::Sample;
    let path = folder.join(format!("lamp-{version}.bin"));
    let seed = version.bytes().map(u32::from).sum();
    fs::write(&path, Sample { name: "lamp", version, bytes: 50_000, seed }.esp8266()).unwrap();
    path
}

impl Fleet {
    fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let ports = "[devices]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n";
        fs::write(data.join("fleet.toml"), format!("{ports}{settings}")).unwrap();
        let (_, lines) = channel();
        let empty = String::new;
        let mut fleet = Self { folder, process: None, lines, devices: empty(), api: empty(), token: empty() };
        fleet.start();
        fleet
    }

    fn start(&mut self) {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--json", "--data"])
            .arg(self.folder.path().join("data"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to_test, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = to_test.send(line);
            }
        });
        (self.process, self.lines) = (Some(Process(child)), lines);
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(20)).expect("it starts");
            let line: Value = serde_json::from_str(&line).unwrap();
            if let Some(token) = line["owner-token"].as_str() {
                self.token = token.to_owned();
            }
            if let Some(devices) = line["devices"].as_str() {
                self.devices = devices.to_owned();
                self.api = line["api"].as_str().unwrap().to_owned();
                return;
            }
        }
    }

    /// Asks by curl. Returns the status and the body.
    fn ask(&self, method: &str, path: &str, body: &[&str]) -> (u16, Value) {
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "20", "--request", method, "--write-out", "\n%{http_code}"])
            .args(["--header", &format!("Authorization: Bearer {}", self.token)])
            .args(body)
            .arg(format!("{}{path}", self.api))
            .output()
            .expect("curl is installed");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, &["--json", &body.to_string()])
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &[]).1
    }

    fn upload(&self, image: &Path) -> u16 {
        let name = image.file_name().unwrap().to_str().unwrap();
        let body = format!("@{}", image.display());
        self.ask("POST", &format!("/releases?file={name}"), &["--data-binary", &body]).0
    }

    fn simulate(&self, count: u32, running: &Path) -> Process {
        let child = Command::new(PROGRAM)
            .args(["simulate", "http", "--every", "1", "--count", &count.to_string(), "--running"])
            .arg(running)
            .arg(format!("{}/update", self.devices))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }

    fn wait_for(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < Duration::from_secs(150), "no {what}: {}", self.get("/rollouts"));
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    fn count(&self, filter: &str) -> u64 {
        self.get(&format!("/devices/count?filter={filter}"))["count"].as_u64().unwrap()
    }
}

#[test]
fn a_rollout_reaches_devices_that_pull_and_outlives_a_kill() {
    let mut fleet = Fleet::new("[releases]\nunsigned = true\n[inventory]\naccept = 'family:esp8266'\n");
    let (old, new) = (image(fleet.folder.path(), "1.0.0"), image(fleet.folder.path(), "2.0.0"));
    assert_eq!((fleet.upload(&old), fleet.upload(&new), fleet.upload(&new)), (201, 201, 409));
    let devices = fleet.simulate(6, &old);
    fleet.wait_for("devices", |fleet| fleet.count("standing:accepted") == 6);
    let rollout = json!({ "name": "all", "release": 2, "plan": { "target": "firmware:lamp" } });
    let (_, dry) = fleet.post("/rollouts/dry-run", &rollout);
    assert_eq!(
        (&dry["targets"], &dry["offered"]["lamp-2.0.0.bin"]["devices"]),
        (&json!(6), &json!(6)),
        "{dry}"
    );
    assert_eq!(fleet.post("/rollouts", &rollout).0, 201);
    assert_eq!(fleet.ask("POST", "/rollouts/1/start", &[]).0, 204);
    let confirmed = |fleet: &Fleet| fleet.get("/rollouts/1")["verdicts"]["confirmed"].as_u64().unwrap();
    fleet.wait_for("first update", |fleet| confirmed(fleet) >= 1);
    // The simulated devices know the address, so the next process takes the same port.
    let before = confirmed(&fleet);
    let settings = format!(
        "[devices]\nlisten = '{}'\n[admin]\nlisten = '127.0.0.1:0'\n[releases]\nunsigned = true\n\
         [inventory]\naccept = 'family:esp8266'\n",
        fleet.devices.trim_start_matches("http://"),
    );
    fs::write(fleet.folder.path().join("data/fleet.toml"), settings).unwrap();
    fleet.process = None;
    let token = std::mem::take(&mut fleet.token);
    fleet.start();
    assert_eq!(fleet.token, "", "it is shown once");
    fleet.token = token;
    assert!(confirmed(&fleet) >= before, "nothing that was proved is lost");
    fleet.wait_for("end", |fleet| fleet.get("/rollouts/1")["phase"] == json!("completed"));
    assert_eq!(confirmed(&fleet), 6);
    assert_eq!(fleet.count("version:2.0.0"), 6);
    assert_eq!(fleet.get("/health"), json!({ "health": "good", "faults": [] }));
    drop(devices);
}

/// The commands of a person, one after the other, against a fleet that runs.
#[test]
fn a_first_evening_by_the_commands() {
    let fleet = Fleet::new("[releases]\nunsigned = true\n");
    let server = fleet.api.trim_end_matches("/api/v1").to_owned();
    let run = |args: &[&str]| {
        let output = Command::new(PROGRAM)
            .args(args)
            .args(["--server", &server])
            .env("OTASEAL_FLEET_TOKEN", &fleet.token)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let ok = |args: &[&str]| {
        let (code, out, error) = run(args);
        assert_eq!(code, 0, "{args:?}: {out}{error}");
        out
    };
    let (old, new) = (image(fleet.folder.path(), "1.0.0"), image(fleet.folder.path(), "2.0.0"));
    assert_eq!(ok(&["upload", old.to_str().unwrap()]), "release 1: lamp 1.0.0 (signed by nobody)\n");
    ok(&["upload", new.to_str().unwrap(), "--notes", "Fixes the clock"]);
    let (code, _, error) = run(&["upload", new.to_str().unwrap()]);
    assert_eq!(code, 1, "{error}");
    let nameless = fleet.folder.path().join("nameless.bin");
    fs::write(&nameless, vec![0xA5; 4_096]).unwrap();
    let (code, _, error) = run(&["upload", nameless.to_str().unwrap()]);
    assert!(code == 1 && error.contains("--release-version"), "{error}");
    assert!(ok(&["release", "list"]).contains("lamp 2.0.0"));
    let devices = fleet.simulate(3, &old);
    fleet.wait_for("devices", |fleet| fleet.count("standing:pending") == 3);
    let (code, _, error) = run(&["rollout", "draft", "2", "firmware:lamp"]);
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = run(&["rollout", "start", "1"]);
    assert!(code == 1 && error.contains("device accept"), "{error}");
    assert_eq!(ok(&["device", "accept", "--filter", "standing:pending"]), "3 devices are accepted\n");
    ok(&["device", "edit", "1", "--name", "kitchen", "--tags", "canary,lamp"]);
    assert!(ok(&["device", "list", "tag:canary"]).contains("kitchen"));
    let dry = ok(&["rollout", "dry-run", "2", "firmware:lamp"]);
    assert!(dry.contains("3 get lamp-2.0.0.bin"), "{dry}");
    ok(&["rollout", "start", "1"]);
    let watched = ok(&["rollout", "watch", "1"]);
    assert!(watched.trim_end().lines().last().unwrap().contains("completed"), "{watched}");
    assert!(ok(&["device", "show", "1"]).contains("update to release 2: confirmed"));
    let token = ok(&["token", "make", "ci", "--scopes", "upload"]);
    assert!(token.starts_with("otaseal_"));
    ok(&["token", "revoke", "ci"]);
    assert!(ok(&["token", "list"]).contains("ci: upload, revoked"));
    assert_eq!(ok(&["key", "list"]), "");
    assert!(ok(&["audit"]).contains("rollout.start rollout/1"));
    let (code, _, error) = run(&["release", "delete", "2"]);
    assert!(code == 1 && error.contains("in use"), "{error}");
    let wrong = Command::new(PROGRAM)
        .args(["device", "list", "--server", &server])
        .env("OTASEAL_FLEET_TOKEN", "otaseal_wrong")
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(3));
    let nobody = Command::new(PROGRAM)
        .args(["device", "list", "--server", "http://127.0.0.1:1"])
        .env("OTASEAL_FLEET_TOKEN", "otaseal_wrong")
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(3));
    drop(devices);
}

#[test]
fn what_is_wrong_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = |settings: &str| {
        fs::write(folder.path().join("fleet.toml"), settings).unwrap();
        let output = Command::new(PROGRAM).args(["serve", "--data"]).arg(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (settings, says) in [
        ("[admin]\npasswort = 'x'", "unknown field"),
        ("[admin]\nlisten = '0.0.0.0:1'", "no TLS"),
        ("[devices]\nuser = 'a'", "password-file"),
        ("[devices]\nuser = 'a'\npassword-file = 'not-there'", "not-there"),
        ("[devices]\ntls-cert = 'not-there'\ntls-key = 'x'", "not-there"),
        ("[inventory]\naccept = 'colour:red'", "inventory.accept"),
    ] {
        let (code, text) = start(settings);
        assert_eq!(code, Some(3), "{settings}: {text}");
        assert!(text.contains(says) && text.contains("help:"), "{settings}: {text}");
    }
    let both = Command::new(PROGRAM).args(["serve", "a-folder", "--data", "b"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
    let key = Command::new(PROGRAM).args(["serve", "--key", "public.pem"]).output().unwrap();
    assert_eq!(key.status.code(), Some(2), "the fleet has its own list of keys");
}

#[test]
fn a_second_process_does_not_take_the_data() {
    let fleet = Fleet::new("");
    let second = Command::new(PROGRAM)
        .args(["serve", "--data"])
        .arg(fleet.folder.path().join("data"))
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(3));
    assert!(String::from_utf8(second.stderr).unwrap().contains("another otaseal-fleet"));
    assert_eq!(fleet.count(""), 0);
}
