//! Lets threads that enter signatures at the same time share one write, and one wait for the disk.
//!
//! The first waiter becomes the leader and writes for all who wait at that moment. Threads that come while the leader
//! waits for the disk form the next group.

use super::append::Appended;
use super::{Entry, LedgerError};
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The waiters of one process for one ledger.
#[derive(Debug, Default)]
pub(super) struct Group {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Whether a check found the chain whole.
    verified: Mutex<bool>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Number of the next waiter.
    next: u64,
    /// Whether a leader is writing.
    writing: bool,
    waiting: Vec<(u64, Vec<Entry>)>,
    done: BTreeMap<u64, Result<Appended, LedgerError>>,
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the chain, unless an earlier check found it whole. The other threads wait for the result.
    pub(super) fn once(&self, check: impl FnOnce() -> Result<(), LedgerError>) -> Result<(), LedgerError> {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if !*verified {
            check()?;
            *verified = true;
        }
        Ok(())
    }

    /// Enters these entries, together with those of all other waiters. `write` gets the entries of each waiter and
    /// returns each one's result.
    pub(super) fn enter(
        &self,
        entries: &[Entry],
        write: impl FnOnce(&[Vec<Entry>]) -> Result<Vec<Appended>, LedgerError>,
    ) -> Result<Appended, LedgerError> {
        let mut queue = self.lock();
        let ticket = queue.next;
        queue.next += 1;
        queue.waiting.push((ticket, entries.to_vec()));
        while queue.writing {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            if let Some(result) = queue.done.remove(&ticket) {
                return result;
            }
        }
        queue.writing = true;
        let (tickets, entries): (Vec<_>, Vec<_>) = mem::take(&mut queue.waiting).into_iter().unzip();
        drop(queue);
        let mut turn = Turn { group: self, tickets, result: Err(given_up()) };
        turn.result = write(&entries);
        drop(turn);
        self.lock().done.remove(&ticket).unwrap_or_else(|| Err(given_up()))
    }
}

/// A leader. When its turn ends, for any reason, nobody is left waiting.
struct Turn<'a> {
    group: &'a Group,
    tickets: Vec<u64>,
    result: Result<Vec<Appended>, LedgerError>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queue = self.group.lock();
        for (index, ticket) in self.tickets.iter().enumerate() {
            let result = match &self.result {
                Ok(all) => all.get(index).cloned().ok_or_else(given_up),
                Err(error) => Err(error.again()),
            };
            queue.done.insert(*ticket, result);
        }
        queue.writing = false;
        drop(queue);
        self.group.changed.notify_all();
    }
}

/// The leader did not come to an end.
fn given_up() -> LedgerError {
    let source = io::Error::other("the thread that wrote for all gave up");
    LedgerError::Io { path: PathBuf::new(), action: "written", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::digest::Sha256Digest;
    use crate::ledger::{Head, NamedDigest};
    use crate::sign::Scheme;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::Duration;

    fn entry(name: &str) -> Entry {
        let file = || NamedDigest::new(name, 1, Sha256Digest([0; 32]));
        let key_id = otaseal_device::KeyId([7; 32]);
        Entry { input: file(), output: file(), signature: Scheme::Pkcs1v15Sha256, key_id }
    }

    /// Marks each result with the number of the thread's entries: the n-th thread has n.
    fn appended(entries: &[Vec<Entry>]) -> Vec<Appended> {
        let one = |entries: &Vec<Entry>| Appended {
            first: 1,
            head: Head { records: entries.len() as u64, sha256: Sha256Digest([0; 32]) },
            recovered: None,
        };
        entries.iter().map(one).collect()
    }

    #[test]
    fn those_who_come_meanwhile_are_one_group_and_each_gets_its_own() {
        let (group, rounds) = (Group::default(), AtomicU64::new(0));
        thread::scope(|scope| {
            for count in 1..=16 {
                let (group, rounds) = (&group, &rounds);
                scope.spawn(move || {
                    let result = group.enter(&vec![entry("a"); count], |entries| {
                        rounds.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_millis(100));
                        Ok(appended(entries))
                    });
                    assert_eq!(result.unwrap().head.records, count as u64);
                });
            }
        });
        let rounds = rounds.into_inner();
        assert!((1..=8).contains(&rounds), "{rounds} writes for 16 threads that came at once");
        assert!(group.lock().done.is_empty() && group.lock().waiting.is_empty());
    }

    #[test]
    fn a_failure_is_that_of_everybody_in_the_group_and_of_nobody_else() {
        let (group, failed) = (Group::default(), AtomicU64::new(0));
        thread::scope(|scope| {
            for count in 1..=12 {
                let (group, failed) = (&group, &failed);
                scope.spawn(move || {
                    let result = group.enter(&vec![entry("a"); count], |_| {
                        thread::sleep(Duration::from_millis(50));
                        Err(LedgerError::NotALedger("x".into()))
                    });
                    assert!(matches!(result, Err(LedgerError::NotALedger(_))), "{result:?}");
                    failed.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(failed.into_inner(), 12);
        assert!(group.enter(&[entry("b")], |entries| Ok(appended(entries))).is_ok());
    }

    #[test]
    fn a_panic_of_the_one_who_writes_leaves_nobody_waiting() {
        let group = Group::default();
        let ended = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let result = catch_unwind(AssertUnwindSafe(|| {
                        group.enter(&[entry("a")], |_| {
                            thread::sleep(Duration::from_millis(50));
                            panic!("in a test")
                        })
                    }));
                    assert!(!matches!(result, Ok(Ok(_))), "nothing was entered");
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(ended.into_inner(), 8);
    }
}
