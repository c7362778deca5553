use super::super::plan::Stage;
use super::*;

const HOUR: u64 = 3_600;

fn plan(stages: Vec<Stage>) -> Plan {
    Plan { stages, tolerated: Rate(500), ..Plan::default() }
}

fn stage(percent: u8) -> Stage {
    Stage { percent, ..Stage::default() }
}

fn update((state, why): (State, Why)) -> Update {
    let mut update = Update { state, why, ..Update::new(true, 0) };
    update.tries.not_applied = u8::from(why == Why::NotApplied);
    update
}

/// A rollout that runs, with what the engine would keep.
struct Bench {
    plan: Plan,
    rollout: Rollout,
    counts: Counts,
    now: u64,
}

impl Bench {
    fn new(plan: Plan) -> Self {
        let mut bench = Self { plan, rollout: Rollout::new(0), counts: Counts::default(), now: 1_000 };
        assert_eq!(bench.tell(Event::Start), [Effect::Open(0)]);
        bench
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        self.rollout.step(&self.plan, &self.counts, &event, self.now)
    }

    fn queue(&mut self, many: u64) {
        (0..many).for_each(|_| self.counts.add(&update((State::Queued, Why::Plain))));
    }

    /// Moves a device from one state to another.
    fn moves(&mut self, from: (State, Why), to: (State, Why)) {
        let canary = self.plan.stages.len() > 1 && self.rollout.stage == 0;
        let (from, after) = (update(from), update(to));
        self.counts.remove(&from);
        self.counts.add(&after);
        let (before, after) = (from.verdict(), after.verdict());
        self.tell(Event::Moved { before, after, why: to.1, canary });
    }

    fn confirm(&mut self, many: u64) {
        for _ in 0..many {
            self.moves((State::Queued, Why::Plain), (State::Confirmed, Why::Plain));
        }
    }

    fn fail(&mut self, many: u64) {
        for _ in 0..many {
            self.moves((State::Queued, Why::Plain), (State::Retry, Why::NotApplied));
        }
    }

    fn silent(&mut self, many: u64) {
        for _ in 0..many {
            self.moves((State::Served, Why::Plain), (State::Silent, Why::Plain));
        }
    }

    fn later(&mut self, seconds: u64) -> Vec<Effect> {
        self.now += seconds;
        let mut effects = self.tell(Event::Clock);
        effects.extend(self.tell(Event::Clock));
        effects
    }
}

#[test]
fn stages_open_one_after_the_other() {
    let mut bench = Bench::new(plan(vec![Stage { soak: HOUR, ..stage(10) }, stage(100)]));
    bench.queue(60);
    bench.confirm(51);
    assert_eq!(bench.later(1), []);
    assert_eq!(bench.rollout.phase, Phase::Open, "51 verdicts do not show 5 %");
    bench.confirm(1);
    assert_eq!(bench.later(1), []);
    assert_eq!(bench.rollout.phase, Phase::Soaking);
    assert_eq!(bench.later(HOUR - 1), []);
    assert_eq!(bench.later(1), [Effect::Open(1)]);
    bench.queue(540);
    bench.confirm(548);
    assert_eq!(bench.later(1), [Effect::Expire]);
    assert_eq!(bench.rollout.phase, Phase::Completed);
}

#[test]
fn few_verdicts_ask_for_a_person() {
    let mut bench = Bench::new(plan(vec![stage(10), stage(100)]));
    bench.queue(12);
    bench.confirm(12);
    bench.later(1);
    assert_eq!(bench.rollout.phase, Phase::Waiting);
    assert_eq!(
        bench.rollout.judgement(&bench.plan, &bench.counts),
        Judgement::NotEnough { decided: 12, need: 52 }
    );
    assert_eq!(bench.later(1_000_000), [], "no time makes up for it");
    assert_eq!(bench.tell(Event::GoOn), [Effect::Open(1)]);
}

#[test]
fn a_manual_gate_asks_for_a_person_in_any_case() {
    let mut bench = Bench::new(plan(vec![Stage { manual: true, ..stage(10) }, stage(100)]));
    bench.queue(1_000);
    bench.confirm(1_000);
    bench.later(1);
    assert_eq!(bench.rollout.phase, Phase::Waiting);
}

#[test]
fn failures_pause_it() {
    let mut bench = Bench::new(plan(vec![stage(100)]));
    bench.queue(100);
    bench.confirm(17);
    bench.fail(2);
    assert_eq!(bench.rollout.paused, None);
    bench.fail(1);
    let paused = bench.rollout.paused.clone().unwrap();
    assert_eq!(paused.to_string(), "paused: 3 of 20 failed, lower bound 6.16 % > 5 %");
    assert!(!bench.rollout.offers(&bench.plan, bench.now));
}

#[test]
fn a_resumed_rollout_is_judged_by_what_comes_after() {
    let mut bench = Bench::new(plan(vec![stage(100)]));
    bench.queue(100);
    bench.confirm(17);
    bench.fail(3);
    bench.tell(Event::Resume);
    assert!(bench.rollout.offers(&bench.plan, bench.now));
    bench.fail(2);
    assert_eq!(bench.rollout.paused, None);
    bench.fail(1);
    assert!(matches!(bench.rollout.paused, Some(Stop::Failures { bad: 3, decided: 3, .. })));
}

#[test]
fn silence_stops_it_before_any_rate_does() {
    let mut bench = Bench::new(plan(vec![stage(100)]));
    bench.queue(1_000);
    bench.confirm(900);
    bench.silent(2);
    assert_eq!(bench.rollout.paused, None);
    bench.silent(1);
    assert_eq!(bench.rollout.paused, Some(Stop::SilentInARow));
    // Not in a row.
    let mut bench = Bench::new(plan(vec![stage(100)]));
    bench.queue(1_000);
    for _ in 0..10 {
        bench.confirm(50);
        bench.silent(1);
    }
    assert_eq!(bench.rollout.paused, None);
}

#[test]
fn it_waits_for_devices_that_are_overdue() {
    let mut bench = Bench::new(plan(vec![stage(100)]));
    bench.queue(100);
    bench.confirm(17);
    let waits = |bench: &Bench, overdue| {
        bench.rollout.waits_for(&bench.plan, &bench.counts, Cohort { overdue, confirmed: 17 })
    };
    assert!(!waits(&bench, 0) && !waits(&bench, 2) && waits(&bench, 3));
    assert_eq!(bench.rollout.paused, None, "they may only be late");
    bench.fail(2);
    assert!(waits(&bench, 1));
    // A hundred quick ones do not hide them.
    bench.queue(200);
    bench.confirm(200);
    assert!(waits(&bench, 1));
}

#[test]
fn two_silent_canaries_stop_it() {
    let mut bench = Bench::new(plan(vec![stage(1), stage(100)]));
    bench.queue(100);
    bench.silent(1);
    // The first one comes back.
    bench.moves((State::Silent, Why::Plain), (State::Confirmed, Why::Late));
    bench.silent(1);
    assert_eq!(bench.rollout.paused, None);
    bench.confirm(10);
    bench.silent(1);
    assert_eq!(bench.rollout.paused, Some(Stop::SilentCanaries));
}

#[test]
fn one_device_with_the_wrong_image_stops_it() {
    for why in [Why::WrongBoard, Why::WrongSignature, Why::ThirdIdentity] {
        let mut bench = Bench::new(plan(vec![stage(100)]));
        bench.queue(1_000);
        bench.confirm(500);
        bench.moves((State::Queued, Why::Plain), (State::Attention, why));
        assert_eq!(bench.rollout.paused, Some(Stop::Wrong { why: why.name().into() }));
    }
}

#[test]
fn the_first_reason_of_a_pause_stays() {
    let mut bench = Bench::new(plan(vec![stage(100)]));
    bench.tell(Event::Pause(Stop::Person));
    bench.queue(10);
    bench.fail(5);
    assert_eq!(bench.rollout.paused, Some(Stop::Person));
    bench.tell(Event::Pause(Stop::Withdrawn));
    assert_eq!(bench.rollout.paused, Some(Stop::Person));
}

#[test]
fn it_waits_for_its_time() {
    let mut rollout = Rollout::new(0);
    let plan = Plan { start: Some(5_000), ..Plan::default() };
    let counts = Counts::default();
    assert_eq!(rollout.step(&plan, &counts, &Event::Start, 1_000), []);
    assert_eq!(rollout.step(&plan, &counts, &Event::Clock, 4_999), []);
    assert!(!rollout.offers(&plan, 4_999));
    assert_eq!(rollout.step(&plan, &counts, &Event::Clock, 5_000), [Effect::Open(0)]);
    assert!(rollout.offers(&plan, 5_000));
}

#[test]
fn devices_that_never_come_do_not_keep_it_open() {
    let mut bench = Bench::new(Plan { deadline: 10 * HOUR, ..plan(vec![stage(100)]) });
    bench.queue(10);
    bench.confirm(8);
    assert_eq!(bench.later(10 * HOUR - 1), []);
    assert_eq!(bench.later(1)[0], Effect::Expire);
    for _ in 0..2 {
        bench.moves((State::Queued, Why::Plain), (State::Expired, Why::Plain));
    }
    bench.later(1);
    assert_eq!(bench.rollout.phase, Phase::Completed);
}

#[test]
fn newcomers_are_followed_by_the_last_verdicts() {
    let mut bench = Bench::new(Plan { follow: true, ..plan(vec![stage(100)]) });
    bench.queue(600);
    bench.confirm(600);
    bench.later(1);
    assert_eq!(bench.rollout.phase, Phase::Following);
    // Six hundred good ones would hide these.
    bench.queue(60);
    bench.confirm(17);
    bench.fail(3);
    assert!(matches!(bench.rollout.paused, Some(Stop::Failures { bad: 3, decided: 20, .. })));
}

#[test]
fn what_is_over_stays_over() {
    let mut bench = Bench::new(plan(vec![stage(100)]));
    bench.queue(5);
    assert_eq!(bench.tell(Event::Abort), [Effect::Cancel]);
    for event in [Event::Start, Event::Resume, Event::GoOn, Event::Abort, Event::Supersede, Event::Clock] {
        assert_eq!(bench.tell(event), []);
        assert_eq!(bench.rollout.phase, Phase::Aborted);
    }
    bench.tell(Event::Pause(Stop::Person));
    assert_eq!(bench.rollout.paused, None);
}

#[test]
fn counters_and_state_are_read_back() {
    let mut bench = Bench::new(plan(vec![stage(10), stage(100)]));
    bench.queue(10);
    bench.confirm(3);
    bench.fail(3);
    let text = serde_json::to_string(&bench.rollout).unwrap();
    assert_eq!(serde_json::from_str::<Rollout>(&text).unwrap(), bench.rollout);
    assert_eq!(bench.counts.all(), 10);
    assert_eq!(bench.counts.verdicts(), Verdicts { confirmed: 3, failed: 3, silent: 0 });
}
