//! The devices that a device with these facts may be.

use otaseal::format::image::Content;
use otaseal::format::image::esp32::Esp32Chip;
use otaseal::key::PublicKey;
use otaseal::profile::fit::{Flash, fs_start_of_device};
use otaseal::profile::{CORES, CoreVersion, Device, Esp32Core, Profile, Updater};

use super::{Code, Policy, Refusal, Way};
use crate::device::{DeviceFacts, DeviceKey, Family};
use crate::release::Release;

/// Homie 2.0 needs this core (homieiot/homie-esp8266 v2.0.0, README).
const OLDEST_HOMIE_CORE: CoreVersion = CoreVersion(2, 4, 0);

/// The possible devices, and what they are assumed not to be.
pub(super) struct Possible<'a> {
    pub(super) devices: Vec<Device<'a>>,
    pub(super) assumed: Vec<String>,
}

impl<'a> Possible<'a> {
    pub(super) fn devices(
        release: &'a Release,
        facts: &'a DeviceFacts,
        policy: Policy,
    ) -> Result<Self, Refusal> {
        let mut assumed = Vec::new();
        let updaters = updaters(release, facts, policy, &mut assumed)?;
        let keys = keys(release, facts)?;
        let mut devices = Vec::new();
        for updater in updaters {
            for key in &keys {
                // One without a known profile is tried with and without a key.
                let profile = Profile::new(updater, key.is_some());
                let duplicate =
                    |one: &Device<'_>| one.profile == profile && one.key.is_some() == key.is_some();
                if key.is_some() && !profile.verifies() && devices.iter().any(duplicate) {
                    continue;
                }
                devices.push(device(profile, *key, facts, policy));
            }
        }
        Ok(Self { devices, assumed })
    }
}

fn device<'a>(
    profile: Profile,
    key: Option<&'a PublicKey>,
    facts: &DeviceFacts,
    policy: Policy,
) -> Device<'a> {
    let number = |fact: &Option<crate::device::Known<u64>>| {
        fact.as_ref().and_then(|fact| u32::try_from(fact.value).ok())
    };
    let (free, sketch) = (number(&facts.free_bytes), number(&facts.sketch_bytes));
    let mut device = Device::new(profile, key);
    device.content = policy.content;
    device.flash_bytes = number(&facts.chip_bytes);
    device.free_bytes = free;
    device.flash_mode = facts.flash_mode.as_ref().map(|mode| mode.value);
    let is_esp8266 =
        matches!(profile.updater, Updater::Esp8266(_) | Updater::HomieMqtt(_) | Updater::Tasmota);
    if let (true, Some(free), Some(sketch)) = (is_esp8266, free, sketch) {
        device.flash = fs_start_of_device(free, sketch).ok().map(|start| {
            let mut flash = Flash::new(start);
            flash.installed = Some(sketch);
            flash
        });
    }
    device
}

/// The updaters that the device may have.
fn updaters(
    release: &Release,
    facts: &DeviceFacts,
    policy: Policy,
    assumed: &mut Vec<String>,
) -> Result<Vec<Updater>, Refusal> {
    if let Some(profile) = &facts.profile {
        return Ok(vec![match (profile.value.updater, policy.way) {
            (Updater::Esp8266(core), Way::HomieMqtt) => Updater::HomieMqtt(core),
            (updater, _) => updater,
        }]);
    }
    let family = match (&facts.family, release.family) {
        (Some(known), _) => known.value,
        (None, Some(family)) => {
            assumed.push(format!("that the device is of the family {family}, as the image is"));
            family
        }
        (None, None) => {
            return Err(Refusal::new(
                Code::UnknownFamily,
                "neither the device nor the image says which chip it is for",
            )
            .with_fact(format!("the image {} says no chip", release.base)));
        }
    };
    Ok(match family {
        Family::Esp8266 => {
            let oldest = facts.core_at_least.as_ref().map(|core| core.value);
            let oldest = match policy.way {
                Way::HomieMqtt => oldest.max(Some(OLDEST_HOMIE_CORE)),
                _ => oldest,
            };
            generations(oldest)
                .into_iter()
                .map(|core| match policy.way {
                    Way::HomieMqtt => Updater::HomieMqtt(core),
                    _ => Updater::Esp8266(core),
                })
                .collect()
        }
        Family::Rp2040 => vec![Updater::Pico],
        Family::Esp32 => {
            let chip = match (release.esp32_chip, policy.content) {
                (Some(chip), _) => chip,
                // No rule for a filesystem image depends on the chip.
                (None, Content::Filesystem) => {
                    Esp32Chip::from_id(0).unwrap_or_else(|| unreachable!("the ESP32 itself"))
                }
                (None, Content::Firmware) => {
                    let why = "the device is of the ESP32 family, and the image is for none of its chips";
                    return Err(Refusal::new(Code::OtherChip, why));
                }
            };
            if policy.content == Content::Firmware {
                assumed.push(format!("that the chip of the device is the {chip}, as the image says"));
            }
            [1, 2, 3].into_iter().map(|major| Updater::Esp32(Esp32Core::new(chip, major))).collect()
        }
    })
}

/// One core of each generation from this one on.
fn generations(oldest: Option<CoreVersion>) -> Vec<CoreVersion> {
    let mut found: Vec<CoreVersion> = Vec::new();
    for (first, _) in CORES {
        match oldest {
            Some(oldest) if *first <= oldest => found = vec![oldest],
            _ => found.push(*first),
        }
    }
    found
}

/// The keys that the device may have: `None` is a device without one.
fn keys<'a>(release: &'a Release, facts: &'a DeviceFacts) -> Result<Vec<Option<&'a PublicKey>>, Refusal> {
    Ok(match &facts.key {
        DeviceKey::None(_) => vec![None],
        DeviceKey::Holds(keys, _) => keys.iter().map(Some).collect(),
        DeviceKey::HoldsUnseen(ids, _) => match &release.signer {
            Some(signer) if ids.contains(&signer.id()) => vec![Some(signer)],
            _ => {
                let known: Vec<String> = ids.iter().map(ToString::to_string).collect();
                return Err(Refusal::new(
                    Code::OtherKey,
                    "no file of the release is signed by a key that the device has",
                )
                .with_fact(format!("keys of the device {}", known.join(", "))));
            }
        },
        DeviceKey::Unknown => match (&release.signer, &facts.profile) {
            // A person who names the kind says whether it has a key.
            (Some(signer), Some(profile)) if profile.value.has_key => vec![Some(signer)],
            (None, Some(profile)) if profile.value.has_key => {
                return Err(Refusal::new(
                    Code::NotSigned,
                    "the device checks signatures, and no file of the release is signed by a key that we know",
                ));
            }
            (_, Some(_)) => vec![None],
            (Some(signer), None) => vec![None, Some(signer)],
            (None, None) => vec![None],
        },
    })
}
