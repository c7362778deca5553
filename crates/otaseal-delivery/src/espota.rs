//! espota, the push of `ArduinoOTA`: the host invites a device by UDP, and the device fetches the image by TCP.
//!
//! 1. The host sends `<command> <tcp port> <bytes> <md5>` to the device.
//! 2. A device with a password answers with a nonce, and the host proves that it knows the password.
//! 3. The device says `OK`, connects to the host, and takes the image.
//! 4. It says `OK` again, or the error of its updater.
//!
//! The device must be able to reach the host: there must be no address translation between them. Nothing is encrypted, and
//! the password protects the invitation alone. Only a signature protects the image.
//!
//! Sources: `libraries/ArduinoOTA` and `tools/espota.py` of esp8266/Arduino, earlephilhower/arduino-pico and
//! espressif/arduino-esp32.

mod auth;
mod drive;
mod ends;
mod many;
mod reply;
mod talk;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use otaseal::format::digest::Md5Digest;
use otaseal::format::image::Content;

pub use auth::{Kept, Nonce, Password, Scheme, answer};
pub use drive::push;
pub use many::{Job, News, Pace, push_all};
pub use reply::{Heard, Listener, MAX_DATAGRAM, Reply};
pub use talk::{Effect, Input, Talk};

/// The UDP port of an ESP8266, if its sketch sets no other one.
pub const PORT_ESP8266: u16 = 8266;
/// The UDP port of an RP2040 or RP2350 with arduino-pico, if its sketch sets no other one.
pub const PORT_PICO: u16 = 2040;
/// The UDP port of an ESP32, if its sketch sets no other one.
pub const PORT_ESP32: u16 = 3232;

/// Largest image in bytes. The device reads the size with `atoi`, whose result is 32 bits with a sign.
pub const MAX_BYTES: u64 = i32::MAX as u64;

/// An image and the MD5 of exactly these bytes. A clone shares them.
#[derive(Debug, Clone)]
pub struct Image {
    bytes: Bytes,
    md5: Md5Digest,
}

impl Image {
    /// Takes the bytes as they are sent: with their signature, and compressed if they are.
    pub fn new(bytes: Bytes) -> Self {
        let md5 = Md5Digest::of(&bytes);
        Self { bytes, md5 }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Their MD5.
    pub fn md5(&self) -> Md5Digest {
        self.md5
    }
}

/// What the host does at its own end.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// The address from which the host speaks. Without it, the system chooses.
    pub address: Option<IpAddr>,
    /// TCP ports to which the device may connect: the first free one is taken. A firewall may need fixed ports. Without
    /// it, the system chooses.
    pub ports: Option<RangeInclusive<u16>>,
}

/// How long the host waits, and how often it tries.
#[derive(Debug, Clone)]
pub struct Times {
    /// For the answer to the first invitation. Each further invitation waits twice as long.
    pub first_silence: Duration,
    /// For any answer, at most.
    pub longest_silence: Duration,
    /// How often a device is invited.
    pub invitations: u32,
    /// For the connection after `OK`.
    pub connect: Duration,
    /// For the device to take a byte or say something.
    pub stall: Duration,
    /// For the result, after the last byte was handed over.
    pub result: Duration,
    /// Least bytes a second over the whole transfer. A slower device is given up, so that no device holds the host for ever.
    pub slowest: u32,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            first_silence: FIRST_SILENCE,
            longest_silence: LONGEST_SILENCE,
            invitations: INVITATIONS,
            connect: CONNECT,
            stall: STALL,
            result: RESULT,
            slowest: SLOWEST,
        }
    }
}

/// A device answers when its sketch comes to `ArduinoOTA.handle()`, which takes milliseconds in a sketch that behaves.
const FIRST_SILENCE: Duration = Duration::from_secs(2);
/// `espota.py` of all three cores waits this long for an answer.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);
/// arduino-esp32's `espota.py` invites ten times. Five, with growing waits, take 34 seconds.
const INVITATIONS: u32 = 5;
/// `espota.py` of all three cores waits this long for the connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Three times as long as `espota.py` waits for the number after each block. Nothing else than a flash operation pauses a
/// device.
const STALL: Duration = Duration::from_secs(30);
/// `espota.py` of esp8266 and arduino-pico waits this long for the result. The device verifies a signature meanwhile.
const RESULT: Duration = Duration::from_secs(60);
/// A tenth of what a device does whose WiFi is bad.
const SLOWEST: u32 = 1024;

/// One push.
#[derive(Debug, Clone)]
pub struct Request {
    /// Address and UDP port of the device.
    pub device: SocketAddr,
    /// What is sent.
    pub image: Image,
    /// Firmware, or a filesystem.
    pub content: Content,
    /// The device's password.
    pub password: Option<Password>,
    /// The host's own end.
    pub local: Local,
    /// How long it waits.
    pub times: Times,
}

impl Request {
    /// A push of firmware without a password, with the default times.
    pub fn new(device: SocketAddr, image: Image) -> Self {
        Self {
            device,
            image,
            content: Content::Firmware,
            password: None,
            local: Local::default(),
            times: Times::default(),
        }
    }

    /// The line that invites the device to connect to this TCP port.
    pub fn invitation(&self, port: u16) -> String {
        // Source: esp8266/Arduino `cores/esp8266/Updater.h` (`U_FLASH`, `U_FS`).
        let command = match self.content {
            Content::Firmware => 0,
            Content::Filesystem => 100,
        };
        format!("{command} {port} {} {}\n", self.image.bytes.len(), self.image.md5)
    }
}

#[cfg(test)]
mod tests;
