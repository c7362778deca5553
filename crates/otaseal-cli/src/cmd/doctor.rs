//! `otaseal doctor`: checks what signing needs, and says what to mend.

use super::KeyInfo;
use super::judged::{self, Judged};
use super::verify::{Verdict, judge_with_any};
use crate::error::{Exit, Failure};
use crate::io::{Place, check_places};
use crate::policy::PolicyArgs;
use crate::report::{Outcome, Reporter};
use crate::settings::{BySettings, Chosen, HasSettings, SettingArgs};
use crate::signer::{SignerArgs, is_missing};
use clap::Args;
use otaseal::Options;
use otaseal::format::image;
use otaseal::format::layers::MAX_IMAGE;
use otaseal::key::KeyError;
use otaseal::ledger;
use otaseal::policy::lint::{self, Finding, InGit};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::project::settings::{Command, SigningKey};
use otaseal::sign::source::{KeySource, SourceError};
use otaseal::sign::{Kept, Scheme, Signer, pkcs11};
use serde::Serialize;
use std::fmt;
use std::io::Cursor;
use std::path::Path;

/// Check the key, the settings, git, the clock and a file, and say what to mend
///
/// otaseal checks what signing needs: the settings file, the key and who can read it, whether git would take it, the
/// token of the key, the ledger and the clock. FILE is a build, or a signed image. Each line begins with "ok" or "mend".
/// The exit code is 1 if there is something to mend. otaseal writes nothing and signs nothing.
///
/// otaseal does not ask for a passphrase or a PIN. To check what is in an encrypted key, give the passphrase with an
/// option.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// A build or a signed image to check too
    #[arg(value_name = "FILE")]
    file: Option<Place>,
    #[command(flatten)]
    settings: SettingArgs<Self>,
    #[command(flatten)]
    signer: SignerArgs,
}

impl HasSettings for Doctor {
    const COMMAND: Command = Command::Doctor;
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Examined {
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    /// What was checked: settings, key, module, git, ledger, clock or file.
    check: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Mend,
}

impl Examined {
    fn ok(&mut self, check: &'static str, found: impl fmt::Display) {
        self.checks.push(Check { check, state: State::Ok, found: found.to_string(), help: None });
    }

    fn mend(&mut self, check: &'static str, Failure { message, help, .. }: Failure) {
        self.checks.push(Check { check, state: State::Mend, found: message, help: Some(help) });
    }
}

impl Outcome for Examined {
    fn exit(&self) -> Exit {
        let all_ok = self.checks.iter().all(|check| check.state == State::Ok);
        if all_ok { Exit::Done } else { Exit::Rejected }
    }
}

impl fmt::Display for Examined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { check, state, found, help } in &self.checks {
            let state = if *state == State::Ok { "ok" } else { "mend" };
            writeln!(f, "{state:<8} {check}: {found}")?;
            help.iter().try_for_each(|help| writeln!(f, "         {help}"))?;
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Doctor, reporter: &Reporter) -> Result<BySettings<Examined>, Failure> {
    let mut found = Examined::default();
    let chosen = match args.settings.choose() {
        Ok(chosen) => {
            match chosen.input() {
                Some(file) => found.ok("settings", file),
                None => found.ok("settings", "there is no otaseal.toml, so the defaults count"),
            }
            chosen
        }
        Err(failure) => {
            // The key and the ledger stand in this file. Nothing else can be said of them.
            found.mend("settings", failure);
            examine_clock("", &mut found);
            return Ok(args.settings.without_file().report(found));
        }
    };
    let _progress = reporter.progress("checking");
    let key = args.signer.key(&chosen);
    let signs = args.signer.names_key(args.settings.given()) || needs_key(&chosen);
    let read = key.iter().flat_map(|key| args.signer.inputs(key)).chain(args.file.clone());
    check_places(&read.chain(chosen.input()).collect::<Vec<_>>().iter().collect::<Vec<_>>(), &[])?;
    let signer = match key {
        Ok(key) if signs || !is_missing(&key) => examine_key(args, &chosen, &key, &mut found),
        Ok(_) => {
            found.ok("key", "`otaseal package` needs none: the devices of the settings check no signature");
            None
        }
        Err(failure) => {
            found.mend("key", failure);
            None
        }
    };
    let last = examine_ledger(&chosen, &mut found);
    examine_clock(&last, &mut found);
    if let Some(file) = &args.file {
        match examine_file(file, &chosen, signer.as_deref(), signs) {
            Ok(what) => found.ok("file", what),
            Err(failure) => found.mend("file", failure),
        }
    }
    Ok(chosen.report(found))
}

/// Returns whether `otaseal package` needs a key with these settings.
fn needs_key(chosen: &Chosen) -> bool {
    let mut options = Options::new("", "");
    chosen.settings.apply(&mut options);
    options.needs_key().is_some()
}

/// Checks the key that signs, its token, and what git would do with its file. Returns the key, if it can sign.
fn examine_key(
    args: &Doctor,
    chosen: &Chosen,
    key: &SigningKey,
    found: &mut Examined,
) -> Option<Box<dyn Signer>> {
    if let KeySource::Pkcs11 { uri, module } = &key.source {
        match find_token(uri, module.as_deref()) {
            Ok(token) => found.ok("module", format_args!("it has the {token}")),
            Err(error) => {
                found.mend("module", Failure::of(&error));
                return None;
            }
        }
    }
    let name = Place::from(key.name.as_path());
    let file = key.source.private_file();
    let (signer, findings) = match args.signer.open_unasked(key) {
        Ok(signer) => match check_key(chosen, key, &*signer) {
            Ok(findings) => (Some(signer), findings),
            Err(failure) => {
                found.mend("key", failure);
                (None, Vec::new())
            }
        },
        Err(SourceError::Key { source: KeyError::Encrypted(_) | KeyError::Secret(_), .. })
            if !args.signer.has_secret() =>
        {
            let findings = file.map(lint::file_of_key).unwrap_or_default();
            if findings.is_empty() {
                let what = "it is encrypted; to check what is in it, give a passphrase option";
                found.ok("key", format_args!("{name}: {what}"));
            }
            (None, findings)
        }
        Err(SourceError::Pkcs11(pkcs11::Pkcs11Error::Secret(_))) if !args.signer.has_secret() => {
            found.ok("key", format_args!("{name}: it has a PIN; to check the key, give a passphrase option"));
            (None, Vec::new())
        }
        Err(error) => {
            found.mend("key", error.into());
            return None;
        }
    };
    let of_git =
        |finding: &Finding| matches!(finding, Finding::TrackedByGit { .. } | Finding::GitUnknown { .. });
    let (of_git, of_key): (Vec<_>, Vec<_>) = findings.into_iter().partition(of_git);
    match &signer {
        Some(signer) if of_key.is_empty() => {
            // Other systems than Unix have access lists, which otaseal does not read.
            let alone =
                if cfg!(unix) && matches!(signer.kept(), Kept::File(_)) { ", its owner's alone" } else { "" };
            found.ok("key", format_args!("{name}: {}{alone}", KeyInfo::of(signer.public_key())));
        }
        _ => {}
    }
    let published = of_key.iter().any(|finding| matches!(finding, Finding::Published { .. }));
    of_key.into_iter().for_each(|finding| found.mend("key", of(&name, &finding)));
    match file {
        // Everybody has this key already.
        _ if published => {}
        Some(file) => examine_git(file, of_git, found),
        None => found.ok("git", "there is no file with the private key"),
    }
    signer
}

/// Returns a finding about a file as a failure.
fn of(name: &Place, finding: &(impl fmt::Display + Advice)) -> Failure {
    Failure::new(format_args!("{name}: {finding}"), finding.advice(Speaker::Program))
}

#[cfg(feature = "pkcs11")]
use pkcs11::find_token;

#[cfg(not(feature = "pkcs11"))]
fn find_token(
    _: &otaseal::key::uri::Pkcs11Uri,
    _: Option<&Path>,
) -> Result<&'static str, pkcs11::Pkcs11Error> {
    Err(pkcs11::Pkcs11Error::NotBuilt)
}

/// Returns what is to be said of the key before it signs.
fn check_key(chosen: &Chosen, key: &SigningKey, signer: &dyn Signer) -> Result<Vec<Finding>, Failure> {
    let policy = PolicyArgs::default().policy(&chosen.settings, Some(key), None)?;
    Ok(policy.open(Some(signer))?.findings().to_vec())
}

fn examine_git(file: &Path, known: Vec<Finding>, found: &mut Examined) {
    let name = Place::from(file);
    if !known.is_empty() {
        return known.iter().for_each(|finding| found.mend("git", Failure::of(finding)));
    }
    match lint::in_git(file) {
        InGit::NoRepository => found.ok("git", format_args!("there is no repository around {name}")),
        InGit::Ignored => found.ok("git", format_args!("it ignores {name}")),
        InGit::NotIgnored(what) => found.mend("git", Failure::of(&what)),
        InGit::Unknown { why } => {
            found.mend("git", Failure::of(&Finding::GitUnknown { path: file.into(), why }))
        }
        _ => {}
    }
}

/// First day on which this version existed. A clock before it is wrong.
const RELEASED: &str = "2026-01-01";

/// Checks the ledger. Returns the time of its last line.
fn examine_ledger(chosen: &Chosen, found: &mut Examined) -> String {
    let mut last = String::new();
    let Some(path) = &chosen.settings.ledger else { return last };
    let name = Place::from(path.as_path());
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            found.ok("ledger", format_args!("{name} is not there yet; otaseal makes it"));
        }
        _ => match ledger::walk(path, &mut |record, _| last.clone_from(&record.time)) {
            Ok(head) => found.ok("ledger", format_args!("{name}: {} lines", head.records)),
            Err(error) => found.mend("ledger", error.into()),
        },
    }
    last
}

fn examine_clock(last: &str, found: &mut Examined) {
    let now = ledger::now();
    let why = match &*now {
        now if now < RELEASED => "this version of otaseal is younger",
        now if now < last => "the last line of the ledger is younger",
        now => return found.ok("clock", now),
    };
    let help = "set the clock: ledgers and manifests take their times from it";
    found.mend("clock", Failure::new(format_args!("it says {now}, but {why}"), help));
}

/// Judges a build as `otaseal package` does, and a signed image as `otaseal verify` does. `signs` tells whether a key signs
/// the package.
fn examine_file(
    file: &Place,
    chosen: &Chosen,
    signer: Option<&dyn Signer>,
    signs: bool,
) -> Result<String, Failure> {
    let bytes = file.read(MAX_IMAGE)?;
    if image::trailer(&bytes, bytes.len() as u64).is_some() {
        let key = match signer {
            Some(signer) => signer.public_key().clone(),
            None => chosen.public_key()?.public_key()?,
        };
        let length = bytes.len() as u64;
        let verdict = judge_with_any(&mut Cursor::new(bytes), length, &[key], Scheme::Pkcs1v15Sha256)
            .map_err(|error| Failure::read(file, &error))?;
        return match verdict {
            Verdict::Accepted { .. } => Ok(format!("{file}: a signed image, which this key accepts")),
            Verdict::Rejected { reason, likely_cause, .. } => {
                let help = likely_cause.unwrap_or_else(|| "sign it again".into());
                Err(Failure::new(format_args!("{file} is rejected: {reason}"), help))
            }
            Verdict::OtherBuild { reason, .. } => Err(Failure::new(reason, "sign it again")),
        };
    }
    let key = if signs { chosen.signing_key(None).ok() } else { None };
    let policy = PolicyArgs::default().policy(&chosen.settings, key.as_ref(), file.path())?;
    let gate = if signs { policy.open(signer) } else { policy.open_unsigned() }?;
    match judged::build(&file.to_string(), bytes, chosen.settings.max_gap, policy.content, &gate) {
        Judged::Takes { warnings } => {
            let warnings = warnings.iter().map(|warning| format!("; {warning}"));
            Ok(format!("{file}: `otaseal package` takes it{}", warnings.collect::<String>()))
        }
        Judged::Refuses { reason, help } => Err(Failure::new(format_args!("{file}: {reason}"), help)),
    }
}
