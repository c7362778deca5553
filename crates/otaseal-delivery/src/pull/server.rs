//! The port to which devices come: HTTP/1, one request for each connection.
//!
//! One thread runs each port. It answers nearly every poll from tables. What takes longer than a table, judging a file
//! for a new kind of device, goes to another thread.
//!
//! Nobody can hold the port: the request must come within a few seconds, a new connection ends the oldest one that has not
//! asked yet, a reader that takes nothing is cut off, and there are at most so many downloads at a time. A device beyond
//! that gets 304 and comes back.

mod connection;
mod stream;

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, LocalSet};
use tokio_rustls::TlsAcceptor;

use super::catalogue::{Catalogue, Quick, Served, Settings, Why};
use super::request::Request;
use crate::device::DeviceFacts;
use crate::evidence::Evidence;
use connection::Connection;

/// Threads of each port on which files are judged.
const JUDGES: usize = 2;

/// Limits of a port.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Within this time a client must have sent its whole request. A device waits 8 s for an answer
    /// (`ESP8266httpUpdate`, `_httpClientTimeout`).
    pub request: Duration,
    /// A reader that takes no byte for this long is cut off. A device that erases its flash takes none for a few seconds,
    /// and gives up itself after 65 to 73 s.
    pub stall: Duration,
    /// The slowest reader that is served, in bytes a second.
    pub slowest: u64,
    /// Nobody is too slow before this time is over.
    pub grace: Duration,
    /// After the last byte, the device gets this long to close. Its updater checks a signature before.
    pub close: Duration,
    /// Connections that have not sent their request yet.
    pub waiting: usize,
    /// Downloads at a time.
    pub downloads: usize,
    /// Devices at a time that wait until a file was judged or read. A client can claim any numbers, and each new kind of
    /// device takes a tenth of a second of computing; devices of one kind wait for the first of them.
    pub judging: usize,
    /// Largest request in bytes, without a body. Real ones have about 460.
    pub request_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            stall: Duration::from_secs(90),
            slowest: 5_000,
            grace: Duration::from_secs(300),
            close: Duration::from_secs(20),
            waiting: 1_024,
            downloads: 4_096,
            judging: 4_096,
            request_bytes: 16 * 1024,
        }
    }
}

/// What all ports of a server share.
#[derive(Debug)]
pub struct Shared {
    catalogue: RwLock<Arc<Catalogue>>,
    /// What the server demands.
    pub settings: Settings,
    /// Its limits.
    pub limits: Limits,
}

impl Shared {
    /// Serves this catalogue.
    pub fn new(catalogue: Catalogue, settings: Settings, limits: Limits) -> Self {
        Self { catalogue: RwLock::new(Arc::new(catalogue)), settings, limits }
    }

    /// The catalogue of this moment.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves another catalogue from now on. Downloads that run go on.
    pub fn replace(&self, catalogue: Catalogue) {
        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalogue);
    }
}

/// Decides what a port answers.
pub trait Answers: Send + Sync {
    /// The limits of the port.
    fn limits(&self) -> &Limits;

    /// Answers without waiting for anything, if it can: that is nearly every poll. `now` is in seconds since 1970.
    fn quick(&self, request: &Request, peer: SocketAddr, now: u64) -> Option<Served>;

    /// Answers where it may take a while. It is called on another thread, after [`Answers::quick`] gave nothing.
    fn slow(&self, request: &Request, peer: SocketAddr, now: u64) -> Served;
}

impl Answers for Shared {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn quick(&self, request: &Request, _: SocketAddr, now: u64) -> Option<Served> {
        match self.catalogue().quick(request, &self.settings, now) {
            Quick::Done(served) => Some(*served),
            Quick::MustJudge => None,
        }
    }

    fn slow(&self, request: &Request, _: SocketAddr, now: u64) -> Served {
        self.catalogue().answer(request, &self.settings, now)
    }
}

/// What happened to one connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Record {
    /// The address of the client.
    pub peer: SocketAddr,
    /// What it asked for, escaped: method, address, and fields that make no sense.
    pub asked: String,
    /// What the device says of itself. `None` if it was no updater.
    pub facts: Option<DeviceFacts>,
    /// The status that it got. `None` if there was no request.
    pub status: Option<u16>,
    /// Why.
    pub why: Result<Why, String>,
    /// The release that is meant.
    pub release: Option<String>,
    /// The release that it runs.
    pub running: Option<String>,
    /// Fields that make no sense.
    pub odd: Vec<String>,
    /// Bytes that were handed to the network, with the header.
    pub sent: u64,
    /// How far the image came. `None` if there was no image.
    pub evidence: Option<Evidence>,
    /// The number that [`Served::ticket`] gave this answer.
    pub ticket: Option<u64>,
}

/// Serves one port, which [`listen`] opened, until the future is dropped. `tell` hears of every connection when it ends, and must not block.
///
/// Must run on a thread of its own, with a current-thread runtime: see [`run`].
///
/// # Errors
/// The listener's, if it cannot accept any more.
pub async fn serve(
    listener: TcpListener,
    shared: Arc<dyn Answers>,
    tls: Option<TlsAcceptor>,
    tell: Rc<dyn Fn(Record)>,
) -> io::Result<()> {
    LocalSet::new().run_until(accept(listener, shared, tls, tell)).await
}

/// Serves one port on this thread, until the listener fails.
///
/// # Errors
/// The system's, if there is no runtime or the listener fails.
pub fn run(
    listener: std::net::TcpListener,
    shared: Arc<dyn Answers>,
    tls: Option<TlsAcceptor>,
    tell: Rc<dyn Fn(Record)>,
) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(JUDGES).build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        serve(TcpListener::from_std(listener)?, shared, tls, tell).await
    })
}

/// Opens a port with a long queue: devices that start together poll together.
///
/// # Errors
/// The system's.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    /// Connections that the system keeps until they are accepted.
    const QUEUE: i32 = 4096;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    unsent(&socket);
    socket.bind(&address.into())?;
    socket.listen(QUEUE)?;
    Ok(socket.into())
}

/// Asks the system for as many open files as it allows: each connection is one. Returns how many there are, if the system
/// says it.
#[cfg(unix)]
pub fn more_descriptors() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(1 << 20).min(1 << 20);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    getrlimit(Resource::Nofile).current
}

/// This system has no such limit.
#[cfg(not(unix))]
pub fn more_descriptors() -> Option<u64> {
    None
}

/// What runs at present on one port.
#[derive(Debug)]
struct Load {
    downloads: Cell<usize>,
    judging: Cell<usize>,
    /// So many files are judged at a time.
    turns: Semaphore,
}

/// A connection that has not asked yet.
struct Waiting {
    asked: Rc<Cell<bool>>,
    task: JoinHandle<()>,
}

async fn accept(
    listener: TcpListener,
    shared: Arc<dyn Answers>,
    tls: Option<TlsAcceptor>,
    tell: Rc<dyn Fn(Record)>,
) -> io::Result<()> {
    /// So often those that wait get a chance to ask before one of them is ended: devices that come together have asked
    /// already, and only nobody has read it yet.
    const CHANCES: u32 = 3;
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    let load = Load { downloads: Cell::new(0), judging: Cell::new(0), turns: Semaphore::new(JUDGES) };
    let load = Rc::new(load);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_passing(&error) => {
                // Out of descriptors: the connections that wait longest must go.
                end_oldest(&mut waiting, shared.limits().waiting / 2);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let asked = Rc::new(Cell::new(false));
        let connection = Connection {
            shared: Arc::clone(&shared),
            tls: tls.clone(),
            peer,
            asked: Rc::clone(&asked),
            load: Rc::clone(&load),
            tell: Rc::clone(&tell),
        };
        let task = tokio::task::spawn_local(connection.run(stream));
        waiting.push_back(Waiting { asked, task });
        for _ in 0..CHANCES {
            if too_many(&mut waiting, shared.limits().waiting) == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        end_oldest(&mut waiting, shared.limits().waiting);
    }
}

/// Bounds what the system keeps of an image that it has not sent yet. Connections inherit it. Without a bound, Linux keeps
/// up to 4 MiB for each slow reader, and "handed to the network" says nothing of what the device has.
fn unsent(socket: &socket2::Socket) {
    /// Bytes. Fewer would cost a fast reader its speed.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const UNSENT: u32 = 32 * 1024;
    // The answer is one write, and its last bytes should leave at once.
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
}

/// Forgets the connections that have asked. Returns how many too many are left.
fn too_many(waiting: &mut VecDeque<Waiting>, most: usize) -> usize {
    let is_over = |one: &Waiting| one.asked.get() || one.task.is_finished();
    while waiting.front().is_some_and(is_over) {
        waiting.pop_front();
    }
    if waiting.len() > most {
        waiting.retain(|one| !is_over(one));
    }
    waiting.len().saturating_sub(most)
}

/// Ends the oldest connections that have not asked, until at most `most` are left.
fn end_oldest(waiting: &mut VecDeque<Waiting>, most: usize) {
    let many = too_many(waiting, most);
    for oldest in waiting.drain(..many) {
        oldest.task.abort();
    }
}

/// Whether a listener goes on after an error of one connection.
fn is_passing(error: &io::Error) -> bool {
    // ENFILE and EMFILE have no kind of their own.
    matches!(error.raw_os_error(), Some(23 | 24))
        || matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::Interrupted
                | io::ErrorKind::WouldBlock
                | io::ErrorKind::OutOfMemory
        )
}

#[cfg(test)]
mod tests;
