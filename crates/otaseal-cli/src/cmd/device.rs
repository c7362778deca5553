//! Options about a device that are not settings.

use crate::error::Failure;
use crate::io::Place;
use clap::Args;
use otaseal::format::image::esp8266::stated_flash_bytes;
use otaseal::format::image::{self, Kind};
use otaseal::format::layers::{self, MAX_IMAGE};
use otaseal::profile::devices::Devices;
use otaseal::profile::fit::{FileSystemArea, Flash, fs_start_of_device};
use otaseal::profile::{Fact, Profile};
use otaseal::project::settings::Settings;

/// Facts about a device that are not settings. Every command that needs them has the same options.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Size in bytes of the image that the device runs now (x-ESP8266-sketch-size)
    #[arg(
        long,
        value_name = "BYTES",
        conflicts_with = "running",
        help_heading = "Devices",
        hide_short_help = true
    )]
    installed_size: Option<u32>,
    /// Free space in bytes that the device reports (x-ESP8266-free-space); use it instead of the flash layout. For an
    /// arduino-pico, the free bytes of its filesystem; for an ESP32, the size of the partition (x-ESP32-free-space)
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["flash-layout", "partition-scheme"], help_heading = "Devices", hide_short_help = true)]
    free_space: Option<u32>,
    /// Size of the flash chip in bytes that the device reports (x-ESP8266-chip-size)
    /// [default: the chip of --flash-layout]
    #[arg(long, value_name = "BYTES", help_heading = "Devices", hide_short_help = true)]
    chip_size: Option<u32>,
    /// Size of the device's filesystem in bytes, for a filesystem image
    /// [default: the filesystem of --flash-layout]
    #[arg(long, value_name = "BYTES", help_heading = "Devices", hide_short_help = true)]
    filesystem_size: Option<u32>,
    /// The image that the device runs now: its size, flash mode and flash size count
    #[arg(long, value_name = "FILE", help_heading = "Devices", hide_short_help = true)]
    running: Option<Place>,
    /// Size of the flash chip in bytes that the header of the running image names
    #[arg(
        long,
        value_name = "BYTES",
        conflicts_with = "running",
        help_heading = "Devices",
        hide_short_help = true
    )]
    running_flash_size: Option<u32>,
}

impl DeviceArgs {
    /// Adds what the options say to devices that the settings describe. `given` is what the command line says of
    /// settings: a fact that no device of these kinds can use is refused there.
    pub(crate) fn describe(&self, devices: &mut Devices, given: &Settings) -> Result<(), Failure> {
        self.check_use(&devices.profiles, given)?;
        if let Some(running) = &self.running {
            self.read_running(running, devices)?;
        }
        devices.installed = self.installed_size.or(devices.installed);
        devices.running_flash_bytes = self.running_flash_size.or(devices.running_flash_bytes);
        if let Some(free) = self.free_space {
            devices.free_bytes = Some(free);
            (devices.flash, devices.flash_bytes) = (None, None);
            (devices.partitions, devices.filesystem) = (None, None);
            if uses(&devices.profiles, Fact::Layout) {
                devices.flash = Some(flash_of(free, devices.installed)?);
            }
        }
        devices.flash_bytes = self.chip_size.or(devices.flash_bytes);
        devices.filesystem = self.filesystem_size.map(FileSystemArea::new).or(devices.filesystem);
        if self.installed_size.is_some() && devices.flash.is_none() && devices.free_bytes.is_none() {
            return Err(Failure::usage(
                "--installed-size needs the flash layout or the free space",
                "add --flash-layout or --free-space",
            ));
        }
        Ok(())
    }

    /// Returns the image that runs, if the command line names it.
    pub(crate) fn running(&self) -> Option<&Place> {
        self.running.as_ref()
    }

    fn check_use(&self, profiles: &[Profile], given: &Settings) -> Result<(), Failure> {
        let options = [
            (self.installed_size.is_some(), "--installed-size", Fact::Installed),
            (self.free_space.is_some(), "--free-space", Fact::FreeSpace),
            (self.chip_size.is_some(), "--chip-size", Fact::Chip),
            (self.running.is_some(), "--running", Fact::Running),
            (self.running_flash_size.is_some(), "--running-flash-size", Fact::Running),
            (self.filesystem_size.is_some(), "--filesystem-size", Fact::FileSystem),
            (given.flash_layout.is_some(), "--flash-layout", Fact::Layout),
            (given.partition_scheme.is_some(), "--partition-scheme", Fact::Partitions),
            (given.atomic_fs_update.is_some(), "--atomic-fs-update", Fact::AtomicFsUpdate),
            (given.flash_mode.is_some(), "--flash-mode", Fact::FlashMode),
            (given.via.is_some(), "--via", Fact::Via),
        ];
        let unused = options.into_iter().find(|(is_given, _, fact)| *is_given && !uses(profiles, *fact));
        let Some((_, option, _)) = unused else { return Ok(()) };
        Err(match profiles {
            [] => Failure::usage(
                format_args!("{option} describes a device, but no device is named"),
                "name the devices with --for, or omit the option",
            ),
            _ => {
                let names: Vec<_> = profiles.iter().map(Profile::to_string).collect();
                Failure::usage(
                    format_args!(
                        "{option} says nothing about {}: its updater does not look there",
                        names.join(", ")
                    ),
                    "omit the option",
                )
            }
        })
    }

    /// The image that runs: plain, or as it was sent.
    fn read_running(&self, place: &Place, devices: &mut Devices) -> Result<(), Failure> {
        let bytes = place.read(MAX_IMAGE)?;
        let no_image = |found: String| {
            Failure::new(
                format_args!("{place} is no image that an ESP8266 runs: it is {found}"),
                "give the image that runs now: the .bin of its build, or the file that was sent",
            )
        };
        let plain = layers::unpack(&bytes).map_err(|error| no_image(error.to_string()))?.plain;
        let file = match image::identify(&plain) {
            Kind::Esp8266(file) => file,
            other => return Err(no_image(other.to_string())),
        };
        devices.installed = u32::try_from(file.end().unwrap_or(plain.len())).ok();
        devices.running_flash_bytes = stated_flash_bytes(&plain).or(devices.running_flash_bytes);
        devices.flash_mode = devices.flash_mode.or(file.first.header.flash_mode);
        Ok(())
    }
}

fn uses(profiles: &[Profile], fact: Fact) -> bool {
    profiles.iter().any(|profile| profile.looks_at(fact))
}

fn flash_of(free: u32, installed: Option<u32>) -> Result<Flash, Failure> {
    let Some(sketch) = installed else {
        return Err(Failure::usage(
            "--free-space says nothing without the size of the image that runs",
            "give --installed-size or --running as well, or name the --flash-layout",
        ));
    };
    let fs_start = fs_start_of_device(free, sketch).map_err(|error| {
        Failure::usage(error, "give both numbers as the device sends them, or use --flash-layout")
    })?;
    Ok(Flash::new(fs_start))
}
