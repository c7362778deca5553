//! What people and programs may do with the fleet. The API and the pages call these functions, and nothing else.
//!
//! Each change is allowed by a scope, is written to the audit log in the same transaction, and is answered when it is
//! durable.

mod admission;
mod devices;
mod dry_run;
mod error;
mod facts;
mod keys;
mod releases;
mod rollouts;
mod tokens;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::audit;
use crate::config::Config;
use crate::engine::Engine;
use crate::intake;
use crate::objects::Depot;
use crate::service::writer::Health;
use crate::service::{Service, Settings};
use crate::store::rows::{AuditRow, DeviceId, FilterRow, Offered, ReleaseId, ReleaseRow, TokenRow};
use crate::store::{Reader, Store, StoreError, Write};
use crate::token::{Caller, Scope};
use crate::trust::{TrustList, Unsigned};

pub use devices::{Edit, MAX_TEXT, Shown as ShownDevice};
pub use dry_run::{DryRun, Line, Site};
pub use error::OperationError;
pub use facts::facts;
pub use releases::Uploaded;
pub use rollouts::{Command, Shown as ShownRollout};

/// The fleet, for people and programs.
pub struct Operations {
    service: Arc<Service>,
    depot: Arc<Depot>,
    config: Config,
    trust: Mutex<TrustList>,
    lists: Mutex<Lists>,
    readers: Mutex<Vec<Box<dyn Reader>>>,
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operations").field("service", &self.service).finish_non_exhaustive()
    }
}

/// What is in memory beside the engine. It is locked after the engine, never before.
#[derive(Debug, Default)]
struct Lists {
    releases: BTreeMap<ReleaseId, ReleaseRow>,
    /// The last number that a release got: none is used twice.
    last_release: u32,
    /// Why a release is not offered: it does not verify any more.
    broken: BTreeMap<ReleaseId, String>,
    filters: BTreeMap<String, FilterRow>,
    tokens: Vec<TokenRow>,
    last_audit: Option<AuditRow>,
}

/// What a change does beside the change: for the audit log, and for the store.
#[derive(Debug, Default)]
struct Deed {
    before: String,
    after: String,
    writes: Vec<Write>,
}

impl Deed {
    fn before(&mut self, value: &impl Serialize) {
        self.before = json(value);
    }

    fn after(&mut self, value: &impl Serialize) {
        self.after = json(value);
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The name of a file below the data folder.
const DATABASE: &str = "fleet.db";
const KEYS: &str = "keys";

impl Operations {
    /// Starts the fleet with the data of this folder, which exists.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn start(
        folder: &Path,
        store: impl FnOnce(&Path) -> Result<Box<dyn Store>, StoreError>,
        depot: Arc<Depot>,
        config: Config,
        settings: Settings,
    ) -> Result<Arc<Self>, OperationError> {
        let store = store(&folder.join(DATABASE))?;
        let trust = TrustList::open(folder.join(KEYS))?;
        let unsigned = unsigned(&config);
        let mut lists = Lists::default();
        let service = Service::start(store, settings, |engine, loaded| {
            for row in &loaded.releases {
                match intake::restore(row, &depot, &trust.trust(unsigned)) {
                    Ok(release) => {
                        engine.add_release(row.id, release, row.offered == Offered::Yes);
                    }
                    Err(error) => {
                        lists.broken.insert(row.id, error.to_string());
                    }
                }
                lists.releases.insert(row.id, row.clone());
            }
            lists.filters = loaded.filters.iter().map(|row| (row.name.clone(), row.clone())).collect();
            lists.tokens.clone_from(&loaded.tokens);
            lists.last_audit.clone_from(&loaded.last_audit);
        })?;
        let kept = files_of(&lists);
        // What a crash left behind, and files of deleted releases.
        depot.sweep(|sha256| kept.contains(&sha256.to_string()))?;
        Ok(Arc::new(Self {
            service: Arc::new(service),
            depot,
            config,
            trust: Mutex::new(trust),
            lists: Mutex::new(lists),
            readers: Mutex::default(),
        }))
    }

    /// The service: for the device port and the clock.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Why the fleet does not work as it should, as sentences. Empty: it does.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Health::Bad(why) = self.service.writer().health() {
            faults.push(why);
        }
        if let Some(jump) = self.service.clock().jump() {
            let (seconds, side) = (jump.0.unsigned_abs(), if jump.0 > 0 { "ahead of" } else { "behind" });
            faults.push(format!(
                "the clock of the system is {seconds} s {side} the time of the fleet: set the clock, or start again"
            ));
        }
        for (id, why) in &self.lists().broken {
            faults.push(format!("the release {id} is not offered: {why}"));
        }
        let trust = lock(&self.trust);
        faults.extend(trust.ignored().iter().map(|file| format!("keys/{}: {}", file.file, file.why)));
        faults
    }

    /// Lines of the audit log, the newest first.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn audit_log(
        &self,
        caller: &Caller,
        after: Option<u64>,
        rows: u32,
    ) -> Result<Vec<AuditRow>, OperationError> {
        allow(caller, Scope::Read)?;
        self.read(|reader| reader.audit(crate::store::Page { after, rows }))
    }

    /// Makes a change that is audited.
    fn change<T>(
        &self,
        caller: &Caller,
        scope: Scope,
        (action, object): (&str, &str),
        work: impl FnOnce(&mut Engine, u64, &mut Deed) -> Result<T, OperationError>,
    ) -> Result<T, OperationError> {
        allow(caller, scope)?;
        if let Health::Bad(why) = self.service.writer().health() {
            return Err(OperationError::Unavailable(why));
        }
        let (result, receipt) = self.service.change_with(|engine, now, writes| {
            let mut deed = Deed::default();
            let result = work(engine, now, &mut deed)?;
            let Deed { before, after, writes: more } = deed;
            let mut lists = self.lists();
            let deed = audit::Deed { actor: &caller.name, action, object, before: &before, after: &after };
            let line = audit::next(lists.last_audit.as_ref(), now, deed);
            lists.last_audit = Some(line.clone());
            writes.extend(more);
            writes.push(Write::Audit(line));
            Ok::<T, OperationError>(result)
        });
        let result = result?;
        match receipt.wait() {
            true => Ok(result),
            // It stays in the queue of the writer, and comes as soon as the store can be written.
            false => Err(OperationError::Unavailable(match self.service.writer().health() {
                Health::Bad(why) => why,
                Health::Good => "the store could not be written for a moment".into(),
            })),
        }
    }

    /// Asks the store something. Many can ask at a time.
    fn read<T>(
        &self,
        ask: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
    ) -> Result<T, OperationError> {
        let idle = lock(&self.readers).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => self.service.writer().with(|store| store.reader()).ok_or(OperationError::Ended)??,
        };
        let answer = ask(reader.as_mut());
        // A reader that failed is given up: the next one opens the file again.
        if answer.is_ok() {
            lock(&self.readers).push(reader);
        }
        Ok(answer?)
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        lock(&self.lists)
    }

    /// The time of the fleet, in seconds since 1970.
    pub fn now(&self) -> u64 {
        self.service.clock().now()
    }
}

/// The digests of all files of all releases.
fn files_of(lists: &Lists) -> HashSet<String> {
    lists.releases.values().flat_map(|row| row.files.iter().map(|file| file.sha256.clone())).collect()
}

fn unsigned(config: &Config) -> Unsigned {
    if config.releases.unsigned { Unsigned::Allow } else { Unsigned::Refuse }
}

fn allow(caller: &Caller, scope: Scope) -> Result<(), OperationError> {
    if caller.scopes.allow(scope) { Ok(()) } else { Err(OperationError::Forbidden(scope)) }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

fn device(id: DeviceId) -> String {
    format!("device/{id}")
}

#[cfg(test)]
mod tests;
