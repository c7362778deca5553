use super::*;
use crate::rollout::gate::Rate;
use crate::rollout::plan::Stage;
use crate::rollout::update::State;
use crate::testing::release;

fn world(devices: u32) -> World {
    let mut plan = Plan { tolerated: Rate(500), ..Plan::default() };
    plan.limits.per_minute = 100_000;
    plan.limits.unproven = 100_000;
    World { devices, seed: 1, interval: 600, not_applied: 0, vanish: 0, revert: 0, plan, until: 90 * 86_400 }
}

fn simulate(world: &World) -> Outcome {
    run(world, release("lamp", "1.0.0"), release("lamp", "2.0.0"))
}

#[test]
fn a_good_release_reaches_every_device() {
    let stages = [1, 10, 100].map(|percent| Stage { percent, ..Stage::default() });
    let mut world = world(10_000);
    world.plan.stages = stages.to_vec();
    let outcome = simulate(&world);
    assert_eq!((outcome.phase, &outcome.paused), (Phase::Completed, &None), "{outcome:?}");
    assert_eq!(outcome.counts.of(State::Confirmed) + outcome.counts.of(State::Settled), 10_000);
    assert_eq!(outcome.touched, 10_000);
}

#[test]
fn the_same_seed_gives_the_same_outcome() {
    let world = World { not_applied: 10, vanish: 5, revert: 5, ..world(2_000) };
    let outcome = simulate(&world);
    assert_eq!(outcome, simulate(&world));
    assert_ne!(outcome, simulate(&World { seed: 2, ..world }));
}

#[test]
fn a_release_that_goes_back_is_seen() {
    let outcome = simulate(&World { revert: 200, ..world(2_000) });
    assert!(matches!(outcome.paused, Some(Stop::Failures { .. })), "{outcome:?}");
}

/// Of the whole numbers, `docs/benchmarks.md` has those of 1,000 seeds.
#[test]
fn a_bad_release_is_stopped_early() {
    let mut decided = Vec::new();
    for seed in 0..40 {
        let outcome = simulate(&World { seed, not_applied: 200, ..world(2_000) });
        decided.push(outcome.decided().expect("it is stopped"));
        assert!(outcome.touched <= 200, "seed {seed}: {} devices", outcome.touched);
    }
    decided.sort_unstable();
    assert!(decided[20] <= 20 && decided[35] <= 50, "{decided:?}");
}

#[test]
fn silent_devices_stop_it_too() {
    for seed in 0..20 {
        let outcome = simulate(&World { seed, vanish: 200, ..world(2_000) });
        assert!(outcome.paused.is_some(), "seed {seed}: {outcome:?}");
        assert!(outcome.touched <= 200, "seed {seed}: {} devices", outcome.touched);
    }
}
