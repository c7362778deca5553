//! The files of releases, by their SHA-256.
//!
//! An object is a file whose name is the digest of its bytes. The same bytes twice are one object. [`Objects`] is the
//! place where they lie, [`Folder`] is such a place, and [`Depot`] is what the service uses: it gives out bytes only after
//! it compared their digest, keeps the latest in memory, and removes objects of uploads that failed.

mod cache;
mod depot;
mod folder;
mod incoming;

pub use cache::{Cache, VerifiedFile};
pub use depot::{Depot, Kept, Swept};
pub use folder::Folder;
pub use incoming::Incoming;

use otaseal::format::digest::Sha256Digest;
use std::io::{self, Read};
use std::path::PathBuf;

/// A file by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Object {
    /// SHA-256 of its bytes.
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Why an object cannot be kept or given out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// More bytes come than are allowed.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// It is not there.
    #[error("the object {0} is missing")]
    Missing(Sha256Digest),
    /// Its bytes are no longer those that were stored.
    #[error("the object {0} is damaged: its bytes have changed")]
    Damaged(Sha256Digest),
    /// Something else lies where an object should be.
    #[error("{} is {what}, not an object", path.display())]
    Odd {
        /// The path.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl ObjectError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.into(), source }
    }
}

impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> Self {
        let kind = match &error {
            ObjectError::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            ObjectError::Missing(_) => io::ErrorKind::NotFound,
            ObjectError::Damaged(_) | ObjectError::Odd { .. } => io::ErrorKind::InvalidData,
            ObjectError::Io { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}

/// A place where objects lie.
pub trait Objects: Send + Sync {
    /// Begins an object of at most `limit` bytes. Nothing is kept before [`Objects::put`].
    ///
    /// # Errors
    /// [`ObjectError::Io`].
    fn begin(&self, limit: u64) -> Result<Incoming, ObjectError>;

    /// Keeps an object durably. Returns whether it is new. An object that is there and damaged is replaced.
    ///
    /// # Errors
    /// [`ObjectError::Odd`] and [`ObjectError::Io`]. Nothing was kept.
    fn put(&self, incoming: Incoming) -> Result<bool, ObjectError>;

    /// Opens an object. Its bytes may have changed: see [`Depot::read`].
    ///
    /// # Errors
    /// [`ObjectError::Missing`], [`ObjectError::Odd`] and [`ObjectError::Io`].
    fn open(&self, sha256: &Sha256Digest) -> Result<Box<dyn Read + Send>, ObjectError>;

    /// Whether an object is there. Its bytes may have changed.
    ///
    /// # Errors
    /// [`ObjectError::Odd`] and [`ObjectError::Io`].
    fn exists(&self, sha256: &Sha256Digest) -> Result<bool, ObjectError>;

    /// Lists all objects, in no order.
    ///
    /// # Errors
    /// [`ObjectError::Io`].
    fn list(&self) -> Result<Vec<Object>, ObjectError>;

    /// Removes an object. Returns whether it was there.
    ///
    /// # Errors
    /// [`ObjectError::Odd`] and [`ObjectError::Io`].
    fn remove(&self, sha256: &Sha256Digest) -> Result<bool, ObjectError>;
}

#[cfg(test)]
mod tests;
