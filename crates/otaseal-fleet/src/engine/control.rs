//! What people and the start of the service tell the engine.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use otaseal_delivery::release::Release;

use super::devices::{Assigned, Device};
use super::key::{Key, Running};
use super::known::Known;
use super::{Active, Engine};
use crate::rollout::brake::Cohort;
use crate::rollout::interval::Interval;
use crate::rollout::machine::{Counts, Event as RolloutEvent, Phase, Rollout, Stop};
use crate::rollout::plan::{self, Plan, PlanError};
use crate::rollout::update::{Event, State, Update};
use crate::store::rows::{DeviceId, DeviceRow, ReleaseId, RolloutId, RolloutRow, Standing, UpdateRow};

/// Why a command cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No such rollout.
    #[error("there is no rollout {0}")]
    NoRollout(RolloutId),
    /// No such release, or it is not verified.
    #[error("there is no verified release {0}")]
    NoRelease(ReleaseId),
    /// The release was withdrawn.
    #[error("the release {0} was withdrawn")]
    Withdrawn(ReleaseId),
    /// No such device.
    #[error("there is no device {0}")]
    NoDevice(DeviceId),
    /// The device is not accepted.
    #[error("the device {0} is not accepted")]
    NotAccepted(DeviceId),
    /// The update of the device cannot be changed so.
    #[error("the update of the device {0} is {1}: nothing changes")]
    NotNow(DeviceId, State),
    /// The rollout cannot be changed so.
    #[error("the rollout {0} is {1}: nothing changes")]
    Phase(RolloutId, &'static str),
    /// A plan that cannot be carried out.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// A device of a rollout that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The device.
    pub device: DeviceId,
    /// The first stage whose filter holds for it, from 0.
    pub from_stage: u8,
}

impl Engine {
    /// Adds a verified release. `offered` says whether devices may get it; devices that run it are known by it in any case.
    pub fn add_release(&mut self, id: ReleaseId, release: Release, offered: bool) -> Arc<Known> {
        let known = Known::new(id, release);
        for image in known.images() {
            // The same image twice is the later release: that one is asked for.
            self.by_image.insert(*image, id);
        }
        self.releases.insert(id, Arc::clone(&known));
        if !offered {
            self.withdrawn.insert(id);
        }
        // Devices may have run it before it was uploaded.
        let images = known.images();
        let later = |device: &Device| device.release.is_none_or(|older| older < id);
        let runs = |device: &Device| later(device) && images.contains(&device.running.image);
        let those = self.devices.iter().filter(|(_, device)| runs(device)).map(|(device, _)| device);
        for device in those.collect::<Vec<_>>() {
            if let Some(found) = self.devices.get_mut(device) {
                found.release = Some(id);
                // At its next contact it is written down by what name and version it runs.
                found.facts = 0;
                self.outbox.push(crate::store::Write::Runs(device, id));
            }
        }
        known
    }

    /// Never offers a release again. Rollouts of it are paused.
    pub fn withdraw(&mut self, id: ReleaseId, now: u64) {
        self.withdrawn.insert(id);
        self.pause_all(id, &Stop::Withdrawn, now);
    }

    /// Forgets a release that nothing refers to.
    pub fn remove_release(&mut self, id: ReleaseId) {
        self.releases.remove(&id);
        self.withdrawn.remove(&id);
        self.by_image.retain(|_, release| *release != id);
    }

    /// A file of a release is not what was uploaded. Rollouts of it are paused.
    pub fn damaged(&mut self, id: ReleaseId, file: &str, now: u64) {
        self.pause_all(id, &Stop::Damaged { file: file.to_owned() }, now);
    }

    fn pause_all(&mut self, id: ReleaseId, why: &Stop, now: u64) {
        let of: Vec<RolloutId> =
            self.rollouts.iter().filter(|(_, active)| active.row.release == id).map(|(id, _)| *id).collect();
        for rollout in of {
            self.tell_rollout(rollout, &RolloutEvent::Pause(why.clone()), now);
        }
    }

    /// Whether anything refers to a release: a device that runs it, an update, a rollout.
    pub fn refers_to(&self, id: ReleaseId) -> bool {
        self.rollouts.values().any(|active| active.row.release == id)
            || self.devices.iter().any(|(_, device)| {
                device.release == Some(id) || device.assigned.is_some_and(|assigned| assigned.release == id)
            })
    }

    /// Takes a device out of the store, at the start.
    pub fn load_device(&mut self, row: &DeviceRow, update: Option<&UpdateRow>) {
        let site = self.sites.number(&row.site);
        let family = row.family;
        let Some(key) = family.and_then(|family| Key::of(family, row.mac, row.chip_id.as_deref())) else {
            return;
        };
        let mut device = Device::new(key);
        device.standing = row.standing;
        device.site = site;
        let md5 = row.md5.map(|md5| super::key::image(&md5.0));
        device.running = Running {
            image: md5.or_else(|| row.sha256.map(|sha256| super::key::image(&sha256.0))).unwrap_or(0),
            version: row.version.as_deref().map_or(0, super::key::version),
        };
        device.release = row.running;
        device.last_seen = row.last_seen;
        device.interval = Interval::from_bytes(&row.interval);
        device.assigned = update.map(|row| Assigned {
            rollout: row.rollout,
            release: row.release,
            stage: row.stage,
            before: Running { image: row.before.0, version: row.before.1 },
            update: row.update,
        });
        if let Some(deadline) = update.and_then(|row| row.update.deadline) {
            self.deadlines.push(Reverse((deadline, row.id)));
        }
        self.devices.insert(row.id, device);
    }

    /// Everything of the store is there: what the rollouts need to know of the devices is counted.
    pub fn loaded(&mut self) {
        let Self { devices, rollouts, .. } = self;
        for (id, device) in devices.iter() {
            let Some(assigned) = device.assigned.filter(|one| one.update.state == State::Served) else {
                continue;
            };
            if let Some(active) = assigned.rollout.and_then(|rollout| rollouts.get_mut(&rollout)) {
                active.served.push_back((assigned.update.since, id, assigned.update.attempt));
            }
        }
        for active in rollouts.values_mut() {
            active.served.make_contiguous().sort_unstable();
        }
    }

    /// Takes a rollout out of the store, at the start.
    pub fn load_rollout(&mut self, row: RolloutRow) {
        let active = Active {
            row,
            minute: (0, 0),
            later: HashMap::new(),
            served: VecDeque::new(),
            young: VecDeque::new(),
            cohort: Cohort::default(),
            dirty: false,
        };
        self.rollouts.insert(active.row.id, active);
    }

    /// Accepts a device, ignores it, or makes it pending again. An update that has not begun ends.
    ///
    /// # Errors
    /// There is no such device.
    pub fn set_standing(&mut self, id: DeviceId, standing: Standing, now: u64) -> Result<(), ControlError> {
        let device = self.devices.get_mut(id).ok_or(ControlError::NoDevice(id))?;
        if device.standing == standing {
            return Ok(());
        }
        device.standing = standing;
        self.outbox.push(crate::store::Write::Standing(id, standing));
        if standing == Standing::Accepted {
            self.fresh.push(id);
        }
        self.note(id, now, standing.name(), "by a person or a rule");
        if standing != Standing::Accepted {
            self.step(id, Event::Cancel, now, "the device is no longer accepted");
        }
        Ok(())
    }

    /// Moves a device to another site. An empty name is none.
    pub fn set_site(&mut self, id: DeviceId, site: &str) {
        let site = self.sites.number(site);
        self.devices.set_site(id, site);
    }

    /// Forgets a device. Its events stay.
    ///
    /// # Errors
    /// There is no such device, or nothing is proved yet of what it was sent.
    pub fn delete_device(&mut self, id: DeviceId, now: u64) -> Result<(), ControlError> {
        let device = self.devices.get(id).ok_or(ControlError::NoDevice(id))?;
        if let Some(update) = device.assigned.map(|assigned| assigned.update) {
            if update.state.is_unproven() {
                return Err(ControlError::NotNow(id, update.state));
            }
            self.step(id, Event::Cancel, now, "the device is deleted");
        }
        self.note(id, now, "deleted", "by a person");
        self.devices.remove(id);
        self.outbox.push(crate::store::Write::DeleteDevice(id));
        Ok(())
    }

    /// Writes a rollout down as a draft.
    ///
    /// # Errors
    /// The release is not there, or the plan cannot be carried out.
    pub fn draft(
        &mut self,
        id: RolloutId,
        name: &str,
        release: ReleaseId,
        plan: Plan,
        by: &str,
        now: u64,
    ) -> Result<(), ControlError> {
        plan.check()?;
        self.may_offer_release(release)?;
        let row = RolloutRow {
            id,
            name: name.to_owned(),
            release,
            plan,
            state: Rollout::new(now),
            counts: Counts::default(),
            places: Vec::new(),
            by: by.to_owned(),
            at: now,
        };
        self.load_rollout(row);
        if let Some(active) = self.rollouts.get_mut(&id) {
            active.dirty = true;
        }
        Ok(())
    }

    fn may_offer_release(&self, release: ReleaseId) -> Result<(), ControlError> {
        if !self.releases.contains_key(&release) {
            return Err(ControlError::NoRelease(release));
        }
        if self.withdrawn.contains(&release) {
            return Err(ControlError::Withdrawn(release));
        }
        Ok(())
    }

    /// Starts a rollout with these devices.
    ///
    /// # Errors
    /// There is no such draft, or the release was withdrawn.
    pub fn start(&mut self, id: RolloutId, targets: &[Target], now: u64) -> Result<(), ControlError> {
        let active = self.rollouts.get(&id).ok_or(ControlError::NoRollout(id))?;
        if active.row.state.phase != Phase::Draft {
            return Err(ControlError::Phase(id, active.row.state.phase.name()));
        }
        self.may_offer_release(active.row.release)?;
        let places = self.places(id, targets);
        if let Some(active) = self.rollouts.get_mut(&id) {
            active.row.places = places;
            active.dirty = true;
            active.later = targets.iter().map(|target| (target.device, target.from_stage)).collect();
        }
        // The devices are there before the first stage opens.
        for target in targets {
            self.assign(id, *target, now);
        }
        self.tell_rollout(id, &RolloutEvent::Start, now);
        Ok(())
    }

    /// Below which place the devices of each stage stand.
    fn places(&self, id: RolloutId, targets: &[Target]) -> Vec<u64> {
        let Some(active) = self.rollouts.get(&id) else { return Vec::new() };
        let stages = &active.row.plan.stages;
        let mut of_stage = Vec::with_capacity(stages.len());
        for (number, stage) in stages.iter().enumerate() {
            let mut share = plan::share(stage.percent);
            let limit = stage.devices.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
            if stage.percent < 100 || limit < targets.len() {
                let of = targets.iter().filter(|target| usize::from(target.from_stage) <= number);
                let mut places: Vec<u64> = of.filter_map(|target| self.place(id, target.device)).collect();
                places.sort_unstable();
                // A stage of a small fleet has one device at least.
                share = share.max(places.first().copied().unwrap_or(0));
                if let Some(last) = limit.checked_sub(1).and_then(|last| places.get(last)) {
                    share = share.min(*last);
                }
            }
            of_stage.push(share);
        }
        of_stage
    }

    fn place(&self, rollout: RolloutId, id: DeviceId) -> Option<u64> {
        Some(plan::place(u64::from(rollout.0), &self.devices.get(id)?.key.to_bytes()))
    }

    /// Gives a device the release of a rollout. A device of which nothing is proved at present gets it later.
    pub(super) fn assign(&mut self, id: RolloutId, target: Target, now: u64) {
        let Some(place) = self.place(id, target.device) else { return };
        let Some(active) = self.rollouts.get_mut(&id) else { return };
        let places = active.row.places.iter().enumerate();
        let mut stages =
            places.filter(|(stage, below)| *stage >= usize::from(target.from_stage) && place <= **below);
        let last = active.row.places.len().saturating_sub(1);
        let stage = stages.next().map_or(last, |(stage, _)| stage);
        let Some(device) = self.devices.get(target.device) else { return };
        if device.standing != Standing::Accepted {
            active.later.remove(&target.device);
            return;
        }
        if device.assigned.is_some_and(|assigned| !assigned.update.may_be_superseded()) {
            active.later.insert(target.device, target.from_stage);
            return;
        }
        active.later.remove(&target.device);
        let (release, state) = (active.row.release, &active.row.state);
        let open = state.phase.offers() && stage <= state.stage;
        let before = device.running;
        self.step(target.device, Event::Supersede, now, "another rollout has the device");
        let assigned = Assigned {
            rollout: Some(id),
            release,
            stage: stage as u8,
            before,
            update: Update::new(open, now),
        };
        self.put(target.device, assigned, now, "by the rollout");
        // Perhaps it runs the release already.
        self.look(target.device, now);
    }

    /// Gives the devices that could not be superseded what they wait for.
    pub(super) fn assign_late(&mut self, id: RolloutId, now: u64) {
        let Some(active) = self.rollouts.get(&id) else { return };
        if active.later.is_empty() || active.row.state.phase.is_over() {
            return;
        }
        let free = |target: &Target| {
            let assigned = self.devices.get(target.device).and_then(|device| device.assigned);
            assigned.is_none_or(|assigned| assigned.update.may_be_superseded())
        };
        let later = active.later.iter().map(|(device, stage)| Target { device: *device, from_stage: *stage });
        let free: Vec<Target> = later.filter(free).collect();
        for target in free {
            self.assign(id, target, now);
        }
    }

    /// Lets a device join a rollout that goes on.
    pub fn join(&mut self, id: RolloutId, device: DeviceId, now: u64) {
        let Some(active) = self.rollouts.get(&id) else { return };
        let follows = active.row.plan.follow && !active.row.state.phase.is_over();
        let has = self.devices.get(device).and_then(|device| device.assigned).and_then(|one| one.rollout);
        // A person chose the canaries: newcomers are none.
        let from_stage = active.row.plan.stages.iter().take_while(|stage| stage.only.is_some()).count() as u8;
        if follows && has != Some(id) {
            self.assign(id, Target { device, from_stage }, now);
        }
    }

    /// Tells a rollout what a person wants.
    ///
    /// # Errors
    /// There is no such rollout, or nothing changes.
    pub fn command(&mut self, id: RolloutId, event: &RolloutEvent, now: u64) -> Result<(), ControlError> {
        let active = self.rollouts.get(&id).ok_or(ControlError::NoRollout(id))?;
        if matches!(event, RolloutEvent::Resume | RolloutEvent::GoOn) {
            self.may_offer_release(active.row.release)?;
        }
        let before = active.row.state.clone();
        self.tell_rollout(id, event, now);
        match self.rollouts.get(&id) {
            Some(active) if active.row.state == before => {
                Err(ControlError::Phase(id, active.row.state.phase.name()))
            }
            _ => Ok(()),
        }
    }

    /// Gives one device a release, outside of any rollout.
    ///
    /// # Errors
    /// The release or the device is not there, or an update of the device must end first.
    pub fn push(&mut self, device: DeviceId, release: ReleaseId, now: u64) -> Result<(), ControlError> {
        self.may_offer_release(release)?;
        let found = self.devices.get(device).ok_or(ControlError::NoDevice(device))?;
        if found.standing != Standing::Accepted {
            return Err(ControlError::NotAccepted(device));
        }
        if let Some(update) = found.assigned.map(|assigned| assigned.update)
            && !update.may_be_superseded()
        {
            return Err(ControlError::NotNow(device, update.state));
        }
        let before = found.running;
        self.step(device, Event::Supersede, now, "a person pushes another release");
        let update = Update::new(true, now);
        self.put(device, Assigned { rollout: None, release, stage: 0, before, update }, now, "by a person");
        Ok(())
    }

    /// Lets the update of a device begin again, or ends it.
    ///
    /// # Errors
    /// The device is not there, or nothing changes.
    pub fn update(&mut self, device: DeviceId, event: Event, now: u64) -> Result<(), ControlError> {
        let state = |engine: &Self| {
            let found = engine.devices.get(device).ok_or(ControlError::NoDevice(device))?;
            Ok::<_, ControlError>(found.assigned.map(|assigned| assigned.update.state))
        };
        let before = state(self)?;
        self.step(device, event, now, "by a person");
        match (before, state(self)?) {
            (None, _) => Err(ControlError::NotNow(device, State::Cancelled)),
            (Some(before), Some(after)) if before == after => Err(ControlError::NotNow(device, after)),
            _ => Ok(()),
        }
    }

    /// Compares what a device runs with what it was assigned, without a contact.
    fn look(&mut self, id: DeviceId, now: u64) {
        let Some(device) = self.devices.get(id) else { return };
        let (running, Some(assigned)) = (device.running, device.assigned) else { return };
        let Some(known) = self.releases.get(&assigned.release) else { return };
        if running.is_known() && known.seen(running, running) == crate::rollout::update::Seen::New {
            let event = Event::Contact(crate::rollout::update::Seen::New);
            self.step(id, event, now, "it runs the release already");
        }
    }
}
