//! Files without a name. When the process ends, for any reason, they are gone.
//!
//! Linux can give such a file a name later (`O_TMPFILE` in open(2)), where the file system supports it. Elsewhere the
//! file loses its name as soon as it is open, and its bytes are copied at the end.

use crate::output::names::{Name, Steps};
use crate::output::{Access, Overwrite};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file that does not have its name.
#[derive(Debug)]
pub(in crate::output) struct Temporary {
    file: File,
    /// Whether Linux can give this very file a name.
    linkable: bool,
}

impl Temporary {
    pub(in crate::output) fn create(directory: &Path, access: Access) -> io::Result<Self> {
        if let Some(file) = link::create(directory, access)? {
            return Ok(Self { file, linkable: true });
        }
        let steps = Steps::begin();
        let (name, file) = Name::make(&steps, directory, |path| create_new(path, Access::OwnerOnly))?;
        // A file that kept this name would be signed before its line is in the ledger.
        name.remove(&steps)?;
        Ok(Self { file, linkable: false })
    }

    pub(in crate::output) fn file(&self) -> &File {
        &self.file
    }

    /// Tells the system to write these bytes to the disk soon. This does not wait.
    pub(in crate::output) fn begin_to_store(&self, offset: u64, length: usize) {
        link::begin_to_store(&self.file, offset, length);
    }

    /// Gives the file its name. If `overwrite` refuses, that name must be free.
    pub(in crate::output) fn name(
        mut self,
        steps: Option<&Steps>,
        target: &Path,
        access: Access,
        overwrite: Overwrite,
    ) -> io::Result<()> {
        // If the name is free, the file needs no temporary name.
        if self.linkable {
            match link::name(&self.file, target) {
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && overwrite != Overwrite::Refuse => {}
                linked => return linked,
            }
        }
        let linkable = self.linkable;
        let replace =
            |steps: &Steps| self.under_a_name(steps, target, access)?.rename(steps, target, overwrite);
        // A link takes no time, a copy does.
        if linkable { Steps::or_hold(steps, replace) } else { Steps::or_begin(steps, replace) }
    }

    /// Gives the bytes a temporary name beside the target.
    fn under_a_name(&mut self, steps: &Steps, target: &Path, access: Access) -> io::Result<Name> {
        let parent = target.parent().unwrap_or(Path::new(""));
        if self.linkable {
            return Ok(Name::make(steps, parent, |path| link::name(&self.file, path))?.0);
        }
        let (name, mut copy) = Name::make(steps, parent, |path| create_new(path, access))?;
        self.file.rewind()?;
        io::copy(&mut self.file, &mut copy)?;
        if access == Access::OwnerOnly {
            copy.sync_all()?;
        }
        Ok(name)
    }
}

fn create_new(path: &Path, access: Access) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(mode(access)).open(path)
}

fn mode(access: Access) -> u32 {
    match access {
        Access::Public => 0o666,
        Access::OwnerOnly => 0o600,
    }
}

#[cfg(target_os = "linux")]
mod link {
    use super::{Access, File, OpenOptions, OpenOptionsExt, Path, io, mode};
    use rustix::fs::{Advice, AtFlags, CWD, OFlags, fadvise, linkat};
    use rustix::io::Errno;
    use std::num::NonZero;
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;

    /// Opens a file without a name. Returns nothing if the system cannot make one, or could not name it later.
    pub(super) fn create(directory: &Path, access: Access) -> io::Result<Option<File>> {
        let flag = OFlags::TMPFILE.bits().cast_signed();
        let mut options = OpenOptions::new();
        match options.read(true).write(true).mode(mode(access)).custom_flags(flag).open(directory) {
            Ok(file) => Ok(entry(&file).exists().then_some(file)),
            Err(error) => match Errno::from_io_error(&error) {
                // The last one is that of a missing directory, too. Opening a file with a name reports it.
                Some(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::ISDIR | Errno::NOENT) => {
                    Ok(None)
                }
                _ => Err(error),
            },
        }
    }

    /// Gives a file a name that must be free.
    pub(super) fn name(file: &File, path: &Path) -> io::Result<()> {
        // linkat(2) describes this way, which needs no privilege.
        Ok(linkat(CWD, entry(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }

    /// Linux starts to write the pages, and keeps in memory those that are being written (posix_fadvise(2)).
    pub(super) fn begin_to_store(file: &File, offset: u64, length: usize) {
        // If it fails, the pages are written later.
        let _ = fadvise(file, offset, NonZero::new(length as u64), Advice::DontNeed);
    }

    /// The open file, as /proc shows it. A sandbox may have no /proc.
    fn entry(file: &File) -> PathBuf {
        format!("/proc/self/fd/{}", file.as_raw_fd()).into()
    }
}

/// Other systems cannot give a name to a file that has none.
#[cfg(not(target_os = "linux"))]
mod link {
    use super::{Access, File, Path, io};

    pub(super) fn create(_: &Path, _: Access) -> io::Result<Option<File>> {
        Ok(None)
    }

    pub(super) fn name(_: &File, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn begin_to_store(_: &File, _: u64, _: usize) {}
}
