//! The data of homie-ota: its firmware files and its inventory.
//!
//! ```text
//! DIR/NAME-VERSION.bin, DIR/NAME-VERSION.txt    a firmware and its description; or in DIR/firmwares
//! DIR/inventory.json                            {"ID": {"name": …, "mac": …, "fwname": …, "fwversion": …}, …}
//! ```
//!
//! The names of the files say nothing here: homie-ota made them of unchecked text. The tokens in the images count. What the
//! inventory says of a device came from strangers.
//!
//! Source: jpmens/homie-ota `homie-ota.py` (4e7d9406).

use super::{MAX_DEVICES, MAX_TEXT};
use crate::intake::{self, IntakeError, Limits, MAX_NOTES, Outcome, Said, Taken};
use crate::objects::{Depot, ObjectError};
use crate::store::rows::{DeviceRow, Source, Standing};
use otaseal::device::homie::is_printable;
use otaseal::format::input::Input;
use otaseal_delivery::device::{Family, Mac};
use otaseal_delivery::release::Trust;
use otaseal_delivery::text::said;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most firmware files.
pub const MAX_FIRMWARES: usize = 1_000;

/// Most bytes of the inventory. A device has about a thousand.
pub const MAX_INVENTORY: usize = 64 << 20;

/// The folder with the firmware files, in the folder of the program.
const FIRMWARES: &str = "firmwares";

/// The inventory.
const INVENTORY: &str = "inventory.json";

/// What was found.
#[derive(Debug, Default)]
pub struct Imported {
    /// Releases.
    pub releases: Vec<Taken>,
    /// Devices, accepted, without ids.
    pub devices: Vec<DeviceRow>,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
}

/// A file or a device that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name, fit to be shown.
    pub what: String,
    /// Why, as a sentence.
    pub why: String,
}

/// Why nothing is imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// There is no data of homie-ota.
    #[error("{} has neither {INVENTORY} nor a firmware file", .0.display())]
    Nothing(PathBuf),
    /// The inventory cannot be read.
    #[error("{}: {what}", path.display())]
    Inventory {
        /// Its path.
        path: PathBuf,
        /// The fault.
        what: String,
    },
    /// There is too much of it.
    #[error("there are more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many may be there.
        most: usize,
    },
    /// The objects cannot be stored.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Reads a folder of homie-ota, at the time `now` in seconds since 1970. `homie` is the broker and the base topic of its
/// devices, in the form of [`DeviceRow::homie`] without the id.
///
/// # Errors
/// [`ImportError`]. Nothing is kept then. What is refused alone is in [`Imported::left_out`].
pub fn read(
    folder: &Path,
    depot: &Arc<Depot>,
    trust: &Trust,
    homie: Option<&str>,
    now: u64,
) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    let mut found = 0;
    let mut macs = HashSet::new();
    for directory in [folder.to_owned(), folder.join(FIRMWARES)] {
        for path in firmwares(&directory)? {
            found += 1;
            if found > MAX_FIRMWARES {
                return Err(ImportError::TooMany { what: "firmware files", most: MAX_FIRMWARES });
            }
            match firmware(&path, depot, trust) {
                Ok(Outcome::Taken(taken)) => imported.releases.push(*taken),
                Ok(Outcome::Asked(_)) => imported
                    .leave_out(name_of(&path), "its image says no name and version: upload it by itself"),
                Err(IntakeError::Object(error)) => return Err(error.into()),
                Err(error) => imported.leave_out(name_of(&path), error.to_string()),
            }
        }
        for (id, about) in inventory(&directory.join(INVENTORY))?.into_iter().flatten() {
            found += 1;
            match device(&id, &about, homie, now) {
                Ok(row) if macs.insert(row.mac) => imported.devices.push(row),
                Ok(_) => imported.leave_out(id.into_bytes(), "another device has its MAC address"),
                Err(why) => imported.leave_out(id.into_bytes(), why),
            }
        }
    }
    if found == 0 { Err(ImportError::Nothing(folder.to_owned())) } else { Ok(imported) }
}

impl Imported {
    fn leave_out(&mut self, what: Vec<u8>, why: impl Into<String>) {
        self.left_out.push(LeftOut { what: said(&what), why: why.into() });
    }
}

fn name_of(path: &Path) -> Vec<u8> {
    path.file_name().unwrap_or_default().as_encoded_bytes().to_vec()
}

/// The firmware files of a folder, which may be missing, by name.
fn firmwares(directory: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let io = |source| ImportError::Io { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|ending| ending == "bin") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Takes a firmware file in, with its description.
fn firmware(path: &Path, depot: &Arc<Depot>, trust: &Trust) -> Result<Outcome, IntakeError> {
    let mut file = Input::found(path).map_err(IntakeError::Upload)?;
    let name = String::from_utf8_lossy(&name_of(path)).into_owned();
    let said = Said { notes: description(&path.with_extension("txt")), ..Said::default() };
    let upload = [(name.as_str(), &mut file as &mut dyn Read)];
    intake::intake(upload, depot, trust, &said, Limits::default())
}

/// The description of a firmware. It is text of a stranger: what cannot be notes is left out.
fn description(path: &Path) -> String {
    let Ok(bytes) = Input::found(path).and_then(|input| input.read(MAX_NOTES)) else { return String::new() };
    let text = String::from_utf8_lossy(&bytes);
    let shown = text.chars().filter(|it| is_printable(*it) || *it == '\n');
    let text: String = shown.collect();
    bounded(text.trim(), MAX_NOTES)
}

/// The inventory, which may be missing.
fn inventory(path: &Path) -> Result<Option<Map<String, Value>>, ImportError> {
    let wrong = |what: String| ImportError::Inventory { path: path.to_owned(), what };
    let bytes = match Input::found(path).and_then(|input| input.read(MAX_INVENTORY)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let inventory: Map<String, Value> = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("it is no inventory of homie-ota: {error}")))?;
    match inventory.len() <= MAX_DEVICES {
        true => Ok(Some(inventory)),
        false => Err(ImportError::TooMany { what: "devices", most: MAX_DEVICES }),
    }
}

/// The device of an entry.
///
/// # Errors
/// A sentence.
fn device(id: &str, about: &Value, homie: Option<&str>, now: u64) -> Result<DeviceRow, String> {
    let Value::Object(about) = about else { return Err("it is no object".into()) };
    let text = |name: &str| match about.get(name) {
        Some(Value::String(text)) => Some(bounded(&said(text.trim().as_bytes()), MAX_TEXT)),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let text = |name: &str| text(name).filter(|text| !text.is_empty());
    let number = |name: &str| text(name)?.parse::<u64>().ok();
    // homie-ota serves ESP8266 devices. Others advertise what they are: `$implementation` of Homie 2 and later.
    let family = match text("implementation").as_deref() {
        None | Some("esp8266") => Family::Esp8266,
        Some(other) if other.starts_with("esp32") => Family::Esp32,
        Some(other) => return Err(format!("its implementation is {other}")),
    };
    // Homie 2 and later take the address for the id, if nobody sets another.
    let mac = text("mac").and_then(|mac| mac.parse().ok()).or_else(|| id.parse().ok());
    let Some(mac) = mac else {
        return Err(
            "its MAC address is not known: it joins when it asks for an update or advertises itself".into()
        );
    };
    Ok(DeviceRow {
        family: Some(family),
        mac: Some(station(mac, family)),
        standing: Standing::Accepted,
        source: Source::Person,
        name: text("name").unwrap_or_else(|| bounded(&said(id.as_bytes()), MAX_TEXT)),
        firmware: text("fwname"),
        version: text("fwversion"),
        sketch_bytes: number("sketch_size"),
        free_bytes: number("free_space"),
        chip_bytes: number("chip_size"),
        signal: number("signal").and_then(|percent| u8::try_from(percent).ok()).filter(|it| *it <= 100),
        homie: homie.filter(|_| is_id(id)).map(|homie| format!("{homie}/{id}")),
        address: text("localip").filter(|address| address.parse::<IpAddr>().is_ok()),
        first_seen: now,
        ..DeviceRow::default()
    })
}

/// The address of a device as a station. homie-ota keeps the address of its access point, which is the same with the bit of
/// a locally administered address: `1A:FE:34:…` for `18:FE:34:…`.
fn station(mac: Mac, family: Family) -> Mac {
    const LOCAL: u8 = 0x02;
    let Mac([first, rest @ ..]) = mac;
    let first = if family == Family::Esp8266 { first & !LOCAL } else { first };
    let [b, c, d, e, f] = rest;
    Mac([first, b, c, d, e, f])
}

/// Whether a text is a level of a topic.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_TEXT && !id.contains(['/', '+', '#']) && id.chars().all(is_printable)
}

/// The start of a text, of at most so many bytes.
fn bounded(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests;
