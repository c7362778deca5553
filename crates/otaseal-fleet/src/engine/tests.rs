mod control;

use super::*;
use crate::rollout::machine::{Phase, Stop};
use crate::rollout::plan::{Plan, Stage};
use crate::testing::release;
use otaseal::format::digest::Md5Digest;
use otaseal_delivery::device::{DeviceFacts, Family, Known as Fact, Mac, Origin};
use otaseal_delivery::offer;

const HERE: Origin = Origin::Header("sketch-md5");
const LATER: ReleaseId = ReleaseId(2);
const ROLLOUT: RolloutId = RolloutId(1);

/// Some ESP8266 devices, all on version 1.0.0 of "lamp". The fleet has the versions 1.0.0 and 2.0.0.
struct Bench {
    engine: Engine,
    now: u64,
    /// What each device runs.
    runs: Vec<Md5Digest>,
    says_md5: bool,
}

fn facts(number: usize, md5: Option<Md5Digest>) -> DeviceFacts {
    let mut facts = DeviceFacts::default();
    facts.family = Some(Fact::new(Family::Esp8266, Origin::Inferred("it is so")));
    let [.., a, b] = (number as u16).to_be_bytes();
    facts.sta_mac = Some(Fact::new(Mac([0x5C, 0xCF, 0x7F, 0, a, b]), Origin::Header("STA-MAC")));
    facts.md5 = md5.map(|md5| Fact::new(md5, HERE));
    facts.sketch_bytes = Some(Fact::new(55_000, Origin::Header("sketch-size")));
    facts.free_bytes = Some(Fact::new(2_000_000, Origin::Header("free-space")));
    facts.chip_bytes = Some(Fact::new(4 << 20, Origin::Header("chip-size")));
    facts
}

impl Bench {
    fn new(devices: usize) -> Self {
        let mut engine = Engine::default();
        let old = engine.add_release(ReleaseId(1), release("lamp", "1.0.0"), true);
        engine.add_release(LATER, release("lamp", "2.0.0"), true);
        let md5 = old.release.running_md5s()[0];
        let mut bench = Self { engine, now: 1_000_000, runs: vec![md5; devices], says_md5: true };
        for number in 0..devices {
            bench.poll(number);
            bench.engine.set_standing(id(number), Standing::Accepted, bench.now).unwrap();
        }
        bench
    }

    fn new_md5(&self) -> Md5Digest {
        self.engine.release(LATER).unwrap().release.running_md5s()[0]
    }

    fn poll(&mut self, number: usize) -> Polled {
        let facts = facts(number, self.says_md5.then(|| self.runs[number]));
        let address = number as u32 / 50 + 1;
        self.engine.poll(Contact { facts: &facts, source: Source::Pull, address, now: self.now })
    }

    /// A device polls, and gets what it is offered.
    fn fetch(&mut self, number: usize) -> Result<Lease, Nothing> {
        match self.poll(number) {
            Polled::Nothing(nothing) => Err(nothing),
            Polled::May(candidate) => {
                let facts = facts(number, Some(self.runs[number]));
                let decision = offer::choose(&candidate.known.release, &facts, candidate.policy);
                self.engine.offer(&candidate, &decision, self.now)
            }
        }
    }

    /// A device fetches the release, installs it and comes back.
    fn update(&mut self, number: usize) -> Result<(), Nothing> {
        let lease = self.fetch(number)?;
        self.now += 10;
        self.engine.transferred(lease, Transfer::Whole(Evidence::Sent), self.now);
        self.runs[number] = self.new_md5();
        self.now += 10;
        self.poll(number);
        Ok(())
    }

    fn rollout(&mut self, plan: Plan) {
        self.engine.draft(ROLLOUT, "all", LATER, plan, "ann", self.now).unwrap();
        let targets: Vec<Target> =
            (0..self.runs.len()).map(|number| Target { device: id(number), from_stage: 0 }).collect();
        self.engine.start(ROLLOUT, &targets, self.now).unwrap();
    }

    fn state(&self, number: usize) -> (State, Why) {
        let update = self.engine.devices().get(id(number)).unwrap().assigned.unwrap().update;
        (update.state, update.why)
    }

    fn counts(&self) -> crate::rollout::machine::Counts {
        self.engine.rollout(ROLLOUT).unwrap().counts
    }

    fn phase(&self) -> (Phase, Option<Stop>) {
        let state = &self.engine.rollout(ROLLOUT).unwrap().state;
        (state.phase, state.paused.clone())
    }

    fn later(&mut self, seconds: u64) {
        self.now += seconds;
        self.engine.tick(self.now);
        self.engine.tick(self.now);
    }

    /// The counters are those of the rows.
    fn check(&self) {
        let mut counts = crate::rollout::machine::Counts::default();
        for (_, device) in self.engine.devices().iter() {
            if let Some(assigned) = device.assigned.filter(|assigned| assigned.rollout == Some(ROLLOUT)) {
                counts.add(&assigned.update);
            }
        }
        assert_eq!(self.counts(), counts);
    }
}

fn id(number: usize) -> DeviceId {
    DeviceId(number as u32 + 1)
}

fn fast() -> Plan {
    let mut plan = Plan::default();
    plan.limits.per_minute = 100_000;
    plan
}

#[test]
fn a_rollout_ends_when_every_device_came_back_as_the_new_image() {
    let mut bench = Bench::new(10);
    bench.rollout(fast());
    for number in 0..10 {
        bench.update(number).unwrap();
        assert_eq!(bench.state(number).0, State::Confirmed);
        bench.check();
    }
    bench.later(1);
    assert_eq!(bench.phase(), (Phase::Completed, None));
    bench.later(3_600);
    for number in 0..10 {
        bench.poll(number);
        assert_eq!(bench.state(number).0, State::Settled);
    }
    bench.check();
}

#[test]
fn a_stranger_gets_nothing() {
    let mut bench = Bench::new(1);
    bench.rollout(fast());
    bench.runs.push(bench.runs[0]);
    assert!(matches!(bench.poll(1), Polled::Nothing(Nothing::Pending)));
    bench.engine.set_standing(id(1), Standing::Ignored, bench.now).unwrap();
    assert!(matches!(bench.poll(1), Polled::Nothing(Nothing::Ignored)));
    let nobody = DeviceFacts::default();
    let contact = Contact { facts: &nobody, source: Source::Pull, address: 0, now: bench.now };
    assert!(matches!(bench.engine.poll(contact), Polled::Nothing(Nothing::NoIdentity)));
}

#[test]
fn an_address_that_invents_devices_is_bounded() {
    let mut engine = Engine::default();
    let mut known = 0;
    for number in 0..500 {
        let facts = facts(number, None);
        let polled = engine.poll(Contact { facts: &facts, source: Source::Pull, address: 9, now: 1_000 });
        known += u32::from(matches!(polled, Polled::Nothing(Nothing::Pending)));
    }
    assert_eq!(known, 100);
    assert_eq!(engine.devices().len(), 100);
}

#[test]
fn the_window_keeps_most_devices_untouched_until_some_came_back() {
    let mut bench = Bench::new(20);
    bench.rollout(fast());
    let begun: Vec<bool> = (0..20).map(|number| bench.fetch(number).is_ok()).collect();
    assert_eq!(begun.iter().filter(|begun| **begun).count(), 2);
    assert!(matches!(bench.fetch(5), Err(Nothing::Brake(Brake::Window))));
    bench.check();
}

#[test]
fn a_site_gets_two_at_a_time() {
    let mut bench = Bench::new(8);
    (0..8).for_each(|number| bench.engine.set_site(id(number), ["north", "south"][number / 4]));
    bench.rollout(fast());
    for number in [0, 4, 1, 5] {
        bench.update(number).unwrap();
        bench.later(120);
    }
    let first: Vec<_> = [2, 3].map(|number| bench.fetch(number).is_ok()).to_vec();
    assert_eq!(first, [true, true]);
    bench.runs.push(bench.runs[7]);
    assert_eq!(bench.engine.devices().site(1).unwrap().sending, 2);
    bench.engine.set_site(id(7), "north");
    assert!(matches!(bench.fetch(7), Err(Nothing::Brake(Brake::Site))));
    assert!(bench.fetch(6).is_ok());
}

#[test]
fn offers_are_paced() {
    let mut plan = fast();
    plan.limits.per_minute = 3;
    let mut bench = Bench::new(10);
    bench.rollout(plan);
    let mut updated = 0;
    for number in 0..10 {
        // No time passes.
        let Ok(lease) = bench.fetch(number) else { continue };
        bench.engine.transferred(lease, Transfer::Whole(Evidence::Sent), bench.now);
        bench.runs[number] = bench.new_md5();
        bench.poll(number);
        updated += 1;
    }
    assert_eq!(updated, 3);
    bench.now += 60;
    assert!(bench.fetch(9).is_ok());
}

#[test]
fn a_bad_image_stops_after_a_few_devices() {
    let mut bench = Bench::new(1_000);
    bench.rollout(fast());
    let mut touched = 0;
    for number in 0..1_000 {
        let Ok(lease) = bench.fetch(number) else { continue };
        touched += 1;
        bench.now += 10;
        bench.engine.transferred(lease, Transfer::Whole(Evidence::Sent), bench.now);
        bench.now += 10;
        // It comes back as the old image.
        bench.poll(number);
        assert_eq!(bench.state(number), (State::Retry, Why::NotApplied));
    }
    assert!(touched <= 3, "{touched}");
    assert!(matches!(bench.phase().1, Some(Stop::Failures { bad: 3, decided: 3, .. })));
    bench.check();
}

#[test]
fn devices_that_vanish_stop_it_before_any_deadline() {
    let mut bench = Bench::new(1_000);
    bench.rollout(fast());
    for number in 0..1_000 {
        let Ok(lease) = bench.fetch(number) else { continue };
        bench.engine.transferred(lease, Transfer::Whole(Evidence::Sent), bench.now);
    }
    assert_eq!(bench.counts().of(State::Served), 2, "the window holds");
    for _ in 0..4 {
        bench.later(4 * 24 * 3_600);
        for number in 0..1_000 {
            if bench.state(number).0 == State::Queued
                && let Ok(lease) = bench.fetch(number)
            {
                bench.engine.transferred(lease, Transfer::Whole(Evidence::Sent), bench.now);
            }
        }
    }
    assert_eq!(bench.phase().1, Some(Stop::SilentInARow));
    assert!(bench.counts().of(State::Silent) <= 4);
    bench.check();
}

#[test]
fn a_device_is_never_sent_two_images_at_a_time() {
    let mut bench = Bench::new(2);
    bench.rollout(fast());
    let facts = facts(0, Some(bench.runs[0]));
    let Polled::May(first) = bench.poll(0) else { panic!("it may") };
    let Polled::May(second) = bench.poll(0) else { panic!("it may") };
    let decision = offer::choose(&first.known.release, &facts, first.policy);
    assert!(bench.engine.offer(&first, &decision, bench.now).is_ok());
    assert!(bench.engine.offer(&second, &decision, bench.now).is_err());
}

#[test]
fn an_old_transfer_has_nothing_more_to_say() {
    let mut bench = Bench::new(1);
    bench.rollout(fast());
    let old = bench.fetch(0).unwrap();
    // The device starts again, and the server sees that before the connection ends.
    bench.poll(0);
    assert_eq!(bench.state(0), (State::Retry, Why::Network));
    bench.later(3 * 24 * 3_600);
    let new = bench.fetch(0).unwrap();
    assert_ne!(old, new);
    bench.engine.transferred(old, Transfer::Whole(Evidence::Sent), bench.now);
    assert_eq!(bench.state(0).0, State::Sending);
}

#[test]
fn the_version_alone_proves_it_where_there_is_no_digest() {
    let mut bench = Bench::new(1);
    bench.rollout(fast());
    let lease = bench.fetch(0).unwrap();
    bench.engine.transferred(lease, Transfer::Whole(Evidence::Sent), bench.now);
    bench.says_md5 = false;
    bench.poll(0);
    assert_eq!(bench.state(0).0, State::Unverifiable, "it said nothing at all");
    let mut facts = facts(0, None);
    facts.version = Some(Fact::new("2.0.0".into(), Origin::Header("version")));
    bench.engine.poll(Contact { facts: &facts, source: Source::Pull, address: 0, now: bench.now });
    assert_eq!(bench.state(0).0, State::Confirmed);
}

#[test]
fn devices_that_run_it_already_are_skipped() {
    let mut bench = Bench::new(3);
    bench.runs[1] = bench.new_md5();
    bench.poll(1);
    bench.rollout(fast());
    assert_eq!(bench.state(1), (State::Skipped, Why::AlreadyRunning));
    assert!(bench.fetch(1).is_err());
    bench.check();
}

#[test]
fn a_release_that_does_not_fit_is_not_offered_again() {
    let mut bench = Bench::new(1);
    bench.rollout(fast());
    let Polled::May(candidate) = bench.poll(0) else { panic!("it may") };
    let mut other = facts(0, Some(bench.runs[0]));
    other.family = Some(Fact::new(Family::Esp32, Origin::Person));
    let decision = offer::choose(&candidate.known.release, &other, candidate.policy);
    assert!(bench.engine.offer(&candidate, &decision, bench.now).is_err());
    assert_eq!(bench.state(0), (State::Skipped, Why::NotForIt));
    assert!(matches!(bench.fetch(0), Err(Nothing::State(State::Skipped))));
    let writes = bench.engine.take_writes();
    assert!(writes.iter().any(|write| {
        matches!(write, Write::Event(event) if event.code == "skipped/not-for-it" && event.text.starts_with("other-chip"))
    }));
}

#[test]
fn nothing_is_offered_while_nothing_can_be_written() {
    let mut bench = Bench::new(1);
    bench.rollout(fast());
    bench.engine.close(true);
    assert!(matches!(bench.fetch(0), Err(Nothing::Closed)));
    bench.runs.push(bench.runs[0]);
    assert!(matches!(bench.poll(1), Polled::Nothing(Nothing::Closed)));
    bench.engine.close(false);
    assert!(bench.fetch(0).is_ok());
}

#[test]
fn a_poll_with_nothing_new_writes_nothing() {
    let mut bench = Bench::new(5);
    bench.engine.take_writes();
    bench.engine.take_seen();
    for _ in 0..10 {
        bench.now += 300;
        (0..5).for_each(|number| drop(bench.poll(number)));
    }
    assert_eq!(bench.engine.take_writes(), []);
    let seen = bench.engine.take_seen();
    assert_eq!(seen.len(), 5, "each device once");
    assert!(seen.iter().all(|seen| seen.at == bench.now));
    assert_eq!(bench.engine.devices().get(id(0)).unwrap().interval.seconds(), 300);
}

#[test]
fn a_device_that_says_only_a_digest_is_known_by_name() {
    let mut bench = Bench::new(1);
    let named = |bench: &mut Bench| {
        let writes = bench.engine.take_writes();
        writes.into_iter().rev().find_map(|write| match write {
            Write::Device(row) | Write::Said(row) => Some((row.firmware?, row.version?, row.running?)),
            _ => None,
        })
    };
    assert_eq!(named(&mut bench), Some(("lamp".into(), "1.0.0".into(), ReleaseId(1))));
    // A release that is uploaded after the device was there.
    let later = release("lamp", "9.0.0");
    bench.runs[0] = later.running_md5s()[0];
    bench.poll(0);
    assert_eq!(named(&mut bench), None);
    bench.engine.add_release(ReleaseId(9), later, true);
    bench.poll(0);
    assert_eq!(named(&mut bench), Some(("lamp".into(), "9.0.0".into(), ReleaseId(9))));
}

#[test]
fn two_devices_with_one_identity_are_noticed() {
    let mut engine = Engine::default();
    let facts = facts(0, None);
    let mut from = |address| {
        engine.poll(Contact { facts: &facts, source: Source::Pull, address, now: 1_000 });
        let writes = engine.take_writes();
        writes.iter().any(|write| matches!(write, Write::Event(event) if event.code == "two-addresses"))
    };
    assert!(![1, 1, 2, 2, 3, 3].into_iter().any(&mut from), "a device that moves on");
    assert!(from(2), "back again");
}

#[test]
fn what_was_written_restores_the_same_fleet() {
    let mut bench = Bench::new(6);
    bench.rollout(fast());
    bench.update(0).unwrap();
    let lease = bench.fetch(1).unwrap();
    let (mut rows, mut updates, mut rollout) = (BTreeMap::new(), BTreeMap::new(), None);
    for write in bench.engine.take_writes() {
        match write {
            Write::Device(row) => drop(rows.insert(row.id, *row)),
            Write::Said(said) => {
                let row: &mut crate::store::rows::DeviceRow = rows.entry(said.id).or_default();
                (row.md5, row.running, row.version) = (said.md5, said.running, said.version);
            }
            Write::Update(row) => drop(updates.insert(row.device, row)),
            Write::Rollout(row) => rollout = Some(*row),
            _ => {}
        }
    }
    let mut engine = Engine::default();
    engine.add_release(ReleaseId(1), release("lamp", "1.0.0"), true);
    engine.add_release(LATER, release("lamp", "2.0.0"), true);
    engine.load_rollout(rollout.unwrap());
    for (id, row) in &mut rows {
        row.standing = Standing::Accepted;
        engine.load_device(row, updates.get(id));
    }
    engine.loaded();
    for number in 0..6 {
        let (before, after) = (bench.engine.devices().get(id(number)), engine.devices().get(id(number)));
        let (before, after) = (before.unwrap(), after.unwrap());
        assert_eq!((before.key, before.running.image), (after.key, after.running.image));
        assert!(!after.running.differs(before.running), "the first contact after a start is no change");
        assert_eq!((before.release, before.assigned), (after.release, after.assigned));
    }
    bench.engine = engine;
    bench.check();
    bench.engine.transferred(lease, Transfer::Whole(Evidence::Sent), bench.now);
    bench.later(30 * 24 * 3_600);
    assert_eq!(bench.state(1).0, State::Silent, "deadlines go on");
}
