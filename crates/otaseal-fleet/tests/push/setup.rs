//! Packages, simulated devices, a broker, and the program.

use otaseal::key::{KeySize, PrivateKey};
use otaseal::output::Overwrite;
use otaseal::package::firmware::Firmware;
use otaseal::package::{ArtefactKind, Destination, Options, make};
use otaseal::policy::continuity::{NextKey, quick_search};
use otaseal_delivery::sim::image::Sample;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_otaseal-fleet");

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap()
}

/// What it printed, both streams.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Runs the program, and compares its exit code. Returns what it printed.
#[track_caller]
pub(crate) fn exits(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

/// The published example key. It signs nothing but examples.
pub(crate) fn example_key() -> PrivateKey {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../keys.example/private.pem");
    PrivateKey::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn new_key() -> PrivateKey {
    PrivateKey::generate(KeySize::Rsa2048).unwrap()
}

/// An image of `lamp` that carries the public half of this key.
pub(crate) fn image(version: &str, carries: &PrivateKey) -> Vec<u8> {
    let seed = version.bytes().map(u32::from).sum();
    Sample { name: "lamp", version, bytes: 120_000, seed }.esp8266_with_key(carries.public())
}

/// Writes a package of this image, signed by this key, into a folder.
pub(crate) fn package(folder: &Path, image: &[u8], key: &PrivateKey) -> PathBuf {
    let firmware = Firmware::from_bytes("lamp.bin", image.to_vec(), 0).unwrap();
    let mut options = Options::new("lamp.bin", folder);
    options.artefacts = ArtefactKind::DEFAULT.to_vec();
    // The bridge of a rotation carries another key than the one that signs.
    let found = quick_search(image, &[]).keys;
    for located in found.into_iter().filter(|located| located.key_id != key.public().id()) {
        options.policy.continuity.rotate_to.push(NextKey::Key(located.key));
    }
    let made = make(firmware, &options, key).unwrap();
    let mut to = Destination::new(folder);
    to.overwrite = Overwrite::Replace;
    made.package.write(&to).unwrap();
    folder.to_owned()
}

/// A process that is ended when the test is.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts the program, and waits for its first line.
    pub(crate) fn start(arguments: &[&str]) -> (Self, String) {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        // One byte at a time, so that nothing of what follows is lost.
        let output = child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while output.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(char::from(byte[0]));
        }
        (Self(child), line)
    }

    /// Ends it as a user does, and returns the rest of what it printed.
    #[cfg(unix)]
    pub(crate) fn interrupt(mut self) -> String {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let mut rest = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_to_string(&mut rest).unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
        rest
    }
}

/// A free port of the loopback. Somebody else may take it in the meantime; that is rare.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether a program that a test needs is missing. In CI it must not be.
pub(crate) fn is_missing(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain([PathBuf::from("/usr/sbin")])
        .any(|folder| folder.join(program).is_file());
    assert!(found || std::env::var_os("CI").is_none(), "{program} must be installed in CI");
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    !found
}

/// mosquitto on a free port of the loopback.
pub(crate) fn broker(folder: &Path) -> (Running, String) {
    let port = free_port();
    let config = folder.join("mosquitto.conf");
    std::fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"))
        .unwrap();
    let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
    let child = Command::new(program)
        .arg("-c")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "mosquitto does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    (running, format!("mqtt://127.0.0.1:{port}"))
}

/// Publishes with mosquitto's own client.
pub(crate) fn publish(broker: &str, topic: &str, payload: &str, retained: bool) {
    let port = broker.rsplit(':').next().unwrap();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", port, "-t", topic, "-m", payload]);
    if retained {
        command.arg("-r");
    }
    assert!(command.status().unwrap().success());
}

/// The lines of a text as JSON.
pub(crate) fn json(text: &str) -> Vec<serde_json::Value> {
    text.as_bytes().lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}
