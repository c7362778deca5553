//! What devices do with a filesystem image: LittleFS, SPIFFS, or any other bytes for the filesystem's part of the flash.
//!
//! An updater writes such an image in place, over the old filesystem, and looks at none of its bytes. Only an esp8266
//! core that was built with `ATOMIC_FS_UPDATE` stages it, and lets eboot copy or inflate it.
//!
//! | | esp8266 core | arduino-pico |
//! |---|---|---|
//! | size | whole sectors must fit: -100, `ERROR[4]` | must fit: -100, `ERROR[4]` |
//! | signature, with a key | must be there: `ERROR[12]`, after the old filesystem is gone | not looked at |
//! | MD5 of http and espota | compared, without a key | with a key: never right, `ERROR[7]` |
//! | first byte, flash mode, flash size | not looked at | not looked at |
//! | gzip | inflated with `ATOMIC_FS_UPDATE` alone | written as it is |
//!
//! Sources, read and not run: esp8266/Arduino `cores/esp8266/Updater.cpp` (`begin`, `end`: the filesystem's part is the
//! same from 2.7.4 to commit `0116f9c7`), `libraries/ESP8266httpUpdate` (`updateFS`),
//! `libraries/ESP8266HTTPUpdateServer`; earlephilhower/arduino-pico `libraries/Updater` (commit `01c7f849`),
//! `libraries/HTTPUpdate` (`0b390d7d`), `libraries/HTTPUpdateServer`.

mod mount;

pub use self::mount::Unmountable;

use self::mount::{Driver, Written};
use super::errors::{self, ERROR_MD5, ERROR_NO_DATA, ERROR_SIZE, ERROR_SPACE};
use super::fit::{Misfit, SECTOR, round_up};
use super::update::{Course, Update};
use super::updater;
use super::{Assumption, CoreVersion, GzipSupport, Reason, Verdict, Via, eboot};
use crate::format::digest::Md5Digest;
use crate::format::{image, layers};
use std::borrow::Cow;

/// Core from which on a filesystem ends with a whole block.
const WHOLE_BLOCKS: CoreVersion = CoreVersion(2, 6, 0);
/// Core from which on LittleFS compares the number of blocks (its version 2.5: esp8266/Arduino 8543, 8826).
const COMPARES_BLOCKS: CoreVersion = CoreVersion(3, 1, 0);

/// Runs one way of delivery to an esp8266 core.
pub(super) fn esp8266(
    update: &Update<'_>,
    core: CoreVersion,
    via: Via,
    course: &mut Course,
) -> Result<(), Verdict> {
    let area = update.device.filesystem.map(|area| match core >= WHOLE_BLOCKS {
        true => area.whole_blocks(),
        false => area.bytes,
    });
    let driver = Driver {
        area,
        blocks: update.device.filesystem.and_then(|area| area.block_bytes),
        usual_blocks: &[4096, 8192],
        compares_blocks: core >= COMPARES_BLOCKS,
        knows_spiffs: true,
    };
    let atomic = update.device.atomic_fs_update;
    let area = driver.area.or_else(|| assumed_area(update, &driver, course));
    let driver = Driver { area, ..driver };
    if via == Via::Http {
        pull(update, area, course)?;
    }
    begin(update, via, area, course)?;
    end(update, via, course)?;
    let stored = if atomic { update.stored() } else { update.image };
    let content = match eboot::is_gzip(stored) && atomic && update.behaviour.gzip != GzipSupport::Refused {
        false => Cow::Borrowed(stored),
        true => {
            let unpacked = update.unpacked()?;
            if let Some(size) = area.filter(|&size| unpacked.stated > size) {
                let raw = unpacked.stated;
                return Err(Verdict::Bricks { reason: Reason::BeyondArea { raw, size } });
            }
            Cow::Borrowed(&unpacked.content[..])
        }
    };
    let written = Written::new(&content, !atomic);
    driver.mount(&written, course).map_err(|why| {
        let why = match why {
            Unmountable::Compressed { .. } => Unmountable::Compressed { inflated_if_atomic: !atomic },
            why => why,
        };
        Verdict::InstallsButWillNotBoot { reason: Reason::Mount(why) }
    })
}

/// The size of the one area in which this image can be mounted, where the device's is not known.
fn assumed_area(update: &Update<'_>, driver: &Driver, course: &mut Course) -> Option<u32> {
    let atomic = update.device.atomic_fs_update;
    let size = match eboot::is_gzip(update.image) {
        true if !atomic => None,
        true => {
            let content = layers::unpack(update.image).ok();
            content.and_then(|layers| driver.fits(&Written::new(&layers.plain, false)))
        }
        false => driver.fits(&Written::new(update.image, !atomic)),
    };
    course.assume(size.map_or(Assumption::FileSystemRoom, Assumption::FileSystemOf));
    size
}

/// What `ESP8266HTTPUpdate::updateFS` asks after a status of 200.
fn pull(update: &Update<'_>, area: Option<u32>, course: &mut Course) -> Result<(), Verdict> {
    if update.image.is_empty() {
        return errors::refuse_pull(-101, Reason::Empty);
    }
    if let Some(reason) = too_large(update, update.image.len() as u64, area) {
        return errors::refuse_pull(-100, reason);
    }
    course.passed("pull");
    Ok(())
}

/// `Updater::begin` for `U_FS`.
fn begin(update: &Update<'_>, via: Via, area: Option<u32>, course: &mut Course) -> Result<(), Verdict> {
    let behaviour = &update.behaviour;
    let sent = update.image.len() as u64;
    // The form announces the whole filesystem.
    let announced = match (via, area) {
        (Via::Form, Some(size)) => u64::from(size),
        _ => sent,
    };
    if announced == 0 && (via != Via::Form || area.is_some()) {
        let reason = if sent == 0 { Reason::Empty } else { Reason::NoFileSystem };
        return errors::refuse(behaviour, ERROR_SIZE, reason);
    }
    updater::running_header(update, course)?;
    if let Some(reason) = too_large(update, round_up(sent), area) {
        return errors::refuse(behaviour, ERROR_SPACE, reason);
    }
    if update.device.atomic_fs_update {
        stage(update, announced, course)?;
    }
    course.passed("space");
    Ok(())
}

/// With `ATOMIC_FS_UPDATE` the file needs room beside the running image too.
fn stage(update: &Update<'_>, announced: u64, course: &mut Course) -> Result<(), Verdict> {
    let Some(flash) = update.device.flash else {
        course.assume(Assumption::Space);
        return Ok(());
    };
    if flash.installed.is_none() {
        course.assume(Assumption::SpaceBesideInstalled);
    }
    match flash.staged_at(announced) {
        Ok(_) => Ok(()),
        Err(Misfit::NoSpace { needed, free }) => {
            let reason = Reason::Staging { needed, free };
            errors::refuse(&update.behaviour, ERROR_SPACE, reason)
        }
        Err(misfit) => errors::refuse(&update.behaviour, ERROR_SPACE, Reason::Misfit(misfit)),
    }
}

/// `Updater::end`. `_verifyEnd` asks nothing about a filesystem.
fn end(update: &Update<'_>, via: Via, course: &mut Course) -> Result<(), Verdict> {
    let behaviour = &update.behaviour;
    let is_short = (update.image.len() as u64) < SECTOR;
    if behaviour.counts_sectors && via == Via::Form && is_short {
        return errors::refuse(behaviour, ERROR_NO_DATA, Reason::TooShortForForm);
    }
    if update.image.is_empty() {
        return Err(Verdict::KeepsTheOld { reason: Reason::Empty });
    }
    if update.device.profile.verifies() {
        update.payload().map_err(|verdict| overwritten(update, verdict))?;
        course.passed("signature");
    } else if via == Via::Http {
        course.assume(Assumption::Md5Sent);
    }
    Ok(())
}

/// Says that the old filesystem is gone, although the device refuses the new one.
fn overwritten(update: &Update<'_>, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Refuses { code, prints, reason } if !update.device.atomic_fs_update => {
            Verdict::Refuses { code, prints, reason: Reason::Overwritten(Box::new(reason)) }
        }
        verdict => verdict,
    }
}

fn too_large(update: &Update<'_>, needed: u64, area: Option<u32>) -> Option<Reason> {
    let size = area.filter(|&size| needed > u64::from(size))?;
    let signed = image::trailer_of(update.image).is_some();
    Some(Reason::FileSystemFull { needed, size, signed })
}

/// Runs one way of delivery to an arduino-pico.
pub(super) fn pico(update: &Update<'_>, via: Via, course: &mut Course) -> Result<(), Verdict> {
    let behaviour = &update.behaviour;
    let driver = Driver {
        area: update.device.filesystem.map(|area| area.bytes),
        blocks: Some(4096),
        usual_blocks: &[4096],
        compares_blocks: true,
        knows_spiffs: false,
    };
    let written = Written::new(update.image, true);
    let area = driver.area.or_else(|| {
        let size = driver.fits(&written);
        course.assume(size.map_or(Assumption::FileSystemRoom, Assumption::FileSystemOf));
        size
    });
    if let Some(reason) = too_large(update, update.image.len() as u64, area) {
        return match via {
            Via::Http => errors::refuse_pull(-100, reason),
            Via::Espota | Via::Form => errors::refuse(behaviour, ERROR_SPACE, reason),
        };
    }
    course.passed("space");
    if update.device.profile.verifies() && via != Via::Form {
        if via == Via::Http {
            course.assume(Assumption::Md5Sent);
        }
        // With a key, the updater feeds nothing of a filesystem to the MD5, and compares it all the same.
        let prints = format!("ERROR[{ERROR_MD5}]: MD5 Failed: expected:{}", Md5Digest::of(update.image));
        let reason = Reason::Overwritten(Box::new(Reason::Md5NotComputed));
        return Err(Verdict::Refuses { code: Some(ERROR_MD5), prints, reason });
    }
    let driver = Driver { area, ..driver };
    driver
        .mount(&written, course)
        .map_err(|why| Verdict::InstallsButWillNotBoot { reason: Reason::Mount(why) })
}

#[cfg(test)]
mod tests;
