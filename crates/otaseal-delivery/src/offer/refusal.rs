//! Why a device is not offered a release.

use otaseal::format::image::Content;
use otaseal::profile::fit::Misfit;
use otaseal::profile::{Reason, Verdict};
use serde::Serialize;
use std::cmp::Ordering;
use std::fmt;

use super::{Policy, Tried, version};
use crate::device::{DeviceFacts, Family, is_same_board};
use crate::release::Release;
use crate::text::said;

/// Largest flash chip of these families, in bytes. A device that reports more free space has counted wrongly.
const LARGEST_CHIP: u64 = 16 << 20;

/// Why a device is not offered a release: a stable code, the facts, a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// The facts that it rests on, each with its source. There is at least one.
    pub facts: Vec<String>,
    /// Why, as a sentence without its full stop.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// The stable code of a refusal. As text it is in `kebab-case`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its text, for logs, JSON and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

codes! {
    /// The device runs this image already.
    AlreadyRunning = "already-running",
    /// The firmware of the device takes no updates at present.
    OtaDisabled = "ota-disabled",
    /// The device asks for a filesystem and the release is firmware, or the other way round.
    OtherContent = "other-content",
    /// The image is for another family of chips, or another chip.
    OtherChip = "other-chip",
    /// The image is for another board.
    OtherBoard = "other-board",
    /// Neither side says for which family it is.
    UnknownFamily = "unknown-family",
    /// The device runs another firmware.
    OtherFirmware = "other-firmware",
    /// The version is older than the running one.
    OlderVersion = "older-version",
    /// The device reports more free space than there can be.
    SpaceWrapped = "space-wrapped",
    /// No file fits beside the running image.
    NoSpace = "no-space",
    /// The boot loader cannot unpack the gzip in the space that there is.
    NoRoomToUnpack = "no-room-to-unpack",
    /// The device checks signatures, and there is no signed file.
    NotSigned = "not-signed",
    /// The release is signed by another key than the device has.
    OtherKey = "other-key",
    /// The device cannot unpack, and every file is compressed.
    NoGzip = "no-gzip",
    /// Homie takes plain images only.
    PlainOnly = "plain-only",
    /// A signed gzip would destroy the device: the first move to signing must be uncompressed.
    FirstSigned = "first-signed",
    /// The flash mode of the image does not suit the device.
    FlashMode = "flash-mode",
    /// After this update the device would take no other.
    LastUpdate = "last-update",
    /// The device would say that all is well and keep its old firmware.
    KeepsTheOld = "keeps-the-old",
    /// The image would not boot.
    WillNotBoot = "will-not-boot",
    /// The update would destroy the firmware.
    Bricks = "bricks",
    /// The device would refuse it for another reason.
    DeviceRefuses = "device-refuses",
    /// A file of the release cannot be read.
    CannotRead = "cannot-read",
    /// A fact is missing without which nothing can be said.
    CannotJudge = "cannot-judge",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Refusal {
    pub(super) fn new(code: Code, why: impl Into<String>) -> Self {
        Self { code, facts: Vec::new(), why: why.into() }
    }

    pub(super) fn with_fact(mut self, fact: impl Into<String>) -> Self {
        self.facts.push(fact.into());
        self
    }
}

/// Refuses for what the facts say of themselves, before any file is looked at.
pub(super) fn without_judging(release: &Release, facts: &DeviceFacts, policy: Policy) -> Result<(), Refusal> {
    if release.content != policy.content {
        let is = |content| match content {
            Content::Firmware => "firmware",
            Content::Filesystem => "a filesystem image",
        };
        return Err(Refusal::new(
            Code::OtherContent,
            format!("the release is {}, and {} is asked for", is(release.content), is(policy.content)),
        )
        .with_fact(format!("content of the release: {}", is(release.content))));
    }
    if let Some(enabled) = facts.ota_enabled.as_ref().filter(|enabled| !enabled.value) {
        return Err(Refusal::new(
            Code::OtaDisabled,
            "updates are switched off in the device's configuration",
        )
        .with_fact(format!("OTA disabled ({})", enabled.from)));
    }
    chip(release, facts)?;
    if policy.content == Content::Firmware {
        if let Some(fact) = running(release, facts).filter(|_| !policy.reinstall) {
            return Err(Refusal::new(
                Code::AlreadyRunning,
                format!("the device runs {} already", said(release.title().as_bytes())),
            )
            .with_fact(fact));
        }
        firmware(release, facts, policy)?;
    }
    space(facts)
}

fn chip(release: &Release, facts: &DeviceFacts) -> Result<(), Refusal> {
    if let (Some(device), Some(image)) = (&facts.family, release.family)
        && device.value != image
    {
        return Err(Refusal::new(
            Code::OtherChip,
            format!("the image is for the {image}, and the device is an {}", device.value),
        )
        .with_fact(format!("family {} ({})", device.value, device.from)));
    }
    if let (Some(device), Some(image)) = (&facts.board, &release.board)
        && !is_same_board(&device.value, image)
    {
        return Err(Refusal::new(
            Code::OtherBoard,
            format!(
                "the image is for the board {}, and the device is a {}",
                said(image.as_bytes()),
                said(device.value.as_bytes())
            ),
        )
        .with_fact(format!("board {} ({})", said(device.value.as_bytes()), device.from)));
    }
    Ok(())
}

/// The fact that says that the device runs the release.
pub(super) fn running(release: &Release, facts: &DeviceFacts) -> Option<String> {
    if let Some(md5) = &facts.md5 {
        let is = release.running_md5s().contains(&md5.value);
        return is.then(|| format!("running MD5 {} ({})", md5.value, md5.from));
    }
    if let (Some(sha256), Some(image)) = (&facts.sha256, release.esp32_sha256) {
        return (sha256.value == image)
            .then(|| format!("running SHA-256 {} ({})", sha256.value, sha256.from));
    }
    let (Some(version), Some(image)) = (&facts.version, &release.version) else { return None };
    // A device that does not say the name of its firmware is asked for by an address of this firmware, or by a person.
    let same_name = match (&facts.firmware, &release.firmware) {
        (Some(device), Some(image)) => device.value == *image,
        _ => true,
    };
    (version.value == *image && same_name)
        .then(|| format!("version {} ({})", said(version.value.as_bytes()), version.from))
}

fn firmware(release: &Release, facts: &DeviceFacts, policy: Policy) -> Result<(), Refusal> {
    if let (Some(device), Some(image)) = (&facts.firmware, &release.firmware) {
        if device.value != *image && !policy.other_firmware {
            return Err(Refusal::new(
                Code::OtherFirmware,
                format!(
                    "the device runs {}, and the release is {}",
                    said(device.value.as_bytes()),
                    said(image.as_bytes())
                ),
            )
            .with_fact(format!("firmware {} ({})", said(device.value.as_bytes()), device.from)));
        }
        if device.value != *image {
            // Versions of two firmwares have no order.
            return Ok(());
        }
    }
    if let (Some(device), Some(image), false) = (&facts.version, &release.version, policy.downgrade)
        && version::order(image, &device.value) == Some(Ordering::Less)
    {
        return Err(Refusal::new(
            Code::OlderVersion,
            format!(
                "the release has version {}, and the device runs the newer {}",
                said(image.as_bytes()),
                said(device.value.as_bytes())
            ),
        )
        .with_fact(format!("version {} ({})", said(device.value.as_bytes()), device.from)));
    }
    Ok(())
}

/// A sketch that reaches into the filesystem makes the device's subtraction wrap, and it reports nearly 4 GiB.
fn space(facts: &DeviceFacts) -> Result<(), Refusal> {
    let Some(free) = &facts.free_bytes else { return Ok(()) };
    let chip = facts.chip_bytes.as_ref().map_or(LARGEST_CHIP, |chip| chip.value.min(LARGEST_CHIP));
    let is_esp = facts.family.as_ref().is_none_or(|family| family.value != Family::Rp2040);
    if !is_esp || free.value <= chip {
        return Ok(());
    }
    Err(Refusal::new(
        Code::SpaceWrapped,
        format!(
            "the device reports {} free bytes, more than its flash has: its sketch reaches into its filesystem, and no \
             update fits",
            free.value
        ),
    )
    .with_fact(format!("free bytes {} ({})", free.value, free.from)))
}

/// Refuses for what the possible devices would do: with the code of the mildest verdict.
pub(super) fn of_verdicts(release: &Release, tried: &[Tried<'_>]) -> (Code, String) {
    let mut lines = Vec::new();
    let mut mildest: Option<(u8, Code)> = None;
    for one in tried {
        let bad = one.verdicts.iter().map(|(name, verdict)| (code(verdict), name, verdict));
        let Some(((cost, code), name, verdict)) = bad.max_by_key(|((cost, _), ..)| *cost) else { continue };
        if mildest.is_none_or(|(least, _)| cost < least) {
            mildest = Some((cost, code));
        }
        lines.push(format!("{}: {name}: {verdict}", one.artefact.file));
    }
    let code = mildest.map_or(Code::CannotJudge, |(_, code)| code);
    let why = match lines.as_slice() {
        [] => format!("{} has no file that can be sent", said(release.title().as_bytes())),
        lines => {
            format!("no file of {} suits the device ({})", said(release.title().as_bytes()), lines.join("; "))
        }
    };
    (code, why)
}

/// How bad a verdict is, and its code.
fn code(verdict: &Verdict) -> (u8, Code) {
    let reason = verdict.reason();
    let code = match (verdict, reason) {
        (_, Some(Reason::TrailerBehindGzip { .. })) => Code::FirstSigned,
        (
            _,
            Some(Reason::Misfit(Misfit::Overtaken { .. }) | Reason::GzipMisfit(Misfit::Overtaken { .. })),
        ) => Code::NoRoomToUnpack,
        (
            _,
            Some(
                Reason::Misfit(_)
                | Reason::GzipMisfit(_)
                | Reason::FormSpace
                | Reason::Partition { .. }
                | Reason::BesideTasmota(_)
                | Reason::FileSystemFull { .. }
                | Reason::Staging { .. }
                | Reason::NoFileSystem
                | Reason::BeyondArea { .. },
            ),
        ) => Code::NoSpace,
        (_, Some(Reason::NotSigned { .. })) => Code::NotSigned,
        (_, Some(Reason::Rejected(_) | Reason::OtherScheme { .. })) => Code::OtherKey,
        (_, Some(Reason::NoGzip)) => Code::NoGzip,
        (_, Some(Reason::HomieFirstByte | Reason::HomieBase64)) => Code::PlainOnly,
        (_, Some(Reason::FlashMode { .. } | Reason::FlashModeHashed { .. } | Reason::NoFlashMode { .. })) => {
            Code::FlashMode
        }
        (
            _,
            Some(
                Reason::OtherChip { .. }
                | Reason::ForEsp8266
                | Reason::NotEsp32 { .. }
                | Reason::NotEsp8266 { .. },
            ),
        ) => Code::OtherChip,
        (Verdict::LastUpdate { .. }, _) => Code::LastUpdate,
        (Verdict::KeepsTheOld { .. }, _) => Code::KeepsTheOld,
        (Verdict::InstallsButWillNotBoot { .. }, _) => Code::WillNotBoot,
        (Verdict::Bricks { .. }, _) => Code::Bricks,
        (Verdict::Unknown { .. }, _) => Code::CannotJudge,
        _ => Code::DeviceRefuses,
    };
    let cost = match verdict {
        Verdict::Accepts => 0,
        // What stands against the signed files says more.
        Verdict::Refuses { .. } if code != Code::NotSigned => 1,
        Verdict::Refuses { .. } => 2,
        Verdict::Unknown { .. } => 3,
        Verdict::KeepsTheOld { .. } => 4,
        Verdict::LastUpdate { .. } => 5,
        Verdict::InstallsButWillNotBoot { .. } => 6,
        _ => 7,
    };
    (cost, code)
}
