//! Homie's push over MQTT: it looks at the first bytes, calls the Updater of its core, and renames the errors.
//!
//! Source: homieiot/homie-esp8266 `src/Homie/Boot/BootNormal.cpp`, seen running in 3.0.1 and develop.

use super::errors::{ERROR_MAGIC, ERROR_MD5, ERROR_NEW_FLASH_CONFIG, ERROR_SIZE, ERROR_SPACE};
use super::update::{Course, Update};
use super::updater::{self, Caller};
use super::{Reason, Verdict};

pub(super) fn judge(update: &Update<'_>, course: &mut Course) -> Result<(), Verdict> {
    match update.image {
        [0xE9, ..] => {}
        // MQTT has no first chunk to answer.
        [] => return refuse("no status", Reason::Empty),
        [b'6', b'Q'..=b'Z' | b'a'..=b'f', ..] => {
            return Err(Verdict::Unknown { reason: Reason::HomieBase64 });
        }
        _ => return refuse("400 BAD_FIRMWARE", Reason::HomieFirstByte),
    }
    course.passed("Homie's first byte");
    updater::judge(update, Caller::Homie, course).map_err(|verdict| match verdict {
        Verdict::Refuses { code: Some(code), reason, .. } => {
            let prints = match code {
                ERROR_SIZE | ERROR_MAGIC | ERROR_NEW_FLASH_CONFIG => "400 BAD_FIRMWARE".into(),
                ERROR_MD5 => "400 BAD_CHECKSUM".into(),
                ERROR_SPACE => "400 NOT_ENOUGH_SPACE".into(),
                code => format!("500 INTERNAL_ERROR {code}"),
            };
            Verdict::Refuses { code: Some(code), prints, reason }
        }
        other => other,
    })
}

fn refuse(prints: &str, reason: Reason) -> Result<(), Verdict> {
    Err(Verdict::Refuses { code: None, prints: prints.into(), reason })
}
