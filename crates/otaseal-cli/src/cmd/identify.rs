//! `otaseal identify`: finds the release that a device runs.

use crate::error::{Exit, Failure};
use crate::io::{Place, check_places};
use crate::report::Outcome;
use clap::Args;
use otaseal::format::digest::Md5Digest;
use otaseal::format::image::esp8266::FlashMode;
use otaseal::package::manifest::{MAX_MANIFEST, Manifest, Match};
use serde::Serialize;
use std::fmt;

/// Find the release that a device runs, by the MD5 that it reports
///
/// A device reports the MD5 of the image in its flash ($fw/checksum, x-ESP8266-sketch-md5). That image has no
/// signature, is not compressed, and has the device's own flash mode. The exit code is 0 if a manifest lists the MD5, 1
/// if none does.
#[derive(Debug, Args)]
pub(crate) struct Identify {
    /// The MD5 that the device reports: 32 hexadecimal digits
    md5: Md5Digest,
    /// The manifests to search
    #[arg(required = true, value_name = "MANIFEST")]
    manifests: Vec<Place>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Identified {
    md5: Md5Digest,
    found: Vec<Found>,
}

#[derive(Debug, Serialize)]
struct Found {
    manifest: String,
    name: Option<String>,
    version: Option<String>,
    source: String,
    #[serde(flatten)]
    what: Match,
}

impl Found {
    fn is_installed(&self) -> bool {
        matches!(self.what, Match::Installed { .. })
    }
}

impl Outcome for Identified {
    fn exit(&self) -> Exit {
        if self.found.iter().any(Found::is_installed) { Exit::Done } else { Exit::Rejected }
    }
}

impl fmt::Display for Identified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in &self.found {
            let release = match (&found.name, &found.version) {
                (Some(name), Some(version)) => format!("{name} {version}"),
                _ => found.source.clone(),
            };
            match &found.what {
                Match::Installed { flash_mode, own_mode } => {
                    writeln!(f, "runs     {release} ({})", found.manifest)?;
                    flash_mode.iter().try_for_each(|mode| write_mode(f, *mode, *own_mode))?;
                }
                Match::Sent { file } => {
                    writeln!(f, "sent     {file} of {release} ({})", found.manifest)?;
                    writeln!(f, "hint: this is the MD5 of a file that you send; no device reports it")?;
                }
            }
        }
        match self.found.as_slice() {
            [] => writeln!(f, "unknown  {} is in none of the manifests", self.md5),
            _ => Ok(()),
        }
    }
}

fn write_mode(f: &mut fmt::Formatter<'_>, mode: FlashMode, own_mode: bool) -> fmt::Result {
    let note = if own_mode { "the mode of the build" } else { "the device's; the build has another" };
    writeln!(f, "mode     {mode} ({note})")
}

pub(crate) fn run(args: &Identify) -> Result<Identified, Failure> {
    check_places(&args.manifests.iter().collect::<Vec<_>>(), &[])?;
    let mut found = Vec::new();
    for place in &args.manifests {
        let manifest = Manifest::from_json(&place.read(MAX_MANIFEST)?).map_err(|error| {
            Failure::new(
                format_args!("{place}: {error}"),
                "give a manifest.json that `otaseal package` wrote",
            )
        })?;
        let what = manifest.find(args.md5);
        let Manifest { name, version, source, .. } = manifest;
        let found_in = |what| Found { manifest: place.name(), name, version, source: source.file, what };
        found.extend(what.map(found_in));
    }
    Ok(Identified { md5: args.md5, found })
}
