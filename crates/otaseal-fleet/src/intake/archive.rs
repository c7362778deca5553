//! Archives of packages: which kind a file is, and what the entries may be.
//!
//! An archive comes from a stranger. An entry is a regular file at the top, or in one folder that all entries share. What
//! is anything else is refused, and no entry is ever a path: its name only becomes the name of a file in the upload.

use super::files::{Files, checked_name};
use super::{IntakeError, tar, zip};
use crate::objects::Incoming;
use flate2::read::GzDecoder;
use otaseal_delivery::text::said;
use std::io::{BufReader, Read};

/// The kind of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Zip,
    Tar,
    TarGz,
}

/// Bytes of headers that a tar may have beside its files. It has at most [`super::MAX_FILES`] of them.
const HEADERS: u64 = 1 << 20;

/// What kind of archive a file is, by its first bytes. Its name says nothing.
pub(super) fn kind(file: &Incoming) -> Result<Option<Kind>, IntakeError> {
    let start = first_block(file.reader()?);
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        return Ok(Some(Kind::Zip));
    }
    if tar::is_tar(&start) {
        return Ok(Some(Kind::Tar));
    }
    // Images are in a gzip too.
    let is_gzip = start.starts_with(&[0x1F, 0x8B]);
    let packed = is_gzip && tar::is_tar(&first_block(GzDecoder::new(BufReader::new(file.reader()?))));
    Ok(packed.then_some(Kind::TarGz))
}

/// The first block of a tar, or less.
fn first_block(reader: impl Read) -> Vec<u8> {
    let mut block = Vec::new();
    // A file that cannot be read is no archive. It fails where its bytes are wanted.
    let _ = reader.take(tar::BLOCK as u64).read_to_end(&mut block);
    block
}

/// Takes the files out of an archive, under the same limit.
pub(super) fn unpack(mut files: Files, kind: Kind) -> Result<Files, IntakeError> {
    let mut entries = Entries { files: Files::new(files.depot(), files.limit()), folder: None };
    let most = files.limit().saturating_add(HEADERS);
    let Some(archive) = files.only() else { return Err(IntakeError::Empty) };
    match kind {
        Kind::Zip => zip::unpack(archive, &mut entries)?,
        Kind::Tar => tar::unpack(BufReader::new(archive.reader()?), most, &mut entries)?,
        Kind::TarGz => {
            tar::unpack(GzDecoder::new(BufReader::new(archive.reader()?)), most, &mut entries)?;
        }
    }
    files = entries.files;
    match files.len() {
        0 => Err(IntakeError::Empty),
        _ => Ok(files),
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File,
    Directory,
}

/// The files of an archive, as they are found.
pub(super) struct Entries {
    pub(super) files: Files,
    /// The folder that all entries share, once one is seen.
    folder: Option<Option<String>>,
}

impl Entries {
    /// Begins the next file, by its path in the archive. Returns whether its bytes are wanted: a directory has none.
    pub(super) fn begin(&mut self, path: &[u8], entry: Entry) -> Result<bool, IntakeError> {
        let wrong = |what| IntakeError::Entry { name: said(path), what };
        let text = std::str::from_utf8(path).map_err(|_| wrong("its name is not UTF-8 text"))?;
        let text = match entry {
            Entry::Directory => text.strip_suffix('/').unwrap_or(text),
            Entry::File => text,
        };
        let mut parts: Vec<&str> = text.split('/').collect();
        // tar -C dist . writes ./manifest.json.
        if parts.first() == Some(&".") {
            parts.remove(0);
        }
        for part in &parts {
            checked_name(part).map_err(|error| match error {
                IntakeError::Entry { what, .. } => wrong(what),
                error => error,
            })?;
        }
        let (folder, name) = match (&parts[..], entry) {
            ([], Entry::Directory) => return Ok(false),
            ([folder], Entry::Directory) => (Some((*folder).to_owned()), None),
            ([name], Entry::File) => (None, Some(*name)),
            ([folder, name], Entry::File) => (Some((*folder).to_owned()), Some(*name)),
            _ => return Err(wrong("it lies in a folder of a folder")),
        };
        // All in one folder, or none in any.
        if *self.folder.get_or_insert_with(|| folder.clone()) != folder {
            return Err(IntakeError::Folders);
        }
        let Some(name) = name else { return Ok(false) };
        self.files.begin(name)?;
        Ok(true)
    }
}
