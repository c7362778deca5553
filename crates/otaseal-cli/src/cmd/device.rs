use crate::error::Failure;
use clap::Args;
use otaseal::format::image::esp8266::FlashMode;
use otaseal::profile::fit::{Flash, FlashLayout, fs_start_of_device};
use otaseal::project::advice::{Advice, Speaker};

/// What is known of a device's flash; the same for every command that asks.
#[derive(Debug, Args)]
pub(crate) struct FlashArgs {
    /// The device's flash layout, as the Arduino core calls it: 1m64, 4m1m, 4m3m, ...
    #[arg(long, value_name = "LAYOUT", value_parser = layout)]
    flash_layout: Option<FlashLayout>,
    /// Size in bytes of the image that the device runs now (x-ESP8266-sketch-size)
    #[arg(long, value_name = "BYTES")]
    installed_size: Option<u32>,
    /// Free space in bytes that the device reports (x-ESP8266-free-space), in place of its layout
    #[arg(long, value_name = "BYTES", requires = "installed_size", conflicts_with = "flash_layout")]
    free_space: Option<u32>,
    /// The mode in which the device reads its flash: qio, qout, dio or dout
    #[arg(long, value_name = "MODE")]
    pub(super) flash_mode: Option<FlashMode>,
}

fn layout(text: &str) -> Result<FlashLayout, String> {
    text.parse().map_err(|error: otaseal::profile::fit::UnknownLayout| error.advice(Speaker::Program))
}

impl FlashArgs {
    /// The flash, and the size of its chip.
    pub(crate) fn flash(&self) -> Result<(Option<Flash>, Option<u32>), Failure> {
        let installed = self.installed_size;
        if let (Some(free), Some(sketch)) = (self.free_space, installed) {
            let fs_start = fs_start_of_device(free, sketch).map_err(|error| {
                Failure::usage(
                    error,
                    "give both numbers as the device sends them, or name its --flash-layout",
                )
            })?;
            return Ok((Some(Flash { fs_start, installed }), None));
        }
        let flash = self.flash_layout.map(|layout| Flash { fs_start: layout.fs_start, installed });
        if flash.is_none() && installed.is_some() {
            return Err(Failure::usage(
                "--installed-size says nothing without the flash it is in",
                "name the --flash-layout, or give --free-space as well",
            ));
        }
        Ok((flash, self.flash_layout.map(|layout| layout.flash_bytes)))
    }
}
