//! A rollout among simulated devices, without sockets and without waiting: the engine is the one that serves real devices,
//! and only the clock and the devices are made up. The same seed gives the same outcome.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use otaseal::format::digest::Md5Digest;
use otaseal_delivery::device::{DeviceFacts, Family, Known as Fact, Mac, Origin};
use otaseal_delivery::evidence::Evidence;
use otaseal_delivery::offer;
use otaseal_delivery::release::Release;

use crate::engine::{Contact, Engine, Lease, Polled, Target};
use crate::rollout::machine::{Counts, Phase, Stop};
use crate::rollout::plan::Plan;
use crate::rollout::update::Transfer;
use crate::store::rows::{DeviceId, ReleaseId, RolloutId, Source, Standing};

/// How long a transfer takes, in seconds.
const TRANSFER: u64 = 20;

/// How long a device takes to start, in seconds.
const RESTART: u64 = 10;

/// So often the engine is told the time, in seconds.
const TICK: u64 = 10;

const OLD: ReleaseId = ReleaseId(1);
const NEW: ReleaseId = ReleaseId(2);
const ROLLOUT: RolloutId = RolloutId(1);

/// What is simulated.
#[derive(Debug, Clone)]
pub struct World {
    /// Devices. All run the old release.
    pub devices: u32,
    /// Another seed gives another fleet.
    pub seed: u64,
    /// How often a device comes, in seconds. They come in turn.
    pub interval: u64,
    /// Of a thousand devices, so many come back as the old image.
    pub not_applied: u32,
    /// Of a thousand devices, so many never come back.
    pub vanish: u32,
    /// Of a thousand devices, so many run the new image once, and then the old one.
    pub revert: u32,
    /// The plan. Its filters are not asked: all devices are targets.
    pub plan: Plan,
    /// The simulation ends after so many seconds.
    pub until: u64,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The phase of the rollout.
    pub phase: Phase,
    /// Why it is paused.
    pub paused: Option<Stop>,
    /// The devices by state.
    pub counts: Counts,
    /// Devices that were sent an image.
    pub touched: u32,
    /// Polls of all devices.
    pub polls: u64,
    /// Seconds until the rollout stopped or ended.
    pub seconds: u64,
    /// Changes that would have been written.
    pub writes: u64,
}

/// What a device does with the new image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    NotApplied,
    Vanishes,
    Reverts,
}

/// What happens next to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Poll,
    Sent(u16),
}

#[derive(Debug, Clone, Copy, Default)]
struct Device {
    runs_new: bool,
    touched: bool,
    /// Polls since it runs the new image.
    polls: u8,
}

/// Runs a simulation.
///
/// `old` and `new` are releases for ESP8266 devices.
pub fn run(world: &World, old: Release, new: Release) -> Outcome {
    let md5 = |release: &Release| release.running_md5s().first().copied().unwrap_or(Md5Digest([0; 16]));
    let images = [md5(&old), md5(&new)];
    let mut engine = Engine::default();
    engine.add_release(OLD, old, true);
    engine.add_release(NEW, new, true);
    let begin = 1_800_000_000;
    let mut run = Run {
        world,
        engine,
        images,
        devices: vec![Device::default(); world.devices as usize],
        queue: BinaryHeap::with_capacity(world.devices as usize),
        now: begin,
        polls: 0,
        writes: 0,
    };
    run.register();
    let targets: Vec<Target> =
        (1..=world.devices).map(|id| Target { device: DeviceId(id), from_stage: 0 }).collect();
    let started = run
        .engine
        .draft(ROLLOUT, "simulated", NEW, world.plan.clone(), "simulation", begin)
        .and_then(|()| run.engine.start(ROLLOUT, &targets, begin));
    debug_assert_eq!(started, Ok(()));
    run.go(begin)
}

struct Run<'a> {
    world: &'a World,
    engine: Engine,
    images: [Md5Digest; 2],
    devices: Vec<Device>,
    queue: BinaryHeap<Reverse<(u64, u32, Next)>>,
    now: u64,
    polls: u64,
    writes: u64,
}

impl Run<'_> {
    /// Every device was there before, and is accepted.
    fn register(&mut self) {
        let interval = self.world.interval.max(1);
        for number in 0..self.world.devices {
            let facts = self.facts(number);
            // Each comes from an address of its own, and an hour has passed after ten thousand.
            let first = self.now - 86_400 * 365 + u64::from(number / 10_000) * 3_600;
            let offset = random(self.world.seed ^ 1, number) % interval;
            let next = self.now + offset;
            let before = (1..=3).rev().map(|times| next - times * interval);
            for now in std::iter::once(first).chain(before) {
                let contact = Contact { facts: &facts, source: Source::Pull, address: number + 1, now };
                self.engine.poll(contact);
            }
            let _ = self.engine.set_standing(DeviceId(number + 1), Standing::Accepted, first);
            self.queue.push(Reverse((next, number, Next::Poll)));
            if number % 10_000 == 0 {
                self.drain();
            }
        }
    }

    fn go(mut self, begin: u64) -> Outcome {
        let mut tick = begin;
        let mut ended = None;
        while let Some(Reverse((at, number, next))) = self.queue.pop() {
            while tick <= at {
                self.now = tick;
                self.engine.tick(tick);
                self.drain();
                tick += TICK;
                let state = self.engine.rollout(ROLLOUT).map(|row| &row.state);
                let is_over = state.is_none_or(|state| state.phase.is_over() || state.paused.is_some());
                if is_over && ended.is_none() {
                    ended = Some(tick - begin);
                }
            }
            // What was sent before the stop comes to its end, so that the counters say all.
            let moving = self.engine.rollout(ROLLOUT).map_or(0, |row| row.counts.unproven());
            if at - begin > self.world.until || (ended.is_some() && moving == 0) {
                break;
            }
            self.now = at;
            match next {
                Next::Poll => self.poll(number),
                Next::Sent(attempt) => self.sent(number, attempt),
            }
        }
        let (phase, paused, counts) =
            self.engine.rollout(ROLLOUT).map_or((Phase::Draft, None, Counts::default()), |row| {
                (row.state.phase, row.state.paused.clone(), row.counts)
            });
        let touched = self.devices.iter().filter(|device| device.touched).count() as u32;
        let seconds = ended.unwrap_or(self.now - begin);
        Outcome { phase, paused, counts, touched, polls: self.polls, seconds, writes: self.writes }
    }

    fn drain(&mut self) {
        self.writes +=
            self.engine.take_writes().len() as u64 + u64::from(!self.engine.take_seen().is_empty());
    }

    fn poll(&mut self, number: u32) {
        self.polls += 1;
        let fate = self.fate(number);
        let device = &mut self.devices[number as usize];
        if device.runs_new {
            device.polls = device.polls.saturating_add(1);
            if fate == Fate::Reverts && device.polls == 2 {
                device.runs_new = false;
            }
        }
        let facts = self.facts(number);
        let contact = Contact { facts: &facts, source: Source::Pull, address: number + 1, now: self.now };
        let polled = self.engine.poll(contact);
        if let Polled::May(candidate) = polled {
            let (release, memo) = (&candidate.known.release, &candidate.known.memo);
            let decision = offer::choose_remembering(release, None, &facts, candidate.policy, memo, true);
            if let Some(decision) = decision
                && let Ok(lease) = self.engine.offer(&candidate, &decision, self.now)
            {
                self.devices[number as usize].touched = true;
                self.queue.push(Reverse((self.now + TRANSFER, number, Next::Sent(lease.attempt))));
                return;
            }
        }
        self.queue.push(Reverse((self.now + self.world.interval, number, Next::Poll)));
    }

    /// Every byte was sent.
    fn sent(&mut self, number: u32, attempt: u16) {
        let lease = Lease { device: DeviceId(number + 1), attempt };
        self.engine.transferred(lease, Transfer::Whole(Evidence::Sent), self.now);
        match self.fate(number) {
            Fate::Vanishes => return,
            Fate::NotApplied => {}
            Fate::Good | Fate::Reverts => self.devices[number as usize].runs_new = true,
        }
        self.queue.push(Reverse((self.now + RESTART, number, Next::Poll)));
    }

    fn fate(&self, number: u32) -> Fate {
        let of_thousand = (random(self.world.seed, number) % 1_000) as u32;
        let World { not_applied, vanish, revert, .. } = *self.world;
        match of_thousand {
            draw if draw < not_applied => Fate::NotApplied,
            draw if draw < not_applied + vanish => Fate::Vanishes,
            draw if draw < not_applied + vanish + revert => Fate::Reverts,
            _ => Fate::Good,
        }
    }

    fn facts(&self, number: u32) -> DeviceFacts {
        let [a, b, c, d] = number.to_be_bytes();
        let device = self.devices.get(number as usize).copied().unwrap_or_default();
        let mut facts = DeviceFacts::default();
        facts.family = Some(Fact::new(Family::Esp8266, Origin::Inferred("it is simulated")));
        facts.sta_mac = Some(Fact::new(Mac([0x5C, 0xCF, a, b, c, d]), Origin::Header("STA-MAC")));
        facts.md5 = Some(Fact::new(self.images[usize::from(device.runs_new)], Origin::Header("sketch-md5")));
        facts.sketch_bytes = Some(Fact::new(400_000, Origin::Header("sketch-size")));
        facts.free_bytes = Some(Fact::new(2_000_000, Origin::Header("free-space")));
        facts.chip_bytes = Some(Fact::new(4 << 20, Origin::Header("chip-size")));
        facts
    }
}

/// A number that is the same for the same seed and device (splitmix64).
fn random(seed: u64, number: u32) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(u64::from(number).wrapping_add(1).wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Outcome {
    /// Devices with a verdict when the rollout stopped, as its gate says it.
    pub fn decided(&self) -> Option<u64> {
        match &self.paused {
            Some(Stop::Failures { decided, .. }) => Some(*decided),
            Some(_) => Some(self.counts.verdicts().decided()),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests;
