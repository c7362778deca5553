//! `key`: whom the fleet believes.

use super::{ServerArgs, text};
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use clap::Subcommand;
use otaseal::format::input::Input;
use serde_json::json;
use std::path::PathBuf;

/// Longest public key in bytes.
const MAX_KEY: usize = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Trust a public key: releases that it verifies are taken in.
    Add {
        /// The public key
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Also a key with known faults, such as the published example key
        #[arg(long)]
        accept_faults: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show the trusted keys.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Trust a key no longer.
    Remove {
        /// Its id
        #[arg(value_name = "KEYID")]
        id: String,
        /// Also if releases depend on it: they are not offered any more
        #[arg(long)]
        anyway: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
}

pub(crate) fn run(command: &Key, reporter: Reporter) -> Result<Exit, Failure> {
    match command {
        Key::Add { file, accept_faults, server } => {
            let read = Input::named(file).and_then(|input| input.read(MAX_KEY));
            let bytes = read.map_err(|error| Failure::file(file, &error))?;
            let key = String::from_utf8(bytes).map_err(|_| {
                Failure::usage("the key is no PEM text", "write it as PEM: `otaseal pubkey --pem`")
            })?;
            let answer =
                server.client()?.post("/keys", &json!({ "key": key, "accept-faults": accept_faults }))?;
            reporter.result(format!("trusted: {}", text(&answer["id"])), &answer)?;
        }
        Key::List { server } => {
            let keys = server.client()?.get("/keys", &[])?;
            for key in keys.as_array().into_iter().flatten() {
                reporter.result(text(key), &json!({ "id": key }))?;
            }
        }
        Key::Remove { id, anyway, server } => {
            server.client()?.post("/keys/remove", &json!({ "id": id, "anyway": anyway }))?;
            reporter.result(format!("no longer trusted: {id}"), &json!({ "id": id, "done": "removed" }))?;
        }
    }
    Ok(Exit::Done)
}
