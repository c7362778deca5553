//! `token` and `audit`.

use super::{ServerArgs, text, time};
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token, and print it this once.
    Make(MakeArgs),
    /// Show the tokens, without their texts.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Revoke a token.
    Revoke {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Scopes: read (look at everything), upload (releases), operate (devices and rollouts), own (everything).

Example:
  otaseal-fleet token make ci --scopes upload")]
pub(crate) struct MakeArgs {
    /// Its name: it stands in the audit log
    #[arg(value_name = "NAME")]
    name: String,
    /// What it allows
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',', required = true)]
    scopes: Vec<String>,
    /// When it ends, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    expires: Option<u64>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// How many lines, the newest first
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    lines: u32,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(command: &Token, reporter: Reporter) -> Result<Exit, Failure> {
    match command {
        Token::Make(args) => {
            let body = json!({ "name": args.name, "scopes": args.scopes, "expires": args.expires });
            let answer = args.server.client()?.post("/tokens", &body)?;
            reporter.result(answer["token"].as_str().unwrap_or_default(), &answer)?;
        }
        Token::List { server } => {
            let tokens = server.client()?.get("/tokens", &[])?;
            for token in tokens.as_array().into_iter().flatten() {
                let revoked = if token["revoked"].is_null() { "" } else { ", revoked" };
                let line = format!("{}: {}{revoked}", text(&token["name"]), text(&token["scopes"]));
                reporter.result(line, token)?;
            }
        }
        Token::Revoke { name, server } => {
            server.client()?.delete(&format!("/tokens/{}", path_part(name)?))?;
            reporter.result(format!("{name} is revoked"), &json!({ "token": name, "done": "revoked" }))?;
        }
    }
    Ok(Exit::Done)
}

/// A name that can stand in an address as it is. Others are no names of tokens.
fn path_part(name: &str) -> Result<&str, Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    match !name.is_empty() && name.bytes().all(plain) {
        true => Ok(name),
        false => Err(Failure::usage("that is no name of a token", "see `otaseal-fleet token list`")),
    }
}

pub(crate) fn audit(args: &AuditArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let rows = args.lines.to_string();
    let answer = args.server.client()?.get("/audit", &[("rows", &rows)])?;
    for line in answer["lines"].as_array().into_iter().flatten() {
        let at = time(&line["at"]);
        let shown = format!(
            "{} {at} {} {} {}",
            text(&line["number"]),
            text(&line["actor"]),
            text(&line["action"]),
            text(&line["object"]),
        );
        reporter.result(shown, line)?;
    }
    Ok(Exit::Done)
}
