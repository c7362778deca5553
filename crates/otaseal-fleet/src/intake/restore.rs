//! Releases from stored objects.

use super::{bare, stored_contents, trusted_signer};
use crate::objects::{Depot, Object, ObjectError};
use crate::store::rows::{FileRow, ReleaseRow};
use otaseal::Package;
use otaseal::package::PartsError;
use otaseal_delivery::release::{Release, ReleaseError, Trust};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a release is not offered any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A file of it is missing or has changed.
    #[error("{file}: {source}")]
    Object {
        /// The file.
        file: String,
        /// The fault.
        source: ObjectError,
    },
    /// The files are not those of the manifest.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// The files are no release that may be offered, by the keys that are trusted now.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The key that signed is no longer trusted.
    #[error("the key {key_id}, which signed it, is no longer trusted")]
    Distrusted {
        /// Id of the key.
        key_id: String,
    },
    /// The row does not fit its files.
    #[error("the row of the release is damaged: {0}")]
    Row(&'static str),
}

/// Verifies a release again, from its row and its objects. A release that fails must not be offered.
///
/// # Errors
/// [`RestoreError`].
pub fn restore(row: &ReleaseRow, depot: &Arc<Depot>, trust: &Trust) -> Result<Release, RestoreError> {
    let mut files = BTreeMap::new();
    for file in &row.files {
        let object = object(file)?;
        let bytes =
            depot.read(&object).map_err(|source| RestoreError::Object { file: file.name.clone(), source })?;
        files.insert(file.name.clone(), bytes);
    }
    let mut release = match &row.manifest[..] {
        "" => {
            let name = &row.files.first().ok_or(RestoreError::Row("it has no file"))?.name;
            let bytes = files.remove(name).ok_or(RestoreError::Row("it has no file"))?;
            bare(name, bytes.into(), trust)?
        }
        manifest => Release::of_package(&Package::from_parts(manifest.as_bytes(), files)?, trust)?,
    };
    if let (Some(key_id), None) = (&row.key_id, trusted_signer(&release, trust)) {
        return Err(RestoreError::Distrusted { key_id: key_id.clone() });
    }
    let named = |of: &Option<String>, row: &str| of.as_ref().is_none_or(|of| of == row);
    if !named(&release.firmware, &row.firmware) || !named(&release.version, &row.version) {
        return Err(RestoreError::Row("the image has another name or version"));
    }
    stored_contents(&mut release, &row.files, depot)
        .map_err(|_| RestoreError::Row("its files are not those of the release"))?;
    release.firmware = Some(row.firmware.clone());
    release.version = Some(row.version.clone()).filter(|version| !version.is_empty());
    release.board.clone_from(&row.board);
    Ok(release)
}

fn object(file: &FileRow) -> Result<Object, RestoreError> {
    let sha256 = file.sha256.parse().map_err(|_| RestoreError::Row("a digest is no SHA-256"))?;
    Ok(Object { sha256, bytes: file.bytes })
}
