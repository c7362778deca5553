//! What people tell the engine.

use super::*;

#[test]
fn another_rollout_takes_a_device_only_when_nothing_is_unproven() {
    let mut bench = Bench::new(2);
    bench.rollout(fast());
    let lease = bench.fetch(0).unwrap();
    bench.engine.transferred(lease, Transfer::Whole(Evidence::Sent), bench.now);
    bench.engine.add_release(ReleaseId(3), release("lamp", "3.0.0"), true);
    bench.engine.draft(RolloutId(2), "next", ReleaseId(3), fast(), "ann", bench.now).unwrap();
    let targets = [0, 1].map(|n| Target { device: id(n), from_stage: 0 });
    bench.engine.start(RolloutId(2), &targets, bench.now).unwrap();
    let rollout = |bench: &Bench, n| bench.engine.devices().get(id(n)).unwrap().assigned.unwrap().rollout;
    assert_eq!((rollout(&bench, 0), rollout(&bench, 1)), (Some(ROLLOUT), Some(RolloutId(2))));
    bench.runs[0] = bench.new_md5();
    bench.poll(0);
    bench.later(1);
    assert_eq!(rollout(&bench, 0), Some(RolloutId(2)));
    assert_eq!(bench.counts().of(State::Confirmed), 1, "what was proved stays");
    assert_eq!(bench.counts().of(State::Superseded), 1);
}

#[test]
fn what_a_person_pauses_offers_nothing() {
    let mut bench = Bench::new(2);
    bench.rollout(fast());
    bench.engine.command(ROLLOUT, &machine::Event::Pause(Stop::Person), bench.now).unwrap();
    assert!(matches!(bench.fetch(0), Err(Nothing::Paused)));
    assert!(bench.engine.command(ROLLOUT, &machine::Event::Pause(Stop::Person), bench.now).is_err());
    bench.engine.command(ROLLOUT, &machine::Event::Resume, bench.now).unwrap();
    assert!(bench.fetch(0).is_ok());
    bench.engine.command(ROLLOUT, &machine::Event::Abort, bench.now).unwrap();
    assert_eq!(bench.state(1).0, State::Cancelled);
    assert_eq!(bench.state(0).0, State::Sending, "an image that is being sent is finished");
    bench.check();
}

#[test]
fn a_withdrawn_or_damaged_release_is_not_offered() {
    let mut bench = Bench::new(2);
    bench.rollout(fast());
    let Polled::May(candidate) = bench.poll(0) else { panic!("it may") };
    bench.engine.withdraw(LATER, bench.now);
    let facts = facts(0, Some(bench.runs[0]));
    let decision = offer::choose(&candidate.known.release, &facts, candidate.policy);
    assert!(bench.engine.offer(&candidate, &decision, bench.now).is_err(), "between the two calls");
    assert_eq!(bench.phase().1, Some(Stop::Withdrawn));
    assert!(bench.engine.command(ROLLOUT, &machine::Event::Resume, bench.now).is_err());
    assert!(bench.engine.push(id(0), LATER, bench.now).is_err());
    let mut bench = Bench::new(2);
    bench.rollout(fast());
    bench.engine.damaged(LATER, "lamp.bin", bench.now);
    assert!(matches!(bench.fetch(0), Err(Nothing::Paused)));
}

#[test]
fn a_device_that_comes_later_joins_a_rollout_that_follows() {
    let mut bench = Bench::new(3);
    bench.rollout(Plan { follow: true, ..fast() });
    (0..3).for_each(|number| bench.update(number).unwrap());
    bench.later(1);
    assert_eq!(bench.phase().0, Phase::Following);
    let old = bench.engine.release(ReleaseId(1)).unwrap().release.running_md5s()[0];
    bench.runs.push(old);
    bench.poll(3);
    bench.engine.join(ROLLOUT, id(3), bench.now);
    assert!(bench.engine.devices().get(id(3)).unwrap().assigned.is_none(), "it is pending");
    bench.engine.set_standing(id(3), Standing::Accepted, bench.now).unwrap();
    bench.engine.join(ROLLOUT, id(3), bench.now);
    assert!(bench.update(3).is_ok());
    bench.check();
}

#[test]
fn a_person_tries_again_or_gives_up() {
    let mut bench = Bench::new(1);
    bench.engine.push(id(0), LATER, bench.now).unwrap();
    let lease = bench.fetch(0).unwrap();
    assert!(bench.engine.push(id(0), LATER, bench.now).is_err(), "it is being sent");
    bench.engine.said(lease, Said::WrongBoard, "wrong board", bench.now);
    assert_eq!(bench.state(0), (State::Attention, Why::WrongBoard));
    bench.engine.update(id(0), Event::Again, bench.now).unwrap();
    assert!(bench.engine.update(id(0), Event::Again, bench.now).is_err());
    bench.engine.update(id(0), Event::Cancel, bench.now).unwrap();
    assert_eq!(bench.state(0).0, State::Cancelled);
}

#[test]
fn a_device_with_an_unproven_image_is_not_deleted() {
    let mut bench = Bench::new(2);
    bench.rollout(fast());
    bench.fetch(0).unwrap();
    assert!(bench.engine.delete_device(id(0), bench.now).is_err());
    bench.engine.delete_device(id(1), bench.now).unwrap();
    assert_eq!(bench.engine.devices().len(), 1);
    assert!(bench.engine.delete_device(id(1), bench.now).is_err());
    assert_eq!(bench.counts().of(State::Cancelled), 1);
}

#[test]
fn stages_and_canaries() {
    let mut bench = Bench::new(100);
    let canary = Stage { only: Some("tag:canary".into()), ..Stage::default() };
    let ten = Stage { percent: 10, ..Stage::default() };
    let plan = Plan { stages: vec![canary, ten, Stage::default()], ..fast() };
    bench.engine.draft(ROLLOUT, "staged", LATER, plan, "ann", bench.now).unwrap();
    let targets: Vec<Target> =
        (0..100).map(|n| Target { device: id(n), from_stage: u8::from(n >= 3) }).collect();
    bench.engine.start(ROLLOUT, &targets, bench.now).unwrap();
    let open = |bench: &Bench| (0..100).filter(|n| bench.state(*n).0 != State::Held).count();
    assert_eq!(open(&bench), 3);
    for number in 0..3 {
        bench.update(number).unwrap();
    }
    bench.later(1);
    assert_eq!(bench.phase().0, Phase::Waiting, "three verdicts are not enough");
    bench.engine.command(ROLLOUT, &machine::Event::GoOn, bench.now).unwrap();
    assert!((5..25).contains(&open(&bench)), "{}", open(&bench));
    bench.engine.command(ROLLOUT, &machine::Event::GoOn, bench.now).unwrap();
    assert_eq!(open(&bench), 100);
    bench.check();
}

#[test]
fn a_stage_has_one_device_at_least_and_no_more_than_its_limit() {
    for (stage, most) in
        [(Stage { percent: 1, ..Stage::default() }, 1), (Stage { devices: Some(5), ..Stage::default() }, 5)]
    {
        let mut bench = Bench::new(20);
        bench.rollout(Plan { stages: vec![stage, Stage::default()], ..fast() });
        let open = (0..20).filter(|n| bench.state(*n).0 == State::Queued).count();
        assert!((1..=most).contains(&open), "{open}");
    }
}
