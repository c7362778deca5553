//! The identity of a device in eight bytes, and what it runs in sixteen: the service holds a million of them.

use otaseal_delivery::device::{DeviceFacts, Family, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The identity that a device claims: its family, and its MAC address or else its chip id.
///
/// An address is kept as it is. Of a chip id, which is any text, the first 48 bits of a digest are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

impl Key {
    /// The key of this identity. `None` if the device says neither an address nor a chip id.
    pub fn of(family: Family, mac: Option<Mac>, chip_id: Option<&str>) -> Option<Self> {
        let family = match family {
            Family::Esp8266 => 1,
            Family::Esp32 => 2,
            Family::Rp2040 => 3,
        };
        let (kind, id) = match (mac, chip_id) {
            (Some(Mac(bytes)), _) => (0, bytes),
            (None, Some(text)) => {
                let digest = Sha256::digest(text.as_bytes());
                (1, std::array::from_fn(|at| digest[at]))
            }
            (None, None) => return None,
        };
        let [a, b, c, d, e, f] = id;
        Some(Self(u64::from_be_bytes([kind, family, a, b, c, d, e, f])))
    }

    /// The key of a device that says these facts.
    pub fn of_facts(facts: &DeviceFacts) -> Option<Self> {
        let family = facts.family.as_ref()?.value;
        let mac = facts.sta_mac.as_ref().map(|mac| mac.value);
        Self::of(family, mac, facts.chip_id.as_ref().map(|id| id.value.as_str()))
    }

    /// The key as bytes, for the order of a rollout.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// What a device says of the image that it runs: its digest and its version, each in 64 bits. Zero: it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Running {
    /// The start of the digest.
    pub image: u64,
    /// The start of a digest of the version.
    pub version: u64,
}

impl Running {
    /// What these facts say.
    pub fn of(facts: &DeviceFacts) -> Self {
        let md5 = facts.md5.as_ref().map(|md5| image(&md5.value.0));
        let sha256 = || facts.sha256.as_ref().map(|sha256| image(&sha256.value.0));
        Self {
            image: md5.or_else(sha256).unwrap_or(0),
            version: facts.version.as_ref().map_or(0, |version| self::version(&version.value)),
        }
    }

    /// Whether a device that said the one and now says the other runs another image. A digest counts more than a version,
    /// which some devices say only at times.
    pub fn differs(self, now: Self) -> bool {
        match (self.image, now.image) {
            (0, _) | (_, 0) => {
                now.version != 0 && now.version != self.version || (self.image == 0 && now.image != 0)
            }
            (before, now) => before != now,
        }
    }

    /// Whether the device says anything.
    pub fn is_known(self) -> bool {
        self != Self::default()
    }
}

/// The start of a digest. It is never zero.
pub fn image(digest: &[u8]) -> u64 {
    let mut start = [0; 8];
    for (to, from) in start.iter_mut().zip(digest) {
        *to = *from;
    }
    u64::from_be_bytes(start).max(1)
}

/// A version in 64 bits. It is never zero.
pub fn version(text: &str) -> u64 {
    image(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([0x5C, 0xCF, 0x7F, 1, 2, 3]);

    #[test]
    fn identities_differ() {
        let keys = [
            Key::of(Family::Esp8266, Some(MAC), None),
            Key::of(Family::Esp32, Some(MAC), None),
            Key::of(Family::Rp2040, Some(MAC), None),
            Key::of(Family::Esp8266, Some(Mac([0; 6])), None),
            Key::of(Family::Esp8266, None, Some("E661")),
            Key::of(Family::Esp8266, None, Some("")),
        ];
        for (number, key) in keys.iter().enumerate() {
            assert!(key.is_some() && !keys[..number].contains(key), "{number}");
        }
        assert_eq!(Key::of(Family::Esp8266, None, None), None);
    }

    #[test]
    fn the_chip_id_is_a_part_of_the_address() {
        let both = Key::of(Family::Esp8266, Some(MAC), Some("131844"));
        assert_eq!(both, Key::of(Family::Esp8266, Some(MAC), None));
    }

    #[test]
    fn another_image_is_seen_by_what_both_say() {
        let runs = |image, version| Running { image, version };
        for (before, now, differs) in [
            (runs(1, 0), runs(1, 5), false),
            (runs(1, 5), runs(1, 0), false),
            (runs(1, 5), runs(0, 5), false),
            (runs(1, 5), runs(0, 0), false),
            (runs(1, 5), runs(0, 6), true),
            (runs(1, 5), runs(2, 5), true),
            (runs(0, 5), runs(1, 5), true),
            (runs(0, 5), runs(0, 5), false),
            (runs(0, 5), runs(0, 0), false),
            (runs(0, 0), runs(0, 5), true),
        ] {
            assert_eq!(before.differs(now), differs, "{before:?} {now:?}");
        }
    }

    #[test]
    fn nothing_said_is_zero_and_nothing_else_is() {
        assert!(!Running::default().is_known());
        assert_eq!(image(&[0; 16]), 1);
        assert_ne!(version(""), 0);
        assert_eq!(Running::of(&DeviceFacts::default()), Running::default());
    }
}
