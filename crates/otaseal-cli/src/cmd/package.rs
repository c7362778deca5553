use super::KeyInfo;
use super::device::FlashArgs;
use crate::batch::{self, BatchArgs, OneOrMany, Summary};
use crate::error::Failure;
use crate::evidence::EvidenceArgs;
use crate::io::{Place, check_places};
use crate::ledger::Entered;
use crate::policy::{PolicyArgs, key_warnings};
use crate::report::{Outcome, Reporter};
use crate::signer::SignerArgs;
use clap::Args;
use otaseal::format::gzip::Effort;
use otaseal::format::image::esp8266::FlashMode;
use otaseal::format::layers::MAX_IMAGE;
use otaseal::format::metadata::Label;
use otaseal::package::evidence::SupportDoubt;
use otaseal::profile::Profile;
use otaseal::project::settings::{self, Settings};
use otaseal::sign::source::{KeyPlace, KeySource};
use otaseal::sign::{Scheme, Signer};
use otaseal::{ArtefactKind, Options, PackageReport, package};
use serde::Serialize;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Make a package of a firmware build: compressed, signed, verified, with a manifest
///
/// Takes an ELF, which is flattened by load address, or a plain image. Every file is made and verified under a
/// temporary name before the first gets its own, and the same build and key give the same bytes everywhere.
///
/// An otaseal.toml in the current directory says once what the options say here; an option wins over it.
///
/// Many builds are packaged in one run, on all cores, each into a directory of its base name: a line for each, in
/// their order; with --json, one JSON object on each line. The exit code is that of the worst.
#[derive(Debug, Args)]
#[command(mut_arg("key", |key| key.help("The key that signs, as of `otaseal sign` [default: keys/private.pem]")))]
pub(crate) struct Package {
    /// The build: .elf or .bin; or many, each packaged into its own directory below --out-dir [default: what
    /// otaseal.toml says]
    firmware: Vec<Place>,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    signer: SignerArgs,
    /// Where the package goes; made when it is missing [default: dist]
    #[arg(long, short, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Start of every file name [default: the build's name without its ending]
    #[arg(long, value_name = "BASE")]
    name: Option<String>,
    /// What to make: plain, gz, signed, gz-signed, legacy-sig [default: all but legacy-sig]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = artefact)]
    artefacts: Option<Vec<ArtefactKind>>,
    /// Also make NAME.bin.legacy_sig, for esp8266 core 2.5.0 to 2.5.2
    #[arg(long)]
    legacy: bool,
    /// How hard to compress: fast, default or max [default: default]
    #[arg(long, value_name = "EFFORT")]
    effort: Option<Effort>,
    /// Largest hole between two ELF sections that is filled with FF [default: 262144]
    #[arg(long, value_name = "BYTES")]
    max_gap: Option<usize>,
    /// Time for the manifest, in seconds since 1970; without it the manifest has none
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    timestamp: Option<u64>,
    /// Make only what these devices accept, of everything there is or of --artefacts: esp8266@VERSION,
    /// arduino-pico, homie-mqtt or otaseal-device; /unsigned behind one for a build without a key
    #[arg(long = "for", value_name = "DEVICES", value_delimiter = ',')]
    devices: Vec<Profile>,
    #[command(flatten)]
    flash: FlashArgs,
    /// Say in the signed bytes what the firmware is: name, version, flash mode, length, digest, key id
    #[arg(long)]
    metadata: bool,
    /// Say also which board it is for; implies --metadata
    #[arg(long, value_name = "BOARD")]
    board: Option<Label>,
    /// Say also the oldest version that may be updated to it; implies --metadata
    #[arg(long, value_name = "VERSION")]
    min_base_version: Option<Label>,
    /// Settings file, in place of otaseal.toml in the current directory
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write this flash mode into an ESP8266 image before anything is made of it: qio, qout, dio or dout
    #[arg(long, value_name = "MODE")]
    set_flash_mode: Option<FlashMode>,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

fn artefact(text: &str) -> Result<ArtefactKind, &'static str> {
    serde_json::from_value(text.into()).map_err(|_| "expected plain, gz, signed, gz-signed or legacy-sig")
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Packaged {
    report: PackageReport,
    #[serde(skip)]
    key: KeyInfo,
    #[serde(skip)]
    entered: Option<Entered>,
    /// What speaks against the promise of support.
    #[serde(skip)]
    support: Vec<SupportDoubt>,
    /// What the holder of the key said.
    #[serde(skip)]
    remarks: Vec<String>,
}

impl Outcome for Packaged {
    fn warnings(&self) -> Vec<String> {
        let own = self.key.warning().into_iter().chain(self.continuity_warnings());
        own.chain(self.support.iter().map(SupportDoubt::to_string))
            .chain(self.entered.as_ref().and_then(Entered::warning))
            .chain(self.remarks.iter().cloned())
            .collect()
    }
}

impl Packaged {
    fn continuity_warnings(&self) -> impl Iterator<Item = String> {
        let file = &self.report.manifest.source.file;
        self.report.continuity.warnings().into_iter().map(move |warning| format!("{file}: {warning}"))
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
                Some(Scheme::Legacy) => ", signed for esp8266 core 2.5.0 to 2.5.2",
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
        writeln!(f, "MD5      {} (what a device reports once it runs this)", manifest.installed.md5)?;
        if let Some(mode) = manifest.installed.flash_mode {
            writeln!(f, "mode     {mode}")?;
        }
        writeln!(f, "key id   {}", self.key)?;
        self.report.continuity.fmt(f)?;
        self.entered.iter().try_for_each(|entered| entered.fmt(f))
    }
}

pub(crate) fn run(args: &Package, reporter: &Reporter) -> Result<OneOrMany<Packaged>, Failure> {
    let settings = settings(args.config.as_deref())?;
    if args.firmware.len() > 1 || args.batch.list().is_some() {
        return many(args, &settings, reporter).map(OneOrMany::Many);
    }
    let configured = settings.firmware.as_deref().map(|path| Place::Path(relative(path)));
    let Some(firmware) = args.firmware.first().cloned().or(configured) else {
        return Err(Failure::usage(
            "no firmware to package",
            "name the .elf or .bin that the build made, or set `firmware` in otaseal.toml",
        ));
    };
    let default = default_key(args, &settings)?;
    let read = args.signer.inputs(Some(&default));
    check_places(&read.iter().chain([&firmware]).collect::<Vec<_>>(), &[])?;
    let mut piped = None;
    let firmware = match firmware {
        Place::Path(path) => path,
        Place::Std => piped.insert(Piped::read()?).file(),
    };
    let signer = args.signer.open(Some(&default))?;
    let options = options(args, &settings, firmware)?;
    let _progress = reporter.progress("packaging");
    Ok(OneOrMany::One(Box::new(one(&options, &*signer)?)))
}

fn one(options: &Options, signer: &dyn Signer) -> Result<Packaged, Failure> {
    let report = package(options, signer)?;
    let entered = options.policy.ledger.as_ref().zip(report.ledger.clone());
    let entered = entered.map(|(ledger, appended)| Entered::new(ledger, appended));
    let support = report.support_doubts(options.timestamp);
    let key = KeyInfo::of(signer.public_key());
    let remarks = key_warnings(&report.key_findings).into_iter().chain(signer.remarks()).collect();
    Ok(Packaged { report, key, entered, support, remarks })
}

/// One directory holds one package, so each gets its own.
fn many(args: &Package, settings: &Settings, reporter: &Reporter) -> Result<Summary, Failure> {
    if args.name.is_some() {
        return Err(Failure::usage("--name is for one firmware", "leave it away: each is named by its file"));
    }
    args.policy.check_many()?;
    let default = default_key(args, settings)?;
    let read = args.signer.inputs(Some(&default));
    check_places(&read.iter().chain(args.batch.list()).collect::<Vec<_>>(), &[])?;
    let inputs = args.batch.inputs(&args.firmware)?;
    let mut common = options(args, settings, PathBuf::new())?;
    common.base_name = None;
    let mut each = Vec::with_capacity(inputs.len());
    for input in &inputs {
        let mut options = common.clone();
        options.firmware.clone_from(input);
        options.out_dir = common.out_dir.join(options.base()?);
        each.push(options);
    }
    batch::check_outputs(std::iter::empty(), each.iter().map(|options| options.out_dir.as_path()))?;
    let signer = args.signer.open(Some(&default))?;
    let work = |index: usize, _: &Path| one(&each[index], &*signer);
    let line = |packaged: &Packaged| {
        let PackageReport { out_dir, manifest, .. } = &packaged.report;
        let files: Vec<_> = manifest.artefacts.iter().map(|artefact| artefact.file.as_str()).collect();
        format!("packaged {}: {}", out_dir.display(), files.join(", "))
    };
    batch::run("packaged", &args.batch, args.batch.jobs(1), &inputs, reporter, work, line)
}

/// What the options say, and where they say nothing the settings.
fn options(args: &Package, settings: &Settings, firmware: PathBuf) -> Result<Options, Failure> {
    let mut options = Options::new(firmware, "dist");
    settings.apply(&mut options);
    options.out_dir = args.out_dir.clone().unwrap_or_else(|| relative(&options.out_dir));
    if let Some(artefacts) = &args.artefacts {
        options.artefacts.clone_from(artefacts);
    }
    if args.legacy {
        options.artefacts.push(ArtefactKind::LegacySig);
    }
    options.base_name = args.name.clone().or(options.base_name);
    options.effort = args.effort.unwrap_or(options.effort);
    options.max_gap = args.max_gap.unwrap_or(options.max_gap);
    options.timestamp = args.timestamp;
    if !args.devices.is_empty() {
        if args.artefacts.is_none() && settings.artefacts.is_none() {
            options.artefacts = ArtefactKind::ALL.to_vec();
        }
        options.target.profiles.clone_from(&args.devices);
    }
    if let (Some(flash), flash_bytes) = args.flash.flash()? {
        (options.target.flash, options.target.flash_bytes) = (Some(flash), flash_bytes);
    }
    // What an image is expected to be is what the devices are.
    let mode = args.flash.flash_mode.or(args.policy.expect_flash_mode);
    options.target.flash_mode = mode.or(options.target.flash_mode);
    if args.metadata || args.board.is_some() || args.min_base_version.is_some() {
        let request = options.metadata.get_or_insert_default();
        request.board = args.board.clone().or(request.board.take());
        request.min_base_version = args.min_base_version.clone().or(request.min_base_version.take());
    }
    options.policy = args.policy.policy(settings, Some(&options.firmware))?;
    args.evidence.apply(&mut options.evidence);
    options.set_flash_mode = args.set_flash_mode.or(options.set_flash_mode);
    // A configured public key belongs to the configured private one, not to another that is named here. Of a command
    // it is the key that signs.
    let belongs = args.signer.named().is_none() && settings.signer_cmd.is_none();
    if let Some(path) = settings.public_key.as_deref().filter(|_| belongs && !args.policy.names_public()) {
        options.policy.expect.public_key = Some(Place::from(&*relative(path)).public_key()?);
    }
    Ok(options)
}

/// A build from standard input: in a file, because a package says which file it was made from.
struct Piped(TempDir);

impl Piped {
    fn read() -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::write(&std::env::temp_dir(), &error);
        let directory = TempDir::with_prefix("otaseal-").map_err(failed)?;
        // One byte more than can be packaged shows that it is too large.
        let bytes = Place::Std.read(MAX_IMAGE)?;
        std::fs::write(directory.path().join("stdin"), bytes).map_err(failed)?;
        Ok(Self(directory))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("stdin")
    }
}

/// The file that was named, or the one in the current directory if there is one.
pub(super) fn settings(named: Option<&Path>) -> Result<Settings, Failure> {
    let path = match named {
        Some(path) => path,
        // A link that leads nowhere is a settings file that cannot be read, not the absence of one.
        None if Path::new(settings::FILE_NAME).symlink_metadata().is_ok() => Path::new(settings::FILE_NAME),
        None => return Ok(Settings::default()),
    };
    Settings::from_file(path).map_err(|error| Failure::of(&error))
}

/// The setting, or the place where `otaseal keygen` puts a key; the example key only where the settings name one
/// and the key itself is not there.
fn default_key(args: &Package, settings: &Settings) -> Result<KeySource, Failure> {
    if let Some(command) = settings.signing_command() {
        let public =
            settings.public_key.as_deref().map_or_else(|| PathBuf::from("keys/public.pem"), relative);
        return Ok(KeySource::Command { command, public: KeyPlace::Path(public) });
    }
    let own = settings.key.as_deref().map_or_else(|| PathBuf::from("keys/private.pem"), relative);
    let own = args.signer.private(&Place::Path(own))?;
    Ok(match (own.private_file(), &settings.example_key) {
        (Some(file), Some(example)) if !file.exists() => KeySource::File(KeyPlace::Path(relative(example))),
        _ => own,
    })
}

/// Settings give absolute paths; what lies in the current directory reads better without it.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_owned()
}
