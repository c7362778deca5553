//! What a push makes of the device's statuses.

use std::time::Duration;

use super::{Controller, Effect, Phase, words};
use crate::evidence::{By, End, Event, Evidence};
use crate::homie::status::Status;

/// Most words of a device that are told. A real one has five. More are a flood.
const MAX_WORDS: u32 = 1000;
/// Most reports of progress in one attempt. A real device reports every segment of 1460 bytes at most.
const MAX_REPORTS: u64 = 1000;

impl Controller {
    pub(super) fn status(&mut self, status: Status, now: Duration) {
        let Phase::Sending { sign, accepted, .. } = &mut self.phase else {
            // Somebody else's push, or the rest of an earlier attempt.
            return;
        };
        *sign = now;
        match status {
            Status::Accepted => {
                *accepted = true;
                self.says("202");
            }
            Status::Progress { done, total } => {
                let size = self.image.bytes.len() as u64;
                if total != size || done > total {
                    // Somebody else's push, or a lie: a device cannot have more than was sent.
                    return self.says(&format!("206 {done}/{total}"));
                }
                *accepted = true;
                self.report(done, total);
            }
            Status::Taken if *accepted => self.taken(now),
            // Without a 202 it may be the end of somebody else's push.
            Status::Taken => self.says("200"),
            Status::Same => {
                self.says("304");
                self.end(End::AlreadyRunning);
            }
            Status::Refused { says, again: true, .. } if !self.again_after_error => {
                self.again_after_error = true;
                self.says(&says);
                self.interrupted("the updater was busy with an earlier failure", false, now);
            }
            Status::Refused { says, code, why, .. } => {
                self.says(&says);
                self.end(End::Refused { by: By::Device, code, says, why: why.into() });
            }
            Status::Unknown(text) => self.says(&text),
        }
    }

    fn report(&mut self, done: u64, total: u64) {
        if done > self.reported && (done == total || done >= self.reported + total / MAX_REPORTS) {
            self.reported = done;
            self.tell(Event::Progress { sent: done, of: total });
        }
        if done == total {
            self.reach(Evidence::Sent);
        }
    }

    fn taken(&mut self, now: Duration) {
        self.says("200");
        self.taken_at = now;
        self.reach(Evidence::Sent);
        self.reach(Evidence::Taken);
        self.effects.push(Effect::GiveTurn);
        if self.until <= Evidence::Taken {
            return self.end(End::Reached { evidence: Evidence::Taken, more: words::RUNS_LATER.into() });
        }
        self.phase = Phase::Returning { since: now, back: false };
        self.tell(Event::Waits { what: "the device's restart" });
    }

    /// After a restart the uptime is shorter than the time since the device took the image. So an old image is no longer one
    /// that waits for its restart.
    pub(super) fn uptime(&mut self, now: Duration) {
        let since_taken = now.saturating_sub(self.taken_at);
        let restarted = self.facts.uptime_secs.is_some_and(|secs| secs < since_taken.as_secs());
        if restarted && matches!(self.phase, Phase::Returning { back: true, .. }) && !self.runs_it() {
            self.end(words::came_back_old(&self.facts));
        }
    }

    fn says(&mut self, text: &str) {
        self.words += 1;
        if self.words <= MAX_WORDS {
            self.tell(Event::Says { text: text.to_owned() });
        }
    }
}
