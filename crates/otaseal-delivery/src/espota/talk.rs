//! The talk over UDP: invitation, password, and what a silence means. It is a state machine without sockets or a clock.
//!
//! Source: esp8266/Arduino `libraries/ArduinoOTA/ArduinoOTA.cpp` (`_onRx`): a device that waits for the answer to its
//! nonce swallows everything else, without a word, and is idle again. So a host that hears nothing invites again.

use std::time::Duration;

use super::auth::{Kept, Nonce, Password, Scheme, answer};
use super::reply::Reply;
use super::{Times, ends};
use crate::evidence::{End, Event};
use crate::text::said;

/// Most datagrams that a talk takes. A device sends one for each of ours.
const MAX_DATAGRAMS: u32 = 64;

/// Invitations that may be answered by "nobody listens there" before the host gives up. A device that starts up, or that
/// runs another update, answers so for a while.
const MAX_UNREACHABLE: u32 = 3;

/// A datagram that ends the wait of a device for a password. An idle device ignores it.
const NEVER_MIND: &[u8] = b"200 \n";

/// What happens to a talk.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A datagram of the device came.
    Datagram(&'a [u8]),
    /// The network says that nobody listens at the device's port.
    Unreachable,
    /// The deadline passed.
    Elapsed,
}

/// What the host does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a datagram.
    Send(Vec<u8>),
    /// Tell the user.
    Tell(Event),
    /// It is over.
    End(End),
}

/// Where a talk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The invitation is out.
    Invited,
    /// The nonce was answered.
    Answered(Scheme),
    /// The device said `OK`.
    Agreed,
    /// It is over.
    Ended,
}

/// A talk with one device.
#[derive(Debug, Clone)]
pub struct Talk {
    invitation: Vec<u8>,
    password: Option<Password>,
    seed: [u8; 32],
    times: Times,
    state: State,
    kept: Kept,
    deadline: Duration,
    invitations: u32,
    datagrams: u32,
    unreachable: u32,
    /// Whether the device said anything that made sense.
    contact: bool,
    strange: Option<String>,
}

impl Talk {
    /// Begins a talk. `seed` is a random number. Send what [`Self::start`] returns.
    pub fn new(invitation: Vec<u8>, password: Option<Password>, seed: [u8; 32], times: Times) -> Self {
        Self {
            invitation,
            password,
            seed,
            times,
            state: State::Invited,
            kept: Kept::Sha256,
            deadline: Duration::ZERO,
            invitations: 0,
            datagrams: 0,
            unreachable: 0,
            contact: false,
            strange: None,
        }
    }

    /// Invites the device. `now` is the time on any clock that only goes forward.
    pub fn start(&mut self, now: Duration) -> Vec<Effect> {
        self.invite(now)
    }

    /// When [`Input::Elapsed`] is due.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Whether the device said `OK` and is expected to connect. It may also connect without: its `OK` can be lost.
    pub fn has_agreed(&self) -> bool {
        self.state == State::Agreed
    }

    /// Whether the device was ever heard.
    pub fn had_contact(&self) -> bool {
        self.contact
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Duration, input: Input<'_>) -> Vec<Effect> {
        match input {
            _ if self.state == State::Ended => Vec::new(),
            Input::Datagram(datagram) => self.datagram(now, datagram),
            Input::Unreachable => self.unreachable(),
            Input::Elapsed if self.state == State::Agreed => self.end(ends::never_connected()),
            Input::Elapsed if self.invitations >= self.times.invitations => self.give_up(),
            Input::Elapsed => {
                let why = match self.state {
                    State::Answered(_) => "the device did not answer the password",
                    _ => "the device did not answer the invitation",
                };
                let mut effects = vec![tell_retry(why)];
                effects.extend(self.invite(now));
                effects
            }
        }
    }

    fn invite(&mut self, now: Duration) -> Vec<Effect> {
        let silence = self.times.first_silence.saturating_mul(1 << self.invitations.min(16));
        self.invitations += 1;
        self.state = State::Invited;
        self.deadline = now + silence.min(self.times.longest_silence);
        vec![Effect::Send(self.invitation.clone())]
    }

    fn datagram(&mut self, now: Duration, datagram: &[u8]) -> Vec<Effect> {
        self.datagrams += 1;
        if self.datagrams > MAX_DATAGRAMS {
            return self.end(ends::flood(self.contact));
        }
        match (Reply::parse(datagram), self.state) {
            (Reply::Ok, State::Invited | State::Answered(_)) => {
                self.contact = true;
                self.state = State::Agreed;
                self.deadline = now + self.times.connect;
                vec![Effect::Tell(Event::Waits { what: "the device to connect" })]
            }
            (Reply::Auth(nonce), State::Invited) => self.authenticate(now, &nonce),
            (Reply::AuthenticationFailed, State::Answered(Scheme::Sha256)) if self.kept == Kept::Sha256 => {
                // The sketch may keep the MD5 of its password. The device forgot the nonce, so all begins again.
                self.kept = Kept::Md5;
                self.invitations = 0;
                let mut effects = vec![tell_retry("the sketch may keep its password as MD5")];
                effects.extend(self.invite(now));
                effects
            }
            (Reply::AuthenticationFailed, State::Answered(_)) => {
                self.end(ends::wrong_password(&said(datagram)))
            }
            (Reply::Error(words), _) => self.end(ends::refused(&words)),
            (Reply::Unknown(words), _) => {
                let text = said(&words);
                let is_first = self.strange.is_none();
                self.strange.get_or_insert_with(|| text.clone());
                if is_first { vec![Effect::Tell(Event::Says { text })] } else { Vec::new() }
            }
            // A repeated datagram, or the answer to an earlier one.
            (Reply::Ok | Reply::Auth(_) | Reply::AuthenticationFailed, _) => Vec::new(),
        }
    }

    /// Answers a nonce, once for each invitation.
    fn authenticate(&mut self, now: Duration, nonce: &Nonce) -> Vec<Effect> {
        self.contact = true;
        let Some(password) = &self.password else {
            let mut effects = vec![Effect::Send(NEVER_MIND.to_vec())];
            effects.extend(self.end(ends::needs_password()));
            return effects;
        };
        let line = answer(password, nonce, &self.seed, self.kept);
        let scheme = nonce.scheme();
        self.state = State::Answered(scheme);
        self.deadline = now + self.times.longest_silence;
        vec![Effect::Tell(Event::Authenticates { scheme: scheme.name() }), Effect::Send(line.into_bytes())]
    }

    fn unreachable(&mut self) -> Vec<Effect> {
        self.unreachable += 1;
        // After `OK` the device closes its port, and opens it again after the update.
        if self.unreachable < MAX_UNREACHABLE || self.state == State::Agreed {
            return Vec::new();
        }
        self.end(ends::unreachable())
    }

    fn give_up(&mut self) -> Vec<Effect> {
        let end = match self.state {
            State::Answered(_) => ends::no_answer_to_password(),
            _ => {
                ends::no_answer(self.invitations, self.contact, self.strange.as_deref(), self.unreachable > 0)
            }
        };
        self.end(end)
    }

    fn end(&mut self, end: End) -> Vec<Effect> {
        self.state = State::Ended;
        vec![Effect::End(end)]
    }
}

fn tell_retry(why: &str) -> Effect {
    Effect::Tell(Event::Retries { why: why.into(), after: Duration::ZERO })
}

#[cfg(test)]
mod tests;
