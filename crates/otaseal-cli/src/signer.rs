//! The key that signs: the options that name it, and how it is opened. Every command that signs has these.

use crate::error::Failure;
use crate::io::Place;
use clap::Args;
use otaseal::key::source::{KeySource, SourceError};
use otaseal::sign::Signer;

/// Which key signs.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// Private key: PKCS#8 or PKCS#1, PEM or DER
    #[arg(long, short, value_name = "KEY")]
    key: Option<Place>,
}

impl SignerArgs {
    /// The key that was named.
    pub(crate) fn named(&self) -> Option<&Place> {
        self.key.as_ref()
    }

    /// What is read to sign: none of it may be an output, and only one may be standard input.
    pub(crate) fn inputs(&self) -> Vec<&Place> {
        self.key.iter().collect()
    }

    /// Opens the key that was named, or else this one.
    pub(crate) fn open(&self, default: Option<&Place>) -> Result<Box<dyn Signer>, Failure> {
        match self.key.as_ref().or(default) {
            None => Err(Failure::usage("no key was named", "name the key that signs with --key")),
            Some(place) => open(place),
        }
    }
}

/// Opens a key by its place alone.
pub(crate) fn open(place: &Place) -> Result<Box<dyn Signer>, Failure> {
    match place {
        Place::Std => Ok(Box::new(place.private_key()?)),
        Place::Path(path) => Ok(KeySource::File(path.clone()).open()?),
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
