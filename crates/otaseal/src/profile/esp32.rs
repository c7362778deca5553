//! arduino-esp32: the `Update` class, its callers, and the check of the image before esp-idf switches to it.
//!
//! A file goes into the program partition that does not run. `HTTPUpdate` looks at the length and the first byte;
//! `ArduinoOTA` goes straight to `Update`; the form of `HTTPUpdateServer` does not know the length, and announces the
//! partition less one sector. At the end, `esp_ota_set_boot_partition` reads the image once more: the chip, the segments,
//! the checksum and the SHA-256 behind it. Bytes behind the image are not read. The MD5 that comes with a file is that of
//! the file, so it never fails here.
//!
//! **No profile of this family checks a signature.** arduino-esp32 does so only if it was built with `UPDATE_SIGN`, and
//! only with a layout of its own: RSA-PSS or ECDSA in the last 512 bytes. Releases up to 3.3.7 then accept everything.
//! Later ones refuse every file that otaseal signs, with error 14; that the device was built without it is an assumption.
//! So `esp32@3.x/unsigned` is another name for `esp32@3.x`, and otaseal's trailer is bytes behind an image.
//!
//! Read, not run; the versions are those of the stored texts, which no tag names:
//! - espressif/arduino-esp32 `libraries/Update/src/Updater.cpp`: commits `097673f6` (1.0) and `0166ae3b` (3.0);
//!   tasmota/arduino-esp32 `08ab55e0` (2.0). `libraries/HTTPUpdate` `c2ad6750`, `libraries/HTTPUpdateServer` `ba0e094c`,
//!   `libraries/ArduinoOTA` `2d0a597e`;
//! - esp-idf `esp_ota_ops.c` `03fa63b0`, `esp_image_format.c` `002cd296`, `bootloader_utility.c`.
//!
//! Not judged, because only the chip knows it: the revision of the chip (an assumption) and of its eFuse block. Not
//! judged either: whether a segment stands in the file as the flash cache needs it, which every build tool takes care of.

mod core;
mod partitions;

pub use self::core::Esp32Core;
pub use self::partitions::{PartitionScheme, SCHEMES, Slots, UnknownScheme};

use super::fit::SECTOR;
use super::update::{Course, Update};
use super::{Assumption, Device, Reason, Verdict, Via};
use crate::format::image::{Esp32Image, Kind};

// Error numbers of `Update.h`. From 8 on, they are not those of the ESP8266.
const ERROR_READ: i16 = 3;
const ERROR_SPACE: i16 = 4;
const ERROR_SIZE: i16 = 5;
const ERROR_MAGIC_BYTE: i16 = 8;
const ERROR_ACTIVATE: i16 = 9;
const ERROR_NO_PARTITION: i16 = 10;
const ERROR_DECRYPT: i16 = 13;

/// Offset of the partition table, and its first bytes.
const TABLE: (usize, [u8; 2]) = (0x8000, [0xAA, 0x50]);

pub(super) fn judge(
    update: &Update<'_>,
    core: Esp32Core,
    via: Via,
    course: &mut Course,
) -> Result<(), Verdict> {
    let job = Job { update, core, via, slot: Slot::of(update.device) };
    if via == Via::Http {
        job.pull(course)?;
    }
    job.begin(course)?;
    job.write(course)?;
    job.activate(course)
}

/// Where an update is written.
#[derive(Clone, Copy)]
enum Slot {
    /// A partition of unknown size.
    Unknown,
    /// A partition of this many bytes.
    Free(u32),
    /// The partition that runs.
    Running(u32),
    /// None.
    Missing,
}

impl Slot {
    /// A device reports the size of its partition as its free space (`Esp.cpp`, `getFreeSketchSpace`).
    fn of(device: &Device<'_>) -> Self {
        match (device.free_bytes, device.partitions) {
            (Some(0), _) => Self::Missing,
            (Some(bytes), _) => Self::Free(bytes),
            (None, Some(PartitionScheme { slots: Slots::Two, app_bytes, .. })) => Self::Free(app_bytes),
            (None, Some(PartitionScheme { slots: Slots::One, app_bytes, .. })) => Self::Running(app_bytes),
            (None, Some(PartitionScheme { slots: Slots::Factory, .. })) => Self::Missing,
            (None, None) => Self::Unknown,
        }
    }

    fn bytes(self) -> Option<u64> {
        match self {
            Self::Free(bytes) | Self::Running(bytes) => Some(bytes.into()),
            Self::Unknown | Self::Missing => None,
        }
    }
}

/// One update by one way.
struct Job<'u> {
    update: &'u Update<'u>,
    core: Esp32Core,
    via: Via,
    slot: Slot,
}

impl Job<'_> {
    fn image(&self) -> &[u8] {
        self.update.image
    }

    fn len(&self) -> u64 {
        self.image().len() as u64
    }

    /// What `HTTPUpdate::handleUpdate` asks after a status of 200.
    fn pull(&self, course: &mut Course) -> Result<(), Verdict> {
        let refuse = |code: i16, text: &str, reason| {
            Err(Verdict::Refuses { code: Some(code), prints: format!("{code}: {text}"), reason })
        };
        if self.image().is_empty() {
            return refuse(-101, "Server Did Not Report Size", Reason::Empty);
        }
        if matches!(self.slot, Slot::Missing) {
            let reason = Reason::NoUpdatePartition;
            // 1.x asks only whether there is enough space.
            return match self.core.major {
                1 => refuse(-100, "Not Enough space", reason),
                _ => refuse(-108, "Partition Could Not be Found", reason),
            };
        }
        if let Some(size) = self.slot.bytes().filter(|size| self.len() > *size) {
            return refuse(-100, "Not Enough space", self.too_long(size));
        }
        if !self.image().starts_with(&[0xE9]) {
            return refuse(-106, "Verify Bin Header Failed", self.no_image());
        }
        course.passed("pull");
        Ok(())
    }

    /// `UpdateClass::begin`, and for the form the end of the announced space.
    fn begin(&self, course: &mut Course) -> Result<(), Verdict> {
        // The form calls `begin((free - 0x1000) & 0xFFFFF000)`.
        let announced = |bytes: u64| (bytes.saturating_sub(SECTOR)) / SECTOR * SECTOR;
        let is_form = self.via == Via::Form;
        if self.image().is_empty() && !is_form {
            return self.refuse(ERROR_SIZE, Reason::Empty);
        }
        match self.slot {
            Slot::Missing => return self.refuse(ERROR_NO_PARTITION, Reason::NoUpdatePartition),
            Slot::Unknown => {
                course.assume(Assumption::Partition);
                return Ok(());
            }
            Slot::Free(bytes) | Slot::Running(bytes) => {
                let size = u64::from(bytes);
                if is_form && self.len() > announced(size) {
                    return self.refuse(ERROR_SPACE, self.too_long(announced(size)));
                }
                if self.len() > size {
                    return self.refuse(ERROR_SIZE, self.too_long(size));
                }
            }
        }
        if matches!(self.slot, Slot::Running(_)) {
            // esp-idf aborts before it erases the program that runs. The cores are built so: the sdkconfig.h of 1.0
            // (commit 18c49d33) has SPI_FLASH_WRITING_DANGEROUS_REGIONS_ABORTS. Newer releases of 3.x see it in begin();
            // which was the first is not known.
            let prints = match self.core.major {
                1 | 2 => "abort() was called",
                _ => "Partition Could Not be Found, or abort() was called",
            };
            let reason = Reason::NoSecondPartition;
            return Err(Verdict::Refuses { code: None, prints: prints.into(), reason });
        }
        course.passed("space");
        Ok(())
    }

    /// `UpdateClass::_writeBuffer` with the first sector.
    fn write(&self, course: &mut Course) -> Result<(), Verdict> {
        let (image, reason) = (self.image(), || self.no_image());
        if image.starts_with(&[0xE9]) {
            course.passed("first byte");
            return Ok(());
        }
        // The form announces more than it sends, so the first sector waits until `end(true)`, which ignores that it
        // fails, and then finds no image.
        if self.via == Via::Form && self.len() <= SECTOR {
            return self.refuse(ERROR_READ, if image.is_empty() { Reason::Empty } else { reason() });
        }
        // 3.x takes a file with another first byte for an encrypted one, and has no key.
        self.refuse(if self.core.major < 3 { ERROR_MAGIC_BYTE } else { ERROR_DECRYPT }, reason())
    }

    /// `UpdateClass::end`, then `esp_ota_set_boot_partition`, and the boot loader at the next boot.
    fn activate(&self, course: &mut Course) -> Result<(), Verdict> {
        if self.core.may_verify() {
            course.assume(Assumption::NoUpdateSign);
        }
        let device = self.core.chip;
        let image = match self.update.kind() {
            Kind::Esp32(image) => image,
            Kind::Esp8266(_) => {
                return self.refuse(ERROR_ACTIVATE, Reason::OtherChip { image: "ESP8266", device });
            }
            _ => return self.refuse(ERROR_ACTIVATE, self.no_image()),
        };
        if image.header.chip != device {
            let image = image.header.chip.name();
            return self.refuse(ERROR_ACTIVATE, Reason::OtherChip { image, device });
        }
        if let Some(damage) = image.damage {
            return self.refuse(ERROR_ACTIVATE, Reason::DamagedEsp32 { damage });
        }
        if let Some(min) = image.header.min_chip_revision.filter(|min| min.0 > 0) {
            course.assume(Assumption::ChipRevision { min });
        }
        // A boot loader in the place of a program passes the checks, but it would be loaded over the running boot
        // loader, which refuses that (`verify_load_addresses`) and starts the program before it.
        if is_whole_flash(image, self.image()) {
            return Err(Verdict::KeepsTheOld { reason: Reason::WholeFlash });
        }
        course.passed("image");
        Ok(())
    }

    fn too_long(&self, size: u64) -> Reason {
        Reason::Partition { needed: self.len(), size }
    }

    fn no_image(&self) -> Reason {
        match self.update.kind() {
            Kind::Gzip => Reason::NoGzip,
            kind => Reason::NotEsp32 { found: kind.to_string() },
        }
    }

    /// An error of `Update`, in the words of `printError`, which has no number. The other two ways put words in front:
    /// `HTTPUpdate::getLastErrorString`, and the page of the form.
    fn refuse<T>(&self, code: i16, reason: Reason) -> Result<T, Verdict> {
        let text = match code {
            ERROR_READ => "Flash Read Failed",
            ERROR_SPACE => "Not Enough Space",
            ERROR_SIZE => "Bad Size Given",
            ERROR_MAGIC_BYTE => "Wrong Magic Byte",
            ERROR_ACTIVATE => "Could Not Activate The Firmware",
            ERROR_NO_PARTITION => "Partition Could Not be Found",
            _ => "Decryption error",
        };
        let prints = match self.via {
            Via::Espota => text.to_owned(),
            Via::Http | Via::Form => format!("Update error: {text}"),
        };
        Err(Verdict::Refuses { code: Some(code), prints, reason })
    }
}

/// Whether a file is a copy of the flash from address 0, as `esptool merge-bin` makes it for the chips whose boot loader
/// begins there. On the others such a file begins with the byte FF.
fn is_whole_flash(image: &Esp32Image, bytes: &[u8]) -> bool {
    let (at, magic) = TABLE;
    image.app.is_none() && bytes.get(at..at + magic.len()) == Some(&magic[..])
}

#[cfg(test)]
mod tests;
