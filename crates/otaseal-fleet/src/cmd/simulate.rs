//! `simulate`: devices that behave as the real ones do, for people who try their set-up without a board.

mod http;

use crate::broker::BrokerArgs;
use crate::cmd::push::until_done;
use crate::cmd::runtime;
use crate::error::{Exit, Failure};
use crate::package;
use crate::report::Reporter;
use crate::secret::PasswordArgs;
use clap::{Args, Subcommand};
use otaseal::format::layers;
use otaseal::profile::Profile;
use otaseal_delivery::release::MAX_FILE;
use otaseal_delivery::sim::board::Board;
use otaseal_delivery::sim::image::Sample;
use otaseal_delivery::sim::{espota, form, homie};
use otaseal_delivery::text::said;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Simulate {
    /// Devices that pull by HTTP.
    Http(http::HttpArgs),
    /// Devices with ArduinoOTA.
    Espota(EspotaArgs),
    /// Devices with a web form.
    Form(FormArgs),
    /// Homie devices at a broker.
    Homie(HomieArgs),
}

/// The devices.
#[derive(Debug, Args)]
pub(crate) struct BoardArgs {
    /// Kind of the devices, such as esp8266@3.1.2 or esp8266@3.1.2/unsigned
    #[arg(
        long = "for",
        value_name = "PROFILE",
        default_value = "esp8266@3.1.2/unsigned",
        help_heading = "Devices"
    )]
    profile: Profile,
    /// The image that they run [default: a made-up one, `demo` 0.0.1]
    #[arg(long, value_name = "FILE", help_heading = "Devices")]
    running: Option<PathBuf>,
    /// The public key in their firmware [default: the first one that the running image carries]
    #[arg(long, value_name = "FILE", help_heading = "Devices")]
    key: Option<PathBuf>,
    /// How many
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000), help_heading = "Devices")]
    count: u16,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  otaseal-fleet simulate espota --port 8266\n  otaseal-fleet push espota 127.0.0.1 dist"
)]
pub(crate) struct EspotaArgs {
    #[command(flatten)]
    board: BoardArgs,
    /// Address on which they listen
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), help_heading = "Network")]
    listen: IpAddr,
    /// UDP port of the first device; each further one has the next port
    #[arg(long, value_name = "PORT", default_value_t = 8266, help_heading = "Network")]
    port: u16,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  otaseal-fleet simulate form --port 8000\n  otaseal-fleet push form http://127.0.0.1:8000/update dist"
)]
pub(crate) struct FormArgs {
    #[command(flatten)]
    board: BoardArgs,
    /// Address on which they listen
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), help_heading = "Network")]
    listen: IpAddr,
    /// TCP port of the first device; each further one has the next port
    #[arg(long, value_name = "PORT", default_value_t = 8000, help_heading = "Network")]
    port: u16,
    /// User name that the form asks for
    #[arg(long, value_name = "NAME", help_heading = "Password")]
    user: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  otaseal-fleet simulate homie --broker mqtt://127.0.0.1 --count 3")]
pub(crate) struct HomieArgs {
    #[command(flatten)]
    board: BoardArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Start of the ids: sim-1, sim-2, and so on
    #[arg(long, value_name = "NAME", default_value = "sim", help_heading = "Devices")]
    name: String,
    /// Release of Homie in the firmware
    #[arg(long, value_name = "RELEASE", default_value = "v3", help_heading = "Devices")]
    homie: HomieRelease,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum HomieRelease {
    /// 2.0.0.
    V2,
    /// 3.0.1.
    V3,
    /// The branch develop.
    Develop,
}

pub(crate) fn run(simulate: &Simulate, reporter: Reporter) -> Result<Exit, Failure> {
    match simulate {
        Simulate::Http(args) => http::run(args, reporter),
        Simulate::Espota(args) => run_espota(args, reporter),
        Simulate::Form(args) => run_form(args, reporter),
        Simulate::Homie(args) => run_homie(args, reporter),
    }
}

impl BoardArgs {
    fn board(&self) -> Result<Board, Failure> {
        let image = match &self.running {
            None => Sample { name: "demo", version: "0.0.1", bytes: 200_000, seed: 1 }.esp8266(),
            Some(path) => {
                let bytes = package::read(path, MAX_FILE).map_err(|error| Failure::file(path, &error))?;
                let layers = layers::unpack(&bytes).map_err(|error| {
                    Failure::new(
                        format!("{}: {error}", otaseal::key::material::shown(path)),
                        "give the image that the devices run",
                    )
                })?;
                layers.plain.into_owned()
            }
        };
        let mut board = Board::new(self.profile, &image);
        board.key = match &self.key {
            Some(path) => package::keys(std::slice::from_ref(path))?.pop(),
            None => {
                let found = otaseal::policy::continuity::quick_search(&image, &[]).keys;
                found.into_iter().next().map(|located| located.key)
            }
        };
        if self.profile.verifies() && board.key.is_none() {
            return Err(Failure::usage(
                format!("a device of the kind {} has a key, and none is known", self.profile),
                "give it with --key, or choose the kind with /unsigned behind it",
            ));
        }
        Ok(board)
    }
}

/// The ports of the devices.
fn address(listen: IpAddr, port: u16, index: u16) -> Result<SocketAddr, Failure> {
    let port = if port == 0 { Some(0) } else { port.checked_add(index) };
    port.map(|port| SocketAddr::new(listen, port)).ok_or_else(|| {
        Failure::usage("there are not so many ports", "choose a smaller port or fewer devices")
    })
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("{address} cannot be opened: {error}"),
        "another program may have it: choose another port with --port",
    )
}

fn listens(reporter: Reporter, what: &str, address: SocketAddr) -> Result<(), Failure> {
    let object = serde_json::json!({ "simulates": what, "address": address });
    reporter.result(format!("simulates {what} on {address}"), &object)
}

/// Says what a device did.
fn ended(
    reporter: Reporter,
    name: &str,
    board: &Board,
    received: u64,
    refused: Option<&str>,
) -> Result<(), Failure> {
    let tokens = board.tokens();
    let version = tokens.version.map(|version| version.value.as_str().to_owned());
    let name_of = tokens.name.map(|name| name.value.as_str().to_owned());
    let runs = match (&name_of, &version) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        _ => format!("an image with the MD5 {}", board.sketch_md5()),
    };
    let error = refused.map(|text| format!("; refused: {}", said(text.as_bytes()))).unwrap_or_default();
    let starts = match board.starts() {
        1 => "restarted once".to_owned(),
        starts => format!("restarted {starts} times"),
    };
    let object = serde_json::json!({
        "device": name, "firmware": name_of, "version": version, "md5": board.sketch_md5(),
        "starts": board.starts(), "received_bytes": received, "refused": refused,
    });
    reporter.result(
        format!("{name}: received {received} bytes, {starts}, runs {}{error}", said(runs.as_bytes())),
        &object,
    )
}

fn run_espota(args: &EspotaArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let board = args.board.board()?;
    let password = args.password.read("the devices")?.map(|password| password.to_string());
    runtime()?.block_on(async {
        let mut devices = Vec::new();
        for index in 0..args.board.count {
            let address = address(args.listen, args.port, index)?;
            let mut settings = espota::Settings::new(board.clone());
            settings.password.clone_from(&password);
            let device =
                espota::start(settings, address).await.map_err(|error| cannot_listen(address, &error))?;
            listens(reporter, "ArduinoOTA", device.address())?;
            devices.push(device);
        }
        crate::cmd::interrupted().await;
        for device in devices {
            let name = device.address().to_string();
            let report = device.stop().await;
            ended(reporter, &name, &report.board, report.received, report.refused.as_deref())?;
        }
        Ok(Exit::Done)
    })
}

fn run_form(args: &FormArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let board = args.board.board()?;
    let password = args.password.read("the devices")?.map(|password| password.to_string());
    let login = match (&args.user, password) {
        (Some(user), Some(password)) => Some((user.clone(), password)),
        (None, None) => None,
        _ => {
            return Err(Failure::usage(
                "a form asks for both a user and a password, or for none",
                "give --user and a password, or neither",
            ));
        }
    };
    runtime()?.block_on(async {
        let mut devices = Vec::new();
        for index in 0..args.board.count {
            let address = address(args.listen, args.port, index)?;
            let mut settings = form::Settings::new(board.clone());
            settings.login.clone_from(&login);
            let path = settings.path.clone();
            let device =
                form::start(settings, address).await.map_err(|error| cannot_listen(address, &error))?;
            listens(reporter, &format!("a web form, {path},"), device.address())?;
            devices.push(device);
        }
        crate::cmd::interrupted().await;
        for device in devices {
            let name = device.address().to_string();
            let report = device.stop().await;
            ended(reporter, &name, &report.board, report.received, report.refused.as_deref())?;
        }
        Ok(Exit::Done)
    })
}

fn run_homie(args: &HomieArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let board = args.board.board()?;
    let options = args.broker.options()?;
    let release = match args.homie {
        HomieRelease::V2 => homie::Release::V2,
        HomieRelease::V3 => homie::Release::V3,
        HomieRelease::Develop => homie::Release::Develop,
    };
    let devices: Vec<homie::Device> = (1..=args.board.count)
        .map(|number| {
            let mut device = homie::Device::new(&format!("{}-{number}", args.name), board.clone());
            device.base = args.broker.base.to_string();
            device.release = release;
            device
        })
        .collect();
    let text = format!(
        "simulates {} Homie devices, {}{}-1 to {}, at {}",
        args.board.count, args.broker.base, args.name, args.board.count, args.broker.broker
    );
    let object = serde_json::json!({ "simulates": "Homie", "count": args.board.count, "base": args.broker.base.to_string() });
    reporter.result(text, &object)?;
    let ended = until_done(homie::crowd(devices, options.address, options.trust))?;
    match ended {
        None => Ok(Exit::Done),
        Some(()) => Err(Failure::new("every simulated device is dead or was reset", "start them again")),
    }
}
