//! A device with a web form: `ESP8266HTTPUpdateServer` and its siblings, or Tasmota.
//!
//! It reads a request as the real server does, quirks included, and gives the file to its [`Board`]. It shares no code with
//! the host in [`crate::form`].
//!
//! Sources: esp8266/Arduino `libraries/ESP8266WebServer/src/Parsing-impl.h` and `libraries/ESP8266HTTPUpdateServer` (run);
//! arendst/Tasmota `tasmota/tasmota_xdrv_driver/xdrv_01_9_webserver.ino`, commit `02504a89` (read).

mod answer;
mod parser;

use std::io;
use std::net::SocketAddr;

use base64ct::{Base64, Encoding};
use otaseal::format::image::Content;
use otaseal::profile::{Updater, Via};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::board::{Answer, Board};
use super::running::Running;
use parser::{Head, Upload, Uploaded, read_form, read_head};

/// Whose form it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// That of the Arduino cores.
    UpdateServer,
    /// Tasmota's.
    Tasmota,
}

/// What can be wrong with a device, or with what answers in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It resets the connection when it has so many bytes of the file.
    ResetsAfter(u64),
    /// It takes the update and resets the connection without an answer.
    ResetsAtTheEnd,
    /// It never answers.
    NeverAnswers,
    /// Its answer has no end.
    FloodsAnswer,
    /// Its answer is no HTTP.
    Babbles,
    /// It reports success before it reads the file.
    EarlySuccess,
    /// It takes so many bytes and then nothing more, and holds the connection.
    StopsAfter(u64),
}

/// A device to simulate.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its flash and its updater.
    pub board: Board,
    /// Whose form it is.
    pub kind: Kind,
    /// The path of the form: `/update`, or `/u2` for Tasmota.
    pub path: String,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Tasmota: somebody left its page for settings open, so it takes the next upload for settings.
    pub waits_for_settings: bool,
    /// What is wrong with it.
    pub fault: Option<Fault>,
}

impl Settings {
    /// A device without a password that behaves as the real ones of its kind do.
    pub fn new(board: Board) -> Self {
        let (kind, path) = match board.profile.updater {
            Updater::Tasmota => (Kind::Tasmota, "/u2"),
            _ => (Kind::UpdateServer, "/update"),
        };
        Self { board, kind, path: path.into(), login: None, waits_for_settings: false, fault: None }
    }
}

/// What a device did.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its board, after all.
    pub board: Board,
    /// Requests that it got.
    pub requests: u32,
    /// Bytes of all files.
    pub received: u64,
    /// Uploads that ended before their form did.
    pub aborted: u32,
    /// The error that its updater had last.
    pub refused: Option<String>,
}

/// Starts a device at an address. Port 0 lets the system choose.
///
/// # Errors
///
/// The address cannot be had.
pub async fn start(settings: Settings, address: SocketAddr) -> io::Result<Running<Report>> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok(Running::start(address, |stopped| live(settings, listener, stopped)))
}

async fn live(settings: Settings, listener: TcpListener, mut stopped: oneshot::Receiver<()>) -> Report {
    let mut server = Server::new(settings);
    tokio::select! {
        _ = &mut stopped => {}
        () = server.serve(&listener) => {}
    }
    server.report
}

/// What the server remembers between two requests.
struct Server {
    settings: Settings,
    report: Report,
    /// `_authenticated`: decided when a file begins, and kept until the next one. A request without a file gets the
    /// verdict of the one before.
    authenticated: bool,
    /// `_updaterError`, or the error of Tasmota's form.
    error: Option<String>,
    /// Tasmota: what it takes the next upload for.
    takes_settings: bool,
}

impl Server {
    fn new(settings: Settings) -> Self {
        let report =
            Report { board: settings.board.clone(), requests: 0, received: 0, aborted: 0, refused: None };
        let takes_settings = settings.waits_for_settings;
        Self { settings, report, authenticated: false, error: None, takes_settings }
    }

    /// The server of a device serves one connection at a time.
    async fn serve(&mut self, listener: &TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let mut stream = BufReader::new(stream);
            let answer = self.request(&mut stream).await;
            let Some(answer) = answer else { continue };
            let restarts = answer.restarts;
            let _ = stream.get_mut().write_all(&answer.bytes).await;
            let _ = stream.get_mut().shutdown().await;
            if restarts {
                self.report.board.restart();
            }
        }
    }

    /// Reads one request. Returns nothing if the device closes the connection without an answer.
    async fn request(&mut self, stream: &mut BufReader<TcpStream>) -> Option<answer::Page> {
        let head = read_head(stream).await?;
        self.report.requests += 1;
        let path = head.path.split('?').next().unwrap_or_default().to_owned();
        let is_form = path == self.settings.path;
        match self.settings.fault {
            Some(Fault::Babbles) => return Some(answer::raw(b"\x1b]0;owned\x07 SSH-2.0-OpenSSH\r\n")),
            Some(Fault::EarlySuccess) => {
                let _ = stream.get_mut().write_all(&answer::success().bytes).await;
            }
            _ => {}
        }
        if head.method == "POST" {
            let uploaded = match read_form(stream, &head.boundary, self.settings.fault).await {
                Some(uploaded) => uploaded,
                None => {
                    self.report.aborted += 1;
                    return None;
                }
            };
            self.uploaded(&head, is_form, &uploaded);
            if !uploaded.is_whole {
                self.report.aborted += 1;
                return None;
            }
        }
        match self.settings.fault {
            Some(Fault::NeverAnswers) => return std::future::pending().await,
            Some(Fault::FloodsAnswer) => {
                let page = answer::endless();
                while stream.get_mut().write_all(&page).await.is_ok() {}
                return None;
            }
            Some(Fault::ResetsAtTheEnd) => {
                let _ = socket2::SockRef::from(stream.get_ref()).set_linger(Some(std::time::Duration::ZERO));
                self.report.board.restart();
                return None;
            }
            _ => {}
        }
        match self.settings.kind {
            Kind::UpdateServer => Some(self.update_server(&head, is_form)),
            Kind::Tasmota => self.tasmota(&head, &path, is_form),
        }
    }

    /// The upload handler.
    fn uploaded(&mut self, head: &Head, is_form: bool, uploaded: &Uploaded) {
        let Some(Upload { field, bytes }) = &uploaded.file else { return };
        self.report.received += bytes.len() as u64;
        if !is_form {
            return;
        }
        self.error = None;
        let content = match (self.settings.kind, field.as_str()) {
            (Kind::UpdateServer, "filesystem") => Content::Filesystem,
            _ => Content::Firmware,
        };
        if self.settings.kind == Kind::UpdateServer {
            self.authenticated = self.knows(head);
            if !self.authenticated {
                return;
            }
        } else if self.takes_settings {
            self.error = Some("File invalid".into());
            return;
        }
        // The image is committed before the form ends.
        if let Answer::Refused { prints, .. } = self.report.board.receive(bytes, Some(Via::Form), content) {
            self.report.refused = Some(prints.clone());
            self.error = Some(prints);
        }
    }

    fn knows(&self, head: &Head) -> bool {
        let Some((user, password)) = &self.settings.login else { return true };
        let expected = Base64::encode_string(format!("{user}:{password}").as_bytes());
        head.value("Authorization") == Some(&format!("Basic {expected}"))
    }

    fn update_server(&self, head: &Head, is_form: bool) -> answer::Page {
        match head.method.as_str() {
            "GET" if is_form && !self.knows(head) => answer::unauthorized(),
            "GET" if is_form => answer::form(),
            "POST" if is_form && !self.authenticated => answer::unauthorized(),
            "POST" if is_form => match &self.error {
                Some(error) => answer::error(error),
                None => answer::success(),
            },
            _ => answer::not_found(&head.path),
        }
    }

    fn tasmota(&mut self, head: &Head, path: &str, is_form: bool) -> Option<answer::Page> {
        let is_known = matches!((head.method.as_str(), path), ("GET", "/up" | "/"))
            || (head.method == "POST" && is_form);
        if !is_known {
            return Some(answer::not_found(&head.path));
        }
        if !self.knows(head) {
            return Some(answer::unauthorized());
        }
        // `HttpCheckPriviledgedAccess`: a stranger gets no answer at all.
        let referer = head.value("Referer").unwrap_or_default();
        if !referer
            .strip_prefix("http://")
            .is_some_and(|rest| rest.starts_with("127.0.0.1") || rest.starts_with("tasmota-"))
        {
            return None;
        }
        if head.method == "GET" {
            self.takes_settings = false;
            self.error = None;
            return Some(answer::tasmota_form());
        }
        Some(answer::tasmota(self.error.take().as_deref()))
    }
}

#[cfg(test)]
mod tests;
