//! The sentences with which a push ends.

use std::time::Duration;

use super::super::facts::{Facts, State};
use crate::evidence::{By, End, Evidence};
use crate::text::said;

pub(super) const VERDICT_LATER: &str = "The updater's verdict comes at the end of the image.";
pub(super) const RUNS_LATER: &str =
    "The device restarts when its sketch is idle. Its $fw/checksum then tells whether it runs the image.";
pub(super) const NOT_BACK: &str = "The device has not come back yet. It restarts only when its sketch is idle. Its $fw/checksum tells more then.";
pub(super) const UNPROVABLE: &str = "The device reports no checksum, and the version does not change. So nothing tells whether it runs the new image.";

pub(super) fn switched_off() -> End {
    End::Refused {
        by: By::Us,
        code: "ota-disabled".into(),
        says: String::new(),
        why: "Updates are switched off in the device's configuration. Set ota.enabled to true in its configuration, wait \
              for its restart, and push again."
            .into(),
    }
}

pub(super) fn not_ready(facts: &Facts, needs_live: bool, waited: Duration, evidence: Evidence) -> End {
    let secs = waited.as_secs();
    let (why, advice) = match facts.state {
        _ if facts.version_one => (
            "the device runs Homie 1, which takes no image over MQTT".to_owned(),
            "Homie 1 pulls its image by HTTP: serve the image, and trigger the device.",
        ),
        None if *facts == Facts::default() => (
            format!("the broker has no such device: nothing came under its topic for {secs} s"),
            "Check the base topic and the device's id. An access list of the broker can hide them, too.",
        ),
        None => (
            "the device never told its state".to_owned(),
            "It may be the rest of a device that was removed. Its retained topics can be cleared.",
        ),
        Some(State::Init) => (
            format!("the device connects, but it was not ready within {secs} s"),
            "It may restart again and again. Look at its serial port.",
        ),
        Some(state) if state.listens() && needs_live => (
            format!("the device was lost, and it did not connect again within {secs} s"),
            "The broker's memory says that it is ready, but nothing came from the device itself.",
        ),
        Some(state) if state.listens() => (
            "the device does not say whether updates are switched on".to_owned(),
            "Its $implementation/ota/enabled is missing. It may be no Homie of the ESP8266.",
        ),
        Some(state) => (
            format!("the device is {} for {secs} s now", state.word()),
            "Only a connected device can receive an image. Switch it on, or wait until it is awake.",
        ),
    };
    End::Failed { evidence, why, advice: advice.into() }
}

pub(super) fn stalled(accepted: bool, alive: bool, stall: Duration, evidence: Evidence) -> End {
    let secs = stall.as_secs();
    let (why, advice) = match (accepted, alive) {
        (true, _) => (
            format!("the device began to receive, and then said nothing for {secs} s"),
            "It may still come back. Push again: a repeated image is harmless.",
        ),
        (false, true) => (
            format!("the device is there, but it did not answer to the image for {secs} s"),
            "The broker may drop large messages (mosquitto: message_size_limit), or its access list may forbid the topic.",
        ),
        (false, false) => (
            format!(
                "only the broker's memory says that the device is ready: nothing came from it for {secs} s"
            ),
            "The device is probably gone, and the broker kept its last `ready`. Or the broker drops large messages \
             (mosquitto: message_size_limit).",
        ),
    };
    End::Failed { evidence, why, advice: advice.into() }
}

pub(super) fn endless(transfer: Duration, evidence: Evidence) -> End {
    let minutes = transfer.as_secs() / 60;
    End::Failed {
        evidence,
        why: format!("the device still received after {minutes} min"),
        advice: "Its Wi-Fi is too slow, or somebody else pushes to it too.".into(),
    }
}

pub(super) fn no_broker(waited: Duration, evidence: Evidence) -> End {
    End::Failed {
        evidence,
        why: format!("there was no connection to the broker for {} s", waited.as_secs()),
        advice: "Look at the broker, and push again.".into(),
    }
}

pub(super) fn came_back_old(facts: &Facts) -> End {
    let runs = match (&facts.firmware_version, facts.checksum) {
        (Some(version), Some(checksum)) => {
            format!("version {} with checksum {checksum}", said(version.as_bytes()))
        }
        (Some(version), None) => format!("version {}", said(version.as_bytes())),
        (None, Some(checksum)) => format!("an image with checksum {checksum}"),
        (None, None) => "another image".to_owned(),
    };
    End::Failed {
        evidence: Evidence::Taken,
        why: format!("the device said that it took the image, and it came back with {runs}"),
        advice: "It lost its power before the copy, or its boot loader did not accept the image, or it still waits for an \
                 idle sketch."
            .into(),
    }
}

pub(super) fn gave_up(attempts: u32, evidence: Evidence) -> End {
    End::Failed {
        evidence,
        why: format!("the connection broke in each of {attempts} attempts"),
        advice:
            "Look at the device's Wi-Fi and its power supply. A slow flash can also starve its keep-alive."
                .into(),
    }
}
