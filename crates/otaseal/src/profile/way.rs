//! Names the ways by which an update reaches a device.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A way of delivery. Each way asks its own questions before it calls the updater, and stages the file in its own place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// The device pulls the file by HTTP: `ESP8266httpUpdate`, `HTTPUpdate`. The server sends the file's `x-MD5`.
    Http,
    /// A computer pushes the file to `ArduinoOTA`.
    Espota,
    /// A browser sends the file to the web form of `ESP8266HTTPUpdateServer`. The form does not know the file's size.
    Form,
}

impl Via {
    /// Every way.
    pub const ALL: &[Self] = &[Self::Http, Self::Espota, Self::Form];
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Espota => "espota",
            Self::Form => "form",
        })
    }
}

impl FromStr for Via {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|via| via.to_string() == text).ok_or("expected http, espota or form")
    }
}
