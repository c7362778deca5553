//! One connection: one request, one answer.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::stream::Counted;
use super::{Record, Shared};
use crate::evidence::Evidence;
use crate::pull::answer::Answer;
use crate::pull::catalogue::{Quick, Served, Why};
use crate::pull::request::{NotAnUpdater, Request};
use crate::text::said;

/// After the last byte, the device gets this long to close.
const CLOSE: Duration = Duration::from_secs(20);

/// Most header fields of a request. Real ones have about fifteen; a sketch may add some.
const FIELDS: usize = 64;

pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) peer: SocketAddr,
    pub(super) asked: Rc<Cell<bool>>,
    pub(super) downloads: Rc<Cell<usize>>,
    pub(super) tell: Rc<dyn Fn(Record)>,
}

/// A place among the downloads. It is free again when this is dropped.
struct Place(Rc<Cell<usize>>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// What the request became, for the record.
#[derive(Default)]
struct Asked {
    record: Option<Record>,
    /// Length of the image that is sent.
    image: Option<u64>,
    place: Option<Place>,
}

impl Connection {
    pub(super) async fn run(self, stream: TcpStream) {
        // The answer is one write, and the first bytes of an image should leave at once.
        let _ = stream.set_nodelay(true);
        match self.tls.clone() {
            None => self.speak(stream).await,
            Some(tls) => match timeout(self.shared.limits.request, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream).await,
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
        });
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) {
        let limits = &self.shared.limits;
        let written = Rc::new(Cell::new(0));
        let stream = Counted::new(stream, Rc::clone(&written), limits.stall);
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
        let longest = self.longest();
        let spoken = timeout(longest, poll_fn(|context| connection.poll_without_shutdown(context))).await;
        let mut stream = connection.into_parts().io.into_inner();
        let state = std::mem::take(&mut *asked.borrow_mut());
        let error = match spoken {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(hyper_says(&error)),
            Err(_) => Some("it reads too slowly".to_owned()),
        };
        let Some(mut record) = state.record else {
            let _ = timeout(Duration::from_secs(1), stream.shutdown()).await;
            // Somebody who opens a connection and closes it is no client.
            if let Some(error) = error {
                self.tell_nothing(error);
            }
            return;
        };
        record.sent = written.get();
        if let Some(image) = state.image {
            record.evidence = Some(match &error {
                None => evidence(&mut stream).await,
                Some(_) if written.get() > image => Evidence::HandedOver,
                Some(_) => Evidence::Contact,
            });
        } else {
            let _ = timeout(Duration::from_secs(1), stream.shutdown()).await;
        }
        drop(state.place);
        (self.tell)(record);
    }

    /// No connection lasts longer than the largest image for the slowest reader.
    fn longest(&self) -> Duration {
        let bytes = crate::release::MAX_FILE as u64;
        Duration::from_secs((bytes / self.shared.limits.slowest.max(1)).max(300))
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
                let Served { answer, why, release, running } = self.served(&request).await;
                let (answer, why) = self.place(answer, why, &request, &asked);
                record.why = why;
                (record.release, record.running) = (release, running);
                record.odd = request.odd;
                record.facts = Some(request.facts);
                answer
            }
        };
        record.status = Some(answer.status());
        asked.borrow_mut().record = Some(record);
        Ok(answer.into_response())
    }

    async fn served(&self, request: &Request) -> Served {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let catalogue = self.shared.catalogue();
        if let Quick::Done(served) = catalogue.quick(request, &self.shared.settings, now) {
            return *served;
        }
        let (shared, request) = (Arc::clone(&self.shared), request.clone());
        let judged = tokio::task::spawn_blocking(move || catalogue.answer(&request, &shared.settings, now));
        judged.await.unwrap_or_else(|_| unreachable!("judging does not panic"))
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
        if self.downloads.get() >= self.shared.limits.downloads {
            let answer = if request.tasmota { Answer::NotFound } else { Answer::NotModified };
            return (answer, Err("there are as many downloads as allowed".into()));
        }
        self.downloads.set(self.downloads.get() + 1);
        let mut asked = asked.borrow_mut();
        asked.image = Some(file.digests.size_bytes);
        asked.place = Some(Place(Rc::clone(&self.downloads)));
        (answer, Ok(why))
    }
}

/// Waits for the device to close. One that closes after the last byte took it; one that resets the connection did not.
async fn evidence<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Evidence {
    let closes = async {
        stream.shutdown().await.ok()?;
        let mut rest = [0; 256];
        // A client that goes on talking is not waited for.
        for _ in 0..16 {
            match stream.read(&mut rest).await {
                Ok(0) => return Some(()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
        None
    };
    match timeout(CLOSE, closes).await {
        Ok(Some(())) => Evidence::Sent,
        _ => Evidence::HandedOver,
    }
}

fn hyper_says(error: &hyper::Error) -> String {
    let what = match error {
        error if error.is_timeout() => "its request did not come in time",
        error if error.is_parse_too_large() => "its request is too large",
        error if error.is_parse() => "its request is not HTTP/1",
        error if error.is_incomplete_message() => "its request ends in the middle",
        _ => "the connection broke",
    };
    what.to_owned()
}
