//! A person's list of devices: which firmware each one gets.
//!
//! ```toml
//! "5C:CF:7F:AA:BB:CC" = "lamp"
//! 1458415 = { firmware = "lamp", version = "1.3.0" }
//! "5C:CF:7F:AA:BB:CD" = { firmware = "relay", profile = "esp8266@3.1.2", board = "d1_mini" }
//! ```

use std::collections::HashMap;

use otaseal::profile::Profile;
use serde::Deserialize;

use crate::device::{DeviceFacts, Mac};
use crate::text::said;

/// Largest list that is read, in bytes: enough for 100,000 devices.
pub const MAX_LIST: usize = 16 << 20;

/// The list.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    by_mac: HashMap<Mac, Line>,
    by_chip_id: HashMap<String, Line>,
}

/// What the list says of a device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Line {
    /// Name of the firmware that it gets.
    pub firmware: String,
    /// The version at which it stays. Without it, the device gets the newest.
    pub version: Option<String>,
    /// Its filesystem image, by the start of its file name. Without it, the one of the firmware's name.
    pub filesystem: Option<String>,
    /// Its kind.
    pub profile: Option<Profile>,
    /// Its board.
    pub board: Option<String>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of a firmware, or a table with `firmware` and perhaps `version`, \
                               `filesystem`, `profile`, `board`"
)]
enum Value {
    Name(String),
    Line(Line),
}

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListedError {
    /// It is no list.
    #[error("{0}")]
    Form(String),
    /// A name is neither a MAC address nor a chip id.
    #[error("\"{name}\" is neither a MAC address such as 5C:CF:7F:AA:BB:CC nor a chip id such as 1458415")]
    Name {
        /// The name, escaped.
        name: String,
    },
    /// A device stands there twice, in two forms of its name.
    #[error("the device {name} stands there twice")]
    Twice {
        /// The name, escaped.
        name: String,
    },
    /// It is larger than [`MAX_LIST`].
    #[error("it is larger than {MAX_LIST} bytes")]
    TooLarge,
}

impl Listed {
    /// Reads the text of a list.
    ///
    /// # Errors
    /// [`ListedError`]: the first fault.
    pub fn parse(text: &str) -> Result<Self, ListedError> {
        if text.len() > MAX_LIST {
            return Err(ListedError::TooLarge);
        }
        let lines: HashMap<String, Value> =
            toml::from_str(text).map_err(|error| ListedError::Form(error.to_string()))?;
        let mut listed = Self::default();
        for (name, value) in lines {
            let line = match value {
                Value::Line(line) => line,
                Value::Name(firmware) => {
                    Line { firmware, version: None, filesystem: None, profile: None, board: None }
                }
            };
            let shown = said(name.as_bytes());
            let twice = match name.parse::<Mac>() {
                Ok(mac) => listed.by_mac.insert(mac, line),
                Err(_) if is_chip_id(&name) => listed.by_chip_id.insert(name.to_ascii_lowercase(), line),
                Err(_) => return Err(ListedError::Name { name: shown }),
            };
            if twice.is_some() {
                return Err(ListedError::Twice { name: shown });
            }
        }
        Ok(listed)
    }

    /// The number of devices.
    pub fn len(&self) -> usize {
        self.by_mac.len() + self.by_chip_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the list says of this device.
    pub fn find(&self, facts: &DeviceFacts) -> Option<&Line> {
        let by_mac = facts.sta_mac.as_ref().and_then(|mac| self.by_mac.get(&mac.value));
        by_mac.or_else(|| self.by_chip_id.get(&facts.chip_id.as_ref()?.value.to_ascii_lowercase()))
    }
}

/// A number, or the sixteen hexadecimal digits of an RP2040's board.
fn is_chip_id(name: &str) -> bool {
    let digits = name.len() <= 10 && name.bytes().all(|byte| byte.is_ascii_digit());
    !name.is_empty() && (digits || (name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Known, Origin};

    fn device(mac: Option<&str>, chip: Option<&str>) -> DeviceFacts {
        let from = Origin::Header("test");
        DeviceFacts {
            sta_mac: mac.map(|mac| Known::new(mac.parse().unwrap(), from)),
            chip_id: chip.map(|chip| Known::new(chip.into(), from)),
            ..DeviceFacts::default()
        }
    }

    #[test]
    fn devices_are_listed_by_mac_or_by_chip_id() {
        let listed = Listed::parse(
            "\"5C:CF:7F:AA:BB:CC\" = \"lamp\"\n1458415 = { firmware = \"relay\", version = \"1.3.0\" }\n\
             E6614103E7452D2F = { firmware = \"pico\", profile = \"arduino-pico\" }\n",
        )
        .unwrap();
        assert_eq!(listed.len(), 3);
        let firmware = |facts: DeviceFacts| listed.find(&facts).map(|line| line.firmware.clone());
        assert_eq!(firmware(device(Some("5c-cf-7f-aa-bb-cc"), None)).as_deref(), Some("lamp"));
        assert_eq!(firmware(device(None, Some("1458415"))).as_deref(), Some("relay"));
        assert_eq!(firmware(device(None, Some("e6614103e7452d2f"))).as_deref(), Some("pico"));
        assert_eq!(firmware(device(Some("5c-cf-7f-aa-bb-cd"), Some("1"))), None);
        assert_eq!(firmware(device(None, None)), None);
    }

    #[test]
    fn a_list_with_a_fault_is_refused() {
        let fault = |text: &str| Listed::parse(text).unwrap_err();
        assert!(matches!(fault("kitchen = \"lamp\""), ListedError::Name { name } if name == "kitchen"));
        assert!(matches!(
            fault("\"5C:CF:7F:AA:BB:CC\" = \"a\"\n\"5c-cf-7f-aa-bb-cc\" = \"b\""),
            ListedError::Twice { .. }
        ));
        for text in [
            "1 = 2",
            "1 = { version = \"1\" }",
            "1 = { firmware = \"a\", pin = \"1\" }",
            "1 =",
            "1 = \"a\"\n1 = \"b\"",
            "1 = { firmware = \"a\", profile = \"esp9\" }",
        ] {
            assert!(matches!(fault(text), ListedError::Form(_)), "{text}");
        }
        assert_eq!(fault(&" ".repeat(MAX_LIST + 1)), ListedError::TooLarge);
    }
}
