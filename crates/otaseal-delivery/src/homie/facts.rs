//! Reads what a device advertises.

use otaseal::format::digest::Md5Digest;
use serde::Serialize;

use super::topic::Attribute;

/// Bytes of the longest text that is kept. Homie's own limits are 32 and below.
const MAX_TEXT: usize = 128;
/// Bytes of the longest configuration that is kept. The device stores less than 1000.
const MAX_CONFIG: usize = 4096;

/// The life cycle of a device, as it or the broker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// It connects, and does not listen yet.
    Init,
    /// It listens. Homie 2.0 says `$online` = `true`.
    Ready,
    /// It said goodbye.
    Disconnected,
    /// It sleeps.
    Sleeping,
    /// The connection broke: the broker says so. Homie 2.0: `$online` = `false`.
    Lost,
    /// It needs help, and listens.
    Alert,
    /// Another text.
    Other,
}

impl State {
    /// Returns the word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Ready => "ready",
            Self::Disconnected => "disconnected",
            Self::Sleeping => "sleeping",
            Self::Lost => "lost",
            Self::Alert => "alert",
            Self::Other => "in an unknown state",
        }
    }

    /// Whether a push can reach it.
    pub fn listens(self) -> bool {
        matches!(self, Self::Ready | Self::Alert)
    }

    /// Whether it is gone.
    pub fn gone(self) -> bool {
        matches!(self, Self::Disconnected | Self::Lost | Self::Sleeping)
    }
}

/// What a device says of itself. Every text is a stranger's: show it with [`crate::text::said`] only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// Its state.
    pub state: Option<State>,
    /// `$homie`: the version of the convention.
    pub homie: Option<String>,
    /// `$name`.
    pub name: Option<String>,
    /// `$mac`.
    pub mac: Option<String>,
    /// `$localip`.
    pub local_ip: Option<String>,
    /// `$fw/name`, or `$fwname` of Homie 1.
    pub firmware_name: Option<String>,
    /// `$fw/version`, or `$fwversion` of Homie 1.
    pub firmware_version: Option<String>,
    /// `$fw/checksum`: the MD5 of the running image, unsigned and unpacked.
    pub checksum: Option<Md5Digest>,
    /// `$implementation`: `esp8266` or `esp32`.
    pub implementation: Option<String>,
    /// `$implementation/version`.
    pub implementation_version: Option<String>,
    /// `$implementation/ota/enabled`.
    pub ota_enabled: Option<bool>,
    /// `$implementation/ota/status`: how the last push ended. It is not known when that was.
    pub ota_status: Option<String>,
    /// `$implementation/config`: JSON, without passwords. The brand is in it.
    pub config: Option<String>,
    /// `$stats/uptime` in seconds.
    pub uptime_secs: Option<u64>,
    /// Whether it is a device of Homie 1.
    pub version_one: bool,
}

impl Facts {
    /// Takes one message. Returns whether it was understood. Values that are too long, or no text, are ignored.
    pub fn take(&mut self, attribute: Attribute<'_>, payload: &[u8]) -> bool {
        let limit = if attribute == Attribute::Config { MAX_CONFIG } else { MAX_TEXT };
        let text = match std::str::from_utf8(payload) {
            Ok(text) if text.len() <= limit => text,
            _ => return false,
        };
        // An empty retained message removes the fact.
        let kept = || (!text.is_empty()).then(|| text.to_owned());
        match attribute {
            Attribute::State => self.state = state(text),
            Attribute::Online => {
                self.state = match text {
                    "true" => Some(State::Ready),
                    "" => None,
                    _ => Some(State::Lost),
                }
            }
            Attribute::Homie => self.homie = kept(),
            Attribute::Name => self.name = kept(),
            Attribute::Mac => self.mac = kept(),
            Attribute::LocalIp => self.local_ip = kept(),
            Attribute::FirmwareName => self.firmware_name = kept(),
            Attribute::FirmwareVersion => self.firmware_version = kept(),
            Attribute::OldFirmwareName => {
                self.firmware_name = kept();
                self.version_one = true;
            }
            Attribute::OldFirmwareVersion => {
                self.firmware_version = kept();
                self.version_one = true;
            }
            Attribute::FirmwareChecksum => self.checksum = text.parse().ok(),
            Attribute::Implementation => self.implementation = kept(),
            Attribute::ImplementationVersion => self.implementation_version = kept(),
            Attribute::OtaEnabled => {
                self.ota_enabled = match text {
                    "true" => Some(true),
                    "false" => Some(false),
                    _ => None,
                }
            }
            Attribute::OtaStatus => self.ota_status = kept(),
            Attribute::Config => self.config = kept(),
            Attribute::Uptime => self.uptime_secs = text.parse().ok(),
            _ => return false,
        }
        true
    }
}

fn state(text: &str) -> Option<State> {
    Some(match text {
        "" => return None,
        "init" => State::Init,
        "ready" => State::Ready,
        "disconnected" => State::Disconnected,
        "sleeping" => State::Sleeping,
        "lost" => State::Lost,
        "alert" => State::Alert,
        _ => State::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The retained messages of a device of Homie 3.0.1, in its order.
    const ADVERTISEMENT: &[(&str, &str)] = &[
        ("$state", "init"),
        ("$homie", "3.0.1"),
        ("$name", "Lamp in the hall"),
        ("$mac", "5C:CF:7F:AA:BB:CC"),
        ("$localip", "192.168.1.50"),
        ("$nodes", "light"),
        ("$stats", "uptime"),
        ("$stats/interval", "60"),
        ("$fw/name", "lamp"),
        ("$fw/version", "1.2.3"),
        ("$fw/checksum", "d41d8cd98f00b204e9800998ecf8427e"),
        ("$implementation", "esp8266"),
        ("$implementation/config", r#"{"name":"lamp","wifi":{"ssid":"x"}}"#),
        ("$implementation/version", "3.0.1"),
        ("$implementation/ota/enabled", "true"),
        ("$state", "ready"),
    ];

    #[test]
    fn an_advertisement_gives_the_facts() {
        let mut facts = Facts::default();
        for (topic, payload) in ADVERTISEMENT {
            facts.take(Attribute::read(topic), payload.as_bytes());
        }
        assert_eq!(facts.state, Some(State::Ready));
        assert_eq!(facts.firmware_version.as_deref(), Some("1.2.3"));
        assert_eq!(facts.checksum.unwrap().to_string(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!((facts.ota_enabled, facts.version_one), (Some(true), false));
    }

    #[test]
    fn homie_2_0_is_online_instead_of_ready() {
        let mut facts = Facts::default();
        facts.take(Attribute::Online, b"true");
        assert_eq!(facts.state, Some(State::Ready));
        facts.take(Attribute::Online, b"false");
        assert_eq!(facts.state, Some(State::Lost));
    }

    #[test]
    fn absurd_values_are_no_facts() {
        let mut facts = Facts::default();
        assert!(!facts.take(Attribute::Name, &[b'x'; 129]));
        assert!(!facts.take(Attribute::Name, b"\xff"));
        assert!(!facts.take(Attribute::Config, &vec![b'x'; 1 << 20]));
        facts.take(Attribute::FirmwareChecksum, b"not an md5");
        facts.take(Attribute::OtaEnabled, b"TRUE");
        facts.take(Attribute::Uptime, b"-1");
        facts.take(Attribute::Uptime, "9".repeat(40).as_bytes());
        assert_eq!(facts, Facts::default());
    }

    proptest::proptest! {
        #[test]
        fn any_topic_and_payload_is_a_fact_or_nothing(topic in ".*", payload in proptest::collection::vec(0..=255u8, 0..200)) {
            let mut facts = Facts::default();
            if let Some((id, attribute)) = crate::homie::Base::default().split(&format!("homie/{topic}")) {
                facts.take(attribute, &payload);
                proptest::prop_assert!(id.to_string().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
