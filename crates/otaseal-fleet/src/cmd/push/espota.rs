//! `push espota`: ArduinoOTA, over the local network.

use super::{Plan, Progress, PushArgs, until_done};
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use crate::secret::PasswordArgs;
use clap::Args;
use otaseal::format::input::Input;
use otaseal_delivery::device::{DeviceFacts, Family, Known, Origin};
use otaseal_delivery::espota::{
    self, Image, Job, Local, News, PORT_ESP32, PORT_ESP8266, PORT_PICO, Pace, Password,
};
use otaseal_delivery::evidence::{End, Evidence};
use otaseal_delivery::mdns::{self, Announced, RESOLVE};
use otaseal_delivery::offer::Way;
use otaseal_delivery::release::Release;
use otaseal_delivery::text::said;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Largest list of devices, in bytes.
const MAX_LIST: usize = 1 << 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  otaseal-fleet push espota 192.168.1.50 dist
  otaseal-fleet push espota kitchen.local firmware.bin --password-env OTA_PASSWORD
  otaseal-fleet push espota --from-list devices.txt dist --json")]
pub(crate) struct EspotaArgs {
    /// The device, HOST or HOST:PORT, and the package or the file. With --from-list or --discover, only the latter.
    /// [default port: 8266, 2040 or 3232, by the chip of the image]
    #[arg(value_names = ["HOST", "PACKAGE"], num_args = 1..=2, required = true)]
    targets: Vec<String>,
    /// Push to the devices that this file lists: one HOST or HOST:PORT for each line, perhaps with the name of a site
    #[arg(long, value_name = "FILE", help_heading = "Devices", conflicts_with = "discover")]
    from_list: Option<PathBuf>,
    /// Push to the devices that announce themselves by mDNS within so many seconds
    #[arg(long, value_name = "SECONDS", help_heading = "Devices", num_args = 0..=1, default_missing_value = "5")]
    discover: Option<u64>,
    /// Devices at a time
    #[arg(long, value_name = "NUMBER", default_value = "64", help_heading = "Devices")]
    at_once: NonZeroUsize,
    /// Devices of one site at a time
    #[arg(long, value_name = "NUMBER", default_value = "2", help_heading = "Devices")]
    per_site: NonZeroUsize,
    /// TCP ports to which devices may connect, such as 10000-10100, for firewalls
    #[arg(long, value_name = "FROM-TO", value_parser = ports, help_heading = "Network")]
    ports: Option<(u16, u16)>,
    /// The address of this computer from which it speaks
    #[arg(long, value_name = "ADDRESS", help_heading = "Network")]
    local_address: Option<IpAddr>,
    #[command(flatten)]
    push: PushArgs,
    #[command(flatten)]
    password: PasswordArgs,
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse::<u16>(), to.trim().parse::<u16>()) {
        (Ok(from), Ok(to)) if 0 < from && from <= to => Ok((from, to)),
        _ => Err("expected one port, or two with a dash between them".into()),
    }
}

/// One device, as the user names it.
struct Target {
    shown: String,
    host: String,
    port: Option<u16>,
    site: String,
    facts: DeviceFacts,
}

pub(crate) fn run(args: &EspotaArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let many = args.from_list.is_some() || args.discover.is_some();
    let (host, path) = match (args.targets.as_slice(), many) {
        ([path], true) => (None, path),
        ([host, path], false) => (Some(host), path),
        ([_], false) => {
            return Err(Failure::usage(
                "it is not said what to send",
                "name the package or the file after the device",
            ));
        }
        _ => {
            return Err(Failure::usage(
                "with --from-list or --discover no device is named",
                "name only the package or the file",
            ));
        }
    };
    let named = host.map(|host| named(host)).transpose()?;
    let release = args.push.release(path.as_ref())?;
    let password = args.password.read("the device")?.map(|password| Password::new(password.to_string()));
    let targets = match (named, &args.from_list, args.discover) {
        (Some(target), ..) => vec![target],
        (None, Some(list), _) => listed(list)?,
        (None, None, seconds) => discovered(seconds.unwrap_or(5), reporter)?,
    };
    if targets.is_empty() {
        return Err(Failure::new(
            "there is no device to push to",
            "name one, or look whether it is switched on",
        ));
    }
    let wanted = args.push.until.map_or(Evidence::Taken, super::Until::evidence);
    let mut exits = Vec::new();
    let mut ready = Vec::new();
    for target in targets {
        match prepare(args, &release, target, reporter)? {
            Ok(job) => ready.push(job),
            Err((shown, end)) => exits.push(Progress::new(reporter, &shown).end(&end, wanted)?),
        }
    }
    if !args.push.dry_run && !ready.is_empty() {
        exits.extend(send(args, ready, password, wanted, reporter)?);
    }
    // Of several devices, the worst counts.
    Ok(exits
        .into_iter()
        .max_by_key(|exit| match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            _ => 2,
        })
        .unwrap_or(Exit::Done))
}

/// A device and its file.
struct Ready {
    shown: String,
    host: String,
    port: u16,
    site: String,
    image: Image,
}

fn prepare(
    args: &EspotaArgs,
    release: &Release,
    target: Target,
    reporter: Reporter,
) -> Result<Result<Ready, (String, End)>, Failure> {
    let mut facts = target.facts;
    args.push.describe(&mut facts);
    if facts.family.is_none() {
        let by_port = match target.port {
            Some(PORT_ESP8266) => Some(Family::Esp8266),
            Some(PORT_PICO) => Some(Family::Rp2040),
            Some(PORT_ESP32) => Some(Family::Esp32),
            _ => None,
        };
        let how = Origin::Inferred("its port, which is the usual one of this family");
        facts.family = by_port.map(|family| Known::new(family, how));
    }
    let offer = match args.push.choose(release, &facts, Way::Espota) {
        Ok(offer) => offer,
        Err(end) => return Ok(Err((target.shown, end))),
    };
    let family = facts.family.as_ref().map(|family| family.value).or(release.family);
    let port = target.port.unwrap_or(match family {
        Some(Family::Rp2040) => PORT_PICO,
        Some(Family::Esp32) => PORT_ESP32,
        _ => PORT_ESP8266,
    });
    let plan = Plan::new(format!("{}:{port}", target.host), "espota", release, &offer, args.push.dry_run);
    plan.say(reporter)?;
    let bytes = super::bytes(&offer)?;
    Ok(Ok(Ready {
        shown: target.shown,
        host: target.host,
        port,
        site: target.site,
        image: Image::new(bytes),
    }))
}

fn send(
    args: &EspotaArgs,
    ready: Vec<Ready>,
    password: Option<Password>,
    wanted: Evidence,
    reporter: Reporter,
) -> Result<Vec<Exit>, Failure> {
    let local = Local { address: args.local_address, ports: args.ports.map(|(from, to)| from..=to) };
    let mut progress: Vec<Progress> =
        ready.iter().map(|ready| Progress::new(reporter, &ready.shown)).collect();
    let mut ends: Vec<Option<End>> = vec![None; ready.len()];
    let pace = Pace { at_once: args.at_once, per_site: args.per_site };
    let work = async {
        let (mut jobs, mut numbers) = (Vec::new(), Vec::new());
        for (number, ready) in ready.into_iter().enumerate() {
            match mdns::address(&ready.host, ready.port, RESOLVE).await {
                Ok(device) => {
                    jobs.push(job(device, ready, password.clone(), &local, args));
                    numbers.push(number);
                }
                Err(error) => {
                    ends[number] = Some(super::not_found(&error));
                }
            }
        }
        let done = espota::push_all(jobs, pace, &mut |index, news| {
            if let News::Event(event) = news {
                progress[numbers[index]].tell(&event);
            }
        })
        .await;
        for (number, end) in numbers.into_iter().zip(done) {
            ends[number] = Some(end);
        }
    };
    let is_done = until_done(work)?.is_some();
    let mut exits = Vec::new();
    for (progress, end) in progress.iter_mut().zip(&ends) {
        exits.push(match end {
            Some(end) if is_done => progress.end(end, wanted)?,
            _ => progress.interrupted()?,
        });
    }
    Ok(exits)
}

fn job(
    device: SocketAddr,
    ready: Ready,
    password: Option<Password>,
    local: &Local,
    args: &EspotaArgs,
) -> Job {
    let mut request = espota::Request::new(device, ready.image);
    request.content = args.push.content();
    request.password = password;
    request.local = local.clone();
    Job { request, site: ready.site }
}

fn named(text: &str) -> Result<Target, Failure> {
    let (host, port) = mdns::split(text).map_err(|error| {
        Failure::usage(error, "such as 192.168.1.50, kitchen.local or kitchen.local:8266")
    })?;
    Ok(Target {
        shown: text.to_owned(),
        host: host.to_owned(),
        port,
        site: String::new(),
        facts: DeviceFacts::default(),
    })
}

/// Lines of `HOST[:PORT] [SITE]`. `#` begins a remark.
fn listed(path: &std::path::Path) -> Result<Vec<Target>, Failure> {
    let read = Input::named(path).and_then(|input| input.read(MAX_LIST));
    let bytes = read.map_err(|error| Failure::file(path, &error))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut targets = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(host) = words.next() else { continue };
        let shown = otaseal::key::material::shown(path);
        let mut target = named(host).map_err(|failure| {
            Failure::usage(format!("{shown}, line {}: {}", number + 1, failure.message), failure.help)
        })?;
        target.site = words.next().unwrap_or_default().to_owned();
        targets.push(target);
    }
    Ok(targets)
}

fn discovered(seconds: u64, reporter: Reporter) -> Result<Vec<Target>, Failure> {
    reporter.note(format!("looks for devices for {seconds} s"));
    let found = until_done(mdns::browse(Duration::from_secs(seconds.min(600))))?
        .unwrap_or(Ok(Vec::new()))
        .map_err(|error| Failure::new(error, "name the devices instead"))?;
    let targets = found.into_iter().filter(|service| service.announced == Announced::Espota);
    Ok(targets
        .map(|service| Target {
            shown: said(service.host.as_bytes()),
            host: service.addresses.first().map_or_else(|| service.host.clone(), ToString::to_string),
            port: Some(service.port),
            site: String::new(),
            facts: service.facts(),
        })
        .collect())
}
