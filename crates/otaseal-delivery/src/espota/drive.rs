//! Sockets for [`Talk`] and [`Listener`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{Instant, sleep_until};

use super::reply::{Heard, Listener, MAX_DATAGRAM};
use super::talk::{Effect, Input, Talk};
use super::{Local, MAX_BYTES, Request, Times, ends};
use crate::evidence::{End, Event, Evidence};
use crate::patience::{BLOCK, Patience, keep_close};
use crate::receipt::Receipt;

/// How long the rest of a sentence of the device may take.
const REST_OF_WORDS: Duration = Duration::from_secs(2);

/// Time of a transfer beside its bytes: the device erases a filesystem first, or verifies a signature last.
const GRACE: Duration = Duration::from_secs(120);

/// Pushes an image to one device.
///
/// `tell` hears what happens. Dropping the future closes the sockets: the device then keeps its firmware, unless it has
/// the whole image, which the last [`Event::Reached`] tells.
pub async fn push(request: Request, tell: &mut dyn FnMut(Event)) -> End {
    match run(&request, tell).await {
        Ok(end) | Err(end) => end,
    }
}

async fn run(request: &Request, tell: &mut dyn FnMut(Event)) -> Result<End, End> {
    let bytes = request.image.bytes();
    if bytes.is_empty() {
        return Err(ends::refused_by_us("empty", "The image is empty."));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ends::refused_by_us(
            "too-large",
            "The image is larger than any device can be told: 2 GiB.",
        ));
    }
    let udp = speak_to(request.device, &request.local).await?;
    // The device connects to the address from which the invitation came.
    let ours =
        udp.local_addr().map_err(|error| ends::no_socket("This computer's address is not known", &error))?;
    let listener = listen(ours.ip(), &request.local)?;
    let port = listener.local_addr().map_err(|error| ends::no_socket("No TCP port", &error))?.port();
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| ends::failed(Evidence::Nothing, &format!("no random numbers: {error}"), ""))?;
    let talk = Talk::new(
        request.invitation(port).into_bytes(),
        request.password.clone(),
        seed,
        request.times.clone(),
    );
    let stream = agree(talk, &udp, &listener, request.device, tell).await?;
    drop((listener, udp));
    Ok(transfer(stream, bytes, &request.times, tell).await)
}

/// A UDP socket that hears this device alone. An ESP8266 answers to the sender of the invitation, so one socket serves for
/// the whole talk.
async fn speak_to(device: SocketAddr, local: &Local) -> Result<UdpSocket, End> {
    let any = match device {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let address = local.address.unwrap_or(any);
    let udp = UdpSocket::bind((address, 0))
        .await
        .map_err(|error| ends::no_socket(&format!("This computer cannot speak from {address}"), &error))?;
    udp.connect(device)
        .await
        .map_err(|error| ends::no_socket(&format!("There is no way to {}", device.ip()), &error))?;
    Ok(udp)
}

/// A listener for the device, at the first free port.
fn listen(address: IpAddr, local: &Local) -> Result<TcpListener, End> {
    let bind = |port| {
        let listener = std::net::TcpListener::bind((address, port))?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let Some(ports) = local.ports.clone() else {
        return bind(0).map_err(|error| ends::no_socket(&format!("No TCP port at {address}"), &error));
    };
    let mut last = io::Error::from(io::ErrorKind::InvalidInput);
    for port in ports.clone() {
        match bind(port) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    let range = format!("No TCP port of {} to {} is free at {address}", ports.start(), ports.end());
    Err(ends::no_socket(&range, &last))
}

/// Invites the device until it connects.
async fn agree(
    mut talk: Talk,
    udp: &UdpSocket,
    listener: &TcpListener,
    device: SocketAddr,
    tell: &mut dyn FnMut(Event),
) -> Result<TcpStream, End> {
    let began = Instant::now();
    tell(Event::Waits { what: "the device to answer" });
    let mut effects = talk.start(Duration::ZERO);
    let mut datagram = [0; MAX_DATAGRAM];
    let mut told_contact = false;
    loop {
        if talk.had_contact() && !told_contact {
            told_contact = true;
            tell(Event::Contact { with: device.to_string() });
            tell(Event::Reached { evidence: Evidence::Contact });
        }
        for effect in effects.drain(..) {
            match effect {
                // If nobody listens, the next receive or send says so. A lost datagram is a silence.
                Effect::Send(datagram) => {
                    let _ = udp.send(&datagram).await;
                }
                Effect::Tell(event) => tell(event),
                Effect::End(end) => return Err(end),
            }
        }
        effects = tokio::select! {
            accepted = listener.accept() => match accepted {
                // Nobody else gets the image, or speaks for the device.
                Ok((stream, peer)) if peer.ip().to_canonical() == device.ip().to_canonical() => {
                    if !told_contact {
                        tell(Event::Contact { with: device.to_string() });
                        tell(Event::Reached { evidence: Evidence::Contact });
                    }
                    return Ok(stream);
                }
                Ok(_) => Vec::new(),
                Err(error) => return Err(ends::no_socket("The device could not be let in", &error)),
            },
            received = udp.recv(&mut datagram) => match received {
                Ok(length) => talk.handle(began.elapsed(), Input::Datagram(&datagram[..length])),
                Err(_) => talk.handle(began.elapsed(), Input::Unreachable),
            },
            () = sleep_until(began + talk.deadline()) => talk.handle(began.elapsed(), Input::Elapsed),
        };
    }
}

/// Sends the image as fast as the device takes it, and listens meanwhile. TCP itself paces it: a device whose flash is busy
/// closes its window. So no block waits for the number that answers it.
async fn transfer(mut stream: TcpStream, image: &[u8], times: &Times, tell: &mut dyn FnMut(Event)) -> End {
    keep_close(&stream);
    let of = image.len() as u64;
    let whole = GRACE + Duration::from_secs(of / u64::from(times.slowest.max(1)));
    let last_moment = Instant::now() + whole;
    let receipt = Receipt::of(&stream);
    let mut transfer =
        Transfer { listener: Listener::default(), sent: 0, told: 0, of, can_send: true, receipt };
    let mut patience = Patience::until(Instant::now() + times.stall);
    let (mut input, mut output) = stream.split();
    let mut buffer = [0; 4096];
    tell(Event::Progress { sent: 0, of });
    loop {
        let is_sending = transfer.can_send && transfer.sent < of;
        let from = transfer.sent as usize;
        let block = &image[from..image.len().min(from + BLOCK)];
        let done = tokio::select! {
            read = input.read(&mut buffer) => Done::Read(read),
            written = output.write(block), if is_sending => Done::Wrote(written),
            () = patience.ends() => return transfer.fell_silent(Instant::now() >= last_moment),
            () = Receipt::is_due(), if transfer.wants_receipt() => {
                transfer.receipt.look(tell);
                continue;
            }
        };
        let now = Instant::now();
        if now >= last_moment {
            return transfer.fell_silent(true);
        }
        match done {
            Done::Read(Ok(0) | Err(_)) => return transfer.closed(tell),
            Done::Read(Ok(length)) => {
                if let Some(end) = transfer.hear(&buffer[..length], tell) {
                    return end;
                }
            }
            Done::Wrote(Ok(length)) => {
                transfer.sent += length as u64;
                transfer.tell_progress(tell);
            }
            // The device may have said why before it closed.
            Done::Wrote(Err(_)) => transfer.can_send = false,
        }
        patience.set(now + transfer.patience(times));
    }
}

/// What was ready first.
enum Done {
    Read(io::Result<usize>),
    Wrote(io::Result<usize>),
}

/// A transfer that runs.
struct Transfer {
    listener: Listener,
    sent: u64,
    told: u64,
    of: u64,
    can_send: bool,
    receipt: Receipt,
}

impl Transfer {
    fn evidence(&self) -> Evidence {
        match self.sent == self.of {
            true if self.receipt.has_come() => Evidence::Sent,
            true => Evidence::HandedOver,
            false => Evidence::Contact,
        }
    }

    fn wants_receipt(&self) -> bool {
        self.sent == self.of && !self.receipt.has_come()
    }

    fn patience(&self, times: &Times) -> Duration {
        match self.listener.has_words() {
            true => REST_OF_WORDS,
            false if self.sent == self.of => times.result,
            false => times.stall,
        }
    }

    fn hear(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Event)) -> Option<End> {
        match self.listener.hear(bytes, self.sent, self.of) {
            Heard::Nothing | Heard::Words => None,
            Heard::Ok => {
                self.receipt.comes(tell);
                tell(Event::Reached { evidence: Evidence::Taken });
                Some(ends::taken())
            }
            Heard::EarlyOk => Some(ends::early_ok()),
            Heard::Error(words) => Some(ends::refused(&words)),
            Heard::TooMuch => Some(ends::too_much(self.evidence())),
        }
    }

    /// Tells at most about a hundred times.
    fn tell_progress(&mut self, tell: &mut dyn FnMut(Event)) {
        if self.sent == self.of || self.sent - self.told >= self.of / 100 {
            self.told = self.sent;
            tell(Event::Progress { sent: self.sent, of: self.of });
        }
        if self.sent == self.of {
            tell(Event::Reached { evidence: Evidence::HandedOver });
        }
    }

    fn closed(&mut self, tell: &mut dyn FnMut(Event)) -> End {
        if self.wants_receipt() {
            self.receipt.look(tell);
        }
        match self.listener.ended() {
            Some(words) => ends::refused(&words),
            None => ends::closed(self.evidence()),
        }
    }

    fn fell_silent(&self, is_late: bool) -> End {
        match self.listener.ended() {
            Some(words) => ends::refused(&words),
            None if is_late => ends::too_slow(self.evidence()),
            None => ends::silent(self.evidence()),
        }
    }
}
