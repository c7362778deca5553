//! What a device says to an espota host: a talk ends, sends no more than it should, and only `OK` is success.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use otaseal_delivery::espota::{Effect, Heard, Input, Listener, Password, Talk, Times};
use otaseal_delivery::evidence::{End, Evidence};

const INVITATION: &[u8] = b"0 40000 1000 0123456789abcdef0123456789abcdef\n";

fuzz_target!(|data: &[u8]| {
    let Some((options, data)) = data.split_first() else { return };
    talk(options & 1 == 1, data);
    listen(options & 2 == 2, data);
});

/// The lines are datagrams. Two of them stand for what is none.
fn talk(has_password: bool, data: &[u8]) {
    let password = has_password.then(|| Password::new("secret".into()));
    let mut talk = Talk::new(INVITATION.to_vec(), password, [7; 32], Times::default());
    let mut now = Duration::ZERO;
    let mut effects = talk.start(now);
    let (mut sent, mut is_over) = (0, false);
    for line in data.split(|byte| *byte == b'\n') {
        for effect in effects.drain(..) {
            assert!(!is_over, "{effect:?} after the end");
            match effect {
                Effect::Send(datagram) => {
                    sent += 1;
                    assert!(datagram == INVITATION || datagram.starts_with(b"200 "), "{datagram:?}");
                }
                Effect::Tell(event) => assert!(!format!("{event:?}").contains(char::is_control)),
                Effect::End(end) => {
                    is_over = true;
                    assert!(end.evidence() <= Evidence::Contact, "{end:?}");
                    assert!(!matches!(end, End::Reached { .. }));
                }
            }
        }
        effects = match line {
            b"elapsed" => {
                now = now.max(talk.deadline());
                talk.handle(now, Input::Elapsed)
            }
            b"unreachable" => talk.handle(now, Input::Unreachable),
            line => talk.handle(now, Input::Datagram(line)),
        };
    }
    // Twice five invitations, each with an answer, and a farewell.
    assert!(sent <= 21, "{sent} datagrams");
}

/// The words that come at once, or byte by byte, mean the same at the end.
fn listen(is_early: bool, data: &[u8]) {
    let of = data.len() as u64;
    let handed = if is_early { of / 2 } else { of };
    let (mut at_once, mut bytewise) = (Listener::default(), Listener::default());
    let heard = at_once.hear(data, handed, of);
    let mut is_ok = false;
    for byte in data {
        match bytewise.hear(std::slice::from_ref(byte), handed, of) {
            Heard::Ok => is_ok = true,
            Heard::Error(words) => assert!(words.len() <= 512),
            _ => {}
        }
    }
    assert_eq!(at_once.ended(), bytewise.ended());
    let words: Vec<u8> = data.iter().copied().skip_while(u8::is_ascii_digit).collect();
    if heard == Heard::Ok {
        assert!(is_ok && handed == of);
        assert_eq!(words.trim_ascii_end(), b"OK");
    }
    if is_ok {
        assert!(words.trim_ascii_start().starts_with(b"OK"));
    }
}
