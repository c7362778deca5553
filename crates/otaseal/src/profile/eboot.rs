//! eboot, the boot loader of the ESP8266 Arduino core: what it makes of the file that the Updater stored.
//!
//! eboot believes the last four bytes of a gzip. It inflates that many bytes to address 0, sector by sector, and checks
//! neither the CRC32 nor whether the stream ends there. Then the boot ROM loads the image at address 0, whose checksum
//! it checks, and eboot loads the application, whose checksum nobody checks.
//!
//! Sources: esp8266/Arduino `bootloaders/eboot/eboot.c` (`copy_raw`, `load_app_from_flash_raw`), pfalcon/uzlib
//! `tinfgzip.c` and `tinflate.c`. The rules were seen on the running code of cores 2.7.4, 3.0.2, 3.1.2 and later.

use super::fit::{Misfit, Reading};
use super::{Reason, Verdict};
use crate::format::gzip::lint::{self, GzipFinding};
use crate::format::gzip::{self, GunzipError, Inflated};
use crate::format::image::{self, Kind};

/// A stored gzip, as far as eboot inflates it.
pub(super) struct Unpacked {
    /// The bytes that eboot writes, without the sector's filling of FF.
    pub(super) content: Vec<u8>,
    /// The length that the gzip claims: eboot writes as many bytes, whatever they are.
    pub(super) stated: u32,
    /// How far eboot has read when each sector of the content is full.
    pub(super) reading: Reading,
}

/// Whether eboot takes a stored file for a gzip. It looks at two bytes.
pub(super) fn is_gzip(stored: &[u8]) -> bool {
    stored.starts_with(&[0x1F, 0x8B])
}

impl Unpacked {
    /// Inflates a stored gzip to the length in its last four bytes.
    pub(super) fn of(stored: &[u8], verifies: bool) -> Result<Self, Verdict> {
        let start = gzip::header_len_unchecked(stored)
            .map_err(|error| Verdict::KeepsTheOld { reason: Reason::Gzip(GzipFinding::Header { error }) })?;
        let stated = stored.last_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length));
        if stated == 0 || stated > i32::MAX as u32 {
            return Err(Verdict::KeepsTheOld { reason: Reason::NothingWritten { stated } });
        }
        if let Some(reason) = trailer_behind(stored, verifies) {
            return Err(Verdict::Bricks { reason });
        }
        let length = stated as usize;
        if length > lint::MAX_CONTENT {
            let (raw, fs_start) = (u64::from(stated), lint::MAX_CONTENT as u64);
            return Err(Verdict::Bricks {
                reason: Reason::Misfit(Misfit::BeyondFileSystem { raw, fs_start }),
            });
        }
        let corrupt = |error| Verdict::Bricks { reason: Reason::Gzip(GzipFinding::Corrupt { error }) };
        let Inflated { content, more } = gzip::inflate_start(&stored[start..], length).map_err(corrupt)?;
        // Bytes are missing at the end: harmless if no image stood there, which `boots` finds out.
        let cut =
            more && !matches!(image::identify(&content), Kind::Esp8266(file) if file.boot_damage().is_none());
        if cut {
            let actual =
                gzip::inflate_start(&stored[start..], lint::MAX_CONTENT).map_err(corrupt)?.content.len();
            return Err(Verdict::Bricks {
                reason: Reason::Gzip(GzipFinding::WrongLength { stated, actual }),
            });
        }
        let reading = Reading::of(stored, start, content.len())
            .ok_or_else(|| corrupt(GunzipError::Corrupt { produced: 0 }))?;
        Ok(Self { content, stated, reading })
    }
}

/// An older core, or a device without a key, leaves the trailer behind the gzip. The boot loader takes the trailer's
/// length field for the length of the content.
fn trailer_behind(stored: &[u8], verifies: bool) -> Option<Reason> {
    let guess = image::trailer_of(stored)?;
    let payload = stored.get(..usize::try_from(guess.payload_len).ok()?)?;
    gzip::gunzip(payload, lint::MAX_CONTENT).ok()?;
    Some(Reason::TrailerBehindGzip { verifies, written: guess.signature_len })
}

/// Judges whether the content that will stand at address 0 starts. A plain image has its trailer behind it, where
/// nobody looks.
pub(super) fn boots(kind: &Kind, part: &'static str) -> Result<(), Verdict> {
    match kind {
        Kind::Esp8266(file) => match file.boot_damage() {
            None => Ok(()),
            Some(damage) => Err(Verdict::InstallsButWillNotBoot { reason: Reason::Damaged { part, damage } }),
        },
        kind => Err(Verdict::Bricks { reason: Reason::NotEsp8266 { part, found: kind.to_string() } }),
    }
}
