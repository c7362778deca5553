//! Files under a temporary name. A process that is killed leaves them.

use crate::output::names::{Name, Steps};
use crate::output::{Access, Overwrite};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// A file that does not have its final name.
#[derive(Debug)]
pub(in crate::output) struct Temporary {
    file: File,
    name: Name,
}

impl Temporary {
    pub(in crate::output) fn create(directory: &Path, _: Access) -> io::Result<Self> {
        let open = |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let (name, file) = Name::make(&Steps::begin(), directory, open)?;
        Ok(Self { file, name })
    }

    pub(in crate::output) fn file(&self) -> &File {
        &self.file
    }

    /// No system but Linux is told to store bytes early.
    pub(in crate::output) fn begin_to_store(&self, _: u64, _: usize) {}

    /// Gives the file its name. If `overwrite` refuses, that name must be free.
    pub(in crate::output) fn name(
        self,
        steps: Option<&Steps>,
        target: &Path,
        _: Access,
        overwrite: Overwrite,
    ) -> io::Result<()> {
        Steps::or_hold(steps, |steps| self.name.rename(steps, target, overwrite))
    }
}
