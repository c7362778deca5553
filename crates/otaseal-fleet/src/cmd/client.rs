//! The commands that ask a fleet that is served: over its API, with a token.

pub(crate) mod device;
pub(crate) mod key;
pub(crate) mod release;
pub(crate) mod rollout;
pub(crate) mod token;

use crate::error::{Exit, Failure};
use crate::secret;
use clap::Args;
use otaseal::key::material;
use otaseal_delivery::text::said;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};
use zeroize::Zeroizing;

/// The variable with the token, if no option says where it is.
const TOKEN: &str = "OTASEAL_FLEET_TOKEN";

/// Largest answer in bytes.
const ANSWER: u64 = 64 << 20;

/// How long the fleet may take: an upload is verified, and a dry run looks at every device.
const PATIENCE: Duration = Duration::from_secs(300);

/// Which fleet, and who asks.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// Address of the fleet's API
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081", help_heading = "Fleet")]
    server: String,
    /// Read the token from this environment variable [default: OTASEAL_FLEET_TOKEN]
    #[arg(long, value_name = "VARIABLE", help_heading = "Fleet")]
    token_env: Option<String>,
    /// Read the token from the first line of a file
    #[arg(long, value_name = "FILE", conflicts_with = "token_env", help_heading = "Fleet")]
    token_file: Option<PathBuf>,
}

/// One device, release or rollout.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// Its number
    #[arg(value_name = "ID")]
    id: u32,
    #[command(flatten)]
    server: ServerArgs,
}

impl ServerArgs {
    /// Makes the client.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let base = self.server.trim_end_matches('/');
        if !base.starts_with("http://") {
            return Err(Failure::usage(
                format!("{} is no address of an API", said(self.server.as_bytes())),
                "write http://ADDRESS:PORT; the API has no TLS, so reach another machine through a tunnel such as ssh -L",
            ));
        }
        let token = match (&self.token_file, &self.token_env) {
            (Some(path), _) => secret::line_of(path)?,
            (None, name) => {
                let name = name.as_deref().unwrap_or(TOKEN);
                match std::env::var(name) {
                    Ok(token) if !token.is_empty() => Zeroizing::new(token),
                    _ => {
                        return Err(Failure::usage(
                            format!("the variable {name} has no token"),
                            "set it to the token that the fleet printed at its first start, or give --token-file",
                        ));
                    }
                }
            }
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            // A token goes to the fleet, and to nobody between.
            .proxy(None)
            .build();
        Ok(Client { agent: config.into(), base: format!("{base}/api/v1"), token })
    }
}

/// Asks the API of a fleet.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Zeroizing<String>,
}

impl Client {
    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let request = self.agent.get(format!("{}{path}", self.base)).query_pairs(query.iter().copied());
        self.answer(request.header("authorization", self.bearer().as_str()).call())
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.delete(format!("{}{path}", self.base));
        self.answer(request.header("authorization", self.bearer().as_str()).call())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request.header("authorization", self.bearer().as_str());
        self.answer(request.content_type("application/json").send(body.to_string()))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.agent.patch(format!("{}{path}", self.base));
        let request = request.header("authorization", self.bearer().as_str());
        self.answer(request.content_type("application/json").send(body.to_string()))
    }

    pub(crate) fn upload(&self, query: &[(&str, &str)], bytes: &[u8]) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}/releases", self.base)).query_pairs(query.iter().copied());
        self.answer(request.header("authorization", self.bearer().as_str()).send(bytes))
    }

    fn bearer(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", *self.token))
    }

    fn answer(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, Failure> {
        let unreachable = |error: &dyn std::fmt::Display| {
            Failure::new(
                format!("{}: {}", self.base, said(error.to_string().as_bytes())),
                "is the fleet served there? `otaseal-fleet serve` prints the address of its API",
            )
        };
        let mut answer = answer.map_err(|error| unreachable(&error))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(ANSWER).read_to_string();
        let text = text.map_err(|error| unreachable(&error))?;
        let value: Value = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text)
                .map_err(|_| unreachable(&"the answer is no JSON: it is no API of otaseal-fleet"))?,
        };
        if (200..300).contains(&status) {
            return Ok(value);
        }
        let why = said(value["error"].as_str().unwrap_or("it refuses").as_bytes());
        Err(match status {
            401 => Failure::new(why, "give the token that the fleet printed, or make another one"),
            403 => Failure::new(why, "an owner makes such a token with `otaseal-fleet token make`"),
            500.. => Failure::new(why, "see what the fleet prints, and try again"),
            _ => Failure { exit: Exit::Refused, ..Failure::new(why, advice(value["code"].as_str())) },
        })
    }
}

fn advice(code: Option<&str>) -> &'static str {
    match code.unwrap_or_default() {
        "asked" => "give --firmware and --release-version",
        "no-targets" => "accept devices first: `otaseal-fleet device accept ID`",
        "same-release" => "it is there already: nothing is left to do",
        "in-use" => "withdraw it instead: it is then offered to nobody",
        "not-now" => "look at it first: it may have ended, or wait for something else",
        "filter" => "see the guide of the fleet for the words of a filter",
        "strands" => "trust a key that the image carries, or say --strand",
        _ => "see what the fleet has, and try again",
    }
}

/// A text of the server in one line.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => said(text.as_bytes()),
        other => said(other.to_string().as_bytes()),
    }
}

/// A time of the server, which is in seconds since 1970.
pub(crate) fn time(value: &Value) -> String {
    let time = value.as_i64().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or("-".to_owned(), |time| time.to_string())
}

/// How a file is called in an upload.
pub(crate) fn name_of(path: &std::path::Path) -> Result<String, Failure> {
    path.file_name().and_then(|name| name.to_str()).map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!("{} names no file", material::shown(path)), "name a file or a package")
    })
}
