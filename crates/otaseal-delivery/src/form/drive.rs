//! The socket of a push.

use std::io;
use std::time::Duration;

use otaseal::format::image::Content;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::answer::{MAX_ANSWER, Meaning, meaning, status};
use super::body::{ask, envelope, hides_its_end};
use super::{Form, Request, Times, ends};
use crate::evidence::{End, Event, Evidence};
use crate::patience::{BLOCK, Patience, keep_close};
use crate::receipt::Receipt;

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
    let mut exchange = Exchange::new(stream, &request.times, request.image.len());
    let parts = [&envelope.before[..], &request.image, &envelope.after];
    let answer = exchange.run(&parts, tell, |bytes, closed| match meaning(request.form, bytes, closed) {
        Meaning::More => None,
        found => Some(found),
    });
    let found = answer.await;
    Ok(conclude(request.form, found, &mut exchange, tell))
}

/// Loads the page with Tasmota's form. Only after that does Tasmota take an upload for firmware: it may wait for a file of
/// settings instead, and older versions still have the error of the upload before.
async fn open_page(request: &Request, tell: &mut dyn FnMut(Event)) -> Result<(), End> {
    tell(Event::Waits { what: "the page with the form" });
    let stream = connect(request).await?;
    let mut exchange = Exchange::new(stream, &request.times, 0);
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
    exchange: &mut Exchange<'_>,
    tell: &mut dyn FnMut(Event),
) -> End {
    let evidence = exchange.evidence();
    match found {
        // Success before the whole image was sent is that of an earlier upload.
        Ok(Meaning::Took) if evidence >= Evidence::HandedOver => {
            exchange.receipt.comes(tell);
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
    stream: TcpStream,
    times: &'a Times,
    last_moment: Instant,
    answer: Vec<u8>,
    is_sent: bool,
    receipt: Receipt,
}

impl<'a> Exchange<'a> {
    fn new(stream: TcpStream, times: &'a Times, bytes: usize) -> Self {
        let whole = GRACE + Duration::from_secs(bytes as u64 / u64::from(times.slowest.max(1)));
        let receipt = Receipt::of(&stream);
        let last_moment = Instant::now() + whole;
        Self { stream, times, last_moment, answer: Vec::new(), is_sent: false, receipt }
    }

    fn evidence(&self) -> Evidence {
        match self.is_sent {
            true if self.receipt.has_come() => Evidence::Sent,
            true => Evidence::HandedOver,
            false => Evidence::Contact,
        }
    }

    /// Sends the parts, of which the second one is the image, and reads until `read` finds an answer. The connection stays
    /// open: a device whose host is gone takes the upload for aborted.
    async fn run<T>(
        &mut self,
        parts: &[&[u8]],
        tell: &mut dyn FnMut(Event),
        read: impl Fn(&[u8], bool) -> Option<T>,
    ) -> Result<T, Lost> {
        keep_close(&self.stream);
        let (mut input, mut output) = self.stream.split();
        let mut patience = Patience::until(Instant::now() + self.times.stall);
        let mut sending = Sending { parts, part: 0, at: 0, told: 0, can_send: true };
        let mut buffer = [0; 4096];
        loop {
            let is_sending = sending.can_send && !sending.is_over();
            let done = tokio::select! {
                read = input.read(&mut buffer) => Done::Read(read.unwrap_or(0)),
                written = output.write(sending.next()), if is_sending => Done::Wrote(written),
                () = patience.ends() => return Err(Lost::Silent),
                () = Receipt::is_due(), if self.is_sent && !self.receipt.has_come() => {
                    self.receipt.look(tell);
                    continue;
                }
            };
            match done {
                Done::Read(length) => {
                    self.answer.extend(&buffer[..length]);
                    let closed = length == 0 || self.answer.len() >= MAX_ANSWER;
                    if let Some(found) = read(&self.answer, closed).filter(|_| !self.answer.is_empty()) {
                        return Ok(found);
                    }
                    if closed {
                        if self.is_sent {
                            self.receipt.look(tell);
                        }
                        return Err(Lost::Closed);
                    }
                }
                Done::Wrote(Ok(length)) => {
                    sending.wrote(length, tell);
                    if sending.is_over() {
                        self.is_sent = true;
                        tell(Event::Reached { evidence: Evidence::HandedOver });
                        tell(Event::Waits { what: "the device to answer" });
                    }
                }
                // The device may have answered before it closed.
                Done::Wrote(Err(_)) => sending.can_send = false,
            }
            let wait = if sending.is_over() { self.times.answer } else { self.times.stall };
            patience.set(self.last_moment.min(Instant::now() + wait));
        }
    }
}

/// What was ready first.
enum Done {
    Read(usize),
    Wrote(io::Result<usize>),
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
    fn is_over(&self) -> bool {
        self.part == self.parts.len()
    }

    fn next(&self) -> &[u8] {
        self.parts.get(self.part).map_or(&[], |part| &part[self.at..part.len().min(self.at + BLOCK)])
    }

    fn wrote(&mut self, length: usize, tell: &mut dyn FnMut(Event)) {
        self.at += length;
        let of = self.parts[self.part].len();
        let is_image = self.part == 1;
        if is_image && (self.at == of || self.at - self.told >= of / 100) {
            self.told = self.at;
            tell(Event::Progress { sent: self.at as u64, of: of as u64 });
        }
        if self.at == of {
            self.part += 1;
            self.at = 0;
        }
    }
}
