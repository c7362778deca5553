//! Opens the key that signs. Every command that signs has these options.

use crate::error::Failure;
use crate::io::{Place, refuse_std, this_run};
use crate::passphrase::PassphraseArgs;
use crate::settings::Chosen;
use clap::Args;
use otaseal::format::input;
use otaseal::key::passphrase::{NoSecrets, Secrets};
use otaseal::key::uri::{MODULE_VARIABLE, UriError};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::project::settings::{Settings, SigningKey};
use otaseal::sign::source::{KeyPlace, KeySource, SourceError};
use otaseal::sign::{Signer, rehearsing};
use std::path::{Path, PathBuf};

/// Options for opening the key that signs.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// Use this PKCS#11 library if the key's URI names none
    #[arg(long, value_name = "FILE", env = MODULE_VARIABLE, hide_env = true, help_heading = "Key", hide_short_help = true)]
    pkcs11_module: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl SignerArgs {
    /// Returns the key that signs, by the settings.
    pub(crate) fn key(&self, chosen: &Chosen) -> Result<SigningKey, Failure> {
        check_module(self.pkcs11_module.as_deref())?;
        chosen.signing_key(self.pkcs11_module.as_deref())
    }

    /// Returns the files of the key, its passphrase and its library. No output may replace one of them, and only one
    /// input may be standard input.
    pub(crate) fn inputs(&self, key: &SigningKey) -> Vec<Place> {
        let library = self.pkcs11_module.as_deref().map(Place::from);
        let key = key.source.place().map(Place::from).into_iter();
        key.chain(self.passphrase.input()).chain(library).collect()
    }

    /// Returns whether an option says where the passphrase or PIN is.
    pub(crate) fn has_secret(&self) -> bool {
        self.passphrase.is_given()
    }

    /// Returns whether the command line names the key that signs, or says how to open it. `given` are the settings of the
    /// command line. otaseal then opens the key even if nobody needs a signature.
    pub(crate) fn names_key(&self, given: &Settings) -> bool {
        given.key.is_some() || given.signer_cmd.is_some() || self.has_secret()
    }

    /// Opens the key, and does not ask the user for a passphrase or a PIN.
    pub(crate) fn open_unasked(&self, key: &SigningKey) -> Result<Box<dyn Signer>, SourceError> {
        let secrets: &dyn Secrets = if self.has_secret() { &self.passphrase } else { &NoSecrets };
        key.source.open(secrets)
    }

    pub(crate) fn open(&self, key: &SigningKey) -> Result<Box<dyn Signer>, Failure> {
        open(&key.source, &self.passphrase)
    }
}

/// Returns whether the private key is in a file, and there is no such file.
pub(crate) fn is_missing(key: &SigningKey) -> bool {
    let found = key.source.private_file().map(Path::symlink_metadata);
    matches!(found, Some(Err(error)) if error.kind() == std::io::ErrorKind::NotFound)
}

/// Refuses a library that no stream or device can be: the system would wait for it.
pub(crate) fn check_module(module: Option<&Path>) -> Result<(), Failure> {
    let Some(module) = module else { return Ok(()) };
    refuse_std(module, "the system loads this library by its name")?;
    input::check_regular(module).map_err(|error| Failure::read(&module.into(), &error))
}

/// Returns the source of a key with this name. `module` is the library of a token whose URI names none.
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
            "a command signs: it takes no passphrase",
            "omit the passphrase option, or name another key with --key",
        ));
    }
    rehearsed(source.open(passphrase)?)
}

/// Returns the signer for this run: in a dry run, one that asks no token and no command.
pub(crate) fn rehearsed(signer: Box<dyn Signer>) -> Result<Box<dyn Signer>, Failure> {
    match this_run().is_dry() {
        true => rehearsing(signer).map_err(|error| Failure::of(&error)),
        false => Ok(signer),
    }
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
