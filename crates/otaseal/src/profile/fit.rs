//! Checks whether an update fits a device's flash, and whether the device can unpack it there.
//!
//! The ESP8266 stages an update right below its filesystem. It checks only that this leaves the running sketch alone.
//! At the next boot, eboot copies or inflates the staged file to address 0, one sector after the other. Nothing checks
//! whether the growing output overtakes the compressed input that eboot has still to read. If it does, the device is
//! bricked. [`Reading::check`] does what eboot does, sector by sector.
//!
//! Sources: esp8266/Arduino `cores/esp8266/Updater.cpp` (staging), `bootloaders/eboot/eboot.c` (copying).

mod layout;
mod trace;

pub use layout::{FileSystemArea, FlashLayout, ImpossibleReport, LAYOUTS, UnknownLayout, fs_start_of_device};

use serde::Serialize;

/// Bytes of a flash sector: eboot reads, erases and writes this much at a time.
pub const SECTOR: u64 = 4096;

/// The known facts about a device's flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Flash {
    /// Flash offset in bytes at which the filesystem begins: see [`FlashLayout`] and [`fs_start_of_device`].
    pub fs_start: u32,
    /// Size in bytes of the image that runs now. If it is not given, only the staging area itself must have room.
    pub installed: Option<u32>,
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
        /// Bytes between the sketch of the device and its filesystem.
        free: u64,
    },
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
    /// The inflated image reaches into the filesystem.
    #[error("the inflated image of {raw} bytes is longer than the {fs_start} bytes before the filesystem")]
    BeyondFileSystem {
        /// Length of the inflated image in bytes.
        raw: u64,
        /// Offset at which the filesystem begins.
        fs_start: u64,
    },
}

impl Flash {
    /// A flash whose filesystem begins at this offset in bytes. The size of the image that runs is not known.
    pub fn new(fs_start: u32) -> Self {
        Self { fs_start, installed: None }
    }

    /// Returns the bytes between the running image and the filesystem.
    pub fn free(&self) -> u64 {
        u64::from(self.fs_start).saturating_sub(round_up(self.installed.unwrap_or(0).into()))
    }

    /// Returns the offset at which the Updater stages a file of which it knows the length, trailer included.
    ///
    /// # Errors
    /// [`Misfit::NoSpace`].
    pub fn staged_at(&self, sent: u64) -> Result<u64, Misfit> {
        let (needed, free) = (round_up(sent), self.free());
        if needed > free {
            return Err(Misfit::NoSpace { needed, free });
        }
        Ok(u64::from(self.fs_start) - needed)
    }
}

/// Rounds bytes up to whole sectors.
pub(crate) fn round_up(bytes: u64) -> u64 {
    bytes.div_ceil(SECTOR) * SECTOR
}

/// How eboot reads a gzip while it inflates it: the bytes that it has taken when each sector of the output is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    header: u64,
    taken: Vec<u64>,
}

impl Reading {
    /// Follows a gzip whose DEFLATE stream begins at `start`, to `length` bytes of output. Returns `None` if the stream
    /// makes no sense.
    pub fn of(gzip: &[u8], start: usize, length: usize) -> Option<Self> {
        let taken = trace::consumption(gzip.get(start..)?, SECTOR as usize, length).ok()?;
        Some(Self {
            header: start as u64,
            taken: taken.into_iter().map(|bytes| (start + bytes) as u64).collect(),
        })
    }

    /// Checks that eboot overwrites no input that it has still to read, if the gzip is staged at `start`. Returns the
    /// smallest distance in bytes between output and input.
    ///
    /// eboot reads a sector of input at a time, and keeps it in RAM. `erases_first` is eboot before core 3.0.0: it erases
    /// a sector before it inflates the sector's contents, so it erases with the input of the sector before.
    ///
    /// # Errors
    /// [`Misfit::Overtaken`].
    pub fn check(&self, start: u64, erases_first: bool) -> Result<Option<u64>, Misfit> {
        let needed_in_all = self.taken.last().copied().unwrap_or(0);
        let before = std::iter::once(&self.header).chain(&self.taken);
        let at_writing: Vec<_> = if erases_first { before.collect() } else { self.taken.iter().collect() };
        let (mut lead, mut first, mut short_by) = (None, None, 0);
        for (sector, taken) in (0..self.taken.len() as u64).zip(at_writing) {
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
            None => Ok(lead),
        }
    }
}

#[cfg(test)]
mod tests;
