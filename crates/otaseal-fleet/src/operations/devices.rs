//! Devices: look, accept, edit, push.

use serde::{Deserialize, Serialize};

use super::{OperationError, Operations, allow, device};
use crate::filter::Filter;
use crate::rollout::update::Event;
use crate::store::rows::{DeviceId, DeviceRow, EventRow, ReleaseId, Standing, UpdateRow};
use crate::store::{Page, Write};
use crate::token::{Caller, Scope};

/// Longest text that a person writes of a device, in bytes.
pub const MAX_TEXT: usize = 256;

/// Most tags of a device.
const MAX_TAGS: usize = 32;

/// What a person changes of a device. What is not there stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Edit {
    /// Its name.
    pub name: Option<String>,
    /// Its site. Empty: none.
    pub site: Option<String>,
    /// All its tags.
    pub tags: Option<Vec<String>>,
    /// A note.
    pub note: Option<String>,
    /// Its board. Empty: none.
    pub board: Option<String>,
    /// The kind of device, by the name of its profile. Empty: none.
    pub profile: Option<String>,
    /// Whether it may be updated.
    pub standing: Option<Standing>,
}

impl Edit {
    fn check(&self) -> Result<(), OperationError> {
        let tags = self.tags.iter().flatten().map(|tag| ("tag", tag));
        let texts = [
            ("name", &self.name),
            ("site", &self.site),
            ("note", &self.note),
            ("board", &self.board),
            ("profile", &self.profile),
        ];
        let texts = texts.into_iter().filter_map(|(field, text)| Some((field, text.as_ref()?)));
        for (field, text) in texts.chain(tags) {
            let wrong = |what: &str| Err(OperationError::Text { field, what: what.to_owned() });
            if text.len() > MAX_TEXT {
                return wrong(&format!("is longer than {MAX_TEXT} bytes"));
            }
            if text.chars().any(char::is_control) {
                return wrong("has control characters");
            }
            if matches!(field, "name" | "tag") && text.trim().is_empty() {
                return wrong("is empty");
            }
        }
        if self.tags.as_ref().is_some_and(|tags| tags.len() > MAX_TAGS) {
            return Err(OperationError::Text {
                field: "list of tags",
                what: format!("has more than {MAX_TAGS}"),
            });
        }
        if let Some(profile) = self.profile.as_ref().filter(|profile| !profile.is_empty())
            && profile.parse::<otaseal::profile::Profile>().is_err()
        {
            return Err(OperationError::Text { field: "profile", what: "is none that otaseal knows".into() });
        }
        Ok(())
    }

    fn apply(&self, row: &mut DeviceRow) {
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        if let Some(name) = &self.name {
            row.name.clone_from(name);
        }
        if let Some(site) = &self.site {
            row.site.clone_from(site);
        }
        if let Some(tags) = &self.tags {
            row.tags.clone_from(tags);
            row.tags.sort_unstable();
            row.tags.dedup();
        }
        if let Some(note) = &self.note {
            row.note.clone_from(note);
        }
        if let Some(board) = &self.board {
            row.board = some(board);
        }
        if let Some(profile) = &self.profile {
            row.profile = some(profile);
        }
    }
}

/// A device, with what it got.
#[derive(Debug)]
pub struct Shown {
    /// The device.
    pub row: DeviceRow,
    /// Its last update.
    pub update: Option<UpdateRow>,
    /// Its last events with their numbers, the newest first.
    pub events: Vec<(u64, EventRow)>,
}

/// What people write of a device, for the audit log.
#[derive(Serialize)]
struct Written<'a> {
    name: &'a str,
    site: &'a str,
    tags: &'a [String],
    note: &'a str,
    board: Option<&'a str>,
    profile: Option<&'a str>,
    standing: Standing,
}

fn written(row: &DeviceRow) -> Written<'_> {
    Written {
        name: &row.name,
        site: &row.site,
        tags: &row.tags,
        note: &row.note,
        board: row.board.as_deref(),
        profile: row.profile.as_deref(),
        standing: row.standing,
    }
}

impl Operations {
    /// Devices for which a filter holds, by id.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn devices(
        &self,
        caller: &Caller,
        filter: &str,
        after: Option<DeviceId>,
        rows: u32,
    ) -> Result<Vec<DeviceRow>, OperationError> {
        allow(caller, Scope::Read)?;
        let (filter, now) = (Filter::parse(filter)?, self.now());
        self.read(|reader| reader.devices(&filter, Page { after, rows }, now))
    }

    /// How many devices a filter holds for.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn count(&self, caller: &Caller, filter: &str) -> Result<u64, OperationError> {
        allow(caller, Scope::Read)?;
        let (filter, now) = (Filter::parse(filter)?, self.now());
        self.read(|reader| reader.count(&filter, now))
    }

    /// A device, its update and its last events.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn device(&self, caller: &Caller, id: DeviceId) -> Result<Shown, OperationError> {
        allow(caller, Scope::Read)?;
        self.read(|reader| {
            let Some(row) = reader.device(id)? else { return Ok(None) };
            let events = reader.events(Some(id), Page { after: None, rows: 50 })?;
            Ok(Some(Shown { row, update: reader.update(id)?, events }))
        })?
        .ok_or(OperationError::NoDevice(id))
    }

    /// Changes what people write of a device.
    ///
    /// # Errors
    /// There is no such device, or a text has a fault.
    pub fn edit(&self, caller: &Caller, id: DeviceId, edit: &Edit) -> Result<(), OperationError> {
        edit.check()?;
        allow(caller, Scope::Operate)?;
        let before = self.read(|reader| reader.device(id))?.ok_or(OperationError::NoDevice(id))?;
        let mut after = before.clone();
        edit.apply(&mut after);
        after.standing = edit.standing.unwrap_or(before.standing);
        self.change(caller, Scope::Operate, ("device.edit", &device(id)), |engine, now, deed| {
            if engine.devices().get(id).is_none() {
                return Err(OperationError::NoDevice(id));
            }
            deed.before(&written(&before));
            deed.after(&written(&after));
            if after.site != before.site {
                engine.set_site(id, &after.site);
            }
            if let Some(standing) = edit.standing {
                engine.set_standing(id, standing, now)?;
            }
            deed.writes.push(Write::Edited(Box::new(after)));
            Ok(())
        })
    }

    /// Gives a device a release, outside of any rollout.
    ///
    /// # Errors
    /// The device or the release is not there, or an update of the device must end first.
    pub fn push(&self, caller: &Caller, id: DeviceId, release: ReleaseId) -> Result<(), OperationError> {
        self.change(caller, Scope::Operate, ("device.push", &device(id)), |engine, now, deed| {
            engine.push(id, release, now)?;
            deed.after(&release);
            Ok(())
        })
    }

    /// Lets the update of a device begin again.
    ///
    /// # Errors
    /// The device is not there, or its update cannot begin again.
    pub fn again(&self, caller: &Caller, id: DeviceId) -> Result<(), OperationError> {
        self.change(caller, Scope::Operate, ("device.again", &device(id)), |engine, now, _| {
            Ok(engine.update(id, Event::Again, now)?)
        })
    }

    /// Ends the update of a device that has not begun.
    ///
    /// # Errors
    /// The device is not there, or its update cannot be ended.
    pub fn cancel(&self, caller: &Caller, id: DeviceId) -> Result<(), OperationError> {
        self.change(caller, Scope::Operate, ("device.cancel", &device(id)), |engine, now, _| {
            Ok(engine.update(id, Event::Cancel, now)?)
        })
    }

    /// Forgets a device. Its events stay.
    ///
    /// # Errors
    /// The device is not there, or nothing is proved yet of what it was sent.
    pub fn delete_device(&self, caller: &Caller, id: DeviceId) -> Result<(), OperationError> {
        allow(caller, Scope::Own)?;
        let row = self.read(|reader| reader.device(id))?.ok_or(OperationError::NoDevice(id))?;
        self.change(caller, Scope::Own, ("device.delete", &device(id)), |engine, now, deed| {
            deed.before(&row);
            Ok(engine.delete_device(id, now)?)
        })
    }
}
