//! Finds the key that signs and its public key in the settings. The program and `cargo xtask` both call it.

use super::Settings;
use crate::key::uri::{Pkcs11Uri, UriError};
use crate::sign::source::{KeyPlace, KeySource};
use std::io;
use std::path::{Path, PathBuf};

/// The key that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SigningKey {
    /// How to open it.
    pub source: KeySource,
    /// The private key's file or PKCS#11 URI. If a command signs, the file of its public key.
    pub name: PathBuf,
    /// Whether this is the example key, because the project has no key yet.
    pub is_example: bool,
    /// The file of its public key, if there is one.
    pub public: Option<PathBuf>,
}

impl Settings {
    /// Returns the key that signs. `root` is the directory of the project. `module` is the PKCS#11 library of a token
    /// whose URI names none.
    ///
    /// The example key signs only if the file of the project's own key does not exist. If the file exists and otaseal
    /// cannot read it, opening the key fails: a signature by a published key proves nothing.
    ///
    /// # Errors
    /// [`UriError`].
    pub fn signing_key(&self, root: &Path, module: Option<&Path>) -> Result<SigningKey, UriError> {
        if let Some(command) = self.signing_command() {
            let name = self.public_path(root);
            let source = KeySource::Command { command, public: KeyPlace::Path(name.clone()) };
            return Ok(SigningKey { source, public: Some(name.clone()), name, is_example: false });
        }
        let own = self.private_path(root);
        let example = self.example_key.as_ref().filter(|_| in_token(&own).is_none() && !is_there(&own));
        let (name, is_example) = (example.unwrap_or(&own), example.is_some());
        let public = match &self.public_key {
            // `public-key` names the public key of the project's own key.
            Some(public) if !is_example => Some(public.clone()),
            _ => Some(beside(name, root)).filter(|public| is_there(public)),
        };
        let source = KeySource::named(name, module)?;
        Ok(SigningKey { source, name: name.clone(), is_example, public })
    }

    /// Returns the path of the project's own private key, whether it exists or not.
    pub fn private_path(&self, root: &Path) -> PathBuf {
        self.key.clone().unwrap_or_else(|| root.join("keys").join("private.pem"))
    }

    /// Returns the path of the project's own public key, whether it exists or not.
    pub fn public_path(&self, root: &Path) -> PathBuf {
        match &self.public_key {
            Some(public) => public.clone(),
            None if self.signer_cmd.is_some() => default_public(root),
            None => beside(&self.private_path(root), root),
        }
    }
}

/// Returns `public.pem` in the directory of the private key. A token has no directory: there it is the default.
fn beside(private: &Path, root: &Path) -> PathBuf {
    match in_token(private) {
        None => private.with_file_name("public.pem"),
        Some(_) => default_public(root),
    }
}

fn default_public(root: &Path) -> PathBuf {
    root.join("keys").join("public.pem")
}

/// Returns the PKCS#11 URI, if this is one and not a file name.
pub(crate) fn in_token(private: &Path) -> Option<&str> {
    private.to_str().filter(|text| Pkcs11Uri::is_one(text))
}

/// Returns whether something has this name. A link that leads nowhere counts, and so does a name that the system
/// cannot look up.
pub(crate) fn is_there(path: &Path) -> bool {
    !path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
