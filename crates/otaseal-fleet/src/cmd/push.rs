//! `push`: brings a file to a device, and says how far it came.

mod espota;
mod form;
mod homie;
mod shown;

use crate::error::{Exit, Failure};
use crate::package;
use crate::report::Reporter;
use bytes::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use otaseal::format::image::Content;
use otaseal::profile::Profile;
use otaseal_delivery::device::{DeviceFacts, DeviceKey, Known, Origin};
use otaseal_delivery::evidence::{End, Evidence};
use otaseal_delivery::mdns::MdnsError;
use otaseal_delivery::offer::{self, Decision, Offer, Policy, Way};
use otaseal_delivery::release::{Release, Trust};
use std::path::PathBuf;

pub(crate) use shown::{Plan, Progress};

#[derive(Debug, Subcommand)]
pub(crate) enum Push {
    /// Push to ArduinoOTA, over the local network.
    Espota(espota::EspotaArgs),
    /// Push to a Homie device, over MQTT.
    Homie(homie::HomieArgs),
    /// Push to the web form of a device.
    Form(form::FormArgs),
}

/// What is sent, and what is known of the device.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Send a filesystem image
    #[arg(long, help_heading = "Update")]
    pub(crate) filesystem: bool,
    /// Send only what this public key verifies; can be given more than once
    #[arg(long, value_name = "FILE", help_heading = "Update")]
    pub(crate) key: Vec<PathBuf>,
    /// Send also an older version than the device runs
    #[arg(long, help_heading = "Update")]
    pub(crate) downgrade: bool,
    /// Send also what the device runs already
    #[arg(long, help_heading = "Update")]
    pub(crate) reinstall: bool,
    /// Send also another firmware than the device runs
    #[arg(long, help_heading = "Update")]
    pub(crate) other_firmware: bool,
    /// Kind of the device, such as esp8266@3.1.2, esp8266@3.1.2/unsigned, arduino-pico or esp32c3@3.x
    #[arg(long = "for", value_name = "PROFILE", help_heading = "Update")]
    pub(crate) profile: Option<Profile>,
    /// What must be known of the update for exit code 0 [default: the most that the protocol can tell]
    #[arg(long, value_name = "EVIDENCE", help_heading = "Update")]
    pub(crate) until: Option<Until>,
    /// Say what would be sent, and send nothing
    #[arg(short = 'n', long, help_heading = "Update")]
    pub(crate) dry_run: bool,
}

/// What must be known for exit code 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// Every byte reached the device.
    Sent,
    /// The device says that it took the update.
    Taken,
    /// The device came back as the new image.
    Running,
}

impl Until {
    pub(crate) fn evidence(self) -> Evidence {
        match self {
            Self::Sent => Evidence::Sent,
            Self::Taken => Evidence::Taken,
            Self::Running => Evidence::Running,
        }
    }
}

pub(crate) fn run(push: &Push, reporter: Reporter) -> Result<Exit, Failure> {
    match push {
        Push::Espota(args) => espota::run(args, reporter),
        Push::Homie(args) => homie::run(args, reporter),
        Push::Form(args) => form::run(args, reporter),
    }
}

impl PushArgs {
    pub(crate) fn content(&self) -> Content {
        if self.filesystem { Content::Filesystem } else { Content::Firmware }
    }

    /// Reads the package or the file. A person names it, so it need not be signed; with a key, it must be.
    pub(crate) fn release(&self, path: &std::path::Path) -> Result<Release, Failure> {
        let keys = package::keys(&self.key)?;
        let trust = if keys.is_empty() { Trust::Unsigned(keys) } else { Trust::Keys(keys) };
        package::release(path, self.content(), &trust)
    }

    /// Adds what the user says of the device.
    pub(crate) fn describe(&self, facts: &mut DeviceFacts) {
        let Some(profile) = self.profile else { return };
        facts.profile = Some(Known::new(profile, Origin::Person));
        if !profile.has_key {
            facts.key = DeviceKey::None(Origin::Person);
        }
    }

    /// Chooses the file. A release with one file has no choice but that.
    pub(crate) fn choose<'r>(
        &self,
        release: &'r Release,
        facts: &DeviceFacts,
        way: Way,
    ) -> Result<Offer<'r>, End> {
        let mut policy = Policy::new(way);
        policy.content = self.content();
        policy.downgrade = self.downgrade;
        policy.reinstall = self.reinstall;
        policy.other_firmware = self.other_firmware;
        match offer::choose(release, facts, policy) {
            Decision::Offer(offer) => Ok(offer),
            Decision::NotNow(refusal) if refusal.code == offer::Code::AlreadyRunning => {
                Err(End::AlreadyRunning)
            }
            Decision::NotNow(refusal) | Decision::Never(refusal) => Err(End::Refused {
                by: otaseal_delivery::evidence::By::Us,
                code: refusal.code.as_str().to_owned(),
                says: String::new(),
                why: format!("{}. Known of the device: {}", refusal.why, refusal.facts.join(", ")),
            }),
        }
    }
}

/// The bytes of the file that was chosen.
pub(crate) fn bytes(offer: &Offer<'_>) -> Result<Bytes, Failure> {
    let file = &offer.artefact.file;
    let load = offer.artefact.contents.load();
    load.map_err(|error| Failure::new(format!("{file}: {error}"), "make the package again"))
}

/// The end of a push to a device that has no address.
pub(crate) fn not_found(error: &MdnsError) -> End {
    End::Failed {
        evidence: Evidence::Nothing,
        why: error.to_string(),
        advice: "look whether the device is switched on and in this network, or give its address".to_owned(),
    }
}

/// The exit code of an end: 0 only if what was asked for is known.
pub(crate) fn exit(end: &End, wanted: Evidence) -> Exit {
    match end {
        End::AlreadyRunning => Exit::Done,
        End::Reached { evidence, .. } if *evidence >= wanted => Exit::Done,
        End::Refused { .. } => Exit::Refused,
        _ => Exit::Failed,
    }
}

/// Runs a push on this thread. `None` if the user ended it.
pub(crate) fn until_done<T>(work: impl Future<Output = T>) -> Result<Option<T>, Failure> {
    Ok(crate::cmd::runtime()?.block_on(async {
        tokio::select! {
            done = work => Some(done),
            () = crate::cmd::interrupted() => None,
        }
    }))
}
