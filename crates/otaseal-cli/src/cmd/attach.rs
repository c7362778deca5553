//! `otaseal attach`: puts a signature from an offline signer on its image.

use super::{KeyInfo, scheme};
use crate::defaults::{self, Naming};
use crate::error::{Exit, Failure};
use crate::io::{Content, Place, Sink, check_places};
use crate::ledger::Entered;
use crate::made;
use crate::policy::{self, ForceArgs, PolicyArgs};
use crate::report::Outcome;
use crate::settings::{BySettings, Half, HasSettings, SettingArgs};
use clap::Args;
use otaseal::format::digest::Sha256Digest;
use otaseal::key::PublicKey;
use otaseal::policy::guard::GuardError;
use otaseal::policy::{PolicyError, SignedOutputs};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::project::settings::Command;
use otaseal::sign::detached::{Detached, MAX_SIGNATURE_FILE};
use otaseal::sign::request::{MAX_REQUEST, SigningRequest};
use otaseal::sign::{Output, Scheme, SignError};
use serde::Serialize;
use std::fmt;

/// Offline signing, step 2: put the signature on its image
///
/// The signature may be raw bytes, or hexadecimal or base64 text. otaseal judges the signed image with the device's
/// code before the file gets its name. If the signature is wrong, otaseal says why (another key, padding, hash or
/// image), writes nothing, and exits with 1.
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// The unsigned image
    #[arg(value_name = "IMAGE")]
    input: Place,
    /// The signature
    #[arg(value_name = "SIGNATURE")]
    signature: Place,
    /// Public key that must have signed [default: the public key of otaseal.toml, or keys/public.pem]
    #[arg(long, short, value_name = "FILE", alias = "public-key", help_heading = "Key")]
    key: Option<Place>,
    /// Write the signed image to OUT [default: IMAGE.signed]
    #[arg(long, short, value_name = "OUT", help_heading = "Output")]
    output: Option<Place>,
    /// Refuse another image or key than those of this request
    ///
    /// FILE is the request that `otaseal digest` wrote.
    #[arg(long, value_name = "FILE", help_heading = "Checks")]
    request: Option<Place>,
    /// Take a legacy signature, for esp8266 core 2.5.0 to 2.5.2; a request says this itself
    #[arg(long, conflicts_with = "request", help_heading = "Output", hide_short_help = true)]
    legacy: bool,
    #[command(flatten)]
    force: ForceArgs,
    #[command(flatten)]
    settings: SettingArgs<Self>,
    #[command(flatten)]
    policy: PolicyArgs,
}

impl HasSettings for Attach {
    const COMMAND: Command = Command::Attach;
}

#[derive(Debug, Serialize)]
pub(crate) struct Attached {
    key: KeyInfo,
    output: String,
    signature: Scheme,
    size_bytes: u64,
    payload_bytes: u64,
    payload_sha256: Sha256Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<Entered>,
    #[serde(skip)]
    warnings: Vec<String>,
}

impl Outcome for Attached {
    fn key(&self) -> Option<String> {
        Some(self.key.to_string())
    }

    fn warnings(&self) -> Vec<String> {
        let entered = self.ledger.as_ref().and_then(Entered::warning);
        self.key.warning().into_iter().chain(self.warnings.clone()).chain(entered).collect()
    }

    fn stdout_is_taken(&self) -> bool {
        self.output == "-"
    }
}

impl fmt::Display for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "signed   {} ({} bytes)", self.output, self.size_bytes)?;
        writeln!(f, "payload  {} bytes, SHA-256 {}", self.payload_bytes, self.payload_sha256)?;
        writeln!(f, "key id   {}", self.key)?;
        self.ledger.iter().try_for_each(|entered| entered.fmt(f))
    }
}

fn rejected(message: impl fmt::Display, help: impl fmt::Display) -> Failure {
    Failure { exit: Exit::Rejected, ..Failure::new(message, help) }
}

pub(crate) fn run(args: &Attach) -> Result<BySettings<Attached>, Failure> {
    let chosen = args.settings.choose()?;
    let mut assumed_key = None;
    if args.key.is_none() {
        chosen.require_key_or_default(Half::Public)?;
        assumed_key = chosen.assumed_key(Half::Public);
    }
    let defaults::Output { place: out, assumed } = Naming::Sign.output(args.output.as_ref(), &args.input)?;
    let key = args.key.clone().map_or_else(|| chosen.public_key(), Ok)?;
    let mut inputs = vec![args.input.clone(), args.signature.clone(), key.clone()];
    inputs.extend(args.request.iter().cloned().chain(args.policy.inputs(&chosen)));
    check_places(&inputs.iter().collect::<Vec<_>>(), &[&out])?;
    let key = key.public_key()?;
    let mut policy = args.policy.policy(&chosen.settings, None, args.input.path())?;
    args.force.apply(&mut policy);
    // Judge the key before reading anything else: that needs no signature.
    policy.open(Some(&key))?;
    let request = args.request.as_ref().map(|place| request(place, &key)).transpose()?;
    let bytes = args.signature.read(MAX_SIGNATURE_FILE)?;
    let detached = Detached::new(key.clone(), &bytes).map_err(|error| {
        rejected(format_args!("{}: {error}", args.signature), error.advice(Speaker::Program))
    })?;
    let form = request.as_ref().map_or(scheme(args.legacy), |request| request.signature);
    let asked_for = request.as_ref().map(|request| request.image.sha256);
    policy.expect.sha256 = policy.expect.sha256.or(asked_for);
    let gate = policy.open(Some(&detached))?;

    let refused = |error: PolicyError| match &error {
        PolicyError::Guard(GuardError::OtherBuild { expected, found }) if asked_for == Some(*expected) => {
            rejected(
                format_args!(
                    "{} is not the image of the request: its SHA-256 is {found}, the request is for {expected}",
                    args.input
                ),
                "give exactly the image that you gave to `otaseal digest`",
            )
        }
        PolicyError::Sign(SignError::Mismatch(mismatch)) => {
            rejected(format_args!("{}: {error}", args.signature), mismatch.advice(Speaker::Program))
        }
        _ => Failure::policy(&args.input, error),
    };
    let mut permit = gate.judge(args.input.candidate()?).map_err(refused)?;
    let mut sink = Sink::create(&out, Content::Binary, args.force.over(made::signed_by(&key)))?;
    let output = Output::new(form, out.name(), sink.target());
    let done = permit.sign(&args.input.name(), &mut [output]);
    let SignedOutputs { signed, entered, .. } = done.map_err(|error| match error {
        PolicyError::Sign(SignError::Write(error)) => sink.failed(&error),
        error => refused(error),
    })?;
    sink.commit()?;
    let mut warnings = policy::warnings(&args.input, &permit);
    warnings.extend(policy::key_warnings(gate.findings()));
    let attached = Attached {
        key: KeyInfo::of(&key),
        output: out.name(),
        signature: form,
        size_bytes: signed.output_len(),
        payload_bytes: signed.payload_len,
        payload_sha256: signed.sha256,
        ledger: Entered::of(policy.ledger.as_ref(), entered),
        warnings,
    };
    Ok(chosen.report(attached).assuming([assumed_key, assumed]))
}

/// Reads the request, and checks that it is for this key.
fn request(place: &Place, key: &PublicKey) -> Result<SigningRequest, Failure> {
    let bytes = place.read(MAX_REQUEST)?;
    let request = SigningRequest::from_json(&bytes)
        .map_err(|error| Failure::new(format_args!("{place}: {error}"), error.advice(Speaker::Program)))?;
    let other = request.check_key(key);
    other.map_err(|error| rejected(format_args!("{place}: {error}"), error.advice(Speaker::Program)))?;
    Ok(request)
}
