use super::{KeyInfo, scheme};
use crate::error::{Exit, Failure};
use crate::io::{Place, check_places};
use crate::report::{Outcome, Reporter};
use clap::Args;
use otaseal::device::{PayloadKind, Reject};
use otaseal::diagnose::{self, Cause};
use otaseal::key::PublicKey;
use otaseal::sign::Scheme;
use otaseal::verify::{JudgeError, judge};
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io::Seek;

/// Judge a signed image as the device does
///
/// Exit code 0: accepted. 1: rejected, with the number of the device's check. 3: there is no verdict.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The signed image
    #[arg(value_name = "IMAGE")]
    image: Place,
    /// Public key: SPKI or PKCS#1, PEM or DER. May be given more than once: any of them accepts
    #[arg(long, short, value_name = "FILE", required = true)]
    key: Vec<Place>,
    /// Judge as esp8266 core 2.5.0 to 2.5.2: the signature is of the bare digest
    #[arg(long)]
    legacy: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Judged {
    image: String,
    scheme: Scheme,
    #[serde(flatten)]
    verdict: Verdict,
    #[serde(skip)]
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub(super) enum Verdict {
    Accepted {
        key: KeyInfo,
        payload_bytes: usize,
        payload: &'static str,
    },
    Rejected {
        /// The device's number for the check that failed.
        code: u8,
        check: &'static str,
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        likely_cause: Option<String>,
    },
}

impl Outcome for Judged {
    fn exit(&self) -> Exit {
        self.verdict.exit()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdict.fmt(f)
    }
}

impl Verdict {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Accepted { .. } => Exit::Done,
            Self::Rejected { .. } => Exit::Rejected,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { key, payload_bytes, payload } => {
                writeln!(f, "accepted")?;
                writeln!(f, "payload  {payload_bytes} bytes, {payload}")?;
                writeln!(f, "key id   {key}")
            }
            Self::Rejected { code, check, reason, likely_cause } => {
                writeln!(f, "rejected: {reason} (check {code}, {check})")?;
                match likely_cause {
                    Some(cause) => writeln!(f, "hint: {cause}"),
                    None => Ok(()),
                }
            }
        }
    }
}

pub(crate) fn run(args: &Verify, reporter: &Reporter) -> Result<Judged, Failure> {
    let inputs: Vec<_> = args.key.iter().chain([&args.image]).collect();
    check_places(&inputs, &[])?;
    let keys = args.key.iter().map(Place::public_key).collect::<Result<Vec<_>, _>>()?;
    let (mut image, length) = args.image.open_seekable()?;
    let _progress = reporter.progress("verifying");
    let scheme = scheme(args.legacy);
    let verdict = judge_with_any(&mut image, length, &keys, scheme)
        .map_err(|error| Failure::read(&args.image, &error))?;
    let warnings = match &verdict {
        Verdict::Accepted { key, .. } => key.warning().into_iter().collect(),
        Verdict::Rejected { .. } => Vec::new(),
    };
    Ok(Judged { image: args.image.name(), scheme, verdict, warnings })
}

/// Accepted when any key accepts. Otherwise the rejection of the key that got furthest: its checks passed where
/// another key's failed, so it is the one the image was meant for.
pub(super) fn judge_with_any(
    image: &mut File,
    length: u64,
    keys: &[PublicKey],
    scheme: Scheme,
) -> std::io::Result<Verdict> {
    let mut furthest: Option<(Reject, &PublicKey)> = None;
    for key in keys {
        image.rewind()?;
        match judge(image, usize::try_from(length).ok(), key, scheme) {
            Ok(accepted) => {
                return Ok(Verdict::Accepted {
                    key: KeyInfo::of(key),
                    payload_bytes: accepted.payload_len,
                    payload: match accepted.kind {
                        PayloadKind::EspImage => "ESP8266 image",
                        PayloadKind::Gzip => "gzip",
                        _ => "raw binary",
                    },
                });
            }
            Err(JudgeError::Read(error)) => return Err(error),
            Err(JudgeError::Rejected(reject)) => {
                if furthest.is_none_or(|(other, _)| reject.code() > other.code()) {
                    furthest = Some((reject, key));
                }
            }
        }
    }
    let Some((reject, key)) = furthest else { unreachable!("clap asks for at least one key") };
    let cause = diagnose::cause(image, key, scheme)?;
    Ok(Verdict::Rejected {
        code: reject.code(),
        check: reject.name(),
        reason: reject.to_string(),
        likely_cause: Some(explain(cause, key)),
    })
}

fn explain(cause: Cause, key: &PublicKey) -> String {
    match cause {
        Cause::OtherKeySize(_) => format!("{cause}; this key has {} bits", key.size().bits()),
        Cause::OtherKey => format!("{cause}; the key id here is {}", key.id()),
        _ => cause.to_string(),
    }
}
