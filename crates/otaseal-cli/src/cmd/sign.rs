//! `otaseal sign`: signs one image, or many.

use super::KeyInfo;
use crate::batch::{self, BatchArgs, OneOrMany, Summary};
use crate::cmd::device::DeviceArgs;
use crate::defaults::{Naming, Output as NamedOutput};
use crate::error::Failure;
use crate::io::{Content, Place, Sink, check_places, make_directory, refuse_std};
use crate::ledger::{self, Entered};
use crate::made::{self, Replaces};
use crate::policy::{self, ForceArgs, PolicyArgs};
use crate::report::{Outcome, Reporter};
use crate::settings::{BySettings, Chosen, Half, HasSettings, SettingArgs};
use crate::signer::SignerArgs;
use clap::Args;
use otaseal::format::digest::Sha256Digest;
use otaseal::ledger::Ledger;
use otaseal::output::Inputs;
use otaseal::policy::continuity::Continuity;
use otaseal::policy::{Gate, Policy, PolicyError, SignedOutputs};
use otaseal::project::settings::{Command, SigningKey};
use otaseal::sign::{self, Scheme, SignError, Signer};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// Sign a firmware image
///
/// otaseal writes the image, its signature (RSA PKCS#1 v1.5 with SHA-256) and the signature's length. The file gets its
/// name only if the device's code accepts it. otaseal replaces an earlier output in one step, and knows it by a
/// signature of the same key. To sign a compressed image, compress first.
///
/// With --out-dir, one run can sign many images, on all cores. otaseal prints one line for each, in the order of the
/// images; with --json, one JSON object on each line. The exit code is the worst of all.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The unsigned image, or many with --out-dir
    #[arg(value_name = "IN", required_unless_present = "from_list")]
    inputs: Vec<Place>,
    #[command(flatten)]
    signer: SignerArgs,
    /// Write the signed image to OUT [default: IN.signed]
    #[arg(long, short, value_name = "OUT", conflicts_with = "from_list", help_heading = "Output")]
    output: Option<Place>,
    /// Write the signed images of many inputs to DIR, as INPUT.signed
    ///
    /// otaseal makes DIR if it is missing.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "legacy"], help_heading = "Output")]
    out_dir: Option<PathBuf>,
    /// Also write an image with a legacy signature, for esp8266 core 2.5.0 to 2.5.2
    #[arg(long, value_name = "OUT2", help_heading = "Output", hide_short_help = true)]
    legacy: Option<Place>,
    #[command(flatten)]
    settings: SettingArgs<Self>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    force: ForceArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    batch: BatchArgs,
}

impl HasSettings for Sign {
    const COMMAND: Command = Command::Sign;
}

impl Sign {
    fn policy(&self, chosen: &Chosen, key: &SigningKey, input: Option<&Path>) -> Result<Policy, Failure> {
        let mut policy = self.policy.policy(&chosen.settings, Some(key), input)?;
        self.device.describe(&mut policy.devices, self.settings.given())?;
        self.force.apply(&mut policy);
        Ok(policy)
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Signed {
    key: KeyInfo,
    payload_bytes: u64,
    payload_sha256: Sha256Digest,
    signature_bytes: usize,
    outputs: Vec<Output>,
    /// The verdict on the public keys in the image. Absent if otaseal could not search it.
    #[serde(skip_serializing_if = "Option::is_none")]
    continuity: Option<Continuity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<Entered>,
    #[serde(skip)]
    warnings: Vec<String>,
    /// Remarks of the signer and findings about its key.
    #[serde(skip)]
    remarks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Output {
    file: String,
    signature: Scheme,
    size_bytes: u64,
}

impl Outcome for Signed {
    fn key(&self) -> Option<String> {
        Some(self.key.to_string())
    }

    fn warnings(&self) -> Vec<String> {
        let own = self.key.warning().into_iter().chain(self.warnings.clone());
        let own = own.chain(self.ledger.as_ref().and_then(Entered::warning));
        own.chain(self.remarks.iter().cloned()).collect()
    }

    fn stdout_is_taken(&self) -> bool {
        self.outputs.iter().any(|output| output.file == "-")
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for output in &self.outputs {
            let form = match output.signature {
                Scheme::Pkcs1v15Sha256 => "signed",
                Scheme::Legacy => "legacy",
            };
            writeln!(f, "{form}   {} ({} bytes)", output.file, output.size_bytes)?;
        }
        writeln!(f, "payload  {} bytes, SHA-256 {}", self.payload_bytes, self.payload_sha256)?;
        writeln!(f, "key id   {}", self.key)?;
        self.continuity.iter().try_for_each(|keys| keys.fmt(f))?;
        self.ledger.iter().try_for_each(|entered| entered.fmt(f))
    }
}

pub(crate) fn run(args: &Sign, reporter: &Reporter) -> Result<BySettings<OneOrMany<Signed>>, Failure> {
    let chosen = args.settings.choose()?;
    if args.output.is_none() && args.out_dir.is_none() {
        check_one(args)?;
    }
    chosen.require_key_or_default(Half::Private)?;
    let key = chosen.assumed_key(Half::Private);
    match &args.out_dir {
        Some(directory) => {
            let many = OneOrMany::Many(many(args, &chosen, directory, reporter)?);
            Ok(chosen.report(many).assuming([key]))
        }
        None => {
            let input = only_input(args)?;
            let NamedOutput { place, assumed } = Naming::Sign.output(args.output.as_ref(), input)?;
            let one = OneOrMany::One(Box::new(one(args, &chosen, input, &place, reporter)?));
            Ok(chosen.report(one).assuming([key, assumed]))
        }
    }
}

/// Refuses many inputs without an output. Two names may also be meant as input and output: other tools take them so.
fn check_one(args: &Sign) -> Result<(), Failure> {
    let refused =
        |help: String| Err(Failure::usage("the command line names more than one file and no output", help));
    match (&args.inputs[..], args.batch.list()) {
        ([_], None) => Ok(()),
        ([input, output], None) => refused(format!(
            "to write the signed image to {output}, type `otaseal sign {input} -o {output}`; to sign both, name a \
             directory with --out-dir"
        )),
        _ => refused("name a directory with --out-dir".into()),
    }
}

fn only_input(args: &Sign) -> Result<&Place, Failure> {
    match &args.inputs[..] {
        [input] => Ok(input),
        inputs => Err(Failure::usage(
            format_args!("{} inputs and one output", inputs.len()),
            "give the directory for the signed images with --out-dir",
        )),
    }
}

fn one(
    args: &Sign,
    chosen: &Chosen,
    input: &Place,
    output: &Place,
    reporter: &Reporter,
) -> Result<Signed, Failure> {
    let mut outputs = vec![(Scheme::Pkcs1v15Sha256, output)];
    outputs.extend(args.legacy.as_ref().map(|legacy| (Scheme::Legacy, legacy)));
    let key = args.signer.key(chosen)?;
    let read = args.signer.inputs(&key).into_iter().chain(args.policy.inputs(chosen));
    let read: Vec<_> = read.chain([input.clone()]).chain(args.device.running().cloned()).collect();
    let places: Vec<_> = outputs.iter().map(|(_, place)| *place).collect();
    check_places(&read.iter().collect::<Vec<_>>(), &places)?;
    let policy = args.policy(chosen, &key, input.path())?;
    let _progress = reporter.progress("signing");
    let signer = args.signer.open(&key)?;
    let replaces = args.force.over(made::signed_by(signer.public_key()));
    let gate = policy.open(Some(&*signer))?;
    sign(input, &outputs, &replaces, &gate, &*signer, policy.ledger.as_ref())
}

fn many(args: &Sign, chosen: &Chosen, directory: &Path, reporter: &Reporter) -> Result<Summary, Failure> {
    refuse_std(directory, "many signed images need a directory")?;
    let key = args.signer.key(chosen)?;
    let read = args.signer.inputs(&key).into_iter().chain(args.policy.inputs(chosen));
    let read: Vec<_> = read.chain(args.device.running().cloned()).collect();
    let streams: Vec<_> = read.iter().chain(args.batch.list()).collect();
    check_places(&streams, &[])?;
    let inputs = args.batch.inputs(&args.inputs)?;
    let mut outputs = Vec::with_capacity(inputs.len());
    for input in &inputs {
        let Some(name) = input.file_name() else {
            return Err(Failure::usage(
                format_args!("{} is not a file name", input.display()),
                "give the names of image files",
            ));
        };
        outputs.extend(Naming::Sign.name(name).map(|name| directory.join(name)));
    }
    let read = inputs.iter().map(PathBuf::as_path).chain(streams.iter().filter_map(|place| place.path()));
    batch::check_outputs(&Inputs::new(read), outputs.iter().map(PathBuf::as_path))?;
    args.policy.check_many()?;
    let policy = args.policy(chosen, &key, inputs.first().map(PathBuf::as_path))?;
    let signer = args.signer.open(&key)?;
    let replaces = args.force.over(made::signed_by(signer.public_key()));
    let gate = policy.open(Some(&*signer))?;
    make_directory(directory)?;
    let work = |index: usize, input: &Path| {
        let output = Place::from(&*outputs[index]);
        let outputs = [(Scheme::Pkcs1v15Sha256, &output)];
        let input = Place::from(input);
        let signed = sign(&input, &outputs, &replaces, &gate, &*signer, policy.ledger.as_ref())?;
        Ok(chosen.report(signed))
    };
    let line = |signed: &BySettings<Signed>| {
        let outputs = signed
            .outcome
            .outputs
            .iter()
            .map(|output| format!("{} ({} bytes)", output.file, output.size_bytes));
        format!("signed   {}", outputs.collect::<Vec<_>>().join(", "))
    };
    let jobs = args.batch.jobs(if policy.ledger.is_some() { ledger::WAIT_AT_ONCE } else { 1 });
    batch::run("signed", &args.batch, jobs, &inputs, reporter, work, line)
}

/// Adds to a failure that other outputs have their names already.
fn after(written: &[String], failure: Failure) -> Failure {
    match written {
        [] => failure,
        names => Failure {
            message: format!("{}; {} was written", failure.message, names.join(", ")),
            help: "free some space or choose another place, then run it again".into(),
            ..failure
        },
    }
}

/// Signs one input and writes every output. It verifies all of them before the first gets its name. The caller has
/// checked the places against each other. `signer` and `ledger` are the gate's.
pub(super) fn sign(
    input: &Place,
    outputs: &[(Scheme, &Place)],
    replaces: &Replaces,
    gate: &Gate<'_>,
    signer: &dyn Signer,
    ledger: Option<&Ledger>,
) -> Result<Signed, Failure> {
    let mut permit = gate.judge(input.candidate()?).map_err(|error| Failure::policy(input, error))?;
    let mut sinks = Vec::new();
    for (scheme, place) in outputs {
        sinks.push((*scheme, place.name(), Sink::create(place, Content::Binary, replaces.clone())?));
    }
    let mut targets: Vec<_> = sinks
        .iter_mut()
        .map(|(scheme, name, sink)| sign::Output::new(*scheme, &**name, sink.target()))
        .collect();
    let SignedOutputs { signed, entered, .. } =
        permit.sign(&input.name(), &mut targets).map_err(|error| match error {
            PolicyError::Sign(SignError::Write(error)) => {
                let names: Vec<_> = outputs.iter().map(|(_, place)| place.name()).collect();
                Failure::write(Path::new(&names.join(" or ")), &error)
            }
            error => Failure::policy(input, error),
        })?;
    let mut written: Vec<String> = Vec::new();
    for (_, name, sink) in sinks {
        sink.commit().map_err(|failure| after(&written, failure))?;
        written.push(name);
    }
    let size_bytes = signed.output_len();
    Ok(Signed {
        key: KeyInfo::of(signer.public_key()),
        warnings: policy::warnings(input, &permit),
        continuity: permit.continuity().cloned(),
        ledger: Entered::of(ledger, entered),
        remarks: policy::key_warnings(gate.findings()).into_iter().chain(signer.remarks()).collect(),
        payload_bytes: signed.payload_len,
        payload_sha256: signed.sha256,
        signature_bytes: signed.signature_len,
        outputs: outputs
            .iter()
            .map(|(scheme, place)| Output { file: place.name(), signature: *scheme, size_bytes })
            .collect(),
    })
}
