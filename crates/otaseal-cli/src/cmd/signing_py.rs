use super::KeyInfo;
use super::package::settings;
use super::sign::{self, Signed};
use crate::error::Failure;
use crate::io::{Place, check_places};
use crate::passphrase::PassphraseArgs;
use crate::policy::PolicyArgs;
use crate::report::Outcome;
use crate::signer::{self, CommandArgs};
use clap::{Args, ValueEnum};
use otaseal::output::Written;
use otaseal::project::emit;
use otaseal::sign::Scheme;
use otaseal::sign::source::KeySource;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// Stand in for the Arduino cores' tools/signing.py
///
/// Takes the same options and makes the same files, but fails when it fails: the script ends with success whatever
/// happens, and the build goes on without a signature.
#[derive(Debug, Args)]
#[command(infer_long_args = true, after_long_help = PLATFORM_TXT)]
#[command(mut_arg("signer_cmd", |command| command.requires("publickey")))]
pub(crate) struct SigningPy {
    /// What to do
    #[arg(long, short, value_enum)]
    mode: Mode,
    /// sign: the unsigned image
    #[arg(long, short, value_name = "FILE", required_if_eq("mode", "sign"))]
    bin: Option<PathBuf>,
    /// sign: the signed image; header: the C header
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// sign: also an image for esp8266 core 2.5.0 to 2.5.2
    #[arg(long, short, value_name = "FILE")]
    legacy: Option<PathBuf>,
    /// header: the public key; sign: the same, where a command signs
    #[arg(long, short, value_name = "FILE", required_if_eq("mode", "header"))]
    publickey: Option<PathBuf>,
    /// sign: the private key
    #[arg(long, short = 's', value_name = "FILE", conflicts_with = "signer_cmd")]
    privatekey: Option<PathBuf>,
    #[command(flatten)]
    command: CommandArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    policy: PolicyArgs,
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
    header: PathBuf,
    changed: bool,
}

impl Outcome for Done {
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
                writeln!(f, "{verb}  {}", header.display())?;
                writeln!(f, "key id   {key}")
            }
            Self::Signed(signed) => signed.fmt(f),
        }
    }
}

pub(crate) fn run(args: &SigningPy) -> Result<Done, Failure> {
    match (args.mode, &args.publickey, &args.bin) {
        (Mode::Header, Some(key), _) => header(key, &args.out).map(Done::Header),
        (Mode::Sign, _, Some(image)) => {
            let key = args.key()?;
            let out = Place::from(&*args.out);
            let legacy = args.legacy.as_deref().map(Place::from);
            let mut outputs = vec![(Scheme::Pkcs1v15Sha256, &out)];
            outputs.extend(legacy.as_ref().map(|legacy| (Scheme::Legacy, legacy)));
            let image = Place::from(&**image);
            let places: Vec<_> = outputs.iter().map(|(_, place)| *place).collect();
            let settings = settings(None)?;
            let read = args.passphrase.input().into_iter().chain(args.policy.inputs(&settings));
            let read: Vec<_> = read.chain(key.place().map(Place::from)).collect();
            check_places(&[&image].into_iter().chain(&read).collect::<Vec<_>>(), &places)?;
            let policy = args.policy.policy(&settings, image.path())?;
            let signer = signer::open(&key, &args.passphrase)?;
            let gate = policy.open(Some(&*signer))?;
            sign::sign(&image, &outputs, &gate, &*signer, policy.ledger.as_ref())
                .map(|signed| Done::Signed(Box::new(signed)))
        }
        _ => unreachable!("clap asks for what the mode needs"),
    }
}

impl SigningPy {
    /// What signs.
    fn key(&self) -> Result<KeySource, Failure> {
        let file = |path: &PathBuf| Place::from(&**path);
        let command = || self.command.source(&file(self.publickey.as_ref()?));
        match &self.privatekey {
            Some(private) => signer::source(&file(private), None),
            None => command().ok_or_else(|| {
                Failure::usage(
                    "--mode sign, and nothing says what signs",
                    "name the private key with --privatekey, or a command with --signer-cmd",
                )
            }),
        }
    }
}

/// A key that is missing, private or broken is an error. The script would write `ARDUINO_SIGNING 0` or the private
/// key itself into the firmware.
fn header(key: &Path, out: &Path) -> Result<Header, Failure> {
    let place = Place::from(key);
    check_places(&[&place], &[&Place::from(out)])?;
    let key = place.public_key()?;
    // The core's build directory may not be there yet when the hook runs.
    if let Some(parent) = out.parent() {
        std::fs::create_dir_all(parent).map_err(|error| Failure::write(parent, &error))?;
    }
    let text = emit::c_header(&key, &emit::arduino_array());
    let written = emit::place(out, &text, emit::Mode::Write, "")?;
    Ok(Header { key: KeyInfo::of(&key), header: out.into(), changed: written == Written::Changed })
}
