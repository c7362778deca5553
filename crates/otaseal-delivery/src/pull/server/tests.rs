//! The port, over the loop-back network, with the bytes of true devices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use super::*;
use crate::pull::catalogue::{Entry, Listed};
use crate::sim::image::Sample;
use crate::testing::unsigned;
use otaseal::format::digest::Md5Digest;
use tokio::sync::oneshot;

mod answers;
mod devices;
mod hostile;
mod slow;
mod tls;

/// No test waits longer for one thing.
const PATIENCE: Duration = Duration::from_secs(20);

/// As core 3.1.2 asks. The blanks and the order are those of the device.
const ESP8266: &str = "GET /ota/lamp HTTP/1.0\r\nHost: 127.0.0.1:8080\r\nUser-Agent: ESP8266-http-Update\r\n\
    Connection: close\r\nx-ESP8266-Chip-ID: 1458415\r\nx-ESP8266-STA-MAC: 5C:CF:7F:AA:BB:CC\r\n\
    x-ESP8266-AP-MAC: 5E:CF:7F:AA:BB:CC\r\nx-ESP8266-free-space: 987136\r\nx-ESP8266-sketch-size: 60000\r\n\
    x-ESP8266-sketch-md5: 0123456789abcdef0123456789abcdef\r\nx-ESP8266-chip-size: 4194304\r\n\
    x-ESP8266-sdk-version: 2.2.2-dev(38a443e)\r\nx-ESP8266-mode: sketch\r\nContent-Length: 0\r\n\r\n";

/// A port that runs on a thread of its own.
struct Port {
    address: SocketAddr,
    shared: Arc<Shared>,
    records: Receiver<Record>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Port {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the port panicked");
        }
    }
}

fn start(catalogue: Catalogue, settings: Settings, limits: Limits) -> Port {
    start_with(catalogue, settings, limits, None)
}

fn start_with(
    catalogue: Catalogue,
    settings: Settings,
    limits: Limits,
    acceptor: Option<TlsAcceptor>,
) -> Port {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new(Shared::new(catalogue, settings, limits));
    let ((tell, records), (stop, stopped)) = (channel(), oneshot::channel::<()>());
    let thread = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                let listener = TcpListener::from_std(listener).unwrap();
                let tell = Rc::new(move |record| drop(tell.send(record)));
                tokio::select! {
                    ended = serve(listener, shared, acceptor, tell) => panic!("the port ended: {ended:?}"),
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        }
    });
    Port { address, shared, records, stop: Some(stop), thread: Some(thread) }
}

/// A port with [`image`] as lamp 2.0.0 and usual limits.
fn port() -> Port {
    start(catalogue(50_000), Settings::default(), Limits::default())
}

fn image(bytes: u32) -> Vec<u8> {
    Sample { name: "lamp", version: "2.0.0", bytes, seed: 5 }.esp8266()
}

/// One release, at the top: its address is also `/lamp.bin`.
fn catalogue(bytes: u32) -> Catalogue {
    Catalogue::new(vec![Entry::new(unsigned(&image(bytes)), None)], Listed::default())
}

/// A request of a device, with some text of it replaced.
fn asking(from: &str, to: &str) -> String {
    assert!(ESP8266.contains(from), "{from}");
    ESP8266.replace(from, to)
}

/// What runs on the device.
fn running(md5: Md5Digest) -> String {
    asking("0123456789abcdef0123456789abcdef", &md5.to_string())
}

impl Port {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends some bytes and reads until the port closes. A reset is a failure of the test.
    fn say(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut stream = self.connect();
        stream.write_all(bytes.as_ref()).unwrap();
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).unwrap();
        Reply::parse(&raw)
    }

    fn record(&self) -> Record {
        self.records.recv_timeout(PATIENCE).expect("no record of the connection")
    }
}

/// What came back.
#[derive(Debug)]
struct Reply {
    line: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn parse(raw: &[u8]) -> Self {
        let shown = || String::from_utf8_lossy(&raw[..raw.len().min(300)]).into_owned();
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no end of the header: {:?}", shown()));
        let mut lines = std::str::from_utf8(&raw[..end]).unwrap().split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Self { line, fields: lines.map(field).collect(), body: raw[end + 4..].to_vec() }
    }

    fn status(&self) -> u16 {
        assert!(self.line.starts_with("HTTP/1."), "{}", self.line);
        self.line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The value of a field that may stand there once.
    fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(known, _)| known == name);
        let first = found.next();
        assert!(found.next().is_none(), "{name} stands there twice: {:?}", self.fields);
        first.map(|(_, value)| value.as_str())
    }
}
