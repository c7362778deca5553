//! The fleet in memory: it decides, and says what to write down.
//!
//! Everything here is quick and does no I/O. The device port, the scheduler and the commands call it under one lock. What
//! changed comes out as [`Write`]s, in order; nobody is told of a change before it is durable.
//!
//! A poll of a device that has nothing to get changes nothing but the time at which it was last heard of.

mod answer;
mod control;
pub mod devices;
pub mod key;
pub mod known;
mod newcomers;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use otaseal_delivery::evidence::Evidence;
use otaseal_delivery::offer::{Code, Decision, Policy, Refusal, Way};

use crate::rollout::brake::{self, Brake, Cohort};
use crate::rollout::machine::{self, Effect};
use crate::rollout::update::{Circumstances, Event, Said, Seen, State, Transfer, Why};
use crate::store::Write;
use crate::store::rows::{
    DeviceId, EventRow, LastSeen, ReleaseId, RolloutId, RolloutRow, Source, Standing, UpdateRow,
};
use devices::{Assigned, Device, Devices, Sites};
use key::{Key, Running};
use known::Known;
use newcomers::Newcomers;

pub use answer::{Candidate, Contact, Lease, Nothing, Polled};
pub use control::{ControlError, Target};

/// A rollout that is not over, or was not long ago.
#[derive(Debug)]
struct Active {
    row: RolloutRow,
    /// When the minute began in which it made so many offers.
    minute: (u64, u32),
    /// Devices that it gets when their present update has ended, with their first stage.
    later: HashMap<DeviceId, u8>,
    /// Devices that were served and have not come back, with the time and the number of the transfer, oldest first.
    served: VecDeque<(u64, DeviceId, u16)>,
    /// When the last transfers ended, oldest first: of these devices, the good ones are known before the bad ones.
    young: VecDeque<u64>,
    /// All others.
    cohort: Cohort,
    dirty: bool,
}

/// The fleet.
#[derive(Debug, Default)]
pub struct Engine {
    devices: Devices,
    releases: BTreeMap<ReleaseId, Arc<Known>>,
    by_image: HashMap<u64, ReleaseId>,
    rollouts: BTreeMap<RolloutId, Active>,
    /// When an update may have to move. An entry may be out of date.
    deadlines: BinaryHeap<Reverse<(u64, DeviceId)>>,
    /// Devices whose last contact is not in the store yet.
    seen: Vec<DeviceId>,
    newcomers: Newcomers,
    sites: Sites,
    /// Devices that came in, or were accepted, since somebody asked.
    fresh: Vec<DeviceId>,
    /// Releases that are never offered again.
    withdrawn: HashSet<ReleaseId>,
    outbox: Vec<Write>,
    /// Why nothing is offered at present: the store cannot be written.
    closed: bool,
}

impl Engine {
    /// Takes what is to be written down, in order.
    pub fn take_writes(&mut self) -> Vec<Write> {
        let mut writes = std::mem::take(&mut self.outbox);
        for active in self.rollouts.values_mut().filter(|active| active.dirty) {
            active.dirty = false;
            writes.push(Write::Rollout(Box::new(active.row.clone())));
        }
        writes
    }

    /// Takes the last contacts that are not written down.
    pub fn take_seen(&mut self) -> Vec<LastSeen> {
        let ids = std::mem::take(&mut self.seen);
        let mut seen = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(device) = self.devices.get_mut(id) else { continue };
            device.dirty = false;
            let interval = device.interval.to_bytes().to_vec();
            seen.push(LastSeen { device: id, at: device.last_seen, interval, address: None });
        }
        seen
    }

    /// Takes the devices that came in, or were accepted, since it was asked last: rules may hold for them.
    pub fn take_fresh(&mut self) -> Vec<DeviceId> {
        std::mem::take(&mut self.fresh)
    }

    /// Gives devices back that could not be looked at.
    pub fn look_again(&mut self, fresh: &[DeviceId]) {
        self.fresh.extend_from_slice(fresh);
    }

    /// Offers nothing until it is opened again.
    pub fn close(&mut self, closed: bool) {
        self.closed = closed;
    }

    /// The devices.
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// A release that may be offered.
    pub fn release(&self, id: ReleaseId) -> Option<&Arc<Known>> {
        self.releases.get(&id)
    }

    /// A rollout.
    pub fn rollout(&self, id: RolloutId) -> Option<&RolloutRow> {
        self.rollouts.get(&id).map(|active| &active.row)
    }

    /// All rollouts.
    pub fn rollouts(&self) -> impl Iterator<Item = &RolloutRow> {
        self.rollouts.values().map(|active| &active.row)
    }

    /// Hears of a device, by whatever way it came. Returns its number if it is known.
    ///
    /// # Errors
    /// Why nothing was learned.
    pub fn contact(&mut self, contact: Contact<'_>) -> Result<DeviceId, Nothing> {
        let Some(key) = Key::of_facts(contact.facts) else { return Err(Nothing::NoIdentity) };
        let id = match self.devices.find(key) {
            Some(id) => id,
            None => self.newcomer(key, contact)?,
        };
        self.learn(id, contact);
        Ok(id)
    }

    /// A device asks for an update.
    pub fn poll(&mut self, contact: Contact<'_>) -> Polled {
        match self.contact(contact) {
            Ok(id) => self.candidate(id, Way::Pull, contact.now).map_or_else(Polled::Nothing, Polled::May),
            Err(nothing) => Polled::Nothing(nothing),
        }
    }

    /// What a device may get now, this way.
    ///
    /// # Errors
    /// Why it gets nothing.
    pub fn candidate(&self, id: DeviceId, way: Way, now: u64) -> Result<Candidate, Nothing> {
        let Some(device) = self.devices.get(id) else { return Err(Nothing::NoIdentity) };
        match device.standing {
            Standing::Pending => return Err(Nothing::Pending),
            Standing::Ignored => return Err(Nothing::Ignored),
            Standing::Accepted => {}
        }
        let Some(assigned) = device.assigned else { return Err(Nothing::UpToDate) };
        match assigned.update.state {
            State::Queued => {}
            State::Settled | State::Confirmed => return Err(Nothing::UpToDate),
            state => return Err(Nothing::State(state)),
        }
        if self.closed {
            return Err(Nothing::Closed);
        }
        let mut policy = Policy::new(way);
        if let Some(active) = assigned.rollout.and_then(|id| self.rollouts.get(&id)) {
            let RolloutRow { plan, state, counts, .. } = &active.row;
            if !state.offers(plan, now) {
                return Err(Nothing::Paused);
            }
            let minute = if now < active.minute.0 + 60 { active.minute.1 } else { 0 };
            let unproven = u32::try_from(counts.unproven()).unwrap_or(u32::MAX);
            let site = self.devices.site(device.site);
            if state.waits_for(plan, counts, active.cohort) {
                return Err(Nothing::Brake(Brake::Overdue));
            }
            let window = state.window.within(active.cohort);
            brake::may_offer(&plan.limits, window, unproven, site, minute).map_err(Nothing::Brake)?;
            policy.downgrade = plan.downgrade;
            policy.other_firmware = plan.other_firmware;
        }
        let offered =
            self.releases.get(&assigned.release).filter(|known| !self.withdrawn.contains(&known.id));
        let Some(known) = offered else { return Err(Nothing::NoRelease) };
        let running = device.release.and_then(|id| self.releases.get(&id)).map(Arc::clone);
        Ok(Candidate { device: id, known: Arc::clone(known), running, policy })
    }

    /// Begins a transfer, or remembers why there is none. The brakes and the state are looked at again: between the two
    /// calls, the file was judged without the lock.
    ///
    /// # Errors
    /// Why it gets nothing.
    pub fn offer(
        &mut self,
        candidate: &Candidate,
        decision: &Decision<'_>,
        now: u64,
    ) -> Result<Lease, Nothing> {
        let id = candidate.device;
        let again = self.candidate(id, candidate.policy.way, now)?;
        if again.known.id != candidate.known.id {
            return Err(Nothing::NoRelease);
        }
        match decision {
            Decision::Offer(offer) => {
                let text = format!("{} is sent: {}", offer.artefact.file, offer.because);
                self.step(id, Event::Offer, now, &text);
                let attempt = self.devices.get(id).and_then(|device| device.assigned);
                let Some(assigned) = attempt.filter(|assigned| assigned.update.state == State::Sending)
                else {
                    return Err(Nothing::NoRelease);
                };
                if let Some(active) = assigned.rollout.and_then(|id| self.rollouts.get_mut(&id)) {
                    active.minute = match active.minute {
                        (begun, count) if now < begun + 60 => (begun, count + 1),
                        _ => (now, 1),
                    };
                }
                Ok(Lease { device: id, attempt: assigned.update.attempt })
            }
            // The device takes no updates at present. It is asked again when it comes again.
            Decision::NotNow(refusal) if refusal.code != Code::AlreadyRunning => {
                Err(Nothing::State(State::Queued))
            }
            Decision::NotNow(refusal) => Err(self.skip(id, Why::AlreadyRunning, refusal, now)),
            Decision::Never(refusal) => Err(self.skip(id, Why::NotForIt, refusal, now)),
        }
    }

    fn skip(&mut self, id: DeviceId, why: Why, refusal: &Refusal, now: u64) -> Nothing {
        let text = format!("{}: {}", refusal.code.as_str(), refusal.why);
        self.step(id, Event::Skip(why), now, &text);
        Nothing::State(State::Skipped)
    }

    /// A transfer ended.
    pub fn transferred(&mut self, lease: Lease, transfer: Transfer, now: u64) {
        if self.is_current(lease) {
            let text = match transfer {
                Transfer::Whole(Evidence::Sent) => "every byte reached the device".to_owned(),
                Transfer::Whole(_) => "every byte was handed to the network".to_owned(),
                Transfer::NotBegun => "the transfer did not begin".to_owned(),
                Transfer::Cut(bytes) => format!("the transfer ended after {bytes} bytes"),
            };
            self.step(lease.device, Event::Transfer(transfer), now, &text);
        }
    }

    /// A device gave its verdict on a transfer. `words` are its own, escaped.
    pub fn said(&mut self, lease: Lease, said: Said, words: &str, now: u64) {
        if self.is_current(lease) {
            self.step(lease.device, Event::Said(said), now, words);
        }
    }

    fn is_current(&self, lease: Lease) -> bool {
        let assigned = self.devices.get(lease.device).and_then(|device| device.assigned);
        assigned.is_some_and(|assigned| assigned.update.attempt == lease.attempt)
    }

    /// Moves on what waited for a time. Call it every second or so.
    pub fn tick(&mut self, now: u64) {
        while let Some(Reverse((at, id))) = self.deadlines.peek().copied() {
            if at > now {
                break;
            }
            self.deadlines.pop();
            let update = self.devices.get(id).and_then(|device| device.assigned).map(|one| one.update);
            if update.is_some_and(|update| update.deadline == Some(at)) {
                self.step(id, Event::Clock, now, "its time is over");
            }
        }
        let running: Vec<RolloutId> = self.rollouts.keys().copied().collect();
        for id in running {
            self.tell_rollout(id, &machine::Event::Clock, now);
            self.assign_late(id, now);
            self.count_cohort(id, now);
        }
    }

    /// Counts the devices of a rollout that should have come back by now, and those that did.
    fn count_cohort(&mut self, id: RolloutId, now: u64) {
        let Self { rollouts, devices, .. } = self;
        let Some(active) = rollouts.get_mut(&id) else { return };
        let waits = |id: DeviceId, attempt: u16| {
            let update = devices.get(id).and_then(|device| device.assigned).map(|assigned| assigned.update);
            update.is_some_and(|update| update.state == State::Served && update.attempt == attempt)
        };
        // The brakes bound how many wait. All others leave the queue here.
        active.served.retain(|(_, id, attempt)| waits(*id, *attempt));
        let Some(after) = active.row.state.comeback.overdue_after() else { return };
        while active.young.front().is_some_and(|at| at + after < now) {
            active.young.pop_front();
        }
        let overdue = active.served.iter().take_while(|(at, ..)| at + after < now).count() as u64;
        let confirmed = active.row.counts.verdicts().confirmed;
        active.cohort = Cohort { overdue, confirmed: confirmed.saturating_sub(active.young.len() as u64) };
    }

    /// Follows what a known device says.
    fn learn(&mut self, id: DeviceId, contact: Contact<'_>) {
        let now = contact.now;
        let running = Running::of(contact.facts);
        let Some(device) = self.devices.get_mut(id) else { return };
        if contact.source == Source::Pull && device.last_seen != 0 {
            device.interval.learn(now.saturating_sub(device.last_seen));
        }
        device.last_seen = device.last_seen.max(now);
        if !device.dirty {
            device.dirty = true;
            self.seen.push(id);
        }
        // Two devices with one identity come from two addresses in turn. One device that moved comes from the new one.
        let [last, before] = device.addresses;
        if contact.address != 0 && contact.address != last {
            device.addresses = [contact.address, last];
            if contact.address == before {
                self.note(
                    id,
                    now,
                    "two-addresses",
                    "it comes from two addresses in turn: two devices may have one identity",
                );
            }
        }
        let Some(device) = self.devices.get_mut(id) else { return };
        let changed = device.running.differs(running);
        if changed {
            device.running = running;
            let release = self.by_image.get(&running.image).copied();
            device.release = release;
            let what = contact.facts.version.as_ref().map_or_else(String::new, |version| {
                format!(" {}", otaseal_delivery::text::said(version.value.as_bytes()))
            });
            self.note(id, now, "runs", &format!("it says that it runs{what}"));
        }
        self.hear(id, contact);
        let Some(assigned) = self.devices.get(id).and_then(|device| device.assigned) else { return };
        // Nothing is learned of an update that is settled and goes on to run.
        if assigned.update.state.is_final() && !changed {
            return;
        }
        let Some(known) = self.releases.get(&assigned.release) else { return };
        let before = match assigned.update.attempt {
            // It was not touched yet: what it runs now is what it ran before.
            0 => running,
            _ => assigned.before,
        };
        let seen = known.seen(before, running);
        let text = match seen {
            Seen::New => "it runs the new image",
            Seen::Old => "it runs the image from before",
            Seen::Third => "it runs an image that is neither the old nor the new one",
            Seen::Nothing => "it says nothing of the image that it runs",
        };
        self.step(id, Event::Contact(seen), now, text);
    }

    /// Moves the update of a device, and everything that counts it.
    fn step(&mut self, id: DeviceId, event: Event, now: u64, text: &str) {
        let Some(device) = self.devices.get(id) else { return };
        let Some(assigned) = device.assigned else { return };
        let bytes = self.releases.get(&assigned.release).map_or(0, |known| known.bytes);
        let about = Circumstances { interval: &device.interval, bytes, spread: device.spread(), now };
        let Some(update) = assigned.update.step(event, about) else { return };
        // What runs when the first transfer begins is the image before.
        let before = match (event, assigned.update.attempt) {
            (Event::Offer, 0) => device.running,
            _ => assigned.before,
        };
        self.put(id, Assigned { update, before, ..assigned }, now, text);
    }

    /// Gives a device this update or this state, counts it, and writes it down.
    fn put(&mut self, id: DeviceId, after: Assigned, now: u64, text: &str) {
        let before = self.devices.assign(id, Some(after));
        if let Some(deadline) = after.update.deadline {
            self.deadlines.push(Reverse((deadline, id)));
        }
        let Assigned { rollout, release, stage, before: old, update } = after;
        let row = UpdateRow { device: id, rollout, release, stage, before: (old.image, old.version), update };
        self.outbox.push(Write::Update(row));
        let moved = before.is_none_or(|before| {
            (before.update.state, before.update.why) != (update.state, update.why)
                || before.rollout != rollout
        });
        if !moved {
            return;
        }
        let code = match update.why.name() {
            "" => update.state.name().to_owned(),
            why => format!("{}/{why}", update.state.name()),
        };
        self.event(id, rollout, now, &code, text);
        let same = before.filter(|before| before.rollout == rollout && before.release == release);
        let Some(rollout) = rollout else { return };
        let Some(active) = self.rollouts.get_mut(&rollout) else { return };
        active.dirty = true;
        let counts = &mut active.row.counts;
        if let Some(before) = same {
            counts.remove(&before.update);
        }
        counts.add(&update);
        match update.state {
            State::Served => {
                active.served.push_back((now, id, update.attempt));
                active.young.push_back(now);
            }
            State::Confirmed => {
                let before = same.map(|before| before.update);
                if let Some(before) = before.filter(|before| before.state == State::Served) {
                    active.row.state.comeback.learn(now.saturating_sub(before.since));
                }
            }
            _ => {}
        }
        let event = machine::Event::Moved {
            before: same.and_then(|before| before.update.verdict()),
            after: update.verdict(),
            why: update.why,
            canary: stage == 0 && active.row.plan.stages.len() > 1,
        };
        self.tell_rollout(rollout, &event, now);
    }

    /// Tells a rollout of an event, and does what it says.
    fn tell_rollout(&mut self, id: RolloutId, event: &machine::Event, now: u64) {
        let Some(active) = self.rollouts.get_mut(&id) else { return };
        let RolloutRow { plan, state, counts, .. } = &mut active.row;
        let before = (state.phase, state.paused.is_some(), state.stage);
        let effects = state.step(plan, counts, event, now);
        active.dirty |= before != (state.phase, state.paused.is_some(), state.stage);
        for effect in effects {
            match effect {
                Effect::Open(stage) => self.each_of(id, now, |assigned| {
                    (usize::from(assigned.stage) <= stage).then_some(Event::Open)
                }),
                Effect::Expire => self.each_of(id, now, |_| Some(Event::Expire)),
                Effect::Cancel => self.each_of(id, now, |_| Some(Event::Cancel)),
            }
        }
    }

    /// Steps the update of every device of a rollout.
    fn each_of(&mut self, rollout: RolloutId, now: u64, event: impl Fn(&Assigned) -> Option<Event>) {
        let of = |device: &Device| device.assigned.filter(|assigned| assigned.rollout == Some(rollout));
        let all = self.devices.iter().filter_map(|(id, device)| Some((id, event(&of(device)?)?)));
        let all: Vec<(DeviceId, Event)> = all.collect();
        for (id, event) in all {
            self.step(id, event, now, "by the rollout");
        }
    }

    fn note(&mut self, id: DeviceId, now: u64, code: &str, text: &str) {
        let rollout = self.devices.get(id).and_then(|device| device.assigned).and_then(|one| one.rollout);
        self.event(id, rollout, now, code, text);
    }

    fn event(&mut self, device: DeviceId, rollout: Option<RolloutId>, at: u64, code: &str, text: &str) {
        let (code, text) = (code.to_owned(), text.to_owned());
        self.outbox.push(Write::Event(EventRow { device, at, code, text, rollout }));
    }
}

#[cfg(test)]
mod tests;
