//! The errors of the esp8266 core: their numbers and their words. arduino-pico has the same numbers.
//!
//! Sources: esp8266/Arduino `cores/esp8266/Updater.h` and `Updater.cpp` (`printError`), `libraries/ESP8266httpUpdate`.

use super::{Behaviour, Reason, Verdict};

// Error numbers of `Updater.h`.
pub(super) const ERROR_SPACE: i16 = 4;
pub(super) const ERROR_SIZE: i16 = 5;
pub(super) const ERROR_MD5: i16 = 7;
pub(super) const ERROR_FLASH_CONFIG: i16 = 8;
pub(super) const ERROR_NEW_FLASH_CONFIG: i16 = 9;
pub(super) const ERROR_MAGIC: i16 = 10;
pub(super) const ERROR_SIGN: i16 = 12;
pub(super) const ERROR_NO_DATA: i16 = 13;

pub(super) const NOT_ENOUGH_SPACE: &str = "Not Enough Space";

/// An error of the Updater, in the words of `printError`.
pub(super) fn refuse<T>(behaviour: &Behaviour, code: i16, reason: Reason) -> Result<T, Verdict> {
    let text = match (code, behaviour.newer_texts) {
        (ERROR_SPACE, _) => NOT_ENOUGH_SPACE,
        (ERROR_SIZE, _) => "Bad Size Given",
        (ERROR_MAGIC, true) => "Magic byte is not 0xE9",
        (ERROR_MAGIC, false) => "Magic byte is wrong, not 0xE9",
        (ERROR_NO_DATA, _) => "No data supplied",
        _ => "Signature verification failed",
    };
    Err(error(code, text, reason))
}

pub(super) fn error(code: i16, text: &str, reason: Reason) -> Verdict {
    Verdict::Refuses { code: Some(code), prints: format!("ERROR[{code}]: {text}"), reason }
}

/// An error of `ESP8266HTTPUpdate`, in the words of `getLastErrorString`.
pub(super) fn refuse_pull<T>(code: i16, reason: Reason) -> Result<T, Verdict> {
    let text = match code {
        -100 => "Not Enough space",
        -101 => "Server Did Not Report Size",
        -106 => "Verify Bin Header Failed",
        _ => "New Binary Does Not Fit Flash Size",
    };
    Err(Verdict::Refuses { code: Some(code), prints: format!("{code}: {text}"), reason })
}
