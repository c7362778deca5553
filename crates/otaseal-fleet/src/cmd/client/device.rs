//! `device`.

use super::{Client, OneArgs, ServerArgs, text, time};
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

/// Devices of a page.
const ROWS: &str = "1000";

#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// Show the devices for which a filter holds.
    List(ListArgs),
    /// Show one device: what it says, its update, its last events.
    Show(OneArgs),
    /// Accept devices: from then on they may be updated.
    Accept(SomeArgs),
    /// Ignore devices.
    Ignore(SomeArgs),
    /// Change what people write of a device.
    Edit(EditArgs),
    /// Give a device a release, outside of any rollout.
    Push(PushArgs),
    /// Let the update of a device begin again.
    Again(OneArgs),
    /// End the update of a device that has not begun.
    Cancel(OneArgs),
    /// Forget a device. Its events stay.
    Delete(OneArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  otaseal-fleet device list 'standing:pending'
  otaseal-fleet device list 'site:berlin -tag:beta version<1.4.2'")]
pub(crate) struct ListArgs {
    /// A filter; none: all devices
    #[arg(value_name = "FILTER", default_value = "")]
    filter: String,
    /// Print only how many there are
    #[arg(long)]
    count: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Some devices.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  otaseal-fleet device accept 7
  otaseal-fleet device accept --filter 'standing:pending family:esp8266'")]
pub(crate) struct SomeArgs {
    /// Their numbers
    #[arg(value_name = "ID", required_unless_present = "filter", conflicts_with = "filter")]
    ids: Vec<u32>,
    /// All devices for which this filter holds
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  otaseal-fleet device edit 7 --name kitchen --site berlin --tags canary,lamp"
)]
pub(crate) struct EditArgs {
    /// Its number
    #[arg(value_name = "ID")]
    id: u32,
    /// Its name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its site; empty for none
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// All its tags, with commas between them; empty for none
    #[arg(long, value_name = "TAGS")]
    tags: Option<String>,
    /// A note
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Its board; empty for none
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Kind of the device, such as esp8266@3.1.2; empty for none
    #[arg(long = "for", value_name = "PROFILE")]
    profile: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The number of the device
    #[arg(value_name = "ID")]
    id: u32,
    /// The number of the release
    #[arg(value_name = "RELEASE")]
    release: u32,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(command: &Device, reporter: Reporter) -> Result<Exit, Failure> {
    let done = |answer: Result<Value, Failure>, id: u32, what: &str| {
        answer?;
        reporter.result(format!("device {id}: {what}"), &json!({ "device": id, "done": what }))?;
        Ok(Exit::Done)
    };
    let post = |one: &OneArgs, action: &str, what: &str| {
        let answer = one.server.client()?.post(&format!("/devices/{}/{action}", one.id), &Value::Null);
        done(answer, one.id, what)
    };
    match command {
        Device::List(args) => list(args, reporter),
        Device::Show(args) => show(args, reporter),
        Device::Accept(args) => standing(args, "accepted", reporter),
        Device::Ignore(args) => standing(args, "ignored", reporter),
        Device::Edit(args) => {
            let body = edit(args)?;
            done(args.server.client()?.patch(&format!("/devices/{}", args.id), &body), args.id, "changed")
        }
        Device::Push(args) => {
            let path = format!("/devices/{}/push", args.id);
            let answer = args.server.client()?.post(&path, &json!({ "release": args.release }));
            done(answer, args.id, "gets the release when it comes")
        }
        Device::Again(one) => post(one, "again", "its update begins again"),
        Device::Cancel(one) => post(one, "cancel", "its update is ended"),
        Device::Delete(one) => {
            done(one.server.client()?.delete(&format!("/devices/{}", one.id)), one.id, "forgotten")
        }
    }
}

/// Calls a function for each device for which a filter holds.
fn each(
    client: &Client,
    filter: &str,
    mut work: impl FnMut(&Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = String::new();
    loop {
        let mut query = vec![("filter", filter), ("rows", ROWS)];
        if !after.is_empty() {
            query.push(("after", after.as_str()));
        }
        let page = client.get("/devices", &query)?;
        page["devices"].as_array().into_iter().flatten().try_for_each(&mut work)?;
        match page["next"].as_u64() {
            Some(next) => after = next.to_string(),
            None => return Ok(()),
        }
    }
}

fn list(args: &ListArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let client = args.server.client()?;
    if args.count {
        let answer = client.get("/devices/count", &[("filter", &args.filter)])?;
        reporter.result(text(&answer["count"]), &answer)?;
        return Ok(Exit::Done);
    }
    each(&client, &args.filter, |device| reporter.result(line(device), device))?;
    Ok(Exit::Done)
}

fn line(device: &Value) -> String {
    let id = if device["mac"].is_null() { &device["chip_id"] } else { &device["mac"] };
    format!(
        "{:>7}  {}  {}  {} {}  {}",
        text(&device["id"]),
        text(&device["name"]),
        text(id),
        text(&device["firmware"]),
        text(&device["version"]),
        text(&device["standing"]),
    )
}

fn show(args: &OneArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let answer = args.server.client()?.get(&format!("/devices/{}", args.id), &[])?;
    let mut shown = line(&answer["device"]);
    let update = &answer["update"];
    if !update.is_null() {
        let why = match update["why"].as_str() {
            None | Some("") => String::new(),
            Some(why) => format!(" ({why})"),
        };
        shown.push_str(&format!(
            "\n  update to release {}: {}{why}",
            text(&update["release"]),
            text(&update["state"])
        ));
    }
    for event in answer["events"].as_array().into_iter().flatten() {
        let event = &event["event"];
        let at = time(&event["at"]);
        shown.push_str(&format!("\n  {at} {}: {}", text(&event["code"]), text(&event["text"])));
    }
    reporter.result(shown, &answer)?;
    Ok(Exit::Done)
}

fn standing(args: &SomeArgs, standing: &str, reporter: Reporter) -> Result<Exit, Failure> {
    let client = args.server.client()?;
    let mut ids: Vec<u64> = args.ids.iter().map(|id| u64::from(*id)).collect();
    if let Some(filter) = &args.filter {
        // First all numbers: a page would move under the changes.
        each(&client, filter, |device| {
            ids.extend(device["id"].as_u64());
            Ok(())
        })?;
    }
    for id in &ids {
        client.patch(&format!("/devices/{id}"), &json!({ "standing": standing }))?;
    }
    let many = ids.len();
    reporter.result(
        format!("{many} devices are {standing}"),
        &json!({ "devices": many, "standing": standing }),
    )?;
    Ok(Exit::Done)
}

fn edit(args: &EditArgs) -> Result<Value, Failure> {
    let mut body = Map::new();
    for (key, value) in [
        ("name", &args.name),
        ("site", &args.site),
        ("note", &args.note),
        ("board", &args.board),
        ("profile", &args.profile),
    ] {
        body.extend(value.as_ref().map(|value| (key.to_owned(), json!(value))));
    }
    if let Some(tags) = &args.tags {
        let tags: Vec<&str> = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
        body.insert("tags".into(), json!(tags));
    }
    match body.is_empty() {
        true => {
            Err(Failure::usage("it is not said what changes", "give --name, --site, --tags or another one"))
        }
        false => Ok(Value::Object(body)),
    }
}
