//! The Updater of the esp8266 core: its checks, its error numbers, and its words.
//!
//! Each way of delivery asks its own questions first and ends in the same `Update` class. A pull looks at the length,
//! the first byte and the header's flash size before it writes anything. `ArduinoOTA` and the web form go straight to
//! the Updater. The form does not know the file's length: it opens an update of the whole free space less one sector.
//!
//! Sources: esp8266/Arduino `cores/esp8266/Updater.cpp` (`begin`, `_writeBuffer`, `end`, `_verifyEnd`),
//! `libraries/ESP8266httpUpdate`, `libraries/ESP8266HTTPUpdateServer`, `libraries/ArduinoOTA`. The order of the checks
//! and the codes were seen on the running code.

use super::eboot;
use super::errors::{
    ERROR_FLASH_CONFIG, ERROR_MAGIC, ERROR_MD5, ERROR_NEW_FLASH_CONFIG, ERROR_NO_DATA, ERROR_SIZE,
    ERROR_SPACE, NOT_ENOUGH_SPACE, error, refuse, refuse_pull,
};
use super::fit::{Misfit, SECTOR, round_up};
use super::update::{Course, Update};
use super::{Assumption, GzipSupport, HomieMd5, Reason, Verdict, Via};
use crate::format::digest::Md5Digest;
use crate::format::image::{self, esp8266::FlashMode};

/// A caller of the Updater.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Via(Via),
    Homie,
}

/// Offset at which the file is staged, where it is known.
type Staged = Option<u64>;

/// Runs one way of delivery: its own checks, `begin`, `end`, and the boot loader at the next boot.
pub(super) fn judge(update: &Update<'_>, caller: Caller, course: &mut Course) -> Result<(), Verdict> {
    if caller == Caller::Via(Via::Http) {
        pull(update, course)?;
    }
    let staged = begin(update, caller, course)?;
    end(update, caller, course)?;
    boot(update, staged, course)
}

/// What `ESP8266HTTPUpdate::handleUpdate` asks after a status of 200.
fn pull(update: &Update<'_>, course: &mut Course) -> Result<(), Verdict> {
    let image = update.image;
    if image.is_empty() {
        return refuse_pull(-101, Reason::Empty);
    }
    if let Some(flash) = update.device.flash
        && let Err(misfit) = flash.staged_at(image.len() as u64)
    {
        return refuse_pull(-100, Reason::Misfit(misfit));
    }
    // It peeks at four bytes.
    match image {
        [0xE9, _, _, _, ..] => {}
        [0x1F, _, _, _, ..] if update.behaviour.gzip != GzipSupport::Refused => {}
        [0x1F, _, _, _, ..] => return refuse_pull(-106, Reason::NoGzip),
        _ => return refuse_pull(-106, Reason::FirstByte),
    }
    if let Some(reason) = larger_chip(update, image, course) {
        return refuse_pull(-107, reason);
    }
    course.passed("pull");
    Ok(())
}

/// `Updater::begin`: the whole file, trailer included, in sectors.
fn begin(update: &Update<'_>, caller: Caller, course: &mut Course) -> Result<Staged, Verdict> {
    let behaviour = &update.behaviour;
    let sent = update.image.len() as u64;
    let knows_length = caller != Caller::Via(Via::Form);
    if sent == 0 && knows_length {
        return refuse(behaviour, ERROR_SIZE, Reason::Empty);
    }
    // The form calls `begin((free - 0x1000) & 0xFFFFF000)`.
    let announced = match update.device.flash {
        Some(flash) if !knows_length => flash.free().checked_sub(SECTOR),
        _ => Some(sent),
    };
    if announced == Some(0) && update.device.flash.is_some() {
        return refuse(behaviour, ERROR_SIZE, Reason::FormSpace);
    }
    running_header(update, course)?;
    let Some(flash) = update.device.flash else {
        course.assume(Assumption::Space);
        return Ok(None);
    };
    if flash.installed.is_none() {
        course.assume(Assumption::SpaceBesideInstalled);
    }
    let no_space = |misfit| Err(error(ERROR_SPACE, NOT_ENOUGH_SPACE, Reason::Misfit(misfit)));
    let Some(announced) = announced else {
        return no_space(Misfit::NoSpace { needed: SECTOR, free: 0 });
    };
    if !knows_length && sent > announced {
        // `write` takes no more than what was announced.
        return no_space(Misfit::NoSpace { needed: round_up(sent), free: announced });
    }
    let staged = match flash.staged_at(announced) {
        Ok(staged) => staged,
        Err(misfit) => return no_space(misfit),
    };
    course.passed("space");
    // The form's place follows from the length of the running image alone.
    Ok(Some(staged).filter(|_| knows_length || flash.installed.is_some()))
}

/// The Updater takes nothing if the header of the running image names a larger chip than the device has.
pub(super) fn running_header(update: &Update<'_>, course: &mut Course) -> Result<(), Verdict> {
    let (Some(stated), Some(real)) = (update.device.running_flash_bytes, update.device.flash_bytes) else {
        course.assume(Assumption::RunningHeader);
        return Ok(());
    };
    if stated <= real {
        return Ok(());
    }
    let text = if update.behaviour.newer_texts {
        format!("Flash config wrong: real: {real}, SDK: {stated}")
    } else {
        format!("Flash config wrong real: {real} IDE: {stated}")
    };
    Err(error(ERROR_FLASH_CONFIG, &text, Reason::RunningHeader { stated, real }))
}

/// `Updater::end`, then `_verifyEnd`.
fn end(update: &Update<'_>, caller: Caller, course: &mut Course) -> Result<(), Verdict> {
    let behaviour = &update.behaviour;
    // Only whole sectors count as progress, until the announced length is reached. The form announces more.
    if behaviour.counts_sectors && caller == Caller::Via(Via::Form) && (update.image.len() as u64) < SECTOR {
        return refuse(behaviour, ERROR_NO_DATA, Reason::TooShortForForm);
    }
    if update.device.profile.verifies() {
        if behaviour.patches_flash_mode
            && let Some(assumed) = update.assumed_flash_mode()
        {
            course.assume(assumed);
        }
        update.payload()?;
        course.passed("signature");
    } else {
        md5(update, caller, course)?;
    }
    match update.image {
        [0x1F, 0x8B, ..] if behaviour.gzip != GzipSupport::Refused => {}
        [0x1F, 0x8B, ..] => return refuse(behaviour, ERROR_MAGIC, Reason::NoGzip),
        [0xE9, ..] => {
            if let Some(reason) = larger_chip(update, update.image, course) {
                let real = update.device.flash_bytes.unwrap_or(0);
                let words = if behaviour.newer_texts { ", real size: " } else { " real: " };
                return Err(error(
                    ERROR_NEW_FLASH_CONFIG,
                    &format!("new Flash config wrong{words}{real}"),
                    reason,
                ));
            }
        }
        _ => return refuse(behaviour, ERROR_MAGIC, Reason::Magic),
    }
    course.passed("header");
    Ok(())
}

/// A device without a key compares the MD5 that came with the file. After it patched byte 2 for the flash, it restores
/// the byte for the MD5, but a byte that is no flash mode becomes FF.
fn md5(update: &Update<'_>, caller: Caller, course: &mut Course) -> Result<(), Verdict> {
    let checks = match caller {
        Caller::Via(Via::Http) => {
            course.assume(Assumption::Md5Sent);
            true
        }
        Caller::Via(Via::Espota) => true,
        Caller::Via(Via::Form) => false,
        Caller::Homie => matches!(update.behaviour.homie_md5, HomieMd5::Checked | HomieMd5::CheckedUnsigned),
    };
    let byte = update.image.get(2).copied().unwrap_or(0);
    if !checks || !update.is_patched() || byte == 0xFF || FlashMode::from_byte(byte).is_some() {
        return Ok(());
    }
    let expected = Md5Digest::of(update.image);
    let mut restored = update.image.to_vec();
    restored[2] = 0xFF;
    let calculated = Md5Digest::of(&restored);
    let text = if update.behaviour.newer_texts {
        format!("MD5 verification failed: expected: {expected}, calculated: {calculated}")
    } else {
        format!("MD5 Failed: expected:{expected}, calculated:{calculated}")
    };
    Err(error(ERROR_MD5, &text, Reason::NoFlashMode { byte }))
}

/// Tells whether a header names a larger chip than the device has. A size that the header's table does not know passes.
pub(super) fn larger_chip(update: &Update<'_>, image: &[u8], course: &mut Course) -> Option<Reason> {
    let stated = image::esp8266::stated_flash_bytes(image)?;
    match update.device.flash_bytes {
        Some(real) if stated > real => Some(Reason::ChipSize { stated, real }),
        Some(_) => None,
        None => {
            course.assume(Assumption::Chip(stated));
            None
        }
    }
}

/// eboot at the next boot, over the bytes that the Updater stored, and then the boot ROM.
fn boot(update: &Update<'_>, staged: Staged, course: &mut Course) -> Result<(), Verdict> {
    if !eboot::is_gzip(update.stored()) {
        // The bytes as built: the patched byte 2 is not covered by any checksum that is read.
        eboot::boots(update.kind(), "the image")?;
        course.passed("boot loader");
        return Ok(());
    }
    let unpacked = update.unpacked()?;
    match (staged, update.device.flash) {
        (Some(staged), Some(flash)) => {
            let (raw, fs_start) = (u64::from(unpacked.stated), u64::from(flash.fs_start));
            let brick = |misfit| Err(Verdict::Bricks { reason: Reason::Misfit(misfit) });
            if let Err(misfit) = unpacked.reading.check(staged, update.behaviour.erases_first) {
                return brick(misfit);
            }
            if round_up(raw) > fs_start {
                return brick(Misfit::BeyondFileSystem { raw, fs_start });
            }
        }
        _ => course.assume(Assumption::Unpacking),
    }
    let content = &unpacked.content;
    eboot::boots(&image::identify(content), "the image in the gzip")?;
    unpatched_mode(update, content, course)?;
    // Nothing looks into a gzip before it runs.
    if let Some(Reason::ChipSize { stated, real }) = larger_chip(update, content, course) {
        return Err(Verdict::LastUpdate { reason: Reason::LargerChip { stated, real } });
    }
    course.passed("boot loader");
    Ok(())
}

/// No updater patches the flash mode inside a gzip.
fn unpatched_mode(update: &Update<'_>, content: &[u8], course: &mut Course) -> Result<(), Verdict> {
    let Some(mode) = content.get(2).and_then(|byte| FlashMode::from_byte(*byte)) else { return Ok(()) };
    match update.device.flash_mode {
        Some(device) if device == mode => Ok(()),
        // DOUT uses two lines for data and one for the address: every chip and every board can do that.
        Some(_) if mode == FlashMode::Dout => Ok(()),
        Some(device) => Err(Verdict::Bricks { reason: Reason::FlashMode { image: mode, device } }),
        None => {
            course.assume(Assumption::FlashMode(mode));
            Ok(())
        }
    }
}
