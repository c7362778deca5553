//! The key that signs: the options that name it, and how it is opened. Every command that signs has these.

use crate::error::Failure;
use crate::io::Place;
use crate::passphrase::PassphraseArgs;
use crate::settings::Chosen;
use clap::Args;
use otaseal::key::uri::{MODULE_VARIABLE, UriError};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::project::settings::SigningKey;
use otaseal::sign::Signer;
use otaseal::sign::source::{KeyPlace, KeySource, SourceError};
use std::path::{Path, PathBuf};

/// How the key that signs is reached.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// The token's PKCS#11 library, where the key's URI names none
    #[arg(long, value_name = "FILE", env = MODULE_VARIABLE, hide_env = true)]
    pkcs11_module: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl SignerArgs {
    /// The key that signs by these settings.
    pub(crate) fn key(&self, chosen: &Chosen) -> Result<SigningKey, Failure> {
        chosen.signing_key(self.pkcs11_module.as_deref())
    }

    /// The places that are read to sign: none of them may be an output, and only one may be standard input.
    pub(crate) fn inputs(&self, key: &SigningKey) -> Vec<Place> {
        key.source.place().map(Place::from).into_iter().chain(self.passphrase.input()).collect()
    }

    pub(crate) fn open(&self, key: &SigningKey) -> Result<Box<dyn Signer>, Failure> {
        open(&key.source, &self.passphrase)
    }
}

/// What a key is that is named like this; `module` is the token's library, where its URI names none.
pub(crate) fn source(place: &Place, module: Option<&Path>) -> Result<KeySource, Failure> {
    Ok(match place {
        Place::Std => KeySource::File(KeyPlace::Stdin),
        Place::Path(path) => KeySource::named(path, module)?,
    })
}

/// Opens a key.
pub(crate) fn open(source: &KeySource, passphrase: &PassphraseArgs) -> Result<Box<dyn Signer>, Failure> {
    if matches!(source, KeySource::Command { .. }) && passphrase.is_given() {
        return Err(Failure::usage(
            "a command signs: there is no passphrase to give",
            "leave it away, or name another key with --key",
        ));
    }
    Ok(source.open(passphrase)?)
}

impl From<UriError> for Failure {
    fn from(error: UriError) -> Self {
        Self::usage(&error, error.advice(Speaker::Program))
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Read { ref place, ref source } => {
                let failure = Self::read(&place.into(), source);
                match source.kind() {
                    std::io::ErrorKind::NotFound => Self { help: error.advice(Speaker::Program), ..failure },
                    _ => failure,
                }
            }
            SourceError::NotAName { .. } | SourceError::InToken => {
                Self::usage(&error, error.advice(Speaker::Program))
            }
            error => Self::of(&error),
        }
    }
}
