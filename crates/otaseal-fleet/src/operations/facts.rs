//! The facts about a device, from its row.

use otaseal::profile::{CoreVersion, Profile};
use otaseal_delivery::device::{DeviceFacts, DeviceKey, Known, Origin};
use otaseal_delivery::release::Release;

use crate::store::rows::DeviceRow;

/// What is known of a device, from its row and from the release that it runs.
pub fn facts(row: &DeviceRow, running: Option<&Release>) -> DeviceFacts {
    fn said<T: Clone>(value: &Option<T>) -> Option<Known<T>> {
        value.clone().map(|value| Known::new(value, Origin::Inferred("what it said when it came last")))
    }
    let mut facts = DeviceFacts::default();
    facts.family = said(&row.family);
    facts.sta_mac = said(&row.mac);
    facts.chip_id = said(&row.chip_id);
    facts.board = said(&row.board);
    facts.firmware = said(&row.firmware);
    facts.version = said(&row.version);
    facts.md5 = said(&row.md5);
    facts.sha256 = said(&row.sha256);
    facts.sketch_bytes = said(&row.sketch_bytes);
    facts.free_bytes = said(&row.free_bytes);
    facts.chip_bytes = said(&row.chip_bytes);
    facts.sdk = said(&row.sdk);
    facts.core_at_least = said(&row.core_at_least.as_deref().and_then(core));
    // A name of a profile that a later version of the program wrote is not known here.
    if let Some(profile) = row.profile.as_deref().and_then(|name| name.parse::<Profile>().ok()) {
        facts.profile = Some(Known::new(profile, Origin::Person));
        if !profile.has_key {
            facts.key = DeviceKey::None(Origin::Person);
        }
    }
    if let Some(running) = running {
        running.tell(&mut facts);
    }
    facts
}

/// Reads three numbers with dots between them, as the row has them.
fn core(text: &str) -> Option<CoreVersion> {
    let mut numbers = text.split('.').map(|number| number.parse::<u16>().ok());
    match [numbers.next(), numbers.next(), numbers.next(), numbers.next()] {
        [Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None] => {
            Some(CoreVersion(major, minor, patch))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_core_is_read_back() {
        for version in [CoreVersion(2, 4, 2), CoreVersion(3, 1, 2), CoreVersion(0, 0, 65_535)] {
            assert_eq!(core(&version.to_string()), Some(version));
        }
        for wrong in ["", "3", "3.1", "3.1.2.0", "3.1.x", "3.1.65536", "-1.0.0"] {
            assert_eq!(core(wrong), None, "{wrong}");
        }
    }
}
