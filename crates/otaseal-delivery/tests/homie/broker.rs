//! A mosquitto for one test, on a free port of the loop-back interface.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use otaseal_delivery::mqtt::{Address, Options};
use tempfile::TempDir;

/// Prints that a test does not run. In CI it fails.
#[allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI every peer must be there: {why}");
    eprintln!("SKIPPED: {why}");
}

pub(crate) struct Broker {
    child: Child,
    pub(crate) port: u16,
    pub(crate) dir: TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Broker {
    /// Starts one that everybody may use. Returns `None` if there is no mosquitto.
    pub(crate) fn start() -> Option<Self> {
        Self::with("allow_anonymous true", |_| {})
    }

    /// Starts one with these lines in its configuration. `DIR` in them is its folder, which `prepare` fills.
    pub(crate) fn with(lines: &str, prepare: impl FnOnce(&Path)) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let port = free_port();
        let folder = dir.path().display().to_string();
        let config = format!(
            "listener {port} 127.0.0.1\nuser root\npersistence true\npersistence_location {folder}/\n{}\n",
            lines.replace("DIR", &folder)
        );
        std::fs::write(dir.path().join("mosquitto.conf"), config).unwrap();
        let child = spawn(dir.path(), port)?;
        Some(Self { child, port, dir })
    }

    pub(crate) fn address(&self) -> Address {
        format!("mqtt://127.0.0.1:{}", self.port).parse().unwrap()
    }

    pub(crate) fn options(&self) -> Options {
        Options::new(self.address())
    }

    pub(crate) fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// Ends it as `systemctl stop` does, so that it keeps its retained messages, and starts it again.
    pub(crate) fn restart(&mut self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        _ = self.child.wait();
        self.child = spawn(self.dir.path(), self.port).unwrap();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn spawn(dir: &Path, port: u16) -> Option<Child> {
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
    let child = Command::new(program)
        .arg("-c")
        .arg(dir.join("mosquitto.conf"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    let Ok(mut child) = child else {
        skipped("mosquitto is not installed");
        return None;
    };
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let ended = child.try_wait().unwrap();
        assert!(
            ended.is_none() && begun.elapsed() < Duration::from_secs(10),
            "mosquitto does not start: {}",
            std::fs::read_to_string(dir.join("log")).unwrap()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(child)
}
