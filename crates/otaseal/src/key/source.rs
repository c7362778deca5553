//! Where a key is: what `--key` names, and how it becomes a [`Signer`].

use super::command::{CommandSigner, SigningCommand};
use super::passphrase::Secrets;
use super::pkcs11::{Pkcs11Error, Pkcs11Uri};
use super::{KeyError, PrivateKey, PublicKey};
use crate::sign::Signer;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where a private key is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// A file: PKCS#8 or PKCS#1, PEM or DER.
    File(PathBuf),
    /// A command that signs, and the file of the public key that belongs to the key it uses.
    Command {
        /// What is run.
        command: SigningCommand,
        /// SPKI or PKCS#1, PEM or DER.
        public: PathBuf,
    },
    /// A key in a token.
    Pkcs11 {
        /// Its name.
        uri: Box<Pkcs11Uri>,
        /// The token's library, where the URI names none.
        module: Option<PathBuf>,
    },
}

/// Why a source gave no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no key that can sign.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        source: KeyError,
    },
    /// The token gave no key.
    #[error(transparent)]
    Pkcs11(#[from] Pkcs11Error),
}

impl SourceError {
    /// What the user can do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "check the name; `otaseal keygen` makes a key pair in the directory keys".into()
            }
            Self::Read { .. } => "check that the file is there and that you may read it".into(),
            Self::Key { source, .. } => source.help(),
            Self::Pkcs11(error) => error.help(),
        }
    }
}

impl KeySource {
    /// Opens the source: a signer that holds the key, or reaches what holds it. `secrets` is asked when the key
    /// turns out to need a passphrase.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn open(&self, secrets: &dyn Secrets) -> Result<Box<dyn Signer>, SourceError> {
        match self {
            Self::File(path) => {
                let key = PrivateKey::from_bytes_with(&read_file(path)?, &path.display(), secrets)
                    .map_err(|source| SourceError::Key { path: path.clone(), source })?;
                Ok(Box::new(key))
            }
            Self::Command { command, public } => {
                let key = PublicKey::from_bytes(&read_file(public)?)
                    .map_err(|source| SourceError::Key { path: public.clone(), source })?;
                Ok(Box::new(CommandSigner::new(command.clone(), key)))
            }
            #[cfg(feature = "pkcs11")]
            Self::Pkcs11 { uri, module } => {
                Ok(Box::new(super::pkcs11::Pkcs11Signer::open(uri, module.as_deref(), secrets)?))
            }
            #[cfg(not(feature = "pkcs11"))]
            Self::Pkcs11 { .. } => Err(Pkcs11Error::NotBuilt.into()),
        }
    }

    /// The file that is read: of the private key, or of the public one where another program signs.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Command { public: path, .. } => Some(path),
            Self::Pkcs11 { .. } => None,
        }
    }
}

/// A directory, which opens well on Unix and fails at the first read, fails alike everywhere.
fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    File::open(path)
        .and_then(|file| match file.metadata()?.is_dir() {
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => super::file::read(file),
        })
        .map_err(|source| SourceError::Read { path: path.into(), source })
}
