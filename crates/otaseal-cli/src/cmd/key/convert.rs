//! `otaseal key convert`: writes a key in another form.

use super::super::KeyInfo;
use super::{failed, protection};
use crate::error::Failure;
use crate::io::{self, Content, Place, check_places};
use crate::passphrase::{NewPassphraseArgs, PassphraseArgs};
use crate::report::Outcome;
use clap::{Args, ValueEnum};
use otaseal::format::key_file::{self, Armor};
use otaseal::key::encryption::{self, Derivation, Encryption};
use otaseal::key::form::{PrivateForm, PublicForm};
use otaseal::key::passphrase::{Passphrase, SecretError, SecretKind, Secrets};
use otaseal::key::{PrivateKey, PublicKey};
use otaseal::output::{Access, Overwrite, same_file};
use serde::Serialize;
use std::cell::RefCell;
use std::fmt;
use std::io::IsTerminal;
use std::path::Path;

/// Write a key in another form: PKCS#8 or PKCS#1, PEM or DER, encrypted or not, or its public key alone
#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// The key: private or public
    #[arg(value_name = "FILE")]
    file: Place,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Encrypt with the new passphrase; without one, with the passphrase of FILE
    #[arg(long, help_heading = "Key")]
    encrypt: bool,
    /// Write an encrypted key without encryption: anyone who can read OUT can sign
    #[arg(long, conflicts_with = "encrypt", help_heading = "Key")]
    decrypt: bool,
    /// Derive the encryption key from the passphrase with scrypt or pbkdf2 [default: scrypt]
    #[arg(long, value_name = "KDF", requires = "encrypt", help_heading = "Key", hide_short_help = true)]
    kdf: Option<Derivation>,
    #[command(flatten)]
    new_passphrase: NewPassphraseArgs,
    /// Write the converted key to OUT
    #[arg(long, short, value_name = "OUT", help_heading = "Output")]
    output: Place,
    /// Use this form
    ///
    /// pkcs8 is PKCS#8, or SPKI for a public key. pkcs1 is PKCS#1.
    #[arg(
        long = "format",
        alias = "as",
        value_name = "FORM",
        value_enum,
        default_value = "pkcs8",
        help_heading = "Output"
    )]
    container: Container,
    /// Write DER instead of PEM
    #[arg(long, help_heading = "Output")]
    der: bool,
    /// Write only the public key
    #[arg(long, conflicts_with_all = ["encrypt", "decrypt"], help_heading = "Output")]
    public: bool,
    /// Replace an existing file; of the files with private keys, only FILE itself
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Container {
    Pkcs8,
    Pkcs1,
}

#[derive(Debug, Serialize)]
pub(crate) struct Converted {
    key: KeyInfo,
    output: String,
    #[serde(flatten)]
    holds: key_file::Recognised,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<Encryption>,
}

impl Outcome for Converted {
    fn key(&self) -> Option<String> {
        Some(self.key.to_string())
    }

    fn stdout_is_taken(&self) -> bool {
        self.output == "-"
    }
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "wrote    {}: {}", self.output, self.holds)?;
        if let Some(encryption) = &self.encryption {
            writeln!(f, "locked   {encryption}")?;
        }
        writeln!(f, "key id   {}", self.key)
    }
}

/// Remembers the passphrase that opened the key, so that it can protect the key again.
struct Remembered<'a> {
    secrets: &'a dyn Secrets,
    passphrase: RefCell<Option<Passphrase>>,
}

impl Secrets for Remembered<'_> {
    fn secret(&self, kind: SecretKind, what: &str) -> Result<Passphrase, SecretError> {
        let passphrase = self.secrets.secret(kind, what)?;
        *self.passphrase.borrow_mut() = Some(passphrase.clone());
        Ok(passphrase)
    }
}

pub(crate) fn run(args: &Convert) -> Result<Converted, Failure> {
    let secrets: Vec<_> = args.passphrase.input().into_iter().chain(args.new_passphrase.input()).collect();
    check_places(&[&args.file].into_iter().chain(&secrets).collect::<Vec<_>>(), &[])?;
    check_places(&secrets.iter().collect::<Vec<_>>(), &[&args.output])?;
    if args.encrypt && args.container == Container::Pkcs1 {
        return Err(Failure::usage(
            "otaseal does not encrypt PKCS#1",
            "omit --format to get PKCS#8, which every tool reads: encrypted PKCS#1 uses one round of MD5",
        ));
    }
    if args.new_passphrase.is_given() && !args.encrypt {
        return Err(Failure::usage("a new passphrase needs --encrypt", "add --encrypt"));
    }
    let wrong = |error| failed(&args.file, &error);
    let bytes = args.file.key_bytes()?;
    let armor = if args.der { Armor::Der } else { Armor::Pem };
    let is_private = key_file::recognise(&bytes).is_some_and(|found| found.kind.is_private());
    let remembered = Remembered { secrets: &args.passphrase, passphrase: RefCell::default() };
    let private = match is_private {
        true => Some(PrivateKey::from_bytes_with(&bytes, &args.file, &remembered).map_err(wrong)?),
        false => None,
    };
    let public = match &private {
        Some(key) => key.public().clone(),
        None => PublicKey::from_bytes(&bytes).map_err(wrong)?,
    };
    let (text, access) = match private.filter(|_| !args.public) {
        Some(key) => {
            let old = remembered.passphrase.into_inner();
            let new = new_passphrase(args, old)?;
            let form = match args.container {
                Container::Pkcs8 => PrivateForm::Pkcs8(protection(new.as_ref(), args.kdf)),
                Container::Pkcs1 => PrivateForm::Pkcs1,
            };
            (key.encode(form, armor).map_err(wrong)?, Access::OwnerOnly)
        }
        None if args.encrypt || args.decrypt => {
            return Err(Failure::usage(
                format_args!("{} is a public key", args.file),
                "omit --encrypt and --decrypt: a public key holds no secret",
            ));
        }
        None => {
            let form = match args.container {
                Container::Pkcs8 => PublicForm::Spki,
                Container::Pkcs1 => PublicForm::Pkcs1,
            };
            (public.encode(form, armor).map_err(wrong)?.into(), Access::Public)
        }
    };
    let encryption = encryption::describe(&text).map_err(wrong)?;
    let holds = key_file::recognise(&text).ok_or_else(|| wrong(otaseal::key::KeyError::NotAKey))?;
    match &args.output {
        Place::Path(path) => {
            write(args, path, &text, access)?;
        }
        Place::Std => {
            let bare = access == Access::OwnerOnly && encryption.is_none();
            if std::io::stdout().is_terminal() && (args.der || bare) {
                return Err(Failure::usage(
                    "a private key or binary would go to the terminal",
                    "redirect it, or give a file with -o",
                ));
            }
            let content = if args.der { Content::Binary } else { Content::Text };
            io::send(content, &text)?;
        }
    }
    Ok(Converted { key: KeyInfo::of(&public), output: args.output.name(), holds, encryption })
}

/// Writes the converted key. It may take the place of the file that it comes from, which then still holds the key, but
/// not the place of another private key. A public key never takes the place of its private key.
fn write(args: &Convert, path: &Path, key: &[u8], access: Access) -> Result<(), Failure> {
    let is_own = || args.file.path().is_some_and(|file| same_file(file, path));
    let overwrite = match args.force {
        false => Overwrite::Refuse,
        true if access == Access::OwnerOnly && is_own() => Overwrite::ReplaceKey,
        true => Overwrite::Replace,
    };
    Ok(io::this_run().write(path, key, overwrite, access)?)
}

/// Returns the passphrase for the converted key. If the old key has one, the user must say whether the new key has one:
/// a forgotten option must not decrypt a key.
fn new_passphrase(args: &Convert, old: Option<Passphrase>) -> Result<Option<Passphrase>, Failure> {
    match old {
        Some(old) if args.encrypt && !args.new_passphrase.is_given() => Ok(Some(old)),
        _ if args.encrypt => args.new_passphrase.new_secret(&args.output.to_string()).map(Some),
        Some(_) if !args.decrypt => Err(Failure::usage(
            format_args!("{} is encrypted", args.file),
            "add --encrypt or --decrypt, for the converted key",
        )),
        _ => Ok(None),
    }
}
