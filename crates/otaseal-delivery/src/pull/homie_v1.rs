//! What a device with Homie 1 says in `x-ESP8266-version`, and how its target names a firmware.
//!
//! | Homie | value |
//! |---|---|
//! | 1.0.0 to 1.2.0 | `id=name@version` |
//! | two days of March 2016 | `id=name@version->target` |
//! | 1.3.0 to 1.5.0 | `id=name=version=target` |
//!
//! Source: homieiot/homie-esp8266 `src/Homie/Boot/BootOta.cpp` of these tags.

use sha1::{Digest, Sha1};

/// Longest target that a device takes, in bytes (`homieiot/homie-esp8266` v1.3.0, `MAX_FIRMWARE_VERSION_LENGTH`).
pub const MAX_TARGET: usize = 16;

/// What the device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomieV1 {
    /// Its Homie id.
    pub id: String,
    /// Name of the firmware that runs.
    pub firmware: String,
    /// Version of the firmware that runs.
    pub version: String,
    /// The payload of `$ota` that brought it here.
    pub target: Option<String>,
}

impl HomieV1 {
    /// Reads a value in one of the three forms. Returns `None` for any other text: it is a version of somebody else.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, rest) = text.split_once('=')?;
        // A target may hold an `@`, and never an `=`.
        let (firmware, version, target) = match rest.rsplit_once('=') {
            Some((rest, target)) => {
                let (firmware, version) = rest.rsplit_once('=')?;
                (firmware, version, Some(target))
            }
            None => {
                let (rest, target) = match rest.split_once("->") {
                    Some((rest, target)) => (rest, Some(target)),
                    None => (rest, None),
                };
                let (firmware, version) = rest.rsplit_once('@')?;
                (firmware, version, target)
            }
        };
        if [id, firmware, version].iter().any(|part| part.is_empty()) {
            return None;
        }
        let owned = str::to_owned;
        Some(Self {
            id: owned(id),
            firmware: owned(firmware),
            version: owned(version),
            target: target.filter(|target| !target.is_empty()).map(owned),
        })
    }
}

/// Returns the payload of `$ota` with which homie-ota names a firmware: the start of the SHA-1 of its name, `@`, its
/// version, at most [`MAX_TARGET`] bytes. Returns `None` if the version leaves no room for a hash: the device would
/// ignore the payload.
///
/// Source: jpmens/homie-ota `homie-ota.py` (df822d13).
pub fn hashed(firmware: &str, version: &str) -> Option<String> {
    let room = MAX_TARGET.checked_sub(version.len() + 1).filter(|room| *room > 0)?;
    let hash: String = Sha1::digest(firmware).iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{}@{version}", &hash[..room.min(hash.len())]))
}

/// Whether a target names this firmware: by its version, or in the form of homie-ota.
pub fn names(target: &str, running: &str, firmware: &str, version: &str) -> bool {
    match target.contains('@') {
        true => hashed(firmware, version).is_some_and(|hashed| hashed == target),
        false => running == firmware && target == version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, String, String, Option<String>)> {
        HomieV1::parse(text).map(|it| (it.id, it.firmware, it.version, it.target))
    }

    #[test]
    fn the_three_forms_are_read() {
        let known = |a: &str, b: &str, c: &str, d: Option<&str>| {
            Some((a.into(), b.into(), c.into(), d.map(Into::into)))
        };
        assert_eq!(parsed("5ccf7f=lamp@1.0.0"), known("5ccf7f", "lamp", "1.0.0", None));
        assert_eq!(parsed("5ccf7f=lamp@1.0.0->1.0.1"), known("5ccf7f", "lamp", "1.0.0", Some("1.0.1")));
        // homie-ota split this one at the first `@` and lost the hash.
        assert_eq!(
            parsed("d=button-homie@1.0.0->a75ebc7c7f@1.0.1"),
            known("d", "button-homie", "1.0.0", Some("a75ebc7c7f@1.0.1"))
        );
        assert_eq!(parsed("d=lamp=1.0.0=1.1.0"), known("d", "lamp", "1.0.0", Some("1.1.0")));
        assert_eq!(
            parsed("d=la=mp=1.0.0=a75ebc7c7f@1.0.1"),
            known("d", "la=mp", "1.0.0", Some("a75ebc7c7f@1.0.1"))
        );
        assert_eq!(parsed("d=lamp=1.0.0="), known("d", "lamp", "1.0.0", None));
    }

    #[test]
    fn other_versions_are_none_of_them() {
        for text in [
            "",
            "1.0.0",
            "lamp@1.0.0",
            "=lamp@1.0.0",
            "d=",
            "d=lamp",
            "d=@1.0",
            "d=lamp@",
            "d=a=b",
            "d===",
            "9.1(tasmota)",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn the_form_of_homie_ota_is_theirs() {
        assert_eq!(hashed("dual-relay", "1.0.3").as_deref(), Some("89c0002a5c@1.0.3"));
        assert_eq!(hashed("dual-relay", "10.20.30").as_deref(), Some("89c0002@10.20.30"));
        assert_eq!(hashed("dual-relay", "123456789012345"), None);
        assert_eq!(hashed("dual-relay", "1234567890123456"), None);
    }

    #[test]
    fn a_target_names_a_firmware_by_version_or_by_hash() {
        assert!(names("1.1.0", "lamp", "lamp", "1.1.0"));
        assert!(!names("1.1.0", "lamp", "relay", "1.1.0"));
        assert!(!names("1.1.0", "lamp", "lamp", "1.1.1"));
        assert!(names("89c0002a5c@1.0.3", "lamp", "dual-relay", "1.0.3"));
        assert!(!names("89c0002a5c@1.0.3", "lamp", "dual-relay", "1.0.4"));
        assert!(!names("@1.0.3", "lamp", "dual-relay", "1.0.3"));
    }
}
