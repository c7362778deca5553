//! Which key a project signs with.

use super::CargoError;
use super::project::Project;
use crate::key::passphrase::{NoSecrets, Secrets};
use crate::key::pkcs11::Pkcs11Uri;
use crate::key::source::KeySource;
use crate::key::{KeyError, PrivateKey, PublicKey, file};
use crate::sign::Signer;
use std::fs::File;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The key that signs, and where it came from.
pub(super) struct Keys {
    pub(super) signer: Box<dyn Signer>,
    /// Its file, or its PKCS#11 URI.
    pub(super) private_path: PathBuf,
    /// The public key file beside it, where there is one. It is the private key's other half.
    pub(super) public_path: Option<PathBuf>,
}

impl Project {
    /// Where the private key is, or will be.
    pub(super) fn private_path(&self) -> PathBuf {
        self.settings.key.clone().unwrap_or_else(|| self.root.join("keys").join("private.pem"))
    }

    /// The private key that is used: the project's own, else its example key.
    fn usable_private_path(&self) -> Result<PathBuf, CargoError> {
        let own = self.private_path();
        if in_token(&own).is_some() {
            return Ok(own);
        }
        // Only a key that is not there at all has a stand-in: one that cannot be read is an error.
        match (own.try_exists(), &self.settings.example_key) {
            (Ok(false), Some(example)) => Ok(example.clone()),
            (Ok(false), None) => Err(CargoError::NoKey(own)),
            _ => Ok(own),
        }
    }

    /// The key that signs, with the public half that goes with it.
    pub(super) fn keys(&self, secrets: &dyn Secrets) -> Result<Keys, CargoError> {
        let private_path = self.usable_private_path()?;
        let signer = open(&private_path, secrets)?;
        let is_example = self.settings.example_key.as_ref() == Some(&private_path);
        let public_path = match &self.settings.public_key {
            // The configured public key belongs to the project's own private key.
            Some(path) if !is_example => Some(path.clone()),
            _ => Some(self.beside(&private_path)).filter(|path| path.exists()),
        };
        if let Some(path) = &public_path {
            let (public_id, private_id) = (read_public(path)?.id(), signer.public_key().id());
            if public_id != private_id {
                let (public, private) = (path.clone(), private_path);
                return Err(CargoError::KeyPair { public, private, public_id, private_id });
            }
        }
        Ok(Keys { signer, private_path, public_path })
    }

    /// The public key that images are verified with: without need of the private one.
    pub(super) fn public_key(&self) -> Result<(PublicKey, PathBuf), CargoError> {
        if let Some(path) = &self.settings.public_key {
            return Ok((read_public(path)?, path.clone()));
        }
        let own = self.beside(&self.private_path());
        if own.exists() {
            return Ok((read_public(&own)?, own));
        }
        let private = self.usable_private_path()?;
        let public = self.beside(&private);
        match public.exists() {
            true => Ok((read_public(&public)?, public)),
            false => Ok((open(&private, &NoSecrets)?.public_key().clone(), private)),
        }
    }
}

impl Project {
    /// `public.pem` in the directory of the private key; of a key in a token, where that of a file would be.
    pub(super) fn beside(&self, private: &Path) -> PathBuf {
        match in_token(private) {
            None => private.with_file_name("public.pem"),
            Some(_) => self.root.join("keys").join("public.pem"),
        }
    }
}

/// The PKCS#11 URI that stands in the place of a file.
pub(super) fn in_token(private: &Path) -> Option<&str> {
    private.to_str().filter(|text| Pkcs11Uri::is_one(text))
}

/// Opens the private key, in a file or in a token.
fn open(private: &Path, secrets: &dyn Secrets) -> Result<Box<dyn Signer>, CargoError> {
    if let Some(text) = in_token(private) {
        let source = KeySource::Pkcs11 { uri: Box::new(text.parse()?), module: None };
        return source.open(secrets).map_err(CargoError::Source);
    }
    let key = PrivateKey::from_bytes_with(&read(private)?, &private.display(), secrets);
    let key = key.map_err(|source| CargoError::Key { path: private.into(), source })?;
    Ok(Box::new(key))
}

pub(super) fn read_public(path: &Path) -> Result<PublicKey, CargoError> {
    PublicKey::from_bytes(&read(path)?).map_err(|source| CargoError::Key { path: path.into(), source })
}

pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CargoError> {
    match File::open(path).and_then(file::read) {
        Ok(bytes) if bytes.len() > file::MAX_KEY_FILE => {
            Err(CargoError::Key { path: path.into(), source: KeyError::TooLarge })
        }
        Ok(bytes) => Ok(bytes),
        Err(source) => Err(CargoError::Read { path: path.into(), source }),
    }
}
