//! `push homie`: Homie over MQTT.

use super::{Plan, Progress, PushArgs, until_done};
use crate::broker::BrokerArgs;
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use clap::Args;
use otaseal::profile::{Profile, Updater};
use otaseal_delivery::device::{DeviceFacts, Family};
use otaseal_delivery::evidence::{By, End, Evidence};
use otaseal_delivery::homie::checksum::{Core, Verifies};
use otaseal_delivery::homie::configure::{CommandError, Place};
use otaseal_delivery::homie::discover::{self, Trap};
use otaseal_delivery::homie::v1::{self, Form, Trigger};
use otaseal_delivery::homie::{self, DeviceId, Image, Looked, Request, Waits, topic_md5};
use otaseal_delivery::mqtt::Options;
use otaseal_delivery::offer::{Offer, Way};
use otaseal_delivery::release::Release;
use otaseal_delivery::text::said;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  otaseal-fleet push homie kitchen dist --broker mqtt://broker.lan
  otaseal-fleet push homie kitchen dist --broker mqtts://ota@broker.lan --password-env MQTT_PASSWORD
  otaseal-fleet push homie kitchen dist --broker mqtt://broker.lan --base devices/ --trigger version")]
pub(crate) struct HomieArgs {
    /// The Homie id of the device
    #[arg(value_name = "DEVICE")]
    device: DeviceId,
    /// The package or the file
    #[arg(value_name = "PACKAGE")]
    path: PathBuf,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Homie 1: send no image, but tell the device to pull this version. `hash` is the form of homie-ota
    #[arg(long, value_name = "FORM", help_heading = "Update")]
    trigger: Option<TriggerForm>,
    /// Clear the commands that the broker keeps for this device and that would undo the update
    #[arg(long, help_heading = "Update", conflicts_with = "trigger")]
    clear: bool,
    /// Wait so many seconds for the device to be ready
    #[arg(long, value_name = "SECONDS", help_heading = "Update")]
    wait: Option<u64>,
    #[command(flatten)]
    push: PushArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TriggerForm {
    /// The version alone.
    Version,
    /// The start of the SHA-1 of the firmware's name, and the version.
    Hash,
}

pub(crate) fn run(args: &HomieArgs, reporter: Reporter) -> Result<Exit, Failure> {
    if args.push.filesystem {
        return Err(Failure::usage(
            "Homie takes no filesystem image",
            "push it with `push espota --filesystem` or `push form --filesystem`",
        ));
    }
    let release = args.push.release(&args.path)?;
    let broker = args.broker.options()?;
    let mut waits = Waits::default();
    if let Some(seconds) = args.wait {
        waits.ready = Duration::from_secs(seconds);
    }
    let place =
        Place { broker: broker.clone(), base: args.broker.base.clone(), device: args.device.clone(), waits };
    if let Some(form) = args.trigger {
        return trigger(args, form, &release, place, reporter);
    }
    let wanted = args.push.until.map_or(Evidence::Running, super::Until::evidence);
    let mut progress = Progress::new(reporter, &args.device.to_string());
    let found = match until_done(homie::look(place))? {
        Some(Ok(found)) => found,
        Some(Err(error)) => return progress.end(&failed(&error), wanted),
        None => return progress.interrupted(),
    };
    let mut facts = homie::device_facts(&found.facts, &args.device);
    if let Some(end) = in_the_way(args, &release, &found, &broker, reporter)? {
        return progress.end(&end, wanted);
    }
    // A push waits for the device, and says itself if updates are switched off then.
    facts.ota_enabled = None;
    args.push.describe(&mut facts);
    let offer = match args.push.choose(&release, &facts, Way::HomieMqtt) {
        Ok(offer) => offer,
        Err(end) => return progress.end(&end, wanted),
    };
    let plan = Plan::new(
        format!("{}{} at {}", args.broker.base, args.device, args.broker.broker),
        "Homie",
        &release,
        &offer,
        args.push.dry_run,
    );
    plan.say(reporter)?;
    if args.push.dry_run {
        return Ok(Exit::Done);
    }
    let request = Request {
        broker,
        base: args.broker.base.clone(),
        device: args.device.clone(),
        image: image(&release, &offer, &facts)?,
        waits,
        until: wanted,
    };
    match until_done(homie::push(request, &mut |event| progress.tell(&event)))? {
        Some(end) => progress.end(&end, wanted),
        None => progress.interrupted(),
    }
}

/// Looks at the commands that the broker keeps for this device. The device gets them at every connect, also at the one after
/// the update. Returns the end if one of them would undo the update.
fn in_the_way(
    args: &HomieArgs,
    release: &Release,
    found: &Looked,
    broker: &Options,
    reporter: Reporter,
) -> Result<Option<End>, Failure> {
    if found.blind {
        reporter.warn("the broker does not show which commands it keeps for this device");
    }
    let running = release.running_md5s();
    let (spoil, others): (Vec<&Trap>, Vec<&Trap>) =
        found.traps.iter().partition(|trap| trap.spoils(&running));
    for trap in others {
        reporter.warn(kept(trap));
    }
    if spoil.is_empty() {
        return Ok(None);
    }
    let all = spoil.iter().map(|trap| kept(trap)).collect::<Vec<_>>().join(" ");
    if !args.clear {
        return Ok(Some(End::Refused {
            by: By::Us,
            code: "retained-command".into(),
            says: String::new(),
            why: format!("{all} Push with --clear, which removes it from the broker first."),
        }));
    }
    if args.push.dry_run {
        reporter.note(format!("would clear: {all}"));
        return Ok(None);
    }
    let topics: Vec<String> = spoil.iter().map(|trap| trap.topic.clone()).collect();
    let why = match until_done(discover::clear(broker.clone(), &topics))? {
        Some(Ok(cleared)) if cleared == topics.len() => {
            reporter.note(format!("cleared: {all}"));
            return Ok(None);
        }
        Some(Err(error)) => error.to_string(),
        _ => format!("it was not cleared: {all}"),
    };
    let advice = "look at the access list of the broker".into();
    Ok(Some(End::Failed { evidence: Evidence::Nothing, why, advice }))
}

fn kept(trap: &Trap) -> String {
    let topic = said(trap.topic.as_bytes());
    format!(
        "The broker keeps a command for this device: {topic} ({} bytes). {}",
        trap.bytes,
        trap.kind.does()
    )
}

fn image(release: &Release, offer: &Offer<'_>, facts: &DeviceFacts) -> Result<Image, Failure> {
    let bytes = super::bytes(offer)?;
    let file = offer.artefact.digests.md5;
    let running = release.installed.md5.unwrap_or(file);
    let (verifies, core) = match (&facts.profile, &facts.family) {
        (Some(known), _) => (verifies(known.value), core(known.value)),
        (None, Some(family)) if family.value == Family::Esp32 => (Verifies::Unknown, Core::Esp32),
        _ => (Verifies::Unknown, Core::Unknown),
    };
    Ok(Image {
        bytes,
        topic_md5: topic_md5(file, running, verifies, core),
        running: release.running_md5s(),
        version: release.version.clone(),
    })
}

fn verifies(profile: Profile) -> Verifies {
    if profile.verifies() { Verifies::Yes } else { Verifies::No }
}

fn core(profile: Profile) -> Core {
    match profile.updater {
        Updater::Esp8266(version) | Updater::HomieMqtt(version) => Core::Esp8266(version),
        Updater::Esp32(_) => Core::Esp32,
        _ => Core::Unknown,
    }
}

fn trigger(
    args: &HomieArgs,
    form: TriggerForm,
    release: &Release,
    place: Place,
    reporter: Reporter,
) -> Result<Exit, Failure> {
    let wanted = args.push.until.map_or(Evidence::Running, super::Until::evidence);
    let (Some(firmware), Some(version)) = (&release.firmware, &release.version) else {
        return Err(Failure::refused(
            "the image has no Homie name and version, by which a device of Homie 1 asks for it",
            "build the firmware with Homie_setFirmware",
        ));
    };
    let form = match form {
        TriggerForm::Version => Form::Version,
        TriggerForm::Hash => Form::Hash { name: firmware.clone() },
    };
    let payload = v1::payload(version, &form)
        .map_err(|error| Failure::refused(error, "shorten the version of the firmware"))?;
    let text = format!(
        "{} tells {} to pull {} (payload {payload})",
        if args.push.dry_run { "would send: otaseal" } else { "otaseal" },
        args.device,
        release.title()
    );
    if args.push.dry_run {
        let object = serde_json::json!({ "device": args.device, "payload": payload, "dry_run": true });
        reporter.result(text, &object)?;
        return Ok(Exit::Done);
    }
    reporter.note(text);
    let mut progress = Progress::new(reporter, &args.device.to_string());
    let trigger = Trigger { place, version: version.clone(), form };
    match until_done(v1::trigger(trigger, &mut |event| progress.tell(&event)))? {
        Some(end) => progress.end(&end, wanted),
        None => progress.interrupted(),
    }
}

/// What a command of Homie that did not work means.
pub(super) fn failed(error: &CommandError) -> End {
    match error {
        CommandError::Refused(refusal) => {
            End::Refused { by: By::Us, code: "config".into(), says: String::new(), why: refusal.to_string() }
        }
        other => End::Failed {
            evidence: Evidence::Nothing,
            why: other.to_string(),
            advice: "look at the address of the broker, its access list, and the base topic".into(),
        },
    }
}
