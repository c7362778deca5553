use super::*;
use crate::evidence::{By, Evidence};

const MS: fn(u64) -> Duration = Duration::from_millis;
const NONCE: &[u8] = b"AUTH fcea920f7412b5da7be0cf42b8c93759";
const LONG_NONCE: &[u8] = b"AUTH abababababababababababababababababababababababababababababababab";

fn talk(password: Option<&str>) -> Talk {
    let password = password.map(|text| Password::new(text.into()));
    Talk::new(b"0 1 2 x\n".to_vec(), password, [7; 32], Times::default())
}

fn sends(effects: &[Effect]) -> Vec<&[u8]> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Send(bytes) = effect { Some(&bytes[..]) } else { None })
        .collect()
}

fn end(effects: &[Effect]) -> Option<&End> {
    effects.iter().find_map(|effect| if let Effect::End(end) = effect { Some(end) } else { None })
}

fn refusal(effects: &[Effect]) -> (&str, &str) {
    match end(effects) {
        Some(End::Refused { by: By::Device, code, says, .. }) => (code, says),
        other => panic!("no refusal: {other:?}"),
    }
}

#[test]
fn ok_is_followed_by_the_wait_for_the_connection() {
    let mut talk = talk(None);
    assert_eq!(sends(&talk.start(MS(0))), [b"0 1 2 x\n"]);
    assert_eq!(talk.deadline(), MS(2000));
    let effects = talk.handle(MS(50), Input::Datagram(b"OK"));
    assert!(sends(&effects).is_empty() && end(&effects).is_none());
    assert!(talk.has_agreed());
    assert_eq!(talk.deadline(), MS(50) + CONNECT_TIME);
    let effects = talk.handle(MS(10_050), Input::Elapsed);
    assert!(matches!(end(&effects), Some(End::Failed { evidence: Evidence::Contact, .. })));
}

const CONNECT_TIME: Duration = Duration::from_secs(10);

#[test]
fn silence_is_answered_by_another_invitation_each_time_later() {
    let mut talk = talk(None);
    talk.start(MS(0));
    let mut waits = Vec::new();
    let mut now = MS(0);
    loop {
        waits.push((talk.deadline() - now).as_secs());
        now = talk.deadline();
        let effects = talk.handle(now, Input::Elapsed);
        if let Some(end) = end(&effects) {
            assert!(matches!(end, End::Failed { evidence: Evidence::Nothing, .. }));
            break;
        }
        assert_eq!(sends(&effects), [b"0 1 2 x\n"]);
    }
    assert_eq!(waits, [2, 4, 8, 10, 10]);
    assert!(talk.handle(now, Input::Datagram(b"OK")).is_empty());
}

#[test]
fn a_nonce_is_answered_from_the_same_socket() {
    let mut talk = talk(Some("123"));
    talk.start(MS(0));
    let effects = talk.handle(MS(1), Input::Datagram(NONCE));
    let nonce = Nonce::parse("fcea920f7412b5da7be0cf42b8c93759").unwrap();
    let line = answer(&Password::new("123".into()), &nonce, &[7; 32], Kept::Sha256);
    assert_eq!(sends(&effects), [line.as_bytes()]);
    assert!(effects.contains(&Effect::Tell(Event::Authenticates { scheme: "MD5" })));
    talk.handle(MS(2), Input::Datagram(b"OK"));
    assert!(talk.has_agreed());
}

/// The device is in WAITAUTH from an earlier host, so it swallows the first invitation.
#[test]
fn a_silent_waitauth_is_invited_again() {
    let mut talk = talk(Some("123"));
    talk.start(MS(0));
    assert_eq!(sends(&talk.handle(MS(2000), Input::Elapsed)), [b"0 1 2 x\n"]);
    assert_eq!(sends(&talk.handle(MS(2010), Input::Datagram(NONCE))).len(), 1);
}

/// The answer to the nonce was lost, so the device still waits for it.
#[test]
fn a_silence_after_the_answer_is_invited_again() {
    let mut talk = talk(Some("123"));
    talk.start(MS(0));
    talk.handle(MS(1), Input::Datagram(NONCE));
    assert_eq!(sends(&talk.handle(talk.deadline(), Input::Elapsed)), [b"0 1 2 x\n"]);
    let effects = talk.handle(MS(20_000), Input::Datagram(NONCE));
    assert_eq!(sends(&effects).len(), 1);
}

#[test]
fn a_nonce_is_answered_once_for_each_invitation() {
    let mut talk = talk(Some("123"));
    talk.start(MS(0));
    assert_eq!(sends(&talk.handle(MS(1), Input::Datagram(NONCE))).len(), 1);
    assert!(talk.handle(MS(2), Input::Datagram(NONCE)).is_empty());
}

#[test]
fn authentication_failed_with_md5_is_a_refusal() {
    let mut talk = talk(Some("123"));
    talk.start(MS(0));
    talk.handle(MS(1), Input::Datagram(NONCE));
    let effects = talk.handle(MS(2), Input::Datagram(b"Authentication Failed"));
    assert_eq!(refusal(&effects), ("authentication-failed", "Authentication Failed"));
}

#[test]
fn authentication_failed_with_sha256_is_tried_again_with_the_md5_of_the_password() {
    let mut talk = talk(Some("123"));
    talk.start(MS(0));
    let first = talk.handle(MS(1), Input::Datagram(LONG_NONCE));
    assert!(first.contains(&Effect::Tell(Event::Authenticates { scheme: "SHA-256" })));
    let again = talk.handle(MS(2), Input::Datagram(b"Authentication Failed"));
    assert_eq!(sends(&again), [b"0 1 2 x\n"]);
    let second = talk.handle(MS(3), Input::Datagram(LONG_NONCE));
    assert_ne!(sends(&second), sends(&first));
    let effects = talk.handle(MS(4), Input::Datagram(b"Authentication Failed"));
    assert_eq!(refusal(&effects).0, "authentication-failed");
}

#[test]
fn a_failure_that_nobody_asked_for_is_ignored() {
    let mut talk = talk(Some("123"));
    talk.start(MS(0));
    assert!(talk.handle(MS(1), Input::Datagram(b"Authentication Failed")).is_empty());
}

#[test]
fn a_nonce_without_a_password_is_a_refusal_and_frees_the_device() {
    let mut talk = talk(None);
    talk.start(MS(0));
    let effects = talk.handle(MS(1), Input::Datagram(NONCE));
    assert_eq!(refusal(&effects), ("needs-password", "AUTH"));
    assert_eq!(sends(&effects), [b"200 \n"]);
}

#[test]
fn err_is_a_refusal_with_the_devices_words() {
    for (text, code) in [
        ("ERR: ERROR[4]: Not Enough Space\n", "4"),
        ("ERR: ERROR[5]: Bad Size Given\r\n", "5"),
        ("ERR: ERROR[8]: Flash config wrong: real: 1048576, SDK: 4194304\n", "8"),
        ("ERR: ERROR[11]: Invalid bootstrapping state, reset ESP8266 before updating\n", "11"),
        ("ERR: ERROR[14]: Out of memory\n", "14"),
        ("ERR: ERROR[15]: Update already running\n", "15"),
        ("ERR: No Filesystem", "no-filesystem"),
    ] {
        let mut talk = talk(None);
        talk.start(MS(0));
        let effects = talk.handle(MS(1), Input::Datagram(text.as_bytes()));
        assert_eq!(refusal(&effects), (code, text.trim_end()));
    }
}

#[test]
fn what_is_no_espota_is_shown_escaped() {
    let mut talk = talk(None);
    talk.start(MS(0));
    let effects = talk.handle(MS(1), Input::Datagram(b"\x1b[31mHTTP/1.1 400\r\n"));
    assert_eq!(effects, [Effect::Tell(Event::Says { text: "\\u{1b}[31mHTTP/1.1 400".into() })]);
    assert!(talk.handle(MS(2), Input::Datagram(b"again")).is_empty());
    let mut last = Vec::new();
    while end(&last).is_none() {
        last = talk.handle(talk.deadline(), Input::Elapsed);
    }
    let Some(End::Failed { why, .. }) = end(&last) else { panic!("{last:?}") };
    assert!(why.contains("HTTP/1.1 400"), "{why}");
}

#[test]
fn a_flood_ends_the_talk() {
    let mut talk = talk(Some("x"));
    talk.start(MS(0));
    let mut count = 0;
    while end(&talk.handle(MS(1), Input::Datagram(NONCE))).is_none() {
        count += 1;
    }
    assert_eq!(count, 64);
}

#[test]
fn a_port_where_nobody_listens_ends_the_talk_after_three_invitations() {
    let mut talk = talk(None);
    talk.start(MS(0));
    for _ in 0..2 {
        assert!(talk.handle(MS(1), Input::Unreachable).is_empty());
        talk.handle(talk.deadline(), Input::Elapsed);
    }
    let effects = talk.handle(talk.deadline(), Input::Unreachable);
    assert!(matches!(end(&effects), Some(End::Failed { why, .. }) if why.contains("Nobody listens")));
}

/// A device closes its UDP port while it updates.
#[test]
fn an_unreachable_port_after_ok_means_nothing() {
    let mut talk = talk(None);
    talk.start(MS(0));
    talk.handle(MS(1), Input::Datagram(b"OK"));
    for _ in 0..10 {
        assert!(talk.handle(MS(2), Input::Unreachable).is_empty());
    }
}
