//! Shows on the terminal what takes so long: one line on standard error, which goes away at the end.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A message about the work in progress, from its first second on. Dropping it removes the message.
pub(crate) struct Progress(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

/// The line on the terminal.
struct Line {
    /// Its length in characters. 0 if there is none.
    length: usize,
    /// Whether the program is asking the user something. The line would stand in the way.
    asking: bool,
}

static LINE: Mutex<Line> = Mutex::new(Line { length: 0, asking: false });

fn line() -> MutexGuard<'static, Line> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    fn show(&mut self, text: &str) {
        self.length = text.chars().count();
        // A terminal that does not take the line shows no progress. The work goes on.
        let _ = write!(io::stderr(), "\r{text}");
    }

    fn remove(&mut self) {
        if self.length > 0 {
            self.show(&" ".repeat(self.length));
            self.show("\r");
            self.length = 0;
        }
    }
}

impl Progress {
    /// Shows nothing.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Shows `what`, a word such as `signing`, and how long it has taken.
    pub(crate) fn of(what: &'static str) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut seconds = 0;
            while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                let mut line = line();
                if line.asking {
                    continue;
                }
                seconds += 1;
                line.show(&format!("{what} … {seconds} s"));
            }
            line().remove();
        });
        Self(Some((stop, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            // The thread only shows the message, so its result does not matter.
            let _ = thread.join();
        }
    }
}

/// Keeps the message away while the program asks the user something.
pub(crate) struct Asking(());

impl Asking {
    pub(crate) fn begin() -> Self {
        let mut line = line();
        line.remove();
        line.asking = true;
        Self(())
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        line().asking = false;
    }
}
