//! The topics of Homie devices.
//!
//! Source: homieiot/convention 2.0.0 to 4.0.0; homieiot/homie-esp8266 `src/Homie/Limits.hpp` and `BootNormal.cpp`;
//! marvinroger/async-mqtt-client `src/AsyncMqttClient/Packets/PublishPacket.cpp`.

use std::fmt;
use std::str::FromStr;

use otaseal::format::digest::Md5Digest;
use serde::Serialize;

/// Bytes of the longest topic that the device's MQTT library takes. It drops messages with a longer one: no status, no
/// acknowledgement.
pub const MAX_DEVICE_TOPIC: usize = 129;

/// Bytes that follow base and id in the topic of a firmware.
const FIRMWARE_TAIL: usize = "/$implementation/ota/firmware/".len() + 32;

/// Longest base topic in bytes that is useful, with an id of one byte.
const MAX_BASE: usize = MAX_DEVICE_TOPIC - FIRMWARE_TAIL - 1;

/// Longest id of a device in bytes (`MAX_DEVICE_ID_LENGTH`).
const MAX_ID: usize = 32;

/// The base topic of a site: everything before the device's id. It ends with `/`, and it may have several levels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Base(String);

/// The id of a device: one level of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DeviceId(String);

/// The text is no base topic or no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct BadTopic {
    what: &'static str,
}

impl Default for Base {
    fn default() -> Self {
        Self("homie/".into())
    }
}

impl FromStr for Base {
    type Err = BadTopic;

    fn from_str(text: &str) -> Result<Self, BadTopic> {
        let bad = |what| Err(BadTopic { what });
        match text {
            "" | "/" => bad("a base topic has at least one level, such as homie/"),
            text if !text.ends_with('/') => {
                bad("a base topic ends with `/`, as in the device's configuration")
            }
            text if text.len() > MAX_BASE => {
                bad("the base topic is too long: no device can be updated under it")
            }
            text if text.starts_with('$') => bad("topics that begin with `$` belong to the broker"),
            text if !is_plain(text) => bad("a base topic has no wildcards, no spaces and only ASCII"),
            text => Ok(Self(text.to_owned())),
        }
    }
}

impl FromStr for DeviceId {
    type Err = BadTopic;

    /// The convention allows `a` to `z`, `0` to `9` and `-`. The firmware checks only the length, so other printable ASCII
    /// is accepted too.
    fn from_str(text: &str) -> Result<Self, BadTopic> {
        let bad = |what| Err(BadTopic { what });
        match text {
            "" => bad("the device's id is empty"),
            text if text.len() > MAX_ID => bad("a device's id has at most 32 bytes"),
            text if text.starts_with('$') => bad("no device's id begins with `$`"),
            text if text.contains('/') || !is_plain(text) => {
                bad("a device's id has no `/`, no wildcards, no spaces and only ASCII")
            }
            text => Ok(Self(text.to_owned())),
        }
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'+' | b'#'))
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Base {
    /// Returns the topics of a device.
    pub fn device(&self, id: &DeviceId) -> Topics {
        Topics { root: format!("{}{}/", self.0, id.0), id: id.clone() }
    }

    /// Splits a topic that came from a broker. Returns `None` if it is none of a device under this base.
    pub fn split<'t>(&self, topic: &'t str) -> Option<(DeviceId, Attribute<'t>)> {
        let (id, rest) = topic.strip_prefix(&self.0)?.split_once('/')?;
        Some((id.parse().ok()?, Attribute::read(rest)))
    }
}

/// The topics of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    root: String,
    id: DeviceId,
}

/// The device's MQTT library would drop the push without a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the topic of the push has {bytes} bytes, and the device drops topics of more than {MAX_DEVICE_TOPIC}"
)]
pub struct TopicTooLong {
    /// Bytes of the topic.
    pub bytes: usize,
}

impl Topics {
    /// The device.
    pub fn id(&self) -> &DeviceId {
        &self.id
    }

    /// Returns the topic of an attribute, such as `$state`.
    pub fn attribute(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// Returns the topic of a push. The MD5 is lower-case, as the device compares it with its own.
    ///
    /// # Errors
    /// The topic is longer than the device takes. Base and id together may have 67 bytes.
    pub fn firmware(&self, md5: Md5Digest) -> Result<String, TopicTooLong> {
        let topic = format!("{}$implementation/ota/firmware/{md5}", self.root);
        match topic.len() {
            0..=MAX_DEVICE_TOPIC => Ok(topic),
            bytes => Err(TopicTooLong { bytes }),
        }
    }

    /// Returns the filters that match what a push and a change of the configuration look at, and no payload larger than a
    /// configuration.
    pub fn filters(&self) -> Vec<String> {
        ["+", "$fw/+", "$stats/+", "$implementation/+", "$implementation/ota/+"]
            .map(|tail| self.attribute(tail))
            .into()
    }
}

/// What a topic of a device is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute<'t> {
    /// `$state`, Homie 2.0.1 and later.
    State,
    /// `$online`, Homie 1 and 2.0.0.
    Online,
    /// `$homie`: the version of the convention.
    Homie,
    /// `$name`.
    Name,
    /// `$mac`.
    Mac,
    /// `$localip`.
    LocalIp,
    /// `$fw/name`.
    FirmwareName,
    /// `$fw/version`.
    FirmwareVersion,
    /// `$fw/checksum`.
    FirmwareChecksum,
    /// `$fwname`, Homie 1.
    OldFirmwareName,
    /// `$fwversion`, Homie 1.
    OldFirmwareVersion,
    /// `$stats/uptime`, in seconds.
    Uptime,
    /// `$implementation`.
    Implementation,
    /// `$implementation/version`.
    ImplementationVersion,
    /// `$implementation/config`.
    Config,
    /// `$implementation/config/set`: a command.
    ConfigSet,
    /// `$implementation/reset`: a command.
    Reset,
    /// `$implementation/ota/enabled`.
    OtaEnabled,
    /// `$implementation/ota/status`.
    OtaStatus,
    /// `$implementation/ota/firmware/` and this level: a command.
    Firmware(&'t str),
    /// `$ota`, Homie 1: a command.
    Trigger,
    /// Anything else.
    Other(&'t str),
}

impl<'t> Attribute<'t> {
    /// Reads what follows the id of the device.
    pub fn read(rest: &'t str) -> Self {
        match rest {
            "$state" => Self::State,
            "$online" => Self::Online,
            "$homie" => Self::Homie,
            "$name" => Self::Name,
            "$mac" => Self::Mac,
            "$localip" => Self::LocalIp,
            "$fw/name" => Self::FirmwareName,
            "$fw/version" => Self::FirmwareVersion,
            "$fw/checksum" => Self::FirmwareChecksum,
            "$fwname" => Self::OldFirmwareName,
            "$fwversion" => Self::OldFirmwareVersion,
            "$stats/uptime" => Self::Uptime,
            "$implementation" => Self::Implementation,
            "$implementation/version" => Self::ImplementationVersion,
            "$implementation/config" => Self::Config,
            "$implementation/config/set" => Self::ConfigSet,
            "$implementation/reset" => Self::Reset,
            "$implementation/ota/enabled" => Self::OtaEnabled,
            "$implementation/ota/status" => Self::OtaStatus,
            "$ota" => Self::Trigger,
            rest => match rest.strip_prefix("$implementation/ota/firmware/") {
                Some(level) if !level.contains('/') => Self::Firmware(level),
                _ => Self::Other(rest),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5() -> Md5Digest {
        "d41d8cd98f00b204e9800998ecf8427e".parse().unwrap()
    }

    #[test]
    fn the_topic_of_a_push_is_that_of_the_specification() {
        let base: Base = "homie/".parse().unwrap();
        let topic = base.device(&"kitchen".parse().unwrap()).firmware(md5()).unwrap();
        assert_eq!(topic, "homie/kitchen/$implementation/ota/firmware/d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(topic.len(), 75);
    }

    #[test]
    fn a_topic_of_129_bytes_goes_and_one_of_130_does_not() {
        let base: Base = "abcdefghijklmnopqrstuvwxyz/abcdefg/".parse().unwrap();
        assert_eq!(base.to_string().len(), 35);
        let topic = base.device(&"x".repeat(32).parse().unwrap()).firmware(md5()).unwrap();
        assert_eq!(topic.len(), 129);
        let base: Base = "abcdefghijklmnopqrstuvwxyz/abcdefgh/".parse().unwrap();
        let error = base.device(&"x".repeat(32).parse().unwrap()).firmware(md5()).unwrap_err();
        assert_eq!(error.bytes, 130);
    }

    #[test]
    fn a_base_may_have_levels_and_ends_with_a_slash() {
        let base: Base = "site/a/homie/".parse().unwrap();
        let (id, attribute) = base.split("site/a/homie/lamp/$fw/checksum").unwrap();
        assert_eq!((id.to_string().as_str(), attribute), ("lamp", Attribute::FirmwareChecksum));
        assert_eq!(base.split("site/a/lamp/$state"), None);
        assert_eq!(base.split("site/a/homie/$broadcast/alert"), None);
        assert_eq!(base.split("site/a/homie/lamp"), None);
        for text in ["", "/", "homie", "$SYS/", "homie/+/", "#/", "a b/", "é/", "a\0/", "a\n/"] {
            assert!(text.parse::<Base>().is_err(), "{text:?}");
        }
        assert!(format!("{}/", "x".repeat(65)).parse::<Base>().is_ok());
        assert!(format!("{}/", "x".repeat(66)).parse::<Base>().is_err());
    }

    #[test]
    fn an_id_is_one_level_without_wildcards() {
        for text in ["kitchen", "5ccf7faabbcc", "A_b.c", &"x".repeat(32)] {
            assert!(text.parse::<DeviceId>().is_ok(), "{text:?}");
        }
        for text in ["", "a/b", "+", "#", "a+", "$broadcast", "a b", "ü", "\u{1b}[2J", &"x".repeat(33)] {
            assert!(text.parse::<DeviceId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_firmware_topic_has_one_level_after_its_name() {
        assert_eq!(Attribute::read("$implementation/ota/firmware/abc"), Attribute::Firmware("abc"));
        assert!(matches!(Attribute::read("$implementation/ota/firmware/a/b"), Attribute::Other(_)));
        assert!(matches!(Attribute::read("light/power"), Attribute::Other(_)));
    }
}
