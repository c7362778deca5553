//! Holds the table of device profiles.

use std::fmt;
use std::str::FromStr;

use super::{Esp32Core, Via};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How an updater checks a signature, if the device was built with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureCheck {
    /// It does not.
    None,
    /// As a legacy signature: [`Scheme::Legacy`](crate::sign::Scheme::Legacy).
    Legacy,
    /// As RSASSA-PKCS1-v1_5: [`Scheme::Pkcs1v15Sha256`](crate::sign::Scheme::Pkcs1v15Sha256).
    DigestInfo,
}

/// What a device does with a gzip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GzipSupport {
    /// The updater refuses it by its first byte.
    Refused,
    /// It works unsigned. If it is signed, the boot loader takes the trailer's last four bytes for the length of the
    /// content and bricks the device (esp8266/Arduino 7570).
    UnsignedOnly,
    /// It works, signed or not.
    Works,
}

/// Whether Homie over MQTT checks the MD5 in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HomieMd5 {
    /// It does.
    Checked,
    /// It does in builds that check no signature.
    CheckedUnsigned,
    /// It does not: `begin()` forgets the MD5.
    Void,
    /// There is no Homie on these devices.
    NotApplicable,
}

/// One row: the behaviour of an updater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Behaviour {
    /// The devices of the row, for people.
    pub title: &'static str,
    /// How a signature is checked.
    pub signature: SignatureCheck,
    /// What it does with a gzip.
    pub gzip: GzipSupport,
    /// Whether the updater sets byte 2 of a plain image to the device's flash mode before it checks the signature.
    pub patches_flash_mode: bool,
    /// Whether it hashes the last bytes of a signed payload wrongly, unless the payload's length is a multiple of 4
    /// (esp8266/Arduino 9109).
    pub needs_aligned_payload: bool,
    /// Whether it counts only whole sectors as received until the announced length is reached, and refuses an update of
    /// none.
    pub counts_sectors: bool,
    /// Whether the boot loader erases a sector before it inflates the sector's contents.
    pub erases_first: bool,
    /// Whether the error texts are those of core 3.1.0 and later.
    pub newer_texts: bool,
    /// Whether Homie over MQTT checks the MD5.
    pub homie_md5: HomieMd5,
}

use GzipSupport::{Refused, UnsignedOnly, Works};
use HomieMd5::{Checked, CheckedUnsigned, NotApplicable, Void};
use SignatureCheck::{DigestInfo, Legacy, None as Unchecked};

const OLDEST: Behaviour = Behaviour {
    title: "esp8266 core up to 2.4.1",
    signature: Unchecked,
    gzip: Refused,
    patches_flash_mode: false,
    needs_aligned_payload: false,
    counts_sectors: false,
    erases_first: false,
    newer_texts: false,
    homie_md5: Checked,
};
const CORE_2_4_2: Behaviour = Behaviour { title: "esp8266 core 2.4.2", patches_flash_mode: true, ..OLDEST };
const CORE_2_5: Behaviour = Behaviour {
    title: "esp8266 core 2.5.0 to 2.5.2",
    signature: Legacy,
    homie_md5: CheckedUnsigned,
    ..CORE_2_4_2
};
const CORE_2_6: Behaviour =
    Behaviour { title: "esp8266 core 2.6.0 to 2.6.3", signature: DigestInfo, ..CORE_2_5 };
const CORE_2_7: Behaviour =
    Behaviour { title: "esp8266 core 2.7.0 to 2.7.4", gzip: UnsignedOnly, erases_first: true, ..CORE_2_6 };
const CORE_3_0: Behaviour = Behaviour {
    title: "esp8266 core 3.0.0 to 3.0.2",
    gzip: Works,
    erases_first: false,
    counts_sectors: true,
    homie_md5: Void,
    ..CORE_2_7
};
const CORE_3_1: Behaviour = Behaviour {
    title: "esp8266 core 3.1.0 to 3.1.2",
    needs_aligned_payload: true,
    newer_texts: true,
    ..CORE_3_0
};
const NEWER: Behaviour =
    Behaviour { title: "esp8266 core after 3.1.2", needs_aligned_payload: false, ..CORE_3_1 };

/// The esp8266 cores. Each row holds from its version up to the next row's, and says what changed.
///
/// Sources: esp8266/Arduino, `cores/esp8266/Updater.cpp` and `bootloaders/eboot/eboot.c`, at the tags 2.4.2 to 3.1.2 and
/// at commit `f946290e`; pull requests 6250 (DigestInfo), 7577 (signed gzip), 9109 (alignment). The cores 2.7.4, 3.0.2,
/// 3.1.2 and the one after it were also seen running.
pub const CORES: &[(CoreVersion, Behaviour)] = &[
    (CoreVersion(0, 0, 0), OLDEST),
    (CoreVersion(2, 4, 2), CORE_2_4_2),
    (CoreVersion(2, 5, 0), CORE_2_5),
    (CoreVersion(2, 6, 0), CORE_2_6),
    (CoreVersion(2, 7, 0), CORE_2_7),
    (CoreVersion(3, 0, 0), CORE_3_0),
    (CoreVersion(3, 1, 0), CORE_3_1),
    (CoreVersion(3, 1, 3), NEWER),
];

/// arduino-pico: RP2040 and RP2350. Source: earlephilhower/arduino-pico `libraries/Updater`, commit `387294c5`.
pub const PICO: Behaviour = Behaviour {
    title: "arduino-pico",
    signature: DigestInfo,
    gzip: Works,
    homie_md5: NotApplicable,
    ..OLDEST
};

/// A device with this project's own verifier. Its firmware decides what to do with a payload.
pub const OTASEAL_DEVICE: Behaviour = Behaviour { title: "otaseal-device", ..PICO };

/// arduino-esp32. Its updater is another one: see `esp32`.
pub const ARDUINO_ESP32: Behaviour = Behaviour { title: "arduino-esp32", homie_md5: NotApplicable, ..OLDEST };

/// Tasmota on an ESP8266: core 2.7.4, which never gets a key.
pub const TASMOTA: Behaviour =
    Behaviour { title: "Tasmota on an ESP8266", signature: Unchecked, homie_md5: NotApplicable, ..CORE_2_7 };

/// The newest release of the esp8266 core, for profiles without a version.
pub const NEWEST_CORE: CoreVersion = CoreVersion(3, 1, 2);

/// Version of an esp8266 core: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreVersion(pub u16, pub u16, pub u16);

impl CoreVersion {
    /// Returns the behaviour of this version's updater.
    pub fn behaviour(self) -> Behaviour {
        let mut found = CORES[0].1;
        for &(first, behaviour) in CORES {
            if first <= self {
                found = behaviour;
            }
        }
        found
    }
}

impl fmt::Display for CoreVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The updater of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Updater {
    /// The `Update` class of an esp8266 core, which `ESP8266httpUpdate` and `ArduinoOTA` use.
    Esp8266(CoreVersion),
    /// The updater of arduino-pico.
    Pico,
    /// Homie's push over MQTT, on an esp8266 core.
    HomieMqtt(CoreVersion),
    /// This project's verifier.
    OtasealDevice,
    /// The `Update` class of arduino-esp32.
    Esp32(Esp32Core),
    /// Tasmota on an ESP8266.
    Tasmota,
}

/// A fact about one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fact {
    /// Where its filesystem begins.
    Layout,
    /// How much space is free.
    FreeSpace,
    /// How its flash is divided into partitions.
    Partitions,
    /// The size of the image that runs.
    Installed,
    /// The size of its flash chip.
    Chip,
    /// The header of the image that runs.
    Running,
    /// The mode in which it reads its flash.
    FlashMode,
    /// The way in which updates reach it.
    Via,
    /// The size of its filesystem.
    FileSystem,
    /// Whether its core was built with `ATOMIC_FS_UPDATE`.
    AtomicFsUpdate,
}

/// A kind of device: its updater, and whether it was built with a public key.
///
/// As text: `esp8266@2.7.4`, `arduino-pico`, `homie-mqtt` (on the newest core) or `homie-mqtt@2.7.4`, `otaseal-device`,
/// `esp32c3@3.x` or `esp32c3@3.3.8`, `tasmota-esp8266`. For a build without a key, `/unsigned` follows one of the first
/// three. The last three never have a key that otaseal signs for, and the suffix changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Profile {
    /// Its updater.
    pub updater: Updater,
    /// Whether it has a public key. Then it checks signatures, if its updater can.
    pub has_key: bool,
}

impl Profile {
    /// A device with this updater. `has_key` says whether it was built with a public key.
    pub const fn new(updater: Updater, has_key: bool) -> Self {
        Self { updater, has_key }
    }

    /// Returns the behaviour of its updater.
    pub fn behaviour(&self) -> Behaviour {
        match self.updater {
            Updater::Esp8266(core) | Updater::HomieMqtt(core) => core.behaviour(),
            Updater::Pico => PICO,
            Updater::OtasealDevice => OTASEAL_DEVICE,
            Updater::Esp32(_) => ARDUINO_ESP32,
            Updater::Tasmota => TASMOTA,
        }
    }

    /// Returns the ways in which an update can reach it. A device whose updater has one way of its own has none here.
    pub fn ways(&self) -> &'static [Via] {
        match self.updater {
            Updater::Esp8266(_) | Updater::Pico | Updater::Esp32(_) => Via::ALL,
            Updater::Tasmota => &[Via::Http, Via::Form],
            Updater::HomieMqtt(_) | Updater::OtasealDevice => &[],
        }
    }

    /// Tells whether a fact about one device of this kind can change its verdict.
    pub fn looks_at(&self, fact: Fact) -> bool {
        match (self.updater, fact) {
            (Updater::Esp8266(_), fact) => fact != Fact::Partitions,
            (Updater::Tasmota, fact) => {
                !matches!(fact, Fact::Partitions | Fact::FileSystem | Fact::AtomicFsUpdate)
            }
            (Updater::HomieMqtt(_), fact) => {
                !matches!(fact, Fact::Via | Fact::Partitions | Fact::FileSystem | Fact::AtomicFsUpdate)
            }
            // A device sends both numbers together. Only the free space counts.
            (Updater::Pico, fact) => {
                matches!(fact, Fact::FreeSpace | Fact::Installed | Fact::Via | Fact::FileSystem)
            }
            (Updater::Esp32(_), fact) => {
                matches!(fact, Fact::Partitions | Fact::FreeSpace | Fact::Installed | Fact::Via)
            }
            (Updater::OtasealDevice, _) => false,
        }
    }

    /// Returns whether it checks signatures.
    pub fn verifies(&self) -> bool {
        self.has_key && self.behaviour().signature != SignatureCheck::None
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.updater {
            Updater::Esp8266(core) => write!(f, "esp8266@{core}"),
            Updater::HomieMqtt(core) => write!(f, "homie-mqtt@{core}"),
            Updater::Pico => f.write_str("arduino-pico"),
            Updater::OtasealDevice => f.write_str("otaseal-device"),
            Updater::Esp32(core) => return core.fmt(f),
            Updater::Tasmota => return f.write_str("tasmota-esp8266"),
        }?;
        if self.has_key { Ok(()) } else { f.write_str("/unsigned") }
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a device profile: {why}")]
#[non_exhaustive]
pub struct UnknownProfile {
    /// The text.
    pub text: String,
    /// The fault of the text, and what is expected.
    pub why: &'static str,
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        let wrong = |why| UnknownProfile { text: text.to_owned(), why };
        let (name, has_key) = match text.strip_suffix("/unsigned") {
            Some(name) => (name, false),
            None => (text, true),
        };
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (name, None),
        };
        if let Some(found) = Esp32Core::read(name, version) {
            return Ok(Self { updater: Updater::Esp32(found.map_err(wrong)?), has_key: false });
        }
        let core = |version| {
            core_version(version)
                .ok_or_else(|| wrong("the version of a core is three numbers, such as 2.7.4"))
        };
        let updater = match (name, version) {
            ("esp8266", Some(version)) => Updater::Esp8266(core(version)?),
            ("esp8266", None) => {
                return Err(wrong("say which version of the core the device runs, such as esp8266@2.7.4"));
            }
            ("homie-mqtt", Some(version)) => Updater::HomieMqtt(core(version)?),
            ("homie-mqtt", None) => Updater::HomieMqtt(NEWEST_CORE),
            ("arduino-pico", None) => Updater::Pico,
            ("otaseal-device", None) if has_key => Updater::OtasealDevice,
            ("otaseal-device", None) => return Err(wrong("it always has a key")),
            ("tasmota-esp8266", None) => return Ok(Self { updater: Updater::Tasmota, has_key: false }),
            ("arduino-pico" | "otaseal-device" | "tasmota-esp8266", Some(_)) => {
                return Err(wrong("it has no versions"));
            }
            _ => {
                return Err(wrong(
                    "expected esp8266@VERSION, arduino-pico, homie-mqtt, otaseal-device, esp32@VERSION (or esp32c3, \
                     esp32s3, …) or tasmota-esp8266",
                ));
            }
        };
        Ok(Self { updater, has_key })
    }
}

fn core_version(text: &str) -> Option<CoreVersion> {
    let mut parts = text
        .split('.')
        .map(|part| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten());
    let version = CoreVersion(parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}
