//! The update of one device: its states, and how it moves between them.
//!
//! [`Update::step`] is a function of the state, the event and the time. The server, the simulation and the tests run it.
//!
//! ```text
//! held ─► queued ─► sending ─► served ─► confirmed ─► settled
//!            ▲          │         │  ▲        │
//!            │          │         │  │        └─► attention (reverted)
//!            └─ retry ◄─┴─────────┤  │
//!                 │               ├──┴─ installed (the device said so)
//!                 └─► attention   ├─► silent ─► confirmed, retry, attention
//!                                 └─► unverifiable
//! ```
//!
//! Bytes that were served are no update. Only a device that comes back as the new image is confirmed. A device that does
//! not come back is silent, and counts as failed until it does. Every state that waits has a deadline.

mod state;

pub use state::{State, Verdict, Why};

use otaseal_delivery::evidence::Evidence;

use super::interval::Interval;
use super::loads::Loads;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The slowest reader that is expected, in bytes a second.
const SLOWEST: u64 = 5_000;

/// A device that said it took the update has this long to start it: it may wait until it is idle.
const INSTALL: u64 = DAY;

/// A confirmed device is settled after this long.
const SOAK: u64 = HOUR;

/// A silent device is given up after this long.
const GIVE_UP: u64 = 30 * DAY;

/// A device that takes fewer bytes than this before it closes has refused the image by its head.
pub const HEAD: u64 = 8 * 1024;

/// So many times a device may come back as the old image.
const NOT_APPLIED: u8 = 3;
/// So many times it may refuse. It judges the same bytes in the same way.
const REFUSED: u8 = 2;
/// So many times the network may fail.
const NETWORK: u8 = 6;

/// What a contact says of the image that the device runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The image of this update.
    New,
    /// The image that ran before.
    Old,
    /// Another image.
    Third,
    /// The device says nothing that tells images apart.
    Nothing,
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// Every byte was handed over, or reached the device: E2 or E3.
    Whole(Evidence),
    /// It ended early. The device had at most so many bytes.
    Cut(u64),
    /// It never began: the server had no place, or could not write it down.
    NotBegun,
}

/// What a device says of an image that it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It took the image: E4.
    Took,
    /// It refused the image.
    Refused,
    /// It refused the image, because it is for another board.
    WrongBoard,
    /// It refused the image, because the signature is not one it trusts.
    WrongSignature,
}

/// What happens to an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The stage of the device is open.
    Open,
    /// The device was there.
    Contact(Seen),
    /// The transfer begins.
    Offer,
    /// The transfer ended.
    Transfer(Transfer),
    /// The device gave its verdict.
    Said(Said),
    /// Time has passed.
    Clock,
    /// The release is not for this device, or it runs already.
    Skip(Why),
    /// A person wants another try.
    Again,
    /// A person ended it, or the rollout.
    Cancel,
    /// The rollout ends.
    Expire,
    /// Another release is assigned.
    Supersede,
}

/// What a step needs to know of the device and of the release.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// How often the device comes.
    pub interval: &'a Interval,
    /// Size of the image in bytes.
    pub bytes: u64,
    /// A number that differs between devices, to spread their next tries.
    pub spread: u8,
    /// Seconds since 1970.
    pub now: u64,
}

/// How often each kind of failure happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    /// The device came back as the old image.
    pub not_applied: u8,
    /// The device refused.
    pub refused: u8,
    /// The network failed.
    pub network: u8,
}

/// The update of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// Where it stands.
    pub state: State,
    /// Why.
    pub why: Why,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// When [`Event::Clock`] moves it on, in seconds since 1970. `None` if it does not.
    pub deadline: Option<u64>,
    /// What failed so far.
    pub tries: Tries,
    /// Contacts as the new image.
    pub proofs: u8,
    /// How many transfers began.
    pub attempt: u16,
    /// What the device was sent.
    pub loads: Loads,
}

impl Update {
    /// A new one. `open` says whether the device may be offered the release at once.
    pub fn new(open: bool, now: u64) -> Self {
        Self {
            state: if open { State::Queued } else { State::Held },
            why: if open { Why::Plain } else { Why::Stage },
            since: now,
            deadline: None,
            tries: Tries::default(),
            proofs: 0,
            attempt: 0,
            loads: Loads::default(),
        }
    }

    /// What the gates count it as.
    ///
    /// A device that failed counts as failed until it is confirmed, also while it is tried again. A transfer that the
    /// network cut says nothing of the image.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.state {
            State::Confirmed | State::Settled => Some(Verdict::Confirmed),
            State::Silent => Some(Verdict::Silent),
            State::Attention => Some(Verdict::Failed),
            State::Retry | State::Queued | State::Sending | State::Served | State::Installed => {
                (self.tries.not_applied > 0 || self.tries.refused > 0).then_some(Verdict::Failed)
            }
            State::Held
            | State::Skipped
            | State::Unverifiable
            | State::Expired
            | State::Cancelled
            | State::Superseded => None,
        }
    }

    /// Whether another release may take its place. Nobody knows what a device has that was sent an image a moment ago.
    pub fn may_be_superseded(&self) -> bool {
        !self.state.is_unproven()
    }

    /// Returns the update after the event, or `None` if the event does not change it.
    pub fn step(&self, event: Event, about: Circumstances<'_>) -> Option<Self> {
        let mut next = *self;
        match (self.state, event) {
            // What people and the rollout decide.
            (State::Held, Event::Open) => next.enter(State::Queued, Why::Plain, None, about),
            (
                State::Held | State::Queued | State::Retry | State::Silent | State::Attention,
                Event::Cancel,
            ) => next.enter(State::Cancelled, Why::Plain, None, about),
            (
                State::Held | State::Queued | State::Retry | State::Silent | State::Attention,
                Event::Supersede,
            ) => next.enter(State::Superseded, Why::Plain, None, about),
            (State::Held | State::Queued | State::Retry, Event::Expire) => {
                next.enter(State::Expired, Why::Plain, None, about);
            }
            (State::Attention | State::Skipped | State::Unverifiable | State::Silent, Event::Again) => {
                next.tries = Tries::default();
                next.loads = Loads::default();
                next.enter(State::Queued, Why::Again, None, about);
            }
            (State::Held | State::Queued | State::Retry, Event::Skip(why)) => {
                next.enter(State::Skipped, why, None, about);
            }

            // The transfer.
            (State::Queued, Event::Offer) => {
                next.attempt = next.attempt.saturating_add(1);
                let budget = (about.bytes / SLOWEST).max(5 * MINUTE);
                next.enter(State::Sending, Why::Plain, Some(budget), about);
            }
            (State::Sending, Event::Transfer(Transfer::Whole(_))) => {
                next.loads.add(about.bytes, true, about.now);
                next.enter(State::Served, Why::Plain, Some(about.interval.proof()), about);
            }
            (State::Sending, Event::Transfer(Transfer::Cut(bytes))) => {
                next.loads.add(bytes, false, about.now);
                next.fail(if bytes < HEAD { Why::RefusedEarly } else { Why::Network }, about);
            }
            (State::Sending, Event::Transfer(Transfer::NotBegun)) => {
                next.enter(State::Queued, Why::Plain, None, about);
            }
            (State::Sending, Event::Clock) => {
                next.loads.add(about.bytes, false, about.now);
                next.fail(Why::Network, about);
            }
            (State::Sending | State::Served, Event::Said(said)) => next.hear(said, about),

            // The proof. It counts whenever it comes.
            (State::Held | State::Queued, Event::Contact(Seen::New)) if self.attempt == 0 => {
                next.enter(State::Skipped, Why::AlreadyRunning, None, about);
            }
            (State::Held | State::Queued, Event::Contact(Seen::Third)) if self.attempt > 0 => {
                next.enter(State::Attention, Why::ThirdIdentity, None, about);
            }
            (State::Sending | State::Served | State::Installed, Event::Contact(Seen::New)) => {
                next.confirm(Why::Plain, about);
            }
            (
                State::Held | State::Queued | State::Retry | State::Silent | State::Unverifiable,
                Event::Contact(Seen::New),
            ) => {
                next.confirm(Why::Late, about);
            }
            // A device that goes to and fro needs a person.
            (State::Attention, Event::Contact(Seen::New)) if self.why != Why::Reverted => {
                next.confirm(Why::Late, about);
            }
            (State::Confirmed, Event::Contact(Seen::New)) => {
                next.proofs = next.proofs.saturating_add(1);
                if next.proofs >= 2 && about.now >= self.since + SOAK {
                    next.enter(State::Settled, self.why, None, about);
                } else if next.proofs > 2 {
                    // Nothing changes until the time is over.
                    return None;
                }
            }

            // What speaks against it.
            (
                State::Sending | State::Served | State::Installed | State::Retry | State::Silent,
                Event::Contact(Seen::Third),
            ) => next.enter(State::Attention, Why::ThirdIdentity, None, about),
            // The device started again while it got the image.
            (State::Sending, Event::Contact(Seen::Old)) => next.fail(Why::Network, about),
            (State::Served | State::Silent, Event::Contact(Seen::Old)) => next.fail(Why::NotApplied, about),
            (State::Confirmed | State::Settled, Event::Contact(Seen::Old)) => {
                next.enter(State::Attention, Why::Reverted, None, about);
            }
            (State::Confirmed, Event::Contact(Seen::Third)) => {
                next.enter(State::Attention, Why::ThirdIdentity, None, about);
            }
            (State::Served | State::Silent, Event::Contact(Seen::Nothing)) => {
                next.enter(State::Unverifiable, Why::Plain, None, about);
            }

            // Deadlines.
            (State::Served | State::Confirmed, Event::Clock) => {
                next.enter(State::Silent, Why::Plain, Some(GIVE_UP), about);
            }
            (State::Installed, Event::Clock) => next.enter(State::Attention, Why::NeverStarted, None, about),
            (State::Silent, Event::Clock) => next.enter(State::Attention, Why::Lost, None, about),
            (State::Retry, Event::Clock) => next.enter(State::Queued, self.why, None, about),
            _ => return None,
        }
        match event {
            Event::Clock if self.deadline.is_none_or(|deadline| about.now < deadline) => None,
            _ => Some(next),
        }
    }

    fn enter(&mut self, state: State, why: Why, within: Option<u64>, about: Circumstances<'_>) {
        self.state = state;
        self.why = why;
        self.since = about.now;
        self.deadline = within.map(|seconds| about.now + seconds);
    }

    fn confirm(&mut self, why: Why, about: Circumstances<'_>) {
        self.proofs = 1;
        // It must come once more, after the soak.
        let within = (SOAK + about.interval.proof()).max(2 * SOAK);
        self.enter(State::Confirmed, why, Some(within), about);
    }

    fn hear(&mut self, said: Said, about: Circumstances<'_>) {
        if self.state == State::Sending {
            self.loads.add(about.bytes, said == Said::Took, about.now);
        }
        match said {
            Said::Took => self.enter(State::Installed, Why::Plain, Some(INSTALL), about),
            Said::Refused => self.fail(Why::Refused, about),
            Said::WrongBoard => self.enter(State::Attention, Why::WrongBoard, None, about),
            Said::WrongSignature => self.enter(State::Attention, Why::WrongSignature, None, about),
        }
    }

    /// Plans the next try, or asks for a person.
    fn fail(&mut self, why: Why, about: Circumstances<'_>) {
        let (count, limit) = match why {
            Why::NotApplied => (&mut self.tries.not_applied, NOT_APPLIED),
            Why::Refused | Why::RefusedEarly => (&mut self.tries.refused, REFUSED),
            _ => (&mut self.tries.network, NETWORK),
        };
        *count = count.saturating_add(1);
        let (count, over) = (*count, *count >= limit);
        if over {
            // A device that came back as the old image each time keeps that reason: people look for it.
            let why = if why == Why::Network { Why::TooOften } else { why };
            self.enter(State::Attention, why, None, about);
        } else if self.loads.is_loop(about.bytes, about.now) {
            self.enter(State::Attention, Why::Loop, None, about);
        } else {
            self.enter(State::Retry, why, Some(about.interval.backoff(count, about.spread)), about);
        }
    }
}

#[cfg(test)]
mod tests;
