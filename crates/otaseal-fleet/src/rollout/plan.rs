//! The plan of a rollout: which release goes to which devices, in which stages, and how fast.

use serde::{Deserialize, Serialize};

use super::brake::Limits;
use super::gate::Rate;
use super::hours::Hours;

const DAY: u64 = 24 * 60 * 60;

/// Most stages.
pub const MAX_STAGES: usize = 20;

/// The plan of a rollout. Text forms are those of the API and of the command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Plan {
    /// A filter: the devices that get the release.
    pub target: String,
    /// The stages, in order. The last one has all devices.
    pub stages: Vec<Stage>,
    /// The failure rate that is tolerated, in hundredths of a percent. The default of 4 % stops a release that fails on a
    /// fifth of the devices after at most 34 verdicts in 95 of 100 rollouts; with 5 % it is 94.
    pub tolerated: Rate,
    /// The brakes.
    pub limits: Limits,
    /// The hours at which devices are updated. None: always.
    pub hours: Option<Hours>,
    /// When it begins, in seconds since 1970. None: when a person starts it.
    pub start: Option<u64>,
    /// Seconds after the start when devices that did not come are left out.
    pub deadline: u64,
    /// Whether devices that come later get the release too.
    pub follow: bool,
    /// Whether devices with a newer version get this older one.
    pub downgrade: bool,
    /// Whether devices with another firmware get this one.
    pub other_firmware: bool,
    /// Whether devices get the release although they will not take the next one.
    pub strand: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            target: String::new(),
            stages: vec![Stage::default()],
            tolerated: Rate(400),
            limits: Limits::default(),
            hours: None,
            start: None,
            deadline: 30 * DAY,
            follow: false,
            downgrade: false,
            other_firmware: false,
            strand: false,
        }
    }
}

/// A stage. It has the devices of the stages before, and more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Stage {
    /// A filter: only these devices of the target. For a canary that a person chose. None: all of them.
    pub only: Option<String>,
    /// At most this share, in percent.
    pub percent: u8,
    /// At most so many devices.
    pub devices: Option<u64>,
    /// Seconds for which the stage is watched after its last verdict.
    pub soak: u64,
    /// Whether a person lets the next stage begin, whatever the gate says.
    pub manual: bool,
}

impl Default for Stage {
    fn default() -> Self {
        Self { only: None, percent: 100, devices: None, soak: 0, manual: false }
    }
}

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// None, or too many.
    #[error("a rollout has 1 to {MAX_STAGES} stages")]
    Stages,
    /// The last stage leaves devices out.
    #[error("the last stage must have all devices: 100 percent, with no limit and no filter")]
    Last,
    /// A share that is none.
    #[error("stage {0}: a share is 1 to 100 percent")]
    Percent(usize),
    /// No devices.
    #[error("stage {0}: a stage has at least one device")]
    Devices(usize),
    /// It has fewer devices than the one before.
    #[error("stage {0} has a smaller share than the stage before: a share only grows")]
    Shrinks(usize),
    /// A filter behind a stage without one.
    #[error("stage {0} has a filter, but the stage before has none: canaries come first")]
    Canary(usize),
    /// A limit that lets nothing through.
    #[error("the limit `{0}` is 0: then no device is ever updated")]
    Zero(&'static str),
    /// The tolerated rate.
    #[error("the tolerated failure rate is above 50 percent")]
    Rate,
}

impl Plan {
    /// Checks that the plan can be carried out.
    ///
    /// # Errors
    /// The first fault. Stages count from 1.
    pub fn check(&self) -> Result<(), PlanError> {
        let Some(last) = self.stages.last().filter(|_| self.stages.len() <= MAX_STAGES) else {
            return Err(PlanError::Stages);
        };
        if last.percent != 100 || last.devices.is_some() || last.only.is_some() {
            return Err(PlanError::Last);
        }
        let mut before: Option<&Stage> = None;
        for (number, stage) in (1..).zip(&self.stages) {
            if !(1..=100).contains(&stage.percent) {
                return Err(PlanError::Percent(number));
            }
            if stage.devices == Some(0) {
                return Err(PlanError::Devices(number));
            }
            if let Some(before) = before {
                if before.only.is_none() && stage.only.is_some() {
                    return Err(PlanError::Canary(number));
                }
                if before.only == stage.only && stage.percent < before.percent {
                    return Err(PlanError::Shrinks(number));
                }
            }
            before = Some(stage);
        }
        let Limits { unproven, per_site, site_percent, per_minute } = self.limits;
        for (name, value) in [
            ("unproven", unproven),
            ("per-site", per_site),
            ("site-percent", u32::from(site_percent)),
            ("per-minute", per_minute),
        ] {
            if value == 0 {
                return Err(PlanError::Zero(name));
            }
        }
        if self.tolerated > Rate(5_000) {
            return Err(PlanError::Rate);
        }
        Ok(())
    }
}

/// Where a device stands in the order of a rollout. A device keeps its place when a share grows, and has another place in
/// another rollout: else the same few would always be first.
pub fn place(rollout: u64, device: &[u8]) -> u64 {
    use sha2::{Digest, Sha256};
    let hash = Sha256::new().chain_update(rollout.to_le_bytes()).chain_update(device).finalize();
    u64::from_le_bytes(hash[..8].try_into().unwrap_or_default())
}

/// The places below which a share of the devices stands, in percent.
pub fn share(percent: u8) -> u64 {
    match percent {
        100.. => u64::MAX,
        percent => u64::MAX / 100 * u64::from(percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(stages: Vec<Stage>) -> Plan {
        Plan { stages, ..Plan::default() }
    }

    fn percent(percent: u8) -> Stage {
        Stage { percent, ..Stage::default() }
    }

    #[test]
    fn plans_that_can_be_carried_out() {
        assert_eq!(Plan::default().check(), Ok(()));
        assert_eq!(with(vec![percent(1), percent(10), percent(10), percent(100)]).check(), Ok(()));
        let canary = Stage { only: Some("tag:canary".into()), ..Stage::default() };
        let five = Stage { devices: Some(5), ..percent(100) };
        assert_eq!(with(vec![canary, five, percent(100)]).check(), Ok(()));
    }

    #[test]
    fn plans_that_cannot() {
        let canary = Stage { only: Some("tag:canary".into()), ..Stage::default() };
        let none = Stage { devices: Some(0), ..percent(100) };
        for (stages, error) in [
            (vec![], PlanError::Stages),
            (vec![percent(100); 21], PlanError::Stages),
            (vec![percent(50)], PlanError::Last),
            (vec![canary.clone()], PlanError::Last),
            (vec![percent(0), percent(100)], PlanError::Percent(1)),
            (vec![percent(101), percent(100)], PlanError::Percent(1)),
            (vec![none, percent(100)], PlanError::Devices(1)),
            (vec![percent(20), percent(10), percent(100)], PlanError::Shrinks(2)),
            (vec![percent(10), canary, percent(100)], PlanError::Canary(2)),
        ] {
            assert_eq!(with(stages.clone()).check(), Err(error), "{stages:?}");
        }
        let limits = Limits { per_site: 0, ..Limits::default() };
        assert_eq!(Plan { limits, ..Plan::default() }.check(), Err(PlanError::Zero("per-site")));
        assert_eq!(Plan { tolerated: Rate(5_001), ..Plan::default() }.check(), Err(PlanError::Rate));
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(serde_json::from_str::<Plan>(r#"{"target": "tag:a", "tolerated": 300}"#).is_ok());
        assert!(serde_json::from_str::<Plan>(r#"{"target": "tag:a", "tolerate": 300}"#).is_err());
        assert!(serde_json::from_str::<Plan>(r#"{"stages": [{"percents": 1}]}"#).is_err());
    }

    #[test]
    fn a_growing_share_only_adds_devices() {
        let places: Vec<u64> = (0..10_000u32).map(|device| place(7, &device.to_le_bytes())).collect();
        let below = |percent| places.iter().filter(|place| **place <= share(percent)).count();
        for (percent, near) in [(1, 100), (10, 1_000), (50, 5_000)] {
            assert!(below(percent).abs_diff(near) < near / 5 + 20, "{percent} %: {}", below(percent));
        }
        assert_eq!(below(100), 10_000);
        assert_ne!(place(7, b"device"), place(8, b"device"));
    }
}
