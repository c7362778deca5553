//! `otaseal package`: makes a package of a firmware build, or of many.

use super::KeyInfo;
use super::device::DeviceArgs;
use crate::batch::{self, BatchArgs, OneOrMany, Summary};
use crate::defaults::Assumed;
use crate::error::Failure;
use crate::io::{Place, check_places};
use crate::ledger::Entered;
use crate::policy::{PolicyArgs, image_warnings, key_warnings};
use crate::report::{Outcome, Reporter};
use crate::settings::{BySettings, Chosen, Half, HasSettings, SettingArgs};
use crate::signer::{SignerArgs, is_missing};
use clap::Args;
use otaseal::format::layers::MAX_IMAGE;
use otaseal::output::{Inputs, Overwrite, TemporaryDirectory};
use otaseal::package::evidence::{self, SupportDoubt};
use otaseal::project::settings::{Command, SigningKey};
use otaseal::sign::{Scheme, Signer};
use otaseal::{Options, PackageError, PackageReport, package, package_unsigned};
use serde::Serialize;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Make a package of a firmware build: compress, sign and verify it
///
/// The build is an ELF, which otaseal flattens by load address, or a plain image. otaseal makes and verifies every file
/// under a temporary name before it names the first one. The same build and key give the same bytes on every machine.
///
/// If --for names only devices that check no signature, otaseal makes the unsigned files and looks for no key.
///
/// An otaseal.toml in this directory, or further up in the repository, can hold the options. An option on the command
/// line wins over it.
///
/// One run can package many builds, on all cores. Each package gets a directory with the build's base name. otaseal
/// prints one line for each, in the order of the builds; with --json, one JSON object on each line. The exit code is
/// the worst of all.
#[derive(Debug, Args)]
pub(crate) struct Package {
    /// The build: .elf or .bin; or many, each packaged into its own directory below --out-dir [default: the setting
    /// `firmware` of otaseal.toml]
    firmware: Vec<Place>,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    settings: SettingArgs<Self>,
    /// Write this time into the manifest, in seconds since 1970
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        help_heading = "Evidence",
        hide_short_help = true
    )]
    timestamp: Option<u64>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    batch: BatchArgs,
    /// Replace files of the directory that are not of an earlier package, and a signed package by one without a key
    #[arg(long, alias = "force", help_heading = "Output", hide_short_help = true)]
    overwrite: bool,
}

impl HasSettings for Package {
    const COMMAND: Command = Command::Package;
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Packaged {
    report: PackageReport,
    /// The key that signed, if one did.
    #[serde(skip)]
    key: Option<KeyInfo>,
    #[serde(skip)]
    entered: Option<Entered>,
    /// Doubts about the promised support.
    #[serde(skip)]
    support: Vec<SupportDoubt>,
    /// Remarks of the signer and findings about its key.
    #[serde(skip)]
    remarks: Vec<String>,
}

impl Outcome for Packaged {
    fn key(&self) -> Option<String> {
        self.key.as_ref().map(KeyInfo::to_string)
    }

    fn warnings(&self) -> Vec<String> {
        let own = self.key.iter().filter_map(KeyInfo::warning).chain(self.image_warnings());
        own.chain(self.support.iter().map(SupportDoubt::to_string))
            .chain(self.entered.as_ref().and_then(Entered::warning))
            .chain(self.remarks.iter().cloned())
            .collect()
    }
}

impl Packaged {
    /// What speaks against the image, then against the keys in it.
    fn image_warnings(&self) -> impl Iterator<Item = String> {
        let file = &self.report.manifest.source.file;
        let warnings = image_warnings(&self.report.image_findings);
        let warnings = warnings.chain(self.report.continuity.warnings());
        warnings.map(move |warning| format!("{file}: {warning}"))
    }
}

impl fmt::Display for Packaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PackageReport { out_dir, manifest, removed, left_out, .. } = &self.report;
        writeln!(f, "package  {}", out_dir.display())?;
        if let (Some(name), Some(version)) = (&manifest.name, &manifest.version) {
            writeln!(f, "firmware {name} {version}")?;
        }
        let width = manifest.artefacts.iter().map(|artefact| artefact.file.len()).max().unwrap_or(0);
        for artefact in &manifest.artefacts {
            let signed = match artefact.signature {
                None => "",
                Some(Scheme::Pkcs1v15Sha256) => ", signed",
                Some(Scheme::Legacy) => ", legacy signature, for esp8266 core 2.5.0 to 2.5.2",
            };
            writeln!(f, "         {:width$}  {} bytes{signed}", artefact.file, artefact.digests.size_bytes)?;
            artefact.accepted_by.iter().try_for_each(|device| writeln!(f, "           for {device}"))?;
        }
        for artefact in left_out {
            for refusal in &artefact.refused_by {
                let (suffix, device) = (artefact.kind.suffix(), refusal.profile);
                writeln!(f, "left out {suffix}: {device}: {}", refusal.verdict)?;
            }
        }
        if let Some(sbom) = &manifest.sbom {
            writeln!(f, "         {}, bill of materials", sbom.file)?;
        }
        removed.iter().try_for_each(|file| writeln!(f, "removed  {file} (of the earlier package)"))?;
        if let Some(md5) = manifest.installed.md5 {
            writeln!(f, "MD5      {md5} (a device that runs this reports it)")?;
        }
        if let Some(mode) = manifest.installed.flash_mode {
            writeln!(f, "mode     {mode}")?;
        }
        match &self.key {
            Some(key) => writeln!(f, "key id   {key}")?,
            None => writeln!(f, "key id   none: nothing is signed, because the devices check no signature")?,
        }
        self.report.continuity.fmt(f)?;
        self.entered.iter().try_for_each(|entered| entered.fmt(f))
    }
}

pub(crate) fn run(args: &Package, reporter: &Reporter) -> Result<BySettings<OneOrMany<Packaged>>, Failure> {
    let chosen = args.settings.choose()?;
    if args.firmware.len() > 1 || args.batch.list().is_some() {
        let (many, signs) = many(args, &chosen, reporter)?;
        return Ok(chosen.report(OneOrMany::Many(many)).assuming(assumed(&chosen, signs)));
    }
    let named = args.firmware.first().cloned();
    let Some(firmware) = named.map_or_else(|| chosen.firmware(), |named| Ok(Some(named)))? else {
        return Err(Failure::usage(
            "no firmware to package",
            "give the .elf or .bin that the build made, or set `firmware` in otaseal.toml",
        ));
    };
    let key = named_key(args, &chosen)?;
    let read = inputs(args, &chosen, key.as_ref())?;
    check_places(&read.iter().chain([&firmware]).collect::<Vec<_>>(), &[])?;
    let mut piped = None;
    let firmware = match firmware {
        Place::Path(path) => path,
        Place::Std => piped.insert(Piped::read()?).file(),
    };
    let _progress = reporter.progress("packaging");
    let mut options = options(args, &chosen, firmware)?;
    let signer = signer(args, &chosen, key, &mut options, &[])?;
    let one = OneOrMany::One(Box::new(one(&options, signer.as_deref())?));
    Ok(chosen.report(one).assuming(assumed(&chosen, signer.is_some())))
}

/// Returns the key that signs, if the command line names it or says how to open it.
fn named_key(args: &Package, chosen: &Chosen) -> Result<Option<SigningKey>, Failure> {
    args.signer.names_key(args.settings.given()).then(|| args.signer.key(chosen)).transpose()
}

/// Opens the key that signs: the one that the command line names, or that of the settings if the package needs a key.
/// The policy then expects the public key of the settings. No file of the package replaces one of the files that this
/// command reads, nor one of `builds`.
fn signer(
    args: &Package,
    chosen: &Chosen,
    named: Option<SigningKey>,
    options: &mut Options,
    builds: &[PathBuf],
) -> Result<Option<Box<dyn Signer>>, Failure> {
    let (is_named, needs_key) = (named.is_some(), options.needs_key());
    let key = match named {
        None if needs_key.is_some() => Some(args.signer.key(chosen)?),
        named => named,
    };
    let read = inputs(args, chosen, key.as_ref())?;
    options.inputs =
        Inputs::new(read.iter().filter_map(Place::path).chain(builds.iter().map(PathBuf::as_path)));
    args.policy.expect_public_key_of(&chosen.settings, key.as_ref(), &mut options.policy)?;
    let Some(key) = key else { return Ok(None) };
    let opened = args.signer.open(&key);
    opened.map(Some).map_err(|failure| match needs_key {
        // The user named devices, and perhaps thinks that they need no key.
        Some(why) if !is_named && !options.policy.devices.profiles.is_empty() && is_missing(&key) => {
            Failure { message: format!("{}; a key must sign, because {why}", failure.message), ..failure }
        }
        _ => failure,
    })
}

/// Returns the key and the directory, if nobody named them.
fn assumed(chosen: &Chosen, signs: bool) -> [Option<Assumed>; 2] {
    let directory = chosen.settings.out_dir.is_none().then(|| chosen.out_dir());
    let directory = directory.map(|path| Assumed::new("--out-dir", &path.as_path().into()));
    [chosen.assumed_key(Half::Private).filter(|_| signs), directory]
}

fn one(options: &Options, signer: Option<&dyn Signer>) -> Result<Packaged, Failure> {
    let report = match signer {
        Some(signer) => package(options, signer),
        None => package_unsigned(options),
    }?;
    let entered = Entered::of(options.policy.ledger.as_ref(), report.ledger.clone());
    let support = report.support_doubts(options.timestamp);
    let key = signer.map(|signer| KeyInfo::of(signer.public_key()));
    let of_signer = signer.into_iter().flat_map(|signer| signer.remarks());
    let remarks = key_warnings(&report.key_findings).into_iter().chain(of_signer).collect();
    Ok(Packaged { report, key, entered, support, remarks })
}

/// Packages many builds, each into its own directory: one directory holds one package. Also returns whether a key signs.
fn many(args: &Package, chosen: &Chosen, reporter: &Reporter) -> Result<(Summary, bool), Failure> {
    if args.settings.given().name.is_some() {
        return Err(Failure::usage(
            "--name is for one firmware",
            "omit --name: each package gets the name of its build",
        ));
    }
    args.policy.check_many()?;
    let key = named_key(args, chosen)?;
    let read = inputs(args, chosen, key.as_ref())?;
    check_places(&read.iter().collect::<Vec<_>>(), &[])?;
    let inputs = args.batch.inputs(&args.firmware)?;
    let mut common = options(args, chosen, PathBuf::new())?;
    common.base_name = None;
    let signer = signer(args, chosen, key, &mut common, &inputs)?;
    let mut each = Vec::with_capacity(inputs.len());
    for input in &inputs {
        let mut options = common.clone();
        options.firmware.clone_from(input);
        options.out_dir = common.out_dir.join(options.base()?);
        each.push(options);
    }
    batch::check_outputs(&Inputs::default(), each.iter().map(|options| options.out_dir.as_path()))?;
    let work = |index: usize, _: &Path| Ok(chosen.report(one(&each[index], signer.as_deref())?));
    let line = |packaged: &BySettings<Packaged>| {
        let PackageReport { out_dir, manifest, .. } = &packaged.outcome.report;
        let files: Vec<_> = manifest.artefacts.iter().map(|artefact| artefact.file.as_str()).collect();
        format!("packaged {}: {}", out_dir.display(), files.join(", "))
    };
    let done = batch::run("packaged", &args.batch, args.batch.jobs(1), &inputs, reporter, work, line)?;
    Ok((done, signer.is_some()))
}

/// Returns the files that packaging reads besides builds. No file of a package replaces one of them.
fn inputs(args: &Package, chosen: &Chosen, key: Option<&SigningKey>) -> Result<Vec<Place>, Failure> {
    let named = args.device.running().into_iter().chain(args.batch.list()).cloned();
    let named = named.chain(chosen.sbom()?.filter(Place::is_std));
    let of_key = key.into_iter().flat_map(|key| args.signer.inputs(key));
    Ok(of_key.chain(args.policy.inputs(chosen)).chain(named).collect())
}

fn options(args: &Package, chosen: &Chosen, firmware: PathBuf) -> Result<Options, Failure> {
    let settings = &chosen.settings;
    let mut options = Options::new(firmware, chosen.out_dir());
    options.policy = args.policy.policy_of_any_key(settings, Some(&options.firmware))?;
    settings.apply(&mut options);
    options.timestamp = args.timestamp;
    if args.overwrite {
        options.overwrite = Overwrite::Replace;
    }
    args.device.describe(&mut options.policy.devices, args.settings.given())?;
    if let Some(place) = chosen.sbom()? {
        // All packages of a batch have this one, and a stream can be read only once.
        let path = place.to_path();
        let bytes = evidence::read_sbom_from(&path, place.open()).map_err(PackageError::from)?;
        (options.evidence.sbom, options.evidence.sbom_bytes) = (Some(path), Some(Arc::new(bytes)));
    }
    Ok(options)
}

/// A build from standard input, in a temporary file: the library makes packages from files.
struct Piped(TemporaryDirectory);

impl Piped {
    fn read() -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::write(&std::env::temp_dir(), &error);
        let directory = TemporaryDirectory::new(&std::env::temp_dir()).map_err(failed)?;
        // This reads one byte more than the limit, so that the library sees that the image is too large.
        let bytes = Place::Std.read(MAX_IMAGE)?;
        directory.put("stdin", &bytes).map_err(failed)?;
        Ok(Self(directory))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("stdin")
    }
}
