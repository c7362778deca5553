//! `otaseal key`: shows, checks and converts key files. Each subcommand has its own file.

pub(crate) mod check;
pub(crate) mod convert;
pub(crate) mod info;
pub(crate) mod passwd;

use crate::error::Failure;
use crate::io::Place;
use clap::Subcommand;
use otaseal::key::KeyError;
use otaseal::key::encryption::{Derivation, Protection};
use otaseal::key::passphrase::Passphrase;

/// Show, check or convert a key file, or change its passphrase
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    Info(info::Info),
    Passwd(passwd::Passwd),
    Convert(convert::Convert),
    Check(check::Check),
}

fn protection(passphrase: Option<&Passphrase>, kdf: Option<Derivation>) -> Protection<'_> {
    passphrase
        .map_or(Protection::None, |passphrase| Protection::Passphrase(passphrase, kdf.unwrap_or_default()))
}

fn failed(place: &Place, error: &KeyError) -> Failure {
    Failure::key(place, error)
}
