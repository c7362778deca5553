//! The table of devices in memory: what a poll needs, and nothing else. Names, tags and facts are in the store.

use hashbrown::HashTable;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::key::{Key, Running};
use crate::rollout::brake::Site;
use crate::rollout::interval::Interval;
use crate::rollout::update::{State, Update};
use crate::store::rows::{DeviceId, ReleaseId, RolloutId, Standing};

/// A device.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its identity.
    pub key: Key,
    /// Whether it may be updated.
    pub standing: Standing,
    /// The number of its site. Zero: none.
    pub site: u32,
    /// A digest of the facts that are in the store.
    pub facts: u64,
    /// What it says it runs.
    pub running: Running,
    /// The release that it runs, by that evidence.
    pub release: Option<ReleaseId>,
    /// When it was last heard of, in seconds since 1970.
    pub last_seen: u64,
    /// How often it comes.
    pub interval: Interval,
    /// The address from which it came last, and the one before, as digests.
    pub addresses: [u32; 2],
    /// Its last update.
    pub assigned: Option<Assigned>,
    /// Whether the store has a later `last_seen` to get.
    pub dirty: bool,
}

impl Device {
    /// A device of which nothing else is known.
    pub fn new(key: Key) -> Self {
        Self {
            key,
            standing: Standing::Pending,
            site: 0,
            facts: 0,
            running: Running::default(),
            release: None,
            last_seen: 0,
            interval: Interval::default(),
            addresses: [0; 2],
            assigned: None,
            dirty: false,
        }
    }

    /// A number that differs between devices.
    pub fn spread(&self) -> u8 {
        self.key.to_bytes()[7]
    }
}

/// Numbers for the names of sites. The empty name is 0.
#[derive(Debug, Default)]
pub struct Sites(HashMap<String, u32>);

impl Sites {
    /// The number of this name.
    pub fn number(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let number = self.0.len() as u32 + 1;
        self.0.insert(name.to_owned(), number);
        number
    }
}

/// The update of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assigned {
    /// The rollout. `None`: a person pushed it.
    pub rollout: Option<RolloutId>,
    /// The release.
    pub release: ReleaseId,
    /// The stage that the device is in, from 0.
    pub stage: u8,
    /// What it ran before.
    pub before: Running,
    /// How far it is.
    pub update: Update,
}

/// All devices. A [`DeviceId`] is the place in the table.
#[derive(Debug)]
pub struct Devices {
    all: Vec<Option<Device>>,
    by_key: HashTable<u32>,
    hasher: RandomState,
    sites: Vec<Site>,
    alive: usize,
}

impl Default for Devices {
    fn default() -> Self {
        Self {
            // No device has the number 0.
            all: vec![None],
            by_key: HashTable::new(),
            // Clients choose their identities. A fixed hash would let them choose collisions.
            hasher: RandomState::new(),
            sites: vec![Site::default()],
            alive: 0,
        }
    }
}

impl Devices {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.alive
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.alive == 0
    }

    /// The number that the next new device gets.
    pub fn next_id(&self) -> DeviceId {
        DeviceId(self.all.len() as u32)
    }

    /// The device with this number.
    pub fn get(&self, id: DeviceId) -> Option<&Device> {
        self.all.get(id.0 as usize)?.as_ref()
    }

    /// The device with this number.
    pub fn get_mut(&mut self, id: DeviceId) -> Option<&mut Device> {
        self.all.get_mut(id.0 as usize)?.as_mut()
    }

    /// The number of the device with this identity.
    pub fn find(&self, key: Key) -> Option<DeviceId> {
        let found = self.by_key.find(self.hasher.hash_one(key), |id| self.is(*id, key));
        found.map(|id| DeviceId(*id))
    }

    fn is(&self, id: u32, key: Key) -> bool {
        matches!(self.all.get(id as usize), Some(Some(device)) if device.key == key)
    }

    /// Puts a device at its number. Numbers between are of devices that are gone.
    ///
    /// Does nothing if another device has the number or the identity.
    pub fn insert(&mut self, id: DeviceId, device: Device) {
        let index = id.0 as usize;
        if index == 0 || self.get(id).is_some() || self.find(device.key).is_some() {
            return;
        }
        if self.all.len() <= index {
            self.all.resize(index + 1, None);
        }
        if let Some(site) = self.site_mut(device.site) {
            site.devices += 1;
            if let Some(assigned) = &device.assigned {
                count(site, assigned.update.state, true);
            }
        }
        let Self { all, by_key, hasher, .. } = self;
        let hash = hasher.hash_one(device.key);
        all[index] = Some(device);
        by_key.insert_unique(hash, id.0, |id| {
            all.get(*id as usize).and_then(Option::as_ref).map_or(0, |device| hasher.hash_one(device.key))
        });
        self.alive += 1;
    }

    /// Removes a device.
    pub fn remove(&mut self, id: DeviceId) -> Option<Device> {
        let device = self.all.get_mut(id.0 as usize)?.take()?;
        if let Ok(found) = self.by_key.find_entry(self.hasher.hash_one(device.key), |found| *found == id.0) {
            found.remove();
        }
        if let Some(site) = self.site_mut(device.site) {
            site.devices = site.devices.saturating_sub(1);
            if let Some(assigned) = &device.assigned {
                count(site, assigned.update.state, false);
            }
        }
        self.alive -= 1;
        Some(device)
    }

    /// Moves a device to another site.
    pub fn set_site(&mut self, id: DeviceId, site: u32) {
        let Some(device) = self.get_mut(id) else { return };
        let (old, state) = (device.site, device.assigned.map(|assigned| assigned.update.state));
        device.site = site;
        for (number, enters) in [(old, false), (site, true)] {
            let Some(site) = self.site_mut(number) else { continue };
            site.devices = if enters { site.devices + 1 } else { site.devices.saturating_sub(1) };
            if let Some(state) = state {
                count(site, state, enters);
            }
        }
    }

    /// Gives a device another update, or another state of its update. Returns what it had.
    pub fn assign(&mut self, id: DeviceId, assigned: Option<Assigned>) -> Option<Assigned> {
        let device = self.get_mut(id)?;
        let before = std::mem::replace(&mut device.assigned, assigned);
        let site = device.site;
        if let Some(site) = self.site_mut(site) {
            if let Some(before) = &before {
                count(site, before.update.state, false);
            }
            if let Some(after) = &assigned {
                count(site, after.update.state, true);
            }
        }
        before
    }

    /// What a site has at present. `None` for the site of devices without one.
    pub fn site(&self, number: u32) -> Option<Site> {
        if number == 0 { None } else { self.sites.get(number as usize).copied() }
    }

    fn site_mut(&mut self, number: u32) -> Option<&mut Site> {
        let index = number as usize;
        if self.sites.len() <= index {
            self.sites.resize(index + 1, Site::default());
        }
        self.sites.get_mut(index)
    }

    /// Every device, with its number.
    pub fn iter(&self) -> impl Iterator<Item = (DeviceId, &Device)> {
        let all = self.all.iter().enumerate();
        all.filter_map(|(index, device)| Some((DeviceId(index as u32), device.as_ref()?)))
    }
}

fn count(site: &mut Site, state: State, enters: bool) {
    let add = |slot: &mut u32| *slot = if enters { *slot + 1 } else { slot.saturating_sub(1) };
    if state == State::Sending {
        add(&mut site.sending);
    }
    if state.is_unproven() {
        add(&mut site.unproven);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use otaseal_delivery::device::{Family, Mac};

    fn key(number: u8) -> Key {
        Key::of(Family::Esp8266, Some(Mac([0, 0, 0, 0, 0, number])), None).unwrap()
    }

    fn assigned(state: State) -> Option<Assigned> {
        let update = Update { state, ..Update::new(true, 0) };
        let before = Running::default();
        Some(Assigned { rollout: None, release: ReleaseId(1), stage: 0, before, update })
    }

    #[test]
    fn devices_are_found_by_their_identity() {
        let mut devices = Devices::default();
        for number in 1..=100 {
            assert_eq!(devices.next_id(), DeviceId(u32::from(number)));
            devices.insert(devices.next_id(), Device::new(key(number)));
        }
        assert_eq!(devices.find(key(42)), Some(DeviceId(42)));
        assert_eq!(devices.find(key(101)), None);
        devices.remove(DeviceId(42));
        assert_eq!((devices.find(key(42)), devices.len()), (None, 99));
        assert_eq!(devices.next_id(), DeviceId(101), "a number is never used twice");
        devices.insert(devices.next_id(), Device::new(key(7)));
        assert_eq!(devices.len(), 99, "an identity is there once");
    }

    #[test]
    fn sites_count_their_devices() {
        let mut devices = Devices::default();
        for number in 1..=3 {
            let mut device = Device::new(key(number));
            device.site = 5;
            devices.insert(DeviceId(u32::from(number)), device);
        }
        devices.assign(DeviceId(1), assigned(State::Sending));
        devices.assign(DeviceId(2), assigned(State::Served));
        assert_eq!(devices.site(5), Some(Site { devices: 3, sending: 1, unproven: 2 }));
        devices.assign(DeviceId(1), assigned(State::Confirmed));
        devices.set_site(DeviceId(2), 6);
        assert_eq!(devices.site(5), Some(Site { devices: 2, sending: 0, unproven: 0 }));
        assert_eq!(devices.site(6), Some(Site { devices: 1, sending: 0, unproven: 1 }));
        devices.remove(DeviceId(2));
        assert_eq!(devices.site(6), Some(Site::default()));
        assert_eq!(devices.site(0), None);
    }
}
