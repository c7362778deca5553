//! Looks at one device before a push: what it says of itself, what follows from that for an offer, and which commands the
//! broker keeps for it.

use std::time::Duration;

use tokio::time::Instant;

use super::configure::{CommandError, Place};
use super::discover::{Found, Trap, only_sizes};
use super::facts::Facts;
use super::topic::DeviceId;
use super::watch::{Saw, Watch};
use crate::device::{DeviceFacts, Family, Known, Origin};

/// After the last message of the broker's memory, it has no more.
const STILL: Duration = Duration::from_millis(400);

/// Commands of which a push does not hear itself: it would get its own image.
const COMMANDS: [&str; 2] = ["$implementation/ota/firmware/+", "$implementation/config/set"];

/// What the broker remembers of a device.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// What the device says of itself.
    pub facts: Facts,
    /// Commands that the broker keeps for it, and gives to it at each of its connects.
    pub traps: Vec<Trap>,
    /// The broker does not let us see which commands it keeps.
    pub blind: bool,
}

/// Returns what the broker remembers of a device. An empty answer is no proof that there is no such device: it may come
/// later.
///
/// # Errors
/// The broker cannot be used.
pub async fn look(mut place: Place) -> Result<Looked, CommandError> {
    let longest = Instant::now() + place.waits.life.min(Duration::from_secs(5));
    only_sizes(&mut place.broker);
    let mut watch = Watch::open(place.broker, &place.base, &place.device, &COMMANDS).await?;
    // Who may only send commands can still push.
    watch.may_refuse = COMMANDS.len();
    let mut found = Found::default();
    let mut until = longest;
    while let Some(saw) = watch.saw(until).await? {
        if let Saw::Message { topic, payload, bytes, retained } = saw {
            found.take(&place.base, &topic, &payload, bytes, retained);
        }
        until = (Instant::now() + STILL).min(longest);
    }
    found.drop_harmless();
    let looked = Looked { facts: watch.facts.clone(), traps: found.traps, blind: watch.refused > 0 };
    watch.close().await;
    Ok(looked)
}

/// Says for an offer what a device says of itself.
pub fn device_facts(facts: &Facts, device: &DeviceId) -> DeviceFacts {
    let text = |value: &Option<String>, topic| {
        value.clone().filter(|value| !value.is_empty()).map(|value| Known::new(value, Origin::Topic(topic)))
    };
    let family = match facts.implementation.as_deref() {
        Some("esp8266") => Some(Family::Esp8266),
        Some("esp32") => Some(Family::Esp32),
        _ => None,
    };
    DeviceFacts {
        family: family.map(|family| Known::new(family, Origin::Topic("$implementation"))),
        sta_mac: facts
            .mac
            .as_ref()
            .and_then(|mac| mac.parse().ok())
            .map(|mac| Known::new(mac, Origin::Topic("$mac"))),
        name: Some(Known::new(device.to_string(), Origin::Topic("$name"))),
        firmware: text(&facts.firmware_name, "$fw/name"),
        version: text(&facts.firmware_version, "$fw/version"),
        md5: facts.checksum.map(|md5| Known::new(md5, Origin::Topic("$fw/checksum"))),
        ota_enabled: facts
            .ota_enabled
            .map(|enabled| Known::new(enabled, Origin::Topic("$implementation/ota/enabled"))),
        ..DeviceFacts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_says_becomes_facts_with_their_topics() {
        let said = Facts {
            mac: Some("5c:cf:7f:aa:bb:cc".into()),
            implementation: Some("esp8266".into()),
            firmware_name: Some("lamp".into()),
            firmware_version: Some(String::new()),
            ota_enabled: Some(false),
            ..Facts::default()
        };
        let facts = device_facts(&said, &"kitchen".parse().unwrap());
        assert_eq!(facts.identity().unwrap().to_string(), "ESP8266 5C:CF:7F:AA:BB:CC");
        assert_eq!(facts.firmware, Some(Known::new("lamp".into(), Origin::Topic("$fw/name"))));
        assert!(facts.version.is_none());
        assert!(!facts.ota_enabled.unwrap().value);
        let strange =
            Facts { mac: Some("\u{1b}".into()), implementation: Some("avr".into()), ..Facts::default() };
        assert!(device_facts(&strange, &"kitchen".parse().unwrap()).identity().is_none());
    }
}
