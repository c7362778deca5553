//! The time of the service: it follows the clock of the system, and never goes back.
//!
//! Deadlines are times. A clock that jumps forward by a day would let all of them pass at once, and one that jumps back
//! would stop them. So the service counts the seconds itself, by the monotonic clock, and takes over the system's time only
//! in small steps.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A difference up to this is what time servers correct. It is taken over at once, forwards.
const SMALL: Duration = Duration::from_secs(5);

/// The time.
#[derive(Debug)]
pub struct Clock(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// The time at `since`, since 1970.
    at: Duration,
    since: Instant,
}

/// How far the clock of the system is from the time of the service, in seconds: positive if it is ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump(pub i64);

impl Clock {
    /// Begins at the system's time, but not before `latest`, in seconds since 1970: the latest time in the data.
    pub fn new(latest: u64) -> Self {
        Self(Mutex::new(Inner { at: system().max(Duration::from_secs(latest)), since: Instant::now() }))
    }

    /// Seconds since 1970.
    pub fn now(&self) -> u64 {
        self.read(system(), Instant::now()).0.as_secs()
    }

    /// The jump of the system's clock that the service has not followed. `None`: there was none.
    pub fn jump(&self) -> Option<Jump> {
        self.read(system(), Instant::now()).1
    }

    /// Lets time pass.
    #[cfg(test)]
    pub(crate) fn pass(&self, seconds: u64) {
        self.0.lock().unwrap().at += Duration::from_secs(seconds);
    }

    fn read(&self, system: Duration, now: Instant) -> (Duration, Option<Jump>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = inner.at + now.saturating_duration_since(inner.since);
        if system > own && system - own <= SMALL {
            *inner = Inner { at: system, since: now };
            return (system, None);
        }
        let apart = system.as_secs() as i64 - own.as_secs() as i64;
        (own, (apart.unsigned_abs() > SMALL.as_secs()).then_some(Jump(apart)))
    }
}

fn system() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn jumps_of_the_system_move_nothing() {
        let clock = Clock::new(0);
        let (begun, at) = (Instant::now(), system());
        let read = |system, after| {
            let (time, jump) = clock.read(system, begun + Duration::from_secs(after));
            (time.as_secs() as i64 - at.as_secs() as i64, jump.map(|jump| jump.0 / 86_000))
        };
        assert_eq!(read(at + Duration::from_secs(10), 10), (10, None));
        assert_eq!(read(at + DAY, 20).0, 20);
        assert_eq!(read(at + DAY, 20).1, Some(1));
        assert_eq!(read(at - DAY, 30), (30, Some(-1)));
        assert_eq!(
            read(at + Duration::from_secs(40), 40).1,
            None,
            "and it is over when the clock is right again"
        );
        assert_eq!(read(at + Duration::from_secs(53), 50).0, 53, "small steps are followed");
        assert_eq!(read(at + Duration::from_secs(50), 50).0, 53, "but not back");
    }

    #[test]
    fn it_begins_after_all_that_was_written() {
        let future = system().as_secs() + 1_000_000;
        let clock = Clock::new(future);
        assert!(clock.now() >= future);
        assert!(clock.jump().is_some_and(|jump| jump.0 < -900_000));
    }
}
