//! Lets one process at a time change the files of a directory.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a process waits for its turn. Nobody holds a turn longer than it takes to write one package.
const LONGEST: Duration = Duration::from_secs(60);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// The turn of this process or thread in one directory. It ends when the value is dropped, or when the process dies.
///
/// It binds otaseal alone: other programs do not ask for a turn. On a network file system it may bind the processes of
/// one machine only.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The system ends the lock when the last handle is closed.
    _lock: File,
}

impl Turn {
    /// Waits for a turn in this directory, at most a minute.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if others have their turn all the time. Any other error of the system.
    pub(crate) fn wait(directory: &Path) -> io::Result<Self> {
        Self::wait_at_most(directory, LONGEST)
    }

    fn wait_at_most(directory: &Path, longest: Duration) -> io::Result<Self> {
        let start = Instant::now();
        loop {
            match lock(directory) {
                Ok(file) => return Ok(Self { _lock: file }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && start.elapsed() < longest => {}
                Err(error) => return Err(error),
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Locks the directory itself. So there is no file for the lock, which somebody would have to remove.
#[cfg(unix)]
fn lock(directory: &Path) -> io::Result<File> {
    let file = File::open(directory)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Windows locks no directory. So the lock is a file that only one process can have open. The system removes it when
/// that process closes it or dies.
#[cfg(not(unix))]
fn lock(directory: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    // These numbers are from winnt.h, winbase.h and winerror.h.
    const GENERIC_WRITE: u32 = 0x4000_0000;
    const DELETE: u32 = 0x0001_0000;
    const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
    const ERROR_SHARING_VIOLATION: i32 = 32;
    /// A file that its last owner is just removing.
    const ERROR_ACCESS_DENIED: i32 = 5;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).share_mode(0);
    options.access_mode(GENERIC_WRITE | DELETE).custom_flags(FILE_FLAG_DELETE_ON_CLOSE);
    let path = directory.join(".otaseal-lock");
    options.open(&path).map_err(|error| match error.raw_os_error() {
        Some(ERROR_SHARING_VIOLATION) => io::ErrorKind::WouldBlock.into(),
        Some(ERROR_ACCESS_DENIED) if path.exists() => io::ErrorKind::WouldBlock.into(),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_waits_for_the_one_before_it_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let first = Turn::wait(dir.path()).unwrap();
        let error = Turn::wait_at_most(dir.path(), Duration::from_millis(30)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        thread::scope(|scope| {
            let second = scope.spawn(|| Turn::wait(dir.path()));
            thread::sleep(Duration::from_millis(30));
            assert!(!second.is_finished());
            drop(first);
            second.join().unwrap().unwrap();
        });
        Turn::wait_at_most(dir.path(), Duration::ZERO).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_directory_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let error = Turn::wait(&dir.path().join("no")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
