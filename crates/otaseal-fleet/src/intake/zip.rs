//! Packages in a zip.

use super::archive::{Entries, Entry};
use super::{IntakeError, MAX_FILES};
use crate::objects::Incoming;
use memchr::memmem::Finder;
use otaseal_delivery::text::said;
use std::io::{self, BufReader, Read};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// Start of an entry in the directory of a zip (APPNOTE 4.3.12).
const ENTRY: &[u8] = b"PK\x01\x02";

/// Most places in a zip that may look like an entry. The crate reads all entries at once, with some hundred bytes of
/// memory each, whatever their number. By chance an image has such a place once in four gigabytes.
const MOST_ENTRIES: usize = 4 * MAX_FILES;

/// Bits of a Unix mode that say what a file is.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// Takes the files out of a zip.
pub(super) fn unpack(archive: &Incoming, into: &mut Entries) -> Result<(), IntakeError> {
    if count(BufReader::new(archive.reader()?)).map_err(broken)? > MOST_ENTRIES {
        return Err(IntakeError::TooMany);
    }
    let mut zip = ZipArchive::new(BufReader::new(archive.reader()?)).map_err(damaged)?;
    // No name is there twice, and programs that read a zip from its beginning see the same files as we do.
    zip.validate_header_consistency().map_err(damaged)?;
    for index in 0..zip.len() {
        let entry = zip.by_index_data(index).map_err(damaged)?;
        let path = entry.name_raw().to_owned();
        let kind = kind_of(entry.is_dir(), entry.unix_mode(), entry.encrypted(), entry.compression())
            .map_err(|what| IntakeError::Entry { name: said(&path), what })?;
        if into.begin(&path, kind)? {
            let mut file = zip.by_index(index).map_err(damaged)?;
            into.files.copy(&mut file, broken)?;
        }
    }
    Ok(())
}

fn kind_of(
    is_directory: bool,
    mode: Option<u32>,
    is_encrypted: bool,
    method: CompressionMethod,
) -> Result<Entry, &'static str> {
    if is_encrypted {
        return Err("it is encrypted");
    }
    let kind = match (mode.unwrap_or_default() & KIND, is_directory) {
        (0 | REGULAR, false) => Entry::File,
        (0 | DIRECTORY, true) => Entry::Directory,
        (LINK, _) => return Err("it is a symbolic link"),
        _ => return Err("it is no regular file"),
    };
    match method {
        CompressionMethod::Stored | CompressionMethod::Deflated => Ok(kind),
        _ => Err("it is compressed by another method than deflate"),
    }
}

/// How many places look like an entry.
pub(super) fn count(mut reader: impl Read) -> io::Result<usize> {
    let finder = Finder::new(ENTRY);
    let mut buffer = vec![0; 64 << 10];
    let (mut kept, mut found) = (0, 0);
    loop {
        let length = kept + reader.read(&mut buffer[kept..])?;
        if length == kept {
            return Ok(found);
        }
        found += finder.find_iter(&buffer[..length]).count();
        // An entry may begin in one piece and end in the next.
        let next = length.min(ENTRY.len() - 1);
        buffer.copy_within(length - next..length, 0);
        kept = next;
    }
}

fn damaged(error: ZipError) -> IntakeError {
    IntakeError::Archive { kind: "zip", what: said(error.to_string().as_bytes()) }
}

fn broken(error: io::Error) -> IntakeError {
    IntakeError::Archive { kind: "zip", what: said(error.to_string().as_bytes()) }
}
