//! Rollouts: draft, start, pause, go on, end.

use std::collections::HashMap;

use serde::Serialize;

use super::{OperationError, Operations, allow};
use crate::engine::Target;
use crate::filter::Filter;
use crate::rollout::gate::{Judgement, Verdicts};
use crate::rollout::machine::{Event, Stop};
use crate::rollout::plan::Plan;
use crate::rollout::update::State;
use crate::store::Page;
use crate::store::rows::{DeviceId, ReleaseId, RolloutId, RolloutRow, Standing, UpdateRow};
use crate::token::{Caller, Scope};

/// Longest name of a rollout in bytes.
const LONGEST: usize = 128;

/// A rollout, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// Its number.
    pub id: RolloutId,
    /// Its name.
    pub name: String,
    /// The release.
    pub release: ReleaseId,
    /// Its plan.
    pub plan: Plan,
    /// Its phase.
    pub phase: &'static str,
    /// The stage that is open, from 1.
    pub stage: usize,
    /// Why it is paused, as a sentence.
    pub paused: Option<String>,
    /// The devices by state.
    pub devices: HashMap<&'static str, u64>,
    /// The verdicts.
    pub verdicts: Verdicts,
    /// What the gate says.
    pub gate: Judgement,
    /// Who made it.
    pub by: String,
    /// When.
    pub at: u64,
}

impl Shown {
    fn of(row: &RolloutRow) -> Self {
        let count = |state: State| (state.name(), row.counts.of(state));
        Self {
            id: row.id,
            name: row.name.clone(),
            release: row.release,
            plan: row.plan.clone(),
            phase: row.state.phase.name(),
            stage: row.state.stage + 1,
            paused: row.state.paused.as_ref().map(Stop::to_string),
            devices: State::ALL.into_iter().map(count).filter(|(_, devices)| *devices > 0).collect(),
            verdicts: row.counts.verdicts(),
            gate: row.state.judgement(&row.plan, &row.counts),
            by: row.by.clone(),
            at: row.at,
        }
    }
}

fn object(id: RolloutId) -> String {
    format!("rollout/{id}")
}

impl Operations {
    /// Writes a rollout down. Nothing is offered until it is started.
    ///
    /// # Errors
    /// The plan or its filters have a fault, or the release is not there or was withdrawn.
    pub fn draft(
        &self,
        caller: &Caller,
        name: &str,
        release: ReleaseId,
        plan: &Plan,
    ) -> Result<RolloutId, OperationError> {
        if name.trim().is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) {
            let what = format!("has 1 to {LONGEST} bytes, without control characters");
            return Err(OperationError::Text { field: "name of a rollout", what });
        }
        let filters =
            plan.stages.iter().filter_map(|stage| stage.only.as_deref()).chain([plan.target.as_str()]);
        for filter in filters {
            Filter::parse(filter)?;
        }
        self.change(caller, Scope::Operate, ("rollout.draft", "rollout"), |engine, now, deed| {
            let id = RolloutId(engine.rollouts().map(|row| row.id.0).max().unwrap_or(0) + 1);
            engine.draft(id, name, release, plan.clone(), &caller.name, now)?;
            deed.after(&(id, name, release, plan));
            Ok(id)
        })
    }

    /// Starts a rollout: it looks once more what the plan would do.
    ///
    /// # Errors
    /// There is no such draft, it reaches no device, or it would strand devices and the plan does not say so.
    pub fn start_rollout(&self, caller: &Caller, id: RolloutId) -> Result<(), OperationError> {
        allow(caller, Scope::Operate)?;
        let found = self.service.look(|engine| engine.rollout(id).map(|row| (row.release, row.plan.clone())));
        let (release, plan) = found.ok_or(OperationError::NoRollout(id))?;
        let dry = self.dry_run(caller, release, &plan)?;
        if dry.stranded > 0 && !plan.strand {
            return Err(OperationError::Strands { devices: dry.stranded });
        }
        let targets = self.targets(&plan)?;
        if targets.is_empty() {
            return Err(OperationError::NoTargets);
        }
        self.change(caller, Scope::Operate, ("rollout.start", &object(id)), |engine, now, deed| {
            engine.start(id, &targets, now)?;
            deed.after(&dry);
            Ok(())
        })
    }

    /// The devices of a plan, each with the first stage whose filter holds for it.
    fn targets(&self, plan: &Plan) -> Result<Vec<Target>, OperationError> {
        let now = self.now();
        let ids = |text: &str| -> Result<Vec<DeviceId>, OperationError> {
            let filter = Filter::parse(text)?;
            self.read(|reader| reader.device_ids(&filter, now))
        };
        let all = ids(&plan.target)?;
        let canaries = plan.stages.iter().take_while(|stage| stage.only.is_some()).count() as u8;
        let mut first: HashMap<DeviceId, u8> = HashMap::new();
        for (number, stage) in (0..).zip(&plan.stages) {
            let Some(only) = &stage.only else { continue };
            for id in ids(only)? {
                first.entry(id).or_insert(number);
            }
        }
        let target = |device| Target { device, from_stage: first.get(&device).copied().unwrap_or(canaries) };
        Ok(self.service.look(|engine| {
            let standing = |id: &DeviceId| engine.devices().get(*id).map(|device| device.standing);
            let accepted = all.into_iter().filter(|id| standing(id) == Some(Standing::Accepted));
            accepted.map(target).collect()
        }))
    }

    /// Tells a rollout what a person wants: pause, resume, go on, abort.
    ///
    /// # Errors
    /// There is no such rollout, or nothing changes.
    pub fn command(&self, caller: &Caller, id: RolloutId, command: Command) -> Result<(), OperationError> {
        let action = format!("rollout.{}", command.name());
        self.change(caller, Scope::Operate, (&action, &object(id)), |engine, now, deed| {
            let row = engine.rollout(id).ok_or(OperationError::NoRollout(id))?;
            deed.before(&(row.state.phase, &row.state.paused));
            let event = match command {
                Command::Pause => Event::Pause(Stop::Person),
                Command::Resume => Event::Resume,
                Command::GoOn => Event::GoOn,
                Command::Abort => Event::Abort,
            };
            engine.command(id, &event, now)?;
            let row = engine.rollout(id).ok_or(OperationError::NoRollout(id))?;
            deed.after(&(row.state.phase, &row.state.paused));
            Ok(())
        })
    }

    /// A rollout.
    ///
    /// # Errors
    /// There is none.
    pub fn rollout(&self, caller: &Caller, id: RolloutId) -> Result<Shown, OperationError> {
        allow(caller, Scope::Read)?;
        self.service.look(|engine| engine.rollout(id).map(Shown::of)).ok_or(OperationError::NoRollout(id))
    }

    /// All rollouts, the newest first.
    ///
    /// # Errors
    /// The token does not allow it.
    pub fn rollouts(&self, caller: &Caller) -> Result<Vec<Shown>, OperationError> {
        allow(caller, Scope::Read)?;
        let mut all: Vec<Shown> = self.service.look(|engine| engine.rollouts().map(Shown::of).collect());
        all.reverse();
        Ok(all)
    }

    /// The updates of a rollout, by device, of all states or of one.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn updates(
        &self,
        caller: &Caller,
        id: RolloutId,
        state: Option<State>,
        after: Option<DeviceId>,
        rows: u32,
    ) -> Result<Vec<UpdateRow>, OperationError> {
        allow(caller, Scope::Read)?;
        self.read(|reader| reader.updates(id, state, Page { after, rows }))
    }
}

/// What a person wants of a rollout that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Offer nothing for the time being.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Let the next stage begin.
    GoOn,
    /// End it.
    Abort,
}

impl Command {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::GoOn => "go-on",
            Self::Abort => "abort",
        }
    }
}
