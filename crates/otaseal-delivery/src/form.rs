//! The push to a web form: `ESP8266HTTPUpdateServer`, arduino-pico's and arduino-esp32's `HTTPUpdateServer`, ESPEasy, which
//! uses the first of these, and Tasmota.
//!
//! The host sends the image as a browser does. The devices read such a request in the simplest way that works with browsers,
//! so the order of its parts counts. Any answer has status 200; only the words tell success. Nothing is encrypted: whoever
//! listens learns the password. Only a signature protects the image.
//!
//! Sources: esp8266/Arduino `libraries/ESP8266HTTPUpdateServer` and `libraries/ESP8266WebServer`;
//! earlephilhower/arduino-pico `libraries/HTTPUpdateServer`; espressif/arduino-esp32 `libraries/HTTPUpdateServer`;
//! letscontrolit/ESPEasy `src/src/WebServer/ESPEasy_WebServer.cpp`; arendst/Tasmota
//! `tasmota/tasmota_xdrv_driver/xdrv_01_9_webserver.ino`.

mod answer;
mod body;
mod drive;
mod ends;
mod url;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use otaseal::format::image::Content;

pub use answer::{MAX_ANSWER, Meaning, meaning};
pub use drive::push;
pub use url::{Login, Url, UrlError};

/// Whose form it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// That of the Arduino cores.
    UpdateServer,
    /// Tasmota's.
    Tasmota,
}

impl Form {
    /// Returns the form that has this path. Tasmota's is `/u2`, and a sketch hardly chooses that name.
    pub fn of(url: &Url) -> Self {
        match url.path.split('?').next() {
            Some("/u2") => Self::Tasmota,
            _ => Self::UpdateServer,
        }
    }
}

/// How long the host waits.
#[derive(Debug, Clone)]
pub struct Times {
    /// For the connection.
    pub connect: Duration,
    /// For the device to take a byte.
    pub stall: Duration,
    /// For the answer, after the last byte was handed over.
    pub answer: Duration,
    /// Least bytes a second over the whole push. A slower device is given up, so that no device holds the host for ever.
    pub slowest: u32,
}

impl Default for Times {
    fn default() -> Self {
        Self { connect: CONNECT, stall: STALL, answer: ANSWER, slowest: SLOWEST }
    }
}

/// As long as `espota.py` waits for a device.
const CONNECT: Duration = Duration::from_secs(10);
/// Nothing else than a flash operation pauses a device. The longest one erases a filesystem of 3 MB, in about 20 seconds.
const STALL: Duration = Duration::from_secs(30);
/// As long as `espota.py` waits for a result. The device verifies a signature meanwhile.
const ANSWER: Duration = Duration::from_secs(60);
/// A tenth of what a device does whose WiFi is bad.
const SLOWEST: u32 = 1024;

/// One push.
#[derive(Debug, Clone)]
pub struct Request {
    /// The form.
    pub url: Url,
    /// The address of the host in [`Self::url`].
    pub address: SocketAddr,
    /// Whose form it is.
    pub form: Form,
    /// The bytes as they are sent: with their signature, and compressed if they are.
    pub image: Bytes,
    /// Firmware, or a filesystem.
    pub content: Content,
    /// How long the host waits.
    pub times: Times,
}

impl Request {
    /// A push of firmware with the default times. The path tells whose form it is.
    pub fn new(url: Url, address: SocketAddr, image: Bytes) -> Self {
        let form = Form::of(&url);
        Self { url, address, form, image, content: Content::Firmware, times: Times::default() }
    }
}

#[cfg(test)]
mod tests;
