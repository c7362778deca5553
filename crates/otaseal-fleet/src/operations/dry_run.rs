//! What a rollout would do: who gets which file, who does not and why, and how much that is.

use std::collections::BTreeMap;

use otaseal_delivery::offer::{self, Decision, Policy, Way};
use serde::Serialize;

use super::{OperationError, Operations, allow, facts, lock};
use crate::filter::Filter;
use crate::rollout::plan::Plan;
use crate::store::rows::{DeviceId, ReleaseId, Standing};
use crate::store::{MAX_PAGE, Page};
use crate::token::{Caller, Scope};

/// So many devices are named for each line.
const NAMED: usize = 10;

/// What a rollout would do.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DryRun {
    /// Devices for which the filter holds.
    pub targets: u64,
    /// Who gets which file.
    pub offered: BTreeMap<String, Line>,
    /// Who gets none, by the code of the reason.
    pub refused: BTreeMap<String, Line>,
    /// Devices for which the filter holds and that nobody has accepted.
    pub not_accepted: u64,
    /// Devices that would be taken from another rollout.
    pub from_other_rollouts: u64,
    /// The site with most devices.
    pub largest_site: Option<Site>,
    /// Bytes of all transfers, if each is done once.
    pub bytes: u64,
    /// Devices that would take no update afterwards that you could sign.
    pub stranded: u64,
    /// Seconds until the rollout ends at the earliest: each device comes at its interval, and offers are paced.
    pub earliest_end: u64,
}

/// Some devices.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Line {
    /// How many.
    pub devices: u64,
    /// The reason, as a sentence.
    pub why: String,
    /// The first of them.
    pub first: Vec<DeviceId>,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its devices that get the release.
    pub devices: u64,
}

impl DryRun {
    /// The devices that get a file.
    pub fn eligible(&self) -> u64 {
        self.offered.values().map(|line| line.devices).sum()
    }
}

fn add(lines: &mut BTreeMap<String, Line>, key: &str, why: &str, id: DeviceId) {
    let line = lines.entry(key.to_owned()).or_insert_with(|| Line { why: why.to_owned(), ..Line::default() });
    line.devices += 1;
    if line.first.len() < NAMED {
        line.first.push(id);
    }
}

impl Operations {
    /// Says what a rollout would do, and does nothing.
    ///
    /// # Errors
    /// The plan or its filters have a fault, or the release is not there.
    pub fn dry_run(
        &self,
        caller: &Caller,
        release: ReleaseId,
        plan: &Plan,
    ) -> Result<DryRun, OperationError> {
        allow(caller, Scope::Read)?;
        plan.check()?;
        for stage in &plan.stages {
            stage.only.as_deref().map(Filter::parse).transpose()?;
        }
        let filter = Filter::parse(&plan.target)?;
        let known = self.service.look(|engine| engine.release(release).cloned());
        let known = known.ok_or(OperationError::NoRelease(release))?;
        let mut policy = Policy::new(Way::Pull);
        policy.downgrade = plan.downgrade;
        policy.other_firmware = plan.other_firmware;
        // A device that holds the keys of an image takes what they sign. Without one that we trust, it is lost to us.
        let trusted: Vec<_> = lock(&self.trust).keys().map(otaseal::key::PublicKey::id).collect();
        let strands = !known.release.carries.is_empty()
            && !known.release.carries.iter().any(|key| trusted.contains(&key.id()));
        let mut dry = DryRun::default();
        let mut sites: BTreeMap<String, u64> = BTreeMap::new();
        let (mut after, mut longest) = (None, 0);
        let now = self.now();
        loop {
            let page = Page { after, rows: MAX_PAGE };
            let rows = self.read(|reader| reader.devices(&filter, page, now))?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id);
            let more: Vec<_> = self.service.look(|engine| {
                let of = |id| {
                    let device = engine.devices().get(id)?;
                    let running = device.release.and_then(|id| engine.release(id)).cloned();
                    let assigned = device.assigned.filter(|one| !one.update.state.is_final());
                    Some((running, assigned.and_then(|one| one.rollout), device.interval.seconds()))
                };
                rows.iter().map(|row| of(row.id)).collect()
            });
            for (row, more) in rows.iter().zip(more) {
                dry.targets += 1;
                if row.standing != Standing::Accepted {
                    dry.not_accepted += 1;
                    continue;
                }
                let Some((running, other, interval)) = more else { continue };
                let facts = facts(row, running.as_deref().map(|known| &known.release));
                let decision =
                    offer::choose_remembering(&known.release, None, &facts, policy, &known.memo, true);
                match decision {
                    Some(Decision::Offer(offer)) => {
                        add(&mut dry.offered, &offer.artefact.file, &offer.because, row.id);
                        dry.bytes += offer.artefact.digests.size_bytes;
                        dry.from_other_rollouts += u64::from(other.is_some());
                        dry.stranded += u64::from(strands);
                        longest = longest.max(interval);
                        if !row.site.is_empty() {
                            *sites.entry(row.site.clone()).or_default() += 1;
                        }
                    }
                    Some(Decision::NotNow(refusal) | Decision::Never(refusal)) => {
                        add(&mut dry.refused, refusal.code.as_str(), &refusal.why, row.id);
                    }
                    None => {}
                }
            }
        }
        let largest = sites.into_iter().max_by_key(|(_, devices)| *devices);
        dry.largest_site = largest.map(|(name, devices)| Site { name, devices });
        let minutes = dry.eligible() / u64::from(plan.limits.per_minute.max(1));
        let soak: u64 = plan.stages.iter().map(|stage| stage.soak).sum();
        dry.earliest_end = soak + (60 * minutes).max(if dry.eligible() > 0 { longest } else { 0 });
        Ok(dry)
    }
}
