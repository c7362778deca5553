//! An object that comes in: a temporary file with its digest so far.

use super::{Object, ObjectError};
use otaseal::format::digest::Sha256Digest;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Start of the names of temporary files.
pub(super) const PREFIX: &str = ".incoming-";

/// An object that comes in. If it is dropped, its bytes are gone.
#[derive(Debug)]
pub struct Incoming {
    file: NamedTempFile,
    sha256: Sha256,
    bytes: u64,
    limit: u64,
}

impl Incoming {
    /// Begins an object in a folder. At most `limit` bytes come.
    ///
    /// # Errors
    /// [`ObjectError::Io`].
    pub fn new_in(folder: &Path, limit: u64) -> Result<Self, ObjectError> {
        let file =
            tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder).map_err(ObjectError::io(folder))?;
        Ok(Self { file, sha256: Sha256::new(), bytes: 0, limit })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`] and [`ObjectError::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        let more = bytes.len() as u64;
        if self.limit - self.bytes < more {
            return Err(ObjectError::TooLarge { limit: self.limit });
        }
        self.file.write_all(bytes).map_err(ObjectError::io(self.file.path()))?;
        self.sha256.update(bytes);
        self.bytes += more;
        Ok(())
    }

    /// What came so far.
    pub fn object(&self) -> Object {
        Object { sha256: Sha256Digest(self.sha256.clone().finalize().into()), bytes: self.bytes }
    }

    /// Opens what came so far, from its beginning. Each reader has its own place.
    ///
    /// # Errors
    /// [`ObjectError::Io`].
    pub fn reader(&self) -> Result<File, ObjectError> {
        self.file.reopen().map_err(ObjectError::io(self.file.path()))
    }

    /// Reads what came so far.
    ///
    /// # Errors
    /// [`ObjectError::Io`].
    pub fn read(&self) -> Result<Vec<u8>, ObjectError> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or_default());
        self.reader()?.take(self.bytes).read_to_end(&mut bytes).map_err(ObjectError::io(self.file.path()))?;
        Ok(bytes)
    }

    /// Makes the bytes durable, and gives the file this name. A file of that name is replaced.
    pub(super) fn persist(self, path: &Path) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(path)?;
        Ok(())
    }
}
