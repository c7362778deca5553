//! The transfer, and what the updater makes of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use otaseal::format::digest::Md5Digest;
use otaseal::format::image::Content;
use otaseal::profile::{Verdict, Via};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::talk::Invitation;
use super::{Core, Fault, Report, Settings};
use crate::sim::board::{Answer, Board};

/// Bytes that the device reads at once: one segment.
const BLOCK: usize = 1460;

/// An ESP32 waits so long for bytes.
const ESP32_WAITS: Duration = Duration::from_secs(1);

fn content(invitation: &Invitation) -> Content {
    if invitation.command == 100 { Content::Filesystem } else { Content::Firmware }
}

/// `Update.begin`, which knows the size alone: the error if there is one. The board judges a file of that size.
pub(super) fn begin(board: &Board, invitation: &Invitation) -> Result<(), String> {
    // More than the chip holds is refused like one byte more.
    let bytes = invitation.bytes.min(u64::from(board.chip_bytes) + 1);
    let file = vec![0xE9; bytes as usize];
    match board.judge(&file, Some(Via::Espota), content(invitation)) {
        // The errors that `begin` has. The others are about bytes.
        Verdict::Refuses { code: Some(4 | 5 | 8 | 11), prints, .. } => Err(prints),
        _ => Ok(()),
    }
}

/// Fetches the image and updates.
pub(super) async fn run(
    settings: &Settings,
    here: IpAddr,
    host: SocketAddr,
    invitation: &Invitation,
    report: &mut Report,
) {
    let Some(mut stream) = connect(here, host).await else { return };
    let mut image = Vec::new();
    let whole = receive(settings, invitation, &mut stream, &mut image).await;
    report.received += image.len() as u64;
    if !whole {
        return;
    }
    let words = match settings.flags.fault {
        Some(Fault::NeverEnds) => return std::future::pending().await,
        Some(Fault::ClosesAtTheEnd) => return,
        _ => end(&mut report.board, invitation, &image),
    };
    match words {
        Ok(()) => {
            sleep(settings.flags.ok_after).await;
            let _ = stream.write_all(b"OK").await;
            let _ = stream.shutdown().await;
            report.board.restart();
        }
        Err(words) => {
            let end = if settings.core == Core::Esp8266 { "\n" } else { "\r\n" };
            let _ = stream.write_all(format!("{words}{end}").as_bytes()).await;
            let _ = stream.shutdown().await;
            report.refused = Some(words);
        }
    }
}

async fn connect(here: IpAddr, host: SocketAddr) -> Option<TcpStream> {
    let socket = if host.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.ok()?;
    if !here.is_unspecified() {
        socket.bind((here, 0).into()).ok()?;
    }
    let stream = socket.connect(host).await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// Reads until the announced size is there. Returns whether it is.
async fn receive(
    settings: &Settings,
    invitation: &Invitation,
    stream: &mut TcpStream,
    image: &mut Vec<u8>,
) -> bool {
    let flags = &settings.flags;
    let mut block = [0; BLOCK];
    let mut written = 0;
    let mut tries = 0;
    while (image.len() as u64) < invitation.bytes {
        if misbehave(flags.fault, stream, image.len() as u64).await {
            return false;
        }
        let read = match flags.repeats_numbers {
            true => timeout(ESP32_WAITS, stream.read(&mut block)).await,
            false => Ok(stream.read(&mut block).await),
        };
        let length = match read {
            Ok(Ok(0) | Err(_)) => return false,
            Ok(Ok(length)) => length,
            Err(_) if written > 0 && tries < 3 => {
                tries += 1;
                let _ = stream.write_all(written.to_string().as_bytes()).await;
                continue;
            }
            Err(_) => return false,
        };
        tries = 0;
        written = length;
        image.extend(&block[..length]);
        if !flags.block_takes.is_zero() {
            sleep(flags.block_takes).await;
        }
        if stream.write_all(length.to_string().as_bytes()).await.is_err() {
            return false;
        }
    }
    true
}

/// Does what a faulty device does after so many bytes. Returns whether that was all.
async fn misbehave(fault: Option<Fault>, stream: &mut TcpStream, received: u64) -> bool {
    match fault {
        Some(Fault::ClosesAfter(bytes)) if received >= bytes => {}
        Some(Fault::StopsAfter(bytes)) if received >= bytes => std::future::pending().await,
        Some(Fault::OkAfter(bytes)) if received >= bytes => {
            let _ = stream.write_all(b"OK").await;
        }
        Some(Fault::FloodsNumbers) => while stream.write_all(&[b'9'; 4096]).await.is_ok() {},
        Some(Fault::FloodsWords) => while stream.write_all(&[b'w'; 4096]).await.is_ok() {},
        _ => return false,
    }
    true
}

/// `Update.end`.
fn end(board: &mut Board, invitation: &Invitation, image: &[u8]) -> Result<(), String> {
    // A device that verifies signatures does not look at the MD5.
    let found = Md5Digest::of(image).to_string();
    if !board.profile.verifies() && !found.eq_ignore_ascii_case(&invitation.md5) {
        let expected = &invitation.md5;
        return Err(format!("ERROR[7]: MD5 verification failed: expected: {expected}, calculated: {found}"));
    }
    match board.receive(image, Some(Via::Espota), content(invitation)) {
        Answer::Took => Ok(()),
        Answer::Refused { prints, .. } => Err(prints),
    }
}
