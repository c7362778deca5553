//! Says why a device does not accept an image, and which facts about the device were assumed.

use std::fmt;

use otaseal_device::{MetadataError, Reject};
use serde::{Serialize, Serializer};

use super::Unmountable;
use super::fit::Misfit;
use crate::format::gzip::lint::GzipFinding;
use crate::format::image::esp32::{ChipRevision, Esp32Chip, Esp32Damage};
use crate::format::image::esp8266::{Damage, FlashMode};
use crate::sign::Scheme;

/// Why a device does not accept an image. `Display` is one line; it serialises as that text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The file has no bytes.
    Empty,
    /// The core cannot unpack gzip.
    NoGzip,
    /// The first byte is neither E9 nor, where the core knows gzip, 1F.
    FirstByte,
    /// The file does not fit, or the boot loader cannot unpack it where it lies.
    Misfit(Misfit),
    /// The file does not fit, and it is a gzip already.
    GzipMisfit(Misfit),
    /// The file is not signed.
    NotSigned {
        /// Whether the device's key is given. Without it, the device may be one that checks nothing.
        key_given: bool,
    },
    /// The device checks signatures, and its key is not given.
    KeyNotGiven {
        /// Whether there is a build of this kind that checks nothing.
        may_check_nothing: bool,
    },
    /// The core reads a trailer only behind a multiple of 4 bytes.
    Misaligned {
        /// Length of the payload in bytes.
        payload_len: usize,
    },
    /// The device writes its own flash mode into the image before it hashes it.
    FlashModeHashed {
        /// Byte 2 of the image.
        image: u8,
        /// What the device writes there.
        device: u8,
    },
    /// The signature is good, in the form that the device does not check.
    OtherScheme {
        /// The form that it checks.
        expected: Scheme,
    },
    /// The signature is rejected.
    Rejected(Reject),
    /// The web form opens an update of the free space less one sector, which leaves nothing.
    FormSpace,
    /// The web form counts only whole sectors, and the file has none.
    TooShortForForm,
    /// Byte 2 of the image is no flash mode. The device writes its own mode there, and does not restore the byte before
    /// it compares the digest of the file.
    NoFlashMode {
        /// Byte 2 of the image.
        byte: u8,
    },
    /// The header of the running image names a larger flash chip than the device has. Its updater refuses everything.
    RunningHeader {
        /// Size in the running image's header, in bytes.
        stated: u32,
        /// Size of the device's chip, in bytes.
        real: u32,
    },
    /// The image in the gzip names a larger flash chip than the device has. No updater looks there. Once the image runs,
    /// the updater refuses everything: esp8266/Arduino 1774.
    LargerChip {
        /// Size in the image's header, in bytes.
        stated: u32,
        /// Size of the device's chip, in bytes.
        real: u32,
    },
    /// The boot loader takes the last four bytes of the gzip for a length of nothing.
    NothingWritten {
        /// Those bytes as a number.
        stated: u32,
    },
    /// The payload is too short for a program.
    NothingToWrite,
    /// The image is built for a larger flash chip.
    ChipSize {
        /// Size in the image's header, in bytes.
        stated: u32,
        /// Size of the device's chip, in bytes.
        real: u32,
    },
    /// The file begins neither like an ESP8266 image nor like a gzip.
    Magic,
    /// The core leaves the trailer behind the gzip, and the boot loader takes its length for the image's.
    TrailerBehindGzip {
        /// Whether the device checks signatures.
        verifies: bool,
        /// What the boot loader writes, in bytes: the length of the signature.
        written: usize,
    },
    /// The boot loader and this gzip do not go together.
    Gzip(GzipFinding),
    /// The image starts in another flash mode than the one that the device is wired for.
    FlashMode {
        /// The image's.
        image: FlashMode,
        /// The device's.
        device: FlashMode,
    },
    /// Homie decodes a base64 payload piece by piece.
    HomieBase64,
    /// Homie takes nothing that does not begin with E9.
    HomieFirstByte,
    /// The content for the flash is no program of this chip.
    NotFlashContents {
        /// What it is, with its article.
        found: String,
    },
    /// The content for the flash is an image for the ESP8266.
    ForEsp8266,
    /// The content for the flash is damaged where the boot ROM or the boot loader reads it.
    Damaged {
        /// Which image: the file's or the one in the gzip.
        part: &'static str,
        /// The damage.
        damage: Damage,
    },
    /// The content for the flash is no ESP8266 image.
    NotEsp8266 {
        /// Which image: the file's or the one in the gzip.
        part: &'static str,
        /// What it is, with its article.
        found: String,
    },
    /// The file is longer than the partition for it, or than the space that a form announces.
    Partition {
        /// Length of the file in bytes.
        needed: u64,
        /// Room for it in bytes.
        size: u64,
    },
    /// The device has no partition for an update.
    NoUpdatePartition,
    /// The device has one partition for programs, which is the running one.
    NoSecondPartition,
    /// The image is for another chip than the device has.
    OtherChip {
        /// The image's chip.
        image: &'static str,
        /// The device's chip.
        device: Esp32Chip,
    },
    /// The image for a chip of the ESP32 family is damaged.
    DamagedEsp32 {
        /// The damage.
        damage: Esp32Damage,
    },
    /// The file is no image for a chip of the ESP32 family.
    NotEsp32 {
        /// What it is, with its article.
        found: String,
    },
    /// The file has the contents of a whole flash: the boot loader stands first.
    WholeFlash,
    /// The file does not fit beside the running Tasmota.
    BesideTasmota(Misfit),
    /// No update reaches the device in the ways that are used.
    NoSuchWay,
    /// The metadata block cannot be read.
    Metadata(MetadataError),
    /// The file is larger than the filesystem.
    FileSystemFull {
        /// Bytes that the device would write.
        needed: u64,
        /// Size of the filesystem, in bytes.
        size: u32,
        /// Whether a trailer is a part of the file.
        signed: bool,
    },
    /// The flash layout has no filesystem.
    NoFileSystem,
    /// `ATOMIC_FS_UPDATE` stages the filesystem image beside the running image, which leaves too little room.
    Staging {
        /// Whole sectors that the device would stage, in bytes.
        needed: u64,
        /// Bytes between the sketch of the device and its filesystem.
        free: u64,
    },
    /// The gzip inflates to more than the filesystem. The boot loader overwrites what stands behind it.
    BeyondArea {
        /// Length of the inflated image, in bytes.
        raw: u32,
        /// Size of the filesystem, in bytes.
        size: u32,
    },
    /// A device with a key compares the MD5 of a filesystem image, but does not compute it.
    Md5NotComputed,
    /// The device refuses the filesystem image after it has written it over the old one.
    Overwritten(Box<Reason>),
    /// It is not known what such a device does with a filesystem image.
    FileSystemNotJudged,
    /// The firmware cannot mount what was written.
    Mount(Unmountable),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::NoGzip => f.write_str("this core cannot unpack gzip"),
            Self::FirstByte => f.write_str("the first byte is not that of an ESP8266 image"),
            Self::Misfit(misfit) | Self::GzipMisfit(misfit) => misfit.fmt(f),
            Self::NotSigned { .. } => f.write_str("it is not signed"),
            Self::KeyNotGiven { .. } => {
                f.write_str("this device checks the signature, but its key is not given")
            }
            Self::Misaligned { payload_len } => write!(
                f,
                "this core misreads a trailer behind {payload_len} bytes, because that is not a multiple of 4"
            ),
            Self::FlashModeHashed { image, device } => write!(
                f,
                "the device replaces the flash mode of the image, {image}, by its own, {device}, before it hashes",
                image = mode(*image),
                device = mode(*device)
            ),
            Self::OtherScheme { expected: Scheme::Legacy } => {
                f.write_str("this core expects a legacy signature")
            }
            Self::OtherScheme { expected: Scheme::Pkcs1v15Sha256 } => {
                f.write_str("it is a legacy signature, which only cores 2.5.0 to 2.5.2 accept")
            }
            Self::Rejected(reject) => reject.fmt(f),
            Self::FormSpace => f.write_str("the web form has no free space to announce"),
            Self::TooShortForForm => {
                f.write_str("the web form counts whole sectors of 4096 bytes, and the file has less than one")
            }
            Self::NoFlashMode { byte } => write!(
                f,
                "byte 2 of the image, {byte:#04x}, is no flash mode: the device changes it, so that the digest of the \
                 file no longer matches"
            ),
            Self::RunningHeader { stated, real } => write!(
                f,
                "the running image says that the flash chip has {stated} bytes, but it has {real}: the device takes no \
                 update over the air"
            ),
            Self::LargerChip { stated, real } => write!(
                f,
                "the image in the gzip is for a flash chip of {stated} bytes, but the device has {real}: once it runs, \
                 every update fails with ERROR[8]"
            ),
            Self::NothingWritten { stated } => write!(
                f,
                "the last four bytes of the gzip are {stated:#010x}: the boot loader takes that for a length of nothing"
            ),
            Self::NothingToWrite => f.write_str("the payload is too short for a program"),
            Self::ChipSize { stated, real } => {
                write!(f, "the image is for a flash chip of {stated} bytes, but the device has {real}")
            }
            Self::Magic => f.write_str("it begins neither like an ESP8266 image nor like a gzip"),
            Self::TrailerBehindGzip { verifies, written } => {
                let who = if *verifies { "this core" } else { "a device without a key" };
                write!(
                    f,
                    "{who} leaves the signature behind the gzip, so that the boot loader writes {written} bytes and \
                     stops"
                )
            }
            Self::Gzip(finding) => finding.fmt(f),
            Self::FlashMode { image, device } => {
                write!(f, "the image starts in flash mode {image}, but the device is wired for {device}")
            }
            Self::HomieBase64 => {
                f.write_str("whether a base64 payload arrives whole depends on how the network cuts it")
            }
            Self::HomieFirstByte => f.write_str("Homie accepts only files that begin with E9, and no gzip"),
            Self::NotFlashContents { found } => write!(f, "{found} is not the flash contents of an RP2040"),
            Self::ForEsp8266 => f.write_str("it is an image for the ESP8266"),
            Self::Damaged { part, damage } => write!(f, "{part} is damaged: {damage}"),
            Self::NotEsp8266 { part, found } => write!(f, "{part} is {found}, not an ESP8266 image"),
            Self::Partition { needed, size } => {
                write!(f, "the file has {needed} bytes, and there is room for {size}: {} too many", needed - size)
            }
            Self::NoUpdatePartition => f.write_str("the device has no partition for an update"),
            Self::NoSecondPartition => {
                f.write_str("the device has one partition for programs, and its program runs from there")
            }
            Self::OtherChip { image, device } => {
                write!(f, "the image is for the {image}, but the device is an {device}")
            }
            Self::DamagedEsp32 { damage } => damage.fmt(f),
            Self::NotEsp32 { found } => write!(f, "{found} is not an image for the ESP32 family"),
            Self::WholeFlash => f.write_str(
                "it is a copy of the whole flash: the boot loader stands first, and cannot be started as a program",
            ),
            Self::BesideTasmota(misfit) => misfit.fmt(f),
            Self::NoSuchWay => f.write_str("no update reaches this device in the named ways"),
            Self::Metadata(error) => error.fmt(f),
            Self::FileSystemFull { needed, size, signed } => {
                let what = if *signed { "the image and its signature need" } else { "the image needs" };
                write!(f, "{what} {needed} bytes, the filesystem has {size}")
            }
            Self::NoFileSystem => f.write_str("the flash layout of the device has no filesystem"),
            Self::Staging { needed, free } => write!(
                f,
                "with ATOMIC_FS_UPDATE the device stages {needed} bytes beside its firmware, and {free} are free"
            ),
            Self::BeyondArea { raw, size } => write!(
                f,
                "the inflated filesystem has {raw} bytes, the device's has {size}: the boot loader overwrites what \
                 stands behind it"
            ),
            Self::Md5NotComputed => f.write_str(
                "a device with a key compares the MD5 of a filesystem image, but does not compute it",
            ),
            Self::Overwritten(reason) => {
                write!(f, "{reason}; the old filesystem is overwritten by then, the firmware runs on")
            }
            Self::FileSystemNotJudged => {
                f.write_str("it is not known what such a device does with a filesystem image")
            }
            Self::Mount(why) => why.fmt(f),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn mode(byte: u8) -> String {
    FlashMode::from_byte(byte).map_or_else(|| format!("{byte:#04x}"), |mode| mode.to_string())
}

/// A fact that a judgement assumes, because it is not known. `Display` is one line; it serialises as that
/// text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Assumption {
    /// The flash is not known: the file has room in it.
    Space,
    /// The size of the running image is not known: the file has room beside it.
    SpaceBesideInstalled,
    /// The flash mode is not known: the device writes the image's own mode into it.
    FlashModeOfImage(FlashMode),
    /// The flash mode is not known: the device can read its flash in the mode of the image in the gzip.
    FlashMode(FlashMode),
    /// The flash is not known: the boot loader overwrites neither its own input nor the filesystem.
    Unpacking,
    /// The size of the flash chip is not known: it is at least as large as the image's header says.
    Chip(u32),
    /// The header of the running image, or the size of the chip, is not known: the header names no larger chip.
    RunningHeader,
    /// The server sends the file's MD5.
    Md5Sent,
    /// The flash layout is not known: the unpacked program ends before the filesystem, where the file is read from.
    ProgramBelowFileSystem,
    /// The size of the filesystem is not known: the file has room in it.
    FileSystem,
    /// The size of the partition for the update is not known: the file has room in it.
    Partition,
    /// The revision of the chip is not known: it is at least this one, which the image demands.
    ChipRevision {
        /// The oldest revision.
        min: ChipRevision,
    },
    /// The device was built without `UPDATE_SIGN`. It would refuse every file that otaseal signs.
    NoUpdateSign,
    /// The size of the filesystem is not known: the filesystem image has room in it.
    FileSystemRoom,
    /// The size of the filesystem is not known: it is the only one in which the image can be mounted.
    FileSystemOf(u32),
    /// The format of the filesystem image is not known: the firmware can mount it.
    KnownFileSystem,
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Space => f.write_str("there is enough space for it"),
            Self::SpaceBesideInstalled => f.write_str("there is enough space beside what runs now"),
            Self::FlashModeOfImage(mode) => {
                write!(f, "the device reads its flash in mode {mode}, as the image says")
            }
            Self::FlashMode(mode) => write!(f, "the device reads its flash in mode {mode}"),
            Self::Unpacking => f.write_str("unpacking overwrites neither its own input nor the filesystem"),
            Self::Chip(bytes) => write!(f, "the flash chip has at least {bytes} bytes, as the image says"),
            Self::RunningHeader => {
                f.write_str("the header of the running image names no larger flash chip than the device has")
            }
            Self::Md5Sent => f.write_str("the server sends the file's MD5 (x-MD5)"),
            Self::ProgramBelowFileSystem => f.write_str("the program ends before the filesystem begins"),
            Self::FileSystem => f.write_str("its filesystem has room for the file"),
            Self::Partition => f.write_str("the partition for the update has room for the file"),
            Self::ChipRevision { min } => write!(f, "the chip has revision {min} or a newer one"),
            Self::NoUpdateSign => {
                f.write_str("the device checks no signature: it was built without UPDATE_SIGN, as by default")
            }
            Self::FileSystemRoom => f.write_str("its filesystem has room for the image"),
            Self::FileSystemOf(bytes) => {
                write!(f, "its filesystem has {bytes} bytes, as the device must have to mount the image")
            }
            Self::KnownFileSystem => {
                f.write_str("the firmware can mount the image, whose format is not known")
            }
        }
    }
}

impl Serialize for Assumption {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
