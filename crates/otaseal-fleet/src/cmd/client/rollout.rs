//! `rollout`.

use super::{Client, OneArgs, ServerArgs, text};
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use clap::{Args, Subcommand};
use otaseal::format::input::Input;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Longest plan in bytes.
const MAX_PLAN: usize = 64 * 1024;

/// A rollout that is watched is looked at so often.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Say what a rollout would do, and do nothing.
    DryRun(PlanArgs),
    /// Write a rollout down. It is started by `rollout start`.
    Draft(PlanArgs),
    /// Start a rollout.
    Start(OneArgs),
    /// Show the rollouts.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show one rollout.
    Show(OneArgs),
    /// Show a rollout until it ends or pauses.
    Watch(OneArgs),
    /// Offer nothing for the time being.
    Pause(OneArgs),
    /// Go on after a pause.
    Resume(OneArgs),
    /// Let the next stage begin.
    GoOn(OneArgs),
    /// End a rollout. Images that are being sent are finished.
    Abort(OneArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  otaseal-fleet rollout dry-run 7 'firmware:lamp'
  otaseal-fleet rollout draft 7 'firmware:lamp' --name 'Lamps to 1.2' --stages 1,10,100 --soak 3600")]
pub(crate) struct PlanArgs {
    /// The number of the release
    #[arg(value_name = "RELEASE")]
    release: u32,
    /// A filter: the devices that get it
    #[arg(value_name = "FILTER")]
    target: String,
    /// Its name
    #[arg(long, value_name = "TEXT", default_value = "rollout")]
    name: String,
    /// Shares of the stages in percent; the last is 100
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',')]
    stages: Vec<u8>,
    /// A filter: these devices come first, as a stage of their own
    #[arg(long, value_name = "FILTER")]
    canary: Option<String>,
    /// Seconds for which each stage but the last is watched
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u64>,
    /// A person lets each stage begin
    #[arg(long)]
    manual: bool,
    /// Hours of local time, such as 'Mon-Fri 01:00-05:00 Europe/Berlin'
    #[arg(long, value_name = "HOURS")]
    hours: Option<String>,
    /// Devices that come later get it too
    #[arg(long)]
    follow: bool,
    /// Also devices with a newer version
    #[arg(long)]
    downgrade: bool,
    /// Also devices with another firmware
    #[arg(long)]
    other_firmware: bool,
    /// Also if the devices would take no later update
    #[arg(long)]
    strand: bool,
    /// A whole plan as JSON; the other options replace parts of it
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(command: &Rollout, reporter: Reporter) -> Result<Exit, Failure> {
    let tell = |one: &OneArgs, command: &str| {
        let client = one.server.client()?;
        client.post(&format!("/rollouts/{}/{command}", one.id), &Value::Null)?;
        let rollout = client.get(&format!("/rollouts/{}", one.id), &[])?;
        reporter.result(shown(&rollout), &rollout)?;
        Ok(Exit::Done)
    };
    match command {
        Rollout::DryRun(args) => dry_run(args, reporter),
        Rollout::Draft(args) => {
            let answer = args.server.client()?.post("/rollouts", &body(args)?)?;
            let id = text(&answer["id"]);
            reporter
                .result(format!("rollout {id} is written down; start it: rollout start {id}"), &answer)?;
            Ok(Exit::Done)
        }
        Rollout::Start(one) => tell(one, "start"),
        Rollout::Pause(one) => tell(one, "pause"),
        Rollout::Resume(one) => tell(one, "resume"),
        Rollout::GoOn(one) => tell(one, "go-on"),
        Rollout::Abort(one) => tell(one, "abort"),
        Rollout::List { server } => {
            let rollouts = server.client()?.get("/rollouts", &[])?;
            for rollout in rollouts.as_array().into_iter().flatten() {
                reporter.result(shown(rollout), rollout)?;
            }
            Ok(Exit::Done)
        }
        Rollout::Show(one) => {
            let rollout = one.server.client()?.get(&format!("/rollouts/{}", one.id), &[])?;
            reporter.result(shown(&rollout), &rollout)?;
            Ok(Exit::Done)
        }
        Rollout::Watch(one) => watch(&one.server.client()?, one.id, reporter),
    }
}

/// One line: how far it is, and why it does not go on.
fn shown(rollout: &Value) -> String {
    let devices = rollout["devices"].as_object();
    // In the order in which an update goes on.
    let states = [
        "held",
        "queued",
        "sending",
        "served",
        "installed",
        "confirmed",
        "settled",
        "retry",
        "silent",
        "attention",
        "skipped",
        "unverifiable",
        "expired",
        "cancelled",
        "superseded",
    ];
    let counts = states.iter().filter_map(|state| {
        let count = devices?.get(*state)?;
        Some(format!("{} {state}", text(count)))
    });
    let counts: Vec<String> = counts.collect();
    let paused = match rollout["paused"].as_str() {
        Some(why) => format!("; {}", otaseal_delivery::text::said(why.as_bytes())),
        None => String::new(),
    };
    format!(
        "rollout {} \"{}\": {}, stage {}: {}{paused}",
        text(&rollout["id"]),
        text(&rollout["name"]),
        text(&rollout["phase"]),
        text(&rollout["stage"]),
        if counts.is_empty() { "no device yet".to_owned() } else { counts.join(", ") },
    )
}

fn watch(client: &Client, id: u32, reporter: Reporter) -> Result<Exit, Failure> {
    let mut last = String::new();
    loop {
        let rollout = client.get(&format!("/rollouts/{id}"), &[])?;
        let line = shown(&rollout);
        if line != last {
            reporter.result(&line, &rollout)?;
        }
        last = line;
        match rollout["phase"].as_str() {
            Some("completed") => return Ok(Exit::Done),
            Some("aborted" | "superseded") => return Ok(Exit::Refused),
            Some("draft") => {
                return Err(Failure::refused(
                    "the rollout is a draft",
                    format!("start it: rollout start {id}"),
                ));
            }
            _ if !rollout["paused"].is_null() => return Ok(Exit::Refused),
            _ => std::thread::sleep(LOOK),
        }
    }
}

fn dry_run(args: &PlanArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let dry = args.server.client()?.post("/rollouts/dry-run", &body(args)?)?;
    let mut lines = vec![format!("the filter holds for {} devices", text(&dry["targets"]))];
    for (file, line) in dry["offered"].as_object().into_iter().flatten() {
        let file = otaseal_delivery::text::said(file.as_bytes());
        lines.push(format!("  {} get {file}: {}", text(&line["devices"]), text(&line["why"])));
    }
    for (code, line) in dry["refused"].as_object().into_iter().flatten() {
        let code = otaseal_delivery::text::said(code.as_bytes());
        lines.push(format!("  {} do not ({code}): {}", text(&line["devices"]), text(&line["why"])));
    }
    for (key, what) in [
        ("not-accepted", "nobody has accepted"),
        ("from-other-rollouts", "are taken from another rollout"),
        ("stranded", "would never take an update again"),
    ] {
        if dry[key].as_u64().is_some_and(|count| count > 0) {
            lines.push(format!("  {} {what}", text(&dry[key])));
        }
    }
    if !dry["largest-site"].is_null() {
        let site = &dry["largest-site"];
        lines.push(format!("largest site: {} with {} devices", text(&site["name"]), text(&site["devices"])));
    }
    lines.push(format!("{} bytes, at least {} s", text(&dry["bytes"]), text(&dry["earliest-end"])));
    reporter.result(lines.join("\n"), &dry)?;
    Ok(Exit::Done)
}

fn body(args: &PlanArgs) -> Result<Value, Failure> {
    let mut plan = match &args.plan {
        None => Map::new(),
        Some(path) => {
            let read = Input::named(path).and_then(|input| input.read(MAX_PLAN));
            let bytes = read.map_err(|error| Failure::file(path, &error))?;
            serde_json::from_slice(&bytes).map_err(|error| {
                let shown = otaseal::key::material::shown(path);
                Failure::usage(format!("{shown}: {error}"), "write the plan as a JSON object")
            })?
        }
    };
    plan.insert("target".into(), json!(args.target));
    if !args.stages.is_empty() || args.canary.is_some() || args.soak.is_some() || args.manual {
        plan.insert("stages".into(), json!(stages(args)));
    }
    if let Some(hours) = &args.hours {
        plan.insert("hours".into(), json!(hours));
    }
    for (key, on) in [
        ("follow", args.follow),
        ("downgrade", args.downgrade),
        ("other-firmware", args.other_firmware),
        ("strand", args.strand),
    ] {
        if on {
            plan.insert(key.into(), json!(true));
        }
    }
    Ok(json!({ "name": args.name, "release": args.release, "plan": plan }))
}

fn stages(args: &PlanArgs) -> Vec<Value> {
    let shares = if args.stages.is_empty() { vec![100] } else { args.stages.clone() };
    let last = shares.len() - 1;
    let with = |mut stage: Value, is_last: bool| {
        if !is_last {
            stage["manual"] = json!(args.manual);
            stage["soak"] = json!(args.soak.unwrap_or(0));
        }
        stage
    };
    let canary = args.canary.iter().map(|filter| with(json!({ "only": filter }), false));
    let shares = shares.iter().enumerate();
    canary
        .chain(shares.map(|(number, percent)| with(json!({ "percent": percent }), number == last)))
        .collect()
}
