use super::package::settings;
use super::sign::{Checked, Guard, checked};
use super::{KeyInfo, scheme};
use crate::continuity::ContinuityArgs;
use crate::error::{Exit, Failure};
use crate::io::{Content, Place, Sink, check_places};
use crate::ledger::{self, Entered, LedgerArgs};
use crate::linted::warnings_of;
use crate::report::Outcome;
use clap::Args;
use otaseal::Purpose;
use otaseal::device::layout;
use otaseal::format::digest::Sha256Digest;
use otaseal::key::PublicKey;
use otaseal::policy::guard::Content as Kind;
use otaseal::sign::detached::{Detached, MAX_SIGNATURE_FILE};
use otaseal::sign::request::{MAX_REQUEST, SigningRequest};
use otaseal::sign::{AlreadySigned, Expecting, Scheme, SignError, Signer};
use serde::Serialize;
use std::fmt;

/// Put a signature that was made elsewhere on its image
///
/// The signature may be raw, or hexadecimal or base64 text. The signed image is judged by the code that runs on the
/// device before the file gets its name; a signature that is not good is named (another key, padding, hash, image) and
/// nothing is written: exit code 1.
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// The unsigned image
    #[arg(value_name = "IMAGE")]
    input: Place,
    /// The signature
    #[arg(value_name = "SIGNATURE")]
    signature: Place,
    /// Public key that must have signed
    #[arg(long, short, value_name = "FILE")]
    key: Place,
    /// Where the signed image goes
    #[arg(long, short, value_name = "OUT")]
    output: Place,
    /// The request that `otaseal digest` wrote: the image and the key must be those that it names
    #[arg(long, value_name = "FILE")]
    request: Option<Place>,
    /// The signature is in the form of esp8266 core 2.5.0 to 2.5.2. A request says it by itself
    #[arg(long, conflicts_with = "request")]
    legacy: bool,
    /// An image that ends in what looks like a signature, or that is damaged
    #[arg(long)]
    force: bool,
    /// What the image is for: firmware or filesystem. A recognised image of the other kind is refused
    #[arg(long, value_name = "KIND", default_value = "firmware")]
    as_kind: Kind,
    #[command(flatten)]
    continuity: ContinuityArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Refuse a key that is unfit for a release (published, factored by known methods), and firmware of unknown kind
    /// without a key in it. Needs a ledger
    #[arg(long)]
    release: bool,
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

pub(crate) fn run(args: &Attach) -> Result<Attached, Failure> {
    let purpose = if args.release { Purpose::Release } else { Purpose::Development };
    let ledger = args.ledger.open_for(purpose, &settings(None)?, args.input.path())?;
    let ledger_place = ledger::place(ledger.as_ref());
    let mut inputs = vec![&args.input, &args.signature, &args.key];
    inputs.extend(args.request.iter().chain(&ledger_place));
    check_places(&inputs, &[&args.output])?;
    let key = args.key.public_key()?;
    let findings = warnings_of(&key, purpose)?;
    let request = args.request.as_ref().map(|place| request(place, &key)).transpose()?;
    let bytes = args.signature.read(MAX_SIGNATURE_FILE)?;
    let detached = Detached::new(key.clone(), &bytes)
        .map_err(|error| rejected(format_args!("{}: {error}", args.signature), error.help()))?;
    let form = request.as_ref().map_or(scheme(args.legacy), |request| request.signature);
    let expecting =
        request.as_ref().map(|request| Expecting { signer: &detached, sha256: request.image.sha256 });
    let signer: &dyn Signer = expecting.as_ref().map_or(&detached, |expecting| expecting);

    let rule = if args.force { AlreadySigned::Allow } else { AlreadySigned::Refuse };
    let guard = Guard {
        kind: Some(args.as_kind),
        damaged_too: args.force,
        continuity: args.continuity.rule().for_purpose(purpose),
        ..Guard::default()
    };
    let Checked { mut image, mut warnings, .. } = checked(&args.input, rule, &guard, Some(signer))?;
    warnings.extend(findings);
    let mut sink = Sink::create(&args.output, Content::Binary)?;
    let signed = image.sign(&mut [(form, sink.target())], signer, rule);
    let signed = signed.map_err(|error| match &error {
        SignError::Write(error) => sink.failed(error),
        SignError::Mismatch(mismatch) => {
            rejected(format_args!("{}: {error}", args.signature), mismatch.help())
        }
        SignError::OtherImage { expected, found } => rejected(
            format_args!(
                "{} is not the image of the request: its SHA-256 is {found}, the signature was asked for {expected}",
                args.input
            ),
            "give the image that `otaseal digest` was run on, byte for byte",
        ),
        error => Failure::sign(&args.input, error),
    })?;
    let entered = ledger::enter(ledger.as_ref(), &args.input, &signed, &[(form, &args.output)], &key)?;
    sink.commit()?;
    Ok(Attached {
        key: KeyInfo::of(&key),
        output: args.output.name(),
        signature: form,
        size_bytes: signed.payload_len + layout::trailer_len(signed.signature_len) as u64,
        payload_bytes: signed.payload_len,
        payload_sha256: signed.sha256,
        ledger: entered,
        warnings,
    })
}

/// The request, which must be for this key.
fn request(place: &Place, key: &PublicKey) -> Result<SigningRequest, Failure> {
    let bytes = place.read(MAX_REQUEST)?;
    let request = SigningRequest::from_json(&bytes)
        .map_err(|error| Failure::new(format_args!("{place}: {error}"), error.help()))?;
    let other = request.check_key(key);
    other.map_err(|error| rejected(format_args!("{place}: {error}"), error.help()))?;
    Ok(request)
}
