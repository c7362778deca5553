//! The command line of `cargo xtask sign|keygen|pubkey|verify`.

use super::CargoError;
use super::keygen::Keygen;
use super::tasks::{Pubkey, Request, Verify};
use crate::key::material;
use crate::key::passphrase::{NotASource, PassphraseSource, descriptor_number, variable_name};
use crate::key::uri::Pkcs11Uri;
use crate::key::{KeySize, parse_key_id};
use crate::output::Overwrite;
use crate::policy::Purpose;
use crate::policy::continuity::WithoutKey;
use crate::project::emit::Mode;
use crate::project::settings::Settings;
use crate::sign::command;
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

/// A command line that was understood.
pub(super) enum Task {
    Help(&'static str),
    Sign(Request),
    Keygen(Keygen),
    Pubkey(Pubkey),
    Verify(Verify),
}

const HELP: &str = "\
cargo xtask TASK: from this project's firmware to a signed package

Tasks:
  sign     build the firmware, package it, verify what was signed
  keygen   make the key pair: keys/private.pem and keys/public.pem
  pubkey   write the public key into the sources that the settings name
  verify   judge the package, or any image, with the public key

`cargo xtask TASK --help` lists what a task takes. Settings are read from [workspace.metadata.otaseal] and
[package.metadata.otaseal] of Cargo.toml.
Exit codes: 0 done or accepted, 1 judged and rejected, 2 usage, 3 could not do it.
";

const SIGN_HELP: &str = "\
cargo xtask sign [OPTIONS]: build the firmware, package it, verify what was signed

  --package NAME         the firmware's package; needed only when it cannot be told
  --bin NAME             its binary, where it has several
  --profile NAME         Cargo profile [release]
  --target TRIPLE        what to build for
  --features A,B         Cargo features
  --firmware FILE        package this build (.elf or .bin) instead of building
  --key FILE             private key [keys/private.pem]: a file, or a key in a token (pkcs11:token=NAME;object=NAME)
  --passphrase-file FILE, --passphrase-fd N, --passphrase-env NAME
                         where the passphrase of an encrypted key is, or the PIN of a token
  --signer-cmd COMMAND   command that signs in place of --key, run without a shell: it gets the DigestInfo on standard
                         input and writes the signature to standard output; its public key is --public-key
  --signer-cmd-input INPUT
                         what it gets: digest-info, or digest (32 bytes) [digest-info]
  --signer-timeout SECONDS
                         how long it may take [60]
  --public-key FILE      public key to verify with [public.pem beside the private one]
  --out-dir DIR          where the package goes [target/otaseal/NAME]
  --name NAME            start of every file name
  --legacy               also the form of esp8266 core 2.5.0 to 2.5.2
  --effort LEVEL         fast, default or max: how hard to compress
  --max-gap BYTES        largest hole between two ELF sections that is filled
  --release              the package may leave the desk: it needs a ledger, and a key that is fit for it
  --rotate-to KEYID      the firmware brings this key, and its devices are to trust it from now on; may be repeated
  --allow-no-key         sign firmware that holds no public key: its devices check no further update
  --support-until DAY    last day of support, for the manifest: YYYY-MM-DD
  --security             the release mends a vulnerability
  --advisory URL         where it is described
  --sbom                 make a bill of materials (CycloneDX) of what Cargo resolved; it joins the package
  --sbom-file FILE       bill of materials that joins the package
  --ledger FILE          enter every signature here before a signed file gets its name
  --build-id ID          what the build is called in the ledger [what the CI system calls it]
  --expect-sha256 HEX    refuse a build of another SHA-256
  --expect-key-id HEX    refuse a key of another key id
  --timestamp SECONDS    time for the manifest, since 1970; also from SOURCE_DATE_EPOCH
  --manifest-path FILE   the project's Cargo.toml
";

const KEYGEN_HELP: &str = "\
cargo xtask keygen [OPTIONS]: make the project's RSA key pair

  --bits 2048|3072|4096  size [2048]
  --key FILE             where the private key goes [keys/private.pem]: a file, or into a token (pkcs11:…)
  --encrypt              encrypt the private key under a passphrase (AES-256-CBC)
  --kdf scrypt|pbkdf2    how the passphrase becomes a key [scrypt]
  --passphrase-file FILE, --passphrase-fd N, --passphrase-env NAME
                         where the new passphrase is, or the PIN of the token
  --public-key FILE      where the public key goes [public.pem beside it]
  --force                replace a key that is there: devices that trust it take no more updates
  --manifest-path FILE   the project's Cargo.toml
";

const PUBKEY_HELP: &str = "\
cargo xtask pubkey [OPTIONS]: write the public key into the sources that the settings name (`emit`)

  --check                write nothing; exit 3 when a file is not up to date
  --passphrase-file FILE, --passphrase-fd N, --passphrase-env NAME
                         where the passphrase of an encrypted key is, or the PIN of a token
  --key FILE             private key [keys/private.pem]: a file, or a key in a token (pkcs11:token=NAME;object=NAME)
  --signer-cmd COMMAND, --signer-cmd-input INPUT, --signer-timeout SECONDS
                         command that signs in place of --key, as for `sign`
  --public-key FILE      public key [public.pem beside the private one]
  --manifest-path FILE   the project's Cargo.toml
";

const VERIFY_HELP: &str = "\
cargo xtask verify [OPTIONS] [IMAGE...]: judge the package, or the images, as the device will

  --public-key FILE      public key [public.pem beside the private one]
  --legacy               the images are in the form of esp8266 core 2.5.0 to 2.5.2
  --package NAME, --name NAME, --out-dir DIR, --manifest-path FILE
                         which package, as for `sign`
Exit code 0 accepted, 1 rejected, 3 no verdict.
";

/// Understands a command line, the program's name left out.
pub(super) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Task, CargoError> {
    let arguments: Vec<_> = arguments.collect();
    if let Some((what, help)) = material::on_command_line(arguments.iter().cloned()) {
        return Err(CargoError::KeyGiven { what, help });
    }
    let mut parser = Parser::from_args(arguments);
    let task = match parser.next().map_err(usage)? {
        None => return Err(CargoError::Usage("name a task: sign, keygen, pubkey or verify".into())),
        Some(Arg::Value(task)) => task.to_string_lossy().into_owned(),
        Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Task::Help(HELP)),
        Some(other) => return Err(usage(other.unexpected())),
    };
    match task.as_str() {
        "sign" => sign(parser),
        "keygen" => keygen(parser),
        "pubkey" => pubkey(parser),
        "verify" => verify(parser),
        "help" => Ok(Task::Help(HELP)),
        other => Err(CargoError::Usage(format!("there is no task `{other}`: sign, keygen, pubkey, verify"))),
    }
}

fn sign(mut parser: Parser) -> Result<Task, CargoError> {
    let mut request = Request { timestamp: source_date_epoch()?, ..Request::default() };
    while let Some(argument) = next(&mut parser)? {
        match argument.name.as_str() {
            "--help" => return Ok(Task::Help(SIGN_HELP)),
            "--bin" => request.settings.bin = Some(word(&mut parser)?),
            "--profile" => request.settings.profile = Some(word(&mut parser)?),
            "--target" => request.settings.target = Some(word(&mut parser)?),
            "--features" => {
                let list = word(&mut parser)?;
                request.settings.features = Some(list.split(',').map(str::to_owned).collect());
            }
            "--firmware" => request.settings.firmware = Some(path(&mut parser)?),
            "--legacy" => request.settings.legacy = Some(true),
            "--effort" => request.settings.effort = Some(value(&mut parser)?),
            "--max-gap" => request.settings.max_gap = Some(value(&mut parser)?),
            name if name.starts_with("--passphrase-") => passphrase(name, &mut parser, &mut request)?,
            name if name.starts_with("--signer-") => signer(name, &mut parser, &mut request.settings)?,
            "--release" => request.policy.purpose = Purpose::Release,
            "--rotate-to" => request.policy.continuity.rotate_to.push(value(&mut parser)?),
            "--allow-no-key" => request.policy.continuity.without_key = WithoutKey::Allow,
            "--support-until" => request.settings.support_until = Some(value(&mut parser)?),
            "--security" => request.settings.security = Some(true),
            "--advisory" => request.settings.advisory = Some(value(&mut parser)?),
            "--sbom" => request.sbom = true,
            "--sbom-file" => request.settings.sbom = Some(path(&mut parser)?),
            "--ledger" => request.settings.ledger = Some(path(&mut parser)?),
            "--build-id" => request.build_id = Some(value(&mut parser)?),
            "--expect-sha256" => request.policy.expect.sha256 = Some(value(&mut parser)?),
            "--expect-key-id" => {
                let id: String = value(&mut parser)?;
                let id = parse_key_id(&id)
                    .map_err(|what| CargoError::Usage(format!("--expect-key-id: {what}")))?;
                request.policy.expect.key_id = Some(id);
            }
            "--timestamp" => request.timestamp = Some(value(&mut parser)?),
            _ => common(argument, &mut parser, &mut request)?,
        }
    }
    check_signer(&request)?;
    Ok(Task::Sign(request))
}

fn keygen(mut parser: Parser) -> Result<Task, CargoError> {
    let (size, overwrite) = (KeySize::default(), Overwrite::Refuse);
    let mut task = Keygen { request: Request::default(), size, overwrite, encrypt: None };
    let (mut encrypt, mut derivation) = (false, None);
    while let Some(argument) = next(&mut parser)? {
        match argument.name.as_str() {
            "--help" => return Ok(Task::Help(KEYGEN_HELP)),
            "--bits" => {
                let bits = value(&mut parser)?;
                task.size = KeySize::from_bits(bits)
                    .ok_or_else(|| CargoError::Usage(format!("{bits} bits: a key has 2048, 3072 or 4096")))?;
            }
            "--force" => task.overwrite = Overwrite::Replace,
            "--encrypt" => encrypt = true,
            "--kdf" => derivation = Some(value(&mut parser)?),
            name if name.starts_with("--passphrase-") => passphrase(name, &mut parser, &mut task.request)?,
            _ => common(argument, &mut parser, &mut task.request)?,
        }
    }
    if derivation.is_some() && !encrypt {
        return Err(CargoError::Usage("--kdf belongs to --encrypt, which was not given".into()));
    }
    task.encrypt = encrypt.then(|| derivation.unwrap_or_default());
    Ok(Task::Keygen(task))
}

fn pubkey(mut parser: Parser) -> Result<Task, CargoError> {
    let mut task = Pubkey { request: Request::default(), mode: Mode::Write };
    while let Some(argument) = next(&mut parser)? {
        match argument.name.as_str() {
            "--help" => return Ok(Task::Help(PUBKEY_HELP)),
            "--check" => task.mode = Mode::Check,
            name if name.starts_with("--passphrase-") => passphrase(name, &mut parser, &mut task.request)?,
            name if name.starts_with("--signer-") => signer(name, &mut parser, &mut task.request.settings)?,
            _ => common(argument, &mut parser, &mut task.request)?,
        }
    }
    check_signer(&task.request)?;
    Ok(Task::Pubkey(task))
}

fn verify(mut parser: Parser) -> Result<Task, CargoError> {
    let mut task = Verify::default();
    while let Some(argument) = next(&mut parser)? {
        match argument.name.as_str() {
            "--help" => return Ok(Task::Help(VERIFY_HELP)),
            "--legacy" => task.legacy = true,
            VALUE => task.images.push(argument.value.into()),
            _ => common(argument, &mut parser, &mut task.request)?,
        }
    }
    Ok(Task::Verify(task))
}

/// Name of an argument that is no option.
const VALUE: &str = "";

/// One argument, owned, so that its value can be taken from the parser.
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

/// Where a passphrase is: one place, and never the command line itself.
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

/// Reads a value that is not repeated where it is none.
fn unshown<T>(
    option: &str,
    parser: &mut Parser,
    read: fn(&str) -> Result<T, NotASource>,
) -> Result<T, CargoError> {
    let value = parser.value().map_err(usage)?;
    read(value.to_str().unwrap_or_default())
        .map_err(|error| CargoError::Usage(format!("{option} takes {}", error.takes)))
}

/// The command that signs.
fn signer(name: &str, parser: &mut Parser, settings: &mut Settings) -> Result<(), CargoError> {
    match name {
        "--signer-cmd" => settings.signer_cmd = Some(value(parser)?),
        "--signer-cmd-input" => settings.signer_cmd_input = Some(value(parser)?),
        "--signer-timeout" => {
            let timeout = command::timeout(value(parser)?);
            settings.signer_timeout =
                Some(timeout.map_err(|what| CargoError::Usage(format!("--signer-timeout: {what}")))?);
        }
        other => return Err(CargoError::Usage(format!("there is no option `{other}`"))),
    }
    Ok(())
}

/// One holder of the key, and nothing said of a command that is not there.
fn check_signer(request: &Request) -> Result<(), CargoError> {
    let Settings { key, signer_cmd, signer_cmd_input, signer_timeout, .. } = &request.settings;
    match signer_cmd {
        Some(_) if key.is_some() => Err(CargoError::Usage(
            "--key and --signer-cmd both say what signs: name the command's public key with --public-key"
                .into(),
        )),
        None if signer_cmd_input.is_some() || signer_timeout.is_some() => Err(CargoError::Usage(
            "--signer-cmd-input and --signer-timeout belong to a --signer-cmd, which was not given".into(),
        )),
        _ => Ok(()),
    }
}

/// What every task takes.
fn common(argument: Argument, parser: &mut Parser, request: &mut Request) -> Result<(), CargoError> {
    let settings = &mut request.settings;
    match argument.name.as_str() {
        "--manifest-path" => request.manifest_path = Some(path(parser)?),
        "--package" => settings.package = Some(word(parser)?),
        "--key" => settings.key = Some(key(parser)?),
        "--public-key" => settings.public_key = Some(key(parser)?),
        "--out-dir" => settings.out_dir = Some(path(parser)?),
        "--name" => settings.name = Some(word(parser)?),
        VALUE => {
            let value = argument.value.to_string_lossy();
            return Err(CargoError::Usage(format!("there is no use for `{value}` here")));
        }
        name => return Err(CargoError::Usage(format!("there is no option `{name}` here"))),
    }
    Ok(())
}

fn source_date_epoch() -> Result<Option<u64>, CargoError> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    seconds.map(Some).ok_or_else(|| CargoError::Usage("SOURCE_DATE_EPOCH is not a number of seconds".into()))
}

fn path(parser: &mut Parser) -> Result<PathBuf, CargoError> {
    // Relative to where the command was typed, not to where a build is run.
    let given = parser.value().map_err(usage)?;
    std::path::absolute(&given).map_err(|_| CargoError::Usage("a path is empty".into()))
}

/// A file, or a key in a token, which is no file.
fn key(parser: &mut Parser) -> Result<PathBuf, CargoError> {
    let given = parser.value().map_err(usage)?;
    match given.to_str().is_some_and(Pkcs11Uri::is_one) {
        true => Ok(given.into()),
        false => std::path::absolute(&given).map_err(|_| CargoError::Usage("a path is empty".into())),
    }
}

fn word(parser: &mut Parser) -> Result<String, CargoError> {
    let word: String = value(parser)?;
    match word.is_empty() || word.starts_with('-') {
        true => Err(CargoError::Usage(format!("`{word}` cannot be a name"))),
        false => Ok(word),
    }
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
