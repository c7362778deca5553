//! The key that signs: the options that name it, and how it is opened. Every command that signs has these.

use crate::error::Failure;
use crate::io::Place;
use crate::passphrase::PassphraseArgs;
use clap::Args;
use otaseal::key::uri::{MODULE_VARIABLE, Pkcs11Uri, UriError};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::sign::Signer;
use otaseal::sign::command::{self, CommandInput, SigningCommand};
use otaseal::sign::source::{KeyPlace, KeySource, SourceError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A command that signs, in place of a private key.
#[derive(Debug, Args)]
pub(crate) struct CommandArgs {
    /// Command that signs, run without a shell: it gets the DigestInfo on standard input and writes the signature to
    /// standard output (raw, hexadecimal or base64)
    #[arg(long, value_name = "COMMAND", conflicts_with = "passphrase")]
    signer_cmd: Option<SigningCommand>,
    /// What the command gets: digest-info (51 bytes, for what only pads) or digest (32 bytes, for what makes the
    /// DigestInfo by itself) [default: digest-info]
    #[arg(long, value_name = "INPUT", requires = "signer_cmd")]
    signer_cmd_input: Option<CommandInput>,
    /// Seconds that the command may take; then it is killed [default: 60]
    #[arg(long, value_name = "SECONDS", requires = "signer_cmd", value_parser = seconds)]
    signer_timeout: Option<Duration>,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    // Zero stands for what is no number: it is refused with the same words.
    command::timeout(text.parse().unwrap_or(0))
}

impl CommandArgs {
    /// The command, with the public key that belongs to its key.
    pub(crate) fn source(&self, public: &Place) -> Option<KeySource> {
        let mut command = self.signer_cmd.clone()?;
        command.input = self.signer_cmd_input.unwrap_or(command.input);
        command.timeout = self.signer_timeout.unwrap_or(command.timeout);
        Some(KeySource::Command { command, public: public.into() })
    }
}

/// Which key signs.
#[derive(Debug, Args)]
#[command(mut_arg("signer_cmd", |command| command.requires("key")))]
pub(crate) struct SignerArgs {
    /// Private key: a file (PKCS#8 or PKCS#1, PEM or DER), or a key in a token (pkcs11:token=NAME;object=NAME). With
    /// --signer-cmd the public key
    #[arg(long, short, value_name = "KEY")]
    key: Option<Place>,
    #[command(flatten)]
    command: CommandArgs,
    /// The token's PKCS#11 library, where the key's URI names none
    #[arg(long, value_name = "FILE", env = MODULE_VARIABLE, hide_env = true)]
    pkcs11_module: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl SignerArgs {
    /// The key that was named.
    pub(crate) fn named(&self) -> Option<&Place> {
        self.key.as_ref()
    }

    /// What a private key is that is named like this.
    pub(crate) fn private(&self, key: &Place) -> Result<KeySource, Failure> {
        source(key, self.pkcs11_module.as_deref())
    }

    /// What is read to sign: none of it may be an output, and only one may be standard input.
    pub(crate) fn inputs(&self, default: Option<&KeySource>) -> Vec<Place> {
        let file = match &self.key {
            Some(key) => Some(key.clone()).filter(is_read),
            None => default.and_then(KeySource::place).map(Place::from),
        };
        file.into_iter().chain(self.passphrase.input()).collect()
    }

    /// Opens the key that was named, or else this one.
    pub(crate) fn open(&self, default: Option<&KeySource>) -> Result<Box<dyn Signer>, Failure> {
        let named =
            self.key.as_ref().map(|key| self.command.source(key).map_or_else(|| self.private(key), Ok));
        let named = named.transpose()?;
        match named.as_ref().or(default) {
            None => Err(Failure::usage("no key was named", "name the key that signs with --key")),
            Some(source) => open(source, &self.passphrase),
        }
    }
}

/// Whether a key is read from somewhere, and not in a token.
fn is_read(place: &Place) -> bool {
    !place.path().and_then(Path::to_str).is_some_and(Pkcs11Uri::is_one)
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
