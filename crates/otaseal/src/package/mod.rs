//! The one function that makes a package.

mod artefact;
mod error;
pub mod evidence;
pub mod firmware;
pub mod manifest;
mod stage;

use self::evidence::{Evidence, SupportDoubt};
use self::manifest::{Artefact, Installed, Manifest};
use crate::format::gzip::Effort;
use crate::format::homie::Tokens;
use crate::format::image::esp8266::FlashMode;
use crate::format::layers::Encoding;
use crate::format::metadata;
use crate::key::PublicKey;
use crate::ledger::{self, Appended, Ledger, NamedDigest};
use crate::output::{OutputError, is_file_name};
use crate::package::firmware::Firmware;
use crate::policy::Purpose;
use crate::policy::continuity::{self, Continuity, Rule};
use crate::policy::guard::{self, Content, Expected};
use crate::policy::known_keys;
use crate::policy::lint;
use crate::profile::target::Target;
use crate::sign::Signer;
use serde::Serialize;
use std::fs;
use std::path::PathBuf;

pub use self::artefact::{ArtefactKind, LeftOut};
pub use self::error::PackageError;
use self::stage::{Earlier, Stage};

/// What to package, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The build: `.elf` or `.bin`.
    pub firmware: PathBuf,
    /// Where the package goes; made when it is missing.
    pub out_dir: PathBuf,
    /// Start of every file name; by default the build's name without its ending.
    pub base_name: Option<String>,
    /// What to make.
    pub artefacts: Vec<ArtefactKind>,
    /// How hard to compress.
    pub effort: Effort,
    /// Largest hole between two ELF sections that is filled with FF, in bytes.
    pub max_gap: usize,
    /// Seconds since 1970 for the manifest. Without it the manifest has no time.
    pub timestamp: Option<u64>,
    /// Whether the package may leave the desk.
    pub purpose: Purpose,
    /// What the image is for; a recognised image of the other kind is refused.
    pub content: Content,
    /// Flash mode of the devices: an image of another mode is refused.
    pub expect_flash_mode: Option<FlashMode>,
    /// Flash mode that is written into the image before anything is made of it.
    pub set_flash_mode: Option<FlashMode>,
    /// The public key that the devices have: another key is refused.
    pub expect_public: Option<PublicKey>,
    /// The key and the build that are meant: others are refused.
    pub expect: Expected,
    /// What is expected of the public keys in the image. For a release, an image without one is refused unless that
    /// is allowed here.
    pub continuity: continuity::Rule,
    /// What the manifest says of the release beside its bytes. A bill of materials is copied into the package.
    pub evidence: Evidence,
    /// Where every signature is entered. A release without one is refused.
    pub ledger: Option<Ledger>,
    /// What it is made for: an artefact that none of these devices accepts is left out.
    pub target: Target,
    /// Whether the payloads say what they are, inside the signed bytes. The plain artefact, which is not signed,
    /// stays as the build made it.
    pub metadata: Option<metadata::Request>,
}

impl Options {
    /// The defaults: everything but the legacy form, default effort, no time, for development.
    pub fn new(firmware: impl Into<PathBuf>, out_dir: impl Into<PathBuf>) -> Self {
        Self {
            firmware: firmware.into(),
            out_dir: out_dir.into(),
            base_name: None,
            artefacts: ArtefactKind::DEFAULT.to_vec(),
            effort: Effort::Default,
            max_gap: crate::format::elf::DEFAULT_MAX_GAP,
            timestamp: None,
            purpose: Purpose::Development,
            content: Content::Firmware,
            expect_flash_mode: None,
            set_flash_mode: None,
            expect_public: None,
            expect: Expected::default(),
            continuity: continuity::Rule::default(),
            evidence: Evidence::default(),
            ledger: None,
            target: Target::default(),
            metadata: None,
        }
    }

    /// Start of every file name: the one that is set, else the build's name without its ending.
    ///
    /// # Errors
    /// [`PackageError::BaseName`] when it could lead out of the directory.
    pub fn base(&self) -> Result<String, PackageError> {
        let name = match &self.base_name {
            Some(name) => name.clone(),
            None => {
                let name = self.firmware.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let stem =
                    [".elf", ".bin", ".uf2"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
                stem.to_owned()
            }
        };
        if is_file_name(&name) { Ok(name) } else { Err(PackageError::BaseName(name)) }
    }
}

/// What was made.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Where it is.
    pub out_dir: PathBuf,
    /// The manifest, as it was written.
    pub manifest: Manifest,
    /// Files of an earlier package that this one does not have; they were removed.
    pub removed: Vec<String>,
    /// What was asked for and not made, because no device of the target accepts it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// What the public keys in the image say.
    pub continuity: Continuity,
    /// What was entered into the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Appended>,
}

impl Report {
    /// What speaks against the support that the manifest promises; `now` as of [`evidence::support_doubts`].
    pub fn support_doubts(&self, now: Option<u64>) -> Vec<SupportDoubt> {
        let trusted = self.continuity.keys().iter().map(|located| located.bits).min();
        let bits = trusted.unwrap_or(self.manifest.key.bits);
        evidence::support_doubts(self.manifest.support_until, bits, now)
    }
}

/// Makes a package: reads the build, reads its tokens, compresses, signs, verifies, writes every artefact and,
/// last, the manifest.
///
/// Everything is made and verified under temporary names before the first file gets its own. The old manifest
/// goes first and the new one comes last, so a directory with a manifest holds the files that it lists. Files
/// that the earlier package in the same directory has and this one has not are removed: a stale
/// `.signed` beside a new `.bin` is what upload scripts pick up by mistake.
///
/// # Errors
/// [`PackageError`]; nothing has its name yet then, except after a failure of the disk in the final renames.
pub fn package(options: &Options, signer: &dyn Signer) -> Result<Report, PackageError> {
    let key = signer.public_key();
    if options.purpose == Purpose::Release {
        // The numbers alone: a signer may have no file.
        lint::judge(lint::public_key(key), Purpose::Release)?;
    }
    if options.purpose == Purpose::Release {
        options.ledger.as_ref().ok_or(PackageError::NoLedger)?.verify_once()?;
    }
    let mut kinds = options.artefacts.clone();
    kinds.sort();
    kinds.dedup();
    if kinds.is_empty() {
        return Err(PackageError::NothingToMake);
    }
    if let Some(expected) = &options.expect_public {
        guard::expect_public(key, expected)?;
    }
    options.expect.check_key(key)?;
    let mut firmware = Firmware::load_as(&options.firmware, options.max_gap, options.content)?;
    firmware.guarded(options.expect.check_build(firmware.source().digests.sha256))?;
    if let Some(mode) = options.set_flash_mode {
        firmware.set_flash_mode(mode)?;
    }
    if let Some(mode) = options.expect_flash_mode {
        firmware.expect_flash_mode(mode)?;
    }
    let continuity = keys_in(&firmware, signer, options)?;
    let sbom = options.evidence.sbom.as_deref().map(evidence::read_sbom).transpose()?;
    let base = options.base()?;
    let earlier = Earlier::read(&options.out_dir, &base)?;
    let tokens = firmware
        .tokens()
        .map_err(|source| PackageError::Tokens { file: firmware.source().file.clone(), source })?;

    let out = &options.out_dir;
    fs::create_dir_all(out).map_err(|source| OutputError::Io { path: out.clone(), source })?;
    let mut stage = Stage {
        out_dir: out,
        firmware: &options.firmware,
        ledger: options.ledger.as_ref().map(Ledger::path),
        source: firmware.source().digests,
        earlier,
        files: Vec::new(),
    };
    let block = options
        .metadata
        .as_ref()
        .map(|request| metadata::Block::of(firmware.bytes(), &tokens, key.id(), request));
    let mut artefacts = Vec::new();
    let mut refusals = Vec::new();
    for encoding in [Encoding::Plain, Encoding::Gzip] {
        let wanted: Vec<_> = kinds.iter().copied().filter(|kind| kind.encoding() == encoding).collect();
        if wanted.is_empty() {
            continue;
        }
        let payload = match (encoding, &block) {
            (Encoding::Plain, None) => firmware.plain(),
            (Encoding::Plain, Some(block)) => firmware.labelled(block),
            (Encoding::Gzip, None) => firmware.gzip(options.effort)?,
            (Encoding::Gzip, Some(block)) => firmware.gzip_labelled(options.effort, block)?,
        };
        for kind in wanted {
            let payload = if kind == ArtefactKind::Plain { &firmware.plain() } else { &payload };
            let signed = kind.scheme().map(|scheme| payload.sign(signer, scheme)).transpose()?;
            let parts = match &signed {
                Some(signed) => signed.parts(),
                None => [payload.bytes(), &[]],
            };
            let verdicts = options.target.judge(parts, key);
            if !verdicts.nobody_accepts() {
                artefacts.push((kind, stage.artefact(kind, &base, parts, verdicts.accepted)?));
            }
            refusals.push(LeftOut { kind, refused_by: verdicts.refused });
        }
    }
    for profile in &options.target.profiles {
        if !artefacts.iter().any(|(_, artefact)| artefact.accepted_by.contains(profile)) {
            let reasons = refusals.iter().filter_map(|artefact| artefact.reason(*profile)).collect();
            return Err(PackageError::NothingFor { profile: *profile, reasons });
        }
    }
    refusals.retain(|artefact| artefacts.iter().all(|(kind, _)| *kind != artefact.kind));
    refusals.sort_by_key(|artefact| artefact.kind);
    artefacts.sort_by_key(|(kind, _)| *kind);
    let artefacts = artefacts.into_iter().map(|(_, artefact)| artefact).collect();
    let published = known_keys::published_at(key.id());
    let mut manifest = manifest_of(&firmware, &tokens, signer, published, &continuity, options, artefacts);
    if let Some(bytes) = sbom {
        manifest.sbom = Some(stage.sbom(sbom_name(&base), &bytes)?);
    }
    let entered = enter(options, &manifest, key)?;
    let removed = stage.commit(&manifest)?;
    let (out_dir, ledger) = (out.clone(), entered);
    Ok(Report { out_dir, manifest, removed, left_out: refusals, continuity, ledger })
}

/// Enters every signature of the package, before the first file gets its name.
fn enter(options: &Options, manifest: &Manifest, key: &PublicKey) -> Result<Option<Appended>, PackageError> {
    let Some(ledger) = &options.ledger else { return Ok(None) };
    let source = &manifest.source;
    let entry = |artefact: &Artefact| {
        let digests = artefact.digests;
        Some(ledger::Entry {
            input: NamedDigest::new(&*source.file, source.digests.size_bytes, source.digests.sha256),
            output: NamedDigest::new(&*artefact.file, digests.size_bytes, digests.sha256),
            signature: artefact.signature?,
            key_id: key.id(),
        })
    };
    let entries: Vec<_> = manifest.artefacts.iter().filter_map(entry).collect();
    Ok(if entries.is_empty() { None } else { Some(ledger.append(&entries)?) })
}

fn keys_in(firmware: &Firmware, signer: &dyn Signer, options: &Options) -> Result<Continuity, PackageError> {
    // The manifest lists every key.
    let rule = Rule { quick: false, ..options.continuity.clone().for_purpose(options.purpose) };
    continuity::check(firmware.bytes(), options.content, Some(signer), &rule)
        .map_err(|source| PackageError::Continuity { file: firmware.source().file.clone(), source })
}

fn manifest_of(
    firmware: &Firmware,
    tokens: &Tokens,
    signer: &dyn Signer,
    published: Option<&str>,
    continuity: &Continuity,
    options: &Options,
    artefacts: Vec<Artefact>,
) -> Manifest {
    let key = signer.public_key();
    Manifest {
        schema: manifest::SCHEMA,
        tool: concat!("otaseal ", env!("CARGO_PKG_VERSION")).into(),
        name: tokens.name.as_ref().map(|token| token.value.to_string()),
        version: tokens.version.as_ref().map(|token| token.value.to_string()),
        brand: tokens.brand.as_ref().map(|token| token.value.to_string()),
        source: firmware.source().clone(),
        installed: Installed::of(firmware.bytes()),
        key: manifest::Key { id: key.id().to_string(), bits: key.size().bits() },
        example_key: published.is_some(),
        carries: continuity.keys().iter().map(|key| key.key_id.clone()).collect(),
        timestamp: options.timestamp,
        support_until: options.evidence.support_until,
        security: options.evidence.security,
        advisory: options.evidence.advisory.clone(),
        sbom: None,
        artefacts,
    }
}

/// File name of the bill of materials in a package.
pub(crate) fn sbom_name(base: &str) -> String {
    format!("{base}.sbom.json")
}

#[cfg(test)]
mod tests;
