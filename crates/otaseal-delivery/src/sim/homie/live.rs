//! Keeps a simulated device connected.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::brain::{self, Brain, Next, Said};
use super::wire::{self, Came, Parser};
use super::{Device, Release};
use crate::mqtt::{Address, Trust};

/// Bytes of a TCP segment on Ethernet. The device sees a payload in such chunks.
const SEGMENT: usize = 1460;
/// Pause before the device connects again. It doubles up to a minute (`ExponentialBackoffTimer`).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Time for the broker's answer.
const CONNECT: Duration = Duration::from_secs(10);
/// Pause of a restart.
const RESTART: Duration = Duration::from_millis(200);

/// Why a device does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Its flash has no firmware that starts.
    Bricked,
    /// Its configuration was erased: it is an access point now.
    Reset,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Runs a device until it is gone for good.
pub async fn live(device: &mut Device, broker: &Address, trust: &Trust) -> Gone {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut brain = Brain::default();
    let mut session = Session { started, connected: false, leaves: None };
    loop {
        session.connected = false;
        // A device restarts when its sketch is idle, with or without a connection.
        let next = match session.leaves {
            Some((at, next)) => match timeout_at(at, session.run(device, &mut brain, broker, trust)).await {
                Ok(ended) => ended,
                Err(_) => Ok(next),
            },
            None => session.run(device, &mut brain, broker, trust).await,
        };
        match next {
            Ok(Next::Forgets) => return Gone::Reset,
            Ok(Next::Restarts) => {
                if device.quirks.power_cuts > 0 {
                    device.quirks.power_cuts -= 1;
                    device.board.loses_power();
                }
                if !device.board.restart() {
                    return Gone::Bricked;
                }
                brain = Brain::default();
                sleep(RESTART).await;
                session = Session { started: Instant::now(), connected: false, leaves: None };
                pause = FIRST_PAUSE;
                continue;
            }
            Ok(Next::Stays | Next::Drops) | Err(_) => {}
        }
        if session.connected {
            pause = FIRST_PAUSE;
        }
        let idle_at = session.leaves.map(|(at, _)| at);
        sleep_until(idle_at.unwrap_or_else(|| Instant::now() + pause).min(Instant::now() + pause)).await;
        pause = (pause * 2).min(Duration::from_secs(60));
    }
}

/// Runs many devices until all are gone. They share one thread and the bytes of their images. They connect one after the
/// other, so that the broker's queue of new connections holds.
pub async fn crowd(devices: Vec<Device>, broker: Address, trust: Trust) {
    let mut running = tokio::task::JoinSet::new();
    for mut device in devices {
        let (broker, trust) = (broker.clone(), trust.clone());
        running.spawn(async move { live(&mut device, &broker, &trust).await });
        sleep(Duration::from_millis(1)).await;
    }
    while running.join_next().await.is_some() {}
}

struct Session {
    started: Instant,
    connected: bool,
    /// When the sketch is idle, and what the device does then.
    leaves: Option<(Instant, Next)>,
}

impl Session {
    /// Runs one connection until it ends. Dropping the socket without a goodbye makes the broker publish the will.
    async fn run(
        &mut self,
        device: &mut Device,
        brain: &mut Brain,
        broker: &Address,
        trust: &Trust,
    ) -> io::Result<Next> {
        let mut stream = timeout(CONNECT, open(broker, trust)).await??;
        let login = broker
            .user
            .as_deref()
            .map(|user| (user, broker.password.as_ref().map_or("", |password| password.reveal())));
        let client_id = format!("Homie-{}", device.id);
        stream.write_all(&wire::connect(&client_id, login, &brain::will(device))).await?;
        let mut parser = Parser::default();
        let mut packet_id = 0u16;
        let mut next_id = || {
            packet_id = packet_id.checked_add(1).unwrap_or(1);
            packet_id
        };
        timeout(CONNECT, self.answer(&mut stream, &mut parser)).await??;
        for said in brain::advertisement(device) {
            stream.write_all(&wire::publish(&said, next_id())).await?;
        }
        stream.write_all(&wire::subscribe(next_id(), &brain::filters(device))).await?;
        stream.write_all(&wire::publish(&brain::ready(device), next_id())).await?;
        let mut segment = vec![0; SEGMENT];
        let ping = Duration::from_secs(u64::from(wire::KEEP_ALIVE)) * 2 / 3;
        let mut ping_at = Instant::now() + ping;
        let stats = Duration::from_secs(device.quirks.stats_secs.max(1));
        let mut stats_at = Instant::now() + stats;
        loop {
            let leave_at =
                self.leaves.map_or_else(|| Instant::now() + Duration::from_secs(3600), |(at, _)| at);
            tokio::select! {
                read = stream.read(&mut segment) => {
                    let read = read?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    let (next, acknowledge) = took(device, brain, &mut parser, &segment[..read])?;
                    for said in brain.said.drain(..) {
                        stream.write_all(&wire::publish(&said, next_id())).await?;
                    }
                    for packet_id in acknowledge {
                        stream.write_all(&wire::acknowledge(packet_id)).await?;
                    }
                    if brain.receives() && !device.quirks.segment_pause.is_zero() {
                        sleep(device.quirks.segment_pause).await;
                    }
                    match next {
                        Next::Drops => return Ok(Next::Drops),
                        Next::Stays => {}
                        next => self.leaves = Some((Instant::now() + device.quirks.busy, next)),
                    }
                }
                () = sleep_until(ping_at) => {
                    stream.write_all(&wire::ping()).await?;
                    ping_at = Instant::now() + ping;
                }
                () = sleep_until(stats_at), if !is_stuck(device, brain) => {
                    stats_at = Instant::now() + stats;
                    let uptime = self.started.elapsed().as_secs().to_string().into_bytes();
                    let topic = device.topic("$stats/uptime");
                    let said = Said { topic, payload: uptime, qos: 1, retained: true };
                    stream.write_all(&wire::publish(&said, next_id())).await?;
                }
                () = sleep_until(leave_at), if self.leaves.is_some() => {
                    stream.flush().await?;
                    return Ok(self.leaves.map_or(Next::Stays, |(_, next)| next));
                }
            }
        }
    }

    async fn answer(&mut self, stream: &mut Box<dyn Stream>, parser: &mut Parser) -> io::Result<()> {
        let mut code = None;
        while code.is_none() {
            let mut byte = [0];
            if stream.read(&mut byte).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut on = |came: Came<'_>| {
                if let Came::Connected { code: found } = came {
                    code = Some(found);
                }
            };
            parser.take(&byte, &mut on).map_err(|_| io::ErrorKind::InvalidData)?;
        }
        self.connected = code == Some(0);
        if self.connected { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

/// On the branch develop `$stats` stop during an update, and after a lost connection they do not begin again.
fn is_stuck(device: &Device, brain: &Brain) -> bool {
    brain.ongoing && device.quirks.stuck_ongoing && device.release == Release::Develop
}

/// Gives a segment to the firmware. Returns what follows, and the messages to acknowledge.
fn took(
    device: &mut Device,
    brain: &mut Brain,
    parser: &mut Parser,
    segment: &[u8],
) -> io::Result<(Next, Vec<u16>)> {
    let mut next = Next::Stays;
    let mut acknowledge = Vec::new();
    let mut on = |came: Came<'_>| match came {
        Came::Chunk { topic, chunk, index, total } => {
            let after = brain.chunk(device, topic, chunk, index, total);
            if after != Next::Stays {
                next = after;
            }
        }
        Came::Whole { packet_id: Some(packet_id) } => acknowledge.push(packet_id),
        _ => {}
    };
    parser.take(segment, &mut on).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok((next, acknowledge))
}

async fn open(broker: &Address, trust: &Trust) -> io::Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
    tcp.set_nodelay(true)?;
    if !broker.tls {
        return Ok(Box::new(tcp));
    }
    let config = trust.client().map_err(io::Error::other)?;
    let name = ServerName::try_from(broker.host.clone()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(&config)).connect(name, tcp).await?))
}
