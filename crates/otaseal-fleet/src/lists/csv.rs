//! A list of devices in a table, as a person writes it.
//!
//! The first line names the columns, in any order. `mac` or `chip_id` says which device a line is of, and `profile` or
//! `family` of which family it is. The other columns may be missing, and so may their values. A table that
//! [`super::export`] made comes in again: what only a device can say is not read.

use super::{MAX_DEVICES, MAX_FAULTS, MAX_NOTE, MAX_TEXT, checked, export, family_named, family_of, tags};
use crate::store::rows::{DeviceRow, Source, Standing};
use crate::table::{Record, Table, TableError};
use otaseal::profile::Profile;
use otaseal_delivery::device::Mac;
use otaseal_delivery::text::said;
use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

/// Columns that are read.
const COLUMNS: &[&str] = &["name", "mac", "chip_id", "family", "profile", "board", "site", "tags", "note"];

/// A fault of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: u64,
    /// A sentence. What stands in the table is escaped and bounded.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Why a list is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It has faults. At most [`MAX_FAULTS`] are told.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Fault>),
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl ListError {
    fn one(line: u64, what: impl Into<String>) -> Self {
        Self::Faults(vec![Fault { line, what: what.into() }])
    }
}

impl From<TableError> for ListError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Record { line, what } => Self::one(line, what),
            TableError::Io(error) => Self::Io(error),
        }
    }
}

/// Reads a list of devices: accepted, and heard of at `now`, in seconds since 1970. They have no ids yet.
///
/// # Errors
/// [`ListError`]. If one line has a fault, no device is taken.
pub fn read(reader: impl BufRead, now: u64) -> Result<Vec<DeviceRow>, ListError> {
    let mut table = Table::new(reader);
    let Some(header) = table.next_record()? else { return Err(ListError::one(1, "the list is empty")) };
    let columns = Columns::of(&header)?;
    let (mut devices, mut faults) = (Vec::new(), Vec::new());
    let mut lines: HashMap<String, u64> = HashMap::new();
    loop {
        let record = match table.next_record() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            // Lines behind it cannot be told from each other.
            Err(TableError::Record { line, what }) => {
                faults.push(Fault { line, what: what.into() });
                break;
            }
            Err(error) => return Err(error.into()),
        };
        if devices.len() >= MAX_DEVICES {
            return Err(ListError::one(record.line, format!("there are more than {MAX_DEVICES} devices")));
        }
        let line = record.line;
        let device = columns.device(&record, now).and_then(|device| {
            let key = key(&device);
            match lines.insert(key.clone(), line) {
                None => Ok(device),
                Some(first) => Err(format!("{key} is in line {first} already")),
            }
        });
        match device {
            Ok(device) => devices.push(device),
            Err(what) => faults.push(Fault { line, what }),
        }
        if faults.len() >= MAX_FAULTS {
            break;
        }
    }
    if faults.is_empty() { Ok(devices) } else { Err(ListError::Faults(faults)) }
}

/// What tells a device from the others.
fn key(device: &DeviceRow) -> String {
    let id = device.mac.map(|mac| mac.to_string()).or_else(|| device.chip_id.clone());
    let family = device.family.map(super::family_name).unwrap_or_default();
    format!("{family} {}", id.unwrap_or_default())
}

/// Which field has which column.
struct Columns {
    names: Vec<String>,
}

impl Columns {
    fn of(header: &Record) -> Result<Self, ListError> {
        let names: Vec<String> =
            header.fields.iter().map(|name| name.trim().to_lowercase().replace([' ', '-'], "_")).collect();
        let mut faults = Vec::new();
        let mut fault = |what: String| faults.push(Fault { line: header.line, what });
        for (at, name) in names.iter().enumerate() {
            let shown = said(name.as_bytes());
            if names[..at].contains(name) {
                fault(format!("the column `{shown}` is there twice"));
            } else if !COLUMNS.contains(&&**name) && !export::COLUMNS.contains(&&**name) {
                fault(format!("there is no column `{shown}`: the columns are {}", COLUMNS.join(", ")));
            }
        }
        if !names.iter().any(|name| name == "mac" || name == "chip_id") {
            fault("the column `mac` is missing".into());
        }
        if faults.is_empty() { Ok(Self { names }) } else { Err(ListError::Faults(faults)) }
    }

    /// The device of a line.
    ///
    /// # Errors
    /// A sentence.
    fn device(&self, record: &Record, now: u64) -> Result<DeviceRow, String> {
        if record.fields.len() != self.names.len() {
            return Err(format!("it has {} fields, not {}", record.fields.len(), self.names.len()));
        }
        let field = |name: &str| {
            let at = self.names.iter().position(|own| own == name);
            at.map_or("", |at| record.fields[at].trim())
        };
        let text =
            |name: &str, most: usize| checked(field(name), most).map_err(|what| format!("the {name} {what}"));
        let optional = |name: &str| text(name, MAX_TEXT).map(|text| Some(text).filter(|it| !it.is_empty()));
        let mac: Option<Mac> = match field("mac") {
            "" => None,
            mac => Some(mac.parse().map_err(|expected| format!("{expected}, not {}", said(mac.as_bytes())))?),
        };
        let chip_id = optional("chip_id")?;
        if mac.is_none() && chip_id.is_none() {
            return Err("it has no MAC address".into());
        }
        let profile = match field("profile") {
            "" => None,
            name => Some(name.parse::<Profile>().map_err(|error| said(error.to_string().as_bytes()))?),
        };
        let of_profile = profile.and_then(|profile| family_of(profile.updater));
        let family = match (field("family"), of_profile) {
            ("", of_profile) => of_profile.ok_or("its family is not known: fill `profile` or `family`")?,
            (name, of_profile) => {
                let family = family_named(name).ok_or("expected esp8266, esp32 or rp2040 as the family")?;
                match of_profile.is_none_or(|of_profile| of_profile == family) {
                    true => family,
                    false => return Err("the profile is one of another family".into()),
                }
            }
        };
        Ok(DeviceRow {
            family: Some(family),
            mac,
            chip_id,
            standing: Standing::Accepted,
            source: Source::Person,
            name: text("name", MAX_TEXT)?,
            site: text("site", MAX_TEXT)?,
            tags: tags(field("tags")).map_err(|what| format!("the list of tags {what}"))?,
            note: text("note", MAX_NOTE)?,
            board: optional("board")?,
            profile: profile.map(|profile| profile.to_string()),
            first_seen: now,
            ..DeviceRow::default()
        })
    }
}
