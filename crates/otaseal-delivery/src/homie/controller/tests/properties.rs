//! Whatever happens, a push ends once, and no turn is lost.

use proptest::prelude::*;

use super::*;

const TOPICS: &[&str] = &[
    "$state",
    "$online",
    "$fw/version",
    "$fw/checksum",
    "$stats/uptime",
    "$implementation/ota/enabled",
    "$implementation/ota/status",
    "$implementation/config",
    "light/power",
];
const PAYLOADS: &[&str] = &[
    "",
    "init",
    "ready",
    "lost",
    "sleeping",
    "true",
    "false",
    OLD,
    NEW,
    "1.0.0",
    "2.0.0",
    "0",
    "99999999999999999999",
    "202",
    "206 1/400000",
    "206 400000/400000",
    "200",
    "304",
    "403",
    "400 BAD_FIRMWARE",
    "500 INTERNAL_ERROR 15",
    "\u{1b}[2J",
];

#[derive(Debug, Clone)]
enum Step {
    Message(usize, usize, bool),
    Watching,
    Turn,
    HandedOver,
    Down,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..TOPICS.len(), 0..PAYLOADS.len(), any::<bool>()).prop_map(|(topic, payload, kept)| {
            Step::Message(topic, payload, kept)
        }),
        1 => Just(Step::Watching),
        3 => Just(Step::Turn),
        1 => Just(Step::HandedOver),
        1 => Just(Step::Down),
        2 => (0..90u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn every_push_ends_once_and_gives_its_turn_back(steps in steps()) {
        let mut push = Push::new();
        let (mut wants, mut holds) = (false, false);
        let mut ends = 0;
        let mut account = |effects: &[Effect], granted: bool| {
            if granted {
                (wants, holds) = (false, true);
            }
            for effect in effects {
                match effect {
                    Effect::WantTurn => wants = true,
                    Effect::GiveTurn => (wants, holds) = (false, false),
                    Effect::Publish => assert!(holds, "it sends without its turn"),
                    Effect::End(_) => ends += 1,
                    Effect::Tell(_) => assert_eq!(ends, 0, "it talks after its end"),
                }
            }
            wants
        };
        let mut waits = false;
        // After the random steps, time alone must end it, with every turn that it wants.
        let rest = std::iter::repeat_n([Step::Turn, Step::Wait(60)], 120).flatten();
        for step in steps.into_iter().chain(rest) {
            let (effects, granted) = match step {
                Step::Message(topic, payload, kept) => (push.message(TOPICS[topic], PAYLOADS[payload], kept), false),
                Step::Watching => (push.step(Input::Watching), false),
                Step::Turn if waits => (push.step(Input::Turn), true),
                Step::Turn => (Vec::new(), false),
                Step::HandedOver => (push.step(Input::HandedOver), false),
                Step::Down => (push.step(Input::Down), false),
                Step::Wait(secs) => (push.wait(secs), false),
            };
            waits = account(&effects, granted);
        }
        prop_assert_eq!(ends, 1);
        prop_assert!(!holds);
    }
}
