//! The thread that makes changes durable.
//!
//! It writes whatever has gathered since its last commit in one transaction: the more there is to do, the larger the
//! groups. If the store cannot be written, the changes stay in their order and are tried again; nothing that needs them is
//! answered meanwhile.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::store::{Store, StoreError, Write};

/// Most changes in one transaction. More would let the first one wait too long.
const GROUP: usize = 20_000;

/// A store that failed is tried again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// Something to do with the store.
type Errand = Box<dyn FnOnce(&mut dyn Store) + Send>;

/// What the writer is asked for.
enum Job {
    Write(Vec<Write>, Option<SyncSender<bool>>),
    Store(Errand),
    Stop,
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// It can be written.
    #[default]
    Good,
    /// It cannot, for this reason.
    Bad(String),
}

/// Hears when the health of the store changes.
pub type Listener = Box<dyn Fn(&Health) + Send>;

/// Writes changes down, in the order in which they are submitted.
#[derive(Debug)]
pub struct Writer {
    jobs: Sender<Job>,
    health: Arc<Mutex<Health>>,
    thread: Option<JoinHandle<()>>,
}

/// Tells when changes are durable.
#[derive(Debug)]
#[must_use = "nobody is told of a change before it is durable"]
pub struct Receipt(Option<Receiver<bool>>);

impl Receipt {
    /// Waits until the changes are durable. `false`: they are not, at least not now.
    pub fn wait(self) -> bool {
        self.0.is_none_or(|receipt| receipt.recv().unwrap_or(false))
    }
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's, if there is no thread.
    pub fn start(store: Box<dyn Store>, listener: Listener) -> std::io::Result<Self> {
        let (jobs, incoming) = channel();
        let health: Arc<Mutex<Health>> = Arc::default();
        let mut work = Work { store, incoming, health: Arc::clone(&health), listener, backlog: Vec::new() };
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || work.run())?;
        Ok(Self { jobs, health, thread: Some(thread) })
    }

    /// Submits changes. With `wait`, the receipt can be waited for.
    pub fn submit(&self, writes: Vec<Write>, wait: bool) -> Receipt {
        if writes.is_empty() {
            return Receipt(None);
        }
        if !wait {
            let _ = self.jobs.send(Job::Write(writes, None));
            return Receipt(None);
        }
        let (done, receipt) = sync_channel(1);
        // If the thread has ended, the sender is dropped, and the receipt says so.
        let _ = self.jobs.send(Job::Write(writes, Some(done)));
        Receipt(Some(receipt))
    }

    /// Runs something with the store, after what was submitted. Returns nothing if the writer has ended.
    pub fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Store) -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = sync_channel(1);
        let job = move |store: &mut dyn Store| {
            let _ = done.send(work(store));
        };
        self.jobs.send(Job::Store(Box::new(job))).ok()?;
        result.recv().ok()
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Writer {
    /// Writes what was submitted, and ends the thread.
    fn drop(&mut self) {
        let _ = self.jobs.send(Job::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    store: Box<dyn Store>,
    incoming: Receiver<Job>,
    health: Arc<Mutex<Health>>,
    listener: Listener,
    /// Changes that could not be written.
    backlog: Vec<Write>,
}

impl Work {
    fn run(&mut self) {
        loop {
            let first = match self.backlog.is_empty() {
                true => self.incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => self.incoming.recv_timeout(AGAIN),
            };
            let (mut writes, mut waiting, mut other) = (Vec::new(), Vec::new(), None);
            match first {
                Ok(job) => other = gather(job, &mut writes, &mut waiting),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => other = Some(Job::Stop),
            }
            while other.is_none() && writes.len() < GROUP {
                let Ok(job) = self.incoming.try_recv() else { break };
                other = gather(job, &mut writes, &mut waiting);
            }
            let written = self.write(writes);
            for waiting in waiting {
                let _ = waiting.send(written);
            }
            match other {
                Some(Job::Store(work)) => work(self.store.as_mut()),
                Some(_) => return,
                None => {}
            }
        }
    }

    fn write(&mut self, writes: Vec<Write>) -> bool {
        let had_backlog = !self.backlog.is_empty();
        self.backlog.extend(writes);
        if self.backlog.is_empty() {
            return true;
        }
        match self.store.apply(&self.backlog) {
            Ok(()) => {
                self.backlog.clear();
                self.backlog.shrink_to(GROUP);
                if had_backlog {
                    self.is(Health::Good);
                }
                true
            }
            Err(error) => {
                self.is(Health::Bad(advice(&error)));
                false
            }
        }
    }

    fn is(&mut self, health: Health) {
        let before = std::mem::replace(
            &mut *self.health.lock().unwrap_or_else(PoisonError::into_inner),
            health.clone(),
        );
        if before != health {
            (self.listener)(&health);
        }
    }
}

/// Adds the changes of a job. Returns a job that is none of changes: it comes after them.
fn gather(job: Job, writes: &mut Vec<Write>, waiting: &mut Vec<SyncSender<bool>>) -> Option<Job> {
    match job {
        Job::Write(more, done) => {
            writes.extend(more);
            waiting.extend(done);
            None
        }
        other => Some(other),
    }
}

fn advice(error: &StoreError) -> String {
    match error {
        StoreError::Full => format!("{error}: free some space; nothing is offered until then"),
        error => format!("{error}; nothing is offered until it can be written again"),
    }
}

#[cfg(test)]
mod tests;
