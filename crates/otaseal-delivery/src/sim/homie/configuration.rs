//! The configuration of a simulated device. It shares no code with the host's.
//!
//! Source: homieiot/homie-esp8266 `src/Homie/Config.cpp` (`patch`), `Utils/Validation.cpp`, `Limits.hpp`.

use serde_json::{Map, Value};

/// Bytes of the file in which the device keeps it (`MAX_JSON_CONFIG_FILE_SIZE`).
const FILE: usize = 1000;
/// Entries of `settings` (`MAX_CONFIG_SETTING_SIZE`).
const SETTINGS: usize = 10;

/// Returns the configuration after a patch, or `None` where the device only writes a line to its serial port.
pub(super) fn patched(stored: &Map<String, Value>, payload: &[u8]) -> Option<Map<String, Value>> {
    let Ok(Value::Object(patch)) = serde_json::from_slice(payload) else { return None };
    let mut next = stored.clone();
    overlay(&mut next, patch);
    let text_of = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let inner = |outer: &str, name: &str| next.get(outer).and_then(|value| value.get(name));
    let valid = text_of(next.get("name"))
        && text_of(inner("wifi", "ssid"))
        && text_of(inner("mqtt", "host"))
        && inner("ota", "enabled").is_some_and(Value::is_boolean)
        && next.get("settings").and_then(Value::as_object).is_none_or(|settings| settings.len() <= SETTINGS)
        && serde_json::to_vec(&next).is_ok_and(|bytes| bytes.len() < FILE);
    valid.then_some(next)
}

fn overlay(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match (target.get_mut(&name), value) {
            (_, Value::Null) => _ = target.remove(&name),
            (Some(Value::Object(inner)), Value::Object(patch)) => overlay(inner, patch),
            (_, value) => _ = target.insert(name, value),
        }
    }
}

/// Returns what the device publishes: without passwords.
pub(super) fn published(stored: &Map<String, Value>) -> String {
    let mut shown = stored.clone();
    if let Some(Value::Object(wifi)) = shown.get_mut("wifi") {
        wifi.remove("password");
    }
    if let Some(Value::Object(mqtt)) = shown.get_mut("mqtt") {
        mqtt.remove("username");
        mqtt.remove("password");
    }
    Value::Object(shown).to_string()
}
