//! `otaseal pubkey`: writes a public key as source code, PEM or DER.

use super::KeyInfo;
use crate::error::Failure;
use crate::io::{Content, Place, Sink, check_places, this_run};
use crate::made::{OverwriteArgs, Replaces};
use crate::passphrase::PassphraseArgs;
use crate::report::{Outcome, Reporter};
use crate::settings::{HasSettings, SettingArgs};
use crate::signer;
use clap::{ArgGroup, Args, ValueEnum};
use otaseal::key::PublicKey;
use otaseal::output::{Made, Written};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::project::emit::{self, Identifier, Mode, RustForm, RustOptions, SelfTest};
use otaseal::project::settings::Command;
use otaseal::sign::source::KeySource;
use serde::Serialize;
use std::ffi::OsString;
use std::fmt;

/// Write a public key as source code, PEM or DER, or show its key id
///
/// otaseal writes the file only if its contents change, and replaces only source code that it made. It never writes a
/// private key.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("form_of_key").required(true).args(["rust", "c_header", "pem", "der", "fingerprint"])))]
#[command(group(ArgGroup::new("source").required(true).args(["key", "private_key"])))]
#[command(mut_arg("signer-cmd", |command| {
    command.conflicts_with_all(["private_key", "c_header", "pem", "der", "fingerprint"]).help(SIGNER_CMD)
}))]
pub(crate) struct Pubkey {
    /// Public key: SPKI or PKCS#1, PEM or DER
    key: Option<Place>,
    /// Take the public key of this private key
    ///
    /// FILE is a file, or the name of a key in a token: pkcs11:token=NAME;object=NAME. Rust source then also gets a
    /// signature for the device's self-test.
    #[arg(long, value_name = "FILE", help_heading = "Key")]
    private_key: Option<Place>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    settings: SettingArgs<Self>,
    /// Write the C header that the Arduino cores include as Updater_Signing.h
    #[arg(long, help_heading = "Output")]
    c_header: bool,
    /// Write Rust source for a no_std firmware
    #[arg(long, help_heading = "Output")]
    rust: bool,
    /// Write SPKI PEM
    #[arg(long, help_heading = "Output")]
    pem: bool,
    /// Write SPKI DER
    #[arg(long, help_heading = "Output")]
    der: bool,
    /// Show the key id: SHA-256 of the SPKI DER
    #[arg(long, help_heading = "Output")]
    fingerprint: bool,
    /// Write it to OUT [default: standard output]
    #[arg(long, short, value_name = "OUT", help_heading = "Output")]
    output: Option<Place>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Write the Rust source for this verifier [default: standalone]
    #[arg(long, value_enum, requires = "rust", help_heading = "Output", hide_short_help = true)]
    form: Option<Form>,
    /// Wrap the Rust source in `pub mod IDENT`
    #[arg(long, value_name = "IDENT", requires = "rust", value_parser = identifier, help_heading = "Output", hide_short_help = true)]
    module: Option<Identifier>,
    /// Use this name for the array in the C header [default: signing_pubkey]
    #[arg(long, value_name = "IDENT", requires = "c_header", value_parser = identifier, help_heading = "Output", hide_short_help = true)]
    array: Option<Identifier>,
    /// Write nothing, and exit with 1 if OUT does not hold this key
    #[arg(long, requires = "output", help_heading = "Checks")]
    check: bool,
}

impl HasSettings for Pubkey {
    const COMMAND: Command = Command::Pubkey;
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// Constants without any dependency
    Standalone,
    /// Also `KEY`, for the crate otaseal-device
    Device,
}

const SIGNER_CMD: &str = "Command that signs with the private key, as for `otaseal sign`; the Rust source then also gets \
                          a signature for the device's self-test";

fn identifier(text: &str) -> Result<Identifier, String> {
    text.parse()
        .map_err(|error: emit::IdentifierError| format!("{error}: {}", error.advice(Speaker::Program)))
}

#[derive(Debug, Serialize)]
pub(crate) struct Emitted {
    key: KeyInfo,
    /// Absent for the key id, which the report itself shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Written,
    Unchanged,
}

impl Outcome for Emitted {
    fn key(&self) -> Option<String> {
        Some(self.key.to_string())
    }

    fn warnings(&self) -> Vec<String> {
        self.key.warning().into_iter().collect()
    }

    fn stdout_is_taken(&self) -> bool {
        self.output.as_deref() == Some("-")
    }
}

impl fmt::Display for Emitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(output) = &self.output else { return writeln!(f, "{}", self.key.id) };
        match self.state {
            Some(State::Written) => writeln!(f, "wrote    {output}")?,
            Some(State::Unchanged) => writeln!(f, "current  {output}")?,
            None => {}
        }
        writeln!(f, "key id   {}", self.key)
    }
}

pub(crate) fn run(args: &Pubkey, reporter: &Reporter) -> Result<Emitted, Failure> {
    let secret = args.passphrase.input();
    let inputs: Vec<_> = args.key.iter().chain(&args.private_key).chain(&secret).collect();
    let outputs: Vec<_> = args.output.iter().collect();
    check_places(&inputs, &outputs)?;
    let holder = match (&args.key, &args.private_key) {
        (_, Some(place)) => Some((place, signer::source(place, None)?)),
        (Some(place), None) => {
            let command = args.settings.given().signing_command();
            command.map(|command| (place, KeySource::Command { command, public: place.into() }))
        }
        (None, None) => unreachable!("clap asks for one of the two"),
    };
    let (key, self_test) = match (&holder, &args.key) {
        (Some((place, source)), _) => {
            let _progress = reporter.progress("reading the key");
            let signer = signer::rehearsed(source.open(&args.passphrase)?)?;
            let self_test = args.rust.then(|| emit::self_test(&*signer)).transpose();
            let self_test = self_test.map_err(|error| Failure::policy(place, error.into()))?;
            (signer.public_key().clone(), self_test)
        }
        (None, Some(place)) => (place.public_key()?, None),
        (None, None) => unreachable!("clap asks for one of the two"),
    };
    let info = KeyInfo::of(&key);
    let text = contents(args, &key, self_test);
    let (output, state) = match &args.output {
        None if args.fingerprint => (None, None),
        None | Some(Place::Std) if args.check => {
            return Err(Failure::usage("--check needs a file", "give the file to check with -o"));
        }
        None | Some(Place::Std) => {
            let content = if args.der { Content::Binary } else { Content::Text };
            Sink::create(&Place::Std, content, Replaces::Any)?.put(&text)?;
            (Some("-".into()), None)
        }
        Some(place @ Place::Path(path)) => {
            let mode = if args.check { Mode::Check } else { Mode::Write };
            let made = match args.overwrite.over(Made::begins_as(&text)) {
                Replaces::Made(made) => Some(made),
                Replaces::Any => None,
            };
            let state = match emit::place(this_run(), path, &text, made, mode, &command_that_writes())? {
                Written::Changed => State::Written,
                Written::Unchanged => State::Unchanged,
            };
            (Some(place.name()), Some(state))
        }
    };
    Ok(Emitted { key: info, output, state })
}

fn contents(args: &Pubkey, key: &PublicKey, self_test: Option<SelfTest>) -> Vec<u8> {
    if args.rust {
        let form = match args.form {
            None | Some(Form::Standalone) => RustForm::Standalone,
            Some(Form::Device) => RustForm::Device,
        };
        let mut options = RustOptions::new(form);
        (options.module, options.self_test) = (args.module.clone(), self_test);
        emit::rust_source(key, &options).into()
    } else if args.c_header {
        emit::c_header(key, args.array.as_ref().unwrap_or(&emit::arduino_array())).into()
    } else if args.pem {
        key.to_spki_pem().into()
    } else if args.der {
        key.to_spki_der().into()
    } else {
        format!("{}\n", key.id()).into()
    }
}

/// Returns this command line without `--check`, for a shell.
fn command_that_writes() -> String {
    let args = std::env::args_os().skip(1).filter(|arg| arg != "--check");
    std::iter::once("otaseal".to_owned()).chain(args.map(quoted)).collect::<Vec<_>>().join(" ")
}

fn quoted(arg: OsString) -> String {
    let text = arg.to_string_lossy();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=,:+@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
