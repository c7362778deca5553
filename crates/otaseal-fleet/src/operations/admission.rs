//! New devices: a rule may accept them, and rollouts that follow take them in.

use super::{OperationError, Operations};
use crate::engine::Engine;
use crate::filter::Filter;
use crate::store::rows::{DeviceId, RolloutId, Standing};

impl Operations {
    /// Looks at the devices that came in since the last call. Call it every second or so.
    ///
    /// # Errors
    /// The store cannot be asked. The devices are looked at again.
    pub fn admit(&self) -> Result<(), OperationError> {
        let (fresh, _) = self.service.change(|engine, _| engine.take_fresh());
        if fresh.is_empty() {
            return Ok(());
        }
        let result = self.admit_all(&fresh);
        if result.is_err() {
            drop(self.service.change(|engine, _| engine.look_again(&fresh)));
        }
        result
    }

    fn admit_all(&self, fresh: &[DeviceId]) -> Result<(), OperationError> {
        // What was submitted must be there before the store is asked.
        self.service.writer().with(|_| ()).ok_or(OperationError::Ended)?;
        let rule = self.config.accept().ok().flatten();
        let following = |engine: &Engine| {
            let rows = engine.rollouts().filter(|row| row.plan.follow && !row.state.phase.is_over());
            rows.map(|row| (row.id, row.plan.target.clone())).collect::<Vec<(RolloutId, String)>>()
        };
        let rollouts: Vec<(RolloutId, Filter)> = self
            .service
            .look(following)
            .into_iter()
            .filter_map(|(id, target)| Some((id, Filter::parse(&target).ok()?)))
            .collect();
        let now = self.now();
        let mut last = None;
        for &device in fresh {
            let standing =
                self.service.look(|engine| engine.devices().get(device).map(|found| found.standing));
            let holds = |filter: &Filter| self.read(|reader| reader.holds(filter, device, now));
            if standing == Some(Standing::Pending)
                && let Some(rule) = &rule
                && holds(rule)?
            {
                let accept = |engine: &mut Engine, now| engine.set_standing(device, Standing::Accepted, now);
                // It may be gone meanwhile.
                last = Some(self.service.change(accept).1);
            }
            if standing == Some(Standing::Accepted) {
                for (rollout, target) in &rollouts {
                    if holds(target)? {
                        last = Some(self.service.change(|engine, now| engine.join(*rollout, device, now)).1);
                    }
                }
            }
        }
        // The changes keep their order, so the last one comes after all others.
        if let Some(receipt) = last {
            receipt.wait();
        }
        Ok(())
    }
}
