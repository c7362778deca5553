//! What a broker sends: topics, advertisements, statuses. Everything is bounded, and what is shown is one harmless line.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use otaseal_delivery::evidence::{End, Event, Evidence};
use otaseal_delivery::homie::controller::{Controller, Effect, Input};
use otaseal_delivery::homie::discover::Found;
use otaseal_delivery::homie::{Base, Image, Waits};

// Each message: bytes of its topic, bytes of its payload, whether it is retained and seconds before it, then both texts.
fuzz_target!(|data: &[u8]| {
    let base = Base::default();
    let mut found = Found::default();
    let image = Image {
        bytes: vec![0xE9; 5000].into(),
        topic_md5: "0123456789abcdef0123456789abcdef".parse().expect("an MD5"),
        running: vec!["0123456789abcdef0123456789abcdef".parse().expect("an MD5")],
        version: Some("2".into()),
    };
    let mut now = Duration::ZERO;
    let mut push = Controller::new(image, Evidence::Running, Waits::default(), now);
    let mut ends = apply(&mut push, Input::Watching, now);
    let mut rest = data;
    while let [topic_bytes, payload_bytes, flags, tail @ ..] = rest {
        let (topic, tail) = tail.split_at(tail.len().min(usize::from(*topic_bytes)));
        let (payload, tail) = tail.split_at(tail.len().min(usize::from(*payload_bytes)));
        rest = tail;
        now += Duration::from_secs(u64::from(flags >> 1));
        let Ok(topic) = std::str::from_utf8(topic) else { continue };
        let retained = flags & 1 == 1;
        found.take(&base, topic, payload, payload.len(), retained);
        if let Some((id, attribute)) = base.split(topic) {
            assert!(id.to_string().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
            ends += apply(&mut push, Input::Message { attribute, payload, retained }, now);
        }
        ends += apply(&mut push, Input::Tick, now);
    }
    for trap in &found.traps {
        assert!(!trap.says.chars().any(char::is_control));
    }
    // Time alone ends every push.
    for _ in 0..60 {
        now += Duration::from_secs(60);
        ends += apply(&mut push, Input::Tick, now);
    }
    assert_eq!(ends, 1);
});

/// Returns how often it ended.
fn apply(push: &mut Controller, input: Input<'_>, now: Duration) -> usize {
    let mut ends = 0;
    for effect in push.step(input, now) {
        match effect {
            Effect::WantTurn => ends += apply(push, Input::Turn, now),
            Effect::Tell(Event::Says { text }) => assert!(!text.chars().any(char::is_control)),
            Effect::End(end) => {
                ends += 1;
                if let End::Refused { says, .. } = end {
                    assert!(!says.chars().any(char::is_control));
                }
            }
            _ => {}
        }
    }
    ends
}
