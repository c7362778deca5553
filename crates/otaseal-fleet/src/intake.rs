//! Takes in releases: a package, an archive of one, or a bare image.
//!
//! ```text
//! files as they come     Upload         streamed into temporary files, one limit for all of them
//!   │ one .zip, .tar or .tar.gz         unpacked, under the same limit
//!   │ manifest.json and its files       the library compares names, sizes and digests
//!   │ or one bare image                 the library reads its tokens
//!   ▼
//! verified               Release        signed by a trusted key, or unsigned where the owner allows it
//!   ▼
//! Taken                                 every file is an object; nothing of a failed upload stays
//! ```
//!
//! [`restore`] does the same from stored objects, when the service starts.

mod archive;
mod bare;
mod error;
mod files;
mod restore;
mod said;
mod tar;
mod zip;

pub use bare::bare;
pub use error::IntakeError;
pub use restore::{RestoreError, restore};
pub use said::{Asked, MAX_NOTES, MAX_SAID, Said};

use crate::objects::{Depot, Kept, Object, ObjectError};
use crate::store::rows::{FileRow, Offered, ReleaseId, ReleaseRow};
use files::{Files, checked_name};
use otaseal::Package;
use otaseal::device::KeyId;
use otaseal::package::manifest::{FILE_NAME, MAX_MANIFEST};
use otaseal_delivery::release::{Release, Trust};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

/// Most bytes of an upload, if nobody sets another number.
pub const MAX_UPLOAD: u64 = 64 << 20;

/// Most files of an upload. A package has at most seven.
pub const MAX_FILES: usize = 64;

/// The limits of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes: of the upload as it comes, and of what an archive holds.
    pub upload_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { upload_bytes: MAX_UPLOAD }
    }
}

/// What became of an upload.
#[derive(Debug)]
pub enum Outcome {
    /// It is a release.
    Taken(Box<Taken>),
    /// Something is missing that the image does not say. Nothing was kept: the same upload comes again, with the answer.
    Asked(Asked),
}

/// A release that was taken in. If it is dropped before [`Taken::stored`], its objects are removed.
#[derive(Debug)]
pub struct Taken {
    release: Release,
    row: ReleaseRow,
    kept: Vec<Kept>,
}

impl Taken {
    /// The verified release. Its files are stored objects.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The row of the release. `at` is in seconds since 1970.
    pub fn row(&self, id: ReleaseId, by: &str, at: u64) -> ReleaseRow {
        ReleaseRow { id, by: by.to_owned(), at, ..self.row.clone() }
    }

    /// Says that the row is stored: the objects stay. Call it when [`Depot::sweep`] knows the row.
    pub fn stored(self) -> Release {
        self.kept.into_iter().for_each(Kept::stored);
        self.release
    }
}

/// An upload: its files come one after the other, in pieces.
#[derive(Debug)]
pub struct Upload {
    files: Files,
}

impl Upload {
    /// Begins an upload.
    pub fn new(depot: &Arc<Depot>, limits: Limits) -> Self {
        Self { files: Files::new(depot, limits.upload_bytes) }
    }

    /// Begins the next file. An uploader chose the name.
    ///
    /// # Errors
    /// [`IntakeError`]: the name, or one file too many.
    pub fn file(&mut self, name: &str) -> Result<(), IntakeError> {
        self.files.begin(checked_name(name)?)
    }

    /// Takes the next bytes of the file.
    ///
    /// # Errors
    /// [`IntakeError::TooLarge`] and [`IntakeError::Object`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        self.files.write(bytes)
    }

    /// Verifies the upload, and keeps its files. This takes as long as a signature and the disk do.
    ///
    /// # Errors
    /// [`IntakeError`]. Nothing of the upload stays.
    pub fn finish(self, trust: &Trust, said: &Said) -> Result<Outcome, IntakeError> {
        said.check()?;
        let mut files = self.files;
        let archive = files.only().map(archive::kind).transpose()?.flatten();
        if let Some(kind) = archive {
            files = archive::unpack(files, kind)?;
        }
        match files.take(FILE_NAME) {
            Some(manifest) => {
                let json = match manifest.object().bytes <= MAX_MANIFEST as u64 {
                    true => manifest.read()?,
                    false => return Err(IntakeError::LargeManifest),
                };
                package(json, files, trust, said)
            }
            None => match (archive, files.only_named()) {
                (None, Some((name, incoming))) => bare::take(name, incoming, &files, trust, said),
                _ => Err(IntakeError::NoManifest { files: files.len() }),
            },
        }
    }
}

/// Takes in an upload whose files can be read.
///
/// # Errors
/// [`IntakeError`]. Nothing of the upload stays.
pub fn intake<'f>(
    upload: impl IntoIterator<Item = (&'f str, &'f mut dyn Read)>,
    depot: &Arc<Depot>,
    trust: &Trust,
    said: &Said,
    limits: Limits,
) -> Result<Outcome, IntakeError> {
    let mut incoming = Upload::new(depot, limits);
    for (name, reader) in upload {
        incoming.file(name)?;
        incoming.files.copy(reader, IntakeError::Upload)?;
    }
    incoming.finish(trust, said)
}

fn package(json: Vec<u8>, files: Files, trust: &Trust, said: &Said) -> Result<Outcome, IntakeError> {
    let mut parts = BTreeMap::new();
    for (name, incoming) in files.iter() {
        parts.insert(name.to_owned(), incoming.read()?);
    }
    let package = Package::from_parts(&json, parts)?;
    let release = Release::of_package(&package, trust)?;
    let names: Vec<String> = package.files().iter().map(|file| file.name().to_owned()).collect();
    let mut about = match said.about(&release)? {
        Ok(about) => about,
        Err(asked) => return Ok(Outcome::Asked(asked)),
    };
    let manifest = package.manifest();
    about.security |= manifest.security.unwrap_or_default();
    about.support_until =
        about.support_until.or_else(|| said::end_of_day(&manifest.support_until?.to_string()));
    about.manifest = package.manifest_json().to_owned();
    drop(package);
    take(release, names, files, trust, about)
}

/// Keeps the files of a verified release, in this order.
fn take(
    mut release: Release,
    names: Vec<String>,
    mut files: Files,
    trust: &Trust,
    about: ReleaseRow,
) -> Result<Outcome, IntakeError> {
    let depot = Arc::clone(files.depot());
    let mut kept: Vec<Kept> = Vec::new();
    let mut rows = Vec::new();
    for name in names {
        let Some(incoming) = files.take(&name) else { continue };
        let object = depot.keep(incoming)?;
        rows.push(FileRow { sha256: object.object().sha256.to_string(), bytes: object.object().bytes, name });
        kept.push(object);
    }
    stored_contents(&mut release, &rows, &depot).map_err(IntakeError::Object)?;
    release.firmware = Some(about.firmware.clone());
    release.version = Some(about.version.clone()).filter(|version| !version.is_empty());
    let row = ReleaseRow {
        files: rows,
        key_id: trusted_signer(&release, trust).map(|id| id.to_string()),
        board: about.board.clone().or_else(|| release.board.clone()),
        ..about
    };
    release.board.clone_from(&row.board);
    Ok(Outcome::Taken(Box::new(Taken { release, row, kept })))
}

/// Leaves the bytes of a release with the objects.
fn stored_contents(release: &mut Release, rows: &[FileRow], depot: &Arc<Depot>) -> Result<(), ObjectError> {
    for artefact in &mut release.artefacts {
        let object = Object { sha256: artefact.digests.sha256, bytes: artefact.digests.size_bytes };
        // The bytes that were verified are those that are stored.
        let digest = object.sha256.to_string();
        if !rows.iter().any(|row| row.name == artefact.file && row.sha256 == digest) {
            return Err(ObjectError::Damaged(object.sha256));
        }
        artefact.contents = depot.contents(object);
    }
    Ok(())
}

/// The trusted key that signed. A key that only the image itself names vouches for nothing.
fn trusted_signer(release: &Release, trust: &Trust) -> Option<KeyId> {
    let signer = release.signer.as_ref()?;
    trust.keys().contains(signer).then(|| signer.id())
}

/// A row of which nothing is known.
fn empty_row() -> ReleaseRow {
    ReleaseRow {
        id: ReleaseId::default(),
        firmware: String::new(),
        version: String::new(),
        board: None,
        manifest: String::new(),
        files: Vec::new(),
        key_id: None,
        offered: Offered::Yes,
        notes: String::new(),
        support_until: None,
        security: false,
        by: String::new(),
        at: 0,
    }
}

#[cfg(test)]
pub(crate) mod tests;
