//! Tasmota on an ESP8266: its web form, and its pull. It never checks a signature.
//!
//! The form has checks and texts of its own, and then announces the whole free space less one sector to the core's
//! Updater, as `ESP8266HTTPUpdateServer` does. The pull (`Upgrade 1`) is `ESPhttpUpdate`. Tasmota takes gzip since 8.2.0;
//! older versions have no profile.
//!
//! Tasmota's builds for 1 MiB have at most 995,326 bytes (`boards/esp8266_1M.json`), and the free space beside one is
//! less than that. So a pull that finds too little space installs the file with `-minimal` in its name first
//! (`support_tasmota.ino`: after -100 and -107), and its form needs that step by hand.
//!
//! Read, not run: arendst/Tasmota `xdrv_01_9_webserver.ino` (`HandleUploadLoop`) commit `02504a89`,
//! `support_tasmota.ino` commit `3fb12310`. Assumed: the Updater and eboot of Tasmota's fork, which has the number 2.7.4
//! and more, do as core 2.7.4 does. Its text was not found.

use super::errors::{ERROR_FLASH_CONFIG, ERROR_SIZE, ERROR_SPACE};
use super::fit::Misfit;
use super::update::{Course, Update};
use super::updater::{self, Caller};
use super::{Reason, Verdict, Via};

// Error numbers of the form, and their texts in English.
const NO_SPACE: (i16, &str) = (2, "Not enough space");
const NO_MAGIC: (i16, &str) = (3, "Magic byte is not 0xE9");
const LARGER_CHIP: (i16, &str) = (4, "Program flash size is larger than real flash size");
const FAILED: (i16, &str) = (6, "Upload failed. Enable logging 3");

pub(super) fn judge(update: &Update<'_>, via: Via, course: &mut Course) -> Result<(), Verdict> {
    if via == Via::Form {
        return form(update, course);
    }
    updater::judge(update, Caller::Via(via), course).map_err(|verdict| match verdict {
        // As MQTT has it: {"Upgrade":"Failed Not Enough space"}.
        Verdict::Refuses { code: Some(code), prints, reason } => {
            let text = match prints.strip_prefix(&format!("{code}: ")) {
                Some(text) => format!("Failed {text}"),
                None => format!("Failed Update error: {prints}"),
            };
            Verdict::Refuses { code: Some(code), prints: text, reason: with_minimal(reason) }
        }
        other => other,
    })
}

/// `HandleUploadLoop`: its own checks of the first block, then the Updater.
fn form(update: &Update<'_>, course: &mut Course) -> Result<(), Verdict> {
    match update.image {
        [0xE9, ..] => {
            if let Some(reason) = updater::larger_chip(update, update.image, course) {
                return refuse(LARGER_CHIP, reason);
            }
        }
        [0x1F, ..] => {}
        // Without a first block, what stands in the buffer is not known. It is refused in either case.
        [] => return refuse(FAILED, Reason::Empty),
        _ => return refuse(NO_MAGIC, Reason::Magic),
    }
    course.passed("Tasmota's first block");
    updater::judge(update, Caller::Via(Via::Form), course).or_else(|verdict| match verdict {
        Verdict::Refuses { code: Some(ERROR_SPACE | ERROR_SIZE | ERROR_FLASH_CONFIG), reason, .. } => {
            refuse(NO_SPACE, with_minimal(reason))
        }
        Verdict::Refuses { reason, .. } => refuse(FAILED, reason),
        other => Err(other),
    })
}

fn with_minimal(reason: Reason) -> Reason {
    match reason {
        Reason::Misfit(misfit @ Misfit::NoSpace { .. }) => Reason::BesideTasmota(misfit),
        other => other,
    }
}

fn refuse((code, text): (i16, &str), reason: Reason) -> Result<(), Verdict> {
    Err(Verdict::Refuses { code: Some(code), prints: text.into(), reason })
}

#[cfg(test)]
mod tests;
