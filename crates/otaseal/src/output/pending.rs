//! A file that is written before it has its name.

use super::guard::{Kept, kept};
use super::links::follow;
use super::made::{Made, Stamp};
use super::names::Steps;
use super::run::{Planned, Run};
use super::temporary::Temporary;
use super::{Access, OutputError, Overwrite, directory, failed};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// A file that is being written and has no name yet. If you drop it without [`Pending::commit`], it is gone.
#[derive(Debug)]
pub struct Pending {
    medium: Medium,
    /// The name that the caller gave.
    destination: PathBuf,
    /// The file that this name leads to.
    target: PathBuf,
    overwrite: Overwrite,
    access: Access,
    /// The only files that this one may replace, and the one of them that was there at the beginning.
    only_over: Option<(Made, Option<Stamp>)>,
    /// Whether there was an older file at the beginning.
    replaces: bool,
}

/// The disk gets pieces of this many bytes early. Smaller ones are not worth the call.
const EARLY: usize = 1 << 14;

/// Where the bytes of the file are.
#[derive(Debug)]
enum Medium {
    /// In the directory of the destination.
    Beside(Temporary),
    /// Elsewhere, in a file that will never have a name.
    Dry(File, Run),
}

impl Medium {
    fn file(&self) -> &File {
        match self {
            Self::Beside(temporary) => temporary.file(),
            Self::Dry(file, _) => file,
        }
    }
}

impl Pending {
    /// Opens a file without a name in the directory of `destination`. If `destination` is a symbolic link, the link
    /// stays, and the file that it names is written. That file need not exist.
    ///
    /// # Errors
    /// [`OutputError::Exists`] and [`OutputError::NotAFile`], as their names say. [`OutputError::Kept`] for a private
    /// key, unless `overwrite` allows it, and for a ledger. [`OutputError::Io`] if the directory is missing or not
    /// writable, if links form a circle, if the old file cannot be read (it may be a key), or if it is read-only on
    /// Windows.
    pub fn create(destination: &Path, overwrite: Overwrite, access: Access) -> Result<Self, OutputError> {
        Self::create_in(&Run::default(), destination, overwrite, access)
    }

    pub(super) fn create_in(
        run: &Run,
        destination: &Path,
        overwrite: Overwrite,
        access: Access,
    ) -> Result<Self, OutputError> {
        let target = follow(destination).map_err(|source| failed(destination, source))?;
        let old = fs::metadata(&target).ok();
        match &old {
            Some(found) if !found.is_file() => return Err(OutputError::NotAFile(destination.into())),
            Some(found) => check(destination, found, overwrite)?,
            None => {}
        }
        let pending = Self::open(run, destination, target, overwrite, access)?;
        Ok(Self { replaces: old.is_some(), ..pending })
    }

    /// Does the same for an output that replaces only what otaseal made, as `made` recognises it. If somebody puts
    /// another file there before the new one gets its name, that file stays too.
    ///
    /// # Errors
    /// The errors of [`Pending::create`] with [`Overwrite::Replace`], and [`OutputError::Foreign`].
    pub fn create_over(destination: &Path, made: Made, access: Access) -> Result<Self, OutputError> {
        Self::create_over_in(&Run::default(), destination, made, access)
    }

    pub(super) fn create_over_in(
        run: &Run,
        destination: &Path,
        made: Made,
        access: Access,
    ) -> Result<Self, OutputError> {
        let mut pending = Self::create_in(run, destination, Overwrite::Replace, access)?;
        let found = recognised(destination, &pending.target, &made)?;
        pending.only_over = Some((made, found));
        Ok(pending)
    }

    /// Does the same as [`Pending::create`] for a file of a directory whose names anybody may have chosen: a symbolic link
    /// is replaced itself. If it leads to a private key or a ledger, that is an error all the same: its owner put it
    /// there.
    pub(crate) fn create_entry(
        run: &Run,
        path: &Path,
        overwrite: Overwrite,
        access: Access,
    ) -> Result<Self, OutputError> {
        let old = fs::metadata(path).ok();
        match (fs::symlink_metadata(path), &old) {
            (_, Some(found)) if found.is_file() => check(path, found, overwrite)?,
            (Ok(found), _) if !found.is_symlink() => return Err(OutputError::NotAFile(path.into())),
            _ => {}
        }
        let pending = Self::open(run, path, path.into(), overwrite, access)?;
        Ok(Self { replaces: old.is_some(), ..pending })
    }

    fn open(
        run: &Run,
        destination: &Path,
        target: PathBuf,
        overwrite: Overwrite,
        access: Access,
    ) -> Result<Self, OutputError> {
        let medium = match run.is_dry() {
            false => Temporary::create(directory(&target), access).map(Medium::Beside),
            true => run
                .check_place(&target)
                .and_then(|()| tempfile::tempfile())
                .map(|file| Medium::Dry(file, run.clone())),
        };
        let medium = medium.map_err(|source| failed(destination, source))?;
        let destination = destination.into();
        Ok(Self { medium, destination, target, overwrite, access, only_over: None, replaces: false })
    }

    /// Returns the path that the file will have.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Returns the file that will have the bytes: the destination, or the file that it leads to by symbolic links.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Waits until the bytes have reached the disk.
    pub(crate) fn sync(&self) -> Result<(), OutputError> {
        self.medium.file().sync_all().map_err(|source| failed(&self.destination, source))
    }

    /// Gives the file its name. A private file is a key, and nobody can make it again: so this waits until its bytes
    /// are on the disk.
    ///
    /// # Errors
    /// [`OutputError::Io`] if the disk or the rename fails. [`OutputError::Exists`] or [`OutputError::Foreign`] if
    /// another process made the destination in the meantime, and otaseal may not replace it. The destination is then
    /// as it was.
    pub fn commit(self) -> Result<(), OutputError> {
        self.finish(None)
    }

    /// Does the same as one of several steps.
    pub(crate) fn commit_in(self, steps: &Steps) -> Result<(), OutputError> {
        self.finish(Some(steps))
    }

    fn finish(self, steps: Option<&Steps>) -> Result<(), OutputError> {
        // Without this, a power cut soon after the rename could leave the name on an empty file. For files that can be
        // made again, that loss is not worth the wait, which is longer than signing takes. Every verifier rejects an
        // image without its bytes.
        if self.access == Access::OwnerOnly {
            self.sync()?;
        }
        let Self { medium, destination, target, mut overwrite, access, only_over, .. } = self;
        if let Some((made, before)) = only_over {
            let now = fs::metadata(&target).ok().map(|found| Stamp::of(&found));
            if now != before {
                recognised(&destination, &target, &made)?;
            }
            overwrite = if now.is_some() { Overwrite::Replace } else { Overwrite::Refuse };
        }
        let temporary = match medium {
            Medium::Beside(temporary) => temporary,
            Medium::Dry(file, run) => {
                let size_bytes = file.metadata().map_err(|source| failed(&destination, source))?.len();
                let (path, replaces) = (destination, target.symlink_metadata().is_ok());
                run.skips(|| match replaces {
                    true => Planned::Replace { path, size_bytes },
                    false => Planned::Write { path, size_bytes },
                });
                return Ok(());
            }
        };
        temporary.name(steps, &target, access, overwrite).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists if overwrite == Overwrite::Refuse => {
                OutputError::Exists(destination)
            }
            _ => failed(&destination, error),
        })
    }
}

impl Write for Pending {
    /// If the file will replace an older one, the disk begins to write long pieces at once. ext4 does so at the latest
    /// when a rename replaces a file (`auto_da_alloc`, ext4(5)). The rename then takes twice as long.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.medium.file().write(bytes)?;
        if let (true, Medium::Beside(temporary)) = (self.replaces && length >= EARLY, &self.medium) {
            let end = temporary.file().stream_position()?;
            temporary.begin_to_store(end - length as u64, length);
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.medium.file().flush()
    }
}

impl Read for Pending {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.medium.file().read(buffer)
    }
}

impl Seek for Pending {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.medium.file().seek(position)
    }
}

/// Refuses to replace a file, a private key or a ledger, unless `overwrite` allows it. Refuses a read-only file on Windows.
fn check(path: &Path, found: &fs::Metadata, overwrite: Overwrite) -> Result<(), OutputError> {
    if overwrite == Overwrite::Refuse {
        return Err(OutputError::Exists(path.into()));
    }
    match kept(path, found.len()).map_err(|source| failed(path, source))? {
        None => {}
        Some(Kept::PrivateKey(_)) if overwrite == Overwrite::ReplaceKey => {}
        Some(found) => return Err(OutputError::Kept { path: path.into(), holds: found.describe() }),
    }
    // On Unix the directory alone decides. On Windows the owner protects a file by this attribute, and the system may see it
    // only in the rename, when the signature is in the ledger already. Wine never looks at it.
    if cfg!(windows) && found.permissions().readonly() {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only");
        return Err(failed(path, source));
    }
    Ok(())
}

/// Refuses a file that `made` does not recognise. Returns the state of a file that it recognises.
fn recognised(destination: &Path, target: &Path, made: &Made) -> Result<Option<Stamp>, OutputError> {
    let Ok(found) = fs::metadata(target) else { return Ok(None) };
    match made.recognises(target).map_err(|source| failed(destination, source))? {
        true => Ok(Some(Stamp::of(&found))),
        false => Err(OutputError::Foreign(destination.into())),
    }
}
