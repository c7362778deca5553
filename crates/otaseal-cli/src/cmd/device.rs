//! Options about a device's flash that are not settings.

use crate::error::Failure;
use clap::Args;
use otaseal::profile::fit::{Flash, fs_start_of_device};
use otaseal::project::settings::Settings;

/// Facts about a device's flash that are not settings. Every command that needs them has the same options.
#[derive(Debug, Args)]
pub(crate) struct FlashArgs {
    /// Size in bytes of the image that the device runs now (x-ESP8266-sketch-size)
    #[arg(long, value_name = "BYTES")]
    installed_size: Option<u32>,
    /// Free space in bytes that the device reports (x-ESP8266-free-space); use it instead of the flash layout
    #[arg(long, value_name = "BYTES", requires = "installed_size", conflicts_with = "flash-layout")]
    free_space: Option<u32>,
}

impl FlashArgs {
    /// Returns the flash, and the size of its chip in bytes.
    pub(crate) fn flash(&self, settings: &Settings) -> Result<(Option<Flash>, Option<u32>), Failure> {
        let installed = self.installed_size;
        let flash = |fs_start| {
            let mut flash = Flash::new(fs_start);
            flash.installed = installed;
            flash
        };
        if let (Some(free), Some(sketch)) = (self.free_space, installed) {
            let fs_start = fs_start_of_device(free, sketch).map_err(|error| {
                Failure::usage(error, "give both numbers as the device sends them, or use --flash-layout")
            })?;
            return Ok((Some(flash(fs_start)), None));
        }
        let flash = settings.flash_layout.map(|layout| flash(layout.fs_start));
        if flash.is_none() && installed.is_some() {
            return Err(Failure::usage(
                "--installed-size needs the flash layout or the free space",
                "add --flash-layout or --free-space",
            ));
        }
        Ok((flash, settings.flash_layout.map(|layout| layout.flash_bytes)))
    }
}
