//! Answers questions on a connection of its own.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::find::Finder;
use super::row::{self, Cells, list, signed, update_columns};
use super::{connect, error, migrate, write};
use crate::filter::Filter;
use crate::rollout::update::State;
use crate::store::rows::*;
use crate::store::{MAX_PAGE, Page, Reader, StoreError};

pub(super) struct SqliteReader {
    path: PathBuf,
    /// None after an error: the next call opens another one.
    connection: Option<Connection>,
}

impl SqliteReader {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut reader = Self { path: path.to_owned(), connection: None };
        reader.connection()?;
        Ok(reader)
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.is_none() {
            let connection = connect(&self.path)?;
            connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192;")?;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or(StoreError::Locked)
    }

    /// Runs this on the data of one moment.
    fn run<T>(
        &mut self,
        run: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.connection()?;
        let result = connection.transaction().map_err(StoreError::from).and_then(|snapshot| run(&snapshot));
        if let Err(error) = &result
            && (error::needs_new_connection(error) || !connection.is_autocommit())
        {
            self.connection = None;
        }
        result
    }
}

fn rows<K>(page: &Page<K>) -> u32 {
    page.rows.min(MAX_PAGE)
}

impl Reader for SqliteReader {
    fn devices(
        &mut self,
        filter: &Filter,
        page: Page<DeviceId>,
        now: u64,
    ) -> Result<Vec<DeviceRow>, StoreError> {
        let wanted = rows(&page);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        self.run(|snapshot| {
            let mut ids = Vec::with_capacity(wanted as usize);
            let after = page.after.map_or(0, |id| id.0);
            Finder::new(snapshot, now).each(filter, after, wanted, |id| {
                ids.push(id);
                ids.len() < wanted as usize
            })?;
            let mut devices = Vec::with_capacity(ids.len());
            for id in ids {
                devices.extend(write::get_device(snapshot, DeviceId(id))?);
            }
            Ok(devices)
        })
    }

    fn device_ids(&mut self, filter: &Filter, now: u64) -> Result<Vec<DeviceId>, StoreError> {
        self.run(|snapshot| {
            let mut ids = Vec::new();
            Finder::new(snapshot, now).each(filter, 0, u32::MAX, |id| {
                ids.push(DeviceId(id));
                true
            })?;
            Ok(ids)
        })
    }

    fn count(&mut self, filter: &Filter, now: u64) -> Result<u64, StoreError> {
        self.run(|snapshot| Finder::new(snapshot, now).count(filter))
    }

    fn holds(&mut self, filter: &Filter, device: DeviceId, now: u64) -> Result<bool, StoreError> {
        self.run(|snapshot| Finder::new(snapshot, now).holds(filter, device.0))
    }

    fn device(&mut self, id: DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        self.run(|snapshot| write::get_device(snapshot, id))
    }

    fn update(&mut self, id: DeviceId) -> Result<Option<UpdateRow>, StoreError> {
        const SQL: &str =
            concat!("SELECT ", update_columns!("updates"), " FROM updates WHERE updates.device = ?1");
        self.run(|snapshot| {
            let mut statement = snapshot.prepare_cached(SQL)?;
            let row = statement.query_row([id.0], |row| row::update(&mut Cells::of(row))).optional()?;
            Ok(row.flatten())
        })
    }

    fn updates(
        &mut self,
        rollout: RolloutId,
        state: Option<State>,
        page: Page<DeviceId>,
    ) -> Result<Vec<UpdateRow>, StoreError> {
        const OF_ALL: &str = concat!(
            "SELECT ",
            update_columns!("updates"),
            " FROM updates INDEXED BY updates_rollout WHERE rollout = ?1 AND device > ?2 UNION ALL SELECT ",
            update_columns!("past_updates"),
            " FROM past_updates INDEXED BY past_updates_rollout WHERE rollout = ?1 AND device > ?2 \
             ORDER BY 1, 3 LIMIT ?3"
        );
        const OF_ONE: &str = concat!(
            "SELECT ",
            update_columns!("updates"),
            " FROM updates INDEXED BY updates_state WHERE rollout = ?1 AND device > ?2 AND state = ?4 \
             UNION ALL SELECT ",
            update_columns!("past_updates"),
            " FROM past_updates INDEXED BY past_updates_state WHERE rollout = ?1 AND device > ?2 AND state = ?4 \
             ORDER BY 1, 3 LIMIT ?3"
        );
        let after = page.after.map_or(-1, |id| i64::from(id.0));
        let read = |cells: &mut Cells<'_, '_>| row::update(cells);
        let found = self.run(|snapshot| match state {
            None => list(snapshot, OF_ALL, params![rollout.0, after, rows(&page)], read),
            Some(state) => list(snapshot, OF_ONE, params![rollout.0, after, rows(&page), state as u8], read),
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    fn events(
        &mut self,
        device: Option<DeviceId>,
        page: Page<u64>,
    ) -> Result<Vec<(u64, EventRow)>, StoreError> {
        const OF_ALL: &str = "SELECT * FROM events WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
        const OF_ONE: &str = "SELECT * FROM events INDEXED BY events_device WHERE device = ?3 AND number < ?1 \
            ORDER BY number DESC LIMIT ?2";
        let before = before(&page);
        self.run(|snapshot| match device {
            None => list(snapshot, OF_ALL, params![before, rows(&page)], row::event),
            Some(device) => list(snapshot, OF_ONE, params![before, rows(&page), device.0], row::event),
        })
    }

    fn audit(&mut self, page: Page<u64>) -> Result<Vec<AuditRow>, StoreError> {
        const SQL: &str = "SELECT * FROM audit WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
        self.run(|snapshot| list(snapshot, SQL, params![before(&page), rows(&page)], row::audit))
    }

    fn backup(&mut self, to: &Path) -> Result<(), StoreError> {
        if to.exists() {
            return Err(StoreError::Failed(format!("{} exists", to.display())));
        }
        // A copy in one step sees one moment. Its own transaction would keep the copy from starting another.
        let copied = self.connection().and_then(|connection| migrate::copy(connection, to))?;
        copied.persist_noclobber(to).map_err(|error| error::of_io(error.error))?;
        Ok(())
    }
}

/// The first number that is not on the page any more.
fn before(page: &Page<u64>) -> i64 {
    page.after.map_or(i64::MAX, |number| signed(number.min(i64::MAX as u64)))
}
