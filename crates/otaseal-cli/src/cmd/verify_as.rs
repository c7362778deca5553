//! `otaseal verify --as`: judges an image as a certain device does.

use crate::cmd::device::DeviceArgs;
use crate::error::{Exit, Failure};
use crate::io::Place;
use crate::report::Outcome;
use clap::Args;
use otaseal::format::image::Content;
use otaseal::format::layers::{self, MAX_IMAGE};
use otaseal::key::PublicKey;
use otaseal::profile::devices::Devices;
use otaseal::profile::{Judgement, Profile, Verdict, WayVerdict, judge};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::project::settings::Settings;
use serde::Serialize;
use std::fmt;

/// The device for the verdict.
#[derive(Debug, Args)]
pub(crate) struct AsDevice {
    /// Judge as this device does, such as esp8266@3.1.2
    ///
    /// otaseal judges as the device's updater and its boot loader do. The devices are esp8266@VERSION, arduino-pico,
    /// homie-mqtt, otaseal-device, esp32@VERSION (or esp32c3, esp32s3, ...) and tasmota-esp8266. Add /unsigned if the
    /// device has no key.
    #[arg(long = "as", value_name = "DEVICE", conflicts_with = "legacy", help_heading = "Devices")]
    pub(crate) profile: Option<Profile>,
    /// What the image is sent as: firmware or filesystem [default: filesystem if it is recognised as one]
    #[arg(
        long,
        value_name = "KIND",
        requires = "profile",
        help_heading = "Devices",
        alias = "as-kind",
        hide_short_help = true
    )]
    kind: Option<Content>,
    #[command(flatten)]
    pub(super) facts: DeviceArgs,
}

#[derive(Debug, Serialize)]
pub(crate) struct JudgedAs {
    image: String,
    device: Profile,
    /// What the image is sent as.
    content: Content,
    #[serde(flatten)]
    verdict: Verdict,
    /// Advice for a verdict against the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by_way: Vec<WayVerdict>,
    passed: Vec<&'static str>,
    assumed: Vec<String>,
}

impl JudgedAs {
    fn new(image: &Place, device: Profile, content: Content, judgement: Judgement) -> Self {
        let Judgement { verdict, by_way, passed, assumed, .. } = judgement;
        let assumed = assumed.iter().map(|what| format!("{what} ({})", what.advice(Speaker::Program)));
        Self {
            image: image.name(),
            device,
            content,
            help: verdict.reason().map(|reason| reason.advice(Speaker::Program)),
            verdict,
            by_way,
            passed,
            assumed: assumed.collect(),
        }
    }
}

impl Outcome for JudgedAs {
    fn exit(&self) -> Exit {
        match self.verdict {
            Verdict::Accepts => Exit::Done,
            _ => Exit::Rejected,
        }
    }

    fn warnings(&self) -> Vec<String> {
        if self.exit() != Exit::Done {
            return Vec::new();
        }
        let others = self.by_way.iter().filter(|way| way.verdict != Verdict::Accepts);
        others
            .map(|way| format!("not by {}: {}; name the way that you use with --via", way.via, way.verdict))
            .collect()
    }
}

impl fmt::Display for JudgedAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.device;
        match &self.verdict {
            Verdict::Refuses { prints, .. } => writeln!(f, "refused  by {device}: {prints}")?,
            Verdict::KeepsTheOld { .. } => {
                writeln!(f, "keeps-the-old: {device} reports success and changes nothing")?
            }
            Verdict::LastUpdate { .. } => {
                writeln!(f, "last-update: {device} installs it and takes no update after it")?
            }
            Verdict::InstallsButWillNotBoot { .. } => {
                let fails = if self.content == Content::Filesystem { "mount" } else { "start" };
                writeln!(f, "installs-but-will-not-boot: {device} installs it and does not {fails} it")?;
            }
            Verdict::Bricks { .. } => writeln!(f, "bricks   {device}")?,
            _ => writeln!(f, "accepted by {device}")?,
        }
        if self.content == Content::Filesystem {
            writeln!(f, "sent as  filesystem")?;
        }
        if let (Some(reason), Some(help)) = (self.verdict.reason(), &self.help) {
            writeln!(f, "because  {reason}")?;
            writeln!(f, "hint: {help}")?;
        }
        for WayVerdict { via, verdict, .. } in &self.by_way {
            writeln!(f, "{:<8} {verdict}", via.to_string())?;
        }
        if !self.passed.is_empty() {
            writeln!(f, "passed   {}", self.passed.join(", "))?;
        }
        self.assumed.iter().try_for_each(|what| writeln!(f, "assumed  {what}"))
    }
}

/// Judges an image for a device that has the given key, or no key.
pub(crate) fn run(
    args: &AsDevice,
    profile: Profile,
    image: &Place,
    keys: &[PublicKey],
    settings: &Settings,
    given: &Settings,
) -> Result<JudgedAs, Failure> {
    if keys.len() > 1 {
        return Err(Failure::usage("with --as, the device has one key", "give --key once"));
    }
    let mut devices = Devices::default();
    settings.describe(&mut devices);
    devices.profiles = vec![profile];
    args.facts.describe(&mut devices, given)?;
    let mut device = devices.device(profile, keys.first());
    let bytes = image.read(MAX_IMAGE)?;
    if bytes.len() > MAX_IMAGE {
        return Err(Failure::new(
            format_args!("{image} is larger than {} MiB", MAX_IMAGE >> 20),
            "check that this is the right file: no supported device has that much flash",
        ));
    }
    let found = || layers::unpack(&bytes).map_or(Content::Firmware, |layers| Content::of(&layers.plain));
    device.content = args.kind.unwrap_or_else(found);
    let judgement = judge(&bytes, &device);
    match judgement.verdict {
        Verdict::Unknown { reason } => Err(Failure::new(
            format_args!("otaseal cannot judge {image} as {profile} does: {reason}"),
            reason.advice(Speaker::Program),
        )),
        _ => Ok(JudgedAs::new(image, profile, device.content, judgement)),
    }
}
