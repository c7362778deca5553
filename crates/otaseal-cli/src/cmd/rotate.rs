//! `otaseal rotate`: plans how to replace the key that devices trust.

use crate::error::{Exit, Failure};
use crate::io::{Place, check_places};
use crate::report::{Outcome, Reporter};
use clap::{Args, Subcommand};
use otaseal::release::rotate::{self, KeysRefused, Lacking, Plan as Planned, ReadError, RotationReason};
use serde::Serialize;
use std::fmt;

/// Plan how to replace the key that devices trust
#[derive(Debug, Subcommand)]
pub(crate) enum Rotate {
    Plan(Plan),
}

/// Show which devices take which update, and which update they need first
///
/// A device trusts the keys in the release that it runs. Give the releases that devices run and the releases that you
/// plan to send, as images or as the manifest.json of their packages. otaseal says what happens to the devices of each
/// release.
///
/// The exit code is 1 if no existing update reaches some of them. Then you must still make the bridge, or give its
/// image as proof; or a group of devices is stranded; or otaseal does not know which keys the devices trust.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The releases
    #[arg(value_name = "RELEASE", required = true)]
    releases: Vec<Place>,
    /// Replace this public key
    #[arg(long, value_name = "FILE", help_heading = "Key")]
    old: Place,
    /// Replace it by this public key
    #[arg(long, value_name = "FILE", help_heading = "Key")]
    new: Place,
    /// Plan for an attacker who has, or may have, the old private key
    #[arg(long, help_heading = "Checks")]
    compromised: bool,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Made(Planned);

impl Outcome for Made {
    fn exit(&self) -> Exit {
        if self.0.complete { Exit::Done } else { Exit::Rejected }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        match self.0.lacking {
            Some(Lacking::Bridge) => {
                writeln!(
                    f,
                    "hint: otaseal package FIRMWARE --key OLD --rotate-to {} makes the bridge",
                    self.0.new
                )
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn plan(args: &Plan, reporter: &Reporter) -> Result<Made, Failure> {
    check_places(&args.releases.iter().chain([&args.old, &args.new]).collect::<Vec<_>>(), &[])?;
    let (old, new) = (args.old.public_key()?, args.new.public_key()?);
    if old.id() == new.id() {
        return Err(Failure::usage(
            format_args!("{} and {} are the same key", args.old, args.new),
            "make the new key first: `otaseal keygen`",
        ));
    }
    let _progress = reporter.progress("planning");
    let read = |place: &Place| rotate::read(&place.to_path(), place.open(), &old, &new);
    let releases = args.releases.iter().map(read).collect::<Result<_, _>>()?;
    let reason = if args.compromised { RotationReason::Compromised } else { RotationReason::Planned };
    Ok(Made(rotate::plan(&old, &new, reason, releases)?))
}

impl From<KeysRefused> for Failure {
    fn from(refused: KeysRefused) -> Self {
        Self::of(&refused)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::of(&error)
    }
}
