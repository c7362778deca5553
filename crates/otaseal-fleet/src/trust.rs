//! The list of keys that are trusted: files `keys/KEYID.pem`.
//!
//! A person can read and back up the files. A file counts only if its name is the id of the key in it, so a key that
//! somebody exchanged is not trusted. Whatever else lies in the folder is named, and ignored.

use crate::store::rows::{Offered, ReleaseId, ReleaseRow};
use otaseal::device::KeyId;
use otaseal::format::input::Input;
use otaseal::key::{KeyError, PublicKey};
use otaseal::output::{self, Access, OutputError, Overwrite};
use otaseal::policy::lint::{self, Finding};
use otaseal_delivery::release::Trust;
use otaseal_delivery::text::said;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Most bytes of a key file.
pub const MAX_KEY: usize = 64 << 10;

/// Most keys.
pub const MAX_KEYS: usize = 100;

/// Ending of a key's file.
const ENDING: &str = ".pem";

/// The keys that are trusted.
#[derive(Debug)]
pub struct TrustList {
    folder: PathBuf,
    keys: BTreeMap<KeyId, PublicKey>,
    ignored: Vec<Ignored>,
}

/// A file of the folder that is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its name, fit to be shown.
    pub file: String,
    /// Why.
    pub why: String,
}

/// Whether a key with known faults may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// No.
    Refuse,
    /// Yes: a person saw them. The published example key is one, for a first try.
    Accept,
}

/// Whether a key may go that releases depend on.
#[derive(Debug, Clone, Copy)]
pub enum Removal<'r> {
    /// Not if one of these releases does.
    UnlessUsed(&'r [ReleaseRow]),
    /// Yes: such a release is not offered any more.
    Anyway,
}

/// Whether releases are offered that nobody signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// No.
    Refuse,
    /// Yes: the owner of the fleet switched it on.
    Allow,
}

/// Why the list cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The bytes are no public key.
    #[error("it is no key that verifies firmware: {0}")]
    Key(#[from] KeyError),
    /// The key has faults: who trusts it trusts others too.
    #[error("the key {id} must not be trusted: {}", .findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Faulty {
        /// Its id.
        id: KeyId,
        /// The faults.
        findings: Vec<Finding>,
    },
    /// There are too many keys.
    #[error("there are {MAX_KEYS} keys already")]
    TooMany,
    /// No such key is trusted.
    #[error("the key {0} is not in the list")]
    Unknown(KeyId),
    /// Releases depend on the key.
    #[error("releases depend on the key {id}: {}", .releases.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Used {
        /// Its id.
        id: KeyId,
        /// The releases.
        releases: Vec<ReleaseId>,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> TrustError {
    move |source| TrustError::Io { path: path.into(), source }
}

impl TrustList {
    /// Reads the list, and makes its folder where it is missing.
    ///
    /// # Errors
    /// [`TrustError::Io`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, TrustError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        let mut list = Self { keys: BTreeMap::new(), ignored: Vec::new(), folder };
        let mut names = Vec::new();
        for entry in fs::read_dir(&list.folder).map_err(io_error(&list.folder))? {
            names.push(entry.map_err(io_error(&list.folder))?.file_name());
        }
        names.sort();
        for name in names {
            match list.read(Path::new(&name)) {
                Ok(key) if list.keys.len() < MAX_KEYS => {
                    list.keys.insert(key.id(), key);
                }
                found => {
                    let why = found.err().unwrap_or_else(|| format!("there are more than {MAX_KEYS} keys"));
                    list.ignored.push(Ignored { file: said(name.as_encoded_bytes()), why });
                }
            }
        }
        Ok(list)
    }

    /// The key of a file.
    ///
    /// # Errors
    /// A sentence.
    fn read(&self, name: &Path) -> Result<PublicKey, String> {
        let path = self.folder.join(name);
        let bytes =
            Input::found(&path).and_then(|input| input.read(MAX_KEY)).map_err(|error| error.to_string())?;
        let key = PublicKey::from_bytes(&bytes).map_err(|error| error.to_string())?;
        match path == self.path(key.id()) {
            true => Ok(key),
            false => Err(format!("it has the key {}, and its name is another", key.id())),
        }
    }

    fn path(&self, id: KeyId) -> PathBuf {
        self.folder.join(format!("{id}{ENDING}"))
    }

    /// The keys, by id.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.values()
    }

    /// Files of the folder that are not trusted.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// Whom the service believes.
    pub fn trust(&self, unsigned: Unsigned) -> Trust {
        let keys = self.keys().cloned().collect();
        match unsigned {
            Unsigned::Refuse => Trust::Keys(keys),
            Unsigned::Allow => Trust::Unsigned(keys),
        }
    }

    /// Trusts a public key: PEM or DER. Returns its id. A key that is trusted already stays so.
    ///
    /// # Errors
    /// [`TrustError::Key`], also for a private key, which must not be here; [`TrustError::Faulty`],
    /// [`TrustError::TooMany`] and [`TrustError::Output`].
    pub fn add(&mut self, key: &[u8], faults: Faults) -> Result<KeyId, TrustError> {
        let key = PublicKey::from_bytes(key)?;
        let id = key.id();
        if self.keys.contains_key(&id) {
            return Ok(id);
        }
        let findings = lint::refusals(&key);
        if faults == Faults::Refuse && !findings.is_empty() {
            return Err(TrustError::Faulty { id, findings });
        }
        if self.keys.len() >= MAX_KEYS {
            return Err(TrustError::TooMany);
        }
        // A file of this name that was not trusted is replaced.
        output::write(&self.path(id), key.to_spki_pem().as_bytes(), Overwrite::Replace, Access::Public)?;
        self.ignored.retain(|ignored| ignored.file != format!("{id}{ENDING}"));
        self.keys.insert(id, key);
        Ok(id)
    }

    /// Trusts a key no longer.
    ///
    /// # Errors
    /// [`TrustError::Unknown`], [`TrustError::Used`] and [`TrustError::Io`].
    pub fn remove(&mut self, id: KeyId, removal: Removal<'_>) -> Result<(), TrustError> {
        if !self.keys.contains_key(&id) {
            return Err(TrustError::Unknown(id));
        }
        if let Removal::UnlessUsed(rows) = removal {
            let releases = dependents(id, rows);
            if !releases.is_empty() {
                return Err(TrustError::Used { id, releases });
            }
        }
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&path)(error)),
            _ => self.keys.remove(&id),
        };
        Ok(())
    }
}

/// Releases that would not be offered any more without this key.
pub fn dependents(id: KeyId, rows: &[ReleaseRow]) -> Vec<ReleaseId> {
    let id = id.to_string();
    let uses = |row: &&ReleaseRow| row.offered == Offered::Yes && row.key_id.as_ref() == Some(&id);
    rows.iter().filter(uses).map(|row| row.id).collect()
}

#[cfg(test)]
mod tests;
