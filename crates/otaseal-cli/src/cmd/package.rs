use super::KeyInfo;
use crate::error::Failure;
use crate::io::Place;
use crate::report::{Outcome, Reporter};
use clap::Args;
use otaseal::compress::Effort;
use otaseal::sign::Scheme;
use otaseal::{ArtefactKind, Options, Purpose, Report, package};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Make a package of a firmware build: compressed, signed, verified, with a manifest
///
/// Takes an ELF, which is flattened by load address, or a plain image. Every file is made and verified under a
/// temporary name before the first gets its own, and the same build and key give the same bytes everywhere.
#[derive(Debug, Args)]
pub(crate) struct Package {
    /// The build: .elf or .bin
    firmware: PathBuf,
    /// Private key: PKCS#8 or PKCS#1, PEM or DER
    #[arg(long, short, value_name = "FILE")]
    key: Place,
    /// Where the package goes; made when it is missing
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    out_dir: PathBuf,
    /// Start of every file name [default: the build's name without its ending]
    #[arg(long, value_name = "BASE")]
    name: Option<String>,
    /// What to make: plain, gz, signed, gz-signed, legacy-sig [default: all but legacy-sig]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = artefact)]
    artefacts: Option<Vec<ArtefactKind>>,
    /// Also make NAME.bin.legacy_sig, for esp8266 core 2.5.0 to 2.5.2
    #[arg(long)]
    legacy: bool,
    /// How hard to compress: fast, default or max
    #[arg(long, value_name = "EFFORT", default_value = "default")]
    effort: Effort,
    /// Largest hole between two ELF sections that is filled with FF
    #[arg(long, value_name = "BYTES", default_value_t = otaseal::elf::DEFAULT_MAX_GAP)]
    max_gap: usize,
    /// Time for the manifest, in seconds since 1970; without it the manifest has none
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    timestamp: Option<u64>,
    /// Refuse a key whose private half is published
    #[arg(long)]
    release: bool,
}

fn artefact(text: &str) -> Result<ArtefactKind, &'static str> {
    serde_json::from_value(text.into()).map_err(|_| "expected plain, gz, signed, gz-signed or legacy-sig")
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Packaged {
    report: Report,
    #[serde(skip)]
    key: KeyInfo,
}

impl Outcome for Packaged {
    fn warnings(&self) -> Vec<String> {
        self.key.warning().into_iter().collect()
    }
}

impl fmt::Display for Packaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { out_dir, manifest, removed, .. } = &self.report;
        writeln!(f, "package  {}", out_dir.display())?;
        if let (Some(name), Some(version)) = (&manifest.name, &manifest.version) {
            writeln!(f, "firmware {name} {version}")?;
        }
        let width = manifest.artefacts.iter().map(|artefact| artefact.file.len()).max().unwrap_or(0);
        for artefact in &manifest.artefacts {
            let signed = match artefact.signature {
                None => "",
                Some(Scheme::Pkcs1v15Sha256) => ", signed",
                Some(Scheme::LegacyBareHash) => ", signed for esp8266 core 2.5.0 to 2.5.2",
            };
            writeln!(f, "         {:width$}  {} bytes{signed}", artefact.file, artefact.digests.size_bytes)?;
        }
        removed.iter().try_for_each(|file| writeln!(f, "removed  {file} (of the earlier package)"))?;
        writeln!(f, "MD5      {} (what a device reports once it runs this)", manifest.installed.md5)?;
        writeln!(f, "key id   {}", self.key)
    }
}

pub(crate) fn run(args: &Package, reporter: &Reporter) -> Result<Packaged, Failure> {
    let key = args.key.private_key()?;
    let mut artefacts = args.artefacts.clone().unwrap_or_else(|| ArtefactKind::DEFAULT.to_vec());
    if args.legacy {
        artefacts.push(ArtefactKind::LegacySig);
    }
    let mut options = Options::new(&args.firmware, &args.out_dir);
    options.base_name = args.name.clone();
    options.artefacts = artefacts;
    options.effort = args.effort;
    options.max_gap = args.max_gap;
    options.timestamp = args.timestamp;
    options.purpose = if args.release { Purpose::Release } else { Purpose::Development };
    let _progress = reporter.progress("packaging");
    Ok(Packaged { report: package(&options, &key)?, key: KeyInfo::of(key.public()) })
}
