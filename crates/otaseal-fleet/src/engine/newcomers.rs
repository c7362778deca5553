//! New devices: anybody can claim any identity, so each address may bring so many in an hour, and all together too.

use std::collections::HashMap;

use otaseal_delivery::device::DeviceFacts;
use otaseal_delivery::text::said;

use super::key::{Key, Running};
use super::{Contact, Device, Engine, Nothing};
use crate::store::Write;
use crate::store::rows::{DeviceId, DeviceRow, Standing};

const HOUR: u64 = 60 * 60;

/// New devices from one address in an hour.
const OF_ONE: u32 = 100;

/// New devices in an hour.
const OF_ALL: u32 = 10_000;

/// Longest text of a device that is kept, in bytes.
const LONGEST: usize = 128;

/// Counts new devices.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    begun: u64,
    all: u32,
    by_address: HashMap<u32, u32>,
}

impl Newcomers {
    /// Whether one more may come. The addresses of an hour are as many as the new devices in it, so the table is bounded.
    fn admit(&mut self, address: u32, now: u64) -> bool {
        if now >= self.begun + HOUR || now < self.begun {
            *self = Self { begun: now, ..Self::default() };
        }
        if self.all >= OF_ALL {
            return false;
        }
        let of_one = self.by_address.entry(address).or_default();
        if *of_one >= OF_ONE {
            return false;
        }
        *of_one += 1;
        self.all += 1;
        true
    }
}

impl Engine {
    /// Writes a new device down. It is pending.
    pub(super) fn newcomer(&mut self, key: Key, contact: Contact<'_>) -> Result<DeviceId, Nothing> {
        if self.closed {
            return Err(Nothing::Closed);
        }
        if !self.newcomers.admit(contact.address, contact.now) {
            return Err(Nothing::TooManyNew);
        }
        let id = self.devices.next_id();
        let mut row = row_of(contact.facts);
        row.id = id;
        row.standing = Standing::Pending;
        row.source = contact.source;
        row.first_seen = contact.now;
        row.last_seen = contact.now;
        row.running = self.by_image.get(&Running::of(contact.facts).image).copied();
        self.name_what_runs(&mut row);
        let identity = row.mac.map(|mac| mac.to_string()).or_else(|| row.chip_id.clone());
        let own = contact.facts.name.as_ref().map(|name| bounded(&name.value));
        row.name = own.filter(|name| !name.is_empty()).or(identity).unwrap_or_default();
        let mut device = Device::new(key);
        device.facts = digest(&row_of(contact.facts));
        self.devices.insert(id, device);
        self.fresh.push(id);
        self.outbox.push(Write::Device(Box::new(row)));
        self.note(id, contact.now, "new", "it was heard of for the first time");
        Ok(id)
    }

    /// Names the firmware and the version of the release that runs, where the device does not.
    fn name_what_runs(&self, row: &mut DeviceRow) {
        let Some(known) = row.running.and_then(|id| self.releases.get(&id)) else { return };
        row.firmware = row.firmware.take().or_else(|| known.release.firmware.clone());
        row.version = row.version.take().or_else(|| known.release.version.clone());
    }

    /// Writes down what a device says, if it says something else than before.
    pub(super) fn hear(&mut self, id: DeviceId, contact: Contact<'_>) {
        let mut row = row_of(contact.facts);
        let digest = digest(&row);
        let Some(device) = self.devices.get_mut(id).filter(|device| device.facts != digest) else { return };
        device.facts = digest;
        row.id = id;
        row.running = device.release;
        row.last_seen = contact.now;
        self.name_what_runs(&mut row);
        self.outbox.push(Write::Said(Box::new(row)));
    }
}

/// What these facts say, bounded.
fn row_of(facts: &DeviceFacts) -> DeviceRow {
    fn value<T: Clone>(fact: &Option<otaseal_delivery::device::Known<T>>) -> Option<T> {
        fact.as_ref().map(|fact| fact.value.clone())
    }
    let text = |fact: &Option<otaseal_delivery::device::Known<String>>| {
        fact.as_ref().map(|fact| bounded(&fact.value))
    };
    DeviceRow {
        family: value(&facts.family),
        mac: value(&facts.sta_mac),
        chip_id: text(&facts.chip_id),
        board: text(&facts.board),
        firmware: text(&facts.firmware),
        version: text(&facts.version),
        md5: value(&facts.md5),
        sha256: value(&facts.sha256),
        sketch_bytes: value(&facts.sketch_bytes),
        free_bytes: value(&facts.free_bytes),
        chip_bytes: value(&facts.chip_bytes),
        sdk: text(&facts.sdk),
        core_at_least: value(&facts.core_at_least).map(|core| core.to_string()),
        ..DeviceRow::default()
    }
}

/// A text of a device: escaped, and not longer than [`LONGEST`].
fn bounded(text: &str) -> String {
    let mut text = said(text.as_bytes());
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

/// A digest of what a device says. It is never zero. It need not be secret: who can choose the facts can repeat them.
fn digest(row: &DeviceRow) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    row.version.hash(&mut hasher);
    row.firmware.hash(&mut hasher);
    row.md5.hash(&mut hasher);
    row.sha256.hash(&mut hasher);
    (row.sketch_bytes, row.free_bytes, row.chip_bytes).hash(&mut hasher);
    row.sdk.hash(&mut hasher);
    row.core_at_least.hash(&mut hasher);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_and_all_together_have_a_limit() {
        let mut newcomers = Newcomers::default();
        assert!((0..OF_ONE).all(|_| newcomers.admit(7, 100_000)));
        assert!(!newcomers.admit(7, 100_000));
        assert!(newcomers.admit(8, 100_000));
        assert!(newcomers.admit(7, 100_000 + HOUR), "an hour later it goes on");
        let mut newcomers = Newcomers::default();
        assert!((0..OF_ALL).all(|address| newcomers.admit(address, 100_000)));
        assert!(!newcomers.admit(OF_ALL, 100_000));
        assert!(newcomers.by_address.len() <= OF_ALL as usize);
        assert!(newcomers.admit(1, 500), "a clock that went back locks nobody out");
    }

    #[test]
    fn texts_are_escaped_and_bounded() {
        assert_eq!(bounded("lamp"), "lamp");
        assert!(bounded(&"ä\u{1b}[31m".repeat(200)).len() <= LONGEST);
        assert!(!bounded("a\u{1b}[31m").contains('\u{1b}'));
    }
}
