//! `otaseal key passwd`: adds, changes or removes the passphrase of a private key.

use super::super::KeyInfo;
use super::{failed, protection};
use crate::error::Failure;
use crate::io::{Place, check_places, refuse_std, this_run};
use crate::passphrase::{NewPassphraseArgs, PassphraseArgs};
use crate::report::Outcome;
use clap::Args;
use otaseal::format::{input, key_file};
use otaseal::key::PrivateKey;
use otaseal::key::encryption::{self, Derivation, Encryption};
use otaseal::key::form::PrivateForm;
use otaseal::key::passphrase::NoSecrets;
use otaseal::output::{Access, Overwrite};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Add, change or remove the passphrase of a private key
///
/// otaseal writes PKCS#8 that only the file's owner may read, and checks that it can open it again. Then it replaces
/// the old file in one step. If a step fails, the old file is still there.
#[derive(Debug, Args)]
pub(crate) struct Passwd {
    /// The private key: a file, which otaseal replaces
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    new_passphrase: NewPassphraseArgs,
    /// Remove the passphrase: anyone who can read the file can then sign
    #[arg(long, conflicts_with_all = ["new_passphrase", "kdf"], help_heading = "Key")]
    remove: bool,
    /// Derive the encryption key from the passphrase with scrypt or pbkdf2 [default: scrypt]
    #[arg(long, value_name = "KDF", help_heading = "Key", hide_short_help = true)]
    kdf: Option<Derivation>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Changed {
    key: KeyInfo,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<Encryption>,
}

impl Outcome for Changed {
    fn key(&self) -> Option<String> {
        Some(self.key.to_string())
    }

    fn warnings(&self) -> Vec<String> {
        self.key.warning().into_iter().collect()
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "key id   {}", self.key)?;
        writeln!(f, "private  {}", self.file)?;
        match &self.encryption {
            Some(encryption) => writeln!(f, "locked   {encryption}"),
            None => writeln!(f, "locked   no: anyone who can read the file can sign"),
        }
    }
}

pub(crate) fn run(args: &Passwd) -> Result<Changed, Failure> {
    refuse_std(&args.file, "otaseal replaces this file")?;
    let place = Place::from(&*args.file);
    input::check_regular(&args.file).map_err(|error| Failure {
        help: "give the file of the key: otaseal replaces it".into(),
        ..Failure::read(&place, &error)
    })?;
    let secrets: Vec<_> = args.passphrase.input().into_iter().chain(args.new_passphrase.input()).collect();
    check_places(&secrets.iter().collect::<Vec<_>>(), &[&place])?;
    let bytes = place.key_bytes()?;
    let armor = key_file::recognise(&bytes).map(|found| found.armor);
    let key = PrivateKey::from_bytes_with(&bytes, &place, &args.passphrase)
        .map_err(|error| failed(&place, &error))?;
    let is_locked = encryption::describe(&bytes).map_err(|error| failed(&place, &error))?.is_some();
    if args.remove && !is_locked {
        return Err(Failure::new(
            format_args!("{place} has no passphrase"),
            "omit --remove; otaseal changed nothing",
        ));
    }
    let new = match args.remove {
        true => None,
        false => Some(args.new_passphrase.new_secret(&place.to_string())?),
    };
    let form = PrivateForm::Pkcs8(protection(new.as_ref(), args.kdf));
    let bytes =
        key.encode(form, armor.unwrap_or(key_file::Armor::Pem)).map_err(|error| failed(&place, &error))?;
    // The old file may be the only copy. Replace it only if the new one opens.
    let again = match &new {
        Some(passphrase) => PrivateKey::from_bytes_with(&bytes, &place, passphrase),
        None => PrivateKey::from_bytes_with(&bytes, &place, &NoSecrets),
    };
    if again.map_err(|error| failed(&place, &error))?.public() != key.public() {
        return Err(Failure::new(
            format_args!("{place}: the encrypted key is another key"),
            "report this bug; otaseal changed nothing",
        ));
    }
    this_run().write(&args.file, &bytes, Overwrite::ReplaceKey, Access::OwnerOnly)?;
    let encryption = encryption::describe(&bytes).map_err(|error| failed(&place, &error))?;
    Ok(Changed { key: KeyInfo::of(key.public()), file: place.name(), encryption })
}
