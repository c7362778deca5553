//! Removes temporary files when a signal ends the process: Ctrl-C, `kill`, a closed terminal.
//!
//! A library does not change what signals do. So nothing here happens until a program asks for it.

use super::names::{Hooks, remove_temporaries, set_hooks};
use std::io;
use std::sync::{Mutex, OnceLock};

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

/// Does the same, but only from the first temporary name on: many runs make none. Around a name that goes at once, it
/// only lets signals wait.
///
/// Only the first call has an effect. If the system refuses, signals end the process at once.
pub fn end_cleanly_with_names(last: fn()) {
    let _ = LAST.set(last);
    let watch = || {
        let _ = end_cleanly(at_last());
    };
    set_hooks(Hooks { watch, hold: |steps| system::hold(steps) });
}

static LAST: OnceLock<fn()> = OnceLock::new();

/// Returns what [`end_cleanly_with_names`] was given.
fn at_last() -> fn() {
    LAST.get().copied().unwrap_or(|| {})
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
    use super::{at_last, io, remove_temporaries};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;
    use std::io::Read;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, LazyLock, Mutex, PoisonError};
    use std::thread;

    /// The signals that end a process, without those that it ignores.
    static ENDS: LazyLock<Vec<i32>> = LazyLock::new(|| {
        let ignored = ignored();
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect()
    });

    /// While this is true, a signal ends the process at once: until a thread waits for signals, while nothing is held,
    /// and again when the process ends.
    static AT_ONCE: LazyLock<io::Result<Arc<AtomicBool>>> = LazyLock::new(|| {
        let at_once = Arc::new(AtomicBool::new(true));
        for signal in &*ENDS {
            flag::register_conditional_default(*signal, Arc::clone(&at_once))?;
        }
        Ok(at_once)
    });

    /// The signal that came while it was held.
    static CAME: LazyLock<io::Result<Arc<AtomicUsize>>> = LazyLock::new(|| {
        let came = Arc::new(AtomicUsize::new(0));
        for signal in &*ENDS {
            flag::register_usize(*signal, Arc::clone(&came), signal.cast_unsigned() as usize)?;
        }
        Ok(came)
    });

    /// How many threads hold the signals. It is locked only to change [`AT_ONCE`].
    static HOLDERS: Mutex<usize> = Mutex::new(0);

    pub(super) fn install(last: fn()) -> io::Result<()> {
        let at_once = AT_ONCE.as_ref().map_err(|error| error.kind())?;
        let mut signals = Signals::new(&*ENDS)?;
        let wait = move || {
            for signal in signals.forever() {
                end(last, signal);
            }
        };
        thread::Builder::new().name("signals".into()).stack_size(128 << 10).spawn(wait)?;
        // Nobody stops to hold them from here on.
        *HOLDERS.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        at_once.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Does the steps, and lets signals that end the process wait meanwhile.
    pub(super) fn hold(steps: &mut dyn FnMut()) {
        let (Ok(at_once), Ok(came)) = (&*AT_ONCE, &*CAME) else { return steps() };
        let change = |by: isize| {
            let mut holders = HOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
            *holders = holders.saturating_add_signed(by);
            at_once.store(*holders == 0, Ordering::SeqCst);
        };
        change(1);
        steps();
        change(-1);
        // A signal that came meanwhile. If a thread waits for signals by now, it ends the process for the same signal.
        if let signal @ 1.. = came.load(Ordering::SeqCst) {
            end(at_last(), signal as i32);
        }
    }

    /// Ends the process as the signal would have.
    fn end(last: fn(), signal: i32) {
        if let Ok(at_once) = &*AT_ONCE {
            at_once.store(true, Ordering::SeqCst);
        }
        last();
        let _ended = remove_temporaries();
        // It does not return for these signals.
        let _ = emulate_default_handler(signal);
    }

    /// The signals that this process ignores, as bits: signal 1 is bit 0. Unknown on systems without /proc.
    fn ignored() -> u64 {
        // It has about 1,500 bytes. The kernel writes it anew for each read(2), so this reads once.
        let mut status = [0; 4096];
        let read = std::fs::File::open("/proc/self/status").and_then(|mut file| file.read(&mut status));
        let status = String::from_utf8_lossy(&status[..read.unwrap_or(0)]);
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

    /// Handlers are there already: every file has a temporary name while it is written.
    pub(super) fn hold(steps: &mut dyn FnMut()) {
        steps();
    }

    /// Windows has no such limit.
    pub(super) fn report_size_limit() -> io::Result<()> {
        Ok(())
    }
}
