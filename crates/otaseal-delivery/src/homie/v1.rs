//! The trigger of Homie 1: a message makes the device pull its firmware by HTTP.
//!
//! Source: homieiot/homie-esp8266 tag v1.5.0, `src/Homie/Boot/BootNormal.cpp` and `BootOta.cpp`; jpmens/homie-ota
//! `homie-ota.py`, for the hash form.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::configure::Place;
use super::driver::cannot_connect;
use super::facts::State;
use super::topic::Attribute;
use super::watch::{Over, Saw, Watch};
use crate::evidence::{By, End, Event, Evidence};
use crate::pull::homie_v1;
use crate::text::said;

/// Bytes of the longest payload on which a device of 1.3 to 1.5 acts. It ignores a longer one.
pub const MAX_PAYLOAD: usize = homie_v1::MAX_TARGET;

/// The form of the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The version itself.
    Version,
    /// As homie-ota does: the beginning of the SHA-1 of this firmware name, `@`, and the version. A server of homie-ota
    /// finds the firmware by it, whatever the device runs.
    Hash {
        /// The name of the firmware.
        name: String,
    },
}

/// The payload would be ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    /// It is empty, or it is too long.
    #[error(
        "the trigger for version {version} has {bytes} bytes, and a device of Homie 1 acts on 1 to {MAX_PAYLOAD}"
    )]
    Length {
        /// The version, escaped.
        version: String,
        /// Bytes of the payload.
        bytes: usize,
    },
    /// The hash form has no room for the hash.
    #[error("version {version} leaves no room for a hash: the form of homie-ota takes at most 14 bytes")]
    NoRoom {
        /// The version, escaped.
        version: String,
    },
    /// Control characters, or a character that separates the fields of the device's request.
    #[error("a version for Homie 1 is printable ASCII without `=`")]
    Characters,
}

/// Returns the payload for `$ota`.
///
/// # Errors
/// The device would ignore it, or its server could not read the device's request.
pub fn payload(version: &str, form: &Form) -> Result<String, BadPayload> {
    if !version.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=') {
        return Err(BadPayload::Characters);
    }
    let shown = || said(version.as_bytes());
    let text = match form {
        Form::Version => version.to_owned(),
        Form::Hash { name } => {
            homie_v1::hashed(name, version).ok_or_else(|| BadPayload::NoRoom { version: shown() })?
        }
    };
    match text.len() {
        1..=MAX_PAYLOAD => Ok(text),
        bytes => Err(BadPayload::Length { version: shown(), bytes }),
    }
}

/// A trigger.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Which device. The base topic of Homie 1 is `devices/`, unless the device's configuration says another.
    pub place: Place,
    /// The version that the device shall run.
    pub version: String,
    /// The form of the payload.
    pub form: Form,
}

/// Triggers a device, and waits until it reports the version. The image comes from its HTTP server.
pub async fn trigger(trigger: Trigger, tell: &mut dyn FnMut(Event)) -> End {
    let payload = match payload(&trigger.version, &trigger.form) {
        Ok(payload) => payload,
        Err(error) => return refused("homie-1-payload", error),
    };
    let Trigger { place, version, .. } = trigger;
    tell(Event::Waits { what: "the broker" });
    let mut watch = match Watch::open(place.broker.clone(), &place.base, &place.device, &[]).await {
        Ok(watch) => watch,
        Err(error) => return cannot_connect(&error),
    };
    let mut reached = Evidence::Nothing;
    let end = run(&mut watch, &place, &version, payload, &mut reached, tell).await;
    watch.close().await;
    end.unwrap_or_else(|Over(why)| failed(reached, why, ""))
}

async fn run(
    watch: &mut Watch,
    place: &Place,
    version: &str,
    payload: String,
    reached: &mut Evidence,
    tell: &mut dyn FnMut(Event),
) -> Result<End, Over> {
    tell(Event::Waits { what: "the device" });
    let begun = Instant::now();
    // A retained trigger of another version makes the device start its update mode for ever.
    let mut kept: Option<Bytes> = None;
    let settled = begun + place.waits.life;
    loop {
        let there = watch.facts.state.is_some_and(State::listens);
        if there && (watch.alive || Instant::now() >= settled) {
            break;
        }
        let until = if there { settled } else { begun + place.waits.ready };
        match watch.saw(until).await? {
            Some(Saw::Message { topic, payload, retained: true, .. })
                if watch.attribute(&topic) == Some(Attribute::Trigger) && !payload.is_empty() =>
            {
                kept = Some(payload);
            }
            None if !there => {
                let secs = place.waits.ready.as_secs();
                let why = format!("the device was not online within {secs} s");
                return Ok(failed(
                    *reached,
                    why,
                    "Check the base topic (Homie 1: devices/) and the device's id.",
                ));
            }
            _ => {}
        }
    }
    if let Some(kept) = kept {
        let why = format!(
            "The broker keeps the trigger `{}` on {}. A device of Homie 1 that runs another version starts its update mode \
             at every connect. Clear that topic first.",
            said(&kept),
            watch.topics.attribute("$ota")
        );
        return Ok(refused("retained-trigger", why));
    }
    if watch.facts.firmware_version.as_deref() == Some(version) {
        return Ok(End::AlreadyRunning);
    }
    reach(reached, Evidence::Contact, tell);
    let ticket = match watch.command("$ota", Bytes::from(payload)) {
        Ok(ticket) => ticket,
        Err(error) => return Ok(failed(*reached, error.to_string(), "")),
    };
    tell(Event::Waits { what: "the device's update and its restart" });
    returns(watch, place, version, ticket, *reached, tell).await
}

async fn returns(
    watch: &mut Watch,
    place: &Place,
    version: &str,
    ticket: u64,
    mut reached: Evidence,
    tell: &mut dyn FnMut(Event),
) -> Result<End, Over> {
    let mut end = Instant::now() + place.waits.stall;
    let mut left = false;
    while let Some(saw) = watch.saw(end).await? {
        match saw {
            Saw::Rejected(found, why) if found == ticket => {
                return Ok(failed(reached, format!("the broker refused the trigger: {why}"), ""));
            }
            Saw::Message { topic, retained: false, .. }
                if matches!(watch.attribute(&topic), Some(Attribute::Online | Attribute::State)) =>
            {
                let there = watch.facts.state.is_some_and(State::listens);
                if !there && !left {
                    left = true;
                    end = Instant::now() + place.waits.restart;
                }
                if there && left {
                    return Ok(came_back(watch, version, &mut reached, tell));
                }
            }
            _ => {}
        }
    }
    let (why, advice) = match left {
        true => (
            "the device left for its update and did not come back",
            "Look at its HTTP server, and at the device.",
        ),
        false => (
            "the device did not react to the trigger",
            "Updates may be switched off in its configuration, or it runs that version already.",
        ),
    };
    Ok(failed(reached, why.into(), advice))
}

fn came_back(watch: &Watch, version: &str, reached: &mut Evidence, tell: &mut dyn FnMut(Event)) -> End {
    match &watch.facts.firmware_version {
        Some(found) if found == version => {
            reach(reached, Evidence::Running, tell);
            End::Reached { evidence: Evidence::Running, more: String::new() }
        }
        found => {
            let found = said(found.as_deref().unwrap_or("unknown").as_bytes());
            let why = format!("the device came back with version {found}");
            failed(
                *reached,
                why,
                "Its HTTP server had no such firmware for it, or the update failed. Look at the server's log.",
            )
        }
    }
}

fn reach(reached: &mut Evidence, evidence: Evidence, tell: &mut dyn FnMut(Event)) {
    *reached = evidence;
    tell(Event::Reached { evidence });
}

fn refused(code: &str, why: impl fmt::Display) -> End {
    End::Refused { by: By::Us, code: code.into(), says: String::new(), why: why.to_string() }
}

fn failed(evidence: Evidence, why: String, advice: &str) -> End {
    End::Failed { evidence, why, advice: advice.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(name: &str, version: &str) -> Result<String, BadPayload> {
        payload(version, &Form::Hash { name: name.into() })
    }

    #[test]
    fn the_hash_form_is_that_of_homie_ota() {
        assert_eq!(hash("dual-relay", "1.0.3").unwrap(), "89c0002a5c@1.0.3");
        assert_eq!(hash("dual-relay", "10.20.30").unwrap(), "89c0002@10.20.30");
        assert_eq!(hash("dual-relay", "12345678901234").unwrap(), "8@12345678901234");
        for version in ["123456789012345", "1234567890123456", "12345678901234567"] {
            assert!(matches!(hash("dual-relay", version), Err(BadPayload::NoRoom { .. })), "{version}");
        }
    }

    #[test]
    fn a_payload_has_at_most_16_bytes() {
        assert_eq!(payload("1234567890123456", &Form::Version).unwrap(), "1234567890123456");
        assert!(matches!(
            payload("12345678901234567", &Form::Version),
            Err(BadPayload::Length { bytes: 17, .. })
        ));
        assert!(matches!(payload("", &Form::Version), Err(BadPayload::Length { bytes: 0, .. })));
        for version in ["1 0", "1=0", "1\n", "é"] {
            assert_eq!(payload(version, &Form::Version), Err(BadPayload::Characters), "{version:?}");
        }
    }
}
