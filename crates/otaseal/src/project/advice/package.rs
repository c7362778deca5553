//! What to do about packages, release bundles, the ledger and files that are written.

use super::{Advice, Speaker};
use crate::ledger::{Break, LedgerError};
use crate::output::OutputError;
use crate::package::PackageError;
use crate::package::evidence::SbomError;
use crate::policy::PolicyError;
use crate::release::bundle::BundleError;
use crate::release::rotate::ReadError;
use std::io;

impl Advice for PackageError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::Firmware(error) => error.advice(speaker),
            Self::Policy(source) | Self::Image { source, .. } => source.advice(speaker),
            Self::Tokens { source, .. } => source.advice(speaker),
            Self::Compress(_) => "no device has that much flash; is this the right file?".into(),
            Self::Output(error) => error.advice(speaker),
            Self::Sbom(error) => error.advice(speaker),
            Self::BaseName(_) => "use letters, digits and - _ . +, not starting with a dot".into(),
            Self::Occupied { .. } => "one directory holds one package: choose another --out-dir".into(),
            Self::NothingFor { .. } => {
                "ask for other artefacts with --artefacts, or do what `otaseal verify --as` says of one"
                    .into()
            }
            Self::NothingToMake => "name at least one of plain, gz, signed, gz-signed, legacy-sig".into(),
            Self::Overlap(_) => "choose another --out-dir or --name".into(),
            Self::EarlierUnread { .. } => "check who may read it, or choose another --out-dir".into(),
            Self::EarlierManifest { .. } => "choose another --out-dir, or move that file away".into(),
        }
    }
}

impl Advice for PolicyError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::NoLedger => {
                "name it with --ledger FILE, or once for all in the settings: ledger = \"ledger.jsonl\""
                    .into()
            }
            Self::Ledger(error) => error.advice(speaker),
            Self::KeyRefused(refused) => refused.advice(speaker),
            Self::Guard(error) => error.advice(speaker),
            Self::Continuity(error) => error.advice(speaker),
            Self::Gzip(finding) => finding.advice(speaker),
            Self::OtherPayload | Self::NoSigner => "this should not happen; nothing was signed".into(),
            Self::Sign(error) => error.advice(speaker),
        }
    }
}

impl Advice for SbomError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Read { .. } => "check that the file is there and that you may read it",
            Self::TooLarge(_) | Self::Form { .. } => "give CycloneDX or SPDX 2 in JSON",
        };
        text.into()
    }
}

impl Advice for BundleError {
    fn advice(&self, speaker: Speaker) -> String {
        let text = match self {
            Self::Read { .. } => "check that it is there and that you may read it",
            Self::Write { .. } => {
                "nothing was made; free some space or choose another place, then run it again"
            }
            Self::Exists(_) => "one directory holds one release: choose another name",
            Self::Manifest { .. } | Self::NothingSigned(_) => {
                "give the directory of a package, as `otaseal package` makes it"
            }
            Self::OtherKey { .. } => "name the public key that signed the package with --firmware-key",
            Self::KeyRefused { refused, .. } => return refused.advice(speaker),
            Self::NotInLedger(_) => "package it again with --ledger, and name that ledger here",
            Self::Ledger(error) => return error.advice(speaker),
            Self::Sign(error) => return error.advice(speaker),
            Self::Changed { .. }
            | Self::Wrong { .. }
            | Self::Missing { .. }
            | Self::Unlisted(_)
            | Self::Rejected { .. }
            | Self::Signature(_)
            | Self::Index { .. } => "do not believe it: compare with the release as it was made",
        };
        text.into()
    }
}

impl Advice for ReadError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Read { .. } => "check that the file is there and that you may read it",
            Self::TooLarge(_) | Self::Gzip { .. } | Self::Key(_) | Self::Manifest { .. } => {
                "give the images that devices run, signed or not, or the manifest.json of their packages"
            }
        };
        text.into()
    }
}

impl Advice for LedgerError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Io { source, action, .. } => match source.kind() {
                io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => {
                    "a ledger is a file: name one that otaseal made, or one that is not there yet"
                }
                io::ErrorKind::NotFound => "make its directory first, or check the name",
                _ if *action == "read" => "check that it is there and that you may read it",
                io::ErrorKind::PermissionDenied => "check who may write to it",
                _ => {
                    "nothing was signed that is not in it; free some space or mend the disk, then run it again"
                }
            },
            Self::NotALedger(_) => {
                "nothing was changed; name a file that otaseal made, or one that is not there yet"
            }
            Self::Broken { what: Break::Torn, .. } => {
                "somebody was interrupted while writing it; the next signature moves it aside and says so"
            }
            Self::Broken { .. } => {
                "this line, or the one before it, was changed, taken out or put in: compare with a copy"
            }
            Self::Missing { .. } => "lines were cut off, or the ledger was begun again: compare with a copy",
        };
        text.into()
    }
}

impl Advice for OutputError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Exists(_) => "choose another name, or pass --force to replace it",
            Self::NotAFile(_) => "choose a file name, or - for standard output",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "make the directory first",
                io::ErrorKind::PermissionDenied => "choose a directory that you may write to",
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                    "a file has the name of the directory: choose another name"
                }
                _ => "nothing was changed; free some space or choose another place, then run it again",
            },
        };
        text.into()
    }
}
