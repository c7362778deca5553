//! The key that signs: the options that name it, and how it is opened. Every command that signs has these.

use crate::error::Failure;
use crate::io::Place;
use crate::linted::linted;
use crate::passphrase::PassphraseArgs;
use clap::Args;
use otaseal::Purpose;
use otaseal::device::KeyId;
use otaseal::digest::Sha256Digest;
use otaseal::guard::Expected;
use otaseal::key::command::{CommandInput, CommandSigner, SigningCommand};
use otaseal::key::pkcs11::{MODULE_VARIABLE, Pkcs11Uri, UriError};
use otaseal::key::source::{KeySource, SourceError};
use otaseal::key::{PublicKey, parse_key_id};
use otaseal::sign::Signer;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which key signs.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// Private key: a file (PKCS#8 or PKCS#1, PEM or DER), or a key in a token (pkcs11:token=NAME;object=NAME). With
    /// --signer-cmd the public key
    #[arg(long, short, value_name = "KEY")]
    key: Option<Place>,
    /// Command that signs, run without a shell: it gets the DigestInfo on standard input and writes the signature to
    /// standard output (raw, hexadecimal or base64)
    #[arg(long, value_name = "COMMAND", value_parser = SigningCommand::parse, requires = "key", conflicts_with = "passphrase")]
    signer_cmd: Option<SigningCommand>,
    /// What the command gets: digest-info (51 bytes, for what only pads) or digest (32 bytes, for what makes the
    /// DigestInfo by itself) [default: digest-info]
    #[arg(long, value_name = "INPUT", requires = "signer_cmd")]
    signer_cmd_input: Option<CommandInput>,
    /// Seconds that the command may take; then it is killed [default: 60]
    #[arg(long, value_name = "SECONDS", requires = "signer_cmd", value_parser = seconds)]
    signer_timeout: Option<Duration>,
    /// The token's PKCS#11 library, where the key's URI names none
    #[arg(long, value_name = "FILE", env = MODULE_VARIABLE, hide_env = true)]
    pkcs11_module: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    const WRONG: &str = "expected a number of seconds from 1 to 86400";
    let seconds = text.parse().map_err(|_| WRONG)?;
    (1..=86_400).contains(&seconds).then(|| Duration::from_secs(seconds)).ok_or(WRONG)
}

impl SignerArgs {
    /// The key that was named.
    pub(crate) fn named(&self) -> Option<&Place> {
        self.key.as_ref()
    }

    /// What is read to sign: none of it may be an output, and only one may be standard input.
    pub(crate) fn inputs(&self, default: Option<&Place>) -> Vec<Place> {
        let file = self.key.as_ref().or(default).filter(|key| uri(key).is_none());
        file.into_iter().cloned().chain(self.passphrase.input()).collect()
    }

    /// Opens the key that was named, or else this one, when nothing speaks against it.
    pub(crate) fn open(&self, default: Option<&Place>, purpose: Purpose) -> Result<Box<dyn Signer>, Failure> {
        let signer = self.open_any(default)?;
        let named = self.key.as_ref().or(default).filter(|_| self.signer_cmd.is_none());
        linted(signer, named, purpose)
    }

    fn open_any(&self, default: Option<&Place>) -> Result<Box<dyn Signer>, Failure> {
        if let (Some(command), Some(key)) = (&self.signer_cmd, &self.key) {
            let mut command = command.clone();
            command.input = self.signer_cmd_input.unwrap_or(command.input);
            command.timeout = self.signer_timeout.unwrap_or(command.timeout);
            return Ok(Box::new(CommandSigner::new(command, key.public_key()?)));
        }
        match self.key.as_ref().or(default) {
            None => Err(Failure::usage("no key was named", "name the key that signs with --key")),
            Some(place) => open(place, self.pkcs11_module.as_deref(), &self.passphrase),
        }
    }
}

/// What was said beforehand that is to be signed, and by which key.
#[derive(Debug, Args)]
pub(crate) struct ExpectArgs {
    /// Refuse an input file of another SHA-256 than the build had
    #[arg(long, value_name = "HEX")]
    pub(crate) expect_sha256: Option<Sha256Digest>,
    /// Refuse a key of another key id
    #[arg(long, value_name = "HEX", value_parser = parse_key_id)]
    expect_key_id: Option<KeyId>,
}

impl ExpectArgs {
    pub(crate) fn expected(&self) -> Expected {
        Expected { key_id: self.expect_key_id, sha256: self.expect_sha256 }
    }

    /// Refuses one digest for many inputs.
    pub(crate) fn check_many(&self) -> Result<(), Failure> {
        match self.expect_sha256 {
            None => Ok(()),
            Some(_) => Err(Failure::usage(
                "one SHA-256 is expected of many inputs",
                "give each with its own --expect-sha256, in a run of its own",
            )),
        }
    }

    pub(crate) fn check_key(&self, key: &PublicKey) -> Result<(), Failure> {
        self.expected().check_key(key).map_err(|error| Failure::new(&error, error.help()))
    }
}

/// The PKCS#11 URI that a key is named by, if it is one and no file.
fn uri(place: &Place) -> Option<&str> {
    place.path()?.to_str().filter(|text| Pkcs11Uri::is_one(text))
}

/// Whether a key is a file that can be there or not.
pub(crate) fn is_file(path: &Path) -> bool {
    !path.to_str().is_some_and(Pkcs11Uri::is_one)
}

/// Reads a PKCS#11 URI of the command line.
pub(crate) fn parse_uri(text: &str) -> Result<Box<Pkcs11Uri>, Failure> {
    text.parse().map(Box::new).map_err(|error: UriError| Failure::usage(&error, error.help()))
}

/// Opens a key by its place.
pub(crate) fn open(
    place: &Place,
    module: Option<&Path>,
    passphrase: &PassphraseArgs,
) -> Result<Box<dyn Signer>, Failure> {
    if let Some(text) = uri(place) {
        let (uri, module) = (parse_uri(text)?, module.map(Path::to_owned));
        return Ok(KeySource::Pkcs11 { uri, module }.open(passphrase)?);
    }
    match place {
        Place::Std => Ok(Box::new(place.private_key(passphrase)?)),
        Place::Path(path) => Ok(KeySource::File(path.clone()).open(passphrase)?),
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Read { ref path, ref source } => {
                let failure = Self::read(&Place::Path(path.clone()), source);
                match source.kind() {
                    std::io::ErrorKind::NotFound => Self { help: error.help(), ..failure },
                    _ => failure,
                }
            }
            error => Self::new(&error, error.help()),
        }
    }
}
