use super::*;
use crate::store::rows::{DeviceId, EventRow};
use crate::store::{Loaded, Reader};
use std::sync::atomic::{AtomicBool, Ordering};

/// A store that keeps the events, and fails while it is told to.
struct Memory {
    events: Arc<Mutex<Vec<u64>>>,
    groups: Arc<Mutex<usize>>,
    fails: Arc<AtomicBool>,
}

impl Store for Memory {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        Ok(Loaded::default())
    }

    fn load_devices(
        &mut self,
        _: &mut dyn FnMut(crate::store::rows::DeviceRow, Option<crate::store::rows::UpdateRow>),
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn apply(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        std::thread::sleep(Duration::from_millis(2));
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Full);
        }
        *self.groups.lock().unwrap() += 1;
        let numbers = writes.iter().map(|write| match write {
            Write::Event(event) => event.at,
            _ => 0,
        });
        self.events.lock().unwrap().extend(numbers);
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Err(StoreError::Failed("it has none".into()))
    }
}

struct Bench {
    writer: Writer,
    events: Arc<Mutex<Vec<u64>>>,
    groups: Arc<Mutex<usize>>,
    fails: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Health>>>,
}

fn bench() -> Bench {
    let (events, groups, fails, heard) =
        <(Arc<_>, Arc<_>, Arc<AtomicBool>, Arc<Mutex<Vec<Health>>>)>::default();
    let store =
        Memory { events: Arc::clone(&events), groups: Arc::clone(&groups), fails: Arc::clone(&fails) };
    let listener = {
        let heard = Arc::clone(&heard);
        Box::new(move |health: &Health| heard.lock().unwrap().push(health.clone()))
    };
    Bench { writer: Writer::start(Box::new(store), listener).unwrap(), events, groups, fails, heard }
}

fn event(at: u64) -> Vec<Write> {
    let (code, text) = ("test".into(), String::new());
    vec![Write::Event(EventRow { device: DeviceId(1), at, code, text, rollout: None })]
}

#[test]
fn many_that_wait_share_a_commit() {
    let bench = bench();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let writer = &bench.writer;
            scope.spawn(move || {
                (0..20).for_each(|number| assert!(writer.submit(event(thread * 100 + number), true).wait()))
            });
        }
    });
    assert_eq!(bench.events.lock().unwrap().len(), 320);
    assert!(*bench.groups.lock().unwrap() < 160, "{} commits", bench.groups.lock().unwrap());
}

#[test]
fn changes_keep_their_order_over_a_failure() {
    let bench = bench();
    let first = bench.writer.submit(event(1), true).wait();
    bench.fails.store(true, Ordering::SeqCst);
    let second = bench.writer.submit(event(2), true).wait();
    assert_eq!((first, second), (true, false));
    assert!(matches!(bench.writer.health(), Health::Bad(why) if why.contains("free some space")));
    let third = bench.writer.submit(event(3), true).wait();
    assert!(!third);
    bench.fails.store(false, Ordering::SeqCst);
    // It is tried again by itself.
    for _ in 0..500 {
        if bench.writer.health() == Health::Good {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(bench.writer.submit(event(4), true).wait());
    assert_eq!(*bench.events.lock().unwrap(), [1, 2, 3, 4]);
    let heard = bench.heard.lock().unwrap();
    assert!(matches!(heard.as_slice(), [Health::Bad(_), Health::Good]), "{heard:?}");
}

#[test]
fn what_was_submitted_is_written_before_the_end() {
    let Bench { writer, events, .. } = bench();
    (0..50).for_each(|number| drop(writer.submit(event(number), false)));
    assert_eq!(writer.with(|store| store.load().is_ok()), Some(true), "after what was submitted");
    assert_eq!(events.lock().unwrap().len(), 50);
    (50..99).for_each(|number| drop(writer.submit(event(number), false)));
    drop(writer);
    assert_eq!(events.lock().unwrap().len(), 99);
}
