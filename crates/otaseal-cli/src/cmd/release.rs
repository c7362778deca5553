use crate::error::{Exit, Failure};
use crate::io::{Place, check_places};
use crate::ledger::{self, Entered};
use crate::policy::key_warnings;
use crate::report::{Outcome, Reporter};
use crate::settings::{BySettings, HasSettings, SettingArgs};
use crate::signer::SignerArgs;
use clap::Args;
use otaseal::Purpose;
use otaseal::key::PublicKey;
use otaseal::package::evidence::{SupportDoubt, support_doubts};
use otaseal::package::manifest;
use otaseal::policy::lint::{self, Finding};
use otaseal::policy::published_keys;
use otaseal::policy::{Policy, PolicyError};
use otaseal::project::settings::Command;
use otaseal::release::bundle::{self, Bundle, BundleError, BundleRequest, BundledFirmware, Keys};
use otaseal::sign::source::KeyPlace;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Bundle the evidence of a release into one signed directory, or check one
///
/// Takes the directory of a package. What its manifest says is held against every file, every signature is judged, and
/// each must be in the ledger; manifest, artefacts, their digests, the lines of the ledger and the verdicts are put into
/// a new directory, whose index is signed: openssl and sha256sum can check it. That signature is entered into the ledger
/// as well.
///
/// With --check, DIR is such a directory: exit code 1 names the first file that is not as it was signed, or of which the
/// manifest says what is not so.
#[derive(Debug, Args)]
#[command(mut_arg("key", |key| key.required(true).help("The key that signs the evidence; with --check, its public half")))]
#[command(mut_arg("ledger", |ledger| ledger.help(
    "The ledger that the package's signatures were entered into [default: what otaseal.toml says]"
)))]
pub(crate) struct Release {
    /// The directory of the package; with --check, that of the release
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The directory that is made
    #[arg(long, short, value_name = "OUT", required_unless_present = "check")]
    output: Option<PathBuf>,
    /// Check the directory of a release
    #[arg(long, conflicts_with_all = ["output", "ledger", "build_id", "signer-cmd"])]
    check: bool,
    #[command(flatten)]
    settings: SettingArgs<Self>,
    #[command(flatten)]
    signer: SignerArgs,
    /// Name of the build in the ledger [default: the name that the CI system gives it]
    #[arg(long, value_name = "ID")]
    build_id: Option<String>,
    /// Public key that the package was signed by, where another key signs the evidence; with --check, the signatures of
    /// the package are judged again by it
    #[arg(long, value_name = "FILE")]
    firmware_key: Option<Place>,
    /// Public key that the image brings its devices as a bare modulus, which is found by the key alone: what
    /// --rotate-to was given when it was packaged
    #[arg(long, value_name = "FILE")]
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
    fn warnings(&self) -> Vec<String> {
        let one_key = self.bundle.firmware_key && !self.checked;
        let one_key = one_key.then(|| {
            "the index of files is signed by the firmware's own key: a device that installs any bytes (arduino-pico) \
             would take it for firmware; keep a key of its own for evidence, and name the firmware's with --firmware-key"
                .to_owned()
        });
        let ledger = self.ledger.as_ref().and_then(Entered::warning);
        let BundledFirmware { support_until, weakest, .. } = self.bundle.firmware;
        let support = support_doubts(support_until, weakest, None);
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
    let chosen = args.settings.choose()?;
    let signing = args.signer.key(&chosen)?;
    let keys = args.firmware_key.iter().chain(&args.rotate_to).cloned();
    let read: Vec<_> = args.signer.inputs(&signing).into_iter().chain(keys).collect();
    check_places(&read.iter().collect::<Vec<_>>(), &[])?;
    let named = args.firmware_key.as_ref().map(Place::public_key).transpose()?;
    let next = args.rotate_to.as_ref().map(Place::public_key).transpose()?;
    if args.check {
        let keys = Keys::new(named.as_ref(), next.as_ref());
        let key =
            KeyPlace::public_key(signing.source.place().unwrap_or(&KeyPlace::Path(signing.name.clone())))?;
        let bundle = bundle::check(&args.directory, &key, keys)?;
        let remarks = doubts(&key, named.as_ref(), &bundle);
        return Ok(chosen.report(Released { remarks, bundle, ledger: None, checked: true }));
    }
    let Some(out) = &args.output else { unreachable!("clap asks for it") };
    let manifest = args.directory.join(manifest::FILE_NAME);
    let ledger = ledger::open(&chosen.settings, args.build_id.as_deref(), Some(&manifest));
    let mut policy = Policy::default();
    (policy.purpose, policy.ledger) = (Purpose::Release, ledger.clone());
    let signer = args.signer.open(&signing)?;
    let gate = policy.open(Some(&*signer))?;
    let ledger = ledger.as_ref().ok_or(PolicyError::NoLedger)?;
    let firmware_key = named.as_ref().unwrap_or(signer.public_key());
    let _progress = reporter.progress("bundling");
    let mut request = BundleRequest::new(&args.directory, out, ledger, firmware_key);
    request.next_key = next.as_ref();
    let bundle = bundle::make(request, &*signer)?;
    let entered = Entered::of(Some(ledger), bundle.entered.clone());
    let remarks = key_warnings(gate.findings()).into_iter().chain(signer.remarks()).collect();
    Ok(chosen.report(Released { bundle, ledger: entered, checked: false, remarks }))
}

/// What is wrong with the keys of a release that was made. It stays what was signed, so nothing is rejected for it.
fn doubts(evidence: &PublicKey, firmware: Option<&PublicKey>, bundle: &Bundle) -> Vec<String> {
    let mut doubts: Vec<_> = lint::refusals(evidence)
        .iter()
        .map(|finding| format!("the key of the evidence: {finding}"))
        .collect();
    let of_firmware = match firmware {
        Some(key) => lint::refusals(key),
        None if bundle.firmware_key => Vec::new(),
        // Of a key that is not at hand, its id tells whether it is published.
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
