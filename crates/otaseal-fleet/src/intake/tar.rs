//! Packages in a tar.

use super::archive::{Entries, Entry};
use super::{IntakeError, MAX_FILES};
use otaseal_delivery::text::said;
use std::io::{self, Read};
use tar::EntryType;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// Whether a file begins as a tar does: with the word of POSIX.1-1988 at its place, and the sum of the header's bytes.
/// An image could have the word by chance.
pub(super) fn is_tar(block: &[u8]) -> bool {
    let Some(block) = block.first_chunk::<BLOCK>() else { return false };
    let sum = |(at, byte): (usize, &u8)| match (148..156).contains(&at) {
        true => u32::from(b' '),
        false => u32::from(*byte),
    };
    let is: u32 = block.iter().enumerate().map(sum).sum();
    let said = block[148..156].iter().skip_while(|byte| **byte == b' ');
    let said = said.take_while(|byte| (b'0'..=b'7').contains(byte));
    let said = said.fold(0u32, |sum, digit| sum << 3 | u32::from(digit - b'0'));
    block[257..262] == *b"ustar" && is == said
}

/// Takes the files out of a tar of at most `most` bytes.
pub(super) fn unpack(reader: impl Read, most: u64, into: &mut Entries) -> Result<(), IntakeError> {
    let limit = into.files.limit();
    let mut bounded = Bounded { reader, left: most, is_over: false };
    let done = entries(&mut bounded, into);
    // The crate's error then is one of a tar that ends too early.
    if bounded.is_over { Err(IntakeError::TooLarge { limit }) } else { done }
}

fn entries(reader: &mut dyn Read, into: &mut Entries) -> Result<(), IntakeError> {
    let mut archive = tar::Archive::new(reader);
    for (number, entry) in archive.entries().map_err(damaged)?.enumerate() {
        let mut entry = entry.map_err(damaged)?;
        if number >= 2 * MAX_FILES {
            return Err(IntakeError::TooMany);
        }
        let path = entry.path_bytes().into_owned();
        let kind = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => Entry::File,
            EntryType::Directory => Entry::Directory,
            // git archive writes its commit there.
            EntryType::XGlobalHeader => continue,
            kind => return Err(IntakeError::Entry { name: said(&path), what: special(kind) }),
        };
        if into.begin(&path, kind)? {
            into.files.copy(&mut entry, damaged)?;
        }
    }
    Ok(())
}

fn special(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "it is a symbolic link",
        EntryType::Link => "it is a link to another file",
        EntryType::Char | EntryType::Block => "it is a device",
        EntryType::Fifo => "it is a pipe",
        EntryType::GNUSparse => "it is a file with holes",
        _ => "it is no regular file",
    }
}

fn damaged(error: io::Error) -> IntakeError {
    IntakeError::Archive { kind: "tar", what: said(error.to_string().as_bytes()) }
}

/// A reader that ends after some bytes, and tells whether there would have been more.
struct Bounded<R> {
    reader: R,
    left: u64,
    is_over: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.is_over |= self.reader.read(&mut [0])? > 0;
            return Ok(0);
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let length = self.reader.read(&mut buffer[..most])?;
        self.left -= length as u64;
        Ok(length)
    }
}
