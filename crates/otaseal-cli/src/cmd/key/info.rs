//! `otaseal key info`: shows what a key file holds.

use super::super::KeyInfo;
use crate::error::Failure;
use crate::io::{Place, check_places};
use crate::passphrase::PassphraseArgs;
use crate::report::Outcome;
use clap::Args;
use otaseal::format::key_file::{self, Armor, Recognised};
use otaseal::key::encryption::{self, Encryption};
use otaseal::key::{KeyError, PrivateKey, PublicKey};
use serde::Serialize;
use std::fmt;

/// Show what a key file holds
///
/// otaseal shows the kind and the form of the key, its key id and its encryption. None of this is secret. For the key
/// id of an encrypted key, give the passphrase with an option: otaseal does not ask for it.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// The key file
    #[arg(value_name = "FILE")]
    file: Place,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Debug, Serialize)]
pub(crate) struct Found {
    file: String,
    #[serde(flatten)]
    recognised: Recognised,
    private: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<Encryption>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyInfo>,
    /// The fault of the key, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Outcome for Found {
    fn warnings(&self) -> Vec<String> {
        let weak = self.encryption.as_ref().filter(|encryption| encryption.is_weak()).map(|encryption| {
            format!(
                "the passphrase protects the key badly: an attacker can test guesses fast ({encryption}); encrypt the \
                 key again with `otaseal key passwd`"
            )
        });
        self.key.as_ref().and_then(KeyInfo::warning).into_iter().chain(weak).collect()
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let armor = match self.recognised.armor {
            Armor::Pem => "PEM",
            Armor::Der => "DER",
        };
        writeln!(f, "file     {}", self.file)?;
        writeln!(f, "holds    {}, {armor}", self.recognised)?;
        if let Some(encryption) = &self.encryption {
            writeln!(f, "locked   {encryption}")?;
        }
        if let Some(key) = &self.key {
            writeln!(f, "key id   {key}")?;
        }
        if let Some(problem) = &self.problem {
            writeln!(f, "problem  {problem}")?;
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Info) -> Result<Found, Failure> {
    let secret = args.passphrase.input();
    check_places(&[&args.file].into_iter().chain(&secret).collect::<Vec<_>>(), &[])?;
    let bytes = args.file.key_bytes()?;
    let failed = |error| Failure::key(&args.file, &error);
    let described = encryption::describe(&bytes);
    let recognised = match (&described, key_file::recognise(&bytes)) {
        (_, Some(recognised)) => recognised,
        (Err(error), None) => return Err(failed(error.clone())),
        (Ok(_), None) => return Err(failed(KeyError::NotAKey)),
    };
    let is_private = recognised.kind.is_private();
    let (encryption, mut problem) = match described {
        Ok(encryption) => (encryption, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let key = match (&encryption, is_private) {
        (Some(_), _) if !args.passphrase.is_given() => None,
        (_, true) if problem.is_none() => {
            match PrivateKey::from_bytes_with(&bytes, &args.file, &args.passphrase) {
                Ok(key) => Some(KeyInfo::of(key.public())),
                Err(error @ (KeyError::WrongPassphrase | KeyError::Secret(_))) => return Err(failed(error)),
                Err(KeyError::NotPrivate(_)) => None,
                Err(error) => {
                    problem = Some(error.to_string());
                    None
                }
            }
        }
        (_, true) => None,
        (_, false) => match PublicKey::from_bytes(&bytes) {
            Ok(key) => Some(KeyInfo::of(&key)),
            Err(KeyError::NotPublic(_)) => None,
            Err(error) => {
                problem = Some(error.to_string());
                None
            }
        },
    };
    Ok(Found { file: args.file.name(), recognised, private: is_private, encryption, key, problem })
}
