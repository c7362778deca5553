//! The service: the engine behind its lock, the writer, and the clock.
//!
//! Every change goes the same way: lock the engine, change it, submit what it wants written down while the lock is held,
//! unlock. So the order of the changes in the store is their order in memory.

pub mod clock;
mod port;
pub mod writer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use otaseal_delivery::pull::request::Secret;
use otaseal_delivery::pull::server::Limits;

use crate::engine::Engine;
use crate::store::{Loaded, Store, StoreError, Write};
use clock::Clock;
use writer::{Health, Receipt, Writer};

/// Last contacts are written down so often.
const SEEN: Duration = Duration::from_secs(20);

/// What a device port demands and allows.
#[derive(Debug, Default)]
pub struct Settings {
    /// `user:password` that devices must send.
    pub credentials: Option<Secret>,
    /// Its limits.
    pub limits: Limits,
}

/// The service.
#[derive(Debug)]
pub struct Service {
    engine: Arc<Mutex<Engine>>,
    writer: Writer,
    clock: Clock,
    settings: Settings,
}

impl Service {
    /// Starts with what the store has. `prepare` gets the engine before any device is in it, to add the releases.
    ///
    /// # Errors
    /// [`StoreError`]; a thread that cannot be started is [`StoreError::Failed`].
    pub fn start(
        mut store: Box<dyn Store>,
        settings: Settings,
        prepare: impl FnOnce(&mut Engine, &Loaded),
    ) -> Result<Self, StoreError> {
        let loaded = store.load()?;
        let clock = Clock::new(loaded.latest);
        let mut engine = Engine::default();
        prepare(&mut engine, &loaded);
        for rollout in loaded.rollouts {
            engine.load_rollout(rollout);
        }
        store.load_devices(&mut |row, update| engine.load_device(&row, update.as_ref()))?;
        engine.loaded();
        let engine = Arc::new(Mutex::new(engine));
        let listener = {
            let engine = Arc::clone(&engine);
            // Nothing is offered that cannot be written down.
            Box::new(move |health: &Health| lock(&engine).close(*health != Health::Good))
        };
        let writer = Writer::start(store, listener).map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Self { engine, writer, clock, settings })
    }

    /// Changes the engine. The receipt tells when the changes are durable.
    pub fn change<T>(&self, change: impl FnOnce(&mut Engine, u64) -> T) -> (T, Receipt) {
        self.submit(|engine, now, _| change(engine, now), true)
    }

    /// Changes the engine, and something else with it: all of it is written down, or nothing.
    pub fn change_with<T>(
        &self,
        change: impl FnOnce(&mut Engine, u64, &mut Vec<Write>) -> T,
    ) -> (T, Receipt) {
        self.submit(change, true)
    }

    /// Changes the engine, where nobody waits for it.
    fn note<T>(&self, change: impl FnOnce(&mut Engine, u64) -> T) -> T {
        self.submit(|engine, now, _| change(engine, now), false).0
    }

    fn submit<T>(
        &self,
        change: impl FnOnce(&mut Engine, u64, &mut Vec<Write>) -> T,
        wait: bool,
    ) -> (T, Receipt) {
        let now = self.clock.now();
        let mut engine = lock(&self.engine);
        let mut more = Vec::new();
        let result = change(&mut engine, now, &mut more);
        let mut writes = engine.take_writes();
        writes.extend(more);
        // Under the lock: the order of the changes is their order in memory.
        let receipt = self.writer.submit(writes, wait);
        (result, receipt)
    }

    /// Looks at the engine.
    pub fn look<T>(&self, look: impl FnOnce(&Engine) -> T) -> T {
        look(&lock(&self.engine))
    }

    /// The writer: for questions to the store that must see what was submitted.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves on what waits for a time, until `stop` says so. Runs on a thread of its own.
    pub fn keep_time(&self, mut stop: impl FnMut() -> bool) {
        let mut rounds = 0;
        while !stop() {
            std::thread::sleep(Duration::from_secs(1));
            self.note(|engine, now| engine.tick(now));
            rounds += 1;
            if rounds % SEEN.as_secs() == 0 {
                self.write_seen();
            }
        }
        self.write_seen();
    }

    /// Writes down when devices were last heard of. While the store cannot be written, that waits.
    fn write_seen(&self) {
        if self.writer.health() != Health::Good {
            return;
        }
        let seen = lock(&self.engine).take_seen();
        if !seen.is_empty() {
            drop(self.writer.submit(vec![Write::LastSeen(seen)], false));
        }
    }
}

fn lock(engine: &Mutex<Engine>) -> MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
