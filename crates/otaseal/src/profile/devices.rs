//! Names the devices that a package is made for, and judges which artefacts they accept.

use serde::Serialize;

use crate::format::image::Content;
use crate::format::image::esp8266::FlashMode;
use crate::key::PublicKey;
use crate::profile::fit::{FileSystemArea, Flash};
use crate::profile::{self, Device, PartitionScheme, Profile, Verdict, Via};

/// The devices that a package is made for. Without profiles, nothing is judged and nothing is left out.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Devices {
    /// Their kinds. A device with a key has the key that signs.
    pub profiles: Vec<Profile>,
    /// The flash of the device with the least room.
    pub flash: Option<Flash>,
    /// The size of the image that runs, in bytes, where `flash` does not say it.
    pub installed: Option<u32>,
    /// The size of its chip in bytes.
    pub flash_bytes: Option<u32>,
    /// The size of the flash chip that the header of the running image names, in bytes.
    pub running_flash_bytes: Option<u32>,
    /// Free bytes that they report: those of their filesystem, if the updater stores the file there, or of the
    /// partition for the next update.
    pub free_bytes: Option<u32>,
    /// Their partitions.
    pub partitions: Option<PartitionScheme>,
    /// The mode in which they read their flash.
    pub flash_mode: Option<FlashMode>,
    /// The filesystem of the device with the least room, for filesystem images.
    pub filesystem: Option<FileSystemArea>,
    /// Whether their esp8266 cores were built with `ATOMIC_FS_UPDATE`.
    pub atomic_fs_update: bool,
    /// The ways in which updates reach them. `None`: every way that a device has.
    pub via: Option<Vec<Via>>,
}

/// A kind of device that does not accept an artefact.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// The kind of device.
    pub profile: Profile,
    /// Its verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// The verdicts of all kinds of devices on one artefact.
pub(crate) struct Verdicts {
    pub(crate) accepted: Vec<Profile>,
    pub(crate) refused: Vec<Refusal>,
}

impl Verdicts {
    /// Returns a line for each device that does not accept.
    pub(crate) fn reasons(&self) -> Vec<String> {
        self.refused.iter().map(|refusal| format!("{}: {}", refusal.profile, refusal.verdict)).collect()
    }

    /// Returns whether there are devices, and none of them accepts.
    pub(crate) fn nobody_accepts(&self) -> bool {
        self.accepted.is_empty() && !self.refused.is_empty()
    }
}

impl Devices {
    /// Describes one device of this kind, with this key in it. It gets firmware.
    pub fn device<'d>(&'d self, profile: Profile, key: Option<&'d PublicKey>) -> Device<'d> {
        let installed = |flash: Flash| Flash { installed: flash.installed.or(self.installed), ..flash };
        Device {
            flash: self.flash.map(installed),
            flash_bytes: self.flash_bytes,
            running_flash_bytes: self.running_flash_bytes,
            free_bytes: self.free_bytes,
            partitions: self.partitions,
            flash_mode: self.flash_mode,
            filesystem: self.filesystem,
            atomic_fs_update: self.atomic_fs_update,
            via: self.via.as_deref(),
            ..Device::new(profile, key)
        }
    }

    /// Returns the first kind of device that checks signatures. Without profiles there is none, and nobody knows what
    /// the devices check.
    pub fn verifying(&self) -> Option<Profile> {
        self.profiles.iter().copied().find(Profile::verifies)
    }

    /// Judges an artefact, given in its two parts, for every profile. `key` is the key in those that have one.
    pub(crate) fn judge(&self, parts: [&[u8]; 2], content: Content, key: Option<&PublicKey>) -> Verdicts {
        let mut verdicts = Verdicts { accepted: Vec::new(), refused: Vec::new() };
        if self.profiles.is_empty() {
            return verdicts;
        }
        let image = parts.concat();
        for &profile in &self.profiles {
            let device = Device { content, ..self.device(profile, key) };
            let judgement = profile::judge(&image, &device);
            let verdict = match content {
                // Whoever gets the artefact may choose the way.
                Content::Firmware => judgement.worst(),
                // Some devices take no filesystem at all in some ways. So one way is enough, unless they are named.
                Content::Filesystem => &judgement.verdict,
            };
            match verdict {
                Verdict::Accepts => verdicts.accepted.push(profile),
                verdict => verdicts.refused.push(Refusal { profile, verdict: verdict.clone() }),
            }
        }
        verdicts
    }
}
