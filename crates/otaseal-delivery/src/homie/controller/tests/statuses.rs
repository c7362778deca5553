//! Each status of a device, by its name.

use super::*;

#[test]
fn status_202_and_then_200_without_any_206_is_taken() {
    let mut push = Push::sending(Evidence::Taken);
    push.status("202");
    push.status("200");
    assert_eq!(push.end().evidence(), Evidence::Taken);
}

#[test]
fn status_206_of_all_bytes_is_sent() {
    let mut push = Push::sending(Evidence::Sent);
    push.status("202");
    push.status("206 399999/400000");
    assert!(!push.ended());
    push.status("206 400000/400000");
    assert_eq!(push.end().evidence(), Evidence::Sent);
    assert_eq!(push.turns_held(1), 0);
}

#[test]
fn status_206_of_more_than_was_sent_is_only_shown() {
    let mut push = Push::sending(Evidence::Sent);
    for text in ["206 400001/400000", "206 999999999999/999999999999", "206 1/0"] {
        let effects = push.status(text);
        assert_eq!(effects, [Effect::Tell(Event::Says { text: text.into() })]);
    }
    assert!(!push.ended());
}

#[test]
fn status_304_is_a_device_that_runs_the_image() {
    let mut push = Push::sending(Evidence::Running);
    push.status("304");
    assert_eq!(push.end(), &End::AlreadyRunning);
}

fn refused(text: &str) {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.status(text);
    match push.end() {
        End::Refused { by: By::Device, says, why, .. } => assert!(says == text && !why.is_empty()),
        other => panic!("{text}: {other:?}"),
    }
    assert_eq!(push.turns_held(1), 0);
}

#[test]
fn status_403() {
    refused("403");
}

#[test]
fn status_400_bad_checksum() {
    refused("400 BAD_CHECKSUM");
}

#[test]
fn status_400_bad_firmware() {
    refused("400 BAD_FIRMWARE");
}

#[test]
fn status_400_not_enough_space() {
    refused("400 NOT_ENOUGH_SPACE");
}

#[test]
fn status_400_not_requested() {
    refused("400 NOT_REQUESTED");
}

#[test]
fn status_500_flash_error() {
    refused("500 FLASH_ERROR");
}

#[test]
fn status_500_internal_error_12_is_a_wrong_signature() {
    refused("500 INTERNAL_ERROR 12");
    let mut push = Push::sending(Evidence::Running);
    push.status("500 INTERNAL_ERROR 12");
    assert!(matches!(push.end(), End::Refused { why, .. } if why.contains("signature")));
}

#[test]
fn every_other_internal_error_is_a_refusal() {
    for error in [6, 8, 11, 13, 14, 16, 99] {
        refused(&format!("500 INTERNAL_ERROR {error}"));
    }
}

#[test]
fn status_500_internal_error_15_is_tried_once_more() {
    for text in ["500 INTERNAL_ERROR 15", "500 INTERNAL_ERROR 0"] {
        let mut push = Push::sending(Evidence::Running);
        push.status("202");
        assert!(push.status(text).contains(&Effect::WantTurn));
        assert!(push.step(Input::Turn).contains(&Effect::Publish));
        push.status("202");
        push.status(text);
        assert!(matches!(push.end(), End::Refused { by: By::Device, .. }));
        assert_eq!(push.turns_held(2), 0);
    }
}

#[test]
fn a_retained_status_is_the_outcome_of_an_earlier_push() {
    let mut push = Push::sending(Evidence::Running);
    for text in ["200", "304", "403", "400 BAD_FIRMWARE", "206 5/10"] {
        push.message("$implementation/ota/status", text, true);
    }
    assert!(!push.ended());
}

#[test]
fn a_206_of_another_size_is_somebody_elses() {
    let mut push = Push::sending(Evidence::Taken);
    push.status("206 5/10");
    push.status("200");
    assert!(!push.ended());
    push.status("206 5/400000");
    push.status("200");
    assert_eq!(push.end().evidence(), Evidence::Taken);
}

#[test]
fn a_200_without_a_202_is_somebody_elses() {
    let mut push = Push::sending(Evidence::Taken);
    push.status("200");
    assert!(!push.ended());
}

#[test]
fn an_unknown_status_is_shown_escaped_and_counts_as_a_sign() {
    let mut push = Push::sending(Evidence::Running);
    push.wait(119);
    let effects = push.status("299 \x1b[2J");
    assert_eq!(effects, [Effect::Tell(Event::Says { text: "299 \\u{1b}[2J".into() })]);
    push.wait(119);
    assert!(!push.ended());
}

#[test]
fn a_flood_of_statuses_is_told_in_part() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    for number in 0..20_000 {
        push.status("what?");
        push.status(&format!("206 {number}/400000"));
        push.status("206 1/400000");
    }
    assert!(push.seen.len() < 1200, "{}", push.seen.len());
    push.status("200");
    push.connects(NEW, "2.0.0");
    assert_eq!(push.end().evidence(), Evidence::Running);
}
