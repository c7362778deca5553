//! Makes a package in memory.

use super::{ArtefactKind, LeftOut, Options, Package, PackageError, sbom_name};
use crate::format::digest::Hasher;
use crate::format::homie::Tokens;
use crate::format::image;
use crate::format::layers::Encoding;
use crate::format::metadata;
use crate::output::is_file_name;
use crate::package::contents::PackageFile;
use crate::package::evidence::Sbom;
use crate::package::firmware::{Firmware, FirmwareError};
use crate::package::manifest::{self, Artefact, Installed, Manifest};
use crate::policy::continuity::Continuity;
use crate::policy::guard::ImageFinding;
use crate::policy::guard::{self, GuardError};
use crate::policy::lint::Finding;
use crate::policy::{Candidate, PolicyError, published_keys};
use crate::sign::{Signer, judging_key};
use std::sync::Arc;

/// A package in memory, and what its maker should know of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Made {
    /// The package.
    pub package: Package,
    /// Artefacts that no device of the package accepts. otaseal did not make them.
    pub left_out: Vec<LeftOut>,
    /// The verdict on the public keys in the image.
    pub continuity: Continuity,
    /// Findings about the image. There are none if the package is for named devices: their verdicts say it.
    pub image_findings: Vec<ImageFinding>,
    /// Findings about the key. None of them forbids this signature.
    pub key_findings: Vec<Finding>,
}

/// Makes a package in memory: reads the tokens of the build, compresses, signs and verifies.
///
/// This writes nothing, not even to the ledger: [`Package::ledger_entries`] are its entries. The options `firmware` and
/// `out_dir` are not opened.
///
/// # Errors
/// [`PackageError`] of the checks and of signing.
pub fn make(firmware: Firmware, options: &Options, signer: &dyn Signer) -> Result<Made, PackageError> {
    make_for(options, Some(signer), || Ok(firmware), |_, _| Ok(())).map(|(made, ())| made)
}

/// Does the same as [`make`] for devices that check no signature: nobody signs, and the manifest names no key.
///
/// # Errors
/// Those of [`make`], and [`PolicyError::KeyNeeded`] as [`Options::needs_key`] decides.
pub fn make_unsigned(firmware: Firmware, options: &Options) -> Result<Made, PackageError> {
    make_for(options, None, || Ok(firmware), |_, _| Ok(())).map(|(made, ())| made)
}

/// Does the same as [`make`], or without a signer as [`make_unsigned`]. When every check that needs no signature has
/// passed, `place` gets the start of all file names, and the firmware's name if it has one.
pub(super) fn make_for<P>(
    options: &Options,
    signer: Option<&dyn Signer>,
    load: impl FnOnce() -> Result<Firmware, FirmwareError>,
    place: impl FnOnce(&str, Option<&str>) -> Result<P, PackageError>,
) -> Result<(Made, P), PackageError> {
    let gate = match (signer, options.needs_key()) {
        (Some(_), _) => options.policy.open(signer)?,
        (None, None) => options.policy.open_unsigned()?,
        (None, Some(why)) => return Err(PolicyError::KeyNeeded(why).into()),
    };
    let mut kinds = options.artefacts.clone();
    kinds.sort();
    kinds.dedup();
    if kinds.is_empty() {
        return Err(PackageError::NothingToMake);
    }
    let mut firmware = load()?;
    if let Some(mode) = options.set_flash_mode {
        firmware.set_flash_mode(mode)?;
    }
    let file = || firmware.source().file.clone();
    // The manifest lists every key.
    let image = Candidate::new(firmware.bytes()).of_build(firmware.source().digests.sha256).with_every_key();
    let permit = gate.judge(image).map_err(|source| PackageError::Image { file: file(), source })?;
    // The gate searches every plain image in memory for keys, and a build is one.
    let continuity = permit.continuity().cloned().unwrap_or(Continuity::NoKey { found: file() });
    let sbom = options.evidence.read_sbom()?;
    let base = options.base_of(&firmware.source().file)?;
    let tokens = permit.tokens().clone();
    check_label(&firmware, options)
        .map_err(|error| PackageError::Image { file: file(), source: error.into() })?;
    let place = place(&base, tokens.name.as_ref().map(|token| token.value.as_str()))?;
    let block = options
        .metadata
        .as_ref()
        .zip(signer)
        .map(|(labels, by)| metadata::Block::of(firmware.bytes(), &tokens, by.public_key().id(), labels));
    let mut made: Vec<MadeFile> = Vec::new();
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
        let first = made.len();
        for kind in wanted {
            let payload = if kind == ArtefactKind::Plain { &firmware.plain() } else { &payload };
            let signed = kind.scheme().map(|scheme| permit.sign_payload(payload, scheme)).transpose()?;
            let parts = match &signed {
                Some(signed) => signed.parts(),
                None => [payload.bytes(), &[]],
            };
            let verdicts =
                options.policy.devices.judge(parts, options.policy.content, signer.map(judging_key));
            if !verdicts.nobody_accepts() {
                let mut hasher = Hasher::default();
                parts.iter().for_each(|part| hasher.update(part));
                let artefact = Artefact {
                    file: format!("{base}{}", kind.suffix()),
                    encoding,
                    signature: kind.scheme(),
                    accepted_by: verdicts.accepted,
                    digests: hasher.finish(),
                };
                made.push(MadeFile { kind, artefact, payload: None, trailer: parts[1].to_vec() });
            }
            refusals.push(LeftOut { kind, refused_by: verdicts.refused });
        }
        // The files share their payload: there is one copy in memory.
        let shared = payload.into_owned().map(Arc::new);
        for file in made[first..].iter_mut().filter(|file| file.kind != ArtefactKind::Plain) {
            file.payload = shared.clone();
        }
    }
    for profile in &options.policy.devices.profiles {
        if !made.iter().any(|file| file.artefact.accepted_by.contains(profile)) {
            let reasons = refusals.iter().filter_map(|artefact| artefact.reason(*profile)).collect();
            return Err(PackageError::NothingFor { profile: *profile, reasons });
        }
    }
    refusals.retain(|left| made.iter().all(|file| file.kind != left.kind));
    refusals.sort_by_key(|left| left.kind);
    made.sort_by_key(|file| file.kind);
    let mut image_findings = permit.image_findings().to_vec();
    // A metadata block pads the raw image.
    let is_signed_raw = |file: &MadeFile| {
        block.is_none() && file.kind.encoding() == Encoding::Plain && file.kind.scheme().is_some()
    };
    let counts = |finding: &ImageFinding| match finding {
        ImageFinding::Unaligned { .. } => made.iter().any(is_signed_raw),
        _ => true,
    };
    image_findings.retain(counts);
    let mut manifest = manifest_of(&firmware, &tokens, signer, &continuity, options);
    manifest.artefacts = made.iter().map(|file| file.artefact.clone()).collect();
    drop(permit);
    let plain = Arc::new(firmware.into_bytes());
    let file = |MadeFile { artefact, payload, trailer, .. }| {
        PackageFile::new(artefact.file, payload.unwrap_or_else(|| plain.clone()), trailer)
    };
    let mut files: Vec<_> = made.into_iter().map(file).collect();
    if let Some(bytes) = sbom {
        let name = sbom_name(&base);
        manifest.sbom = Some(Sbom::new(name.clone(), &bytes));
        files.push(PackageFile::new(name, bytes, Vec::new()));
    }
    let json = manifest.to_json();
    let package = Package::made(manifest, json, base, files);
    let key_findings = gate.findings().to_vec();
    Ok((Made { package, left_out: refusals, continuity, image_findings, key_findings }, place))
}

/// Checks the board that the metadata will name. The policy checked the board that it expects, and the Homie tokens.
fn check_label(firmware: &Firmware, options: &Options) -> Result<(), GuardError> {
    match options.metadata.as_ref().and_then(|labels| labels.board.as_ref()) {
        Some(board) => guard::check_board(&image::identify(firmware.bytes()), &board.to_string()),
        None => Ok(()),
    }
}

/// An artefact that is made.
struct MadeFile {
    kind: ArtefactKind,
    artefact: Artefact,
    /// `None`: the plain image of the firmware.
    payload: Option<Arc<Vec<u8>>>,
    trailer: Vec<u8>,
}

/// The manifest, with an empty list of artefacts.
fn manifest_of(
    firmware: &Firmware,
    tokens: &Tokens,
    signer: Option<&dyn Signer>,
    continuity: &Continuity,
    options: &Options,
) -> Manifest {
    let key = signer.map(Signer::public_key);
    Manifest {
        schema: manifest::SCHEMA,
        tool: concat!("otaseal ", env!("CARGO_PKG_VERSION")).into(),
        name: tokens.name.as_ref().map(|token| token.value.to_string()),
        version: tokens.version.as_ref().map(|token| token.value.to_string()),
        brand: tokens.brand.as_ref().map(|token| token.value.to_string()),
        source: firmware.source().clone(),
        content: options.policy.content,
        installed: Installed::sent_as(firmware.bytes(), options.policy.content),
        key: key.map(|key| manifest::Key { id: key.id(), size: key.size() }),
        example_key: key.is_some_and(|key| published_keys::published_at(key.id()).is_some()),
        carries: Some(continuity.keys().iter().map(|key| key.key_id).collect()),
        timestamp: options.timestamp,
        support_until: options.evidence.support_until,
        security: options.evidence.security,
        advisory: options.evidence.advisory.clone(),
        sbom: None,
        artefacts: Vec::new(),
    }
}

impl Options {
    /// Start of every file name: `base_name`, or else the build's name without its ending.
    ///
    /// # Errors
    /// [`PackageError::BaseName`]: it could lead out of the directory.
    pub fn base(&self) -> Result<String, PackageError> {
        self.base_of(&self.firmware.file_name().unwrap_or_default().to_string_lossy())
    }

    fn base_of(&self, build: &str) -> Result<String, PackageError> {
        let stem = [".elf", ".bin", ".uf2"].iter().find_map(|end| build.strip_suffix(end)).unwrap_or(build);
        let name = self.base_name.as_deref().unwrap_or(stem);
        if is_file_name(name) { Ok(name.into()) } else { Err(PackageError::BaseName(name.into())) }
    }
}
