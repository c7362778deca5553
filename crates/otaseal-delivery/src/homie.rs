//! Homie 2 and 3 over MQTT, and the trigger of Homie 1.
//!
//! The host pushes the image as one message, and the device reports a status on a topic of its own. The rules, with where
//! they were read:
//!
//! - A push reaches a device only while it is connected, from its `$state` = `ready` on (Homie 2.0: `$online` = `true`).
//!   So the host waits for it (homieiot/homie-esp8266 `src/Homie/Boot/BootNormal.cpp`, tags 2.0.0 to 3.0.1 and develop).
//! - The image goes raw, with QoS 0, and is never retained. The base64 form breaks at most chunk borders.
//! - The status is retained. So a retained status is the outcome of an *earlier* push, and the host ignores it.
//! - The device restarts only when its sketch is idle. The proof is a new `$fw/checksum` or `$fw/version` afterwards.
//! - No status carries an id of the push. Whoever else pushes to the same device at the same time spoils both reports.
//!
//! [`push`] brings one image to one device, [`push_many`] to many. [`config`] changes a device's configuration, [`discover`]
//! looks who is there, and [`v1`] triggers Homie 1.

pub mod checksum;
pub mod config;
pub mod configure;
pub mod controller;
pub mod discover;
mod driver;
pub mod facts;
mod look;
mod plan;
pub mod status;
pub mod topic;
pub mod v1;
mod watch;

pub use checksum::topic_md5;
pub use driver::{Job, Pushes, Request, push, push_many};
pub use facts::{Facts, State};
pub use look::{Looked, device_facts, look};
pub use plan::{Image, Waits};
pub use topic::{Base, DeviceId, Topics};
