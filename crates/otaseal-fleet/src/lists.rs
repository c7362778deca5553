//! Lists of devices and releases that come from elsewhere or go there: CSV, JSON, and the data of homie-ota.
//!
//! Everything here is a value until the service stores it. What comes in is bounded and has its errors by line, so that a
//! person can mend the list.

pub mod csv;
pub mod export;
pub mod homie_ota;

use otaseal::device::homie::is_printable;
use otaseal::profile::Updater;
use otaseal_delivery::device::Family;

/// Most devices of a list.
pub const MAX_DEVICES: usize = 1_000_000;

/// Most faults that are told of one list.
pub const MAX_FAULTS: usize = 100;

/// Longest name, site, board or chip id of a device, in bytes.
pub const MAX_TEXT: usize = 100;

/// Longest note, in bytes.
pub const MAX_NOTE: usize = 1_000;

/// Most tags of a device.
pub const MAX_TAGS: usize = 32;

/// Longest tag, in bytes.
pub const MAX_TAG: usize = 50;

/// Checks a text that a person writes: bounded and printable.
///
/// # Errors
/// A sentence whose subject is the text.
fn checked(text: &str, most: usize) -> Result<String, String> {
    let text = text.trim();
    if text.len() > most {
        return Err(format!("is longer than {most} bytes"));
    }
    match text.chars().all(is_printable) {
        true => Ok(text.to_owned()),
        false => Err("has characters that nobody sees".into()),
    }
}

/// Tags of a text: words with blanks, commas or semicolons between them. Sorted, without doubles.
///
/// # Errors
/// A sentence whose subject is the text.
fn tags(text: &str) -> Result<Vec<String>, String> {
    let words =
        text.split(|it: char| it.is_whitespace() || ",;".contains(it)).filter(|word| !word.is_empty());
    let mut tags = words.map(|word| checked(word, MAX_TAG)).collect::<Result<Vec<_>, _>>()?;
    tags.sort();
    tags.dedup();
    match tags.len() <= MAX_TAGS {
        true => Ok(tags),
        false => Err(format!("has more than {MAX_TAGS} tags")),
    }
}

/// The family of devices with this updater.
fn family_of(updater: Updater) -> Option<Family> {
    match updater {
        Updater::Esp8266(_) | Updater::HomieMqtt(_) | Updater::Tasmota => Some(Family::Esp8266),
        Updater::Esp32(_) => Some(Family::Esp32),
        Updater::Pico => Some(Family::Rp2040),
        _ => None,
    }
}

/// The name of a family in lists and filters.
fn family_name(family: Family) -> &'static str {
    match family {
        Family::Esp8266 => "esp8266",
        Family::Esp32 => "esp32",
        Family::Rp2040 => "rp2040",
    }
}

fn family_named(name: &str) -> Option<Family> {
    let all = [Family::Esp8266, Family::Esp32, Family::Rp2040];
    all.into_iter().find(|family| family_name(*family).eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
