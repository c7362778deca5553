//! Which key signs by these settings, and which public key goes with it. The program and `cargo xtask` both ask here.

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
    /// The private key's file or PKCS#11 URI; where a command signs, the file of its public key.
    pub name: PathBuf,
    /// Whether the example key stands in for the project's own.
    pub is_example: bool,
    /// The file of its public key, where there is one.
    pub public: Option<PathBuf>,
}

impl Settings {
    /// The key that signs. `root` is the directory of the project, `module` the library of a token whose URI names
    /// none.
    ///
    /// The example key stands in only where the file of the project's own key does not exist. A file that is there and
    /// cannot be read is an error when it is opened: a signature by a published key proves nothing.
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
            // It belongs to the project's own key.
            Some(public) if !is_example => Some(public.clone()),
            _ => Some(beside(name, root)).filter(|public| is_there(public)),
        };
        let source = KeySource::named(name, module)?;
        Ok(SigningKey { source, name: name.clone(), is_example, public })
    }

    /// Where the project's own private key is, or will be.
    pub fn private_path(&self, root: &Path) -> PathBuf {
        self.key.clone().unwrap_or_else(|| root.join("keys").join("private.pem"))
    }

    /// Where the public key of the project's own key is, or will be.
    pub fn public_path(&self, root: &Path) -> PathBuf {
        match &self.public_key {
            Some(public) => public.clone(),
            None if self.signer_cmd.is_some() => default_public(root),
            None => beside(&self.private_path(root), root),
        }
    }
}

/// `public.pem` in the directory of the private key. A token has no directory.
fn beside(private: &Path, root: &Path) -> PathBuf {
    match in_token(private) {
        None => private.with_file_name("public.pem"),
        Some(_) => default_public(root),
    }
}

fn default_public(root: &Path) -> PathBuf {
    root.join("keys").join("public.pem")
}

/// The PKCS#11 URI that stands in the place of a file.
pub(crate) fn in_token(private: &Path) -> Option<&str> {
    private.to_str().filter(|text| Pkcs11Uri::is_one(text))
}

/// Whether something has this name. Where the system cannot tell, or a link leads nowhere, there is something.
pub(crate) fn is_there(path: &Path) -> bool {
    !path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
