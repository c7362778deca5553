//! Types the commands of the guides to simulated devices, and the lines for PlatformIO and the Arduino IDE.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use otaseal_delivery::sim::board::Board;
use otaseal_delivery::sim::image::Sample;
use otaseal_delivery::sim::running::Running;
use otaseal_delivery::sim::{espota, form};

const PASSWORD: &str = "a long password";

fn guide(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sample(version: &str) -> Vec<u8> {
    Sample { name: "lamp", version, bytes: 60_000, seed: 3 }.esp8266()
}

fn board() -> Board {
    Board::new("esp8266@3.1.2/unsigned".parse().unwrap(), &sample("1.0.0"))
}

/// A directory with what the guides name, and the devices.
struct Bench {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        fs::write(folder.path().join("firmware.bin"), sample("2.0.0")).unwrap();
        fs::write(folder.path().join("password.txt"), format!("{PASSWORD}\n")).unwrap();
        Self { folder, runtime }
    }

    fn espota(&self, password: Option<&str>) -> Running<espota::Report> {
        let mut settings = espota::Settings::new(board());
        settings.password = password.map(str::to_owned);
        settings.flags.ok_after = Duration::from_millis(50);
        self.runtime.block_on(espota::start(settings, "127.0.0.1:0".parse().unwrap())).unwrap()
    }

    fn form(&self) -> Running<form::Report> {
        let mut settings = form::Settings::new(board());
        settings.login = Some(("admin".into(), PASSWORD.into()));
        self.runtime.block_on(form::start(settings, "127.0.0.1:0".parse().unwrap())).unwrap()
    }

    /// Types a line in a shell.
    fn shell(&self, line: &str) -> Output {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_otaseal-fleet"));
        let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
        Command::new("sh")
            .args(["-c", line])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("OTA_PASSWORD", PASSWORD)
            .output()
            .unwrap()
    }

    fn succeeds(&self, line: &str) {
        let output = self.shell(line);
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("taken"), "{line}\n{said}");
    }

    fn runs_the_new_image(&self, device: Running<espota::Report>) {
        std::thread::sleep(Duration::from_millis(100));
        let report = self.runtime.block_on(device.stop());
        assert!(report.board.running() == sample("2.0.0"), "it runs something else");
    }
}

/// The commands of a guide that push to one device of a network.
fn pushes(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("$ otaseal-fleet push "));
    lines.filter(|line| line.contains("192.168.1.50")).collect()
}

#[test]
fn a_push_by_espota_is_as_the_guide_says() {
    let bench = Bench::new();
    let text = guide("espota.md");
    let lines = pushes(&text);
    assert!(lines.len() >= 5, "the guide has lost its commands");
    // A person must be there for this one.
    for line in lines.into_iter().filter(|line| !line.contains("--ask-password")) {
        let device = bench.espota(line.contains("--password").then_some(PASSWORD));
        let line =
            line.replace("192.168.1.50", &device.address().to_string()).replace("10000-10010", "10000-10999");
        bench.succeeds(&format!("otaseal-fleet push {line}"));
        bench.runs_the_new_image(device);
    }
}

#[test]
fn a_push_to_a_list_is_as_the_guide_says() {
    let bench = Bench::new();
    let text = guide("espota.md");
    let (_, list) = text.split_once("```text\n").unwrap();
    let (list, _) = list.split_once("```").unwrap();
    let devices: Vec<_> = list.lines().map(|_| bench.espota(None)).collect();
    let lines = list.lines().zip(&devices).map(|(line, device)| {
        let host = line.split_whitespace().next().unwrap();
        line.replace(host, &device.address().to_string()) + "\n"
    });
    fs::write(bench.folder.path().join("devices.txt"), lines.collect::<String>()).unwrap();
    let line =
        text.lines().find_map(|line| line.strip_prefix("$ ").filter(|line| line.contains("--from-list")));
    bench.succeeds(line.unwrap());
    assert_eq!(devices.len(), 3);
    devices.into_iter().for_each(|device| bench.runs_the_new_image(device));
}

/// What PlatformIO puts in place of its variables.
#[test]
fn platformio_uploads_as_the_guide_says() {
    let bench = Bench::new();
    let text = guide("espota.md");
    let line = text.lines().find_map(|line| line.strip_prefix("upload_command = ")).unwrap();
    let device = bench.espota(Some(PASSWORD));
    let line = line.replace("$UPLOAD_PORT", &device.address().to_string()).replace("$SOURCE", "firmware.bin");
    assert!(!line.contains('$'), "{line}");
    bench.succeeds(&line);
    bench.runs_the_new_image(device);
}

/// What the Arduino IDE puts in place of its properties.
#[test]
fn the_arduino_ide_uploads_as_the_guide_says() {
    let bench = Bench::new();
    let text = guide("espota.md");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("tools.")).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let (_, line) = line.split_once("pattern=").unwrap();
        let device = bench.espota(Some(PASSWORD));
        let address = device.address().to_string();
        let line = line
            .replace("{serial.port}", &address)
            .replace("{upload.port.address}", &address)
            .replace("{build.path}", &bench.folder.path().display().to_string())
            .replace("{build.project_name}", "firmware");
        assert!(!line.contains('{'), "{line}");
        bench.succeeds(&line);
        bench.runs_the_new_image(device);
    }
}

#[test]
fn a_push_to_a_form_is_as_the_guide_says() {
    let bench = Bench::new();
    let text = guide("web-form.md");
    let lines = pushes(&text);
    assert!(!lines.is_empty(), "the guide has lost its commands");
    for line in lines {
        let device = bench.form();
        let line = line.replace("192.168.1.50", &device.address().to_string());
        bench.succeeds(&format!("otaseal-fleet push {line}"));
        std::thread::sleep(Duration::from_millis(100));
        let report = bench.runtime.block_on(device.stop());
        assert!(report.board.running() == sample("2.0.0"), "it runs something else");
    }
}

/// No password reaches the output, in text or in JSON.
#[test]
fn a_password_is_never_shown() {
    let bench = Bench::new();
    for json in ["", " --json"] {
        let device = bench.espota(Some("another password"));
        let line = format!(
            "otaseal-fleet push espota {} firmware.bin --password-env OTA_PASSWORD{json}",
            device.address()
        );
        let output = bench.shell(&line);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("Authentication Failed") && !said.contains(PASSWORD), "{said}");
    }
}
