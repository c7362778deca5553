//! Schemas: which one the data have, and how they get the newest.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use tempfile::NamedTempFile;

use super::error::of_io;
use super::{beside, connect};
use crate::store::StoreError;

/// The step to each schema from the one before, from schema 1 on. A step that was released is never changed.
pub(super) const ALL: &[&str] = &[include_str!("schema-1.sql")];

/// Says in the file whose data it has: "OtaF". SQLite's field for this is `application_id`.
const APPLICATION: u32 = 0x4F74_6146;

/// Brings the data up to date.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let found = check(connection, migrations)?;
    if found as usize == migrations.len() {
        return Ok(());
    }
    if found > 0 {
        let to = beside(path, &format!(".schema-{found}"));
        let copy = copy(connection, path)?;
        copy.persist(to).map_err(|error| of_io(error.error))?;
    }
    let transaction = connection.transaction()?;
    for step in &migrations[found as usize..] {
        transaction.execute_batch(step)?;
    }
    let known = migrations.len();
    transaction
        .execute_batch(&format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {known};"))?;
    Ok(transaction.commit()?)
}

/// Returns the number of the schema that the data have. 0: the file is empty. Data of others and newer data are refused.
pub(super) fn check(connection: &Connection, migrations: &[&str]) -> Result<u32, StoreError> {
    let number = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u32>(0));
    let is_empty: bool =
        connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    match (number("application_id")?, number("user_version")?) {
        (0, 0) if is_empty => Ok(0),
        (APPLICATION, found) if found > known => Err(StoreError::Newer { found, known }),
        (APPLICATION, found @ 1..) => Ok(found),
        _ => Err(StoreError::Damaged("the file is no database of otaseal-fleet".to_owned())),
    }
}

/// Copies the data of the connection, as they are at one moment, into a temporary file in the folder of this path. It is
/// on the disk when this returns.
pub(super) fn copy(connection: &Connection, beside: &Path) -> Result<NamedTempFile, StoreError> {
    let folder = beside.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(folder).map_err(of_io)?;
    let mut to = connect(file.path())?;
    // The file has a name that nobody knows until it is whole and on the disk. So its own journal protects nothing.
    to.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
    let backup = Backup::new(connection, &mut to)?;
    match backup.step(-1)? {
        StepResult::Done => {}
        _ => return Err(StoreError::Locked),
    }
    drop(backup);
    to.close().map_err(|(_, error)| error)?;
    file.as_file().sync_all().map_err(of_io)?;
    Ok(file)
}
