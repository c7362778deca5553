//! Finds a private key by its name, and makes a [`Signer`] of it.

use super::command::{CommandSigner, SigningCommand};
use super::pkcs11::Pkcs11Error;
use crate::format::input::Input;
use crate::format::secret::SecretBytes;
use crate::key::passphrase::Secrets;
use crate::key::uri::{Pkcs11Uri, UriError};
use crate::key::{KeyError, PrivateKey, PublicKey, encryption, material};
use crate::sign::Signer;
use crate::sign::signer::{FileSigner, KeyFile};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The place of a key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// A file.
    Path(PathBuf),
    /// Standard input.
    Stdin,
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(&material::shown(path)),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}

impl From<&Path> for KeyPlace {
    fn from(path: &Path) -> Self {
        Self::Path(path.into())
    }
}

impl KeyPlace {
    /// Reads the file, at most a little more than the largest key file. Wiped on drop.
    ///
    /// # Errors
    /// [`SourceError::Read`], [`SourceError::NotAName`] and [`SourceError::InToken`].
    pub fn bytes(&self) -> Result<SecretBytes, SourceError> {
        if let Self::Path(path) = self {
            if !material::is_name(path.as_os_str()) {
                return Err(SourceError::NotAName {
                    is_key: material::is_key(path.as_os_str().as_encoded_bytes()),
                });
            }
            if path.to_str().is_some_and(Pkcs11Uri::is_one) {
                return Err(SourceError::InToken);
            }
        }
        let read = match self {
            Self::Stdin => Input::stdin(),
            Self::Path(path) => Input::named(path),
        };
        read.and_then(Input::read_key).map_err(|source| SourceError::Read { place: self.clone(), source })
    }

    /// Reads the public key: SPKI or PKCS#1, PEM or DER.
    ///
    /// # Errors
    /// The errors of [`Self::bytes`], and [`SourceError::Key`].
    pub fn public_key(&self) -> Result<PublicKey, SourceError> {
        PublicKey::from_bytes(&self.bytes()?).map_err(|error| self.refused(error))
    }

    /// Makes a signer with the private key.
    fn signer(&self, secrets: &dyn Secrets) -> Result<Box<dyn Signer>, SourceError> {
        let bytes = self.bytes()?;
        let key = PrivateKey::from_bytes_with(&bytes, self, secrets).map_err(|error| self.refused(error))?;
        Ok(match self {
            // A pipe has no file that others could read.
            Self::Path(path) if path.is_file() => {
                let encryption = encryption::describe(&bytes).ok().flatten();
                Box::new(FileSigner { key, file: KeyFile::new(path, encryption) })
            }
            _ => Box::new(key),
        })
    }

    fn refused(&self, source: KeyError) -> SourceError {
        SourceError::Key { place: self.clone(), source }
    }
}

/// The place of a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// A file: PKCS#8 or PKCS#1, PEM or DER.
    File(KeyPlace),
    /// A command that signs, and the public half of its key.
    Command {
        /// The command.
        command: SigningCommand,
        /// SPKI or PKCS#1, PEM or DER.
        public: KeyPlace,
    },
    /// A key in a token.
    Pkcs11 {
        /// Its name.
        uri: Box<Pkcs11Uri>,
        /// The token's library, if the URI does not name it.
        module: Option<PathBuf>,
    },
}

/// Why a source gave no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The text cannot be the name of a file. It is not shown: it may be the key.
    #[error("{}", if *is_key { material::IS_KEY } else { "this cannot be the name of a key file" })]
    NotAName {
        /// Whether it looks like a key.
        is_key: bool,
    },
    /// The text names a key in a token, but a file is needed. The URI is not shown: it may contain a PIN.
    #[error("this names a key in a token (pkcs11:…), but a key file is needed here")]
    InToken,
    /// The file could not be read.
    #[error("{place} could not be read: {source}")]
    Read {
        /// The file.
        place: KeyPlace,
        /// The system's words.
        source: io::Error,
    },
    /// The public key of a command could not be read. Its signatures are judged with it.
    #[error("{place}, the public key of the command, could not be read: {source}")]
    CommandsKey {
        /// The file.
        place: KeyPlace,
        /// The system's words.
        source: io::Error,
    },
    /// The file holds no key that can be used here.
    #[error("{place}: {source}")]
    Key {
        /// The file.
        place: KeyPlace,
        /// Why not.
        source: KeyError,
    },
    /// The token gave no key.
    #[error(transparent)]
    Pkcs11(#[from] Pkcs11Error),
}

impl KeySource {
    /// Returns the source with this name: a PKCS#11 URI, or else a file. `module` is the token's library, if the URI
    /// does not name it.
    ///
    /// # Errors
    /// [`UriError`].
    pub fn named(name: &Path, module: Option<&Path>) -> Result<Self, UriError> {
        Ok(match name.to_str().filter(|text| Pkcs11Uri::is_one(text)) {
            Some(uri) => Self::Pkcs11 { uri: Box::new(uri.parse()?), module: module.map(Path::to_owned) },
            None => Self::File(name.into()),
        })
    }

    /// Opens the source. The signer holds the key, or reaches its holder. If the key needs a passphrase, this asks
    /// `secrets`.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn open(&self, secrets: &dyn Secrets) -> Result<Box<dyn Signer>, SourceError> {
        match self {
            Self::File(place) => place.signer(secrets),
            Self::Command { command, public } => {
                let key = public.public_key().map_err(|error| match error {
                    SourceError::Read { place, source } => SourceError::CommandsKey { place, source },
                    error => error,
                })?;
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

    /// Returns the file that is read: the private key, or the public key of a command.
    pub fn place(&self) -> Option<&KeyPlace> {
        match self {
            Self::File(place) | Self::Command { public: place, .. } => Some(place),
            Self::Pkcs11 { .. } => None,
        }
    }

    /// Returns the file of the private key, if there is one: it matters who can read it.
    pub fn private_file(&self) -> Option<&Path> {
        match self {
            Self::File(KeyPlace::Path(path)) => Some(path),
            _ => None,
        }
    }
}
