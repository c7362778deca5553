//! `simulate http`: devices that pull.

use super::BoardArgs;
use crate::cmd::push::until_done;
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use clap::Args;
use otaseal_delivery::sim::http;
use otaseal_delivery::text::said;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(after_help = "\
The devices poll until you end them, as a sketch does.

Examples:
  otaseal-fleet simulate http http://127.0.0.1:8080/ota/lamp
  otaseal-fleet simulate http http://127.0.0.1:8080/ota/lamp --count 100 --every 60
  otaseal-fleet simulate http http://127.0.0.1:8080/ota --says homie-1.3 --target 1.3.0")]
pub(crate) struct HttpArgs {
    /// The address that they ask
    #[arg(value_name = "URL", value_parser = http_url)]
    url: HttpUrl,
    #[command(flatten)]
    board: BoardArgs,
    /// Seconds between two polls of a device
    #[arg(long, value_name = "SECONDS", default_value_t = 10, help_heading = "Devices")]
    every: u64,
    /// Polls of each device, then the program ends [default: until you end it]
    #[arg(long, value_name = "NUMBER", help_heading = "Devices")]
    polls: Option<u32>,
    /// What the firmware is, and what it says as its version
    #[arg(long, value_name = "FIRMWARE", default_value = "sketch", help_heading = "Devices")]
    says: Firmware,
    /// Homie 1.3: the version that the devices were told to fetch
    #[arg(long, value_name = "VERSION", help_heading = "Devices")]
    target: Option<String>,
    /// Follow redirects, as a sketch with setFollowRedirects does
    #[arg(long, help_heading = "Devices")]
    follow: bool,
}

/// What the firmware of a device that pulls is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Firmware {
    /// A sketch that says the version of its image.
    Sketch,
    /// A sketch that says no version.
    Nothing,
    /// Homie 1.0 to 1.2.
    #[value(name = "homie-1.0")]
    Homie1_0,
    /// Homie 1.3 to 1.5.
    #[value(name = "homie-1.3")]
    Homie1_3,
    /// Tasmota.
    Tasmota,
}

impl HttpArgs {
    /// What the device with this number says.
    fn says(&self, number: u16) -> Result<http::Says, Failure> {
        let homie = |form, target| http::Says::Homie { form, id: format!("sim-{number}"), target };
        Ok(match (self.says, self.target.clone()) {
            (Firmware::Homie1_3, Some(target)) => homie(http::HomieForm::V1_3, Some(target)),
            (Firmware::Homie1_3, None) => {
                return Err(Failure::usage(
                    "a device of Homie 1.3 asks for the version that it was told to fetch",
                    "give that version with --target",
                ));
            }
            (_, Some(_)) => {
                return Err(Failure::usage(
                    "only a device of Homie 1.3 says a target",
                    "choose it with --says homie-1.3, or omit --target",
                ));
            }
            (Firmware::Sketch, None) => http::Says::OwnVersion,
            (Firmware::Nothing, None) => http::Says::Nothing,
            (Firmware::Homie1_0, None) => homie(http::HomieForm::V1_0, None),
            (Firmware::Tasmota, None) => http::Says::Tasmota("tasmota".into()),
        })
    }
}

/// Host and path of an address.
#[derive(Debug, Clone)]
struct HttpUrl {
    host: String,
    path: String,
}

fn http_url(text: &str) -> Result<HttpUrl, String> {
    let rest = text.strip_prefix("http://").ok_or("expected an address such as http://HOST:8080/ota/NAME")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    otaseal_delivery::mdns::split(host).map_err(|error| error.to_string())?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the path has blanks or other characters".into());
    }
    Ok(HttpUrl { host: host.to_owned(), path: format!("/{path}") })
}

pub(super) fn run(args: &HttpArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let board = args.board.board()?;
    let says = (1..=args.board.count).map(|number| args.says(number)).collect::<Result<Vec<_>, _>>()?;
    let text = format!("simulates {} devices that poll {}{}", args.board.count, args.url.host, args.url.path);
    let object = serde_json::json!({ "simulates": "HTTP", "count": args.board.count, "path": args.url.path });
    reporter.result(text, &object)?;
    let devices = (1..=args.board.count).zip(says).map(|(number, says)| {
        let mut device = http::Device::new(board.clone(), &args.url.host, &args.url.path);
        let [high, low] = number.to_be_bytes();
        device.mac = [0x5C, 0xCF, 0x7F, 0, high, low];
        (device.says, device.follows) = (says, args.follow);
        device
    });
    let work = async {
        let mut tasks = tokio::task::JoinSet::new();
        for mut device in devices {
            let (every, polls) = (Duration::from_secs(args.every), args.polls);
            tasks.spawn_local(async move {
                let mut polled = 0;
                while polls.is_none_or(|most| polled < most) {
                    if polled > 0 {
                        tokio::time::sleep(every).await;
                    }
                    polled += 1;
                    let outcome = device.poll(http::Mode::Sketch).await;
                    told(reporter, &device, &outcome);
                    if outcome == http::Outcome::Dead {
                        return;
                    }
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    };
    match until_done(tokio::task::LocalSet::new().run_until(work))? {
        Some(()) if args.polls.is_none() => {
            Err(Failure::new("every simulated device is dead", "start them again"))
        }
        _ => Ok(Exit::Done),
    }
}

/// Says what came of one poll.
fn told(reporter: Reporter, device: &http::Device, outcome: &http::Outcome) {
    let name = device.mac.map(|byte| format!("{byte:02X}")).join(":");
    let tokens = device.board.tokens();
    let version = tokens.version.map(|version| version.value.as_str().to_owned());
    let runs = version.clone().unwrap_or_else(|| device.board.sketch_md5().to_string());
    let (word, text) = match outcome {
        http::Outcome::Updated => ("updated", format!("updated, runs {runs}")),
        http::Outcome::NoUpdates => ("no-updates", format!("no update, runs {runs}")),
        http::Outcome::Version(version) => {
            ("version", format!("the server has {}", said(version.as_bytes())))
        }
        http::Outcome::Failed(code) => ("failed", format!("failed: error {code}, runs {runs}")),
        http::Outcome::Dead => ("dead", "dead".to_owned()),
    };
    let code = if let http::Outcome::Failed(code) = outcome { Some(*code) } else { None };
    let object = serde_json::json!({
        "device": name, "outcome": word, "code": code, "version": version, "md5": device.board.sketch_md5(),
    });
    let _ = reporter.result(format!("{name}: {}", said(text.as_bytes())), &object);
}
