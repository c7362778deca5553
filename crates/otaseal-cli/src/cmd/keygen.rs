//! `otaseal keygen`: makes a key pair.

use super::KeyInfo;
use crate::error::Failure;
use crate::io::{Content, Place, check_places, make_directory, refuse_std, send, this_run};
use crate::passphrase::PassphraseArgs;
use crate::report::{Outcome, Reporter};
use clap::{ArgGroup, Args};
use otaseal::format::secret::SecretBytes;
use otaseal::key::encryption::{Derivation, Protection};
use otaseal::key::pair::{PairError, PairFiles};
use otaseal::key::passphrase::Passphrase;
use otaseal::key::uri::MODULE_VARIABLE;
use otaseal::key::{KeyError, KeySize, PrivateKey};
use otaseal::output::{Access, Overwrite, Pending};
use otaseal::policy::lint::{self, InGit, NotIgnored};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::sign::pkcs11;
use serde::Serialize;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

/// Make an RSA key pair
///
/// otaseal writes the private key as PKCS#8 PEM that only its owner may read, and the public key as SPKI PEM. It writes
/// both files or none. Keep a copy of the private key in a safe place: devices that trust the public key take updates
/// from no other key.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("under_a_secret").args(["encrypt", "key"])))]
#[command(group(ArgGroup::new("private_half").args(["private", "key"])))]
#[command(mut_group("passphrase", |group| group.requires("under_a_secret")))]
pub(crate) struct Keygen {
    /// Size of the modulus in bits: 2048, 3072 or 4096
    #[arg(long, value_name = "BITS", default_value = "2048", value_parser = size, help_heading = "Key")]
    bits: KeySize,
    /// Make the key inside a token, which it never leaves
    ///
    /// URI is pkcs11:token=NAME;object=NAME. The passphrase options give the PIN.
    #[arg(long, short, value_name = "URI", conflicts_with_all = ["force", "kdf"], help_heading = "Key")]
    key: Option<String>,
    /// Use this PKCS#11 library if the URI names none
    #[arg(long, value_name = "FILE", env = MODULE_VARIABLE, hide_env = true, help_heading = "Key", hide_short_help = true)]
    pkcs11_module: Option<PathBuf>,
    /// Encrypt the private key under a passphrase (AES-256-CBC)
    #[arg(long, help_heading = "Key")]
    encrypt: bool,
    /// Derive the encryption key from the passphrase with scrypt or pbkdf2 [default: scrypt]
    #[arg(long, value_name = "KDF", requires = "encrypt", help_heading = "Key", hide_short_help = true)]
    kdf: Option<Derivation>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Write private.pem and public.pem to DIR
    ///
    /// otaseal makes DIR if it is missing.
    #[arg(long, short, value_name = "DIR", default_value = "keys", conflicts_with_all = ["private", "public"], help_heading = "Output")]
    out_dir: PathBuf,
    /// Write the private key to FILE instead of DIR/private.pem
    #[arg(long, value_name = "FILE", requires = "public", help_heading = "Output", hide_short_help = true)]
    private: Option<Place>,
    /// Write the public key to FILE instead of DIR/public.pem
    #[arg(
        long,
        value_name = "FILE",
        requires = "private_half",
        help_heading = "Output",
        hide_short_help = true
    )]
    public: Option<Place>,
    /// Replace existing files: the private key in them is then lost
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    force: bool,
}

fn size(text: &str) -> Result<KeySize, &'static str> {
    text.parse().ok().and_then(KeySize::from_bits).ok_or("expected 2048, 3072 or 4096")
}

#[derive(Debug, Serialize)]
pub(crate) struct Made {
    key: KeyInfo,
    private: String,
    encrypted: bool,
    public: String,
    /// Set if git would take the private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_ignored: Option<NotIgnored>,
}

impl Outcome for Made {
    fn warnings(&self) -> Vec<String> {
        let found = self.not_ignored.iter();
        found.map(|found| format!("{found}; {}", found.advice(Speaker::Program))).collect()
    }

    fn stdout_is_taken(&self) -> bool {
        self.private == "-" || self.public == "-"
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "key id   {}", self.key)?;
        writeln!(f, "private  {}{}", self.private, if self.encrypted { " (encrypted)" } else { "" })?;
        writeln!(f, "public   {}", self.public)
    }
}

pub(crate) fn run(args: &Keygen, reporter: &Reporter) -> Result<Made, Failure> {
    refuse_std(&args.out_dir, "the two files of a key pair need a directory")?;
    if let Some(uri) = &args.key {
        return in_token(args, uri, reporter);
    }
    let (private, public) = match (&args.private, &args.public) {
        (Some(private), Some(public)) => (private.clone(), public.clone()),
        _ => {
            make_directory(&args.out_dir)?;
            (
                args.out_dir.join("private.pem").as_path().into(),
                args.out_dir.join("public.pem").as_path().into(),
            )
        }
    };
    let overwrite = if args.force { Overwrite::ReplaceKey } else { Overwrite::Refuse };
    for file in [&private, &public] {
        check_places(&args.passphrase.input().iter().collect::<Vec<_>>(), &[file])?;
    }
    // Ask for the passphrase after opening the files and before making the key: neither work is then in vain.
    let passphrase = || {
        let secret = || args.passphrase.new_secret(&private.to_string());
        args.encrypt.then(secret).transpose()
    };
    let generate = || {
        let _progress = reporter.progress("making a key");
        PrivateKey::generate(args.bits).map_err(|error| key_failed(&error))
    };
    let key = match (&private, &public) {
        (Place::Path(private), Place::Path(public)) => {
            let failed = |error: PairError| Failure::of(&error);
            let files = PairFiles::stage_in(this_run(), private, public, overwrite).map_err(failed)?;
            let passphrase = passphrase()?;
            let key = generate()?;
            files.commit(&key, args.protection(passphrase.as_ref())).map_err(failed)?;
            key
        }
        (Place::Std, Place::Std) => {
            return Err(Failure::usage(
                "standard output is named twice",
                "write one of the two keys to a file: only one can go to -",
            ));
        }
        (Place::Std, Place::Path(public)) => {
            if io::stdout().is_terminal() && !args.encrypt {
                return Err(Failure::usage(
                    "a private key would go to the terminal",
                    "redirect it, or give a file with --private",
                ));
            }
            let file = this_run().create(public, overwrite.for_public(), Access::Public)?;
            let passphrase = passphrase()?;
            let key = generate()?;
            to_stdout(&args.pem(&key, passphrase.as_ref())?)?;
            fill(file, key.public().to_spki_pem().as_bytes())?;
            key
        }
        (Place::Path(private), Place::Std) => {
            let file = this_run().create(private, overwrite, Access::OwnerOnly)?;
            let passphrase = passphrase()?;
            let key = generate()?;
            fill(file, &args.pem(&key, passphrase.as_ref())?)?;
            to_stdout(key.public().to_spki_pem().as_bytes())?;
            key
        }
    };
    let not_ignored = match private.path().map(lint::in_git) {
        Some(InGit::NotIgnored(found)) => Some(found),
        _ => None,
    };
    let (private, public) = (private.name(), public.name());
    Ok(Made { key: KeyInfo::of(key.public()), private, encrypted: args.encrypt, public, not_ignored })
}

impl Keygen {
    fn protection<'a>(&self, passphrase: Option<&'a Passphrase>) -> Protection<'a> {
        let derivation = self.kdf.unwrap_or_default();
        passphrase.map_or(Protection::None, |passphrase| Protection::Passphrase(passphrase, derivation))
    }

    fn pem(&self, key: &PrivateKey, passphrase: Option<&Passphrase>) -> Result<SecretBytes, Failure> {
        key.to_pem(self.protection(passphrase)).map_err(|error| key_failed(&error))
    }
}

#[cfg(feature = "pkcs11")]
fn in_token(args: &Keygen, uri: &str, reporter: &Reporter) -> Result<Made, Failure> {
    let uri: otaseal::key::uri::Pkcs11Uri = uri.parse()?;
    crate::signer::check_module(args.pkcs11_module.as_deref())?;
    let public = match &args.public {
        Some(place) => place.clone(),
        None => {
            make_directory(&args.out_dir)?;
            args.out_dir.join("public.pem").as_path().into()
        }
    };
    check_places(&args.passphrase.input().iter().collect::<Vec<_>>(), &[&public])?;
    // Open the file first. If that failed later, the token would hold a key whose public key is in no file.
    let file = match &public {
        Place::Path(path) => Some(this_run().create(path, Overwrite::Refuse, Access::Public)?),
        Place::Std => None,
    };
    let key = {
        let _progress = reporter.progress("making a key in the token");
        pkcs11::generate(&uri, args.pkcs11_module.as_deref(), &args.passphrase, args.bits, this_run())
            .map_err(|error| Failure::of(&error))?
    };
    let written = match file {
        Some(file) => fill(file, key.to_spki_pem().as_bytes()),
        None => to_stdout(key.to_spki_pem().as_bytes()),
    };
    written.map_err(|failure| Failure {
        help: format!(
            "write the public key with `otaseal pubkey --private-key '{uri}' --pem`; the token has the private key"
        ),
        ..failure
    })?;
    let public = public.name();
    let private = uri.to_string();
    Ok(Made { key: KeyInfo::of(&key), private, encrypted: false, public, not_ignored: None })
}

#[cfg(not(feature = "pkcs11"))]
fn in_token(_: &Keygen, _: &str, _: &Reporter) -> Result<Made, Failure> {
    let error = pkcs11::Pkcs11Error::NotBuilt;
    Err(Failure::of(&error))
}

fn key_failed(error: &KeyError) -> Failure {
    Failure::of(error)
}

fn fill(mut file: Pending, bytes: &[u8]) -> Result<(), Failure> {
    file.write_all(bytes).map_err(|error| Failure::write(file.destination(), &error))?;
    Ok(file.commit()?)
}

fn to_stdout(bytes: &[u8]) -> Result<(), Failure> {
    // Nobody can make this key again, so a reader that goes away is a failure.
    send(Content::Binary, bytes)
}
