//! The data in one file, by SQLite.
//!
//! One connection writes. The others read, each in its own snapshot, and neither waits for the other (WAL). A change is on
//! the disk when [`Store::apply`] returns (`synchronous=FULL`). Beside the file stand `-wal` and `-shm`, which belong to it
//! while the program runs, and `.lock`, which lets one process in.
//!
//! After an error that may be the connection's, the next call opens another one: the same store works again when the disk
//! does.

mod bits;
mod error;
mod find;
mod leaf;
mod migrate;
mod read;
mod row;
mod write;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::rows::{AuditRow, DeviceRow, FilterRow, UpdateRow};
use super::{Loaded, Reader, Store, StoreError, Write};
use row::{Cells, device_columns, list, update_columns};

/// How long a statement waits for another one, such as a backup by another program.
const PATIENCE: Duration = Duration::from_secs(5);

/// Statements that stay prepared. There are fewer.
const STATEMENTS: usize = 128;

/// The data in one file.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    /// None after an error: the next call opens another one.
    connection: Option<Connection>,
    migrations: &'static [&'static str],
    /// Held as long as the store lives.
    _lock: File,
}

impl Sqlite {
    /// Opens the data in this file, or makes it. Its folder must exist. Data of an older version are brought up to date:
    /// first they are copied to a file beside, whose name ends with the number of their schema.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, migrate::ALL)
    }

    fn open_with(path: &Path, migrations: &'static [&'static str]) -> Result<Self, StoreError> {
        let lock = private(&beside(path, ".lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked),
            Err(TryLockError::Error(error)) => return Err(error::of_io(error)),
        }
        // SQLite gives its other files the permissions of this one. It would take a file of a few bytes for an empty one.
        let length = private(path)?.metadata().map_err(error::of_io)?.len();
        if (1..512).contains(&length) {
            return Err(StoreError::Damaged("the file is no database of otaseal-fleet".to_owned()));
        }
        let mut store = Self { path: path.to_owned(), connection: None, migrations, _lock: lock };
        let mut connection = store.connect()?;
        migrate::migrate(&mut connection, path, migrations)?;
        store.connection = Some(connection);
        Ok(store)
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.is_none() {
            let connection = self.connect()?;
            // Where the disk with the data is gone, there may be another folder, with nothing or with something else in it.
            if (migrate::check(&connection, self.migrations)? as usize) < self.migrations.len() {
                return Err(StoreError::Damaged("the data are gone".to_owned()));
            }
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or(StoreError::Locked)
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let connection = connect(&self.path)?;
        // Before anything is changed.
        migrate::check(&connection, self.migrations)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Failed(format!(
                "the file system cannot hold the data: journal mode {mode}"
            )));
        }
        // A checkpoint writes each page once, however often it changed. So it waits for 64 MiB.
        connection.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16384; PRAGMA journal_size_limit = 134217728; \
             PRAGMA cache_size = -32768;",
        )?;
        Ok(connection)
    }

    /// Runs this on the connection. After an error, the connection is given up if it may be at fault.
    fn run<T>(
        &mut self,
        run: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.connection()?;
        let result = run(connection);
        if let Err(error) = &result
            && (error::needs_new_connection(error) || !connection.is_autocommit())
        {
            self.connection = None;
        }
        result
    }
}

/// The path with this at its end.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Makes the file, or opens it. The data have digests of tokens, so they are the owner's alone.
fn private(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(error::of_io)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    // Without SQLITE_OPEN_URI: a path is a path, whatever it begins with.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;",
    )?;
    Ok(connection)
}

impl Store for Sqlite {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.run(|connection| {
            let transaction = connection.transaction()?;
            let releases = list(&transaction, "SELECT * FROM releases ORDER BY id", &[], row::release)?;
            let rollouts = list(&transaction, "SELECT * FROM rollouts ORDER BY id", &[], row::rollout)?;
            let filters = list(&transaction, "SELECT name, text FROM filters ORDER BY name", &[], |cells| {
                Ok(FilterRow { name: cells.next()?, text: cells.next()? })
            })?;
            let tokens = list(&transaction, "SELECT * FROM tokens ORDER BY id", &[], row::token)?;
            let last_audit = last_audit(&transaction)?;
            let latest = latest(&transaction)?;
            Ok(Loaded { releases, rollouts, filters, tokens, last_audit, latest })
        })
    }

    fn load_devices(&mut self, each: &mut dyn FnMut(DeviceRow, Option<UpdateRow>)) -> Result<(), StoreError> {
        self.run(|connection| {
            let transaction = connection.transaction()?;
            let mut tagged = transaction.prepare("SELECT device, tag FROM tags ORDER BY device, tag")?;
            let mut tags = tagged.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get(1)?)))?;
            let mut next: Option<(u32, String)> = tags.next().transpose()?;
            let mut devices = transaction.prepare(concat!(
                "SELECT ",
                device_columns!(),
                ", ",
                update_columns!("updates"),
                " FROM devices CROSS JOIN contacts ON contacts.device = devices.id \
                 LEFT JOIN updates ON updates.device = devices.id ORDER BY devices.id",
            ))?;
            let mut rows = devices.query([])?;
            while let Some(row) = rows.next()? {
                let mut cells = Cells::of(row);
                let mut device = row::device(&mut cells)?;
                let update = row::update(&mut cells)?;
                while let Some((of, tag)) = next.take_if(|(of, _)| *of <= device.id.0) {
                    if of == device.id.0 {
                        device.tags.push(tag);
                    }
                    next = tags.next().transpose()?;
                }
                each(device, update);
            }
            Ok(())
        })
    }

    fn apply(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.run(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for write in writes {
                write::write(&transaction, write)?;
            }
            Ok(transaction.commit()?)
        })
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(read::SqliteReader::open(&self.path)?))
    }
}

fn last_audit(connection: &Connection) -> Result<Option<AuditRow>, StoreError> {
    let sql = "SELECT * FROM audit ORDER BY number DESC LIMIT 1";
    Ok(list(connection, sql, &[], row::audit)?.pop())
}

/// The latest time in the data.
fn latest(connection: &Connection) -> Result<u64, StoreError> {
    let mut latest = 0;
    for sql in [
        "SELECT max(last_seen) FROM contacts",
        "SELECT at FROM events ORDER BY number DESC LIMIT 1",
        "SELECT at FROM audit ORDER BY number DESC LIMIT 1",
        "SELECT max(at) FROM releases",
        "SELECT max(at) FROM rollouts",
    ] {
        let found: Option<Option<i64>> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
        latest = latest.max(found.flatten().unwrap_or(0));
    }
    Ok(u64::try_from(latest).unwrap_or(0))
}

#[cfg(test)]
mod tests;
