//! What to do about builds, images and what is found in them.

use super::{Advice, Speaker};
use crate::format::elf::ElfError;
use crate::format::gzip::lint::GzipFinding;
use crate::format::homie::TokenError;
use crate::format::image::esp8266::Damage;
use crate::format::image::uf2::Uf2Error;
use crate::package::firmware::{FirmwareError, NotPlain};
use crate::policy::continuity::ContinuityError;
use crate::policy::guard::GuardError;
use crate::profile::fit::{Misfit, round_up};
use crate::profile::{Assumption, Reason};
use crate::sign::Scheme;

impl Advice for ElfError {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::NotElf => "pass the .elf the linker made, or the .bin as it is".to_owned(),
            Self::UnknownClass(_) | Self::Malformed { .. } | Self::Truncated { .. } | Self::TooMany { .. } => {
                "build it again; if the file was copied or downloaded, copy it again".to_owned()
            }
            Self::BigEndian(_) => "check the build's target: this is not an ELF for a supported device".to_owned(),
            Self::Xtensa => "pass the .bin made by elf2bin (Arduino's build folder has it beside the .elf) or by \
                             esptool elf2image"
                .to_owned(),
            Self::NotExecutable(_) => {
                "link with the firmware's linker script and without -pie or -shared, and pass the result".to_owned()
            }
            Self::NothingToLoad => "check the linker script: no output section has contents that are loaded".to_owned(),
            Self::Unloaded { name, .. } => format!(
                "assign {name} to a PT_LOAD segment in the linker script, or remove it with objcopy \
                 --remove-section={name}"
            ),
            Self::AddressOverflow { .. } | Self::Overlap { .. } => {
                "check the load addresses (AT and AT> in the linker script; readelf -lS shows them)".to_owned()
            }
            Self::GapTooLarge { after, gap, .. } => format!(
                "data that runs in RAM needs a load address in flash (AT> in the linker script); what is not meant \
                 for this flash can go with objcopy --remove-section={}; if the gap is meant, allow gaps of {gap} bytes",
                after.name
            ),
            Self::TooLarge { .. } => {
                "check the load addresses (readelf -lS shows them), or make the .bin of one region with objcopy \
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
            Self::UnknownFamily { .. } => "only RP2040 and RP2350 are updated from such files",
            Self::FileContainer { .. } | Self::Nothing => "give the .bin or .elf of the build",
            Self::Conflict { .. } => {
                "give the .bin or .elf of the same build: what the flash will hold is not clear"
            }
            Self::Gap { .. } => "check the linker script, or allow larger holes with --max-gap",
            Self::TooLarge { .. } => {
                "give the .bin or .elf of the same build; no supported flash is that large"
            }
            Self::NotAtStart { .. } => {
                "an update replaces the flash from its start: give a build that begins there"
            }
        };
        text.into()
    }
}

impl Advice for Damage {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::NoSegments { .. } => "link a program into it; this header alone starts nothing",
            Self::CutOff { .. } | Self::NoApplication => {
                "the build was interrupted or the copy is not complete: build it again, copy it again. An ESP32 \
                 image looks like this too, and is not supported"
            }
            Self::Checksum { .. } => "a byte has changed since the build: take the file that the build made",
            Self::AddressRange { .. } | Self::Overlap { .. } => {
                "the linker script puts two things in one place; correct it and build again"
            }
            Self::Length { .. } | Self::Crc { .. } => {
                "the file was changed after elf2bin.py wrote these words: build it again, and change the flash \
                 mode with --set-flash-mode, which keeps them right"
            }
        };
        text.into()
    }
}

impl Advice for GzipFinding {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::TooLong | Self::Empty => "this is no firmware; check what was compressed",
            _ => "compress the plain image again with `otaseal compress`",
        };
        text.into()
    }
}

impl Advice for TokenError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Nested { .. } => {
                "the image is damaged or the macro was given a token as its value: build it again"
            }
            Self::Invalid { .. } => {
                "use letters, digits and - _ . + only, and no leading dot or dash; name up to 32 bytes, version up to \
                 16, brand up to 21"
            }
            Self::Unterminated { .. } => {
                "shorten the value (name up to 32 bytes, version up to 16, brand up to 21); if it is short, the image \
                 is damaged: build it again"
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
                "make the image smaller, send it compressed where the device takes gzip, or use a layout whose \
                 file system begins at least {} bytes later",
                needed - free
            ),
            Self::Gzip(_) => "compress the plain image with `otaseal compress`".into(),
            Self::Overtaken { short_by, .. } => format!(
                "send it uncompressed if it fits, make the image smaller, or use a layout whose file system \
                 begins at least {short_by} bytes later"
            ),
            Self::BeyondFileSystem { raw, fs_start } => format!(
                "make the image at least {} bytes smaller, or use a layout with a smaller file system",
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
                "no supported device has that much flash; is this the right file?".into()
            }
            Self::Empty { .. } => "check that the build step before this one ran".into(),
            Self::Elf { source, .. } => source.advice(speaker),
            Self::NotPlain { found, .. } => match found {
                NotPlain::Signed => "give the unsigned image; `otaseal strip` takes a signature off".into(),
                NotPlain::Compressed => {
                    "give the plain image: its gzip is made here, and tokens are read in it".into()
                }
                NotPlain::IntelHex => "give the .bin or .elf of the same build".into(),
                NotPlain::Key => "give the build first and the key with --key".into(),
            },
            Self::Uf2 { source, .. } => source.advice(speaker),
            Self::Guard { source, .. } => source.advice(speaker),
        }
    }
}

impl Advice for GuardError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::Damaged(damage) => damage.advice(speaker),
            Self::FilesystemCutOff { .. } => {
                "the rest would be whatever the flash held before: make the image again, copy it again".into()
            }
            Self::IsFilesystem { .. } => {
                "a device that takes it for its program does not start again; if it is meant for the filesystem, \
                 say --as-kind filesystem"
                    .into()
            }
            Self::IsFirmware { .. } => "leave --as-kind filesystem away, or give the filesystem image".into(),
            Self::FlashMode { expected, .. } => format!(
                "a device in another mode answers a signed raw image with error 12 and starts a compressed one in \
                 the wrong mode: build for {expected}, or package with --set-flash-mode {}",
                expected.to_string().to_lowercase()
            ),
            Self::NoFlashMode => "leave the flash mode options away for other chips".into(),
            Self::OtherKeyId { .. } => {
                "nothing was signed: give the key that belongs to this id (`otaseal pubkey --fingerprint` shows one's)"
                    .into()
            }
            Self::OtherBuild { .. } => {
                "nothing was signed: take the file from the build whose digest was expected, or find out who changed it"
                    .into()
            }
            Self::OtherKey { .. } => {
                "devices would refuse the result: give the other key, or the public key that belongs to this one"
                    .into()
            }
        }
    }
}

impl Advice for ContinuityError {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::PrivateKey(_) => {
                "whoever has the image, or one device, has that key: take it out of the build, and if it signs \
                 anything, replace it"
                    .into()
            }
            Self::NoKey { .. } => "build it with the key in (`otaseal pubkey` writes it into the sources); if you \
                 mean it, say --allow-no-key"
                .into(),
            Self::OtherKey { found, .. } => match found.as_slice() {
                [only] => format!(
                    "devices that run it take no more updates from this key; if they shall, build it with this key \
                     in, and if the key is being replaced, say --rotate-to {}",
                    only.key_id
                ),
                _ => "devices that run it take no more updates from this key; if the key is being replaced, name \
                      the next one with --rotate-to KEYID"
                    .into(),
            },
            Self::UnfitKey { .. } => {
                "no release may bring it to a device: whoever has its private half signs what the device takes; build \
                 it without that key"
                    .into()
            }
            Self::UnnamedKeys { .. } => "its devices would trust them too: build it without, or name each with a \
                 --rotate-to of its own"
                .into(),
            Self::NextKeyMissing { .. } => {
                "build it with that key in; a bare modulus is found only when --rotate-to is given the public key's \
                 file"
                    .into()
            }
        }
    }
}

impl Advice for Reason {
    fn advice(&self, speaker: Speaker) -> String {
        let text = match self {
            Self::Empty => "check the step that makes the file",
            Self::NoGzip => "send the plain image",
            Self::FirstByte | Self::Magic | Self::NotEsp8266 { .. } => "is this the right file?",
            Self::Misfit(misfit) => return misfit.advice(speaker),
            Self::NotSigned { key_given: false } => "sign it, or say /unsigned for a device without a key",
            Self::NotSigned { key_given: true } | Self::HomieFirstByte => {
                "make what this device takes with `otaseal package --for`"
            }
            Self::KeyNotGiven { may_check_nothing: true } => {
                "give the public key with --key, or say /unsigned for a device without one"
            }
            Self::KeyNotGiven { may_check_nothing: false } => "give the public key with --key",
            Self::Misaligned { .. } => "compress with `otaseal compress`, which pads in the gzip header",
            Self::FlashModeHashed { .. } => {
                "build the image for the device's flash mode, or send it compressed"
            }
            Self::OtherScheme { expected: Scheme::Legacy } => "sign with --legacy",
            Self::OtherScheme { expected: Scheme::Pkcs1v15Sha256 } => "sign without --legacy",
            Self::Rejected(_) => "sign it with the key that belongs to the device's",
            Self::ChipSize { .. } => "build the image for the device's flash size",
            Self::TrailerBehindGzip { verifies: true, .. } => "send the plain image, signed",
            Self::TrailerBehindGzip { verifies: false, .. } => "send the gzip without a signature",
            Self::Gzip(finding) => return finding.advice(speaker),
            Self::FlashMode { .. } => "build the image for the device's flash mode",
            Self::HomieBase64 => "send the plain image as it is",
            Self::NotFlashContents { .. } | Self::ForEsp8266 => "send the .bin of the build",
            Self::Damaged { .. } => "build it again; check every step between the linker and here",
            Self::Metadata(_) => "package it again",
        };
        text.into()
    }
}

impl Advice for Assumption {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Space => "say --flash-layout and --installed-size to have it checked",
            Self::SpaceBesideInstalled => "say --installed-size to have it checked",
            Self::FlashModeOfImage(_) | Self::FlashMode(_) => "say --flash-mode",
            Self::Unpacking => "say --flash-layout to have it simulated",
            Self::FileSystem => "compare its size with that of the device's file system",
        };
        text.into()
    }
}
