//! The rollout: its phases, and what moves it on.
//!
//! [`Rollout::step`] is a function of the state, the plan, the counters, the event and the time. It never looks at devices:
//! the engine does what the effects say.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::brake::{Cohort, Comeback, Window};
use super::gate::{self, Judgement, Rate, Verdicts};
use super::plan::Plan;
use super::update::{State, Update, Verdict, Why};

/// A gate of a rollout that follows newcomers looks at so many verdicts.
const SLIDING: usize = 200;

/// So many silent devices in a row stop a rollout.
const SILENT_IN_A_ROW: u32 = 3;

/// So many silent devices in the first of several stages stop it.
const SILENT_CANARIES: u64 = 2;

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It was written down, and nothing else.
    Draft,
    /// It begins at a time.
    Scheduled,
    /// The devices of a stage get the release.
    Open,
    /// The stage has enough good verdicts, and is watched.
    Soaking,
    /// A person must let the next stage begin.
    Waiting,
    /// Every stage is done. Newcomers get the release.
    Following,
    /// It is over.
    Completed,
    /// A person ended it.
    Aborted,
    /// Another rollout took its place.
    Superseded,
}

impl Phase {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Soaking => "soaking",
            Self::Waiting => "waiting",
            Self::Following => "following",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::Superseded => "superseded",
        }
    }

    /// Whether it is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Aborted | Self::Superseded)
    }

    /// Whether devices may be offered the release in it.
    pub fn offers(self) -> bool {
        matches!(self, Self::Open | Self::Soaking | Self::Waiting | Self::Following)
    }
}

/// Why a rollout is paused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stop", rename_all = "kebab-case")]
pub enum Stop {
    /// A person paused it.
    Person,
    /// Too many failures.
    Failures {
        /// Devices with a bad verdict.
        bad: u64,
        /// Devices with a verdict.
        decided: u64,
        /// The lower bound of the failure rate.
        bound: Rate,
        /// The tolerated failure rate.
        tolerated: Rate,
    },
    /// Canaries are silent.
    SilentCanaries,
    /// Devices are silent, one after the other.
    SilentInARow,
    /// One device that says the release is not for it.
    Wrong {
        /// The reason.
        why: String,
    },
    /// A file of the release is not what it was.
    Damaged {
        /// Its name.
        file: String,
    },
    /// The release was withdrawn.
    Withdrawn,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person => f.write_str("paused by a person"),
            Self::Failures { bad, decided, bound, tolerated } => {
                write!(f, "paused: {bad} of {decided} failed, lower bound {bound} > {tolerated}")
            }
            Self::SilentCanaries => {
                write!(f, "paused: {SILENT_CANARIES} devices of the first stage are silent since the update")
            }
            Self::SilentInARow => {
                write!(f, "paused: {SILENT_IN_A_ROW} devices in a row are silent since the update")
            }
            Self::Wrong { why } => write!(f, "paused: a device reports {why}"),
            Self::Damaged { file } => write!(f, "paused: the file {file} is no longer what was uploaded"),
            Self::Withdrawn => f.write_str("paused: the release was withdrawn"),
        }
    }
}

/// How many devices are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    by_state: [u64; State::ALL.len()],
    /// By verdict: confirmed, failed, silent.
    verdicts: [u64; 3],
}

impl Counts {
    /// Counts a device in.
    pub fn add(&mut self, update: &Update) {
        self.by_state[update.state as usize] += 1;
        if let Some(verdict) = update.verdict() {
            self.verdicts[verdict as usize] += 1;
        }
    }

    /// Counts a device out.
    pub fn remove(&mut self, update: &Update) {
        let slot = &mut self.by_state[update.state as usize];
        *slot = slot.saturating_sub(1);
        if let Some(verdict) = update.verdict() {
            let slot = &mut self.verdicts[verdict as usize];
            *slot = slot.saturating_sub(1);
        }
    }

    /// The numbers, for the store: by state, and by verdict.
    pub fn numbers(&self) -> (Vec<u64>, Vec<u64>) {
        (self.by_state.to_vec(), self.verdicts.to_vec())
    }

    /// The counters with these numbers. A state that did not exist when they were stored has no devices.
    pub fn from_numbers(by_state: &[u64], verdicts: &[u64]) -> Self {
        let mut counts = Self::default();
        counts.by_state.iter_mut().zip(by_state).for_each(|(count, stored)| *count = *stored);
        counts.verdicts.iter_mut().zip(verdicts).for_each(|(count, stored)| *count = *stored);
        counts
    }

    /// The devices in this state.
    pub fn of(&self, state: State) -> u64 {
        self.by_state[state as usize]
    }

    /// The devices with a verdict.
    pub fn verdicts(&self) -> Verdicts {
        let [confirmed, failed, silent] = self.verdicts;
        Verdicts { confirmed, failed, silent }
    }

    /// The devices with an image of which nothing is proved.
    pub fn unproven(&self) -> u64 {
        State::ALL.into_iter().filter(|state| state.is_unproven()).map(|state| self.of(state)).sum()
    }

    /// The devices of which something is still expected without a person.
    pub fn moving(&self) -> u64 {
        self.unproven() + self.of(State::Queued) + self.of(State::Retry)
    }

    /// All devices.
    pub fn all(&self) -> u64 {
        self.by_state.iter().sum()
    }
}

/// What happens to a rollout.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A person starts it, or sets it on its time.
    Start,
    /// It stops offering.
    Pause(Stop),
    /// A person lets it go on after a pause.
    Resume,
    /// A person lets the next stage begin.
    GoOn,
    /// A person ends it.
    Abort,
    /// Another rollout takes its place.
    Supersede,
    /// The update of a device moved.
    Moved {
        /// What the gates counted it as before.
        before: Option<Verdict>,
        /// What they count it as now.
        after: Option<Verdict>,
        /// Why it moved.
        why: Why,
        /// Whether it is in the first of several stages.
        canary: bool,
    },
    /// Time has passed.
    Clock,
}

/// What the engine must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Give the devices of this stage an update, or open theirs.
    Open(usize),
    /// End the updates of the devices that did not come.
    Expire,
    /// End the updates that have not begun.
    Cancel,
}

/// The state of a rollout. What the plan says is not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Where it stands.
    pub phase: Phase,
    /// Why it offers nothing at present.
    pub paused: Option<Stop>,
    /// The stage that is open, from 0.
    pub stage: usize,
    /// Since when it is in this phase, in seconds since 1970.
    pub since: u64,
    /// When it was started, in seconds since 1970.
    pub started: Option<u64>,
    /// Devices that may be unproven.
    pub window: Window,
    /// Silent devices since the last that came back.
    pub silent_in_a_row: u32,
    /// Silent devices of the first of several stages.
    pub silent_canaries: u64,
    /// How long devices take to come back.
    pub comeback: Comeback,
    /// Bad verdicts that a person has seen: a resumed rollout is judged by what comes after.
    pub forgiven: (u64, u64),
    /// The last verdicts while it follows. `true` is a bad one.
    pub last: VecDeque<bool>,
}

impl Rollout {
    /// A draft.
    pub fn new(now: u64) -> Self {
        Self {
            phase: Phase::Draft,
            paused: None,
            stage: 0,
            since: now,
            started: None,
            window: Window::default(),
            silent_in_a_row: 0,
            silent_canaries: 0,
            comeback: Comeback::default(),
            forgiven: (0, 0),
            last: VecDeque::new(),
        }
    }

    /// Whether it offers the release to devices at this time.
    pub fn offers(&self, plan: &Plan, now: u64) -> bool {
        self.paused.is_none()
            && self.phase.offers()
            && plan.hours.as_ref().is_none_or(|hours| hours.allow(now))
    }

    /// Whether the rollout waits because devices are later than the others were. If they have failed, its gate would pause
    /// it, so it goes on only when they are back.
    pub fn waits_for(&self, plan: &Plan, counts: &Counts, cohort: Cohort) -> bool {
        let counted = self.counted(counts);
        // Devices that were served a moment ago and are back count on neither side: those that fail are not known yet.
        let confirmed = counted.confirmed.min(cohort.confirmed);
        let as_if = Verdicts { confirmed, silent: counted.silent + cohort.overdue, ..counted };
        cohort.overdue > 0 && matches!(gate::judge(as_if, plan.tolerated), Judgement::Pause { .. })
    }

    /// What the gate says at present.
    pub fn judgement(&self, plan: &Plan, counts: &Counts) -> Judgement {
        gate::judge(self.counted(counts), plan.tolerated)
    }

    fn counted(&self, counts: &Counts) -> Verdicts {
        if self.phase == Phase::Following {
            let bad = self.last.iter().filter(|bad| **bad).count() as u64;
            return Verdicts { confirmed: self.last.len() as u64 - bad, failed: bad, silent: 0 };
        }
        let Verdicts { confirmed, failed, silent } = counts.verdicts();
        let (bad, decided) = self.forgiven;
        // What a person has seen is taken from each side. Nothing falls below zero when devices recover.
        let good_seen = decided.saturating_sub(bad);
        let rest = bad.saturating_sub(failed);
        Verdicts {
            confirmed: confirmed.saturating_sub(good_seen),
            failed: failed.saturating_sub(bad),
            silent: silent.saturating_sub(rest),
        }
    }

    /// Moves the rollout on. Returns what the engine must do, in order.
    pub fn step(&mut self, plan: &Plan, counts: &Counts, event: &Event, now: u64) -> Vec<Effect> {
        let last = plan.stages.len().saturating_sub(1);
        match event {
            Event::Start if self.phase == Phase::Draft => match plan.start {
                Some(start) if start > now => {
                    self.enter(Phase::Scheduled, now);
                    vec![]
                }
                _ => self.begin(now),
            },
            Event::Pause(why) if !self.phase.is_over() && self.paused.is_none() => {
                self.paused = Some(why.clone());
                vec![]
            }
            Event::Resume if self.paused.is_some() && !self.phase.is_over() => {
                self.paused = None;
                self.silent_in_a_row = 0;
                self.silent_canaries = 0;
                self.last.clear();
                let seen = counts.verdicts();
                self.forgiven = (seen.bad(), seen.decided());
                vec![]
            }
            Event::GoOn if self.phase == Phase::Waiting && self.paused.is_none() => {
                self.next_stage(plan, last, now)
            }
            // A person need not wait for the gate.
            Event::GoOn if matches!(self.phase, Phase::Open | Phase::Soaking) && self.paused.is_none() => {
                self.next_stage(plan, last, now)
            }
            Event::Abort if !self.phase.is_over() => {
                self.enter(Phase::Aborted, now);
                vec![Effect::Cancel]
            }
            Event::Supersede if !self.phase.is_over() => {
                self.enter(Phase::Superseded, now);
                vec![Effect::Cancel]
            }
            Event::Moved { before, after, why, canary } => {
                self.hear(*before, *after, *why, *canary);
                self.brake(plan, counts, *why, *after);
                vec![]
            }
            Event::Clock => self.clock(plan, counts, last, now),
            _ => vec![],
        }
    }

    fn enter(&mut self, phase: Phase, now: u64) {
        self.phase = phase;
        self.since = now;
    }

    fn begin(&mut self, now: u64) -> Vec<Effect> {
        self.started = Some(now);
        self.stage = 0;
        self.enter(Phase::Open, now);
        vec![Effect::Open(0)]
    }

    fn next_stage(&mut self, plan: &Plan, last: usize, now: u64) -> Vec<Effect> {
        if self.stage < last {
            self.stage += 1;
            self.enter(Phase::Open, now);
            return vec![Effect::Open(self.stage)];
        }
        if plan.follow {
            self.enter(Phase::Following, now);
            return vec![];
        }
        self.enter(Phase::Completed, now);
        vec![Effect::Expire]
    }

    /// Follows a verdict.
    fn hear(&mut self, before: Option<Verdict>, after: Option<Verdict>, why: Why, canary: bool) {
        if before == after {
            return;
        }
        let Some(verdict) = after else { return };
        self.window.hear(verdict);
        match verdict {
            Verdict::Silent => {
                self.silent_in_a_row += 1;
                self.silent_canaries += u64::from(canary);
            }
            Verdict::Confirmed => self.silent_in_a_row = 0,
            Verdict::Failed => {}
        }
        if before == Some(Verdict::Silent) && canary {
            self.silent_canaries = self.silent_canaries.saturating_sub(1);
        }
        if self.phase == Phase::Following {
            // A device that was late takes its bad verdict back.
            if why == Why::Late
                && let Some(bad) = self.last.iter_mut().rev().find(|bad| **bad)
            {
                *bad = false;
                return;
            }
            if self.last.len() == SLIDING {
                self.last.pop_front();
            }
            self.last.push_back(verdict != Verdict::Confirmed);
        }
    }

    fn brake(&mut self, plan: &Plan, counts: &Counts, why: Why, after: Option<Verdict>) {
        if self.paused.is_some() || self.phase.is_over() {
            return;
        }
        if after == Some(Verdict::Failed) && why.stops_all() {
            self.paused = Some(Stop::Wrong { why: why.name().to_owned() });
        } else if self.silent_canaries >= SILENT_CANARIES {
            self.paused = Some(Stop::SilentCanaries);
        } else if self.silent_in_a_row >= SILENT_IN_A_ROW {
            self.paused = Some(Stop::SilentInARow);
        } else if let Judgement::Pause { bad, decided, bound } = self.judgement(plan, counts) {
            self.paused = Some(Stop::Failures { bad, decided, bound, tolerated: plan.tolerated });
        }
    }

    fn clock(&mut self, plan: &Plan, counts: &Counts, last: usize, now: u64) -> Vec<Effect> {
        if self.phase == Phase::Scheduled && self.paused.is_none() && plan.start.is_none_or(|at| at <= now) {
            return self.begin(now);
        }
        if !self.phase.offers() {
            return vec![];
        }
        let is_late = self.started.is_some_and(|started| now >= started + plan.deadline);
        if is_late && !plan.follow {
            // Devices that are being updated come to their end by themselves.
            if counts.of(State::Queued) + counts.of(State::Held) + counts.of(State::Retry) > 0 {
                return vec![Effect::Expire];
            }
            if counts.unproven() == 0 {
                self.enter(Phase::Completed, now);
            }
            return vec![];
        }
        if self.paused.is_some() {
            return vec![];
        }
        let Some(stage) = plan.stages.get(self.stage) else { return vec![] };
        let at_rest = counts.moving() == 0;
        let enough = matches!(self.judgement(plan, counts), Judgement::GoOn { .. })
            && 2 * counts.verdicts().decided()
                >= counts.all() - counts.of(State::Skipped) - counts.of(State::Held);
        match self.phase {
            Phase::Open if at_rest || (enough && self.stage < last) => self.enter(Phase::Soaking, now),
            Phase::Soaking if now >= self.since + stage.soak => {
                // A gate before the last stage needs a proof, or a person.
                if self.stage < last && (stage.manual || !enough) {
                    self.enter(Phase::Waiting, now);
                } else if self.stage < last || at_rest {
                    return self.next_stage(plan, last, now);
                } else {
                    self.enter(Phase::Open, now);
                }
            }
            _ => {}
        }
        vec![]
    }
}

#[cfg(test)]
mod tests;
