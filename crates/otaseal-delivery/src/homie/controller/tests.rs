mod properties;
mod statuses;

use bytes::Bytes;

use super::*;
use crate::evidence::By;

const OLD: &str = "00000000000000000000000000000001";
const NEW: &str = "00000000000000000000000000000002";
/// The new image in another flash mode.
const NEW_DOUT: &str = "00000000000000000000000000000003";
const SIZE: u64 = 400_000;

struct Push {
    controller: Controller,
    now: Duration,
    seen: Vec<Effect>,
}

impl Push {
    fn new() -> Self {
        Self::until(Evidence::Running)
    }

    fn until(until: Evidence) -> Self {
        let image = Image {
            bytes: Bytes::from(vec![0xE9; SIZE as usize]),
            topic_md5: NEW.parse().unwrap(),
            running: vec![NEW.parse().unwrap(), NEW_DOUT.parse().unwrap()],
            version: Some("2.0.0".into()),
        };
        let controller = Controller::new(image, until, Waits::default(), Duration::ZERO);
        let mut push = Self { controller, now: Duration::ZERO, seen: Vec::new() };
        push.step(Input::Watching);
        push
    }

    fn step(&mut self, input: Input<'_>) -> Vec<Effect> {
        let effects = self.controller.step(input, self.now);
        self.seen.extend(effects.iter().cloned());
        effects
    }

    fn message(&mut self, topic: &str, payload: &str, retained: bool) -> Vec<Effect> {
        self.step(Input::Message { attribute: Attribute::read(topic), payload: payload.as_bytes(), retained })
    }

    fn kept(&mut self, messages: &[(&str, &str)]) {
        for (topic, payload) in messages {
            self.message(topic, payload, true);
        }
    }

    /// A device that was there before us, with what the broker kept.
    fn kept_device(&mut self) {
        self.kept(&[
            ("$state", "ready"),
            ("$fw/version", "1.0.0"),
            ("$fw/checksum", OLD),
            ("$implementation/ota/enabled", "true"),
            ("$implementation/ota/status", "200"),
        ]);
    }

    /// A device that connects now.
    fn connects(&mut self, checksum: &str, version: &str) -> Vec<Effect> {
        let mut effects = self.message("$state", "init", false);
        effects.extend(self.message("$fw/version", version, false));
        effects.extend(self.message("$fw/checksum", checksum, false));
        effects.extend(self.message("$implementation/ota/enabled", "true", false));
        effects.extend(self.message("$state", "ready", false));
        effects
    }

    fn status(&mut self, text: &str) -> Vec<Effect> {
        self.message("$implementation/ota/status", text, false)
    }

    fn wait(&mut self, secs: u64) -> Vec<Effect> {
        self.now += Duration::from_secs(secs);
        self.step(Input::Tick)
    }

    /// To the moment after the publish.
    fn sending(until: Evidence) -> Self {
        let mut push = Self::until(until);
        let effects = push.connects(OLD, "1.0.0");
        assert!(effects.contains(&Effect::WantTurn), "{effects:?}");
        assert!(push.step(Input::Turn).contains(&Effect::Publish));
        push.step(Input::HandedOver);
        push
    }

    fn end(&self) -> &End {
        let ends: Vec<&End> = self
            .seen
            .iter()
            .filter_map(|effect| match effect {
                Effect::End(end) => Some(end),
                _ => None,
            })
            .collect();
        assert_eq!(ends.len(), 1, "{:?}", self.seen);
        ends[0]
    }

    fn ended(&self) -> bool {
        self.seen.iter().any(|effect| matches!(effect, Effect::End(_)))
    }

    fn failed(&self) -> &str {
        match self.end() {
            End::Failed { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    /// Turns that were given minus turns that came back: none may leak.
    fn turns_held(&self, given: usize) -> usize {
        given - self.seen.iter().filter(|effect| **effect == Effect::GiveTurn).count().min(given)
    }
}

#[test]
fn a_push_is_done_when_the_device_is_back_with_the_new_checksum() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.status("206 1460/400000");
    push.status("200");
    assert_eq!(push.turns_held(1), 0);
    push.message("$state", "lost", false);
    push.message("$fw/checksum", NEW, false);
    assert!(!push.ended(), "the device is not ready yet");
    push.connects(NEW, "2.0.0");
    assert_eq!(push.end(), &End::Reached { evidence: Evidence::Running, more: String::new() });
    let reached: Vec<Evidence> = push
        .seen
        .iter()
        .filter_map(|effect| match effect {
            Effect::Tell(Event::Reached { evidence }) => Some(*evidence),
            _ => None,
        })
        .collect();
    use Evidence::{Contact, HandedOver, Running, Sent, Taken};
    assert_eq!(reached, [Contact, HandedOver, Sent, Taken, Running]);
}

#[test]
fn any_flash_mode_is_the_new_image() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.status("200");
    push.connects(NEW_DOUT, "1.0.0");
    assert_eq!(push.end().evidence(), Evidence::Running);
}

#[test]
fn a_new_version_proves_it_where_there_is_no_checksum() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.status("200");
    push.message("$fw/checksum", "", false);
    push.message("$state", "init", false);
    push.message("$fw/version", "2.0.0", false);
    push.message("$state", "ready", false);
    assert_eq!(push.end().evidence(), Evidence::Running);
}

#[test]
fn the_image_that_runs_is_not_sent() {
    for checksum in [NEW, NEW_DOUT] {
        let mut push = Push::new();
        let effects = push.connects(checksum, "2.0.0");
        assert!(!effects.contains(&Effect::WantTurn));
        assert_eq!(push.end(), &End::AlreadyRunning);
    }
}

#[test]
fn a_remembered_ready_is_tried_after_a_while_or_at_the_first_sign_of_life() {
    let mut push = Push::new();
    push.kept_device();
    assert!(push.wait(4).is_empty());
    assert!(push.wait(1).contains(&Effect::WantTurn));

    let mut push = Push::new();
    push.kept_device();
    assert!(push.message("$stats/uptime", "77", false).contains(&Effect::WantTurn));
}

#[test]
fn a_device_that_only_the_broker_remembers_is_said_so() {
    let mut push = Push::new();
    push.kept_device();
    push.wait(5);
    push.step(Input::Turn);
    push.step(Input::HandedOver);
    push.wait(120);
    assert!(push.failed().contains("only the broker's memory"), "{}", push.failed());
    assert_eq!(push.end().evidence(), Evidence::HandedOver);
}

#[test]
fn a_lost_device_is_waited_for_and_then_said_so() {
    for (topic, payload, word) in [
        ("$state", "lost", "lost"),
        ("$online", "false", "lost"),
        ("$state", "disconnected", "disconnected"),
        ("$state", "sleeping", "sleeping"),
    ] {
        let mut push = Push::new();
        push.kept(&[(topic, payload), ("$implementation/ota/enabled", "true")]);
        push.wait(59);
        assert!(!push.ended());
        push.wait(1);
        assert!(push.failed().contains(word), "{}", push.failed());
    }
}

#[test]
fn an_unknown_device_is_said_so() {
    let mut push = Push::new();
    push.wait(60);
    assert!(push.failed().contains("no such device"));
    assert_eq!(push.end().evidence(), Evidence::Nothing);
}

#[test]
fn a_device_that_stays_in_init_is_said_so() {
    let mut push = Push::new();
    push.message("$state", "init", false);
    push.wait(60);
    assert!(push.failed().contains("not ready"));
}

#[test]
fn switched_off_updates_are_our_refusal_before_a_byte_is_sent() {
    let mut push = Push::new();
    push.message("$implementation/ota/enabled", "false", true);
    push.message("$state", "ready", false);
    match push.end() {
        End::Refused { by: By::Us, code, .. } => assert_eq!(code, "ota-disabled"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_of_homie_1_is_said_so() {
    let mut push = Push::new();
    push.kept(&[("$online", "true"), ("$fwname", "lamp"), ("$fwversion", "1.0.0")]);
    push.wait(60);
    assert!(push.failed().contains("Homie 1"));
}

#[test]
fn homie_2_0_is_ready_when_it_is_online() {
    let mut push = Push::new();
    push.message("$implementation/ota/enabled", "true", false);
    push.message("$fw/checksum", OLD, false);
    assert!(push.message("$online", "true", false).contains(&Effect::WantTurn));
}

#[test]
fn a_device_that_reports_for_ever_ends_after_15_minutes() {
    let mut push = Push::sending(Evidence::Running);
    for _ in 0..14 {
        push.wait(60);
        push.status("206 1/400000");
    }
    assert!(!push.ended());
    push.wait(60);
    assert!(push.failed().contains("after 15 min"));
    assert_eq!(push.turns_held(1), 0);
}

#[test]
fn a_broker_that_stays_away_is_said_so() {
    let mut push = Push::sending(Evidence::Running);
    push.step(Input::Down);
    push.wait(60);
    assert!(push.failed().contains("no connection to the broker"));
}

#[test]
fn a_stall_of_120_s_ends_the_push() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.wait(119);
    assert!(!push.ended());
    push.wait(1);
    assert!(push.failed().contains("said nothing for 120 s"));
    assert_eq!(push.turns_held(1), 0);
}

#[test]
fn no_answer_to_the_image_names_the_limits_of_brokers() {
    let mut push = Push::sending(Evidence::Running);
    push.wait(60);
    push.message("$stats/uptime", "60", false);
    push.wait(60);
    assert!(matches!(push.end(), End::Failed { advice, .. } if advice.contains("message_size_limit")));
}

#[test]
fn a_device_that_is_lost_in_mid_push_gets_the_image_again() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.message("$state", "lost", false);
    assert_eq!(push.turns_held(1), 0);
    // The broker's memory is not enough now.
    push.message("$state", "ready", true);
    assert!(!push.wait(10).contains(&Effect::WantTurn));
    assert!(push.connects(OLD, "1.0.0").contains(&Effect::WantTurn));
    assert!(push.step(Input::Turn).contains(&Effect::Publish));
    push.status("202");
    push.status("200");
    push.connects(NEW, "2.0.0");
    assert_eq!(push.end().evidence(), Evidence::Running);
}

#[test]
fn a_broken_connection_of_ours_sends_again() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.step(Input::Down);
    push.wait(2);
    push.step(Input::Watching);
    push.kept_device();
    assert!(push.wait(5).contains(&Effect::WantTurn));
}

#[test]
fn a_device_that_came_back_while_we_were_away_is_done() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.step(Input::Down);
    push.step(Input::Watching);
    push.kept(&[("$fw/checksum", NEW), ("$state", "ready"), ("$implementation/ota/enabled", "true")]);
    push.wait(5);
    assert_eq!(push.end().evidence(), Evidence::Running);
}

#[test]
fn a_flapping_device_ends_after_five_attempts() {
    let mut push = Push::sending(Evidence::Running);
    for attempt in 1..=MAX_ATTEMPTS {
        assert!(!push.ended(), "{attempt}");
        push.status("202");
        push.message("$state", "lost", false);
        if attempt < MAX_ATTEMPTS {
            push.connects(OLD, "1.0.0");
            push.step(Input::Turn);
        }
    }
    assert!(push.failed().contains("each of 5 attempts"));
    assert_eq!(push.turns_held(5), 0);
}

#[test]
fn a_device_that_came_back_with_the_old_image_is_not_a_success() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.status("200");
    push.message("$state", "lost", false);
    push.now += Duration::from_secs(20);
    push.connects(OLD, "1.0.0");
    assert!(!push.ended(), "it may have lost its Wi-Fi while it waits for an idle sketch");
    // It started 5 s ago, and it said 200 before that.
    push.message("$stats/uptime", "5", false);
    assert!(push.failed().contains("came back with version 1.0.0"), "{}", push.failed());
    assert_eq!(push.end().evidence(), Evidence::Taken);
}

#[test]
fn a_version_that_was_not_known_before_proves_nothing() {
    let mut push = Push::new();
    push.message("$implementation/ota/enabled", "true", false);
    push.message("$state", "ready", false);
    push.step(Input::Turn);
    push.status("202");
    // It ran this version all the time.
    push.message("$fw/version", "2.0.0", true);
    push.message("$state", "ready", true);
    assert!(!push.ended());
}

#[test]
fn a_sign_of_life_amid_what_the_broker_kept_does_not_start_the_push() {
    let mut push = Push::new();
    push.kept(&[("$state", "ready"), ("$implementation/ota/enabled", "true")]);
    let effects = push.message("$implementation/ota/status", "206 1/2", false);
    assert!(!effects.contains(&Effect::WantTurn));
    push.kept(&[("$fw/checksum", NEW)]);
    assert_eq!(push.end(), &End::AlreadyRunning);
}

#[test]
fn a_reconnect_without_a_restart_is_waited_out() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.status("200");
    push.now += Duration::from_secs(20);
    push.connects(OLD, "1.0.0");
    push.message("$stats/uptime", "9000", false);
    assert!(!push.ended());
    push.wait(300);
    assert!(push.failed().contains("came back"));
}

#[test]
fn a_device_that_does_not_restart_is_taken_and_more_would_prove_it() {
    let mut push = Push::sending(Evidence::Running);
    push.status("202");
    push.status("200");
    push.wait(300);
    assert!(matches!(push.end(), End::Reached { evidence: Evidence::Taken, more } if more.contains("idle")));
}

#[test]
fn a_device_without_checksum_and_with_the_same_version_can_prove_nothing() {
    let mut push = Push::new();
    push.message("$fw/version", "2.0.0", false);
    push.message("$implementation/ota/enabled", "true", false);
    assert!(push.message("$state", "ready", false).contains(&Effect::WantTurn));
    push.step(Input::Turn);
    push.status("202");
    push.status("200");
    push.message("$state", "init", false);
    push.message("$state", "ready", false);
    assert!(
        matches!(push.end(), End::Reached { evidence: Evidence::Taken, more } if more.contains("no checksum"))
    );
}

#[test]
fn a_ready_right_behind_the_push_is_no_reason_to_send_twice() {
    let mut push = Push::new();
    push.kept_device();
    push.wait(5);
    push.step(Input::Turn);
    // The device had just connected: the broker's memory and its own word crossed our push.
    push.message("$state", "ready", false);
    push.now += Duration::from_secs(2);
    push.status("202");
    assert!(push.wait(10).is_empty());
    push.status("200");
    assert!(!push.seen.iter().any(|effect| matches!(effect, Effect::Tell(Event::Retries { .. }))));
}
