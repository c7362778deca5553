//! Opens the keys of a project.

use super::CargoError;
use super::project::Project;
use crate::key::PublicKey;
use crate::key::passphrase::{NoSecrets, PassphraseSource};
use crate::project::settings::{SigningKey, is_there};
use crate::sign::Signer;
use crate::sign::source::{KeyPlace, KeySource};
use std::path::{Path, PathBuf};

/// The key that signs, with the name of its file.
pub(super) struct Keys {
    pub(super) signer: Box<dyn Signer>,
    /// The private key's file or its PKCS#11 URI. If a command signs, the public key's file.
    pub(super) name: PathBuf,
    /// The file of its public key, if there is one. [`Project::keys`] has compared the two.
    pub(super) public_path: Option<PathBuf>,
}

impl Project {
    fn signing_key(&self) -> Result<SigningKey, CargoError> {
        let key = self.settings.signing_key(&self.root, None)?;
        match key.source.private_file() {
            Some(file) if !is_there(file) => Err(CargoError::NoKey(file.into())),
            _ => Ok(key),
        }
    }

    /// Opens the key that signs, and checks that its public key file belongs to it.
    pub(super) fn keys(&self, passphrase: &Option<PassphraseSource>) -> Result<Keys, CargoError> {
        let key = self.signing_key()?;
        if matches!(key.source, KeySource::Command { .. }) {
            if passphrase.is_some() {
                return Err(CargoError::Usage("a command signs: it takes no passphrase".into()));
            }
            let signer = key.source.open(&NoSecrets)?;
            return Ok(Keys { signer, name: key.name, public_path: key.public });
        }
        let signer = key.source.open(passphrase)?;
        if let Some(path) = &key.public {
            let (public_id, private_id) = (read_public(path)?.id(), signer.public_key().id());
            if public_id != private_id {
                let (public, private) = (path.clone(), key.name);
                return Err(CargoError::KeyPair { public, private, public_id, private_id });
            }
        }
        Ok(Keys { signer, name: key.name, public_path: key.public })
    }

    /// Returns the public key that verifies images. It opens the private key only if there is no public key file.
    pub(super) fn public_key(&self) -> Result<(PublicKey, PathBuf), CargoError> {
        let own = self.settings.public_path(&self.root);
        if self.settings.public_key.is_some() || self.settings.signer_cmd.is_some() || is_there(&own) {
            return Ok((read_public(&own)?, own));
        }
        let key = self.signing_key()?;
        match key.public {
            Some(public) => Ok((read_public(&public)?, public)),
            None => Ok((key.source.open(&NoSecrets)?.public_key().clone(), key.name)),
        }
    }
}

pub(super) fn read_public(path: &Path) -> Result<PublicKey, CargoError> {
    Ok(KeyPlace::from(path).public_key()?)
}
