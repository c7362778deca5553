//! What is known of one device, and how it is known.
//!
//! A device says a few facts, a person says others, and some follow from these. None is proved: whoever speaks the
//! protocol can claim any identity. So each fact carries its source, and a refusal shows both.

use std::fmt;
use std::str::FromStr;

use otaseal::device::KeyId;
use otaseal::format::digest::{Md5Digest, Sha256Digest};
use otaseal::format::image::esp8266::FlashMode;
use otaseal::key::PublicKey;
use otaseal::profile::{CoreVersion, Profile};
use serde::Serialize;

/// A fact and its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known<T> {
    /// The fact.
    pub value: T,
    /// Who says so.
    pub from: Origin,
}

impl<T> Known<T> {
    /// A fact from this source.
    pub fn new(value: T, from: Origin) -> Self {
        Self { value, from }
    }
}

/// Who says a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case", tag = "source", content = "name")]
#[non_exhaustive]
pub enum Origin {
    /// The device, in this header of its request.
    Header(&'static str),
    /// The device, in this topic below its own.
    Topic(&'static str),
    /// The device, by mDNS.
    Mdns,
    /// A person: in a list of devices, or as an argument.
    Person,
    /// The package whose image the device runs.
    RunningImage,
    /// It follows from other facts, or from how the device speaks.
    Inferred(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the device's header {name}"),
            Self::Topic(name) => write!(f, "the device's topic {name}"),
            Self::Mdns => f.write_str("the device's mDNS record"),
            Self::Person => f.write_str("what you said"),
            Self::RunningImage => f.write_str("the image that it runs"),
            Self::Inferred(how) => f.write_str(how),
        }
    }
}

/// A family of chips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// ESP8266 and ESP8285.
    Esp8266,
    /// ESP32 and all chips after it.
    Esp32,
    /// RP2040 and RP2350, under arduino-pico.
    Rp2040,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Esp8266 => "ESP8266",
            Self::Esp32 => "ESP32",
            Self::Rp2040 => "RP2040",
        })
    }
}

/// Whether two names are of one board. The tools write the same name with dashes, underscores and in any case.
pub fn is_same_board(one: &str, other: &str) -> bool {
    plain_board(one) == plain_board(other)
}

/// Returns the name of a board in the one form that all its spellings share.
pub fn plain_board(name: &str) -> String {
    name.replace(['-', '_', ' '], "").to_ascii_lowercase()
}

/// A MAC address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Mac {
    type Err = &'static str;

    /// Reads six pairs of hexadecimal digits of either case, with `:` or `-` between them or with nothing.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a MAC address, such as 5C:CF:7F:AA:BB:CC";
        let digits = match text.len() {
            12 => text.as_bytes().to_vec(),
            17 => {
                let separator = text.as_bytes()[2];
                let between = text.as_bytes().iter().skip(2).step_by(3);
                if ![b':', b'-'].contains(&separator) || between.clone().any(|byte| *byte != separator) {
                    return Err(EXPECTED);
                }
                text.bytes().enumerate().filter(|(at, _)| at % 3 != 2).map(|(_, byte)| byte).collect()
            }
            _ => return Err(EXPECTED),
        };
        let mut mac = [0; 6];
        for (byte, pair) in mac.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8);
            *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or(EXPECTED)?;
        }
        Ok(Self(mac))
    }
}

/// The update key in the firmware that a device runs.
#[derive(Debug, Clone, Default)]
pub enum DeviceKey {
    /// It is not known whether there is one. Then the device is taken for one without a key: see [`crate::offer`].
    #[default]
    Unknown,
    /// There is none, or the updater checks no signature.
    None(Origin),
    /// Its firmware carries these keys, and the updater uses one of them.
    Holds(Vec<PublicKey>, Origin),
    /// Its firmware carries keys of which only the ids are known.
    HoldsUnseen(Vec<KeyId>, Origin),
}

/// The facts about one device. Everything may be missing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeviceFacts {
    /// Its family.
    pub family: Option<Known<Family>>,
    /// Its MAC address as a station: with the family, its identity.
    pub sta_mac: Option<Known<Mac>>,
    /// The id of its chip, in the form that its core gives: a part of the identity.
    pub chip_id: Option<Known<String>>,
    /// The name that it goes by: its Homie id, or its host name.
    pub name: Option<Known<String>>,
    /// Its board.
    pub board: Option<Known<String>>,
    /// The kind of device: its updater with the version of its core, and whether it has a key.
    pub profile: Option<Known<Profile>>,
    /// The oldest version of its esp8266 core that speaks as it does.
    pub core_at_least: Option<Known<CoreVersion>>,
    /// Name of the firmware that runs.
    pub firmware: Option<Known<String>>,
    /// Version of the firmware that runs, as it says.
    pub version: Option<Known<String>>,
    /// MD5 of the image that runs.
    pub md5: Option<Known<Md5Digest>>,
    /// SHA-256 of the image that runs.
    pub sha256: Option<Known<Sha256Digest>>,
    /// Size of the image that runs, in bytes.
    pub sketch_bytes: Option<Known<u64>>,
    /// Free bytes for an update, as the device reports them. The number may have wrapped.
    pub free_bytes: Option<Known<u64>>,
    /// Size of its flash chip in bytes.
    pub chip_bytes: Option<Known<u64>>,
    /// The mode in which it reads its flash.
    pub flash_mode: Option<Known<FlashMode>>,
    /// Version of its SDK, as it says.
    pub sdk: Option<Known<String>>,
    /// Whether its firmware takes updates at present.
    pub ota_enabled: Option<Known<bool>>,
    /// The update key in its firmware.
    pub key: DeviceKey,
}

impl DeviceFacts {
    /// Returns the facts as short texts with their sources, for reports: `version 1.2.0 (the device's header …)`.
    pub fn shown(&self) -> Vec<String> {
        let mut shown = Vec::new();
        let mut put = |what: &str, value: Option<(String, Origin)>| {
            if let Some((value, from)) = value {
                shown.push(format!("{what} {value} ({from})"));
            }
        };
        fn text<T: fmt::Display>(fact: &Option<Known<T>>) -> Option<(String, Origin)> {
            fact.as_ref().map(|fact| (crate::text::said(fact.value.to_string().as_bytes()), fact.from))
        }
        put("family", text(&self.family));
        put("MAC", text(&self.sta_mac));
        put("chip id", text(&self.chip_id));
        put("name", text(&self.name));
        put("board", text(&self.board));
        put("kind", text(&self.profile));
        put("firmware", text(&self.firmware));
        put("version", text(&self.version));
        put("running MD5", text(&self.md5));
        put("sketch bytes", text(&self.sketch_bytes));
        put("free bytes", text(&self.free_bytes));
        put("flash chip bytes", text(&self.chip_bytes));
        put("flash mode", text(&self.flash_mode));
        put("SDK", text(&self.sdk));
        shown
    }

    /// Returns the identity: the family, and the MAC address or the chip id. A device that says neither has none.
    pub fn identity(&self) -> Option<Identity> {
        let family = self.family.as_ref()?.value;
        let mac = self.sta_mac.as_ref().map(|mac| mac.value.to_string());
        let id = mac.or_else(|| self.chip_id.as_ref().map(|id| id.value.clone()))?;
        Some(Identity { family, id })
    }
}

/// The identity that a device claims: its family, and its MAC address or its chip id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Identity {
    /// The family.
    pub family: Family,
    /// The MAC address in the form of [`Mac`], or else the chip id.
    pub id: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, crate::text::said(self.id.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_is_read_in_its_three_forms() {
        let mac = Mac([0x5C, 0xCF, 0x7F, 0xAA, 0xBB, 0x0C]);
        for text in ["5C:CF:7F:AA:BB:0C", "5c:cf:7f:aa:bb:0c", "5C-CF-7F-AA-BB-0C", "5ccf7faabb0c"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        assert_eq!(mac.to_string(), "5C:CF:7F:AA:BB:0C");
    }

    #[test]
    fn what_is_no_mac_is_refused() {
        for text in [
            "",
            "5C:CF:7F:AA:BB",
            "5C:CF:7F:AA:BB:CC:DD",
            "5C:CF-7F:AA:BB:CC",
            "5C.CF.7F.AA.BB.CC",
            "5G:CF:7F:AA:BB:CC",
            "+C:CF:7F:AA:BB:CC",
            "5CCF7FAABBC",
            "5C:CF:7F:AA:BB:CC ",
            "ééééé0",
            "5é:CF:7F:AA:BB:C",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
