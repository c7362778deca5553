//! `config`, `reset` and `forget`: what one device of Homie is told besides an update.

use crate::broker::{BrokerArgs, confirm};
use crate::cmd::push::until_done;
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use clap::{Args, Subcommand};
use otaseal::format::input::Input;
use otaseal_delivery::evidence::Event;
use otaseal_delivery::homie::config::{FILE_BYTES, Patch};
use otaseal_delivery::homie::configure::{self, CommandError, Place};
use otaseal_delivery::homie::{DeviceId, Waits};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// The configuration of a Homie device.
    Homie(ConfigArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Passwords are never printed: a device does not publish them.

Examples:
  otaseal-fleet config homie kitchen get --broker mqtt://broker.lan
  otaseal-fleet config homie kitchen set change.json --broker mqtt://broker.lan")]
pub(crate) struct ConfigArgs {
    /// The Homie id of the device
    #[arg(value_name = "DEVICE")]
    device: DeviceId,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the configuration that the device published.
    Get {
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Change it: the file has what changes, as JSON; null removes.
    Set {
        /// The change
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        broker: BrokerArgs,
        /// Also change what can cut the device off, such as its network or its broker
        #[arg(long)]
        risky: bool,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  otaseal-fleet reset kitchen --broker mqtt://broker.lan --confirm kitchen"
)]
pub(crate) struct ResetArgs {
    /// The Homie id of the device
    #[arg(value_name = "DEVICE")]
    device: DeviceId,
    #[command(flatten)]
    broker: BrokerArgs,
    /// The name of the device once more, instead of typing it
    #[arg(long, value_name = "DEVICE")]
    confirm: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  otaseal-fleet forget kitchen --broker mqtt://broker.lan --confirm kitchen"
)]
pub(crate) struct ForgetArgs {
    /// The Homie id of the device
    #[arg(value_name = "DEVICE")]
    device: DeviceId,
    #[command(flatten)]
    broker: BrokerArgs,
    /// The name of the device once more, instead of typing it
    #[arg(long, value_name = "DEVICE")]
    confirm: Option<String>,
}

fn place(device: &DeviceId, broker: &BrokerArgs) -> Result<Place, Failure> {
    let options = broker.options()?;
    Ok(Place { broker: options, base: broker.base.clone(), device: device.clone(), waits: Waits::default() })
}

fn failure(error: CommandError) -> Failure {
    match error {
        CommandError::Refused(refusal) => {
            Failure::refused(refusal, "mend the change: the device would ignore it without a word")
        }
        CommandError::NotThere(why) => Failure::new(why, "look with `discover` which devices there are"),
        CommandError::NotConfirmed(why) => {
            Failure::new(why, "look with `config` whether it did it after all, and try again")
        }
        other => Failure::new(other, "look at the address of the broker and its access list"),
    }
}

fn ended() -> Failure {
    Failure::new("you ended it: whether the device got the command is not known", "look at the device")
}

fn tell(reporter: Reporter, device: &DeviceId) -> impl FnMut(Event) {
    move |event| match event {
        Event::Waits { what } => reporter.note(format!("{device}: waits for {what}")),
        Event::Says { text } => reporter.note(format!("{device} says: {text}")),
        _ => {}
    }
}

pub(crate) fn config(config: &Config, reporter: Reporter) -> Result<Exit, Failure> {
    let Config::Homie(args) = config;
    match &args.what {
        What::Get { broker } => {
            let found = until_done(configure::get(place(&args.device, broker)?))?.ok_or_else(ended)?;
            let shown = found.map_err(failure)?.shown();
            let object: serde_json::Value = serde_json::from_str(&shown).unwrap_or_default();
            reporter.result(&shown, &object)?;
            Ok(Exit::Done)
        }
        What::Set { file, broker, risky } => {
            let read = Input::named(file).and_then(|input| input.read(16 * FILE_BYTES));
            let bytes = read.map_err(|error| Failure::file(file, &error))?;
            let patch = Patch::read(&bytes).map_err(|refusal| failure(refusal.into()))?;
            let risks = patch.risks();
            if !risks.is_empty() && !risky {
                return Err(Failure::refused(
                    format!("the change can cut the device off: {}", risks.join(", ")),
                    "look at the values once more, and give --risky",
                ));
            }
            let place = place(&args.device, broker)?;
            let set = async { configure::set(place, &patch, &mut tell(reporter, &args.device)).await };
            let changed = until_done(set)?.ok_or_else(ended)?.map_err(failure)?;
            let mut lines = Vec::new();
            for change in &changed.changes {
                let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
                lines.push(format!("{}: {} -> {}", change.path, value(&change.before), value(&change.after)));
            }
            for path in &changed.unseen {
                lines.push(format!("{path}: sent; the device does not tell whether it changed"));
            }
            for path in &changed.missing {
                lines.push(format!("{path}: not as wanted"));
            }
            if lines.is_empty() {
                lines.push("nothing to change".into());
            }
            let object = serde_json::json!({
                "device": args.device,
                "changes": changed.changes.iter().map(|change| serde_json::json!({
                    "path": change.path, "before": change.before, "after": change.after
                })).collect::<Vec<_>>(),
                "unseen": changed.unseen,
                "missing": changed.missing,
            });
            reporter.result(lines.join("\n"), &object)?;
            Ok(if changed.missing.is_empty() { Exit::Done } else { Exit::Refused })
        }
    }
}

pub(crate) fn reset(args: &ResetArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let place = place(&args.device, &args.broker)?;
    confirm(
        &args.device,
        args.confirm.as_deref(),
        "erases the configuration of the device, which is lost until somebody sets it up by hand",
    )?;
    let reset = async { configure::reset(place, &mut tell(reporter, &args.device)).await };
    until_done(reset)?.ok_or_else(ended)?.map_err(failure)?;
    let text = format!("{} has erased its configuration and waits to be set up", args.device);
    reporter.result(text, &serde_json::json!({ "device": args.device, "reset": true }))?;
    Ok(Exit::Done)
}

pub(crate) fn forget(args: &ForgetArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let place = place(&args.device, &args.broker)?;
    confirm(&args.device, args.confirm.as_deref(), "clears all that the broker remembers of the device")?;
    let forgotten = until_done(configure::forget(place))?.ok_or_else(ended)?.map_err(failure)?;
    let there = match forgotten.was_there {
        true => "; the device is connected, and publishes most of them again at its next start",
        false => "",
    };
    let text = format!("cleared {} topics of {}{there}", forgotten.topics, args.device);
    let object = serde_json::json!({
        "device": args.device, "topics": forgotten.topics, "was_there": forgotten.was_there
    });
    reporter.result(text, &object)?;
    Ok(Exit::Done)
}
