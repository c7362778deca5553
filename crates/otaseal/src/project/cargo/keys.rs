//! Which key a project signs with.

use super::CargoError;
use super::project::Project;
use crate::key::PublicKey;
use crate::key::passphrase::{NoSecrets, PassphraseSource};
use crate::key::uri::Pkcs11Uri;
use crate::sign::Signer;
use crate::sign::source::{KeyPlace, KeySource};
use std::path::{Path, PathBuf};

/// The key that signs, and where it came from.
pub(super) struct Keys {
    pub(super) signer: Box<dyn Signer>,
    /// The private key's file, its PKCS#11 URI, or, where a command signs, the public key's file.
    pub(super) name: PathBuf,
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

    /// Where the public key of a key is, or will be, that is in no file here.
    pub(super) fn public_path(&self) -> PathBuf {
        self.settings.public_key.clone().unwrap_or_else(|| self.root.join("keys").join("public.pem"))
    }

    /// The key that signs, with the public half that goes with it.
    pub(super) fn keys(&self, passphrase: &Option<PassphraseSource>) -> Result<Keys, CargoError> {
        if let Some(command) = self.settings.signing_command() {
            if passphrase.is_some() {
                return Err(CargoError::Usage("a command signs: there is no passphrase to give".into()));
            }
            let name = self.public_path();
            let source = KeySource::Command { command, public: KeyPlace::Path(name.clone()) };
            let (signer, public_path) = (source.open(&NoSecrets)?, Some(name.clone()));
            return Ok(Keys { signer, name, public_path });
        }
        let private_path = self.usable_private_path()?;
        let source = KeySource::named(&private_path, None)?;
        let signer = source.open(passphrase)?;
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
        Ok(Keys { signer, name: private_path, public_path })
    }

    /// The public key that images are verified with: without need of the private one.
    pub(super) fn public_key(&self) -> Result<(PublicKey, PathBuf), CargoError> {
        if self.settings.public_key.is_some() || self.settings.signer_cmd.is_some() {
            let path = self.public_path();
            return Ok((read_public(&path)?, path));
        }
        let own = self.beside(&self.private_path());
        if own.exists() {
            return Ok((read_public(&own)?, own));
        }
        let private = self.usable_private_path()?;
        let public = self.beside(&private);
        match public.exists() {
            true => Ok((read_public(&public)?, public)),
            false => {
                let signer = KeySource::named(&private, None)?.open(&NoSecrets)?;
                Ok((signer.public_key().clone(), private))
            }
        }
    }

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

pub(super) fn read_public(path: &Path) -> Result<PublicKey, CargoError> {
    Ok(KeyPlace::from(path).public_key()?)
}
