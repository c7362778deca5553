//! Parses the command line of `cargo xtask sign|keygen|pubkey|verify`, and writes its help.

use super::CargoError;
use super::keygen::Keygen;
use super::keys::read_public;
use super::tasks::{Pubkey, Request, Verify};
use crate::key::material;
use crate::key::passphrase::{NotASource, PassphraseSource, descriptor_number, variable_name};
use crate::key::{KeySize, parse_key_id};
use crate::output::{Overwrite, Run};
use crate::policy::Purpose;
use crate::policy::continuity::WithoutKey;
use crate::project::emit::Mode;
use crate::project::settings::Command;
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

/// A parsed command line.
pub(super) enum Task {
    Help(String),
    Sign(Request),
    Keygen(Keygen),
    Pubkey(Pubkey),
    Verify(Verify),
}

const HELP: &str = "\
cargo xtask TASK: build, sign and verify this project's firmware

Tasks:
  sign     build the firmware, package it, verify every signed image
  keygen   make the key pair: keys/private.pem and keys/public.pem
  pubkey   write the public key into the source files of the setting `emit`
  verify   judge the package, or any image, with the public key

Type `cargo xtask TASK --help` to see the options of a task. The tasks read their settings from
[workspace.metadata.otaseal] and [package.metadata.otaseal] in Cargo.toml.
Exit codes: 0 done or accepted, 1 judged and rejected, 2 usage, 3 could not do it.
";

/// Returns the help of one task. The options for settings come from the table of settings.
fn help(task: Command, title: &str, own: &[Own]) -> Task {
    let mut text = format!("cargo xtask {}\n\n", title);
    for setting in task.options() {
        let option = match setting.is_switch() {
            true => format!("--{}[=false]", setting.option(task)),
            false => format!("--{} {}", setting.option(task), setting.value),
        };
        let default = setting.default(task);
        let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        text.push_str(&entry(
            &option,
            &(setting.documentation().trim_end_matches('.').to_owned() + &default),
        ));
    }
    text.push('\n');
    own.iter().copied().flatten().for_each(|(option, help)| text.push_str(&entry(option, help)));
    Task::Help(text)
}

/// Width of the options column, and of the text beside it.
const COLUMNS: (usize, usize) = (25, 95);

/// Returns an option and its help, wrapped.
fn entry(option: &str, help: &str) -> String {
    let (margin, width) = COLUMNS;
    let mut lines = vec![String::new()];
    for word in help.split_whitespace() {
        let full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + word.len() >= width);
        if full {
            lines.push(String::new());
        }
        let Some(line) = lines.last_mut() else { continue };
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let option = format!("  {option}");
    let own_line = option.len() + 2 > margin;
    let first = if own_line { format!("{option}\n{:margin$}", "") } else { format!("{option:margin$}") };
    first + &lines.join(&format!("\n{:margin$}", "")) + "\n"
}

/// Options that are not settings, and their help.
type Own = &'static [(&'static str, &'static str)];

const DRY: Own = &[("--dry-run", "Make every check, say what would be written, and write nothing")];
const COMMON: Own = &[("--manifest-path FILE", "The project's Cargo.toml")];

const PASSPHRASE: Own = &[(
    "--passphrase-file FILE, --passphrase-fd N, --passphrase-env NAME",
    "Read the passphrase of an encrypted key, or the PIN of a token, from here",
)];

const SIGN: Own = &[
    ("--release", "Sign a release, which may go to devices; it needs a ledger and a key that is fit for it"),
    (
        "--rotate-to KEYID",
        "Let the firmware carry this new key, which its devices then trust; may be repeated",
    ),
    ("--allow-no-key", "Sign firmware that holds no public key: its devices check no further update"),
    ("--sbom", "Make a bill of materials (CycloneDX) of the Cargo packages, and put it into the package"),
    ("--build-id ID", "Name of the build in the ledger [the name from the CI system]"),
    ("--kind KIND", "Kind of the image: firmware or filesystem [firmware]"),
    ("--expect-public FILE", "Refuse a key that does not belong to this public key, which the devices have"),
    ("--expect-sha256 HEX", "Refuse a build with another SHA-256"),
    ("--expect-key-id HEX", "Refuse a key with another key id"),
    ("--timestamp SECONDS", "Time for the manifest, in seconds since 1970 [SOURCE_DATE_EPOCH]"),
];

const KEYGEN: Own = &[
    ("--bits 2048|3072|4096", "Size of the key [2048]"),
    ("--encrypt", "Encrypt the private key under a passphrase (AES-256-CBC)"),
    ("--kdf scrypt|pbkdf2", "Function that derives the encryption key from the passphrase [scrypt]"),
    ("--force", "Replace an existing key: devices that trust it then take no more updates"),
];

const PUBKEY: Own = &[("--check", "Write nothing, and exit with 3 if a file is not up to date")];

const VERIFY: Own = &[("--legacy", "Judge legacy signatures, of esp8266 core 2.5.0 to 2.5.2")];

/// Parses a command line. It does not start with the program's name.
pub(super) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Task, CargoError> {
    let arguments: Vec<_> = arguments.collect();
    if let Err(error) = material::check_command_line(arguments.iter().cloned()) {
        return Err(error.into());
    }
    let mut parser = Parser::from_args(arguments);
    let task = match parser.next().map_err(usage)? {
        None => return Err(CargoError::Usage("name a task: sign, keygen, pubkey or verify".into())),
        Some(Arg::Value(task)) => task.to_string_lossy().into_owned(),
        Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Task::Help(HELP.into())),
        Some(other) => return Err(usage(other.unexpected())),
    };
    match task.as_str() {
        "sign" => sign(parser),
        "keygen" => keygen(parser),
        "pubkey" => pubkey(parser),
        "verify" => verify(parser),
        "help" => Ok(Task::Help(HELP.into())),
        other => Err(CargoError::Usage(format!("there is no task `{other}`: sign, keygen, pubkey, verify"))),
    }
}

fn sign(mut parser: Parser) -> Result<Task, CargoError> {
    let mut request = Request { timestamp: source_date_epoch()?, ..Request::default() };
    while let Some(argument) = next(&mut parser)? {
        match argument.name.as_str() {
            "--help" => {
                let title = "sign [OPTIONS]: build the firmware, package it, verify every signed image";
                return Ok(help(Command::XtaskSign, title, &[SIGN, DRY, PASSPHRASE, COMMON]));
            }
            name if name.starts_with("--passphrase-") => passphrase(name, &mut parser, &mut request)?,
            "--release" => request.policy.purpose = Purpose::Release,
            "--rotate-to" => request.policy.continuity.rotate_to.push(value(&mut parser)?),
            "--allow-no-key" => request.policy.continuity.without_key = WithoutKey::Allow,
            "--sbom" => request.sbom = true,
            "--build-id" => request.build_id = Some(value(&mut parser)?),
            "--kind" | "--as-kind" => request.policy.content = value(&mut parser)?,
            "--expect-public" => {
                let key = read_public(&path(&mut parser)?)?;
                request.policy.expect.public_key = Some(key);
            }
            "--expect-sha256" => request.policy.expect.sha256 = Some(value(&mut parser)?),
            "--expect-key-id" => {
                let id: String = value(&mut parser)?;
                let id = parse_key_id(&id)
                    .map_err(|what| CargoError::Usage(format!("--expect-key-id: {what}")))?;
                request.policy.expect.key_id = Some(id);
            }
            "--timestamp" => request.timestamp = Some(value(&mut parser)?),
            _ => common(Command::XtaskSign, argument, &mut parser, &mut request)?,
        }
    }
    finish(&mut request)?;
    Ok(Task::Sign(request))
}

fn keygen(mut parser: Parser) -> Result<Task, CargoError> {
    let (size, overwrite) = (KeySize::default(), Overwrite::Refuse);
    let mut task = Keygen::new(size, overwrite);
    let (mut encrypt, mut derivation) = (false, None);
    while let Some(argument) = next(&mut parser)? {
        match argument.name.as_str() {
            "--help" => {
                let title = "keygen [OPTIONS]: make the project's RSA key pair";
                return Ok(help(Command::XtaskKeygen, title, &[KEYGEN, DRY, PASSPHRASE, COMMON]));
            }
            "--bits" => {
                let bits = value(&mut parser)?;
                task.size = KeySize::from_bits(bits)
                    .ok_or_else(|| CargoError::Usage(format!("{bits} bits: a key has 2048, 3072 or 4096")))?;
            }
            "--force" => task.overwrite = Overwrite::ReplaceKey,
            "--encrypt" => encrypt = true,
            "--kdf" => derivation = Some(value(&mut parser)?),
            name if name.starts_with("--passphrase-") => passphrase(name, &mut parser, &mut task.request)?,
            _ => common(Command::XtaskKeygen, argument, &mut parser, &mut task.request)?,
        }
    }
    finish(&mut task.request)?;
    if derivation.is_some() && !encrypt {
        return Err(CargoError::Usage("--kdf needs --encrypt".into()));
    }
    task.encrypt = encrypt.then(|| derivation.unwrap_or_default());
    Ok(Task::Keygen(task))
}

fn pubkey(mut parser: Parser) -> Result<Task, CargoError> {
    let mut task = Pubkey::new(Mode::Write);
    while let Some(argument) = next(&mut parser)? {
        match argument.name.as_str() {
            "--help" => {
                let title =
                    "pubkey [OPTIONS]: write the public key into the source files of the setting `emit`";
                return Ok(help(Command::XtaskPubkey, title, &[PUBKEY, DRY, PASSPHRASE, COMMON]));
            }
            "--check" => task.mode = Mode::Check,
            name if name.starts_with("--passphrase-") => passphrase(name, &mut parser, &mut task.request)?,
            _ => common(Command::XtaskPubkey, argument, &mut parser, &mut task.request)?,
        }
    }
    finish(&mut task.request)?;
    Ok(Task::Pubkey(task))
}

fn verify(mut parser: Parser) -> Result<Task, CargoError> {
    let mut task = Verify::default();
    while let Some(argument) = next(&mut parser)? {
        match argument.name.as_str() {
            "--help" => {
                let title =
                    "verify [OPTIONS] [IMAGE...]: judge the package, or the images, as the device will";
                return Ok(help(Command::XtaskVerify, title, &[VERIFY, COMMON]));
            }
            "--legacy" => task.legacy = true,
            VALUE => task.images.push(argument.value.into()),
            _ => common(Command::XtaskVerify, argument, &mut parser, &mut task.request)?,
        }
    }
    finish(&mut task.request)?;
    Ok(Task::Verify(task))
}

/// Name of an argument that is not an option.
const VALUE: &str = "";

/// One argument. It is owned, so that the caller can take its value from the parser.
struct Argument {
    name: String,
    value: OsString,
}

fn next(parser: &mut Parser) -> Result<Option<Argument>, CargoError> {
    let argument = parser.next().map_err(usage)?;
    Ok(argument.map(|argument| match argument {
        Arg::Short('h') => Argument { name: "--help".into(), value: OsString::new() },
        Arg::Short(letter) => Argument { name: format!("-{letter}"), value: OsString::new() },
        Arg::Long(name) => Argument { name: format!("--{name}"), value: OsString::new() },
        Arg::Value(value) => Argument { name: VALUE.into(), value },
    }))
}

/// Reads the option that says where the passphrase is. A passphrase never stands on the command line itself.
fn passphrase(name: &str, parser: &mut Parser, request: &mut Request) -> Result<(), CargoError> {
    let source = match name {
        "--passphrase-file" => PassphraseSource::File(path(parser)?),
        "--passphrase-fd" => PassphraseSource::Descriptor(unshown(name, parser, descriptor_number)?),
        "--passphrase-env" => PassphraseSource::Environment(unshown(name, parser, variable_name)?),
        other => return Err(CargoError::Usage(format!("there is no option `{other}`"))),
    };
    match request.passphrase.replace(source) {
        None => Ok(()),
        Some(_) => Err(CargoError::Usage("the passphrase can come from one place only".into())),
    }
}

/// Reads a value, and does not show a wrong one: it may be the secret itself.
fn unshown<T>(
    option: &str,
    parser: &mut Parser,
    read: fn(&str) -> Result<T, NotASource>,
) -> Result<T, CargoError> {
    let value = parser.value().map_err(usage)?;
    read(value.to_str().unwrap_or_default()).map_err(|error| CargoError::Usage(format!("{option}: {error}")))
}

/// Reads an option that every task has, or one for a setting.
fn common(
    task: Command,
    argument: Argument,
    parser: &mut Parser,
    request: &mut Request,
) -> Result<(), CargoError> {
    let name = argument.name.as_str();
    if name == "--dry-run" && task != Command::XtaskVerify {
        request.policy.run = Run::dry();
        return Ok(());
    }
    if name == "--manifest-path" {
        request.manifest_path = Some(path(parser)?);
        return Ok(());
    }
    let mut options = task.options();
    let Some(setting) = options.find(|setting| name.strip_prefix("--") == Some(setting.option(task))) else {
        return Err(CargoError::Usage(match name {
            VALUE => format!("this task takes no argument `{}`", argument.value.to_string_lossy()),
            name => format!("this task has no option `{name}`"),
        }));
    };
    let value = match setting.is_switch() {
        true => parser.optional_value().unwrap_or_else(|| "true".into()),
        false => parser.value().map_err(usage)?,
    };
    let wrong = |what| CargoError::Usage(format!("{name}: {what}"));
    request.settings.set(setting.name, &value).map_err(wrong)
}

/// Makes paths relative to the current directory, and refuses settings that do not fit together.
fn finish(request: &mut Request) -> Result<(), CargoError> {
    if let Some((name, why)) = request.settings.misfit() {
        return Err(CargoError::Usage(format!("--{name}: {why}")));
    }
    let here = std::env::current_dir();
    request.settings.rebase(&here.map_err(|source| CargoError::Read { path: ".".into(), source })?);
    Ok(())
}

fn source_date_epoch() -> Result<Option<u64>, CargoError> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    seconds.map(Some).ok_or_else(|| CargoError::Usage("SOURCE_DATE_EPOCH is not a number of seconds".into()))
}

fn path(parser: &mut Parser) -> Result<PathBuf, CargoError> {
    // A path belongs to the directory in which you typed it. The build runs in another one.
    let given = parser.value().map_err(usage)?;
    std::path::absolute(&given).map_err(|_| CargoError::Usage("a path is empty".into()))
}

fn value<T: FromStr>(parser: &mut Parser) -> Result<T, CargoError>
where
    T::Err: Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
{
    parser.value().and_then(|value| value.parse()).map_err(usage)
}

fn usage(error: lexopt::Error) -> CargoError {
    CargoError::Usage(error.to_string())
}
