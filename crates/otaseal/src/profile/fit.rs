//! Checks whether an update fits a device's flash, and whether the device can unpack it there.
//!
//! The ESP8266 stages an update right below its file system. It checks only that this leaves the running sketch alone.
//! At the next boot, eboot copies or inflates the staged file to address 0, one sector after the other. Nothing checks
//! whether the growing output overtakes the compressed input that eboot has still to read. If it does, the device is
//! bricked. [`check`] does what the Updater and eboot do, sector by sector.
//!
//! Sources: esp8266/Arduino `cores/esp8266/Updater.cpp` (staging), `bootloaders/eboot/eboot.c` (copying).

mod layout;
mod trace;

pub use layout::{FlashLayout, ImpossibleReport, LAYOUTS, UnknownLayout, fs_start_of_device};

use serde::Serialize;

use crate::format::gzip::{self, GunzipError};

/// Bytes of a flash sector: eboot reads, erases and writes this much at a time.
pub const SECTOR: u64 = 4096;

/// The known facts about a device's flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Flash {
    /// Flash offset in bytes at which the file system begins: see [`FlashLayout`] and [`fs_start_of_device`].
    pub fs_start: u32,
    /// Size in bytes of the image that runs now. If it is not given, only the staging area itself must have room.
    pub installed: Option<u32>,
}

impl Flash {
    /// A flash whose file system begins at this offset in bytes. The size of the image that runs is not known.
    pub fn new(fs_start: u32) -> Self {
        Self { fs_start, installed: None }
    }
}

/// An update that fits, and how much room is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fit {
    /// Flash offset in bytes at which the update is staged.
    pub staged_at: u32,
    /// Bytes by which the file could grow before the device has not enough space.
    pub spare_bytes: u32,
    /// Smallest distance in bytes between the output and the input that is still to be read. Absent for images that are
    /// not compressed: their output stays behind.
    pub lead_bytes: Option<u32>,
}

/// Why an update does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// The Updater refuses before it writes the first byte: error 4.
    #[error("the file needs {needed} bytes and {free} are free: {} too many", needed - free)]
    NoSpace {
        /// Whole sectors of the file, in bytes.
        needed: u64,
        /// Bytes between the sketch of the device and its file system.
        free: u64,
    },
    /// eboot cannot inflate the file.
    #[error("the boot loader cannot inflate it: {0}")]
    Gzip(GunzipError),
    /// eboot overwrites compressed bytes that it has still to read.
    #[error(
        "while it inflates, the boot loader overwrites input that it has not read yet, first at flash offset \
         {at:#x} ({at}): the staging area begins {short_by} bytes too low"
    )]
    Overtaken {
        /// Flash offset of the first sector that overwrites such input.
        at: u64,
        /// Bytes by which the staging area would have to begin higher.
        short_by: u64,
    },
    /// The inflated image reaches into the file system.
    #[error("the inflated image of {raw} bytes is longer than the {fs_start} bytes before the file system")]
    BeyondFileSystem {
        /// Length of the inflated image in bytes.
        raw: u64,
        /// Offset at which the file system begins.
        fs_start: u64,
    },
}

/// Checks whether a payload fits, and whether the boot loader can bring it to its place.
///
/// `payload` is the plain image or the gzip. `sent` is the length of the whole file in bytes, with its trailer: the
/// staging area has to hold all of it. This assumes that the device would accept the payload otherwise.
/// [`crate::format::gzip::lint`] checks a gzip, with [`gzip::gunzip`]; this does not.
///
/// # Errors
/// [`Misfit`], in the order in which the device would meet it.
pub fn check(payload: &[u8], sent: u64, flash: &Flash) -> Result<Fit, Misfit> {
    let fs_start = u64::from(flash.fs_start);
    let needed = round_up(sent);
    let free = fs_start.saturating_sub(round_up(flash.installed.unwrap_or(0).into()));
    if needed > free {
        return Err(Misfit::NoSpace { needed, free });
    }
    let start = fs_start - needed;
    let lead = if gzip::is_gzip(payload) { inflate(payload, start, fs_start)? } else { None };
    let bounded = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    Ok(Fit { staged_at: bounded(start), spare_bytes: bounded(free - sent), lead_bytes: lead.map(bounded) })
}

/// Rounds bytes up to whole sectors.
pub(crate) fn round_up(bytes: u64) -> u64 {
    bytes.div_ceil(SECTOR) * SECTOR
}

/// Inflates in place as eboot does, without the bytes. Returns the smallest lead of reading over writing.
fn inflate(payload: &[u8], start: u64, fs_start: u64) -> Result<Option<u64>, Misfit> {
    let header = gzip::header_len(payload).map_err(Misfit::Gzip)?;
    let raw = *payload.last_chunk::<4>().ok_or(Misfit::Gzip(GunzipError::Truncated))?;
    let raw = u64::from(u32::from_le_bytes(raw));
    if round_up(raw) > fs_start && raw > u64::from(u32::MAX) / 4 {
        // The stream is not walked to its end: no chip has a gigabyte, and the number is the file's own claim.
        return Err(Misfit::BeyondFileSystem { raw, fs_start });
    }
    let taken = trace::consumption(&payload[header..], SECTOR as usize, raw as usize)
        .map_err(|trace::Broken| Misfit::Gzip(GunzipError::Corrupt { produced: 0 }))?;
    let taken: Vec<_> = taken.into_iter().map(|bytes| (header + bytes) as u64).collect();
    let needed_in_all = taken.last().copied().unwrap_or(0);
    let (mut lead, mut first, mut short_by) = (None, None, 0);
    for (sector, taken) in (0..).zip(&taken) {
        // eboot reads a sector of input at a time, and keeps it in RAM.
        let read = round_up(*taken);
        if read >= needed_in_all {
            break;
        }
        let (input, output) = (start + read, (sector + 1) * SECTOR);
        match input.checked_sub(output) {
            Some(ahead) => lead = Some(lead.map_or(ahead, |lead: u64| lead.min(ahead))),
            None => {
                first.get_or_insert(sector * SECTOR);
                short_by = short_by.max(output - input);
            }
        }
    }
    match first {
        Some(at) => Err(Misfit::Overtaken { at, short_by }),
        None if round_up(raw) > fs_start => Err(Misfit::BeyondFileSystem { raw, fs_start }),
        None => Ok(lead),
    }
}

#[cfg(test)]
mod tests;
