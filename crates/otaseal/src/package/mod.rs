//! A package: the artefacts of one build, and the manifest that describes them.
//!
//! [`make`] makes one in memory, [`Package::write`] writes it into a directory, [`package()`] does both.
//! [`Package::from_parts`] takes one that somebody sent.

mod artefact;
mod contents;
mod earlier;
mod error;
pub mod evidence;
pub mod firmware;
mod make;
pub mod manifest;
mod write;

pub use self::artefact::{ArtefactKind, LeftOut};
pub use self::contents::{Package, PackageFile, PartsError};
pub(crate) use self::contents::{same, shown, wrong};
pub use self::error::{PackageError, Unfinished};
pub use self::make::{Made, make, make_unsigned};
pub use self::write::{Destination, WrittenPackage};

use self::earlier::New;
use self::evidence::{Evidence, SupportDoubt};
use self::firmware::Firmware;
use self::manifest::Manifest;
use self::write::Place;
use crate::format::gzip::Effort;
use crate::format::image::esp8266::FlashMode;
use crate::format::metadata;
use crate::ledger::Appended;
use crate::output::{Inputs, Overwrite};
use crate::policy::continuity::Continuity;
use crate::policy::guard::ImageFinding;
use crate::policy::lint::Finding;
use crate::policy::{NeedsKey, Policy};
use crate::sign::Signer;
use serde::Serialize;
use std::path::PathBuf;

/// The options of a package. [`Options::new`] sets the defaults. You can set every field.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The build: `.elf` or `.bin`.
    pub firmware: PathBuf,
    /// The directory of the package. otaseal makes it when it is missing.
    pub out_dir: PathBuf,
    /// Start of every file name; by default the build's name without its ending.
    pub base_name: Option<String>,
    /// The kinds of artefacts to make.
    pub artefacts: Vec<ArtefactKind>,
    /// Other files that the caller reads, such as the key. No file of the package replaces one of them, nor the build,
    /// the ledger or the bill of materials.
    pub inputs: Inputs,
    /// Whether to replace a file of the directory that no manifest there lists, and a signed package by one without a
    /// key. The default refuses.
    pub overwrite: Overwrite,
    /// How hard to compress.
    pub effort: Effort,
    /// Largest hole between two ELF sections that otaseal fills with FF, in bytes.
    pub max_gap: usize,
    /// Seconds since 1970 for the manifest. Without it the manifest has no time.
    pub timestamp: Option<u64>,
    /// The policy for signing.
    pub policy: Policy,
    /// Flash mode that otaseal writes into the image first.
    pub set_flash_mode: Option<FlashMode>,
    /// Support, security and origin of the build, for the manifest. A bill of materials is copied into the package.
    pub evidence: Evidence,
    /// Metadata for the payloads, inside the signed bytes. The plain artefact is not signed and stays as the build made
    /// it. If nobody signs the package, it has no metadata.
    pub metadata: Option<metadata::Labels>,
}

impl Options {
    /// The defaults: every artefact except the legacy signature, default effort, no time, for development.
    pub fn new(firmware: impl Into<PathBuf>, out_dir: impl Into<PathBuf>) -> Self {
        Self {
            firmware: firmware.into(),
            out_dir: out_dir.into(),
            base_name: None,
            artefacts: ArtefactKind::DEFAULT.to_vec(),
            inputs: Inputs::default(),
            overwrite: Overwrite::Refuse,
            effort: Effort::Default,
            max_gap: crate::format::elf::DEFAULT_MAX_GAP,
            timestamp: None,
            policy: Policy::default(),
            set_flash_mode: None,
            evidence: Evidence::default(),
            metadata: None,
        }
    }

    /// Returns why a key must sign the package, or `None` if [`package_unsigned`] can make it: every device that the
    /// policy names checks no signature, and no signed artefact is asked for.
    pub fn needs_key(&self) -> Option<NeedsKey> {
        let asked = self.artefacts.iter().any(|kind| kind.is_signed());
        self.policy.needs_key().or(asked.then_some(NeedsKey::SignedFile))
    }
}

/// The package that [`package()`] made and wrote.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PackageReport {
    /// Its directory.
    pub out_dir: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Files of the earlier package that this one does not have. otaseal removed them.
    pub removed: Vec<String>,
    /// Artefacts that no device of the package accepts. otaseal did not make them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// The verdict on the public keys in the image.
    pub continuity: Continuity,
    /// Findings about the image. There are none if the package is for named devices: their verdicts say it.
    #[serde(skip)]
    pub image_findings: Vec<ImageFinding>,
    /// Findings about the key. None of them forbids this signature.
    #[serde(skip)]
    pub key_findings: Vec<Finding>,
    /// The entries in the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Appended>,
}

impl PackageReport {
    /// Reasons to doubt the support that the manifest promises; `now` as of [`evidence::support_doubts`].
    pub fn support_doubts(&self, now: Option<u64>) -> Vec<SupportDoubt> {
        let trusted = self.continuity.keys().iter().map(|located| located.size).min();
        let weakest = trusted.or_else(|| Some(self.manifest.key.as_ref()?.size));
        evidence::support_doubts(self.manifest.support_until, weakest, now)
    }
}

/// Makes a package and writes it: [`make`], then [`Package::write`].
///
/// # Errors
/// [`PackageError`]. Only [`PackageError::Unfinished`] has changed files of the directory; it lists them.
pub fn package(options: &Options, signer: &dyn Signer) -> Result<PackageReport, PackageError> {
    package_by(options, Some(signer))
}

/// Makes a package that nobody signs, for devices that check no signature, and writes it: [`make_unsigned`], then
/// [`Package::write`].
///
/// # Errors
/// Those of [`package()`], and [`PolicyError::KeyNeeded`](crate::policy::PolicyError::KeyNeeded) as
/// [`Options::needs_key`] decides.
pub fn package_unsigned(options: &Options) -> Result<PackageReport, PackageError> {
    package_by(options, None)
}

fn package_by(options: &Options, signer: Option<&dyn Signer>) -> Result<PackageReport, PackageError> {
    let load = || Firmware::load_as(&options.firmware, options.max_gap, options.policy.content);
    let ledger = options.policy.ledger.as_ref();
    let mut to = Destination::new(&options.out_dir);
    (to.build, to.ledger) = (Some(options.firmware.as_path()), ledger);
    (to.overwrite, to.run) = (options.overwrite, options.policy.run.clone());
    (to.sbom, to.inputs) = (options.evidence.sbom.as_deref(), Some(&options.inputs));
    // A directory that cannot take the package is found before anything is signed.
    let (made, place) = make::make_for(options, signer, load, |base, name| {
        Place::open(to, New { base, name, is_signed: signer.is_some() })
    })?;
    let Made { package, left_out, continuity, image_findings, key_findings } = made;
    let WrittenPackage { removed, ledger } = place.write(&package)?;
    let (out_dir, manifest) = (options.out_dir.clone(), package.into_manifest());
    Ok(PackageReport {
        out_dir,
        manifest,
        removed,
        left_out,
        continuity,
        image_findings,
        key_findings,
        ledger,
    })
}

/// File name of the bill of materials in a package.
pub(crate) fn sbom_name(base: &str) -> String {
    format!("{base}.sbom.json")
}

#[cfg(test)]
mod tests;
