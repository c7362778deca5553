//! The server as a process, and what it says.

use crate::setup::{PROGRAM, example_key, image, package};
use otaseal::format::digest::Md5Digest;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// No test waits longer for one thing.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    lines: Receiver<String>,
    /// Lines that came by while another one was waited for.
    pub(crate) seen: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pass_on(stream: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = to.send(line);
        }
    });
}

impl Server {
    /// Serves a folder on a port of the system's choice.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .arg("serve")
            .arg(folder)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        pass_on(child.stdout.take().unwrap(), tell.clone());
        pass_on(child.stderr.take().unwrap(), tell);
        let mut server = Self { child, address: String::new(), lines, seen: Vec::new() };
        let line = server.line("127.0.0.1:");
        let end = line.split("127.0.0.1:").nth(1).unwrap();
        let port: String = end.chars().take_while(char::is_ascii_digit).collect();
        server.address = format!("127.0.0.1:{port}");
        server
    }

    /// Waits for a line with this text.
    #[track_caller]
    pub(crate) fn line(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => self.seen.push(line),
                Err(error) => panic!("no line with {text:?} ({error}): {:#?}", self.seen),
            }
        }
    }

    /// A line with this text, whether it came by already or is still to come: nothing orders the two streams.
    #[track_caller]
    pub(crate) fn said(&mut self, text: &str) -> String {
        match self.seen.iter().find(|line| line.contains(text)) {
            Some(line) => line.clone(),
            None => self.line(text),
        }
    }

    /// Ends it as a user does. Returns all lines that are left.
    #[cfg(unix)]
    pub(crate) fn interrupt(mut self) -> Vec<String> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let mut rest = std::mem::take(&mut self.seen);
        rest.extend(std::iter::from_fn(|| self.lines.recv_timeout(Duration::from_secs(2)).ok()));
        assert_eq!(status.code(), Some(0), "{rest:#?}");
        rest
    }

    /// Asks as a device does, with some more fields.
    pub(crate) fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let mut text = format!(
            "GET {path} HTTP/1.0\r\nHost: {}\r\nUser-Agent: ESP8266-http-Update\r\nConnection: close\r\n\
             x-ESP8266-Chip-ID: 1458415\r\nx-ESP8266-STA-MAC: 5C:CF:7F:AA:BB:CC\r\n\
             x-ESP8266-free-space: 900000\r\nx-ESP8266-chip-size: 4194304\r\n",
            self.address
        );
        for (name, value) in fields {
            text += &format!("{name}: {value}\r\n");
        }
        text += "x-ESP8266-mode: sketch\r\nContent-Length: 0\r\n\r\n";
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).unwrap();
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n").expect("no header");
        let head = String::from_utf8(raw[..end].to_vec()).unwrap();
        let location = head.lines().filter_map(|line| line.split_once(": "));
        let location = location.filter(|(name, _)| name.eq_ignore_ascii_case("location"));
        let location = location.map(|(_, address)| address.to_owned()).next();
        let head = head.to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head, location, body: raw[end + 4..].to_vec() }
    }

    /// Asks until the status is this one: the folder is read again after a while.
    #[track_caller]
    pub(crate) fn ask_until(&self, status: u16, path: &str, fields: &[(&str, &str)]) -> Reply {
        let end = Instant::now() + PATIENCE;
        loop {
            let reply = self.ask(path, fields);
            if reply.status == status {
                return reply;
            }
            assert!(Instant::now() < end, "{path} is {} and never {status}", reply.status);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    /// Where it sends the device.
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// The public half of the example key, as `--key` takes it.
pub(crate) fn public() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../keys.example/public.pem");
    path.display().to_string()
}

/// Writes a package of lamp in this version. Its image carries the example key, which signs it.
pub(crate) fn lamp(folder: &Path, version: &str) -> PathBuf {
    package(folder, &image(version, &example_key()), &example_key())
}

/// What a device with this version of lamp says of itself.
pub(crate) fn runs(version: &str) -> (&'static str, String) {
    ("x-ESP8266-sketch-md5", Md5Digest::of(&image(version, &example_key())).to_string())
}
