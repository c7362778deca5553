//! Advice on errors in packages, release bundles, the ledger and output files.

use super::{Advice, Speaker};
use crate::ledger::{Break, LedgerError};
use crate::output::OutputError;
use crate::package::PackageError;
use crate::package::evidence::SbomError;
use crate::policy::{NeedsKey, PolicyError};
use crate::release::bundle::BundleError;
use crate::release::rotate::ReadError;
use std::io;

impl Advice for PackageError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::Firmware(error) => error.advice(speaker),
            Self::Policy(source) | Self::Image { source, .. } => source.advice(speaker),
            Self::Compress(_) => "check that this is the right file: no device has that much flash".into(),
            Self::Output(error) => error.advice(speaker),
            Self::Sbom(error) => error.advice(speaker),
            Self::BaseName(_) => "use only letters, digits and - _ . +, no dot or dash in front, and no name of a Windows \
                                  device, such as CON"
                .into(),
            Self::Occupied { .. } => "choose another --out-dir: one directory holds one package".into(),
            Self::OtherFirmware { .. } => {
                "choose another --out-dir; if the firmware has a new name, move the earlier package away first".into()
            }
            Self::EarlierSigned { .. } => match speaker {
                Speaker::Program => {
                    "choose another --out-dir; if the package there is of no use any more, add --overwrite".into()
                }
                Speaker::Hook => {
                    "choose another --out-dir, or move the package there away; its devices may check signatures".into()
                }
            },
            Self::NothingFor { .. } => {
                "ask for other artefacts with --artefacts; `otaseal verify --as` gives advice on one artefact"
                    .into()
            }
            Self::NothingToMake => "name at least one of plain, gz, signed, gz-signed, legacy-sig".into(),
            Self::Overlap { .. } => "choose another --out-dir or --name".into(),
            Self::Unfinished(_) => {
                "free some space or check the disk, then run it again: that finishes the package; until then, give \
                 none of these files to a device"
                    .into()
            }
            Self::Busy(_) => "wait until they are done, or choose another --out-dir".into(),
            Self::EarlierUnread { .. } => "check who may read it, or choose another --out-dir".into(),
            Self::EarlierManifest { .. } => "choose another --out-dir, or move that file away".into(),
        }
    }
}

impl Advice for PolicyError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::NoLedger => {
                "add --ledger FILE, or this line in the settings: ledger = \"ledger.jsonl\"".into()
            }
            Self::Ledger(error) => error.advice(speaker),
            Self::KeyRefused(refused) => refused.advice(speaker),
            Self::Guard(error) => error.advice(speaker),
            Self::Continuity(error) => error.advice(speaker),
            Self::Tokens(error) => error.advice(speaker),
            Self::Gzip(finding) => finding.advice(speaker),
            Self::NoDevice { .. } => {
                "nothing was signed: make the artefacts that the devices accept with `otaseal \
                                      package`, or name other devices with --for"
                    .into()
            }
            Self::KeyNeeded(why) => about_need(*why).into(),
            Self::OtherPayload | Self::NoSigner => "report this bug; otaseal signed nothing".into(),
            Self::Sign(error) => error.advice(speaker),
        }
    }
}

fn about_need(why: NeedsKey) -> &'static str {
    match why {
        NeedsKey::Release => {
            "give the key, or omit --release: nobody can tell who made a release without a signature"
        }
        NeedsKey::Expected => "give the key that you expect; a package without a key proves nothing about it",
        NeedsKey::AnyDevice => {
            "give the key, or name devices that check no signature, such as esp8266@3.1.2/unsigned"
        }
        NeedsKey::Device(_) => {
            "give the key, or make a package of its own for the devices that check no signature"
        }
        _ => "give the key, or ask for the artefacts plain and gz alone",
    }
}

impl Advice for SbomError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Read { .. } => "check that the file is there and that you may read it",
            Self::TooLarge(_) | Self::Form { .. } => "give a CycloneDX or SPDX 2 file in JSON",
        };
        text.into()
    }
}

impl Advice for BundleError {
    fn advice(&self, speaker: Speaker) -> String {
        let text = match self {
            Self::Read { .. } => "check that it is there and that you may read it",
            Self::Write { .. } => {
                "free some space or choose another place, then run it again; otaseal made nothing"
            }
            Self::Exists(_) => "choose another name: one directory holds one release",
            Self::Manifest { .. } | Self::NothingSigned(_) => {
                "give a package directory that `otaseal package` made"
            }
            Self::Unsigned(_) => {
                "a release bundle is the evidence of signatures; package it with a key, for devices that check one"
            }
            Self::OtherKey { .. } => "give the public key of the package's signatures with --firmware-key",
            Self::KeyRefused { refused, .. } => return refused.advice(speaker),
            Self::NotInLedger(_) => "package it again with --ledger, and give the same ledger here",
            Self::Ledger(error) => return error.advice(speaker),
            Self::Sign(error) => return error.advice(speaker),
            Self::Changed { .. }
            | Self::Wrong { .. }
            | Self::Missing { .. }
            | Self::Unlisted(_)
            | Self::Rejected { .. }
            | Self::Signature(_)
            | Self::Index { .. } => "do not trust it; compare it with the original release",
        };
        text.into()
    }
}

impl Advice for ReadError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Read { .. } => "check that the file is there and that you may read it",
            Self::TooLarge(_) | Self::Gzip { .. } | Self::Key(_) | Self::Manifest { .. } => {
                "give the images that the devices run, signed or not, or the manifest.json of their packages"
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
                    "give a file: a ledger that otaseal made, or a name that does not exist yet"
                }
                io::ErrorKind::NotFound => "make its directory first, or check the name",
                _ if *action == "read" => "check that it is there and that you may read it",
                io::ErrorKind::PermissionDenied => "check that you may write to it",
                _ => {
                    "free some space or check the disk, then run it again; every signature that otaseal gave out is \
                     in the ledger"
                }
            },
            Self::NotALedger(_) => {
                "give a ledger that otaseal made, or a name that does not exist yet; otaseal changed nothing"
            }
            Self::Broken { what: Break::Torn, .. } => {
                "sign again: otaseal then moves this line to another file and warns you; a run stopped while it wrote \
                 the line"
            }
            Self::Broken { .. } => {
                "compare with a copy: somebody changed, removed or inserted this line or the one before it"
            }
            Self::Missing { .. } => {
                "compare with a copy: somebody removed lines from the end, or started a new ledger"
            }
        };
        text.into()
    }
}

impl Advice for OutputError {
    fn advice(&self, speaker: Speaker) -> String {
        let text = match self {
            Self::Exists(_) => "choose another name, or add --force to replace it",
            Self::Foreign(_) => match speaker {
                Speaker::Program => "choose another name, or add --overwrite to replace it",
                _ => "name another file in the setting, or move that file away",
            },
            Self::NotAFile(_) => "choose a file name, or - for standard output",
            Self::IsInput { .. } => "give the output another name: otaseal never overwrites an input",
            Self::Kept { .. } => {
                "give the output another name: nobody can make that file again; if you do not need it, move it away"
            }
            Self::Removal { .. } => "check that you may remove files there; otaseal changed nothing",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "make the directory first",
                io::ErrorKind::PermissionDenied => "choose a directory that you may write to",
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                    "choose another name: a file has the name of the directory"
                }
                _ => "free some space or choose another place, then run it again; otaseal changed nothing",
            },
        };
        text.into()
    }
}
