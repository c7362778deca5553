//! `discover`: which devices there are, by mDNS or at a broker.

use crate::broker::BrokerArgs;
use crate::cmd::push::until_done;
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use clap::Args;
use otaseal_delivery::homie::discover::{self, Found, Seen};
use otaseal_delivery::homie::{Base, DeviceId};
use otaseal_delivery::mdns::{self, Announced, Service};
use otaseal_delivery::mqtt::Address;
use otaseal_delivery::text::said;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(after_help = "\
Without a broker it listens for the mDNS of ArduinoOTA and of web servers. What comes by mDNS is a hint only.

With a broker it finds Homie devices, and retained commands that let devices restart again and again.

Examples:
  otaseal-fleet discover
  otaseal-fleet discover --broker mqtt://broker.lan
  otaseal-fleet discover --broker mqtt://broker.lan --clear")]
pub(crate) struct DiscoverArgs {
    /// Listen for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Address of a broker: mqtt://HOST[:PORT] or mqtts://HOST[:PORT], perhaps with USER@
    #[arg(long, value_name = "URL", help_heading = "Broker")]
    broker: Option<Address>,
    /// Certificates of the authorities that the broker's certificate must come from, in PEM form
    #[arg(long, value_name = "FILE", requires = "broker", help_heading = "Broker")]
    broker_ca: Option<PathBuf>,
    /// Base topic of the devices, with its last slash
    #[arg(long, value_name = "TOPIC", default_value = "homie/", help_heading = "Broker")]
    base: Base,
    /// Clear the retained commands that it finds
    #[arg(long, requires = "broker", help_heading = "Broker")]
    clear: bool,
    #[command(flatten)]
    password: crate::secret::PasswordArgs,
}

pub(crate) fn run(args: &DiscoverArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let time = Duration::from_secs(args.seconds.clamp(1, 3600));
    match &args.broker {
        None => local(time, reporter),
        Some(broker) => at_broker(args, broker, time, reporter),
    }
}

fn local(time: Duration, reporter: Reporter) -> Result<Exit, Failure> {
    let found = until_done(mdns::browse(time))?
        .unwrap_or(Ok(Vec::new()))
        .map_err(|error| Failure::new(error, "mDNS needs a network with multicast"))?;
    for service in &found {
        reporter.result(line(service), service)?;
    }
    if found.is_empty() {
        reporter
            .note("no device announced itself: many do so only now and then, and some networks drop mDNS");
    }
    Ok(Exit::Done)
}

fn line(service: &Service) -> String {
    let addresses: Vec<String> = service.addresses.iter().map(ToString::to_string).collect();
    let what = match service.announced {
        Announced::Espota => "espota",
        Announced::Http => "http",
    };
    let board = service.board.as_ref().map(|board| format!(", board {board}")).unwrap_or_default();
    let password = match service.asks_password {
        Some(true) => ", asks for a password",
        _ => "",
    };
    format!("{} {what} port {} at {}{board}{password}", service.host, service.port, addresses.join(" "))
}

fn at_broker(
    args: &DiscoverArgs,
    broker: &Address,
    time: Duration,
    reporter: Reporter,
) -> Result<Exit, Failure> {
    let options = BrokerArgs::of(broker, args.broker_ca.as_ref(), &args.base, &args.password).options()?;
    let help = "look at the address of the broker and its access list";
    let found = until_done(discover::discover(options.clone(), &args.base, time))?
        .unwrap_or_else(|| Ok(Found::default()))
        .map_err(|error| Failure::new(error, help))?;
    for (device, seen) in &found.devices {
        let object = serde_json::json!({ "device": device, "alive": seen.alive, "facts": seen.facts });
        reporter.result(homie_line(device, seen), &object)?;
    }
    if found.devices.is_empty() {
        reporter.note(format!("there is no device under {}", args.base));
    }
    for trap in &found.traps {
        let says = if trap.says.is_empty() { String::new() } else { format!(" \"{}\"", trap.says) };
        let text = format!(
            "retained: {} ({} bytes){says}. {}",
            said(trap.topic.as_bytes()),
            trap.bytes,
            trap.kind.does()
        );
        let object = serde_json::json!({
            "retained": trap.topic, "device": trap.device, "bytes": trap.bytes, "does": trap.kind.does()
        });
        reporter.result(text, &object)?;
    }
    if found.more {
        reporter.warn("there are more devices or retained commands than are listed");
    }
    if found.traps.is_empty() {
        return Ok(Exit::Done);
    }
    if !args.clear {
        reporter.warn("clear the retained commands with --clear, or with: mosquitto_pub -r -n -t TOPIC");
        return Ok(Exit::Refused);
    }
    let topics: Vec<String> = found.traps.iter().map(|trap| trap.topic.clone()).collect();
    let cleared = until_done(discover::clear(options, &topics))?
        .unwrap_or(Ok(0))
        .map_err(|error| Failure::new(error, help))?;
    reporter.result(
        format!("cleared {cleared} of {}", topics.len()),
        &serde_json::json!({ "cleared": cleared }),
    )?;
    Ok(if cleared == topics.len() { Exit::Done } else { Exit::Failed })
}

fn homie_line(device: &DeviceId, seen: &Seen) -> String {
    let facts = &seen.facts;
    let text = |value: &Option<String>| value.as_ref().map(|value| said(value.as_bytes()));
    let mut parts = vec![device.to_string()];
    parts.push(match (facts.state, seen.alive) {
        (Some(state), true) => state.word().to_owned(),
        (Some(state), false) => format!("{} (as the broker remembers)", state.word()),
        (None, _) => "state not known".to_owned(),
    });
    let firmware = match (text(&facts.firmware_name), text(&facts.firmware_version)) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        (Some(name), None) => name,
        _ => "firmware not known".to_owned(),
    };
    parts.push(firmware);
    parts.extend(facts.checksum.map(|md5| format!("MD5 {md5}")));
    parts.extend(text(&facts.local_ip));
    parts.push(match facts.ota_enabled {
        Some(true) => "OTA enabled".to_owned(),
        Some(false) => "OTA disabled".to_owned(),
        None => "OTA not known".to_owned(),
    });
    parts.extend(text(&facts.ota_status).map(|status| format!("last push: {status}")));
    parts.join(", ")
}
