//! Lists of devices for other programs and for spreadsheets.

use super::family_name;
use crate::store::rows::DeviceRow;
use crate::table::write_field;
use std::io::{self, Write};

/// The columns of a table, in their order.
pub const COLUMNS: &[&str] = &[
    "id",
    "name",
    "mac",
    "chip_id",
    "family",
    "standing",
    "source",
    "site",
    "tags",
    "note",
    "board",
    "profile",
    "firmware",
    "version",
    "md5",
    "running",
    "sketch_bytes",
    "free_bytes",
    "chip_bytes",
    "sdk",
    "signal",
    "homie",
    "address",
    "first_seen",
    "last_seen",
];

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A table, as RFC 4180 describes it. Nothing in it is a formula.
    Csv,
    /// An array of objects, one on a line.
    Json,
}

/// Writes devices, one after the other: a list may be longer than the memory.
#[derive(Debug)]
pub struct Export<W> {
    form: Form,
    out: W,
    devices: u64,
}

impl<W: Write> Export<W> {
    /// Begins a list.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(form: Form, mut out: W) -> io::Result<Self> {
        match form {
            Form::Csv => out.write_all((COLUMNS.join(",") + "\r\n").as_bytes())?,
            Form::Json => out.write_all(b"[")?,
        }
        Ok(Self { form, out, devices: 0 })
    }

    /// Writes a device.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn device(&mut self, row: &DeviceRow) -> io::Result<()> {
        match self.form {
            Form::Csv => self.out.write_all(line(row).as_bytes())?,
            Form::Json => {
                self.out.write_all(if self.devices == 0 { b"\n" } else { b",\n" })?;
                serde_json::to_writer(&mut self.out, row)?;
            }
        }
        self.devices += 1;
        Ok(())
    }

    /// Ends the list. Returns the writer.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn end(mut self) -> io::Result<W> {
        if self.form == Form::Json {
            self.out.write_all(b"\n]\n")?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

fn line(row: &DeviceRow) -> String {
    fn shown<T: ToString>(value: &Option<T>) -> String {
        value.as_ref().map(ToString::to_string).unwrap_or_default()
    }
    let fields = [
        row.id.to_string(),
        row.name.clone(),
        shown(&row.mac),
        shown(&row.chip_id),
        shown(&row.family.map(family_name)),
        row.standing.name().to_owned(),
        row.source.name().to_owned(),
        row.site.clone(),
        row.tags.join(" "),
        row.note.clone(),
        shown(&row.board),
        shown(&row.profile),
        shown(&row.firmware),
        shown(&row.version),
        shown(&row.md5),
        shown(&row.running),
        shown(&row.sketch_bytes),
        shown(&row.free_bytes),
        shown(&row.chip_bytes),
        shown(&row.sdk),
        shown(&row.signal),
        shown(&row.homie),
        shown(&row.address),
        time(row.first_seen),
        time(row.last_seen),
    ];
    let mut line = String::new();
    for field in &fields {
        if !line.is_empty() {
            line.push(',');
        }
        write_field(&mut line, field);
    }
    line + "\r\n"
}

/// A time as people and spreadsheets read it, in UTC. Nothing if there is none.
fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    let time = time.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map(|time| time.to_string()).unwrap_or_default()
}
