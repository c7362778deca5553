//! `otaseal key check`: finds faults that make a key unfit for releases.

use super::super::KeyInfo;
use crate::error::{Exit, Failure};
use crate::io::{Place, check_places};
use crate::passphrase::PassphraseArgs;
use crate::report::Outcome;
use clap::Args;
use otaseal::format::key_file;
use otaseal::key::{KeyError, PrivateKey, PublicKey, encryption};
use otaseal::policy::lint::{self, Finding, Severity};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::sign::{Kept, KeyFile};
use serde::Serialize;
use std::fmt;

/// Check whether a key is fit for releases
///
/// otaseal finds published keys, moduli that known methods factor (small factors, close primes, ROCA), and sizes and
/// exponents that no device takes. For a private key it also checks whether other users can read the file, and whether
/// git tracks it. The exit code is 1 if otaseal signs no release with this key.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The key: private or public
    #[arg(value_name = "FILE")]
    file: Place,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyInfo>,
    fit_for_release: bool,
    findings: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    severity: Severity,
    #[serde(flatten)]
    finding: Finding,
    message: String,
    help: String,
}

impl Outcome for Checked {
    fn exit(&self) -> Exit {
        if self.fit_for_release { Exit::Done } else { Exit::Rejected }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.key {
            writeln!(f, "key id   {key}")?;
        }
        for item in &self.findings {
            let severity = match item.severity {
                Severity::Refuse => "refused",
                Severity::Warn => "warning",
                Severity::Note => "note",
            };
            writeln!(f, "{severity:<8} {}", item.message)?;
            writeln!(f, "         {}", item.help)?;
        }
        match self.fit_for_release {
            true => writeln!(f, "verdict  this key may sign releases"),
            false => writeln!(f, "verdict  this key may not sign releases"),
        }
    }
}

pub(crate) fn run(args: &Check) -> Result<Checked, Failure> {
    let secret = args.passphrase.input();
    check_places(&[&args.file].into_iter().chain(&secret).collect::<Vec<_>>(), &[])?;
    let bytes = args.file.key_bytes()?;
    let is_private = key_file::recognise(&bytes).is_some_and(|found| found.kind.is_private());
    let read = match is_private {
        true => {
            PrivateKey::from_bytes_with(&bytes, &args.file, &args.passphrase).map(|key| key.public().clone())
        }
        false => PublicKey::from_bytes(&bytes),
    };
    let file = match &args.file {
        Place::Path(path) if is_private => {
            Some(KeyFile::new(path, encryption::describe(&bytes).ok().flatten()))
        }
        _ => None,
    };
    let (key, findings) = match read {
        Ok(key) => {
            let findings = lint::signing_key(&key, file.as_ref().map_or(Kept::Elsewhere, Kept::File));
            (Some(KeyInfo::of(&key)), findings)
        }
        // The file holds an RSA key, and its numbers are a finding.
        Err(
            error @ (KeyError::Size { .. }
            | KeyError::Exponent(_)
            | KeyError::EvenModulus
            | KeyError::MultiPrime
            | KeyError::Inconsistent),
        ) => {
            let mut findings = vec![Finding::Unusable { error }];
            findings.extend(file.iter().flat_map(lint::private_file));
            (None, findings)
        }
        Err(error) => return Err(Failure::key(&args.file, &error)),
    };
    let mut findings: Vec<_> = findings
        .into_iter()
        .map(|finding| Item {
            severity: finding.severity(),
            message: finding.to_string(),
            help: finding.advice(Speaker::Program),
            finding,
        })
        .collect();
    findings.sort_by_key(|item| std::cmp::Reverse(item.severity));
    let fit_for_release = findings.iter().all(|item| item.severity < Severity::Refuse);
    Ok(Checked { file: args.file.name(), key, fit_for_release, findings })
}
