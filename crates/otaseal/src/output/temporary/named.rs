//! Files under a temporary name. A process that is killed leaves them.

use crate::output::Access;
use crate::output::names::{Name, Steps};
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

    /// Gives the file a name that must be free.
    pub(in crate::output) fn name(self, steps: Option<&Steps>, target: &Path, _: Access) -> io::Result<()> {
        Steps::or_begin(steps, |steps| self.name.rename_to_free(steps, target))
    }

    /// Gives the file a name, in the place of an older file if there is one.
    pub(in crate::output) fn replace(
        self,
        steps: Option<&Steps>,
        target: &Path,
        _: Access,
    ) -> io::Result<()> {
        Steps::or_begin(steps, |steps| self.name.rename(steps, target))
    }
}
