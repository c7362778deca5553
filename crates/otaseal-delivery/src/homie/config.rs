//! The configuration of a device: what a change makes of it, and what may be shown.
//!
//! Source: homieiot/homie-esp8266 `src/Homie/Config.cpp` (`patch`), `Utils/Validation.cpp`, `Limits.hpp`; RFC 7386. The device
//! checks a change too. If it refuses, it writes one line to its serial port and tells nobody. So the checks stand here.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::text::said;

/// The device keeps less than so many bytes (`MAX_JSON_CONFIG_FILE_SIZE`).
pub const FILE_BYTES: usize = 1000;
/// Most entries of `settings` (`MAX_CONFIG_SETTING_SIZE`).
pub const SETTINGS: usize = 10;
/// What is shown in the place of a secret.
const HIDDEN: &str = "***";

/// A change of a configuration: a JSON merge patch.
#[derive(Clone, PartialEq)]
pub struct Patch(Map<String, Value>);

/// A configuration as the device publishes it: without passwords.
#[derive(Clone, PartialEq, Default)]
pub struct Config(Map<String, Value>);

/// Why a change is not sent. The device would ignore it without a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The text is no JSON object.
    #[error("a change is a JSON object, such as {{\"ota\":{{\"enabled\":true}}}}")]
    NotAnObject,
    /// The change itself is too long.
    #[error("the change has {bytes} bytes, and a device keeps less than {FILE_BYTES}")]
    PatchTooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// The result is too long. The device adds its passwords to these bytes.
    #[error(
        "the configuration would have {bytes} bytes without its passwords, and the device keeps less than {FILE_BYTES}"
    )]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// There are too many settings.
    #[error("the configuration would have {count} settings, and the device takes at most {SETTINGS}")]
    TooManySettings {
        /// Their number.
        count: usize,
    },
    /// A value has the wrong type, or it is needed and would be removed.
    #[error("`{path}` must be {expected}")]
    Wrong {
        /// Where.
        path: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// One difference between two configurations. Secrets are hidden, and texts are escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where, with dots.
    pub path: String,
    /// The old value. `None` if there was none.
    pub before: Option<String>,
    /// The new value. `None` if it is gone.
    pub after: Option<String>,
}

impl Patch {
    /// Reads a change.
    ///
    /// # Errors
    /// It is too long, or no JSON object.
    pub fn read(text: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(text) {
            Ok(Value::Object(map)) => {
                let patch = Self(map);
                match patch.to_json().len() {
                    0..FILE_BYTES => Ok(patch),
                    bytes => Err(Refusal::PatchTooLong { bytes }),
                }
            }
            _ => Err(Refusal::NotAnObject),
        }
    }

    /// Returns the change as JSON without spaces: what is sent. It may have passwords.
    pub fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// The paths that it sets and that the device never publishes.
    pub fn secrets(&self) -> Vec<String> {
        leaves(&self.0).into_iter().map(|(path, _)| path).filter(|path| is_secret(path)).collect()
    }

    /// The paths that it changes and that can cut the device off, or let it appear under another name.
    pub fn risks(&self) -> Vec<String> {
        let risky =
            |path: &String| path == "device_id" || path.starts_with("wifi") || path.starts_with("mqtt");
        leaves(&self.0).into_iter().map(|(path, _)| path).filter(risky).collect()
    }
}

impl std::fmt::Debug for Patch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl Config {
    /// Reads what a device published. Returns `None` if it is no JSON object.
    pub fn read(text: &str) -> Option<Self> {
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Some(Self(map)),
            _ => None,
        }
    }

    /// Returns it as indented JSON, without secrets. Control characters stand as JSON escapes.
    pub fn shown(&self) -> String {
        shown(&self.0)
    }

    /// Returns the configuration after a change: RFC 7386.
    ///
    /// # Errors
    /// The device would refuse it.
    pub fn with(&self, patch: &Patch) -> Result<Self, Refusal> {
        let mut next = self.0.clone();
        merge(&mut next, &patch.0);
        check(&next)?;
        // The device never publishes these. It may have them all the same.
        let mut public = next.clone();
        remove_secrets(&mut public, "");
        let bytes = Value::Object(public.clone()).to_string().len();
        if bytes >= FILE_BYTES {
            return Err(Refusal::TooLong { bytes });
        }
        Ok(Self(public))
    }

    /// Returns what differs in another configuration.
    pub fn differences(&self, after: &Self) -> Vec<Change> {
        let (before, after) = (leaves(&self.0), leaves(&after.0));
        let find = |list: &[(String, Value)], path: &str| {
            list.iter().find(|(known, _)| known == path).map(|(_, value)| value.clone())
        };
        let mut paths: Vec<&String> = before.iter().chain(&after).map(|(path, _)| path).collect();
        paths.sort();
        paths.dedup();
        let change = |path: &String| {
            let (old, new) = (find(&before, path), find(&after, path));
            let show = |value: Option<Value>| value.map(|value| value_shown(path, &value));
            let is_same = match (&old, &new) {
                (Some(old), Some(new)) => same(old, new),
                (old, new) => old == new,
            };
            (!is_same).then(|| Change { path: said(path.as_bytes()), before: show(old), after: show(new) })
        };
        paths.into_iter().filter_map(change).collect()
    }
}

/// Whether two values are the same to the device. It prints numbers with nine digits at most (ArduinoJson 6,
/// `Numbers/FloatParts.hpp`).
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => (one - other).abs() <= 1e-8 * one.abs().max(other.abs()),
            _ => one == other,
        },
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        (one, other) => one == other,
    }
}

/// RFC 7386: objects are merged, `null` removes, everything else replaces. The depth is bounded by that of the parsed JSON.
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => _ = target.remove(name),
            Value::Object(inner) => {
                let entry = target.entry(name.clone()).or_insert(Value::Null);
                if !entry.is_object() {
                    *entry = Value::Object(Map::new());
                }
                if let Value::Object(entry) = entry {
                    merge(entry, inner);
                }
            }
            value => _ = target.insert(name.clone(), value.clone()),
        }
    }
}

type Test = fn(&Value) -> bool;

/// What the device's own check wants (`Validation.cpp`), of values that it publishes. The first four must be there.
const RULES: &[(&str, &str, bool, Test)] = &[
    ("name", "a text of 1 to 31 bytes", true, |value| {
        value.as_str().is_some_and(|text| (1..=31).contains(&text.len()))
    }),
    ("wifi.ssid", "a text of 1 to 32 bytes", true, |value| {
        value.as_str().is_some_and(|text| (1..=32).contains(&text.len()))
    }),
    ("mqtt.host", "a text", true, |value| value.as_str().is_some_and(|text| !text.is_empty())),
    ("ota.enabled", "true or false", true, Value::is_boolean),
    ("device_id", "a text of 1 to 31 bytes without `/`, `+` and `#`", false, |value| {
        value.as_str().is_some_and(|text| text.len() <= 31 && text.parse::<super::DeviceId>().is_ok())
    }),
    ("mqtt.port", "a number from 1 to 65535", false, |value| {
        value.as_u64().is_some_and(|port| (1..=65535).contains(&port))
    }),
    ("mqtt.base_topic", "a text that ends with `/`", false, |value| {
        value.as_str().is_some_and(|text| text.parse::<super::Base>().is_ok())
    }),
    ("mqtt.auth", "true or false", false, Value::is_boolean),
    ("settings", "an object", false, Value::is_object),
];

fn check(config: &Map<String, Value>) -> Result<(), Refusal> {
    for (path, expected, needed, is_right) in RULES {
        match at(config, path) {
            Some(value) if is_right(value) => {}
            None if !needed => {}
            _ => return Err(Refusal::Wrong { path, expected }),
        }
    }
    match config.get("settings").and_then(Value::as_object).map_or(0, Map::len) {
        0..=SETTINGS => Ok(()),
        count => Err(Refusal::TooManySettings { count }),
    }
}

fn at<'v>(config: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    match path.split_once('.') {
        None => config.get(path),
        Some((first, rest)) => at(config.get(first)?.as_object()?, rest),
    }
}

/// The device keeps these to itself, and any other password is none of a screen's business.
fn is_secret(path: &str) -> bool {
    matches!(path, "mqtt.username") || matches!(path.rsplit('.').next(), Some("password" | "psk"))
}

fn remove_secrets(map: &mut Map<String, Value>, above: &str) {
    map.retain(|name, value| {
        let path = join(above, name);
        if let Value::Object(inner) = value {
            remove_secrets(inner, &path);
        }
        !is_secret(&path)
    });
}

fn hide_secrets(map: &mut Map<String, Value>, above: &str) {
    for (name, value) in map {
        let path = join(above, name);
        match value {
            value if is_secret(&path) => *value = Value::String(HIDDEN.into()),
            Value::Object(inner) => hide_secrets(inner, &path),
            _ => {}
        }
    }
}

fn join(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
}

/// Every value that is no object, with its path.
fn leaves(map: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, value) in map {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                found.extend(leaves(inner).into_iter().map(|(path, value)| (join(name, &path), value)));
            }
            value => found.push((name.clone(), value.clone())),
        }
    }
    found
}

fn shown(map: &Map<String, Value>) -> String {
    let mut map = map.clone();
    hide_secrets(&mut map, "");
    let text = serde_json::to_string_pretty(&Value::Object(map)).unwrap_or_default();
    // JSON escapes control characters below U+0020 only.
    text.lines().map(|line| said(line.as_bytes())).collect::<Vec<_>>().join("\n")
}

fn value_shown(path: &str, value: &Value) -> String {
    if is_secret(path) { HIDDEN.into() } else { said(value.to_string().as_bytes()) }
}

#[cfg(test)]
mod tests;
