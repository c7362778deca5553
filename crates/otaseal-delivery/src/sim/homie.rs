//! A device with Homie, as the real one behaves: a client of a real broker.
//!
//! It has its own small MQTT 3.1.1, so that it sees a payload as the real device does: in chunks, one for each segment of
//! TCP. A thousand of them fit into one thread: one connection each.
//!
//! | behaviour | source | how it is known |
//! |---|---|---|
//! | advertisement, its order, the will | homieiot/homie-esp8266 `BootNormal.cpp`, `MqttClient` set-up | seen running (3.0.1, develop) |
//! | 403, 400 BAD_CHECKSUM, 304, 202, then the first byte | `BootNormal.cpp`, `__handleOTAUpdates` | seen running |
//! | 206 after each chunk, or on chunk 101, 201, … | 3.0.1 and develop | seen running |
//! | topics of more than 129 bytes are dropped | async-mqtt-client, `PublishPacket.cpp` | seen running |
//! | the MD5 in the topic is void from core 3.0.0 on | esp8266/Arduino `Updater.cpp` | seen running |
//! | base64 breaks at chunk borders | `BootNormal.cpp` | from reading, and a simulation |
//! | Homie 2.0.0: `$online` instead of `$state` | tag v2.0.0 | from reading |
//! | Homie 1: the trigger | tag v1.5.0 | from reading |

mod brain;
mod configuration;
mod live;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::board::Board;

pub use live::{Gone, crowd, live};

/// The release of Homie in the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 1.5.0: a trigger, then a pull by HTTP.
    V1,
    /// 2.0.0: `$online`.
    V2,
    /// 3.0.1: 206 after each chunk.
    V3,
    /// The branch develop: 206 on chunk 101, 201, and so on.
    Develop,
}

/// Known bugs and habits that a device can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quirks {
    /// It restarts so long after the `200`: the sketch is busy until then.
    pub busy: Duration,
    /// It stops reading for so long after each segment of an image: it erases flash.
    pub segment_pause: Duration,
    /// It loses its connection in the middle of so many transfers, one after the other.
    pub cuts: u32,
    /// It loses its power before the boot loader copies, so many times: the old image runs again.
    pub power_cuts: u32,
    /// Base64 breaks unless each chunk begins at phase 0 or 3 of a group of 4.
    pub base64_phase: bool,
    /// After a lost connection in mid-transfer the flag "ongoing" stays, and `$stats` stop: the branch develop.
    pub stuck_ongoing: bool,
    /// The updater was left running by an earlier failure: the first push ends with this status.
    pub left_running: Option<&'static str>,
    /// It never tells `$fw/checksum`.
    pub no_checksum: bool,
    /// Seconds between two `$stats/uptime`.
    pub stats_secs: u64,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            busy: Duration::ZERO,
            segment_pause: Duration::ZERO,
            cuts: 0,
            power_cuts: 0,
            base64_phase: true,
            stuck_ongoing: true,
            left_running: None,
            no_checksum: false,
            stats_secs: 60,
        }
    }
}

/// A simulated device.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its id.
    pub id: String,
    /// The base topic, with its `/`.
    pub base: String,
    /// The release of Homie.
    pub release: Release,
    /// Its bugs and habits.
    pub quirks: Quirks,
    /// Its flash, its updater and its boot loader.
    pub board: Board,
    /// Its stored configuration, with its passwords.
    pub config: Map<String, Value>,
    /// What a device of Homie 1 gets from its HTTP server. `None` is a 304.
    pub pulls: Option<Bytes>,
}

impl Device {
    /// A device of the newest release with updates switched on.
    pub fn new(id: &str, board: Board) -> Self {
        let config = json!({
            "name": format!("The {id}"),
            "device_id": id,
            "wifi": {"ssid": "home", "password": "wifi-secret"},
            "mqtt": {"host": "broker.lan", "port": 1883, "base_topic": "homie/", "auth": true,
                     "username": "mqtt-user", "password": "mqtt-secret"},
            "ota": {"enabled": true},
            "settings": {"interval": 10}
        });
        Self {
            id: id.to_owned(),
            base: "homie/".into(),
            release: Release::V3,
            quirks: Quirks::default(),
            board,
            config: match config {
                Value::Object(map) => map,
                _ => Map::new(),
            },
            pulls: None,
        }
    }

    fn ota_enabled(&self) -> bool {
        self.config.get("ota").and_then(|ota| ota.get("enabled")) == Some(&Value::Bool(true))
    }

    fn topic(&self, tail: &str) -> String {
        format!("{}{}/{tail}", self.base, self.id)
    }
}

#[cfg(test)]
mod tests;
