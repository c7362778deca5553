//! Removes temporary files when a signal ends the process: Ctrl-C, `kill`, a closed terminal.
//!
//! A library does not change what signals do. So nothing here happens until a program asks for it.

use super::names::remove_temporaries;
use std::io;
use std::sync::Mutex;

/// Whether the handlers are there.
static INSTALLED: Mutex<bool> = Mutex::new(false);

/// From now on, SIGINT, SIGTERM and SIGHUP (on Windows: Ctrl-C, Ctrl-Break, closing the console) call `last`, remove
/// the temporary files of this process, and end it as the signal would have. A second signal ends it at once. A signal
/// that the parent process ignores stays ignored, on Linux: `nohup` wants that.
///
/// Only the first call has an effect.
///
/// # Errors
/// The system's error. Signals end the process at once then.
pub fn end_cleanly(last: fn()) -> io::Result<()> {
    let mut installed = INSTALLED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !*installed {
        system::install(last)?;
        *installed = true;
    }
    Ok(())
}

/// From now on, a write beyond the limit of `ulimit -f` is an error of the file. Without this, the signal SIGXFSZ ends
/// the process.
///
/// # Errors
/// The system's error.
pub fn report_size_limit() -> io::Result<()> {
    system::report_size_limit()
}

#[cfg(unix)]
mod system {
    use super::{io, remove_temporaries};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    pub(super) fn install(last: fn()) -> io::Result<()> {
        let ignored = ignored();
        let ends = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let ends: Vec<_> = ends.collect();
        // While this is true, a signal ends the process at once: until the thread below waits for signals, and again
        // when it ends the process.
        let at_once = Arc::new(AtomicBool::new(true));
        for signal in &ends {
            flag::register_conditional_default(*signal, Arc::clone(&at_once))?;
        }
        let mut signals = Signals::new(&ends)?;
        let ending = Arc::clone(&at_once);
        let wait = move || {
            for signal in signals.forever() {
                ending.store(true, Ordering::SeqCst);
                last();
                let _ended = remove_temporaries();
                // It does not return for these signals.
                let _ = emulate_default_handler(signal);
            }
        };
        thread::Builder::new().name("signals".into()).stack_size(128 << 10).spawn(wait)?;
        at_once.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// The signals that this process ignores, as bits: signal 1 is bit 0. Unknown on systems without /proc.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
    }

    pub(super) fn report_size_limit() -> io::Result<()> {
        // Any handler makes write(2) return an error. Unlike an ignored signal, it does not reach programs that this
        // process starts.
        flag::register(SIGXFSZ, Arc::default()).map(drop)
    }
}

#[cfg(not(unix))]
mod system {
    use super::{io, remove_temporaries};

    /// The exit code of a process that Ctrl-C ended (ntstatus.h).
    const STATUS_CONTROL_C_EXIT: u32 = 0xC000_013A;

    pub(super) fn install(last: fn()) -> io::Result<()> {
        let end = move || {
            last();
            let _ended = remove_temporaries();
            std::process::exit(STATUS_CONTROL_C_EXIT.cast_signed());
        };
        ctrlc::set_handler(end).map_err(io::Error::other)
    }

    /// Windows has no such limit.
    pub(super) fn report_size_limit() -> io::Result<()> {
        Ok(())
    }
}
