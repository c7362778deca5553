//! Looks who is under a base topic, and finds retained commands that make devices restart for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use otaseal::format::digest::Md5Digest;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::facts::Facts;
use super::topic::{Attribute, Base, DeviceId};
use crate::mqtt::{CannotConnect, Happening, Keep, Letter, MAX_OUTGOING, Options, Quality, Session};
use crate::text::said;

/// Most devices that are kept.
pub const MAX_DEVICES: usize = 20_000;
/// Most retained commands that are kept.
pub const MAX_TRAPS: usize = 1000;
/// Bytes of a message that are kept.
const KEPT: usize = 1024;
/// Time for the broker's confirmation of one cleared topic.
const CONFIRM: Duration = Duration::from_secs(10);

/// What is there.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Found {
    /// The devices.
    pub devices: BTreeMap<DeviceId, Seen>,
    /// Retained commands.
    pub traps: Vec<Trap>,
    /// Whether there is more than [`MAX_DEVICES`] or [`MAX_TRAPS`].
    pub more: bool,
}

/// One device.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Seen {
    /// What it says of itself. Its configuration is left out.
    pub facts: Facts,
    /// Whether something came from the device itself. If not, this is only the broker's memory.
    pub alive: bool,
}

/// A command that the broker keeps, and gives to the device at each of its connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trap {
    /// The device.
    pub device: DeviceId,
    /// The topic. Its last level is a stranger's text.
    pub topic: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes of the message.
    pub bytes: usize,
    /// The beginning of the message, escaped. Empty for an image or a configuration: that has passwords.
    pub says: String,
}

/// The kinds of retained commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `$ota`: a device of Homie 1 that runs another version starts its update mode at each connect, for ever.
    Trigger,
    /// An image: the device takes it at each connect, or answers `304`. Two of them alternate for ever.
    Firmware,
    /// A change of the configuration: the device restarts after it.
    Config,
    /// A reset: the device erases its configuration.
    Reset,
}

impl Trap {
    /// Whether it would undo the push of an image with these MD5s in the flash, or destroy the device's configuration.
    pub fn spoils(&self, running: &[Md5Digest]) -> bool {
        match self.kind {
            Kind::Reset => true,
            // The device compares this level with the MD5 of what it runs, letter by letter. If they are equal, it does
            // nothing (homieiot/homie-esp8266 `BootNormal.cpp`).
            Kind::Firmware => {
                let level = self.topic.rsplit('/').next().unwrap_or_default();
                running.iter().all(|md5| md5.to_string() != level)
            }
            // The device clears a kept change when it takes it. Homie 2 and 3 do not listen to the trigger of Homie 1.
            Kind::Config | Kind::Trigger => false,
        }
    }
}

impl Kind {
    /// Says what it does.
    pub fn does(self) -> &'static str {
        match self {
            Self::Trigger => {
                "A device of Homie 1 that runs another version starts its update mode at every connect, for ever."
            }
            Self::Firmware => {
                "The device receives this image at every connect. With a second one it flashes itself for ever."
            }
            Self::Config => "The device changes its configuration and restarts at its next connect.",
            Self::Reset => {
                "The device erases its configuration at its next connect, and is lost until it is set up again."
            }
        }
    }
}

/// Collects for so long what the broker keeps and what devices say.
///
/// # Errors
/// The broker cannot be used.
pub async fn discover(mut broker: Options, base: &Base, time: Duration) -> Result<Found, CannotConnect> {
    only_sizes(&mut broker);
    let end = Instant::now() + time;
    let address = broker.address.to_string();
    let filters =
        ["+/+", "+/$fw/+", "+/$stats/uptime", "+/$implementation/#"].map(|tail| format!("{base}{tail}"));
    let mut session = Session::open(broker).await?;
    let mut found = Found::default();
    let refused = |why| CannotConnect::Refused { broker: address.clone(), why };
    while let Ok(happening) = timeout_at(end, session.next()).await {
        match happening {
            // The queue is empty now, and a connection that is lost again comes up again.
            Some(Happening::Up) => _ = session.subscribe(&filters),
            Some(Happening::Subscribed { refused: 1.. }) => {
                return Err(refused("it does not let us read these topics: look at its access list".into()));
            }
            Some(Happening::Over { why }) => return Err(refused(why)),
            Some(Happening::Message { topic, payload, bytes, retained }) => {
                found.take(base, &topic, &payload, bytes, retained);
            }
            Some(_) => {}
            None => break,
        }
    }
    session.close().await;
    found.drop_harmless();
    Ok(found)
}

/// A retained image comes, too. Only its size is of use.
pub(super) fn only_sizes(broker: &mut Options) {
    broker.max_incoming = MAX_OUTGOING as u32;
    broker.max_kept = KEPT;
}

impl Found {
    /// Takes one message.
    pub fn take(&mut self, base: &Base, topic: &str, payload: &[u8], bytes: usize, retained: bool) {
        let Some((device, attribute)) = base.split(topic) else { return };
        let kind = match attribute {
            Attribute::Trigger => Some(Kind::Trigger),
            Attribute::Firmware(_) => Some(Kind::Firmware),
            Attribute::ConfigSet => Some(Kind::Config),
            Attribute::Reset => Some(Kind::Reset),
            _ => None,
        };
        if let Some(kind) = kind {
            if retained && bytes > 0 {
                self.trap(device, topic, kind, payload, bytes);
            }
            return;
        }
        if !self.devices.contains_key(&device) && self.devices.len() >= MAX_DEVICES {
            self.more = true;
            return;
        }
        let mut facts = Facts::default();
        if attribute == Attribute::Config || !facts.take(attribute, payload) {
            return;
        }
        let seen = self.devices.entry(device).or_default();
        seen.facts.take(attribute, payload);
        // The broker says in its name that it is gone.
        let says_gone = matches!(attribute, Attribute::State | Attribute::Online)
            && seen.facts.state.is_some_and(|state| state.gone());
        if !retained && !says_gone {
            seen.alive = true;
        }
    }

    fn trap(&mut self, device: DeviceId, topic: &str, kind: Kind, payload: &[u8], bytes: usize) {
        // The device itself keeps `false` there after a reset.
        if kind == Kind::Reset && payload != b"true" {
            return;
        }
        if self.traps.len() >= MAX_TRAPS {
            self.more = true;
            return;
        }
        let says = match kind {
            Kind::Trigger | Kind::Reset => said(payload),
            Kind::Firmware | Kind::Config => String::new(),
        };
        self.traps.push(Trap { device, topic: topic.to_owned(), kind, bytes, says });
    }

    /// A kept trigger for the version that runs starts nothing.
    pub(super) fn drop_harmless(&mut self) {
        let devices = &self.devices;
        self.traps.retain(|trap| {
            let version = devices.get(&trap.device).and_then(|seen| seen.facts.firmware_version.as_deref());
            !(trap.kind == Kind::Trigger
                && version.is_some_and(|version| said(version.as_bytes()) == trap.says))
        });
    }
}

/// Removes what the broker keeps under these topics. Returns how many it confirmed.
///
/// # Errors
/// The broker cannot be used.
pub async fn clear(broker: Options, topics: &[String]) -> Result<usize, CannotConnect> {
    let mut session = Session::open(broker).await?;
    let mut confirmed = 0;
    for topic in topics {
        let letter = Letter {
            topic: topic.clone(),
            payload: bytes::Bytes::new(),
            quality: Quality::Acknowledged,
            keep: Keep::Retained,
        };
        let Ok(ticket) = session.publish(letter) else { continue };
        let open = BTreeSet::from([ticket]);
        let end = Instant::now() + CONFIRM;
        while let Ok(Some(happening)) = timeout_at(end, session.next()).await {
            match happening {
                Happening::Sent { ticket } if open.contains(&ticket) => {
                    confirmed += 1;
                    break;
                }
                Happening::Rejected { .. } | Happening::Down { .. } | Happening::Over { .. } => break,
                _ => {}
            }
        }
    }
    session.close().await;
    Ok(confirmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(messages: &[(&str, &[u8], bool)]) -> Found {
        let mut found = Found::default();
        for (topic, payload, retained) in messages {
            found.take(&"homie/".parse().unwrap(), topic, payload, payload.len(), *retained);
        }
        found.drop_harmless();
        found
    }

    #[test]
    fn retained_commands_are_traps_and_live_ones_are_not() {
        let all = found(&[
            ("homie/a/$ota", b"2.0.0", true),
            ("homie/a/$implementation/ota/firmware/0123", b"\xe9", true),
            ("homie/a/$implementation/config/set", br#"{"wifi":{"password":"geheim"}}"#, true),
            ("homie/a/$implementation/reset", b"true", true),
            ("homie/b/$ota", b"2.0.0", false),
            ("homie/b/$implementation/reset", b"false", true),
            ("homie/b/$implementation/config/set", b"", true),
            ("homie/c/$fwversion", b"2.0.0", true),
            ("homie/c/$ota", b"2.0.0", true),
        ]);
        let kinds: Vec<Kind> = all.traps.iter().map(|trap| trap.kind).collect();
        assert_eq!(kinds, [Kind::Trigger, Kind::Firmware, Kind::Config, Kind::Reset]);
        assert!(all.traps.iter().all(|trap| trap.device.to_string() == "a" && !trap.kind.does().is_empty()));
        assert!(!format!("{all:?}").contains("geheim"));
    }

    #[test]
    fn a_retained_image_spoils_a_push_of_another_one() {
        let md5 = Md5Digest::of(b"image");
        let trap = |topic: &str| {
            let all = found(&[(topic, b"true", true)]);
            all.traps[0].spoils(&[Md5Digest::of(b"another"), md5])
        };
        assert!(trap("homie/a/$implementation/ota/firmware/0123"));
        assert!(!trap(&format!("homie/a/$implementation/ota/firmware/{md5}")));
        // The device compares letter by letter, so it takes this one at every connect.
        let upper = md5.to_string().to_uppercase();
        assert!(trap(&format!("homie/a/$implementation/ota/firmware/{upper}")));
        assert!(trap("homie/a/$implementation/reset"));
        assert!(!trap("homie/a/$ota") && !trap("homie/a/$implementation/config/set"));
    }

    #[test]
    fn a_device_is_alive_only_by_its_own_word() {
        let all = found(&[
            ("homie/kept/$state", b"ready", true),
            ("homie/lost/$state", b"lost", false),
            ("homie/live/$stats/uptime", b"7", false),
            ("homie/$broadcast/x", b"y", false),
            ("other/x/$state", b"ready", false),
            ("homie/light/power/set", b"on", false),
        ]);
        let alive: Vec<(String, bool)> =
            all.devices.iter().map(|(id, seen)| (id.to_string(), seen.alive)).collect();
        assert_eq!(alive, [("kept".into(), false), ("live".into(), true), ("lost".into(), false)]);
    }

    #[test]
    fn a_flood_of_devices_is_bounded() {
        let mut found = Found::default();
        let base: Base = "homie/".parse().unwrap();
        for number in 0..MAX_DEVICES + 10 {
            found.take(&base, &format!("homie/d{number}/$state"), b"ready", 5, true);
            found.take(&base, &format!("homie/d{number}/$ota"), b"1", 1, true);
        }
        assert_eq!((found.devices.len(), found.traps.len(), found.more), (MAX_DEVICES, MAX_TRAPS, true));
    }
}
