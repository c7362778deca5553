//! `otaseal signing-py`: replaces the Arduino cores' `tools/signing.py`.

use super::KeyInfo;
use super::sign::{self, Signed};
use crate::error::Failure;
use crate::io::{Content, Place, Sink, check_places, make_directory, this_run};
use crate::made::Replaces;
use crate::passphrase::PassphraseArgs;
use crate::policy::PolicyArgs;
use crate::report::{Outcome, Reporter};
use crate::settings::{BySettings, Chosen, HasSettings, SettingArgs};
use crate::signer;
use clap::{Args, ValueEnum};
use otaseal::output::Written;
use otaseal::project::emit;
use otaseal::project::settings::Command;
use otaseal::sign::Scheme;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Replace the Arduino cores' tools/signing.py
///
/// This command takes the same options and makes the same files. If signing fails, its exit code says so. The script
/// always ends with success, and the build goes on without a signature.
#[derive(Debug, Args)]
#[command(infer_long_args = true, after_long_help = PLATFORM_TXT)]
#[command(mut_arg("signer-cmd", |command| command.requires("publickey")))]
pub(crate) struct SigningPy {
    /// sign: the private key
    #[arg(long, short = 's', value_name = "FILE", conflicts_with = "signer-cmd", help_heading = "Key")]
    privatekey: Option<PathBuf>,
    /// header: the public key; sign: the public key, if a command signs
    #[arg(long, short, value_name = "FILE", help_heading = "Key")]
    publickey: Option<PathBuf>,
    /// Do this
    #[arg(long, short, value_enum, help_heading = "Output")]
    mode: Mode,
    /// sign: the unsigned image
    #[arg(long, short, value_name = "FILE", required_if_eq("mode", "sign"), help_heading = "Output")]
    bin: Option<Place>,
    /// sign: the signed image; header: the C header
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    out: Place,
    /// sign: also write an image with a legacy signature, for esp8266 core 2.5.0 to 2.5.2
    #[arg(long, short, value_name = "FILE", help_heading = "Output", hide_short_help = true)]
    legacy: Option<Place>,
    #[command(flatten)]
    settings: SettingArgs<Self>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

impl HasSettings for SigningPy {
    const COMMAND: Command = Command::SigningPy;
}

const PLATFORM_TXT: &str = include_str!("signing_py.txt");

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Write Updater_Signing.h from the public key
    Header,
    /// Sign an image with the private key
    Sign,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Done {
    Header(Header),
    Signed(Box<Signed>),
}

#[derive(Debug, Serialize)]
pub(crate) struct Header {
    key: KeyInfo,
    header: String,
    changed: bool,
}

impl Outcome for Done {
    fn key(&self) -> Option<String> {
        match self {
            Self::Header(header) => Some(header.key.to_string()),
            Self::Signed(signed) => signed.key(),
        }
    }

    fn stdout_is_taken(&self) -> bool {
        match self {
            Self::Header(header) => header.header == "-",
            Self::Signed(signed) => signed.stdout_is_taken(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        match self {
            Self::Header(header) => header.key.warning().into_iter().collect(),
            Self::Signed(signed) => signed.warnings(),
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(Header { key, header, changed }) => {
                let verb = if *changed { "wrote  " } else { "current" };
                writeln!(f, "{verb}  {header}")?;
                writeln!(f, "key id   {key}")
            }
            Self::Signed(signed) => signed.fmt(f),
        }
    }
}

pub(crate) fn run(args: &SigningPy, reporter: &Reporter) -> Result<BySettings<Done>, Failure> {
    let mut given = args.settings.given().clone();
    given.key.clone_from(&args.privatekey);
    // The script ignores the public key when it signs with a private one.
    let has_use = args.mode == Mode::Header || given.signer_cmd.is_some();
    given.public_key = args.publickey.clone().filter(|_| has_use);
    let chosen = args.settings.choose_below(given)?;
    chosen.require_key(match args.mode {
        Mode::Header => "--publickey",
        Mode::Sign => "--privatekey",
    })?;
    let _progress = reporter.progress("signing");
    let done = match (args.mode, &args.bin) {
        (Mode::Header, _) => Done::Header(header(&chosen, &args.out)?),
        (Mode::Sign, Some(image)) => Done::Signed(Box::new(sign(args, &chosen, image)?)),
        (Mode::Sign, None) => unreachable!("clap asks for it"),
    };
    Ok(chosen.report(done))
}

fn sign(args: &SigningPy, chosen: &Chosen, image: &Place) -> Result<Signed, Failure> {
    let key = chosen.signing_key(None)?;
    let mut outputs = vec![(Scheme::Pkcs1v15Sha256, &args.out)];
    outputs.extend(args.legacy.as_ref().map(|legacy| (Scheme::Legacy, legacy)));
    let places: Vec<_> = outputs.iter().map(|(_, place)| *place).collect();
    let read = args.passphrase.input().into_iter().chain(args.policy.inputs(chosen));
    let read: Vec<_> = read.chain(key.source.place().map(Place::from)).collect();
    check_places(&[image].into_iter().chain(&read).collect::<Vec<_>>(), &places)?;
    let policy = args.policy.policy(&chosen.settings, Some(&key), image.path())?;
    let signer = signer::open(&key.source, &args.passphrase)?;
    let gate = policy.open(Some(&*signer))?;
    // The script replaces any file.
    sign::sign(image, &outputs, &Replaces::Any, &gate, &*signer, policy.ledger.as_ref())
}

/// Writes the header. A key that is missing, private or broken is an error. The script would write `ARDUINO_SIGNING 0`
/// or the private key itself into the firmware.
fn header(chosen: &Chosen, out: &Place) -> Result<Header, Failure> {
    let place = chosen.public_key()?;
    let read: Vec<_> = [place.clone()].into_iter().chain(chosen.input()).collect();
    check_places(&read.iter().collect::<Vec<_>>(), &[out])?;
    let key = place.public_key()?;
    let text = emit::c_header(&key, &emit::arduino_array());
    let Some(path) = out.path() else {
        Sink::create(out, Content::Text, Replaces::Any)?.put(text.as_bytes())?;
        return Ok(Header { key: KeyInfo::of(&key), header: out.name(), changed: true });
    };
    // When Arduino runs this hook, the core's build directory may not exist yet.
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    let written = emit::place(this_run(), path, &text, None, emit::Mode::Write, "")?;
    Ok(Header { key: KeyInfo::of(&key), header: out.name(), changed: written == Written::Changed })
}
