//! Predicts what a device would do with an image: one of six verdicts, for each way of delivery.
//!
//! | profile | signature | gzip | gzip, signed | flash mode | payload, signed | Homie MD5 |
//! |---|---|---|---|---|---|---|
//! | `esp8266@` up to 2.4.1 | none | no | no | unchanged | any | checked |
//! | `esp8266@` 2.4.2 | none | no | no | patched | any | checked |
//! | `esp8266@` 2.5.0 to 2.5.2 | legacy | no | no | patched, then hashed | any | if unsigned |
//! | `esp8266@` 2.6.0 to 2.6.3 | DigestInfo | no | no | patched, then hashed | any | if unsigned |
//! | `esp8266@` 2.7.0 to 2.7.4 | DigestInfo | yes | bricks | patched, then hashed; gzip is not | any | if unsigned |
//! | `esp8266@` 3.0.0 to 3.0.2 | DigestInfo | yes | yes | patched, then hashed; gzip is not | any | void |
//! | `esp8266@` 3.1.0 to 3.1.2 | DigestInfo | yes | yes | patched, then hashed; gzip is not | multiple of 4 | void |
//! | `esp8266@` newer | DigestInfo | yes | yes | patched, then hashed; gzip is not | any | void |
//! | `arduino-pico` | DigestInfo | yes | yes | unchanged | any | - |
//! | `homie-mqtt@CORE` | as the core | no | no | as the core | as the core | as the core |
//! | `otaseal-device` | DigestInfo | - | - | unchanged | any | - |
//! | `esp32@CORE`, `esp32c3@CORE`, … | none | no | no | unchanged | any | - |
//! | `tasmota-esp8266` | none | yes | bricks | patched; gzip is not | any | - |
//!
//! A filesystem image has its own rules: see the module `filesystem`.
//!
//! [`judge`] runs the updater's own steps, in its order, and then the boot loader's. A device without a key
//! (`/unsigned`) checks no signature, and takes a trailer for part of the file. That is harmless behind a plain image,
//! and deadly behind a gzip. A chip of the ESP32 family, and Tasmota, are such devices with and without `/unsigned`.

pub mod devices;
mod eboot;
mod errors;
pub mod esp32;
mod filesystem;
pub mod fit;
mod homie;
mod own;
mod pico;
mod reason;
mod table;
mod tasmota;
mod update;
mod updater;
mod verdict;
mod way;

pub use esp32::{Esp32Core, PartitionScheme};
pub use filesystem::Unmountable;
pub use reason::{Assumption, Reason};
pub use table::{
    ARDUINO_ESP32, Behaviour, CORES, CoreVersion, Fact, GzipSupport, HomieMd5, NEWEST_CORE, OTASEAL_DEVICE,
    PICO, Profile, SignatureCheck, TASMOTA, UnknownProfile, Updater,
};
pub use verdict::{Device, Judgement, Verdict, WayVerdict};
pub use way::Via;

use self::update::{Course, Update};
use self::updater::Caller;
use crate::format::image::Content;

/// Returns what a device does with a file that is sent to it: as firmware, or as what [`Device::content`] says.
///
/// If the ways of delivery differ, [`Judgement::by_way`] has the verdict of each.
///
/// The image and the size to which it inflates, at most [`crate::format::gzip::lint::MAX_CONTENT`], bound the memory.
pub fn judge(image: &[u8], device: &Device<'_>) -> Judgement {
    let update = Update::new(image, device);
    let ways = device.ways();
    let run = |way: Option<Via>| {
        let mut course = Course::default();
        let is_filesystem = device.content == Content::Filesystem;
        let verdict = match (device.profile.updater, way) {
            (Updater::Esp8266(core), Some(via)) if is_filesystem => {
                filesystem::esp8266(&update, core, via, &mut course)
            }
            (Updater::Pico, Some(via)) if is_filesystem && !image.is_empty() => {
                filesystem::pico(&update, via, &mut course)
            }
            (Updater::Esp32(_), _) if is_filesystem => {
                Err(Verdict::Unknown { reason: Reason::FileSystemNotJudged })
            }
            (Updater::Esp8266(_), Some(via)) => updater::judge(&update, Caller::Via(via), &mut course),
            (Updater::Pico, Some(via)) => pico::judge(&update, via, &mut course),
            (Updater::Esp32(core), Some(via)) => esp32::judge(&update, core, via, &mut course),
            (Updater::Tasmota, Some(via)) => tasmota::judge(&update, via, &mut course),
            (Updater::HomieMqtt(_), _) => homie::judge(&update, &mut course),
            _ => own::judge(&update, &mut course),
        };
        let Course { passed, assumed } = course;
        let verdict = verdict.err().unwrap_or(Verdict::Accepts).of_file(image);
        Judgement { passed, assumed, ..Judgement::of(verdict) }
    };
    if ways.is_empty() {
        return match device.profile.ways() {
            [] => run(None),
            _ => Judgement::of(Verdict::Unknown { reason: Reason::NoSuchWay }),
        };
    }
    Judgement::of_ways(ways.iter().map(|&via| (via, run(Some(via)))).collect(), device.via.is_some())
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
