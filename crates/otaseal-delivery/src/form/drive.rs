//! The socket of a push.

use std::io;
use std::time::Duration;

use otaseal::format::image::Content;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{MAX_ANSWER, Meaning, meaning, status};
use super::body::{ask, envelope, hides_its_end};
use super::{Form, Request, Times, ends};
use crate::evidence::{End, Event, Evidence};

/// Bytes that the system may hold before they are on their way. So what is told as progress is not far from what the device
/// has.
const SEND_BUFFER: usize = 64 * 1024;

/// Time of a push beside its bytes.
const GRACE: Duration = Duration::from_secs(120);

/// Pushes an image to one device.
///
/// `tell` hears what happens. Dropping the future closes the socket. A device that has the whole image by then installs it
/// at its next restart.
pub async fn push(request: Request, tell: &mut dyn FnMut(Event)) -> End {
    match run(&request, tell).await {
        Ok(end) | Err(end) => end,
    }
}

async fn run(request: &Request, tell: &mut dyn FnMut(Event)) -> Result<End, End> {
    if request.image.is_empty() {
        return Err(ends::refused_by_us("empty", "The image is empty."));
    }
    if request.form == Form::Tasmota && request.content == Content::Filesystem {
        return Err(ends::refused_by_us("no-form", "Tasmota's form takes firmware alone."));
    }
    if hides_its_end(&request.image) {
        let why = "The last bytes of this image look like the end of a form, and older cores lose their way there. \
                   Push it by espota, or build it again.";
        return Err(ends::refused_by_us("ends-like-a-form", why));
    }
    if request.form == Form::Tasmota {
        open_page(request, tell).await?;
    }
    let mut seed = [0; 8];
    getrandom::fill(&mut seed)
        .map_err(|error| ends::failed(Evidence::Nothing, &format!("no random numbers: {error}"), ""))?;
    let envelope = envelope(request, seed);
    let stream = connect(request).await?;
    tell(Event::Contact { with: request.address.to_string() });
    tell(Event::Reached { evidence: Evidence::Contact });
    let mut exchange = Exchange::new(&stream, &request.times, request.image.len());
    let parts = [&envelope.before[..], &request.image, &envelope.after];
    let answer = exchange.run(&parts, tell, |bytes, closed| match meaning(request.form, bytes, closed) {
        Meaning::More => None,
        found => Some(found),
    });
    let found = answer.await;
    Ok(conclude(request.form, found, exchange.evidence(), tell))
}

/// Loads the page with Tasmota's form. Only after that does Tasmota take an upload for firmware: it may wait for a file of
/// settings instead, and older versions still have the error of the upload before.
async fn open_page(request: &Request, tell: &mut dyn FnMut(Event)) -> Result<(), End> {
    tell(Event::Waits { what: "the page with the form" });
    let stream = connect(request).await?;
    let mut exchange = Exchange::new(&stream, &request.times, 0);
    match exchange.run(&[&ask(request, "/up")], &mut |_| {}, status).await {
        Ok(200) => Ok(()),
        Ok(0) | Err(_) => Err(ends::no_page()),
        Ok(code) => Err(ends::status(code)),
    }
}

async fn connect(request: &Request) -> Result<TcpStream, End> {
    let why = match timeout(request.times.connect, TcpStream::connect(request.address)).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => format!("There is no connection to {}: {error}", request.address),
        Err(_) => format!("{} does not answer.", request.address),
    };
    Err(ends::failed(
        Evidence::Nothing,
        &why,
        "Check the address, and whether the device is in this network.",
    ))
}

/// Why an exchange has no answer.
enum Lost {
    /// The connection ended.
    Closed,
    /// Nothing moved for too long.
    Silent,
}

fn conclude(
    form: Form,
    found: Result<Meaning, Lost>,
    evidence: Evidence,
    tell: &mut dyn FnMut(Event),
) -> End {
    match found {
        // Success before the whole image was sent is that of an earlier upload.
        Ok(Meaning::Took) if evidence == Evidence::HandedOver => {
            tell(Event::Reached { evidence: Evidence::Sent });
            tell(Event::Reached { evidence: Evidence::Taken });
            ends::taken()
        }
        Ok(Meaning::Took) => ends::failed(
            evidence,
            "The device reports success before it had the whole image.",
            "Do not trust this update: check what the device runs.",
        ),
        Ok(Meaning::Refused(words)) => ends::refused(form, &words),
        Ok(Meaning::Status(code)) => ends::status(code),
        Ok(Meaning::Other(page)) => ends::other(&page, evidence),
        Ok(Meaning::Nonsense | Meaning::More) => ends::nonsense(evidence),
        Err(Lost::Closed) => ends::no_answer(evidence),
        Err(Lost::Silent) => ends::silent(evidence),
    }
}

/// One request and its answer.
struct Exchange<'a> {
    stream: &'a TcpStream,
    times: &'a Times,
    last_moment: Instant,
    answer: Vec<u8>,
    is_sent: bool,
}

impl<'a> Exchange<'a> {
    fn new(stream: &'a TcpStream, times: &'a Times, bytes: usize) -> Self {
        let whole = GRACE + Duration::from_secs(bytes as u64 / u64::from(times.slowest.max(1)));
        Self { stream, times, last_moment: Instant::now() + whole, answer: Vec::new(), is_sent: false }
    }

    fn evidence(&self) -> Evidence {
        if self.is_sent { Evidence::HandedOver } else { Evidence::Contact }
    }

    /// Sends the parts, of which the second one is the image, and reads until `read` finds an answer. The connection stays
    /// open: a device whose host is gone takes the upload for aborted.
    async fn run<T>(
        &mut self,
        parts: &[&[u8]],
        tell: &mut dyn FnMut(Event),
        read: impl Fn(&[u8], bool) -> Option<T>,
    ) -> Result<T, Lost> {
        let _ = self.stream.set_nodelay(true);
        let _ = SockRef::from(self.stream).set_send_buffer_size(SEND_BUFFER);
        let mut sending = Sending { parts, part: 0, at: 0, told: 0, can_send: true };
        loop {
            let is_sending = sending.can_send && sending.part < parts.len();
            let interest =
                if is_sending { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            let patience = if is_sending { self.times.stall } else { self.times.answer };
            let deadline = self.last_moment.min(Instant::now() + patience);
            let Ok(Ok(ready)) = timeout_at(deadline, self.stream.ready(interest)).await else {
                return Err(Lost::Silent);
            };
            if ready.is_readable() || ready.is_read_closed() {
                let closed = self.read();
                if let Some(found) = read(&self.answer, closed).filter(|_| !self.answer.is_empty()) {
                    return Ok(found);
                }
                if closed {
                    return Err(Lost::Closed);
                }
            }
            if is_sending && ready.is_writable() {
                sending.send(self.stream, tell);
                if sending.part == parts.len() && !self.is_sent {
                    self.is_sent = true;
                    tell(Event::Reached { evidence: Evidence::HandedOver });
                    tell(Event::Waits { what: "the answer of the device" });
                }
            }
        }
    }

    /// Reads what is there. Returns whether nothing more comes, or too much came.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return true,
                Ok(length) => self.answer.extend(&buffer[..length]),
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
            if self.answer.len() >= MAX_ANSWER {
                return true;
            }
        }
    }
}

/// What is sent, and how far.
struct Sending<'p> {
    parts: &'p [&'p [u8]],
    part: usize,
    at: usize,
    told: usize,
    can_send: bool,
}

impl Sending<'_> {
    fn send(&mut self, stream: &TcpStream, tell: &mut dyn FnMut(Event)) {
        let part = self.parts[self.part];
        match stream.try_write(&part[self.at..]) {
            Ok(length) => self.at += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // The device may have answered before it closed.
            Err(_) => self.can_send = false,
        }
        let is_image = self.part == 1;
        if is_image && (self.at == part.len() || self.at - self.told >= part.len() / 100) {
            self.told = self.at;
            tell(Event::Progress { sent: self.at as u64, of: part.len() as u64 });
        }
        if self.at == part.len() {
            self.part += 1;
            self.at = 0;
        }
    }
}
