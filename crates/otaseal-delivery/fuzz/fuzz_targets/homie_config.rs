//! A configuration and a change of it: no panic, bounded, and no secret is shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal_delivery::homie::config::{Config, FILE_BYTES, Patch};

// Before the first zero byte stands the configuration, behind it the change.
fuzz_target!(|data: &[u8]| {
    let (config, change) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    };
    let Some(config) = std::str::from_utf8(config).ok().and_then(Config::read) else { return };
    let shown = config.shown();
    assert!(!shown.chars().any(|character| character.is_control() && character != '\n'));
    let Ok(patch) = Patch::read(change) else { return };
    assert!(patch.to_json().len() < FILE_BYTES);
    let Ok(next) = config.with(&patch) else { return };
    // A change that was made changes nothing more.
    let again = next.with(&patch).expect("it was accepted before");
    assert!(next.differences(&again).is_empty());
    for change in config.differences(&next) {
        for text in [Some(change.path), change.before, change.after].into_iter().flatten() {
            assert!(!text.chars().any(char::is_control));
        }
    }
    // What is shown is cut only where it is long, and escaped only where it is odd.
    let text = next.shown();
    if text.is_ascii() && !text.contains(['\\', '*']) && text.lines().all(|line| line.len() < 200) {
        let again = Config::read(&text).expect("it is JSON");
        assert!(next.differences(&again).is_empty());
    }
});
