//! Verified bytes in memory.

use super::ObjectError;
use bytes::Bytes;
use otaseal::format::digest::{Sha256Digest, sha256};
use otaseal::format::input::{Input, check_regular};
use otaseal_delivery::release::{MAX_FILE, Stored};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Images in memory, up to a number of bytes. The one that was not asked for longest goes first.
#[derive(Debug)]
pub struct Cache {
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    held: HashMap<Sha256Digest, (Bytes, u64)>,
    bytes: usize,
    turn: u64,
}

impl Cache {
    /// An empty cache for at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self { most, inner: Mutex::default() }
    }

    /// The bytes with this digest, if they are in memory.
    pub fn get(&self, sha256: &Sha256Digest) -> Option<Bytes> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.turn += 1;
        let turn = inner.turn;
        inner.held.get_mut(sha256).map(|(bytes, last)| {
            *last = turn;
            bytes.clone()
        })
    }

    /// The bytes with this digest. If they are not in memory, reads them and compares their digest.
    ///
    /// # Errors
    /// That of `read`, or [`io::ErrorKind::InvalidData`] if it gives other bytes.
    pub fn load(
        &self,
        digest: &Sha256Digest,
        read: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<Bytes> {
        if let Some(bytes) = self.get(digest) {
            return Ok(bytes);
        }
        let bytes = Bytes::from(read()?);
        if sha256(&bytes) != *digest {
            return Err(ObjectError::Damaged(*digest).into());
        }
        self.put(*digest, bytes.clone());
        Ok(bytes)
    }

    fn put(&self, sha256: Sha256Digest, bytes: Bytes) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() > self.most || inner.held.contains_key(&sha256) {
            return;
        }
        while inner.bytes + bytes.len() > self.most {
            let oldest = inner.held.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| *key);
            let Some((gone, _)) = oldest.and_then(|key| inner.held.remove(&key)) else { break };
            inner.bytes -= gone.len();
        }
        inner.turn += 1;
        let turn = inner.turn;
        inner.bytes += bytes.len();
        inner.held.insert(sha256, (bytes, turn));
    }
}

/// A file with a name of its own that was verified once.
#[derive(Debug)]
pub struct VerifiedFile {
    path: PathBuf,
    sha256: Sha256Digest,
    cache: Arc<Cache>,
}

impl VerifiedFile {
    /// The file at this path, whose bytes have this digest.
    pub fn new(path: PathBuf, sha256: Sha256Digest, cache: Arc<Cache>) -> Self {
        Self { path, sha256, cache }
    }
}

impl Stored for VerifiedFile {
    fn held(&self) -> Option<Bytes> {
        self.cache.get(&self.sha256)
    }

    fn load(&self) -> io::Result<Bytes> {
        let read = || {
            check_regular(&self.path)?;
            Input::found(&self.path)?.read(MAX_FILE)
        };
        self.cache.load(&self.sha256, read).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                io::Error::new(error.kind(), "the file has changed since it was verified")
            }
            _ => error,
        })
    }
}
