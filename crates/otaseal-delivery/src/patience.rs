//! Two things that every transfer needs: a time-out that is put off again and again, and a socket that does not run ahead.

use std::pin::Pin;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that the system takes of us before they are on their way.
const AHEAD: u32 = 64 * 1024;

/// Bytes that a transfer hands to the system at once.
pub(crate) const BLOCK: usize = 16 * 1024;

/// Keeps the system from taking a whole image although the device does not read it. What was handed over would then say
/// nothing: neither as progress, nor to tell whether a device that says `OK` can have the whole image.
pub(crate) fn keep_close(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    // Linux can count the bytes that were not sent yet. Elsewhere, a small buffer does it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(AHEAD);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = socket.set_send_buffer_size(AHEAD as usize);
}

/// Waits for a deadline that mostly moves later. A new timer for each byte that comes would cost more than the byte.
pub(crate) struct Patience {
    deadline: Instant,
    /// When the timer rings. It may be earlier than the deadline.
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    pub(crate) fn until(deadline: Instant) -> Self {
        Self { deadline, timer: Box::pin(sleep_until(deadline)) }
    }

    /// Sets another deadline.
    pub(crate) fn set(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
    }

    /// Ends when the deadline has passed. It can be dropped and called again.
    pub(crate) async fn ends(&mut self) {
        loop {
            self.timer.as_mut().await;
            if Instant::now() >= self.deadline {
                return;
            }
            self.timer.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn it_ends_at_the_last_deadline() {
        run(async {
            let begun = Instant::now();
            let mut patience = Patience::until(begun + MS(10));
            patience.set(begun + MS(50));
            patience.set(begun + MS(100));
            patience.ends().await;
            assert!(begun.elapsed() >= MS(100));
        });
    }

    #[test]
    fn an_earlier_deadline_counts_too() {
        run(async {
            let begun = Instant::now();
            let mut patience = Patience::until(begun + Duration::from_secs(60));
            patience.set(begun + MS(20));
            patience.ends().await;
            assert!((MS(20)..MS(10_000)).contains(&begun.elapsed()));
        });
    }

    #[test]
    fn a_wait_that_was_dropped_goes_on() {
        run(async {
            let begun = Instant::now();
            let mut patience = Patience::until(begun + MS(100));
            assert!(tokio::time::timeout(MS(20), patience.ends()).await.is_err());
            patience.ends().await;
            assert!(begun.elapsed() >= MS(100));
        });
    }
}
