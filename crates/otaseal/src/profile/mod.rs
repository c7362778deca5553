//! Predicts what a device would do with an image: accept it, refuse it with an error, or be bricked by it.
//!
//! | profile | signature | gzip | gzip, signed | flash mode | payload | Homie MD5 |
//! |---|---|---|---|---|---|---|
//! | `esp8266@` up to 2.4.2 | none | no | no | patched | any | checked |
//! | `esp8266@` 2.5.0 to 2.5.2 | legacy | no | no | patched, then hashed | multiple of 4 | if unsigned |
//! | `esp8266@` 2.6.0 to 2.6.3 | DigestInfo | no | no | patched, then hashed | multiple of 4 | if unsigned |
//! | `esp8266@` 2.7.0 to 2.7.4 | DigestInfo | yes | bricks | patched, then hashed; gzip is not | multiple of 4 | if unsigned |
//! | `esp8266@` 3.0.0 to 3.1.2 | DigestInfo | yes | yes | patched, then hashed; gzip is not | multiple of 4 | void |
//! | `esp8266@` newer | DigestInfo | yes | yes | patched, then hashed; gzip is not | any | void |
//! | `arduino-pico` | DigestInfo | yes | yes | unchanged | any | - |
//! | `homie-mqtt@CORE` | as the core | no | no | as the core | as the core | as the core |
//! | `otaseal-device` | DigestInfo | - | - | unchanged | any | - |
//!
//! [`judge`] runs the updater's own steps, in its order. A device without a key (`/unsigned`) checks no signature, and
//! takes a trailer for part of the file. That is harmless behind a plain image, and deadly behind a gzip.

pub mod devices;
pub mod fit;
mod reason;
mod table;
mod verdict;

pub use reason::{Assumption, Reason};
pub use table::{
    Behaviour, CORES, CoreVersion, GzipSupport, HomieMd5, NEWEST_CORE, OTASEAL_DEVICE, PICO, Profile,
    SignatureCheck, UnknownProfile, Updater,
};
pub use verdict::{Device, Judgement, Verdict};

use std::borrow::Cow;

use otaseal_device::{MetadataBlock, Reject, layout};

use self::fit::Misfit;
use crate::format::gzip;
use crate::format::gzip::lint::{self as gzip_lint, GzipFinding, GzipSeverity};
use crate::format::image::{self, Esp8266File, Kind, esp8266::FlashMode};
use crate::key::PublicKey;
use crate::sign::Scheme;
use crate::sign::verify;

/// Returns what a device does with a file that is sent to it as firmware.
///
/// The image and the size to which it inflates, at most [`gzip_lint::MAX_CONTENT`], bound the memory.
pub fn judge(image: &[u8], device: &Device<'_>) -> Judgement {
    let mut course =
        Course { image, device, behaviour: device.profile.behaviour(), passed: vec![], assumed: vec![] };
    let verdict = match device.profile.updater {
        Updater::Esp8266(_) => course.esp8266(),
        Updater::HomieMqtt(_) => course.homie(),
        Updater::Pico => course.pico(),
        Updater::OtasealDevice => course.otaseal_device(),
    };
    let verdict = verdict.err().unwrap_or(Verdict::Accepts);
    Judgement { verdict, passed: course.passed, assumed: course.assumed }
}

/// Error numbers of esp8266/Arduino `Updater.h`.
const ERROR_SPACE: u8 = 4;
const ERROR_SIZE: u8 = 5;
const ERROR_NEW_FLASH_CONFIG: u8 = 9;
const ERROR_MAGIC: u8 = 10;
const ERROR_SIGN: u8 = 12;

struct Course<'a> {
    image: &'a [u8],
    device: &'a Device<'a>,
    behaviour: Behaviour,
    passed: Vec<&'static str>,
    assumed: Vec<Assumption>,
}

impl<'a> Course<'a> {
    /// `Updater::begin`, `writeStream` and `end`, then eboot at the next boot.
    fn esp8266(&mut self) -> Result<(), Verdict> {
        if self.image.is_empty() {
            return self.refuse(ERROR_SIZE, Reason::Empty);
        }
        self.space()?;
        self.passed("space");
        match self.image {
            [0xE9, ..] => {}
            [0x1F, ..] if self.behaviour.gzip != GzipSupport::Refused => {}
            [0x1F, ..] => {
                return self.refuse(ERROR_MAGIC, Reason::NoGzip);
            }
            _ => {
                return self.refuse(ERROR_MAGIC, Reason::FirstByte);
            }
        }
        self.passed("first byte");
        let image = self.patched();
        let stored = if self.device.profile.verifies() {
            self.assume_flash_mode();
            let payload = self.signature(&image)?;
            self.passed("signature");
            // Older cores leave the trailer in place, and the boot loader sees it.
            if self.behaviour.gzip == GzipSupport::Works { payload } else { &image }
        } else {
            &image
        };
        self.header()?;
        self.passed("header");
        self.eboot(stored)?;
        self.passed("boot loader");
        Ok(())
    }

    /// `Updater::begin`: the whole file, trailer included, in sectors.
    fn space(&mut self) -> Result<(), Verdict> {
        let Some(flash) = self.device.flash else {
            self.assume(Assumption::Space);
            return Ok(());
        };
        if flash.installed.is_none() {
            self.assume(Assumption::SpaceBesideInstalled);
        }
        // This answers only the Updater's question: a plain image is never inflated.
        match fit::check(&[], self.image.len() as u64, &flash) {
            Err(error @ Misfit::NoSpace { .. }) => self.refuse(ERROR_SPACE, Reason::Misfit(error)),
            _ => Ok(()),
        }
    }

    /// `Updater::_writeBuffer`: on its way to the flash, byte 2 of a plain image becomes the device's flash mode.
    fn patched(&self) -> Cow<'a, [u8]> {
        let mut image = Cow::Borrowed(self.image);
        if !self.behaviour.patches_flash_mode || self.image.first() == Some(&0x1F) {
            return image;
        }
        if let (Some(&byte), Some(mode)) = (self.image.get(2), self.device.flash_mode)
            && byte != mode as u8
        {
            image.to_mut()[2] = mode as u8;
        }
        image
    }

    /// The device hashes the image after it patched the flash mode. So if the device's mode is unknown, this assumes
    /// the image's.
    fn assume_flash_mode(&mut self) {
        if let (None, [0xE9, _, byte, ..]) = (self.device.flash_mode, self.image)
            && let Some(mode) = FlashMode::from_byte(*byte)
        {
            self.assume(Assumption::FlashModeOfImage(mode));
        }
    }

    /// `Updater::end`. Returns the payload.
    fn signature<'i>(&self, stored: &'i [u8]) -> Result<&'i [u8], Verdict> {
        let scheme = match self.behaviour.signature {
            SignatureCheck::Legacy => Scheme::Legacy,
            _ => Scheme::Pkcs1v15Sha256,
        };
        let guess = image::trailer(
            &stored[stored.len().saturating_sub(layout::LENGTH_FIELD_LEN)..],
            stored.len() as u64,
        );
        let Some(key) = self.device.key else {
            return match guess {
                None => self.refuse(ERROR_SIGN, Reason::NotSigned { key_given: false }),
                Some(_) => Err(Verdict::Unknown { reason: Reason::KeyNotGiven { may_check_nothing: true } }),
            };
        };
        let judged = verify::judge_bytes(stored, key, scheme);
        let accepted = match judged {
            Ok(accepted) => accepted,
            Err(reject) => {
                let reason = self.why_rejected(stored, key, scheme, guess.is_some(), reject);
                return self.refuse(ERROR_SIGN, reason);
            }
        };
        if self.behaviour.needs_aligned_payload && accepted.payload_len % 4 != 0 {
            return self.refuse(ERROR_SIGN, Reason::Misaligned { payload_len: accepted.payload_len });
        }
        Ok(&stored[..accepted.payload_len])
    }

    fn why_rejected(
        &self,
        stored: &[u8],
        key: &PublicKey,
        scheme: Scheme,
        signed: bool,
        reject: Reject,
    ) -> Reason {
        if !signed {
            return Reason::NotSigned { key_given: true };
        }
        let other = match scheme {
            Scheme::Pkcs1v15Sha256 => Scheme::Legacy,
            Scheme::Legacy => Scheme::Pkcs1v15Sha256,
        };
        if stored != self.image && verify::judge_bytes(self.image, key, scheme).is_ok() {
            return Reason::FlashModeHashed { image: self.image[2], device: stored[2] };
        }
        if verify::judge_bytes(stored, key, other).is_ok() {
            return Reason::OtherScheme { expected: scheme };
        }
        Reason::Rejected(reject)
    }

    /// `Updater::_verifyEnd`.
    fn header(&self) -> Result<(), Verdict> {
        match *self.image {
            [0x1F, 0x8B, ..] => Ok(()),
            [0xE9, ..] => {
                let stated = match image::identify(self.image) {
                    Kind::Esp8266(file) => file.first.header.flash_size_bytes,
                    _ => None,
                };
                match (stated, self.device.flash_bytes) {
                    (Some(stated), Some(real)) if stated > real => {
                        self.refuse(ERROR_NEW_FLASH_CONFIG, Reason::ChipSize { stated, real })
                    }
                    _ => Ok(()),
                }
            }
            _ => self.refuse(ERROR_MAGIC, Reason::Magic),
        }
    }

    /// eboot's `copy_raw` over the bytes that the Updater stored.
    fn eboot(&mut self, stored: &[u8]) -> Result<(), Verdict> {
        if !gzip::is_gzip(stored) {
            return runs(stored, "the image");
        }
        let content = self.inflated(stored)?;
        match self.device.flash {
            // The Updater laid out the staging area for the whole file.
            Some(flash) => {
                if let Err(error) = fit::check(stored, self.image.len() as u64, &flash) {
                    return bricks(Reason::Misfit(error));
                }
            }
            None => self.assume(Assumption::Unpacking),
        }
        runs(&content, "the image in the gzip")?;
        self.unpatched_mode(&content)
    }

    /// Inflates a gzip as a boot loader with uzlib does.
    fn inflated(&self, stored: &[u8]) -> Result<Vec<u8>, Verdict> {
        let tail = &stored[stored.len().saturating_sub(layout::LENGTH_FIELD_LEN)..];
        if let Some(guess) = image::trailer(tail, stored.len() as u64)
            && gzip::gunzip(&stored[..guess.payload_len as usize], gzip_lint::MAX_CONTENT).is_ok()
        {
            let verifies = self.device.profile.verifies();
            return bricks(Reason::TrailerBehindGzip { verifies, written: guess.signature_len });
        }
        let report = gzip_lint::lint(stored);
        match report.objection() {
            // uzlib has written nothing at this point.
            Some(finding @ GzipFinding::Header { .. }) => {
                Err(Verdict::Refuses { code: None, prints: "cp:5".into(), reason: Reason::Gzip(finding) })
            }
            Some(finding) if finding.severity() == GzipSeverity::Bricks => bricks(Reason::Gzip(finding)),
            _ => match report.content {
                Some(content) => Ok(content),
                None => unreachable!("what has no content has an objection that bricks"),
            },
        }
    }

    /// No updater patches the flash mode inside a gzip.
    fn unpatched_mode(&mut self, content: &[u8]) -> Result<(), Verdict> {
        let Some(mode) = content.get(2).and_then(|byte| FlashMode::from_byte(*byte)) else { return Ok(()) };
        match self.device.flash_mode {
            Some(device) if device == mode => Ok(()),
            // DOUT uses two lines for data and one for the address: every chip and every board can do that.
            Some(_) if mode == FlashMode::Dout => Ok(()),
            Some(device) => bricks(Reason::FlashMode { image: mode, device }),
            None => {
                self.assume(Assumption::FlashMode(mode));
                Ok(())
            }
        }
    }

    /// Homie looks at the first byte, and renames the Updater's errors.
    fn homie(&mut self) -> Result<(), Verdict> {
        match self.image {
            [0xE9, ..] => {}
            [b'6', b'Q'..=b'Z' | b'a'..=b'f', ..] => {
                return Err(Verdict::Unknown { reason: Reason::HomieBase64 });
            }
            _ => {
                return Err(Verdict::Refuses {
                    code: None,
                    prints: "400 BAD_FIRMWARE".into(),
                    reason: Reason::HomieFirstByte,
                });
            }
        }
        self.passed("Homie's first byte");
        self.esp8266().map_err(|verdict| match verdict {
            Verdict::Refuses { code: Some(code), reason, .. } => {
                let prints = match code {
                    ERROR_SIZE | ERROR_MAGIC | ERROR_NEW_FLASH_CONFIG => "400 BAD_FIRMWARE".into(),
                    ERROR_SPACE => "400 NOT_ENOUGH_SPACE".into(),
                    code => format!("500 INTERNAL_ERROR {code}"),
                };
                Verdict::Refuses { code: Some(code), prints, reason }
            }
            other => other,
        })
    }

    /// arduino-pico stores the update as a file, and checks only the signature.
    fn pico(&mut self) -> Result<(), Verdict> {
        if self.image.is_empty() {
            return self.refuse(ERROR_SIZE, Reason::Empty);
        }
        self.assume(Assumption::FileSystem);
        let stored = if self.device.profile.verifies() {
            let payload = self.signature(self.image)?;
            self.passed("signature");
            payload
        } else {
            self.image
        };
        let content =
            if gzip::is_gzip(stored) { Cow::Owned(self.inflated(stored)?) } else { Cow::Borrowed(stored) };
        match image::identify(&content) {
            kind @ (Kind::Elf(_) | Kind::Uf2(_) | Kind::IntelHex | Kind::Key(_) | Kind::Esp8266V2(_)) => {
                return bricks(Reason::NotFlashContents { found: kind.to_string() });
            }
            Kind::Esp8266(file) if file.is_intact() => {
                return bricks(Reason::ForEsp8266);
            }
            _ => {}
        }
        self.passed("boot loader");
        Ok(())
    }

    /// The verdict of this project's verifier, and the block that the device's update policy would read.
    fn otaseal_device(&mut self) -> Result<(), Verdict> {
        let Some(key) = self.device.key else {
            return Err(Verdict::Unknown { reason: Reason::KeyNotGiven { may_check_nothing: false } });
        };
        let refuse = |code: u8, reason: Reason| Verdict::Refuses {
            code: Some(code),
            prints: format!("{code}: {reason}"),
            reason,
        };
        let accepted = verify::judge_bytes(self.image, key, Scheme::Pkcs1v15Sha256)
            .map_err(|reject| refuse(reject.code(), Reason::Rejected(reject)))?;
        self.passed("signature");
        match MetadataBlock::of_unverified(&self.image[..accepted.payload_len]) {
            Ok(_) => {
                self.passed("metadata");
                Ok(())
            }
            Err(error) => Err(refuse(error.code(), Reason::Metadata(error))),
        }
    }

    fn passed(&mut self, step: &'static str) {
        self.passed.push(step);
    }

    fn assume(&mut self, what: Assumption) {
        self.assumed.push(what);
    }

    /// An error of the Updater, in the words of `printError`.
    fn refuse<T>(&self, code: u8, reason: Reason) -> Result<T, Verdict> {
        let text = match (code, self.behaviour.newer_texts) {
            (ERROR_SPACE, _) => "Not Enough Space".into(),
            (ERROR_SIZE, _) => "Bad Size Given".into(),
            (ERROR_NEW_FLASH_CONFIG, newer) => {
                let real = self.device.flash_bytes.unwrap_or(0);
                let words = if newer { ", real size: " } else { " real: " };
                format!("new Flash config wrong{words}{real}")
            }
            (ERROR_MAGIC, true) => "Magic byte is not 0xE9".into(),
            (ERROR_MAGIC, false) => "Magic byte is wrong, not 0xE9".into(),
            _ => "Signature verification failed".into(),
        };
        Err(Verdict::Refuses { code: Some(code), prints: format!("ERROR[{code}]: {text}"), reason })
    }
}

fn bricks<T>(reason: Reason) -> Result<T, Verdict> {
    Err(Verdict::Bricks { reason })
}

/// Tells whether the boot ROM and eboot can start the content that will stand at address 0. A signed plain image has
/// its trailer behind it, where nobody looks.
fn runs(content: &[u8], part: &'static str) -> Result<(), Verdict> {
    match image::identify(content) {
        Kind::Esp8266(file) if Esp8266File::is_intact(&file) => Ok(()),
        Kind::Esp8266(_) => bricks(Reason::Damaged { part }),
        kind => bricks(Reason::NotEsp8266 { part, found: kind.to_string() }),
    }
}

#[cfg(test)]
mod tests;
