//! Reads and changes the configuration of a device, and makes a device or the broker forget it.
//!
//! Source: homieiot/homie-esp8266 `src/Homie/Boot/BootNormal.cpp`, `__handleConfig` and `__handleResets`. The device answers to
//! a change with an empty retained message on the same topic, before it looks at the change. If it accepts the change, it
//! restarts when its sketch is idle, and publishes the new configuration. There is no other confirmation.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::config::{Change, Config, Patch, Refusal};
use super::facts::State;
use super::plan::Waits;
use super::topic::{Attribute, Base, DeviceId};
use super::watch::{Over, Saw, Watch};
use crate::evidence::Event;
use crate::mqtt::{CannotConnect, MAX_OUTGOING, NotSent, Options};

/// Bytes of a message that [`forget`] keeps while it collects topics.
const KEPT: usize = 1024;
/// The broker has sent what it kept if nothing came for so long.
const QUIET: Duration = Duration::from_secs(1);
/// Most topics of one device that are cleared. A real one has about 40.
const MAX_TOPICS: usize = 10_000;
/// Topics that are cleared at once.
const AT_ONCE: usize = 100;

/// Which device, over which broker.
#[derive(Debug, Clone)]
pub struct Place {
    /// The broker.
    pub broker: Options,
    /// The base topic.
    pub base: Base,
    /// The device.
    pub device: DeviceId,
    /// The times.
    pub waits: Waits,
}

/// A command did not end as wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The broker cannot be used.
    #[error(transparent)]
    Broker(#[from] CannotConnect),
    /// The change is refused before it is sent.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection broke for good, or the broker refused the message.
    #[error("{0}")]
    Connection(String),
    /// The device cannot be reached.
    #[error("{0}")]
    NotThere(String),
    /// The command was sent, and nothing tells that it was done.
    #[error("{0}")]
    NotConfirmed(String),
}

impl From<Over> for CommandError {
    fn from(Over(why): Over) -> Self {
        Self::Connection(why)
    }
}

impl From<NotSent> for CommandError {
    fn from(error: NotSent) -> Self {
        Self::Connection(error.to_string())
    }
}

/// A change was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// What differs now. Empty if the device had it all before, and nothing was sent.
    pub changes: Vec<Change>,
    /// Paths that the device keeps to itself, so that nothing tells whether they changed.
    pub unseen: Vec<String>,
    /// Paths whose value is not the wanted one.
    pub missing: Vec<String>,
}

/// Returns the configuration that a device published last.
///
/// # Errors
/// There is none, or the broker cannot be used.
pub async fn get(place: Place) -> Result<Config, CommandError> {
    let mut watch = Watch::open(place.broker, &place.base, &place.device, &[]).await?;
    let config = known(&mut watch, place.waits.life).await;
    watch.close().await;
    config
}

async fn known(watch: &mut Watch, wait: Duration) -> Result<Config, CommandError> {
    let end = Instant::now() + wait;
    while watch.facts.config.is_none() && watch.saw(end).await?.is_some() {}
    match &watch.facts.config {
        Some(text) => Config::read(text).ok_or_else(|| {
            CommandError::NotThere("the device published a configuration that is no JSON object".into())
        }),
        None if watch.facts == super::Facts::default() => Err(CommandError::NotThere(
            "the broker has no such device: check the base topic, the id, and the broker's access list"
                .into(),
        )),
        None => Err(CommandError::NotThere("the device publishes no configuration".into())),
    }
}

/// Changes the configuration of a device, and waits until it publishes the new one.
///
/// # Errors
/// The change is refused, the device is not there, or nothing confirms the change.
pub async fn set(place: Place, patch: &Patch, tell: &mut dyn FnMut(Event)) -> Result<Changed, CommandError> {
    let others = ["$implementation/config/set"];
    let mut watch = Watch::open(place.broker, &place.base, &place.device, &others).await?;
    let result = change(&mut watch, patch, place.waits, tell).await;
    watch.close().await;
    result
}

async fn change(
    watch: &mut Watch,
    patch: &Patch,
    waits: Waits,
    tell: &mut dyn FnMut(Event),
) -> Result<Changed, CommandError> {
    let before = known(watch, waits.life).await?;
    let wanted = before.with(patch)?;
    let unseen = patch.secrets();
    if before.differences(&wanted).is_empty() && unseen.is_empty() {
        return Ok(Changed { changes: Vec::new(), unseen, missing: Vec::new() });
    }
    ready(watch, waits, tell).await?;
    let ticket = watch.command("$implementation/config/set", Bytes::from(patch.to_json()))?;
    tell(Event::Waits { what: "the device's restart with the new configuration" });
    let mut end = Instant::now() + waits.stall;
    let (mut heard, mut published) = (false, false);
    loop {
        let Some(saw) = watch.saw(end).await? else {
            let why = match heard {
                false => {
                    "the device did not answer to the change: it may be gone, or it has no Homie that takes one"
                }
                true => {
                    "the device heard the change and did not restart: its sketch is busy, or it refused the change, which it \
                     tells only on its serial port"
                }
            };
            return Err(CommandError::NotConfirmed(why.into()));
        };
        match saw {
            Saw::Rejected(found, why) if found == ticket => return Err(CommandError::Connection(why)),
            Saw::Message { topic, payload, retained: false, .. } => match watch.attribute(&topic) {
                // Our own message comes back too. It is not empty.
                Some(Attribute::ConfigSet) if payload.is_empty() && !heard => {
                    heard = true;
                    end = Instant::now() + waits.restart;
                    tell(Event::Says { text: "the device heard the change".into() });
                }
                Some(Attribute::Config) => published = true,
                Some(Attribute::State | Attribute::Online) if published && is_ready(watch) => break,
                _ => {}
            },
            _ => {}
        }
    }
    let after = watch.facts.config.as_deref().and_then(Config::read).unwrap_or_default();
    let missing = after.differences(&wanted).into_iter().map(|change| change.path).collect();
    Ok(Changed { changes: before.differences(&after), unseen, missing })
}

fn is_ready(watch: &Watch) -> bool {
    watch.facts.state.is_some_and(State::listens)
}

/// Waits until the device listens: by its own word, or by the broker's memory after a while.
async fn ready(watch: &mut Watch, waits: Waits, tell: &mut dyn FnMut(Event)) -> Result<(), CommandError> {
    tell(Event::Waits { what: "the device" });
    let begun = Instant::now();
    let trusted = begun + waits.life;
    while !(is_ready(watch) && (watch.alive || Instant::now() >= trusted)) {
        let until = if is_ready(watch) { trusted } else { begun + waits.ready };
        if watch.saw(until).await?.is_none() && !is_ready(watch) {
            let state = watch.facts.state.map_or("not there", State::word);
            let why = format!("the device is {state}: only a connected device can take a command");
            return Err(CommandError::NotThere(why));
        }
    }
    Ok(())
}

/// Makes a device erase its configuration. It then is an access point, and somebody must go there to set it up again.
///
/// # Errors
/// The device is not there, or it did not answer.
pub async fn reset(place: Place, tell: &mut dyn FnMut(Event)) -> Result<(), CommandError> {
    let mut watch = Watch::open(place.broker, &place.base, &place.device, &[]).await?;
    let result = erase(&mut watch, place.waits, tell).await;
    watch.close().await;
    result
}

async fn erase(watch: &mut Watch, waits: Waits, tell: &mut dyn FnMut(Event)) -> Result<(), CommandError> {
    ready(watch, waits, tell).await?;
    let ticket = watch.command("$implementation/reset", Bytes::from_static(b"true"))?;
    tell(Event::Waits { what: "the device's answer" });
    let end = Instant::now() + waits.stall;
    while let Some(saw) = watch.saw(end).await? {
        match saw {
            Saw::Rejected(found, why) if found == ticket => return Err(CommandError::Connection(why)),
            Saw::Message { topic, payload, retained: false, .. }
                if watch.attribute(&topic) == Some(Attribute::Reset) && payload == "false" =>
            {
                return Ok(());
            }
            _ => {}
        }
    }
    Err(CommandError::NotConfirmed("the device did not answer to the reset".into()))
}

/// What the broker has forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// How many topics were cleared.
    pub topics: usize,
    /// Whether the device is connected. Then it publishes most of them again at its next start.
    pub was_there: bool,
}

/// Clears everything that the broker keeps of a device, its commands and images included.
///
/// # Errors
/// The broker cannot be used, or it did not confirm.
pub async fn forget(mut place: Place) -> Result<Forgotten, CommandError> {
    // A retained image comes, too. Only its topic is of use.
    place.broker.max_incoming = MAX_OUTGOING as u32;
    place.broker.max_kept = KEPT;
    let mut watch = Watch::open(place.broker, &place.base, &place.device, &["#"]).await?;
    let result = clear_all(&mut watch, place.waits).await;
    watch.close().await;
    result
}

async fn clear_all(watch: &mut Watch, waits: Waits) -> Result<Forgotten, CommandError> {
    let mut topics = BTreeSet::new();
    let end = Instant::now() + waits.ready;
    let mut quiet = Instant::now() + waits.life;
    while let Some(saw) = watch.saw(quiet.min(end)).await? {
        if let Saw::Message { topic, bytes, retained: true, .. } = saw
            && bytes > 0
            && topics.len() < MAX_TOPICS
        {
            topics.insert(topic);
            quiet = Instant::now() + QUIET;
        }
    }
    let was_there = watch.alive && is_ready(watch);
    let all: Vec<String> = topics.into_iter().collect();
    for some in all.chunks(AT_ONCE) {
        let mut open: BTreeSet<u64> = BTreeSet::new();
        for topic in some {
            open.insert(watch.clear(topic.clone())?);
        }
        let end = Instant::now() + waits.stall;
        while !open.is_empty() {
            match watch.saw(end).await? {
                Some(Saw::Sent(ticket)) => _ = open.remove(&ticket),
                Some(Saw::Rejected(_, why)) => return Err(CommandError::Connection(why)),
                Some(Saw::Gap) | None => {
                    let why = "the broker did not confirm: some topics may still be there. Try again.";
                    return Err(CommandError::NotConfirmed(why.into()));
                }
                Some(Saw::Message { .. }) => {}
            }
        }
    }
    Ok(Forgotten { topics: all.len(), was_there })
}
