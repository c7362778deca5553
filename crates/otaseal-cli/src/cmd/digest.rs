//! `otaseal digest`: writes a request for an offline signature.

use super::{KeyInfo, scheme};
use crate::error::Failure;
use crate::io::{Content, Place, Sink, check_places};
use crate::made;
use crate::policy::{self, ForceArgs, PolicyArgs};
use crate::report::Outcome;
use crate::settings::{BySettings, HasSettings, SettingArgs};
use clap::{Args, ValueEnum};
use otaseal::format::digest::{Sha256Digest, sha256};
use otaseal::project::settings::Command;
use otaseal::sign::request::{RequestedImage, SigningRequest};
use otaseal::sign::{Scheme, digest_info};
use serde::Serialize;
use std::fmt;

/// Offline signing, step 1: write a request for a signature
///
/// The request is a small JSON file: the image's name, size and SHA-256, its DigestInfo, its Homie tokens, and the key
/// that must sign. With --raw, otaseal writes only the bytes that the signer needs. It refuses what `otaseal sign`
/// refuses. Then `otaseal attach` puts the signature on the image.
#[derive(Debug, Args)]
pub(crate) struct Digest {
    /// The unsigned image
    #[arg(value_name = "IMAGE")]
    input: Place,
    /// Public key of the key that must sign [default: that of otaseal.toml]
    ///
    /// It stands in the request. Without this option and without a key in otaseal.toml, the request names no key.
    #[arg(
        long,
        short,
        value_name = "FILE",
        alias = "public-key",
        conflicts_with = "raw",
        help_heading = "Key"
    )]
    key: Option<Place>,
    /// Write the request to OUT [default: standard output]
    #[arg(long, short, value_name = "OUT", help_heading = "Output")]
    output: Option<Place>,
    /// Write only the bytes to sign
    ///
    /// `digest` is 32 bytes, for a signer that makes the DigestInfo itself. `digest-info` is 51 bytes, for a signer that
    /// only pads.
    #[arg(long, value_enum, value_name = "WHAT", help_heading = "Output")]
    raw: Option<Raw>,
    /// Ask for a legacy signature, for esp8266 core 2.5.0 to 2.5.2
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    legacy: bool,
    #[command(flatten)]
    force: ForceArgs,
    #[command(flatten)]
    settings: SettingArgs<Self>,
    #[command(flatten)]
    policy: PolicyArgs,
}

impl HasSettings for Digest {
    const COMMAND: Command = Command::Digest;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Raw {
    /// SHA-256, 32 bytes
    Digest,
    /// DigestInfo with the SHA-256, 51 bytes
    DigestInfo,
}

#[derive(Debug, Serialize)]
pub(crate) struct Asked {
    output: String,
    payload_bytes: u64,
    payload_sha256: Sha256Digest,
    signature: Scheme,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyInfo>,
    #[serde(skip)]
    warnings: Vec<String>,
}

impl Outcome for Asked {
    fn key(&self) -> Option<String> {
        self.key.as_ref().map(KeyInfo::to_string)
    }

    fn warnings(&self) -> Vec<String> {
        self.key.iter().filter_map(KeyInfo::warning).chain(self.warnings.iter().cloned()).collect()
    }

    fn stdout_is_taken(&self) -> bool {
        self.output == "-"
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.output != "-" {
            writeln!(f, "request  {}", self.output)?;
        }
        writeln!(f, "payload  {} bytes, SHA-256 {}", self.payload_bytes, self.payload_sha256)?;
        self.key.iter().try_for_each(|key| writeln!(f, "key id   {key}"))
    }
}

pub(crate) fn run(args: &Digest) -> Result<BySettings<Asked>, Failure> {
    if args.legacy && args.raw == Some(Raw::DigestInfo) {
        return Err(Failure::usage(
            "a legacy signature has no DigestInfo",
            "use --raw digest: a legacy signature signs the bare digest",
        ));
    }
    let output = args.output.clone().unwrap_or(Place::Std);
    let chosen = args.settings.choose()?;
    let configured =
        (args.raw.is_none() && args.key.is_none() && chosen.names_key()).then(|| chosen.public_key());
    let configured = configured.transpose()?;
    let key = args.key.clone().or(configured);
    let mut inputs = args.policy.inputs(&chosen);
    inputs.extend(key.iter().cloned().chain([args.input.clone()]));
    check_places(&inputs.iter().collect::<Vec<_>>(), &[&output])?;
    let key = key.as_ref().map(Place::public_key).transpose()?;
    let mut policy = args.policy.policy(&chosen.settings, None, args.input.path())?;
    args.force.apply(&mut policy);
    let gate = policy.open(key.as_ref().map(|key| key as _))?;
    let permit = gate.judge(args.input.candidate()?).map_err(|error| Failure::policy(&args.input, error))?;
    let mut warnings = policy::warnings(&args.input, &permit);
    warnings.extend(policy::key_warnings(gate.findings()));
    let Some(bytes) = permit.payload() else {
        let help = "check that this is the right file; if it is, `otaseal sign` signs it where the key is";
        return Err(Failure::new(format_args!("{} is larger than any firmware", args.input), help));
    };
    let total = bytes.len() as u64;
    let payload_sha256 = sha256(bytes);
    let signature = scheme(args.legacy);
    let (content, made) = match args.raw {
        Some(Raw::Digest) => (Content::Binary, payload_sha256.0.to_vec()),
        Some(Raw::DigestInfo) => (Content::Binary, digest_info(&payload_sha256).to_vec()),
        None => {
            let file = match &args.input {
                Place::Path(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
                Place::Std => None,
            };
            let file = file.unwrap_or_else(|| "-".into());
            let image = RequestedImage::new(file, total, payload_sha256);
            let request = SigningRequest::new(image, permit.tokens(), signature, key.as_ref());
            let json = request.to_json();
            (Content::Text, json.into_bytes())
        }
    };
    Sink::create(&output, content, args.force.over(made::request()))?.put(&made)?;
    let key = key.as_ref().map(KeyInfo::of);
    let (output, payload_bytes) = (output.name(), total);
    Ok(chosen.report(Asked { output, payload_bytes, payload_sha256, signature, key, warnings }))
}
