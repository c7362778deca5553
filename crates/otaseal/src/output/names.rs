//! The names of files and directories that are not finished, and how they go when the process must end.
//!
//! Rust values are not dropped when a signal ends a process. So every temporary name is in one list.
//! [`remove_temporaries`] removes the files of that list. It waits until no thread is in the middle of steps that belong
//! together, such as the files of a package, and no thread begins such steps afterwards.

use super::Overwrite;
use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tempfile::TempPath;

static STEPS: RwLock<()> = RwLock::new(());
static NAMES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static HOOKS: OnceLock<Hooks> = OnceLock::new();
static FIRST: Once = Once::new();

/// What a program does about signals while there are temporary names. Many runs make no such name.
#[derive(Debug)]
pub(super) struct Hooks {
    /// Called once, before the first name that stays for a while.
    pub(super) watch: fn(),
    /// Does steps that take no time, such as a link and a rename, and keeps signals waiting meanwhile.
    pub(super) hold: fn(&mut dyn FnMut()),
}

/// Sets the hooks. Only the first call has an effect.
#[cfg(feature = "signals")]
pub(super) fn set_hooks(hooks: Hooks) {
    // Other hooks would come too late.
    let _ = HOOKS.set(hooks);
}

/// Removes all temporary files and directories of this process. While the returned value lives, no thread makes or
/// renames one. Threads that try to do so wait. So keep it until the process ends.
pub fn remove_temporaries() -> Ended {
    let ended = STEPS.write().unwrap_or_else(PoisonError::into_inner);
    for path in names().drain(..) {
        remove(&path);
    }
    Ended { _steps: ended }
}

/// Proof that no temporary file of this process exists. See [`remove_temporaries`].
#[derive(Debug)]
pub struct Ended {
    _steps: RwLockWriteGuard<'static, ()>,
}

/// Steps that belong together, such as giving names to all files of a package. The process does not end in the middle
/// of them, unless it is killed by `kill -9`. A thread must not begin a second time before the first value is dropped.
#[derive(Debug)]
pub(crate) struct Steps {
    _turn: RwLockReadGuard<'static, ()>,
}

impl Steps {
    pub(crate) fn begin() -> Self {
        FIRST.call_once(|| {
            if let Some(hooks) = HOOKS.get() {
                (hooks.watch)();
            }
        });
        Self::turn()
    }

    fn turn() -> Self {
        Self { _turn: STEPS.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Does something as part of these steps, or as steps of its own.
    pub(super) fn or_begin<T>(steps: Option<&Self>, step: impl FnOnce(&Self) -> T) -> T {
        match steps {
            Some(steps) => step(steps),
            None => step(&Self::begin()),
        }
    }

    /// Does the same for a step that takes no time.
    pub(super) fn or_hold<T>(steps: Option<&Self>, step: impl FnOnce(&Self) -> T) -> T {
        match (steps, HOOKS.get()) {
            (None, Some(hooks)) if !FIRST.is_completed() => {
                let (mut step, mut result) = (Some(step), None);
                (hooks.hold)(&mut || result = step.take().map(|step| step(&Self::turn())));
                result.expect("the hook does the step")
            }
            _ => Self::or_begin(steps, step),
        }
    }
}

/// A temporary name in the list. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Name {
    path: PathBuf,
    /// Whether the file has its final name, or none.
    gone: bool,
}

impl Name {
    /// Finds a free name in a directory, and makes something of that name.
    ///
    /// # Errors
    /// The error of `make`.
    pub(super) fn make<T>(
        _: &Steps,
        directory: &Path,
        mut make: impl FnMut(&Path) -> io::Result<T>,
    ) -> io::Result<(Self, T)> {
        loop {
            // The random state of a hash map is different each time.
            let number = RandomState::new().build_hasher().finish();
            let path = directory.join(format!(".otaseal-{number:016x}"));
            match make(&path) {
                Ok(made) => {
                    names().push(path.clone());
                    return Ok((Self { path, gone: false }, made));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the name from an open file, which goes on without one.
    #[cfg(unix)]
    pub(super) fn remove(mut self, _: &Steps) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        self.gone = true;
        Ok(())
    }

    /// Gives the file its final name. If `overwrite` refuses, that name must be free.
    pub(super) fn rename(mut self, _: &Steps, destination: &Path, overwrite: Overwrite) -> io::Result<()> {
        match overwrite {
            Overwrite::Refuse => {
                // Each system has its own call for this, and some file systems have no hard links.
                let path = TempPath::try_from_path(&self.path)?;
                path.persist_noclobber(destination).map_err(|error| error.error)?;
            }
            Overwrite::Replace | Overwrite::ReplaceKey => fs::rename(&self.path, destination)?,
        }
        self.gone = true;
        Ok(())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if !self.gone {
            remove(&self.path);
        }
        names().retain(|name| *name != self.path);
    }
}

/// A directory with a temporary name. Dropping it removes the directory and all its files.
#[derive(Debug)]
pub struct TemporaryDirectory(Name);

impl TemporaryDirectory {
    /// Makes a directory inside another one. On Unix only its owner can look into it.
    ///
    /// # Errors
    /// The system's error.
    pub fn new(parent: &Path) -> io::Result<Self> {
        Ok(Self(Name::make(&Steps::begin(), parent, make_directory)?.0))
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file in the directory. If it exists, this writes over its first bytes.
    ///
    /// # Errors
    /// The system's error.
    pub fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // A signal removes the directory. Without this, it could do so in the middle and miss the new file.
        let _steps = Steps::begin();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).open(self.path().join(name))?.write_all(bytes)
    }

    /// Gives the directory its final name, in one step.
    pub(crate) fn rename(self, destination: &Path) -> io::Result<()> {
        self.0.rename(&Steps::begin(), destination, Overwrite::Replace)
    }
}

fn names() -> MutexGuard<'static, Vec<PathBuf>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a file or a directory. If this fails, nothing is left to try.
fn remove(path: &Path) {
    if fs::remove_file(path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(unix)]
fn make_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}
