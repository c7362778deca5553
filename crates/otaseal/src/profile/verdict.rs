//! Describes a device, and its verdict on an image.

use std::fmt;

use serde::Serialize;

use super::{Assumption, PartitionScheme, Profile, Reason, Via};
use crate::format::image::Content;
use crate::format::image::esp8266::FlashMode;
use crate::key::PublicKey;
use crate::profile::fit::{FileSystemArea, Flash};

/// The known facts about a device.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Device<'k> {
    /// Its kind.
    pub profile: Profile,
    /// The public key in it.
    pub key: Option<&'k PublicKey>,
    /// Its flash, and the image that runs from it.
    pub flash: Option<Flash>,
    /// Size of its flash chip in bytes.
    pub flash_bytes: Option<u32>,
    /// Size of the flash chip that the header of the running image names, in bytes.
    pub running_flash_bytes: Option<u32>,
    /// Free bytes that it reports: those of its filesystem, if its updater stores the file there, or of the partition
    /// for the next update.
    pub free_bytes: Option<u32>,
    /// Its partitions.
    pub partitions: Option<PartitionScheme>,
    /// The mode in which it reads its flash.
    pub flash_mode: Option<FlashMode>,
    /// What the files for it are sent as.
    pub content: Content,
    /// Its filesystem, where a filesystem image goes.
    pub filesystem: Option<FileSystemArea>,
    /// Whether its esp8266 core was built with `ATOMIC_FS_UPDATE`: then it stages a filesystem image too.
    pub atomic_fs_update: bool,
    /// The ways in which files reach it, if they are known. Those that its updater does not have do not count.
    pub via: Option<&'k [Via]>,
}

impl<'k> Device<'k> {
    /// Describes a device of this kind, with or without a key, that gets firmware. Nothing else is known, and every way
    /// of delivery counts.
    pub fn new(profile: Profile, key: Option<&'k PublicKey>) -> Self {
        Self {
            profile,
            key,
            flash: None,
            flash_bytes: None,
            running_flash_bytes: None,
            free_bytes: None,
            partitions: None,
            flash_mode: None,
            content: Content::Firmware,
            filesystem: None,
            atomic_fs_update: false,
            via: None,
        }
    }

    /// Returns the ways to judge.
    pub(super) fn ways(&self) -> Vec<Via> {
        let has = |way: &Via| self.via.is_none_or(|ways| ways.contains(way));
        self.profile.ways().iter().copied().filter(has).collect()
    }
}

/// What the device does with an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// It installs the image.
    Accepts,
    /// It refuses the image, and the old firmware goes on running. A filesystem image may have replaced the old
    /// filesystem by then: the reason says so.
    Refuses {
        /// The device's error number, if it has one: the Updater's, or a negative one of its HTTP client.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<i16>,
        /// The text that the device prints or publishes.
        prints: String,
        /// The reason.
        reason: Reason,
    },
    /// It says that all is well, and the old firmware goes on running.
    KeepsTheOld {
        /// The reason.
        reason: Reason,
    },
    /// It installs the image. Afterwards its updater refuses every update.
    LastUpdate {
        /// The reason.
        reason: Reason,
    },
    /// It installs the image, damage included. The updater does not see the damage, and the device does not start. Of a
    /// filesystem image: the firmware cannot mount it.
    InstallsButWillNotBoot {
        /// The reason.
        reason: Reason,
    },
    /// It accepts the image, and afterwards neither the image nor the old firmware is whole in its flash, or the image
    /// is none for this device.
    Bricks {
        /// The reason.
        reason: Reason,
    },
    /// The verdict depends on a fact that is not given.
    Unknown {
        /// The missing fact.
        reason: Reason,
    },
}

impl Verdict {
    /// Returns why the device does not accept the image.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accepts => None,
            Self::Refuses { reason, .. }
            | Self::KeepsTheOld { reason }
            | Self::LastUpdate { reason }
            | Self::InstallsButWillNotBoot { reason }
            | Self::Bricks { reason }
            | Self::Unknown { reason } => Some(reason),
        }
    }
}

impl Verdict {
    /// Says of a gzip that has no room that it is one: to compress it is no help.
    pub(super) fn of_file(self, file: &[u8]) -> Self {
        match self {
            Self::Refuses { code, prints, reason: Reason::Misfit(misfit) }
                if file.starts_with(&[0x1F, 0x8B]) =>
            {
                Self::Refuses { code, prints, reason: Reason::GzipMisfit(misfit) }
            }
            other => other,
        }
    }

    /// Orders verdicts by what they cost. A missing fact counts only where nothing else speaks against the image.
    fn cost(&self) -> u8 {
        match self {
            Self::Accepts => 0,
            Self::Unknown { .. } => 1,
            Self::Refuses { .. } => 2,
            Self::KeepsTheOld { .. } => 3,
            Self::LastUpdate { .. } => 4,
            Self::InstallsButWillNotBoot { .. } => 5,
            Self::Bricks { .. } => 6,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepts => f.write_str("accepted"),
            Self::Refuses { prints, reason, .. } => write!(f, "refused: {prints} ({reason})"),
            Self::KeepsTheOld { reason } => {
                write!(f, "keeps the old firmware, and reports success: {reason}")
            }
            Self::LastUpdate { reason } => write!(f, "is the last update that the device takes: {reason}"),
            Self::InstallsButWillNotBoot { reason: reason @ Reason::Mount(_) } => {
                write!(f, "installs, but will not mount: {reason}")
            }
            Self::InstallsButWillNotBoot { reason } => write!(f, "installs, but will not boot: {reason}"),
            Self::Bricks { reason } => write!(f, "bricks the device: {reason}"),
            Self::Unknown { reason } => write!(f, "cannot be judged: {reason}"),
        }
    }
}

/// A verdict, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Judgement {
    /// What the device does with the image. If the ways of delivery differ, this is the worst of the ways that are known
    /// to be used. If it is not known which are used, one way that accepts is enough: look at the others in `by_way`.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The verdict of each way of delivery, if the ways differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_way: Vec<WayVerdict>,
    /// The updater's steps that the image passed on the way of the verdict, in their order.
    pub passed: Vec<&'static str>,
    /// Facts that are not known, and were assumed.
    pub assumed: Vec<Assumption>,
}

/// The verdict of one way of delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WayVerdict {
    /// The way.
    pub via: Via,
    /// What the device does with the image.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Judgement {
    /// A verdict for which no step was taken.
    pub(super) fn of(verdict: Verdict) -> Self {
        Self { verdict, by_way: Vec::new(), passed: Vec::new(), assumed: Vec::new() }
    }

    /// Returns the worst verdict of all ways.
    pub fn worst(&self) -> &Verdict {
        let ways = self.by_way.iter().map(|way| &way.verdict);
        ways.fold(&self.verdict, |worst, way| if way.cost() > worst.cost() { way } else { worst })
    }

    /// Joins the judgements of several ways. Of equal verdicts, the first counts. `known` says whether these ways are
    /// used, or only can be.
    pub(super) fn of_ways(ways: Vec<(Via, Self)>, known: bool) -> Self {
        let by_way: Vec<_> =
            ways.iter().map(|(via, way)| WayVerdict { via: *via, verdict: way.verdict.clone() }).collect();
        let differ = by_way.windows(2).any(|pair| pair[0].verdict != pair[1].verdict);
        let mut assumed = Vec::new();
        for what in ways.iter().flat_map(|(_, way)| &way.assumed) {
            if !assumed.contains(what) {
                assumed.push(*what);
            }
        }
        let one_accepts = !known && by_way.iter().any(|way| way.verdict == Verdict::Accepts);
        let counts = |way: &Self| !one_accepts || way.verdict == Verdict::Accepts;
        let counting = ways.into_iter().map(|(_, way)| way).filter(counts);
        let first_worst =
            counting.reduce(|worst, way| if way.verdict.cost() > worst.verdict.cost() { way } else { worst });
        let Some(found) = first_worst else { unreachable!("there is a way") };
        Self { by_way: if differ { by_way } else { Vec::new() }, assumed, ..found }
    }
}
