//! A device that pulls by HTTP: `ESP8266httpUpdate`, its siblings, Homie 1 and Tasmota.
//!
//! It asks with the bytes of the real device, reads the answer as the real client does, faults included, and gives the
//! file to its [`Board`]. It shares no parser with the server in [`crate::pull`].
//!
//! Sources: esp8266/Arduino `libraries/ESP8266httpUpdate` and `libraries/ESP8266HTTPClient` (run); earlephilhower/arduino-pico
//! `libraries/HTTPUpdate` (run); espressif/arduino-esp32 `libraries/HTTPUpdate` and homieiot/homie-esp8266 `BootOta.cpp`
//! v1.0.0 to v1.5.0 (read); arendst/Tasmota `support_tasmota.ino` (read).

mod ask;
mod reply;

use std::time::Duration;

use otaseal::format::digest::Md5Digest;
use otaseal::format::image::Content;
use otaseal::profile::{CoreVersion, Updater, Verdict, Via};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::board::{Answer, Board};
use reply::Head;

/// What the device asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Firmware.
    Sketch,
    /// A filesystem image.
    Spiffs,
    /// The version on the server. Cores after 3.1.2 have it.
    Version,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Self::Sketch => "sketch",
            Self::Spiffs => "spiffs",
            Self::Version => "version",
        }
    }
}

/// Whose updater it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Esp8266(CoreVersion),
    Pico,
    Esp32,
}

impl Client {
    fn agent(self) -> &'static str {
        match self {
            Self::Esp8266(_) => "ESP8266-http-Update",
            Self::Pico => "Pico-HTTP-Update",
            Self::Esp32 => "ESP32-http-Update",
        }
    }

    /// The esp8266 core that it is, or descends from.
    fn core(self) -> CoreVersion {
        match self {
            Self::Esp8266(core) => core,
            _ => CoreVersion(3, 1, 2),
        }
    }
}

/// What the sketch says as its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// Nothing.
    Nothing,
    /// A text.
    Version(String),
    /// The version of what runs.
    OwnVersion,
    /// It is Tasmota, with this image. It takes 304 for success, and starts again.
    Tasmota(String),
    /// It is Homie 1 in its OTA mode. Whatever comes out, it starts again.
    Homie {
        /// The form of its version.
        form: HomieForm,
        /// Its id.
        id: String,
        /// The payload of `$ota`.
        target: Option<String>,
    },
}

/// How Homie 1 writes its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomieForm {
    /// 1.0.0 to 1.2.0: `id=name@version`.
    V1_0,
    /// Two days of March 2016: `id=name@version->target`.
    March2016,
    /// 1.3.0 to 1.5.0: `id=name=version=target`.
    V1_3,
}

/// How a device behaves.
#[derive(Debug, Clone)]
pub struct Flags {
    /// An update that begins while another one runs fails with 15, and ends the other one. Cores after 3.1.2 do this. On
    /// the others it fails without an error, until the device starts again.
    pub says_15: bool,
    /// An `x-MD5` of another length than 32 leaves the updater running: the next update fails.
    pub wedge_after_105: bool,
    /// Status 401 is error -108. It is on cores since 3.0.0.
    pub knows_401: bool,
    /// After a redirect it says nothing of itself any more. It is so everywhere but on arduino-pico.
    pub forgets_fields: bool,
    /// Bytes that it takes in a second. A real one takes 20,000 to 60,000.
    pub reads_per_second: Option<u32>,
    /// How long it waits for the next part of the header (`_httpClientTimeout`).
    pub patience: Duration,
    /// How long it waits for the next byte of the image.
    pub stall: Duration,
    /// What is wrong with it.
    pub fault: Option<Fault>,
}

/// What can be wrong with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It loses its power when it has so many bytes of the image.
    LosesPowerAfter(u64),
    /// It takes so many bytes, and then nothing more for this long.
    StopsAfter(u64, Duration),
    /// It takes all, installs nothing and holds the connection for this long.
    HangsAtTheEnd(Duration),
}

/// A device to simulate.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its flash and its updater.
    pub board: Board,
    /// Its address as a station.
    pub mac: [u8; 6],
    /// `host:port` of the server.
    pub host: String,
    /// The path that it asks for.
    pub path: String,
    /// `user:password`, as base64.
    pub login: Option<String>,
    /// What it says as its version.
    pub says: Says,
    /// Whether the sketch lets it follow redirects (`setFollowRedirects`).
    pub follows: bool,
    /// How it behaves.
    pub flags: Flags,
    /// The updater was left running.
    wedged: bool,
    /// Tasmota had no room, so it fetches its minimal firmware next (`RtcSettings.ota_loader`).
    minimal: bool,
}

/// What came of one poll, as the sketch sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// `HTTP_UPDATE_OK`. Firmware starts at once.
    Updated,
    /// `HTTP_UPDATE_NO_UPDATES`.
    NoUpdates,
    /// The version on the server.
    Version(String),
    /// `HTTP_UPDATE_FAILED`, with `getLastError`: below -99 of the updater by HTTP, below 0 of the HTTP client, else of
    /// `Update`.
    Failed(i32),
    /// It lost its power.
    Dead,
}

// Errors of `ESP8266httpUpdate.h` and `ESP8266HTTPClient.h`.
const CONNECTION_REFUSED: i32 = -1;
const SEND_HEADER_FAILED: i32 = -2;
const CONNECTION_LOST: i32 = -5;
const READ_TIMEOUT: i32 = -11;
const NO_SIZE: i32 = -101;
const NOT_FOUND: i32 = -102;
const FORBIDDEN: i32 = -103;
const WRONG_CODE: i32 = -104;
const FAULTY_MD5: i32 = -105;
const UNAUTHORIZED: i32 = -108;
const NO_VERSION: i32 = -109;
// Errors of `Updater.h`.
const STREAM: i32 = 6;
const MD5: i32 = 7;
const RUNNING_ALREADY: i32 = 15;

/// A real device reads headers of 200 kB. This one ends there.
const MAX_HEADER: u64 = 1 << 20;
/// `HTTPClient::_redirectLimit`.
const REDIRECTS: u32 = 10;

impl Flags {
    /// What the real devices of this kind do.
    fn of(client: Client) -> Self {
        let esp8266 = matches!(client, Client::Esp8266(_));
        Self {
            says_15: client.core() > CoreVersion(3, 1, 2),
            wedge_after_105: esp8266,
            knows_401: client.core() >= CoreVersion(3, 0, 0) && client != Client::Esp32,
            forgets_fields: client != Client::Pico,
            reads_per_second: None,
            patience: Duration::from_secs(8),
            stall: Duration::from_secs(70),
            fault: None,
        }
    }
}

impl Device {
    /// A device that asks this server for this path, and says the version of what runs.
    pub fn new(board: Board, host: &str, path: &str) -> Self {
        let mut device = Self {
            board,
            mac: [0x5C, 0xCF, 0x7F, 0xAA, 0xBB, 0xCC],
            host: host.to_owned(),
            path: path.to_owned(),
            login: None,
            says: Says::OwnVersion,
            follows: false,
            flags: Flags::of(Client::Pico),
            wedged: false,
            minimal: false,
        };
        device.flags = Flags::of(device.client());
        device
    }

    fn client(&self) -> Client {
        match self.board.profile.updater {
            Updater::Esp8266(core) | Updater::HomieMqtt(core) => Client::Esp8266(core),
            Updater::Pico => Client::Pico,
            Updater::Esp32(_) => Client::Esp32,
            _ => Client::Esp8266(CoreVersion(2, 7, 4)),
        }
    }

    /// The bytes with which it asks.
    pub fn request(&self, mode: Mode) -> String {
        ask::request(self, mode, &host_field(&self.host), &self.path, false)
    }

    /// Asks once, and does what the sketch of the documents does.
    pub async fn poll(&mut self, mode: Mode) -> Outcome {
        let outcome = self.ask(mode).await;
        match (&self.says, &outcome) {
            // `HTTP_UE_TOO_LESS_SPACE` and `HTTP_UE_BIN_FOR_WRONG_FLASH`.
            (Says::Tasmota(_), Outcome::Failed(-100 | -107)) => self.minimal = true,
            (Says::Tasmota(_), Outcome::Updated) => self.minimal = false,
            _ => {}
        }
        let starts = match (&outcome, &self.says) {
            // In its OTA mode Homie 1 always ends with a start.
            (_, Says::Homie { .. }) => true,
            (Outcome::Updated, _) => mode == Mode::Sketch,
            (Outcome::NoUpdates, Says::Tasmota(_)) | (Outcome::Dead, _) => true,
            _ => false,
        };
        if starts {
            self.board.restart();
            self.wedged = false;
        }
        outcome
    }

    async fn ask(&mut self, mode: Mode) -> Outcome {
        let (mut host, mut path, mut bare) = (self.host.clone(), self.path.clone(), false);
        if self.minimal {
            path = ask::minimal(&path);
        }
        for hop in 0..=REDIRECTS {
            let request = ask::request(self, mode, &host_field(&host), &path, bare);
            let (head, stream) = match self.exchange(&host, &request).await {
                Ok(answered) => answered,
                Err(code) => return Outcome::Failed(code),
            };
            let moved = self.follows && hop < REDIRECTS && [301, 302, 303, 307].contains(&head.code);
            match moved.then(|| elsewhere(&head.location, &host)).flatten() {
                Some(next) => {
                    (host, path) = next;
                    bare = self.flags.forgets_fields;
                }
                None => return self.answered(mode, head, stream).await,
            }
        }
        Outcome::Failed(WRONG_CODE)
    }

    /// `HTTPClient::sendRequest` and `handleHeaderResponse`.
    async fn exchange(&self, host: &str, request: &str) -> Result<(Head, BufReader<TcpStream>), i32> {
        let patience = self.flags.patience;
        let target = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let connected = timeout(patience, TcpStream::connect(target)).await;
        let Ok(Ok(mut stream)) = connected else { return Err(CONNECTION_REFUSED) };
        stream.write_all(request.as_bytes()).await.map_err(|_| SEND_HEADER_FAILED)?;
        let mut reader = BufReader::new(stream);
        let mut head = Head::new(matches!(self.client(), Client::Esp8266(_)));
        let mut left = MAX_HEADER;
        loop {
            let mut line = Vec::new();
            let read = timeout(patience, (&mut reader).take(left).read_until(b'\n', &mut line)).await;
            match read {
                Err(_) => return Err(READ_TIMEOUT),
                Ok(Err(_) | Ok(0)) => return Err(CONNECTION_LOST),
                Ok(Ok(bytes)) => left -= bytes as u64,
            }
            if head.line(&line) {
                return if head.code > 0 { Ok((head, reader)) } else { Err(head.code) };
            }
        }
    }

    async fn answered(&mut self, mode: Mode, head: Head, stream: BufReader<TcpStream>) -> Outcome {
        match head.code {
            200 if mode == Mode::Version && head.version.is_empty() => Outcome::Failed(NO_VERSION),
            200 if mode == Mode::Version => Outcome::Version(head.version),
            200 if head.size <= 0 => Outcome::Failed(NO_SIZE),
            200 => self.update(mode, head, stream).await,
            304 if mode != Mode::Version => Outcome::NoUpdates,
            401 if self.flags.knows_401 => Outcome::Failed(UNAUTHORIZED),
            403 => Outcome::Failed(FORBIDDEN),
            404 => Outcome::Failed(NOT_FOUND),
            _ => Outcome::Failed(WRONG_CODE),
        }
    }

    /// What `handleUpdate` and `runUpdate` do after a status of 200.
    async fn update(&mut self, mode: Mode, head: Head, mut stream: BufReader<TcpStream>) -> Outcome {
        let content = if mode == Mode::Spiffs { Content::Filesystem } else { Content::Firmware };
        let size = usize::try_from(head.size).unwrap_or(usize::MAX);
        if let Some(code) = self.refuses_at_once(&[0xE9], size, content) {
            return Outcome::Failed(code);
        }
        let first = match timeout(self.flags.patience, stream.fill_buf()).await {
            Ok(Ok(first @ [_, ..])) => first[..first.len().min(4).min(size)].to_vec(),
            Ok(_) => return Outcome::Failed(CONNECTION_LOST),
            Err(_) => return Outcome::Failed(READ_TIMEOUT),
        };
        if let Some(code) = self.refuses_at_once(&first, size, content) {
            return Outcome::Failed(code);
        }
        if self.wedged {
            self.wedged = !self.flags.says_15;
            return Outcome::Failed(if self.flags.says_15 { RUNNING_ALREADY } else { 0 });
        }
        if !head.md5.is_empty() && head.md5.len() != 32 {
            self.wedged = self.flags.wedge_after_105;
            return Outcome::Failed(FAULTY_MD5);
        }
        let body = match self.body(&mut stream, size).await {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let verifies = self.board.profile.has_key && self.client() != Client::Esp32;
        let md5 = Md5Digest::of(&body).to_string();
        if !verifies && !head.md5.is_empty() && !head.md5.eq_ignore_ascii_case(&md5) {
            return Outcome::Failed(MD5);
        }
        match self.board.receive(&body, Some(Via::Http), content) {
            Answer::Took => Outcome::Updated,
            Answer::Refused { code, .. } => Outcome::Failed(code.map_or(0, i32::from)),
        }
    }

    /// The refusals for which the device reads no image: of its length, and of its first four bytes.
    fn refuses_at_once(&self, first: &[u8], size: usize, content: Content) -> Option<i32> {
        // More than any flash has.
        const MOST: usize = 32 << 20;
        let mut probe = first.to_vec();
        probe.resize(size.clamp(first.len(), MOST), 0);
        match self.board.judge(&probe, Some(Via::Http), content) {
            Verdict::Refuses { code: Some(code @ (-100 | -106 | -107)), .. } => Some(i32::from(code)),
            _ => None,
        }
    }

    async fn body(&self, stream: &mut BufReader<TcpStream>, size: usize) -> Result<Vec<u8>, Outcome> {
        let mut body = Vec::new();
        while body.len() < size {
            let part = match timeout(self.flags.stall, stream.fill_buf()).await {
                Ok(Ok(part @ [_, ..])) => &part[..part.len().min(size - body.len()).min(4096)],
                // The device does not see that the server is gone: it waits.
                Ok(_) => {
                    sleep(self.flags.stall).await;
                    return Err(Outcome::Failed(STREAM));
                }
                Err(_) => return Err(Outcome::Failed(STREAM)),
            };
            let taken = part.len();
            body.extend_from_slice(part);
            stream.consume(taken);
            if let Some(rate) = self.flags.reads_per_second {
                sleep(Duration::from_secs_f64(taken as f64 / f64::from(rate.max(1)))).await;
            }
            match self.flags.fault {
                Some(Fault::LosesPowerAfter(bytes)) if body.len() as u64 >= bytes => {
                    return Err(Outcome::Dead);
                }
                Some(Fault::StopsAfter(bytes, hold)) if body.len() as u64 >= bytes => {
                    sleep(hold).await;
                    return Err(Outcome::Dead);
                }
                _ => {}
            }
        }
        if let Some(Fault::HangsAtTheEnd(hold)) = self.flags.fault {
            sleep(hold).await;
            return Err(Outcome::Dead);
        }
        Ok(body)
    }
}

/// The value of `Host`: without the port if it is a usual one, whatever the scheme.
fn host_field(host: &str) -> String {
    let usual = host.strip_suffix(":80").or_else(|| host.strip_suffix(":443"));
    usual.unwrap_or(host).to_owned()
}

/// `HTTPClient::setURL`: a path, `//` included, or an address of the same scheme.
fn elsewhere(location: &str, host: &str) -> Option<(String, String)> {
    if location.starts_with('/') {
        return Some((host.to_owned(), location.to_owned()));
    }
    let rest = location.strip_prefix("http://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let path = if at == rest.len() { "/" } else { &rest[at..] };
    Some((rest[..at].to_owned(), path.to_owned()))
}

#[cfg(test)]
mod tests;
