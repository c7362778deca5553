//! One connection: one request, one answer.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::stream::Counted;
use super::{Answers, Load, Record};
use crate::evidence::Evidence;
use crate::pull::answer::Answer;
use crate::pull::catalogue::{Served, Why};
use crate::pull::request::{NotAnUpdater, Request};
use crate::text::said;

/// A client that still talks when it has its answer gets this long to read it, and is read so far. A connection that is
/// closed with unread bytes is reset, and a reset can overtake the answer.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 256 * 1024);

/// So long a device waits until it is its turn to be judged. It waits 8 s for an answer (`_httpClientTimeout`).
const TURN: Duration = Duration::from_secs(5);

/// Most header fields of a request. Real ones have about fifteen; a sketch may add some.
const FIELDS: usize = 64;

pub(super) struct Connection {
    pub(super) shared: Arc<dyn Answers>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) peer: SocketAddr,
    pub(super) asked: Rc<Cell<bool>>,
    pub(super) load: Rc<Load>,
    pub(super) tell: Rc<dyn Fn(Record)>,
}

/// A place among the downloads. It is free again when this is dropped.
struct Place(Rc<Load>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.downloads.set(self.0.downloads.get().saturating_sub(1));
    }
}

/// A place among those for which a file is judged.
struct Judging<'a>(&'a Load);

impl Drop for Judging<'_> {
    fn drop(&mut self) {
        self.0.judging.set(self.0.judging.get().saturating_sub(1));
    }
}

/// What the request became, for the record.
#[derive(Default)]
struct Asked {
    record: Option<Record>,
    /// Length of the image that is sent.
    image: Option<u64>,
    place: Option<Place>,
    /// The client sends a body, which nobody reads.
    body: bool,
}

impl Connection {
    pub(super) async fn run(self, stream: TcpStream) {
        match self.tls.clone() {
            None => self.speak(stream).await,
            Some(tls) => match timeout(self.shared.limits().request, Box::pin(tls.accept(stream))).await {
                // In a box: a plain connection need not be as large as one with TLS.
                Ok(Ok(stream)) => Box::pin(self.speak(stream)).await,
                Ok(Err(error)) => {
                    self.tell_nothing(format!("no TLS session: {}", said(error.to_string().as_bytes())))
                }
                Err(_) => self.tell_nothing("no TLS session in time".into()),
            },
        }
    }

    fn tell_nothing(&self, why: String) {
        (self.tell)(Record {
            peer: self.peer,
            asked: String::new(),
            facts: None,
            status: None,
            why: Err(why),
            release: None,
            running: None,
            odd: Vec::new(),
            sent: 0,
            evidence: None,
            ticket: None,
        });
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) {
        let limits = self.shared.limits();
        let written = Rc::new(Cell::new(0));
        let stream = Counted::new(stream, Rc::clone(&written), limits);
        let asked: Rc<RefCell<Asked>> = Rc::default();
        let mut builder = Builder::new();
        builder
            .keep_alive(false)
            .auto_date_header(false)
            .max_headers(FIELDS)
            .max_buf_size(limits.request_bytes.max(8192))
            .timer(TokioTimer::new())
            .header_read_timeout(limits.request);
        let service = service_fn(|request| Box::pin(self.answer(request, Rc::clone(&asked))));
        let mut connection = builder.serve_connection(TokioIo::new(stream), service);
        let spoken = poll_fn(|context| connection.poll_without_shutdown(context)).await;
        let parts = connection.into_parts();
        let mut stream = parts.io.into_inner();
        let state = std::mem::take(&mut *asked.borrow_mut());
        let error = spoken.err().map(|error| hyper_says(&error));
        let Some(mut record) = state.record else {
            linger(&mut stream).await;
            // Somebody who opens a connection and closes it is no client.
            if let Some(error) = error {
                self.tell_nothing(error);
            }
            return;
        };
        record.sent = written.get();
        if state.image.is_some() {
            record.evidence = Some(match &error {
                None => evidence(&mut stream, limits.close).await,
                Some(_) => Evidence::Contact,
            });
        } else if state.body || !parts.read_buf.is_empty() {
            linger(&mut stream).await;
        } else {
            let _ = timeout(LINGER.0, stream.shutdown()).await;
        }
        if let (Some(error), Ok(_)) = (error, &record.why) {
            record.odd.push(error);
        }
        drop(state.place);
        (self.tell)(record);
    }

    async fn answer(
        &self,
        request: HttpRequest<Incoming>,
        asked: Rc<RefCell<Asked>>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        self.asked.set(true);
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let fields = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let method = request.method().as_str();
        let parsed = Request::parse(method, target, fields);
        asked.borrow_mut().body = !request.body().is_end_stream();
        let shown = said(format!("{method} {target}").as_bytes());
        let mut record = Record {
            peer: self.peer,
            asked: shown,
            facts: None,
            status: None,
            why: Err(String::new()),
            release: None,
            running: None,
            odd: Vec::new(),
            sent: 0,
            evidence: None,
            ticket: None,
        };
        let answer = match parsed {
            Err(fault) => {
                record.why = Err(fault.to_string());
                match fault {
                    NotAnUpdater::Agent { .. } => Answer::Forbidden,
                    NotAnUpdater::Method { .. } => Answer::MethodNotAllowed,
                }
            }
            Ok(request) => {
                let answer = match self.served(&request).await {
                    Some(Served { answer, why, release, running, ticket }) => {
                        let (answer, why) = self.place(answer, why, &request, &asked);
                        record.why = why;
                        (record.release, record.running, record.ticket) = (release, running, ticket);
                        answer
                    }
                    None => {
                        record.why = Err("as many new kinds of devices ask as are looked at".into());
                        later(&request)
                    }
                };
                record.odd = request.odd;
                record.facts = Some(request.facts);
                answer
            }
        };
        record.status = Some(answer.status());
        asked.borrow_mut().record = Some(record);
        Ok(answer.into_response())
    }

    /// Returns nothing if too many others have to be judged first.
    async fn served(&self, request: &Request) -> Option<Served> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if let Some(served) = self.shared.quick(request, self.peer, now) {
            return Some(served);
        }
        let judging = &self.load.judging;
        if judging.get() >= self.shared.limits().judging {
            return None;
        }
        judging.set(judging.get() + 1);
        let _place = Judging(&self.load);
        let turn = timeout(TURN, self.load.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return None };
        // Another device of this kind may have been judged meanwhile.
        if let Some(served) = self.shared.quick(request, self.peer, now) {
            return Some(served);
        }
        let (shared, request, peer) = (Arc::clone(&self.shared), request.clone(), self.peer);
        let judged = tokio::task::spawn_blocking(move || shared.slow(&request, peer, now));
        Some(judged.await.unwrap_or_else(|_| unreachable!("judging does not panic")))
    }

    /// Takes a place among the downloads, if there is one. Otherwise the device comes back at its next poll.
    fn place(
        &self,
        answer: Answer,
        why: Why,
        request: &Request,
        asked: &Rc<RefCell<Asked>>,
    ) -> (Answer, Result<Why, String>) {
        let Answer::File(file) = &answer else { return (answer, Ok(why)) };
        let downloads = &self.load.downloads;
        if downloads.get() >= self.shared.limits().downloads {
            return (later(request), Err("there are as many downloads as allowed".into()));
        }
        downloads.set(downloads.get() + 1);
        let mut asked = asked.borrow_mut();
        asked.image = Some(file.digests.size_bytes);
        asked.place = Some(Place(Rc::clone(&self.load)));
        (answer, Ok(why))
    }
}

/// The answer with which a device comes back at its next poll. Tasmota takes 304 for success, and starts again.
fn later(request: &Request) -> Answer {
    if request.tasmota { Answer::NotFound } else { Answer::NotModified }
}

/// Waits for the device to close. One that closes after the last byte took it; one that resets the connection did not.
async fn evidence<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, close: Duration) -> Evidence {
    let closes = async {
        stream.shutdown().await.ok()?;
        let mut rest = [0; 256];
        // A client that goes on talking is not waited for.
        for _ in 0..16 {
            match stream.read(&mut rest).await {
                Ok(0) => return Some(()),
                // A device that restarts closes its TCP connection without the last word of TLS.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Some(()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
        None
    };
    match timeout(close, closes).await {
        Ok(Some(())) => Evidence::Sent,
        _ => Evidence::HandedOver,
    }
}

/// Closes towards a client that may still talk, without a reset.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let (longest, most) = LINGER;
    let drain = async {
        stream.shutdown().await.ok()?;
        let mut rest = [0; 4096];
        let mut read = 0;
        while read < most {
            match stream.read(&mut rest).await.ok()? {
                0 => return None,
                bytes => read += bytes,
            }
        }
        None::<()>
    };
    let _ = timeout(longest, drain).await;
}

fn hyper_says(error: &hyper::Error) -> String {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let what = match error {
        _ if source.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) => "it reads too slowly",
        error if error.is_timeout() => "its request did not come in time",
        error if error.is_parse_too_large() => "its request is too large",
        error if error.is_parse() => "its request is not HTTP/1",
        error if error.is_incomplete_message() => "its request ends in the middle",
        _ => "the connection broke",
    };
    what.to_owned()
}
