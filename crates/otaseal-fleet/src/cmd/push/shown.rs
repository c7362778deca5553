//! What a push says: before, during and after.

use crate::error::{Exit, Failure};
use crate::report::Reporter;
use otaseal_delivery::evidence::{By, End, Event, Evidence};
use otaseal_delivery::offer::Offer;
use otaseal_delivery::release::Release;
use otaseal_delivery::text::said;
use serde::Serialize;
use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// What will be sent, to whom, and why.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    device: String,
    way: &'static str,
    release: String,
    file: String,
    size_bytes: u64,
    md5: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
    because: String,
    assumed: Vec<String>,
    dry_run: bool,
}

impl Plan {
    pub(crate) fn new(
        device: String,
        way: &'static str,
        release: &Release,
        offer: &Offer<'_>,
        dry_run: bool,
    ) -> Self {
        Self {
            device,
            way,
            release: said(release.title().as_bytes()),
            file: offer.artefact.file.clone(),
            size_bytes: offer.artefact.digests.size_bytes,
            md5: offer.artefact.digests.md5.to_string(),
            signed_by: release
                .signer
                .as_ref()
                .filter(|_| offer.artefact.signature.is_some())
                .map(|key| key.id().to_string()),
            because: offer.because.clone(),
            assumed: offer.assumed.clone(),
            dry_run,
        }
    }
}

impl Plan {
    /// Says it: as a result, if nothing comes after it or a program reads it.
    pub(crate) fn say(&self, reporter: Reporter) -> Result<(), Failure> {
        if self.dry_run || reporter.json {
            return reporter.result(self, self);
        }
        reporter.note(self);
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.dry_run { "would send" } else { "sends" };
        write!(
            f,
            "{verb} {} of {} ({} bytes) to {} by {}\n  why      {}",
            self.file, self.release, self.size_bytes, self.device, self.way, self.because
        )?;
        if let Some(key) = &self.signed_by {
            write!(f, "\n  signed   by {key}")?;
        }
        for what in &self.assumed {
            write!(f, "\n  assumed  {what}")?;
        }
        Ok(())
    }
}

/// How it goes.
pub(crate) struct Progress {
    reporter: Reporter,
    device: String,
    /// Whether a line of progress stands on the terminal.
    drawn: bool,
    last: Option<Instant>,
    /// The most that is known so far, for the case that the user ends it.
    pub(crate) evidence: Evidence,
    sent: u64,
}

/// A line is drawn this often at most.
const REDRAW: Duration = Duration::from_millis(100);

impl Progress {
    pub(crate) fn new(reporter: Reporter, device: &str) -> Self {
        Self {
            reporter,
            device: device.to_owned(),
            drawn: false,
            last: None,
            evidence: Evidence::Nothing,
            sent: 0,
        }
    }

    pub(crate) fn tell(&mut self, event: &Event) {
        match event {
            Event::Progress { sent, .. } => self.sent = *sent,
            Event::Reached { evidence } => self.evidence = self.evidence.max(*evidence),
            _ => {}
        }
        if self.reporter.json {
            #[derive(Serialize)]
            struct Line<'a> {
                device: &'a str,
                #[serde(flatten)]
                event: &'a Event,
            }
            let is_due = self.last.is_none_or(|last| last.elapsed() >= REDRAW);
            if matches!(event, Event::Progress { .. }) {
                if !is_due {
                    return;
                }
                self.last = Some(Instant::now());
            }
            let _ = self.reporter.result("", &Line { device: &self.device, event });
            return;
        }
        let device = said(self.device.as_bytes());
        match event {
            Event::Progress { sent, of } => self.draw(*sent, *of),
            Event::Waits { what } => self.line(format!("{device}: waits for {what}")),
            Event::Contact { with } => self.line(format!("{device}: {with} answers")),
            Event::Authenticates { scheme } => self.line(format!("{device}: answers its {scheme} challenge")),
            Event::Says { text } => self.line(format!("{device} says: {text}")),
            Event::Retries { why, after } => {
                self.line(format!("{device}: {why}; tries again in {:.1} s", after.as_secs_f64()));
            }
            // The line before says it.
            Event::Reached { evidence: Evidence::Contact } => {}
            Event::Reached { evidence } => self.line(format!("{device}: {evidence}")),
            _ => {}
        }
    }

    fn line(&mut self, text: String) {
        if self.drawn && !self.reporter.quiet {
            eprint_line_end();
        }
        self.drawn = false;
        self.reporter.note(text);
    }

    fn draw(&mut self, sent: u64, of: u64) {
        let is_due = sent == of || self.last.is_none_or(|last| last.elapsed() >= REDRAW);
        if self.reporter.quiet || !is_due || !std::io::stderr().is_terminal() {
            return;
        }
        self.last = Some(Instant::now());
        self.drawn = true;
        draw_over(&format!("{}: {sent} of {of} bytes", said(self.device.as_bytes())));
    }

    /// Prints the end, and returns the exit code.
    pub(crate) fn end(&mut self, end: &End, wanted: Evidence) -> Result<Exit, Failure> {
        let exit = super::exit(end, wanted);
        if self.drawn {
            eprint_line_end();
            self.drawn = false;
        }
        #[derive(Serialize)]
        struct Line<'a> {
            device: &'a str,
            #[serde(flatten)]
            end: &'a End,
            wanted: Evidence,
            exit_code: Exit,
        }
        let device = said(self.device.as_bytes());
        let text = format!("{device}: {}", Shown { end, wanted });
        self.reporter.result(text, &Line { device: &self.device, end, wanted, exit_code: exit })?;
        Ok(exit)
    }

    /// Says what the device has when the user ends the push.
    pub(crate) fn interrupted(&mut self) -> Result<Exit, Failure> {
        let what = match self.evidence {
            Evidence::Nothing => "nothing was sent: the device runs what it ran".to_owned(),
            Evidence::Contact if self.sent == 0 => "nothing was sent: the device runs what it ran".to_owned(),
            Evidence::Contact => format!(
                "{} bytes were handed to the network: the device has a part of the file, gives it up, and runs what it ran",
                self.sent
            ),
            Evidence::HandedOver | Evidence::Sent => {
                "the device may have the whole file: whether it takes it is not known".to_owned()
            }
            Evidence::Taken => "the device took the update: it will run it when it starts again".to_owned(),
            Evidence::Running | Evidence::Settled => "the device runs the new image".to_owned(),
        };
        let end = End::Failed {
            evidence: self.evidence,
            why: format!("you ended it; {what}"),
            advice: "push again".to_owned(),
        };
        self.end(&end, Evidence::Settled)
    }
}

#[allow(clippy::print_stderr, reason = "progress is drawn over one line of the terminal")]
fn draw_over(text: &str) {
    eprint!("\r{text}\x1b[K");
}

#[allow(clippy::print_stderr, reason = "ends the line of progress")]
fn eprint_line_end() {
    eprintln!();
}

/// An end as text.
struct Shown<'a> {
    end: &'a End,
    wanted: Evidence,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            End::Reached { evidence, more } => {
                write!(f, "{evidence}")?;
                if *evidence < self.wanted {
                    write!(f, "; that it is {} is not proved", word(self.wanted))?;
                }
                if !more.is_empty() {
                    write!(f, "\n  more     {more}")?;
                }
                Ok(())
            }
            End::AlreadyRunning => f.write_str("runs this image already: nothing was sent"),
            End::Refused { by: By::Us, code, why, .. } => write!(f, "not sent ({code}): {why}"),
            End::Refused { by: By::Device, code, says, why } => {
                write!(f, "the device refused ({code})")?;
                if !says.is_empty() {
                    write!(f, ": {says}")?;
                }
                write!(f, "\n  why      {why}")
            }
            End::Failed { evidence, why, advice } => {
                write!(f, "failed: {why}\n  known    {evidence}")?;
                if !advice.is_empty() {
                    write!(f, "\n  help     {advice}")?;
                }
                Ok(())
            }
            _ => f.write_str("ended"),
        }
    }
}

fn word(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Nothing | Evidence::Contact | Evidence::HandedOver => "handed over",
        Evidence::Sent => "sent",
        Evidence::Taken => "taken",
        Evidence::Running => "running",
        Evidence::Settled => "settled",
    }
}
