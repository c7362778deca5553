//! `otaseal verify`: judges a signed image as a device does.

use super::verify_as::{self, AsDevice, JudgedAs};
use super::{KeyInfo, scheme};
use crate::error::{Exit, Failure};
use crate::io::{Place, check_places};
use crate::report::{Outcome, Reporter};
use crate::settings::{BySettings, Half, HasSettings, SettingArgs};
use clap::Args;
use otaseal::device::{PayloadKind, Reject};
use otaseal::format::elf::DEFAULT_MAX_GAP;
use otaseal::format::input::Input;
use otaseal::format::layers::MAX_IMAGE;
use otaseal::key::PublicKey;
use otaseal::package::firmware::Firmware;
use otaseal::policy::guard::{self, BuildMatch, Content};
use otaseal::project::settings::Command;
use otaseal::sign::Scheme;
use otaseal::sign::diagnose::{self, Cause};
use otaseal::sign::verify::{JudgeError, judge};
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek};

/// Judge a signed image as the device does
///
/// The exit code is 0 if the image is accepted, 1 if it is rejected (otaseal shows the number of the device's check),
/// and 3 if there is no verdict.
///
/// With --as, otaseal goes through the steps of that device's updater, and then of its boot loader, for each way of
/// delivery. It shows what the device prints if it refuses the image, or what happens to the device. The exit code is 0
/// only if the device accepts the image. Without --via, one way that accepts is enough, and a warning names each way that
/// does not. The exit code is 3 if the verdict needs an option that you did not give.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The signed image
    #[arg(value_name = "IMAGE")]
    image: Place,
    /// Public key [default: the public key of otaseal.toml, or keys/public.pem; none with --as]
    ///
    /// It is SPKI or PKCS#1, as PEM or DER. You can give more than one: one key that accepts is enough.
    #[arg(long, short, value_name = "FILE", alias = "public-key", help_heading = "Key")]
    key: Vec<Place>,
    #[command(flatten)]
    device: AsDevice,
    /// Also reject an image that was not made from this build
    ///
    /// Only the flash mode may differ.
    #[arg(long, value_name = "BUILD", help_heading = "Checks")]
    of: Option<Place>,
    /// Judge a legacy signature, of esp8266 core 2.5.0 to 2.5.2
    #[arg(long, help_heading = "Checks", hide_short_help = true)]
    legacy: bool,
    #[command(flatten)]
    settings: SettingArgs<Self>,
}

impl HasSettings for Verify {
    const COMMAND: Command = Command::Verify;
}

/// A verdict of the device crate, or of another device with `--as`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Verified {
    Here(Judged),
    As(JudgedAs),
}

impl Outcome for Verified {
    fn exit(&self) -> Exit {
        match self {
            Self::Here(judged) => judged.exit(),
            Self::As(judged) => judged.exit(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        match self {
            Self::Here(judged) => judged.warnings(),
            Self::As(judged) => judged.warnings(),
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(judged) => judged.fmt(f),
            Self::As(judged) => judged.fmt(f),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Judged {
    image: String,
    scheme: Scheme,
    #[serde(flatten)]
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<Build>,
    #[serde(skip)]
    warnings: Vec<String>,
}

/// The build that `--of` names, and how the image relates to it.
#[derive(Debug, Serialize)]
struct Build {
    file: String,
    origin: BuildMatch,
}

#[derive(Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub(super) enum Verdict {
    Accepted {
        key: KeyInfo,
        payload_bytes: usize,
        payload: &'static str,
    },
    /// The device accepts it, and it is not of the build that `--of` names.
    #[serde(rename = "rejected")]
    OtherBuild {
        reason: String,
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
        self.verdict.fmt(f)?;
        let Some(Build { file, origin }) = &self.build else { return Ok(()) };
        match origin {
            BuildMatch::Padded => {
                writeln!(f, "build    made from {file}, up to the zeros that fill the last page of the flash")
            }
            BuildMatch::OtherFlashMode => writeln!(f, "build    made from {file}, in another flash mode"),
            BuildMatch::Other => writeln!(f, "hint: package or sign the build again"),
            _ => writeln!(f, "build    made from {file}"),
        }
    }
}

impl Verdict {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Accepted { .. } => Exit::Done,
            Self::Rejected { .. } | Self::OtherBuild { .. } => Exit::Rejected,
        }
    }

    /// The verdict on an image that was compared with a build.
    fn with_build(self, build: Option<&Build>) -> Self {
        match (self, build) {
            (
                Self::Accepted { key, payload_bytes, payload },
                Some(Build { file, origin: BuildMatch::Other }),
            ) => Self::OtherBuild {
                reason: format!("not made from {file}: the image is old, or from another build"),
                key,
                payload_bytes,
                payload,
            },
            (verdict, _) => verdict,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { key, payload_bytes, payload }
            | Self::OtherBuild { key, payload_bytes, payload, .. } => {
                match self {
                    Self::OtherBuild { reason, .. } => writeln!(f, "rejected: {reason}")?,
                    _ => writeln!(f, "accepted")?,
                }
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

pub(crate) fn run(args: &Verify, reporter: &Reporter) -> Result<BySettings<Verified>, Failure> {
    let chosen = args.settings.choose()?;
    // With --as, a device may have no key, so there is no default key.
    let default = args.key.is_empty() && args.device.profile.is_none();
    if default {
        chosen.require_key_or_default(Half::Public)?;
    }
    let keys = if default { vec![chosen.public_key()?] } else { args.key.clone() };
    let config = chosen.input();
    let others = [&args.of, &config].into_iter().flatten().chain(args.device.facts.running());
    check_places(&keys.iter().chain([&args.image]).chain(others).collect::<Vec<_>>(), &[])?;
    let keys = keys.iter().map(Place::public_key).collect::<Result<Vec<_>, _>>()?;
    if let Some(profile) = args.device.profile {
        let judged = verify_as::run(
            &args.device,
            profile,
            &args.image,
            &keys,
            &chosen.settings,
            args.settings.given(),
        )?;
        return Ok(chosen.report(Verified::As(judged)));
    }
    let (mut image, length) = args.image.open_seekable()?;
    let _progress = reporter.progress("verifying");
    let max_gap = chosen.settings.max_gap.unwrap_or(DEFAULT_MAX_GAP);
    let scheme = scheme(args.legacy);
    let verdict = judge_with_any(&mut image, length, &keys, scheme)
        .map_err(|error| Failure::read(&args.image, &error))?;
    let (mut warnings, mut build) = (Vec::new(), None);
    if let Verdict::Accepted { key, .. } = &verdict {
        warnings.extend(key.warning());
        build = args.of.as_ref().map(|build| of(&mut image, &args.image, build, max_gap)).transpose()?;
        if args.of.is_none() {
            warnings.extend(stale(&mut image, &args.image, max_gap));
        }
    }
    let image = args.image.name();
    let verdict = verdict.with_build(build.as_ref());
    let assumed = default.then(|| chosen.assumed_key(Half::Public)).flatten();
    Ok(chosen.report(Verified::Here(Judged { image, scheme, verdict, build, warnings })).assuming([assumed]))
}

/// Compares the image with the build that the user named.
fn of(image: &mut File, place: &Place, build: &Place, max_gap: usize) -> Result<Build, Failure> {
    compare(image, place, build, build.read(MAX_IMAGE)?, max_gap)
}

/// Compares the image with a build. A filesystem image is compared as one: this command refuses no kind.
fn compare(
    image: &mut File,
    place: &Place,
    build: &Place,
    bytes: Vec<u8>,
    max_gap: usize,
) -> Result<Build, Failure> {
    let content = Content::of(&bytes);
    let firmware = Firmware::from_bytes_as(&build.to_string(), bytes, max_gap, content)?;
    let mut bytes = Vec::new();
    let limit = MAX_IMAGE as u64 + 4096;
    let read = image.rewind().and_then(|()| image.by_ref().take(limit).read_to_end(&mut bytes));
    read.map_err(|error| Failure::read(place, &error))?;
    let origin = guard::build_match(&bytes, firmware.bytes()).map_err(|error| {
        Failure::new(format_args!("{place}: {error}"), "compress the build again with `otaseal compress`")
    })?;
    Ok(Build { file: build.name(), origin })
}

/// Returns a warning if the build beside the image is not the build that it was made from: upload scripts would send
/// the wrong one. It ignores a file that it cannot read as a build, because nobody named that file.
fn stale(image: &mut File, place: &Place, max_gap: usize) -> Option<String> {
    let path = place.path()?;
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".signed").or_else(|| name.strip_suffix(".legacy_sig"))?;
    let build = path.with_file_name(name.strip_suffix(".gz").unwrap_or(name));
    let bytes = Input::found(&build).ok()?.read(MAX_IMAGE).ok()?;
    let build = Place::from(&*build);
    let Build { file, origin: BuildMatch::Other } = compare(image, place, &build, bytes, max_gap).ok()?
    else {
        return None;
    };
    Some(format!("{place} was not made from {file} beside it: one of them is old"))
}

/// Accepts the image if one of the keys accepts it. Otherwise it returns the rejection of the key that passed the most
/// checks: this is most likely the key that the image is for.
pub(super) fn judge_with_any(
    image: &mut (impl Read + Seek),
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
                        PayloadKind::EspImage => "ESP8266 or ESP32 image",
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
    let Some((reject, key)) = furthest else { unreachable!("there is a default") };
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
        Cause::OtherScheme(Scheme::Legacy) => format!("{cause}: verify it with --legacy"),
        Cause::OtherScheme(Scheme::Pkcs1v15Sha256) => format!("{cause}: verify it without --legacy"),
        Cause::OtherKey => format!("{cause}; this key has the id {}", key.id()),
        _ => cause.to_string(),
    }
}
