//! Advice on errors in builds and images, and on findings in them.

use super::{Advice, Speaker};
use crate::format::elf::ElfError;
use crate::format::gzip::lint::GzipFinding;
use crate::format::homie::TokenError;
use crate::format::image::esp32::Esp32Damage;
use crate::format::image::esp8266::Damage;
use crate::format::image::uf2::Uf2Error;
use crate::format::image::{Archive, Kind, TextEncoding};
use crate::package::firmware::{FirmwareError, NotPlain};
use crate::policy::continuity::ContinuityError;
use crate::policy::guard::{GuardError, ImageFinding};
use crate::profile::fit::{Misfit, round_up};
use crate::profile::{Assumption, Reason, Unmountable};
use crate::sign::Scheme;

impl Advice for ElfError {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::NotElf => "give the .elf that the linker made, or the .bin as it is".to_owned(),
            Self::UnknownClass(_) | Self::Malformed { .. } | Self::Truncated { .. } | Self::TooMany { .. } => {
                "build it again; if you copied or downloaded the file, copy it again".to_owned()
            }
            Self::BigEndian(_) => "check the build's target: otaseal supports no big-endian device".to_owned(),
            Self::Xtensa => "give the .bin that elf2bin made (Arduino's build folder has it beside the .elf), or make \
                             one with esptool elf2image"
                .to_owned(),
            Self::NotExecutable(_) => {
                "link it again, with the firmware's linker script and without -pie or -shared".to_owned()
            }
            Self::NothingToLoad => "check the linker script: it loads no section that has contents".to_owned(),
            Self::Unloaded { name, .. } => format!(
                "assign {name} to a PT_LOAD segment in the linker script, or remove it with objcopy \
                 --remove-section={name}"
            ),
            Self::AddressOverflow { .. } | Self::Overlap { .. } => {
                "check the load addresses (AT and AT> in the linker script; readelf -lS shows them)".to_owned()
            }
            Self::GapTooLarge { after, gap, .. } => format!(
                "give data for the RAM a load address in flash (AT> in the linker script); remove a section that is \
                 not for this flash with objcopy --remove-section={}; if you want the gap, use --max-gap {gap}",
                after.name
            ),
            Self::TooLarge { .. } => {
                "check the load addresses (readelf -lS shows them), or make a .bin of one region with objcopy \
                 --only-section"
                    .to_owned()
            }
        }
    }
}

impl Advice for Uf2Error {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Damaged { .. } | Self::CutOff | Self::Missing { .. } => {
                "copy the file again, or give the .bin or .elf of the same build"
            }
            Self::Families { .. } => "give the .bin or .elf of the build for one chip",
            Self::UnknownFamily { .. } => "give a UF2 file for RP2040 or RP2350, or the .bin of the build",
            Self::FileContainer { .. } | Self::Nothing => "give the .bin or .elf of the build",
            Self::Conflict { .. } => {
                "give the .bin or .elf of the same build: otaseal cannot tell which bytes the flash should hold"
            }
            Self::Gap { .. } => "check the linker script, or allow larger gaps with --max-gap",
            Self::TooLarge { .. } => {
                "give the .bin or .elf of the same build; no supported flash is that large"
            }
            Self::NotAtStart { .. } => {
                "give a build that begins at the start of the flash: an update replaces the flash from there"
            }
        };
        text.into()
    }
}

impl Advice for Damage {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::NoSegments { .. } => "link a program into it: a device cannot start a header alone",
            Self::CutOff { .. } | Self::NoApplication => {
                "build it again, or copy it again: the build or the copy stopped early"
            }
            Self::Checksum { .. } => "give the file that the build made: a byte of this one has changed",
            Self::AddressRange { .. } | Self::Overlap { .. } => {
                "correct the linker script, which puts two things in one place, and build again"
            }
            Self::Length { .. } | Self::Crc { .. } => {
                "build it again: something changed the file after elf2bin.py wrote these words. To change the flash \
                 mode, use --set-flash-mode, which also corrects them"
            }
        };
        text.into()
    }
}

impl Advice for Esp32Damage {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::CutOff { .. } | Self::NoHash => {
                "build it again, or copy it again: the build or the copy stopped early"
            }
            Self::Checksum { .. } | Self::Hash { .. } => {
                "give the file that the build made: a byte of this one has changed"
            }
        };
        text.into()
    }
}

impl Advice for ImageFinding {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Unaligned { .. } => {
                "remove what stands behind the image, make its length a multiple of 4, or send the image \
                 compressed"
            }
            Self::VendorV2 => {
                "build an image that begins with E9, unless your firmware has an updater of its own"
            }
        };
        text.into()
    }
}

/// What to give in place of a file that is no image.
fn instead_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Elf(_) | Kind::Uf2(_) => {
            "give the .bin of the same build, or convert this file: `otaseal package` makes a package of it"
        }
        Kind::IntelHex => "give the .bin or .elf of the same build",
        Kind::Key(_) => "give the image here, and the key with --key",
        Kind::Page => "check the address, and download the file again: a server sent this page instead of it",
        Kind::LfsPointer => "fetch the file that it stands for with `git lfs pull`",
        Kind::Archive { format: Archive::Zip | Archive::SevenZip | Archive::Tar } => {
            "unpack it, and give the .bin or .elf that is in it"
        }
        Kind::Archive { .. } => {
            "decompress it, and compress it with `otaseal compress` if you need to: devices inflate only gzip"
        }
        Kind::Text { encoding: TextEncoding::Base64 } => "decode it with `base64 -d`, and give the result",
        Kind::Text { .. } => "decode it with `xxd -r -p`, and give the result",
        Kind::Erased { .. } => "check the step that makes the file: erased flash looks like this",
        _ => "check that this is the right file",
    }
}

impl Advice for GzipFinding {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::TooLong | Self::Empty => "check which file you compressed: this is no firmware",
            _ => "compress the plain image again with `otaseal compress`",
        };
        text.into()
    }
}

impl Advice for TokenError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Nested { .. } => {
                "check that no value in the source is a token itself, and build it again; the image may be damaged"
            }
            Self::Invalid { .. } => {
                "use printable text: name up to 32 bytes, version up to 16, brand up to 21; if the source has such a \
                 text, build it again: the image is damaged"
            }
            Self::Unterminated { .. } => {
                "shorten the value (name up to 32 bytes, version up to 16, brand up to 21); if it is short already, \
                 build it again: the image is damaged"
            }
            Self::Conflict { .. } => {
                "set name, version and brand in one place of the firmware, and build from clean"
            }
            Self::Missing { .. } => {
                "set name and version together, with Homie_setFirmware or homie_firmware!"
            }
        };
        text.into()
    }
}

impl Advice for Misfit {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::NoSpace { needed, free } => format!(
                "make the image smaller, send a gzip of it if the device takes gzip, or use a layout whose \
                 filesystem begins at least {} bytes later",
                needed - free
            ),
            Self::Overtaken { short_by, .. } => format!(
                "send the plain image if it fits, make the image smaller, or use a layout whose filesystem \
                 begins at least {short_by} bytes later"
            ),
            Self::BeyondFileSystem { raw, fs_start } => format!(
                "make the image at least {} bytes smaller, or use a layout with a smaller filesystem",
                round_up(*raw) - fs_start
            ),
        }
    }
}

impl Advice for FirmwareError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::Read { .. } => "check that the file is there and that you may read it".into(),
            Self::TooLarge { .. } => {
                "check that this is the right file: no supported device has that much flash".into()
            }
            Self::Empty { .. } => "check that the build step before this one ran".into(),
            Self::Elf { source, .. } => source.advice(speaker),
            Self::NotPlain { found, .. } => match found {
                NotPlain::Signed => "give the unsigned image; `otaseal strip` removes a signature".into(),
                NotPlain::Compressed => {
                    "give the plain image: otaseal reads its tokens and makes the gzip itself".into()
                }
            },
            Self::Uf2 { source, .. } => source.advice(speaker),
            Self::Guard { source, .. } => source.advice(speaker),
        }
    }
}

impl Advice for GuardError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::NotAnImage { kind } => instead_of(kind).into(),
            Self::CompressedTwice => {
                "give the inner gzip or the plain image: devices inflate once".into()
            }
            Self::Damaged(damage) => damage.advice(speaker),
            Self::DamagedEsp32 { damage, .. } => damage.advice(speaker),
            Self::FilesystemCutOff { .. } => {
                "make the image again, or copy it again: this one would leave old bytes in the flash".into()
            }
            Self::IsFilesystem { .. } => {
                "if the image is for the filesystem, add --kind filesystem; a device that installs it as its \
                 program does not start again"
                    .into()
            }
            Self::IsFirmware { .. } => "omit --kind filesystem, or give the filesystem image".into(),
            Self::FlashMode { expected, .. } => format!(
                "build for {expected}, or package with --set-flash-mode {}; a device in another mode refuses a signed \
                 plain image (error 12) and starts a compressed one in the wrong mode",
                expected.to_string().to_lowercase()
            ),
            Self::NoFlashMode => "omit the flash mode options: only ESP8266 images have a flash mode".into(),
            Self::OtherKeyId { .. } => {
                "otaseal signed nothing; give the key with this id (`otaseal pubkey --fingerprint` shows a key's id)"
                    .into()
            }
            Self::OtherBoard { .. } => {
                "give the image that was built for that board, or name the board that this one was built for; a name of \
                 your own for a board is no contradiction"
                    .into()
            }
            Self::OtherBuild { .. } => {
                "otaseal signed nothing; give the file of the build that has this digest, or find out who changed it"
                    .into()
            }
            Self::OtherKey { .. } => {
                "give the private key of this public key, or the public key of this private key: devices would reject \
                 the signed image"
                    .into()
            }
        }
    }
}

impl Advice for ContinuityError {
    fn advice(&self, speaker: Speaker) -> String {
        // Only the tasks under Cargo know which source file holds the key.
        let build = match speaker {
            Speaker::Hook => {
                "type `cargo xtask pubkey`: it writes the public key into the firmware's source; then build again"
            }
            Speaker::Program => {
                "build the firmware with the public key of this key (`otaseal pubkey` writes it as source code)"
            }
        };
        match self {
            Self::PrivateKey(_) => {
                "remove the private key from the build, and replace that key if it signs anything: everyone with the \
                 image can read it"
                    .into()
            }
            Self::NoKey { .. } => format!("{build}; if you want no key in it, add --allow-no-key"),
            Self::OtherKey { found, .. } => {
                let next = match found.as_slice() {
                    [only] => only.key_id.to_string(),
                    _ => "KEYID".into(),
                };
                format!(
                    "{build}; if you are replacing the key, add --rotate-to {next}: devices that run this firmware take \
                     no more updates from this key"
                )
            }
            Self::UnfitKey { .. } => {
                "build it without that key: anybody with its private half could sign updates for the devices".into()
            }
            Self::UnnamedKeys { .. } => "build it without these keys, or name each one with --rotate-to: its devices \
                 would trust them too"
                .into(),
            Self::NextKeyMissing { .. } => {
                "build it with that key; if the firmware has only the modulus, give --rotate-to the file of the public \
                 key, not the key id"
                    .into()
            }
        }
    }
}

impl Advice for Reason {
    fn advice(&self, speaker: Speaker) -> String {
        let text = match self {
            Self::Empty => "check the build step that makes the file",
            Self::NoGzip => "send the plain image",
            Self::FirstByte | Self::Magic | Self::NotEsp8266 { .. } => "check that this is the right file",
            Self::Misfit(misfit) => return misfit.advice(speaker),
            Self::GzipMisfit(Misfit::NoSpace { needed, free }) => {
                return format!(
                    "make the image smaller, or use a layout whose filesystem begins at least {} bytes later",
                    needed - free
                );
            }
            Self::GzipMisfit(misfit) => return misfit.advice(speaker),
            Self::NotSigned { key_given: false } => "sign it, or add /unsigned if the device has no key",
            Self::NotSigned { key_given: true } | Self::HomieFirstByte => {
                "make an image that this device accepts with `otaseal package --for`"
            }
            Self::KeyNotGiven { may_check_nothing: true } => {
                "give the public key with --key, or add /unsigned if the device has no key"
            }
            Self::KeyNotGiven { may_check_nothing: false } => "give the public key with --key",
            Self::Misaligned { .. } => "compress with `otaseal compress`, which pads in the gzip header",
            Self::FlashModeHashed { .. } => {
                "build the image for the device's flash mode, or send it compressed"
            }
            Self::OtherScheme { expected: Scheme::Legacy } => "sign with --legacy",
            Self::OtherScheme { expected: Scheme::Pkcs1v15Sha256 } => "sign without --legacy",
            Self::Rejected(_) => "sign it with the private key of the public key that the device has",
            Self::ChipSize { .. } | Self::LargerChip { .. } => "build the image for the device's flash size",
            Self::RunningHeader { .. } => "write an image for the device's flash size by cable",
            Self::FormSpace => "send it by http or espota, or make the image smaller",
            Self::NothingToWrite | Self::TooShortForForm => "check that this is the right file",
            Self::NoFlashMode { .. } => {
                "build it again with a flash mode, or set one with `otaseal package --set-flash-mode`"
            }
            Self::NothingWritten { .. } => "compress the plain image again with `otaseal compress`",
            Self::TrailerBehindGzip { verifies: true, .. } => "send the plain image, signed",
            Self::TrailerBehindGzip { verifies: false, .. } => "send the gzip without a signature",
            Self::Gzip(finding) => return finding.advice(speaker),
            Self::FlashMode { .. } => "build the image for the device's flash mode",
            Self::HomieBase64 => "send the plain image as it is",
            Self::NotFlashContents { .. } | Self::ForEsp8266 => "send the .bin of the build",
            Self::Damaged { .. } => "build it again, and check every build step after the linker",
            Self::Metadata(_) => "package it again",
            Self::Partition { .. } => {
                "make the image smaller, or write a partition scheme with larger program partitions by cable"
            }
            Self::NoUpdatePartition | Self::NoSecondPartition => {
                "write it by cable, with a partition scheme that has two program partitions"
            }
            Self::OtherChip { .. } => "build the image for the device's chip",
            Self::DamagedEsp32 { damage } => return damage.advice(speaker),
            Self::NotEsp32 { .. } => "send the .bin that esptool elf2image made",
            Self::WholeFlash => {
                "send the .bin of the application alone, which the build has beside the merged one"
            }
            Self::BesideTasmota(_) => {
                "send a gzip instead of a plain image, or install the -minimal build first; a pull does that by \
                 itself if the server has the file with -minimal in its name"
            }
            Self::NoSuchWay => "name a way that the device has with --via",
            Self::FileSystemFull { signed: false, size, .. } => {
                return format!("make the image for the filesystem of the device, which has {size} bytes");
            }
            Self::FileSystemFull { signed: true, .. } => {
                "if the device checks no signature of a filesystem, send the plain image; if it does, send a signed \
                 gzip to a core that was built with ATOMIC_FS_UPDATE"
            }
            Self::NoFileSystem => "build the firmware for a layout with a filesystem",
            Self::Staging { .. } => "send a gzip of the image by http or espota",
            Self::BeyondArea { size, .. } => {
                return format!("make the image for the filesystem of the device, which has {size} bytes");
            }
            Self::Md5NotComputed => {
                "send it by the web form, or by http from a server that sends no MD5 (x-MD5)"
            }
            Self::Overwritten(reason) => return reason.advice(speaker),
            Self::FileSystemNotJudged => "try it on one device first",
            Self::Mount(why) => return why.advice(speaker),
        };
        text.into()
    }
}

impl Advice for Unmountable {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::NotAFileSystem { .. } => {
                "check that this is the right file, and that it is for the filesystem"
            }
            Self::Compressed { inflated_if_atomic: true } => {
                "send the plain image; if the core was built with ATOMIC_FS_UPDATE, say so (--atomic-fs-update)"
            }
            Self::Compressed { inflated_if_atomic: false } => "send the plain image",
            Self::CutOff { .. } => "make the image again, or copy it again",
            Self::NoDriver { .. } => "make a LittleFS image",
            Self::OtherSize { device, .. } | Self::OldBlocks { device, .. } => {
                return format!("make the image for a filesystem of {device} bytes");
            }
            Self::OtherBlocks { device: Some(device), .. } => {
                return format!("make the image with blocks of {device} bytes");
            }
            Self::OtherBlocks { device: None, .. } => "make the image with the blocks of the flash layout",
        };
        text.into()
    }
}

impl Advice for Assumption {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Space => "add --flash-layout and --installed-size, and otaseal checks it",
            Self::SpaceBesideInstalled => "add --installed-size, and otaseal checks it",
            Self::FlashModeOfImage(_) | Self::FlashMode(_) => "add --flash-mode",
            Self::Unpacking => "add --flash-layout and --installed-size, and otaseal simulates it",
            Self::Chip(_) => "add --flash-layout or --chip-size, and otaseal checks it",
            Self::RunningHeader => "add --running or --running-flash-size, and otaseal checks it",
            Self::Md5Sent => "without it, the device does not compare the MD5",
            Self::ProgramBelowFileSystem => "compare its size with the program's part of the flash",
            Self::FileSystem => "add --free-space, and otaseal checks it",
            Self::Partition => "add --partition-scheme or --free-space, and otaseal checks it",
            Self::ChipRevision { .. } => "esptool chip-id shows it",
            Self::NoUpdateSign => "with it, the device takes only files that arduino-esp32's own tool signed",
            Self::FileSystemRoom | Self::FileSystemOf(_) => {
                "add --flash-layout or --filesystem-size, and otaseal checks it"
            }
            Self::KnownFileSystem => "otaseal knows LittleFS and SPIFFS",
        };
        text.into()
    }
}
