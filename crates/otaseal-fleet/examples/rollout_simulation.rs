//! Simulates rollouts, and prints what `docs/benchmarks.md` has of them.
//!
//! `cargo run --release -p otaseal-fleet --example rollout_simulation`

#![allow(clippy::print_stdout, reason = "it prints its results")]

use std::time::Instant;

use otaseal::format::image::Content;
use otaseal_delivery::release::{Release, Trust};
use otaseal_delivery::sim::image::Sample;
use otaseal_fleet::rollout::plan::{Plan, Stage};
use otaseal_fleet::simulation::{Outcome, World, run};

const DEVICES: u32 = 10_000;
const SEEDS: u64 = 1_000;

fn release(version: &str) -> Release {
    let image = Sample { name: "lamp", version, bytes: 50_000, seed: version.len() as u32 }.esp8266();
    let trust = Trust::Unsigned(Vec::new());
    Release::of_file("lamp.bin", image.into(), Content::Firmware, &trust).expect("a sample is an image")
}

fn world(devices: u32) -> World {
    let mut plan = Plan::default();
    plan.limits.per_minute = u32::MAX;
    plan.limits.unproven = u32::MAX;
    World { devices, seed: 1, interval: 600, not_applied: 0, vanish: 0, revert: 0, plan, until: 30 * 86_400 }
}

fn main() {
    let (old, new) = (release("1.0.0"), release("2.0.00"));
    let simulate = |world: &World| run(world, old.clone(), new.clone());
    println!(
        "bad releases, {DEVICES} devices, {SEEDS} seeds: verdicts until the stop, devices that were touched"
    );
    for (name, not_applied, vanish) in [
        ("20 % come back as the old image", 200, 0),
        ("20 % never come back", 0, 200),
        ("10 % come back as the old image", 100, 0),
        ("50 % come back as the old image", 500, 0),
        ("1 % comes back as the old image", 10, 0),
    ] {
        let all: Vec<Outcome> =
            (0..SEEDS).map(|seed| simulate(&World { seed, not_applied, vanish, ..world(DEVICES) })).collect();
        let stopped: Vec<u64> = all.iter().filter_map(Outcome::decided).collect();
        let few = stopped.iter().filter(|decided| **decided <= 34).count();
        let touched = sorted(all.iter().filter(|one| one.paused.is_some()).map(|one| u64::from(one.touched)));
        println!(
            "{name}: stopped in {} runs, after at most 34 verdicts in {few}; verdicts {}; touched {}",
            stopped.len(),
            shown(&sorted(stopped.iter().copied())),
            shown(&touched),
        );
    }
    // An image that goes back later is what the soak of a first stage finds.
    let mut reverts = World { revert: 200, ..world(DEVICES) };
    reverts.plan.stages = vec![Stage { percent: 1, soak: 3_600, ..Stage::default() }, Stage::default()];
    let all: Vec<Outcome> =
        (0..SEEDS / 10).map(|seed| simulate(&World { seed, ..reverts.clone() })).collect();
    println!(
        "20 % go back after 20 minutes, first stage 1 % with an hour of soak: touched {}",
        shown(&sorted(all.iter().map(|one| u64::from(one.touched)))),
    );
    let mut large = world(1_000_000);
    large.interval = 1_800;
    large.plan.stages = [1, 10, 100].map(|percent| Stage { percent, ..Stage::default() }).to_vec();
    let begun = Instant::now();
    let outcome = simulate(&large);
    let wall = begun.elapsed().as_secs_f64();
    println!(
        "1,000,000 devices: {wall:.1} s for {} polls and {} changes in {:.1} simulated hours; {:?}, confirmed {}, all {}",
        outcome.polls,
        outcome.writes,
        outcome.seconds as f64 / 3_600.0,
        outcome.phase,
        outcome.counts.verdicts().confirmed,
        outcome.counts.all(),
    );
    println!(
        "the same seed again: {}",
        if simulate(&large) == outcome { "the same outcome" } else { "DIFFERENT" }
    );
}

fn sorted(numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut all: Vec<u64> = numbers.collect();
    all.sort_unstable();
    all
}

fn shown(sorted: &[u64]) -> String {
    let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
    let number = |percent| at(percent).map_or("-".to_owned(), u64::to_string);
    format!("median {}, 95 % {}, most {}", number(50), number(95), number(100))
}
