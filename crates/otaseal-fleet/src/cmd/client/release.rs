//! `upload` and `release`.

use super::{Client, OneArgs, ServerArgs, name_of, text};
use crate::error::{Exit, Failure};
use crate::package;
use crate::report::Reporter;
use clap::{Args, Subcommand};
use otaseal::format::input::Input;
use otaseal::package::manifest::FILE_NAME;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Largest upload in bytes, as the fleet takes it by default.
const MAX_UPLOAD: usize = 64 << 20;

#[derive(Debug, Args)]
#[command(after_help = "\
A package is sent whole: its manifest and its files. The fleet verifies it before it takes it in. An image
says its name and its version by itself if it has Homie tokens.

Examples:
  otaseal-fleet upload dist --notes 'Fixes the clock'
  otaseal-fleet upload lamp.bin --firmware lamp --release-version 1.2.0")]
pub(crate) struct UploadArgs {
    /// A folder with a package, an archive of one, or an image
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Name of the firmware, for an image that says none
    #[arg(long, value_name = "NAME")]
    firmware: Option<String>,
    /// Version of the firmware, for an image that says none
    #[arg(long, value_name = "VERSION")]
    release_version: Option<String>,
    /// Board, for an image that says none
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Notes for people
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// It closes a hole
    #[arg(long)]
    security: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn upload(args: &UploadArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let client = args.server.client()?;
    let (name, bytes) = match args.path.is_dir() {
        true => ("package.tar".to_owned(), archive(&args.path)?),
        false => {
            let bytes = Input::named(&args.path)
                .and_then(|input| input.read(MAX_UPLOAD))
                .map_err(|error| Failure::file(&args.path, &error))?;
            (name_of(&args.path)?, bytes)
        }
    };
    let mut query = vec![("file", name.as_str())];
    for (key, value) in [
        ("firmware", &args.firmware),
        ("version", &args.release_version),
        ("board", &args.board),
        ("notes", &args.notes),
    ] {
        query.extend(value.as_deref().map(|value| (key, value)));
    }
    if args.security {
        query.push(("security", "true"));
    }
    let answer = client.upload(&query, &bytes)?;
    let release = &answer["release"];
    let by = match &release["key_id"] {
        Value::Null => "signed by nobody".to_owned(),
        key => format!("signed by {}", text(key)),
    };
    let title = format!("{} {}", text(&release["firmware"]), text(&release["version"]));
    reporter.result(format!("release {}: {title} ({by})", text(&release["id"])), release)?;
    Ok(Exit::Done)
}

/// The files of a package in one archive.
fn archive(directory: &Path) -> Result<Vec<u8>, Failure> {
    let package = package::package(directory)
        .map_err(|error| Failure::refused(error, "name a folder that `otaseal package` made"))?;
    let mut archive = tar::Builder::new(Vec::new());
    let manifest = std::iter::once((FILE_NAME.to_owned(), package.manifest_json().as_bytes().to_vec()));
    let files = package.files().iter().map(|file| (file.name().to_owned(), file.bytes().into_owned()));
    let packed = manifest.chain(files).try_for_each(|(name, bytes)| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes.as_slice())
    });
    packed
        .and_then(|()| archive.into_inner())
        .map_err(|error| Failure::new(format!("the package cannot be packed: {error}"), "make it again"))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    /// Show the releases.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Never offer a release again. Rollouts of it pause.
    Withdraw(OneArgs),
    /// Delete a release that nothing refers to.
    Delete(OneArgs),
}

pub(crate) fn release(command: &Release, reporter: Reporter) -> Result<Exit, Failure> {
    let done = |client: Result<Value, Failure>, id: u32, what: &str| {
        client?;
        reporter.result(format!("release {id} {what}"), &json!({ "release": id, "done": what }))?;
        Ok(Exit::Done)
    };
    match command {
        Release::List { server } => list(&server.client()?, reporter),
        Release::Withdraw(OneArgs { id, server }) => {
            done(server.client()?.post(&format!("/releases/{id}/withdraw"), &Value::Null), *id, "withdrawn")
        }
        Release::Delete(OneArgs { id, server }) => {
            done(server.client()?.delete(&format!("/releases/{id}")), *id, "deleted")
        }
    }
}

fn list(client: &Client, reporter: Reporter) -> Result<Exit, Failure> {
    let releases = client.get("/releases", &[])?;
    for release in releases.as_array().into_iter().flatten() {
        let withdrawn = if release["offered"] == "withdrawn" { ", withdrawn" } else { "" };
        let line = format!(
            "{:>5}  {} {}  {}{withdrawn}",
            text(&release["id"]),
            text(&release["firmware"]),
            text(&release["version"]),
            if release["key_id"].is_null() { "unsigned" } else { "signed" },
        );
        reporter.result(line, release)?;
    }
    Ok(Exit::Done)
}
