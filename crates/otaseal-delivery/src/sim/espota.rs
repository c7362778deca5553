//! A device with `ArduinoOTA`.
//!
//! It listens on a UDP port, connects to the host that invites it, and gives the image to its [`Board`]. It shares no code
//! with the host in [`crate::espota`].
//!
//! Sources: `libraries/ArduinoOTA/ArduinoOTA.cpp` of esp8266/Arduino (run), earlephilhower/arduino-pico and
//! espressif/arduino-esp32 (read).

mod talk;
mod update;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use otaseal::profile::Updater;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use super::board::Board;
use super::running::Running;
use talk::{Invitation, Ota, Reaction};

/// Whose `ArduinoOTA` it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Core {
    /// esp8266/Arduino.
    Esp8266,
    /// earlephilhower/arduino-pico.
    Pico,
    /// espressif/arduino-esp32.
    Esp32,
}

/// How a device behaves. [`Flags::of`] has what the real ones do.
#[derive(Debug, Clone)]
pub struct Flags {
    /// An ESP32 says `OK` before its updater begins, and never tells that it could not. The others ask the updater first.
    pub ok_before_begin: bool,
    /// The pause between the last number and `OK`: exactly one second on an ESP8266.
    pub ok_after: Duration,
    /// An ESP32 sends its last number again, three times, after each second of silence. Then it gives up.
    pub repeats_numbers: bool,
    /// arduino-esp32 since 3.3.1 asks for SHA-256.
    pub sha256: Option<Kept>,
    /// The pause after each block: a flash that is busy.
    pub block_takes: Duration,
    /// What is wrong with it.
    pub fault: Option<Fault>,
}

/// How a sketch keeps its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// As SHA-256.
    Sha256,
    /// As MD5, from an older sketch.
    Md5,
}

/// What can be wrong with a device, or with what answers in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never answers.
    Deaf,
    /// The first datagrams do not arrive.
    LosesDatagrams(u32),
    /// Its `OK` is lost. It connects nevertheless.
    OkIsLost,
    /// It says `OK` and never connects.
    NeverConnects,
    /// It answers with other words.
    Babbles,
    /// It answers each datagram with thousands.
    FloodsDatagrams,
    /// It closes the connection after so many bytes, without a word.
    ClosesAfter(u64),
    /// It takes so many bytes and then nothing more, and holds the connection.
    StopsAfter(u64),
    /// It says `OK` after so many bytes.
    OkAfter(u64),
    /// It sends numbers without an end.
    FloodsNumbers,
    /// It sends words without an end.
    FloodsWords,
    /// It takes the image and never says anything more.
    NeverEnds,
    /// It takes the image and closes the connection.
    ClosesAtTheEnd,
}

impl Flags {
    /// What the real devices of a core do.
    pub fn of(core: Core) -> Self {
        let is_esp32 = core == Core::Esp32;
        Self {
            ok_before_begin: is_esp32,
            ok_after: if is_esp32 { Duration::ZERO } else { Duration::from_secs(1) },
            repeats_numbers: is_esp32,
            sha256: None,
            block_takes: Duration::ZERO,
            fault: None,
        }
    }
}

/// A device to simulate.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its flash and its updater.
    pub board: Board,
    /// Its `ArduinoOTA`.
    pub core: Core,
    /// Its password.
    pub password: Option<String>,
    /// How it behaves.
    pub flags: Flags,
}

impl Settings {
    /// A device without a password that behaves as the real ones of its kind do.
    pub fn new(board: Board) -> Self {
        let core = match board.profile.updater {
            Updater::Pico => Core::Pico,
            Updater::Esp32(_) => Core::Esp32,
            _ => Core::Esp8266,
        };
        Self { board, core, password: None, flags: Flags::of(core) }
    }
}

/// What a device did.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its board, after all.
    pub board: Board,
    /// Invitations that it got, also those that it swallowed.
    pub invitations: u32,
    /// Wrong answers to its nonce.
    pub wrong_passwords: u32,
    /// Bytes of all transfers.
    pub received: u64,
    /// The error that its updater had last.
    pub refused: Option<String>,
}

/// Starts a device at an address. Port 0 lets the system choose.
///
/// # Errors
///
/// The address cannot be had.
pub async fn start(settings: Settings, address: SocketAddr) -> io::Result<Running<Report>> {
    let socket = UdpSocket::bind(address).await?;
    let address = socket.local_addr()?;
    Ok(Running::start(address, |stopped| live(settings, socket, stopped)))
}

async fn live(settings: Settings, socket: UdpSocket, mut stopped: oneshot::Receiver<()>) -> Report {
    let mut report = Report {
        board: settings.board.clone(),
        invitations: 0,
        wrong_passwords: 0,
        received: 0,
        refused: None,
    };
    let mut ota = Ota::new(&settings);
    tokio::select! {
        _ = &mut stopped => {}
        () = serve(&settings, &socket, &mut ota, &mut report) => {}
    }
    report.invitations = ota.invitations;
    report.wrong_passwords = ota.wrong_passwords;
    report
}

async fn serve(settings: &Settings, socket: &UdpSocket, ota: &mut Ota, report: &mut Report) {
    let mut datagram = [0; 512];
    let mut seen = 0;
    loop {
        // An error is the answer of a host that is gone.
        let Ok((length, host)) = socket.recv_from(&mut datagram).await else { continue };
        seen += 1;
        match settings.flags.fault {
            Some(Fault::Deaf) => continue,
            Some(Fault::LosesDatagrams(count)) if seen <= count => continue,
            Some(Fault::Babbles) => {
                let _ = socket.send_to(b"HTTP/1.1 400 \x1b[31mBad Request\r\n", host).await;
                continue;
            }
            Some(Fault::FloodsDatagrams) => {
                for _ in 0..5000 {
                    let _ = socket.send_to(&[b'z'; 400], host).await;
                }
                continue;
            }
            _ => {}
        }
        match ota.datagram(&datagram[..length]) {
            Reaction::Silence => {}
            Reaction::Says(words) => {
                let _ = socket.send_to(words.as_bytes(), host).await;
            }
            Reaction::Runs(invitation) => {
                run(settings, socket, host, &invitation, report).await;
            }
        }
    }
}

/// `_runUpdate`.
async fn run(
    settings: &Settings,
    socket: &UdpSocket,
    host: SocketAddr,
    invitation: &Invitation,
    report: &mut Report,
) {
    let flags = &settings.flags;
    let begun = update::begin(&report.board, invitation);
    if let (Err(words), false) = (&begun, flags.ok_before_begin) {
        let end = if settings.core == Core::Esp8266 { "\n" } else { "\r\n" };
        let _ = socket.send_to(format!("ERR: {words}{end}").as_bytes(), host).await;
    } else if flags.fault != Some(Fault::OkIsLost) {
        let _ = socket.send_to(b"OK", host).await;
    }
    if let Err(words) = begun {
        report.refused = Some(words);
        return;
    }
    if flags.fault == Some(Fault::NeverConnects) {
        return;
    }
    let Ok(here) = socket.local_addr() else { return };
    let host = SocketAddr::new(host.ip(), invitation.port);
    update::run(settings, here.ip(), host, invitation, report).await;
}

#[cfg(test)]
mod tests;
