//! `otaseal release`: bundles the evidence of a release, or verifies a release bundle.

use crate::error::{Exit, Failure};
use crate::io::{Place, check_places, refuse_std, this_run};
use crate::ledger::{self, Entered};
use crate::policy::key_warnings;
use crate::report::{Outcome, Reporter};
use crate::settings::{BySettings, HasSettings, SettingArgs};
use crate::signer::SignerArgs;
use clap::{Args, Subcommand};
use otaseal::Purpose;
use otaseal::key::PublicKey;
use otaseal::package::evidence::{SupportDoubt, support_doubts};
use otaseal::package::manifest;
use otaseal::policy::lint::{self, Finding};
use otaseal::policy::published_keys;
use otaseal::policy::{Policy, PolicyError};
use otaseal::project::settings::Command;
use otaseal::release::bundle::{self, Bundle, BundleError, BundleRequest, BundledFirmware, Keys};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// Bundle the evidence of a release into a signed directory, or verify one
///
/// DIR is the directory of a package. otaseal compares its manifest with every file, judges every signature, and looks
/// for each signature in the ledger. Then it makes a new directory with the manifest, the artefacts, their digests, the
/// lines of the ledger and the verdicts. It signs the index of this directory, and enters that signature into the
/// ledger too. You can check the directory with `otaseal release verify`, or with openssl and sha256sum.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(mut_arg("key", |key| key.required(true).help("The key that signs the evidence")))]
#[command(mut_arg("ledger", |ledger| ledger.help(
    "The ledger with the package's signatures [default: the ledger of otaseal.toml]"
)))]
pub(crate) struct Release {
    #[command(subcommand)]
    task: Option<Task>,
    /// The directory of the package
    #[arg(value_name = "DIR", required = true)]
    directory: Option<PathBuf>,
    /// Public key of the package's signatures, if another key signs the evidence
    #[arg(long, value_name = "FILE", help_heading = "Key")]
    firmware_key: Option<Place>,
    #[command(flatten)]
    signer: SignerArgs,
    /// Write the release bundle to OUT, a new directory
    #[arg(long, short, value_name = "OUT", required_unless_present = "check", help_heading = "Output")]
    output: Option<PathBuf>,
    // The name of `release verify` in older versions.
    #[arg(long, conflicts_with_all = ["output", "ledger", "build_id", "signer-cmd"], hide = true)]
    check: bool,
    /// Public key that you gave to --rotate-to for this package
    ///
    /// otaseal needs it if the image holds only the modulus of the key.
    #[arg(long, value_name = "FILE", help_heading = "Checks", hide_short_help = true)]
    rotate_to: Option<Place>,
    /// Name of the build in the ledger [default: the name from the CI system]
    #[arg(long, value_name = "ID", help_heading = "Evidence", hide_short_help = true)]
    build_id: Option<String>,
    #[command(flatten)]
    settings: SettingArgs<Self>,
}

#[derive(Debug, Subcommand)]
enum Task {
    Verify(Box<Verify>),
}

/// Verify a release bundle
///
/// The exit code is 1 if a file is not as otaseal signed it, or if the manifest is wrong; the error names the first such
/// file.
#[derive(Debug, Args)]
struct Verify {
    /// The release bundle
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Public key of the key that signed the evidence
    #[arg(long, short, value_name = "FILE", alias = "public-key", help_heading = "Key")]
    key: Place,
    /// Public key of the package's signatures, if another key signed the evidence
    ///
    /// otaseal judges the signatures again with it.
    #[arg(long, value_name = "FILE", help_heading = "Key")]
    firmware_key: Option<Place>,
    /// Public key that you gave to --rotate-to for this package
    ///
    /// otaseal needs it if the image holds only the modulus of the key.
    #[arg(long, value_name = "FILE", help_heading = "Checks", hide_short_help = true)]
    rotate_to: Option<Place>,
}

impl HasSettings for Release {
    const COMMAND: Command = Command::Release;
}

#[derive(Debug, Serialize)]
pub(crate) struct Released {
    #[serde(flatten)]
    bundle: Bundle,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<Entered>,
    #[serde(skip)]
    checked: bool,
    #[serde(skip)]
    remarks: Vec<String>,
}

impl Outcome for Released {
    fn key(&self) -> Option<String> {
        Some(self.bundle.key_id.to_string())
    }

    fn warnings(&self) -> Vec<String> {
        let one_key = self.bundle.firmware_key && !self.checked;
        let one_key = one_key.then(|| {
            "the firmware's own key signs the index: a device that installs any bytes (arduino-pico) would install the \
             index; use another key for evidence, and give the firmware's key with --firmware-key"
                .to_owned()
        });
        let ledger = self.ledger.as_ref().and_then(Entered::warning);
        let BundledFirmware { support_until, weakest, .. } = self.bundle.firmware;
        let support = support_doubts(support_until, Some(weakest), None);
        let support = support.iter().map(SupportDoubt::to_string);
        one_key.into_iter().chain(support).chain(ledger).chain(self.remarks.iter().cloned()).collect()
    }
}

impl fmt::Display for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.checked { "intact  " } else { "release " };
        writeln!(f, "{verb} {}", self.bundle.directory.display())?;
        self.bundle.files.iter().try_for_each(|file| writeln!(f, "         {file}"))?;
        writeln!(f, "key id   {}", self.bundle.key_id)?;
        self.ledger.iter().try_for_each(|entered| entered.fmt(f))
    }
}

pub(crate) fn run(args: &Release, reporter: &Reporter) -> Result<BySettings<Released>, Failure> {
    if let Some(Task::Verify(args)) = &args.task {
        let Verify { directory, key, firmware_key, rotate_to } = &**args;
        let _progress = reporter.progress("checking");
        return verify(directory, key, firmware_key.as_ref(), rotate_to.as_ref()).map(BySettings::without);
    }
    let Some(directory) = &args.directory else { unreachable!("clap asks for it") };
    let chosen = args.settings.choose()?;
    let signing = args.signer.key(&chosen)?;
    if args.check {
        let _progress = reporter.progress("checking");
        let key = signing.source.place().map_or_else(|| signing.name.as_path().into(), Place::from);
        let verified = verify(directory, &key, args.firmware_key.as_ref(), args.rotate_to.as_ref())?;
        return Ok(chosen.report(verified));
    }
    let Some(out) = &args.output else { unreachable!("clap asks for it") };
    let keys = args.firmware_key.iter().chain(&args.rotate_to).cloned();
    let read: Vec<_> = args.signer.inputs(&signing).into_iter().chain(keys).chain(chosen.input()).collect();
    refuse_std(directory, "a release is a directory")?;
    refuse_std(out, "a release is a directory")?;
    check_places(&read.iter().collect::<Vec<_>>(), &[])?;
    let named = args.firmware_key.as_ref().map(Place::public_key).transpose()?;
    let next = args.rotate_to.as_ref().map(Place::public_key).transpose()?;
    let _progress = reporter.progress("bundling");
    let manifest = directory.join(manifest::FILE_NAME);
    let ledger = ledger::open(&chosen.settings, args.build_id.as_deref(), Some(&manifest));
    let mut policy = Policy::default();
    (policy.purpose, policy.ledger) = (Purpose::Release, ledger.clone());
    policy.run = this_run().clone();
    let signer = args.signer.open(&signing)?;
    let gate = policy.open(Some(&*signer))?;
    let ledger = ledger.as_ref().ok_or(PolicyError::NoLedger)?;
    let firmware_key = named.as_ref().unwrap_or(signer.public_key());
    let mut request = BundleRequest::new(directory, out, ledger, firmware_key);
    request.next_key = next.as_ref();
    request.run = this_run().clone();
    let bundle = bundle::make(request, &*signer)?;
    let entered = Entered::of(Some(ledger), bundle.entered.clone());
    let remarks = key_warnings(gate.findings()).into_iter().chain(signer.remarks()).collect();
    Ok(chosen.report(Released { bundle, ledger: entered, checked: false, remarks }))
}

/// Verifies a release bundle.
fn verify(
    directory: &Path,
    key: &Place,
    firmware_key: Option<&Place>,
    rotate_to: Option<&Place>,
) -> Result<Released, Failure> {
    refuse_std(directory, "a release is a directory")?;
    check_places(&[Some(key), firmware_key, rotate_to].into_iter().flatten().collect::<Vec<_>>(), &[])?;
    let named = firmware_key.map(Place::public_key).transpose()?;
    let next = rotate_to.map(Place::public_key).transpose()?;
    let key = key.public_key()?;
    let bundle = bundle::check(directory, &key, Keys::new(named.as_ref(), next.as_ref()))?;
    let remarks = doubts(&key, named.as_ref(), &bundle);
    Ok(Released { remarks, bundle, ledger: None, checked: true })
}

/// Returns the faults of the keys of an existing release, as warnings. They do not change what was signed, so they are
/// no reason to reject it.
fn doubts(evidence: &PublicKey, firmware: Option<&PublicKey>, bundle: &Bundle) -> Vec<String> {
    let mut doubts: Vec<_> = lint::refusals(evidence)
        .iter()
        .map(|finding| format!("the key of the evidence: {finding}"))
        .collect();
    let of_firmware = match firmware {
        Some(key) => lint::refusals(key),
        None if bundle.firmware_key => Vec::new(),
        // The firmware's key is not given. Its key id still tells whether it is published.
        None => {
            let at = published_keys::published_at(bundle.firmware.key_id);
            at.map(|at| Finding::Published { at }).into_iter().collect()
        }
    };
    doubts.extend(of_firmware.iter().map(|finding| format!("the key of the firmware: {finding}")));
    doubts
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let failure = Self::of(&error);
        if error.is_verdict() { Self { exit: Exit::Rejected, ..failure } } else { failure }
    }
}
