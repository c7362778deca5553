//! Rows of tables as values, and back.

use otaseal::format::digest::{Md5Digest, Sha256Digest};
use otaseal_delivery::device::{Family, Mac};
use rusqlite::Row;
use rusqlite::types::{FromSql, Type};

use crate::rollout::loads::Loads;
use crate::rollout::machine::Counts;
use crate::rollout::update::{State, Tries, Update, Why};
use crate::store::StoreError;
use crate::store::rows::*;

/// A number in the form in which it is stored: with the same bits.
pub(super) fn signed(number: u64) -> i64 {
    number as i64
}

fn unsigned(number: i64) -> u64 {
    number as u64
}

/// A MAC address as a number.
pub(super) fn mac_number(mac: Mac) -> i64 {
    mac.0.iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// A family as a number. The numbers are stored, so they never change.
pub(super) fn family_code(family: Family) -> i64 {
    match family {
        Family::Esp8266 => 0,
        Family::Esp32 => 1,
        Family::Rp2040 => 2,
    }
}

/// The columns of a device, in the order of [`device`].
macro_rules! device_columns {
    () => {
        "devices.id, family, mac, chip_id, standing, source, name, site, note, board, profile, firmware, version, md5, \
         sha256, running, sketch_bytes, free_bytes, chip_bytes, sdk, core_at_least, signal, homie, said, first_seen, \
         last_seen, interval, address"
    };
}
pub(super) use device_columns;

/// The columns of an update, in the order of [`update`].
macro_rules! update_columns {
    ($table:literal) => {
        concat!(
            $table, ".device, ", $table, ".rollout, release, stage, before_image, before_version, state, why, since, \
             deadline, not_applied, refused, network, proofs, attempt, hour_from, hour_whole, day_from, day_bytes"
        )
    };
}
pub(super) use update_columns;

/// The cells of a row, one after the other.
pub(super) struct Cells<'a, 'b> {
    row: &'a Row<'b>,
    at: usize,
}

impl<'a, 'b> Cells<'a, 'b> {
    pub(super) fn of(row: &'a Row<'b>) -> Self {
        Self { row, at: 0 }
    }

    pub(super) fn next<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        self.at += 1;
        self.row.get(self.at - 1)
    }

    fn number(&mut self) -> rusqlite::Result<u64> {
        self.next().map(unsigned)
    }

    fn some_number(&mut self) -> rusqlite::Result<Option<u64>> {
        Ok(self.next::<Option<i64>>()?.map(unsigned))
    }

    /// A number that stands for one of these.
    fn one_of<T: Copy>(&mut self, all: &[T]) -> rusqlite::Result<T> {
        let number: i64 = self.next()?;
        usize::try_from(number)
            .ok()
            .and_then(|at| all.get(at))
            .copied()
            .ok_or_else(|| self.out_of_range(number))
    }

    fn out_of_range(&self, number: i64) -> rusqlite::Error {
        rusqlite::Error::IntegralValueOutOfRange(self.at - 1, number)
    }

    /// A JSON text.
    fn json<T: serde::de::DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        let text: String = self.next()?;
        serde_json::from_str(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(self.at - 1, Type::Text, Box::new(error))
        })
    }
}

/// A device without its tags.
pub(super) fn device(cells: &mut Cells<'_, '_>) -> rusqlite::Result<DeviceRow> {
    Ok(DeviceRow {
        id: DeviceId(cells.next()?),
        family: match cells.next::<Option<i64>>()? {
            None => None,
            Some(0) => Some(Family::Esp8266),
            Some(1) => Some(Family::Esp32),
            Some(2) => Some(Family::Rp2040),
            Some(other) => return Err(cells.out_of_range(other)),
        },
        mac: match cells.next::<Option<i64>>()? {
            None => None,
            Some(number @ 0..=0xFFFF_FFFF_FFFF) => {
                let [_, _, rest @ ..] = number.to_be_bytes();
                Some(Mac(rest))
            }
            Some(other) => return Err(cells.out_of_range(other)),
        },
        chip_id: cells.next()?,
        standing: cells.one_of(&Standing::ALL)?,
        source: cells.one_of(&Source::ALL)?,
        name: cells.next()?,
        site: cells.next()?,
        tags: Vec::new(),
        note: cells.next()?,
        board: cells.next()?,
        profile: cells.next()?,
        firmware: cells.next()?,
        version: cells.next()?,
        md5: cells.next::<Option<[u8; 16]>>()?.map(Md5Digest),
        sha256: cells.next::<Option<[u8; 32]>>()?.map(Sha256Digest),
        running: cells.next::<Option<u32>>()?.map(ReleaseId),
        sketch_bytes: cells.some_number()?,
        free_bytes: cells.some_number()?,
        chip_bytes: cells.some_number()?,
        sdk: cells.next()?,
        core_at_least: cells.next()?,
        signal: cells.next()?,
        homie: cells.next()?,
        said: cells.next()?,
        first_seen: cells.number()?,
        last_seen: cells.number()?,
        interval: cells.next()?,
        address: cells.next()?,
    })
}

/// The number of a rollout, or -1 for a push by a person.
pub(super) fn rollout_code(rollout: Option<RolloutId>) -> i64 {
    rollout.map_or(-1, |id| i64::from(id.0))
}

/// An update. `None`: the columns are those of no row.
pub(super) fn update(cells: &mut Cells<'_, '_>) -> rusqlite::Result<Option<UpdateRow>> {
    let Some(device) = cells.next::<Option<u32>>()? else { return Ok(None) };
    let rollout = match cells.next::<i64>()? {
        -1 => None,
        number => Some(RolloutId(u32::try_from(number).map_err(|_| cells.out_of_range(number))?)),
    };
    Ok(Some(UpdateRow {
        device: DeviceId(device),
        rollout,
        release: ReleaseId(cells.next()?),
        stage: cells.next()?,
        before: (cells.number()?, cells.number()?),
        update: Update {
            state: cells.one_of(&State::ALL)?,
            why: cells.one_of(&Why::ALL)?,
            since: cells.number()?,
            deadline: cells.some_number()?,
            tries: Tries { not_applied: cells.next()?, refused: cells.next()?, network: cells.next()? },
            proofs: cells.next()?,
            attempt: cells.next()?,
            loads: Loads { hour: (cells.number()?, cells.next()?), day: (cells.number()?, cells.number()?) },
        },
    }))
}

/// A release: the columns in the order of the table.
pub(super) fn release(cells: &mut Cells<'_, '_>) -> rusqlite::Result<ReleaseRow> {
    Ok(ReleaseRow {
        id: ReleaseId(cells.next()?),
        firmware: cells.next()?,
        version: cells.next()?,
        board: cells.next()?,
        manifest: cells.next()?,
        files: cells.json()?,
        key_id: cells.next()?,
        offered: cells.one_of(&[Offered::Yes, Offered::Withdrawn])?,
        notes: cells.next()?,
        support_until: cells.some_number()?,
        security: cells.next()?,
        by: cells.next()?,
        at: cells.number()?,
    })
}

/// A rollout: the columns in the order of the table.
pub(super) fn rollout(cells: &mut Cells<'_, '_>) -> rusqlite::Result<RolloutRow> {
    Ok(RolloutRow {
        id: RolloutId(cells.next()?),
        name: cells.next()?,
        release: ReleaseId(cells.next()?),
        plan: cells.json()?,
        state: cells.json()?,
        counts: {
            let (states, verdicts): (Vec<u64>, Vec<u64>) = cells.json()?;
            Counts::from_numbers(&states, &verdicts)
        },
        places: cells.json()?,
        by: cells.next()?,
        at: cells.number()?,
    })
}

/// A token: the columns in the order of the table.
pub(super) fn token(cells: &mut Cells<'_, '_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        id: TokenId(cells.next()?),
        name: cells.next()?,
        hash: cells.next()?,
        scopes: cells.next()?,
        at: cells.number()?,
        expires: cells.some_number()?,
        revoked: cells.some_number()?,
    })
}

/// An event with its number: the columns in the order of the table.
pub(super) fn event(cells: &mut Cells<'_, '_>) -> rusqlite::Result<(u64, EventRow)> {
    let number = cells.number()?;
    let row = EventRow {
        device: DeviceId(cells.next()?),
        at: cells.number()?,
        code: cells.next()?,
        text: cells.next()?,
        rollout: cells.next::<Option<u32>>()?.map(RolloutId),
    };
    Ok((number, row))
}

/// A line of the audit log: the columns in the order of the table.
pub(super) fn audit(cells: &mut Cells<'_, '_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        number: cells.number()?,
        at: cells.number()?,
        actor: cells.next()?,
        action: cells.next()?,
        object: cells.next()?,
        before: cells.next()?,
        after: cells.next()?,
        hash: cells.next()?,
    })
}

/// Reads a list of rows.
pub(super) fn list<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
    mut read: impl FnMut(&mut Cells<'_, '_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| read(&mut Cells::of(row)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
