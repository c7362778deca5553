//! What an error of SQLite means.

use rusqlite::{Error, ErrorCode, ffi};

use crate::store::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let said = error.to_string();
        match &error {
            Error::SqliteFailure(fault, _) => of_code(*fault, said),
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..) => Self::Damaged(said),
            _ => Self::Failed(said),
        }
    }
}

fn of_code(fault: ffi::Error, said: String) -> StoreError {
    match fault.code {
        ErrorCode::DiskFull => StoreError::Full,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
            StoreError::ReadOnly(said)
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Locked,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Damaged(said),
        // The file ends in the middle of a page.
        _ if fault.extended_code == ffi::SQLITE_IOERR_SHORT_READ => StoreError::Damaged(said),
        _ => StoreError::Failed(said),
    }
}

/// What an error of the file system means.
pub(super) fn of_io(error: std::io::Error) -> StoreError {
    use std::io::ErrorKind::*;
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => StoreError::Full,
        PermissionDenied | ReadOnlyFilesystem | NotFound | NotADirectory => {
            StoreError::ReadOnly(error.to_string())
        }
        _ => StoreError::Failed(error.to_string()),
    }
}

/// Whether the connection may be at fault: then the next call opens another one.
pub(super) fn needs_new_connection(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged(_) | StoreError::Failed(_) | StoreError::ReadOnly(_))
}
