//! arduino-pico's updater and OTA boot loader.
//!
//! The updater stores the file in LittleFS as `firmware.bin` and checks nothing but the signature. The boot loader
//! inflates a gzip with uzlib and writes any other bytes as they are.
//!
//! Sources: earlephilhower/arduino-pico `libraries/Updater`, `libraries/HTTPUpdate`, `ota/ota.c`, commit `387294c5`.

use super::eboot;
use super::errors::{self, ERROR_NO_DATA, ERROR_SIZE, ERROR_SPACE};
use super::fit::{Misfit, SECTOR};
use super::update::{Course, Update};
use super::{Assumption, Reason, Verdict, Via};
use crate::format::image::{self, Kind};
use std::borrow::Cow;

pub(super) fn judge(update: &Update<'_>, via: Via, course: &mut Course) -> Result<(), Verdict> {
    let behaviour = &update.behaviour;
    if update.image.is_empty() {
        return match via {
            Via::Http => errors::refuse_pull(-101, Reason::Empty),
            Via::Espota => errors::refuse(behaviour, ERROR_SIZE, Reason::Empty),
            Via::Form => errors::refuse(behaviour, ERROR_NO_DATA, Reason::Empty),
        };
    }
    match update.device.free_bytes {
        None => course.assume(Assumption::FileSystem),
        Some(free) => {
            let needed = littlefs_bytes(update.image.len() as u64);
            let free = u64::from(free);
            if needed > free {
                let reason = Reason::Misfit(Misfit::NoSpace { needed, free });
                return errors::refuse(behaviour, ERROR_SPACE, reason);
            }
            course.passed("space");
        }
    }
    let stored = if update.device.profile.verifies() {
        let payload = update.payload()?;
        course.passed("signature");
        payload
    } else {
        update.image
    };
    // The boot loader finds no program in so little, and starts the old one.
    if stored.len() < 2 {
        return Err(Verdict::KeepsTheOld { reason: Reason::NothingToWrite });
    }
    let content = match eboot::is_gzip(stored) {
        true => Cow::Borrowed(&update.unpacked()?.content[..]),
        false => Cow::Borrowed(stored),
    };
    match image::identify(&content) {
        Kind::Rp2040(_) | Kind::Rp2350(_) | Kind::Unknown => {}
        // Bytes that only begin like an image.
        Kind::Esp8266(file) if !file.is_intact() => {}
        Kind::Esp8266(_) => return Err(Verdict::Bricks { reason: Reason::ForEsp8266 }),
        kind => {
            return Err(Verdict::Bricks { reason: Reason::NotFlashContents { found: kind.to_string() } });
        }
    }
    course.assume(Assumption::ProgramBelowFileSystem);
    course.passed("boot loader");
    Ok(())
}

/// Bytes that LittleFS takes for a file: whole blocks of 4096 bytes, of which every block but the first begins with
/// pointers of four bytes to blocks before it. Block n has as many as n has trailing zero bits, and one more (LittleFS
/// `DESIGN.md`, "CTZ skip-lists").
fn littlefs_bytes(file: u64) -> u64 {
    let (mut blocks, mut left) = (0u64, file);
    while left > 0 {
        let pointers = if blocks == 0 { 0 } else { 4 * (u64::from(blocks.trailing_zeros()) + 1) };
        left = left.saturating_sub(SECTOR - pointers);
        blocks += 1;
    }
    blocks * SECTOR
}
