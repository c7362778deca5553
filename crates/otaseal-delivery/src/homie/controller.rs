//! One push to one device, as a state machine: it takes events and the time, and gives effects. It does no I/O.
//!
//! ```text
//! Looking ──ready, live or settled──► Waiting ──turn──► Sending ──200──► Returning ──ready, new checksum──► end: running
//!    ▲                                                     │
//!    └───────── the device or we lost the connection ──────┘
//! ```

mod answers;
mod words;

use std::time::Duration;

use super::facts::{Facts, State};
use super::plan::{Image, Waits};
use super::status::Status;
use super::topic::Attribute;
use crate::evidence::{End, Event, Evidence};

/// Most times that one image is sent to one device. A device that never keeps its connection ends here.
pub const MAX_ATTEMPTS: u32 = 5;

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'m> {
    /// The filters of this device were requested, and the broker sends what it kept.
    Watching,
    /// A message of the device, or the broker's in its name.
    Message {
        /// Its topic.
        attribute: Attribute<'m>,
        /// Its bytes.
        payload: &'m [u8],
        /// Whether the broker kept it from earlier.
        retained: bool,
    },
    /// It is this push's turn to send.
    Turn,
    /// The network took the whole message.
    HandedOver,
    /// Our connection broke.
    Down,
    /// Time passed.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Answer with [`Input::Turn`] as soon as few enough transfers are on their way.
    WantTurn,
    /// Send the image.
    Publish,
    /// The transfer is over, for better or worse: the next push may have the turn.
    GiveTurn,
    /// Tell the user.
    Tell(Event),
    /// The push is over.
    End(End),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Looks for a ready device.
    Looking {
        since: Duration,
    },
    /// Waits for its turn.
    Waiting,
    /// Sends, or the device receives.
    Sending {
        since: Duration,
        /// Last status, or the publish.
        sign: Duration,
        /// Whether the device answered to this attempt.
        accepted: bool,
        /// The device said `ready` though nothing said that it was gone. If it does not accept by then, send again.
        doubt: Option<Duration>,
    },
    /// The device took the image, and restarts.
    Returning {
        since: Duration,
        back: bool,
    },
    Ended,
}

/// One push. See the module.
#[derive(Debug)]
pub struct Controller {
    image: Image,
    until: Evidence,
    waits: Waits,
    facts: Facts,
    phase: Phase,
    /// When the device was first seen in this connection of ours, and when its state arrived as a retained one.
    watching: Option<Duration>,
    remembered: Option<Duration>,
    /// Whether something came from the device itself since we watch.
    alive: bool,
    /// After the device was lost, only a live `ready` counts.
    needs_live: bool,
    ready_live: bool,
    version_before: Option<String>,
    attempts: u32,
    again_after_error: bool,
    reached: Evidence,
    /// How many words of the device were told.
    words: u32,
    /// Bytes of the last report of progress in this attempt.
    reported: u64,
    /// When the device said that it took the image.
    taken_at: Duration,
    effects: Vec<Effect>,
}

impl Controller {
    /// Begins a push. `until` is the evidence with which it ends: [`Evidence::Sent`], [`Evidence::Taken`] or
    /// [`Evidence::Running`]. `now` is the time since any fixed moment.
    pub fn new(image: Image, until: Evidence, waits: Waits, now: Duration) -> Self {
        Self {
            image,
            until,
            waits,
            facts: Facts::default(),
            phase: Phase::Looking { since: now },
            watching: None,
            remembered: None,
            alive: false,
            needs_live: false,
            ready_live: false,
            version_before: None,
            attempts: 0,
            again_after_error: false,
            reached: Evidence::Nothing,
            words: 0,
            reported: 0,
            taken_at: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    /// What it was begun with.
    pub(super) fn plan(&self) -> (Image, Evidence, Waits) {
        (self.image.clone(), self.until, self.waits)
    }

    /// What the device says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether it waits for the rest of what the broker kept.
    pub fn is_settling(&self, now: Duration) -> bool {
        let complete = self.facts.state.is_some() && self.facts.ota_enabled.is_some();
        self.watching.is_some_and(|since| now.saturating_sub(since) < self.waits.life) && !complete
    }

    /// Takes one event.
    pub fn step(&mut self, input: Input<'_>, now: Duration) -> Vec<Effect> {
        match input {
            _ if self.phase == Phase::Ended => {}
            Input::Watching => {
                self.watching = Some(now);
            }
            Input::Message { attribute, payload, retained } => {
                self.message(attribute, payload, retained, now)
            }
            Input::Turn => self.begin(now),
            Input::HandedOver => self.reach(Evidence::HandedOver),
            Input::Down => self.down(now),
            Input::Tick => {}
        }
        self.progress(now);
        std::mem::take(&mut self.effects)
    }

    fn message(&mut self, attribute: Attribute<'_>, payload: &[u8], retained: bool, now: Duration) {
        let state_before = self.facts.state;
        if !self.facts.take(attribute, payload) {
            return;
        }
        let is_state = matches!(attribute, Attribute::State | Attribute::Online);
        match (is_state, retained) {
            (true, true) => self.remembered = Some(now),
            (true, false) => self.live_state(state_before, now),
            (false, true) => {}
            (false, false) => {
                self.alive = true;
                self.reach(Evidence::Contact);
            }
        }
        if attribute == Attribute::OtaStatus && !retained {
            self.status(Status::read(payload), now);
        }
        if attribute == Attribute::Uptime && !retained {
            self.uptime(now);
        }
    }

    /// The device, or the broker for it, says a state now.
    fn live_state(&mut self, before: Option<State>, now: Duration) {
        let Some(state) = self.facts.state else { return };
        if state.gone() || state == State::Init {
            self.ready_live = false;
            self.alive = state == State::Init;
            if matches!(self.phase, Phase::Sending { .. } | Phase::Waiting) {
                self.interrupted("the device lost its connection", true, now);
            }
            return;
        }
        if !state.listens() {
            return;
        }
        self.ready_live = true;
        self.alive = true;
        self.reach(Evidence::Contact);
        let was_there = before.is_some_and(State::listens);
        match &mut self.phase {
            // It answered, and then began a new session.
            Phase::Sending { accepted: true, .. } => {
                self.interrupted("the device connected again", true, now);
                self.ready_live = true;
            }
            Phase::Sending { doubt, .. } if was_there && doubt.is_none() => {
                *doubt = Some(now + self.waits.life)
            }
            Phase::Returning { back, .. } => *back = true,
            _ => {}
        }
    }

    fn begin(&mut self, now: Duration) {
        if self.phase != Phase::Waiting {
            self.effects.push(Effect::GiveTurn);
            return;
        }
        self.attempts += 1;
        self.reported = 0;
        self.phase = Phase::Sending { since: now, sign: now, accepted: false, doubt: None };
        self.effects.push(Effect::Publish);
    }

    fn down(&mut self, now: Duration) {
        self.watching = None;
        self.remembered = None;
        self.facts.state = None;
        self.alive = false;
        self.ready_live = false;
        if matches!(self.phase, Phase::Sending { .. } | Phase::Waiting) {
            self.interrupted("the connection to the broker broke", false, now);
        }
    }

    fn interrupted(&mut self, why: &str, needs_live: bool, now: Duration) {
        let sent = matches!(self.phase, Phase::Sending { .. });
        self.effects.push(Effect::GiveTurn);
        self.needs_live = needs_live;
        self.phase = Phase::Looking { since: now };
        if !sent {
            return;
        }
        if self.attempts >= MAX_ATTEMPTS {
            return self.end(words::gave_up(self.attempts, self.reached));
        }
        self.tell(Event::Retries { why: why.to_owned(), after: Duration::ZERO });
    }

    /// Looks whether the device runs the image, and whether a time is over.
    fn progress(&mut self, now: Duration) {
        if self.attempts > 0 && self.phase != Phase::Ended && self.is_ready() && self.runs_it() {
            self.reach(Evidence::Running);
            return self.end(End::Reached { evidence: Evidence::Running, more: String::new() });
        }
        match self.phase {
            Phase::Looking { since } => self.look(since, now),
            Phase::Sending { doubt: Some(at), accepted: false, .. } if now >= at => {
                self.interrupted("the device connected again", false, now);
            }
            Phase::Sending { sign, accepted, .. } if now >= sign + self.waits.stall => {
                self.end(words::stalled(accepted, self.alive, self.waits.stall, self.reached));
            }
            Phase::Sending { since, .. } if now >= since + self.waits.transfer => {
                self.end(words::endless(self.waits.transfer, self.reached));
            }
            Phase::Returning { since, back } => self.returning(since, back, now),
            _ => {}
        }
    }

    fn look(&mut self, since: Duration, now: Duration) {
        if self.is_ready() && self.has_settled(now) {
            match self.facts.ota_enabled {
                Some(true) => {}
                Some(false) => return self.end(words::switched_off()),
                // The last fact before `ready`: wait for it below.
                None => return self.look_longer(since, now),
            }
            if self.attempts == 0 && self.runs_it() {
                return self.end(End::AlreadyRunning);
            }
            if self.attempts == 0 {
                self.version_before = self.facts.firmware_version.clone();
            }
            self.phase = Phase::Waiting;
            self.effects.push(Effect::WantTurn);
            return;
        }
        self.look_longer(since, now);
    }

    fn look_longer(&mut self, since: Duration, now: Duration) {
        if now >= since + self.waits.ready {
            let end = match self.watching {
                Some(_) => words::not_ready(&self.facts, self.needs_live, self.waits.ready, self.reached),
                None => words::no_broker(self.waits.ready, self.reached),
            };
            self.end(end);
        }
    }

    /// Whether the device is ready, by its own word or by the broker's memory.
    fn is_ready(&self) -> bool {
        self.facts.state.is_some_and(State::listens) && (self.ready_live || !self.needs_live)
    }

    /// Whether the facts can be used. A device that connects now has told all before `ready`. What the broker kept comes in any
    /// order, and a device that is there may show itself in the midst of it.
    fn has_settled(&self, now: Duration) -> bool {
        self.ready_live
            || (self.alive && self.facts.checksum.is_some())
            || self.remembered.is_some_and(|at| now >= at + self.waits.life)
    }

    /// Whether the device says that it runs the image.
    fn runs_it(&self) -> bool {
        if let Some(checksum) = self.facts.checksum
            && self.image.running.contains(&checksum)
        {
            return true;
        }
        // Without the version from before, an old version would pass for a new one.
        let (before, now) = (self.version_before.as_ref(), self.facts.firmware_version.as_ref());
        before.is_some() && now.is_some() && now == self.image.version.as_ref() && now != before
    }

    fn returning(&mut self, since: Duration, back: bool, now: Duration) {
        if back && self.is_ready() && self.facts.checksum.is_none() && self.image_has_no_new_version() {
            return self.end(End::Reached { evidence: Evidence::Taken, more: words::UNPROVABLE.into() });
        }
        if now < since + self.waits.restart {
            return;
        }
        if back {
            self.end(words::came_back_old(&self.facts));
        } else {
            self.end(End::Reached { evidence: Evidence::Taken, more: words::NOT_BACK.into() });
        }
    }

    fn image_has_no_new_version(&self) -> bool {
        self.image.version.is_none() || self.image.version == self.version_before
    }

    fn reach(&mut self, evidence: Evidence) {
        if evidence > self.reached {
            self.reached = evidence;
            self.tell(Event::Reached { evidence });
            if evidence == Evidence::Sent && self.until <= Evidence::Sent {
                self.effects.push(Effect::GiveTurn);
                self.end(End::Reached { evidence, more: words::VERDICT_LATER.into() });
            }
        }
    }

    fn tell(&mut self, event: Event) {
        if self.phase != Phase::Ended {
            self.effects.push(Effect::Tell(event));
        }
    }

    fn end(&mut self, end: End) {
        if self.phase != Phase::Ended {
            if matches!(self.phase, Phase::Sending { .. } | Phase::Waiting) {
                self.effects.push(Effect::GiveTurn);
            }
            self.phase = Phase::Ended;
            self.effects.push(Effect::End(end));
        }
    }
}

#[cfg(test)]
mod tests;
