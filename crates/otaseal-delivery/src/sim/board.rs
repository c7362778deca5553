//! The board of a simulated device: what runs, what is staged, and what happens at the next start.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use otaseal::format::digest::Md5Digest;
use otaseal::format::homie::{self, Tokens};
use otaseal::format::image::Content;
use otaseal::format::image::esp8266::FlashMode;
use otaseal::format::layers;
use otaseal::key::PublicKey;
use otaseal::package::manifest::Installed;
use otaseal::profile::fit::{FileSystemArea, Flash};
use otaseal::profile::{self, Device, Profile, Updater, Verdict, Via};

/// Bytes of a flash sector.
const SECTOR: u64 = 4096;

/// A board with a running firmware.
#[derive(Debug, Clone)]
pub struct Board {
    /// Its kind.
    pub profile: Profile,
    /// The public key in its firmware. A profile without a key ignores it.
    pub key: Option<PublicKey>,
    /// The mode in which it reads its flash.
    pub flash_mode: FlashMode,
    /// Flash offset in bytes at which its filesystem begins.
    pub fs_start: u32,
    /// Its filesystem, where a filesystem image goes.
    pub filesystem: Option<FileSystemArea>,
    /// Size of its flash chip in bytes.
    pub chip_bytes: u32,
    running: Arc<[u8]>,
    written_filesystem: Option<Vec<u8>>,
    next: Next,
    starts: u32,
}

/// What the boot loader does at the next start.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    /// It starts what runs.
    Same,
    /// It copies this image first.
    Copies(Vec<u8>),
    /// It destroys the flash.
    Dies,
}

/// What the updater says at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It says that all is well. That may be wrong: see [`Verdict`].
    Took,
    /// It refuses.
    Refused {
        /// Its error number, if it has one.
        code: Option<i16>,
        /// The text that it prints.
        prints: String,
    },
}

impl Board {
    /// A board of this kind with 4 MB of flash, 1 MB of it for a sketch and its update, that runs this plain image. An
    /// ESP8266 runs in the flash mode of the image.
    pub fn new(profile: Profile, running: &[u8]) -> Self {
        let mut board = Self {
            profile,
            key: None,
            flash_mode: FlashMode::Dio,
            fs_start: 0x10_0000,
            filesystem: None,
            chip_bytes: 4 << 20,
            running: Arc::from([]),
            written_filesystem: None,
            next: Next::Same,
            starts: 0,
        };
        if let Some(mode) = Installed::of(running).flash_mode {
            board.flash_mode = mode;
        }
        board.run(running);
        board
    }

    /// The image that runs: plain and unsigned, as the flash holds it.
    pub fn running(&self) -> &[u8] {
        &self.running
    }

    /// The MD5 that the device reports of what runs.
    pub fn sketch_md5(&self) -> Md5Digest {
        Md5Digest::of(&self.running)
    }

    /// The Homie tokens of what runs. An image without them, or with broken ones, has none.
    pub fn tokens(&self) -> Tokens {
        homie::extract(&self.running).unwrap_or_default()
    }

    /// The free bytes that the device reports. A sketch that reaches into the filesystem makes the number wrap, as on
    /// the device.
    pub fn free_space(&self) -> u32 {
        let sketch = (self.running.len() as u64).div_ceil(SECTOR) * SECTOR;
        self.fs_start.wrapping_sub(sketch as u32)
    }

    /// How often it started.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// The filesystem image that was written, if one was.
    pub fn written_filesystem(&self) -> Option<&[u8]> {
        self.written_filesystem.as_deref()
    }

    /// Gives a whole file to the updater. `via` is how it came; Homie's push has no name there.
    pub fn receive(&mut self, file: &[u8], via: Option<Via>, content: Content) -> Answer {
        match self.judge(file, via, content) {
            // A filesystem that the firmware cannot mount is written too, and the firmware starts.
            Verdict::Accepts | Verdict::LastUpdate { .. } | Verdict::InstallsButWillNotBoot { .. }
                if content == Content::Filesystem =>
            {
                self.written_filesystem = Some(payload(file).to_vec());
                Answer::Took
            }
            Verdict::Accepts | Verdict::LastUpdate { .. } => {
                match layers::unpack(file) {
                    Ok(found) => self.next = Next::Copies(self.patched(&found.plain, file)),
                    Err(_) => self.next = Next::Dies,
                }
                Answer::Took
            }
            Verdict::KeepsTheOld { .. } => Answer::Took,
            Verdict::Bricks { .. } | Verdict::InstallsButWillNotBoot { .. } => {
                self.next = Next::Dies;
                Answer::Took
            }
            Verdict::Refuses { code, prints, .. } => Answer::Refused { code, prints },
            other => Answer::Refused { code: None, prints: other.to_string() },
        }
    }

    /// Returns the verdict of the real device, without doing anything.
    pub fn judge(&self, file: &[u8], via: Option<Via>, content: Content) -> Verdict {
        let ways: Vec<Via> = via.into_iter().collect();
        let mut device = Device::new(self.profile, self.key.as_ref());
        device.content = content;
        device.filesystem = self.filesystem;
        device.flash_bytes = Some(self.chip_bytes);
        device.flash_mode = Some(self.flash_mode);
        let mut flash = Flash::new(self.fs_start);
        flash.installed = u32::try_from(self.running.len()).ok();
        device.flash = Some(flash);
        device.free_bytes = Some(self.free_space());
        device.via = via.is_some().then_some(ways.as_slice());
        profile::judge(file, &device).verdict
    }

    /// Starts the device again. Returns whether it runs afterwards.
    pub fn restart(&mut self) -> bool {
        match std::mem::replace(&mut self.next, Next::Same) {
            Next::Same => {}
            Next::Copies(image) => self.run(&image),
            Next::Dies => self.next = Next::Dies,
        }
        self.starts += 1;
        self.next != Next::Dies
    }

    /// Loses its power before the boot loader copies. The boot loader's command is gone, so the old firmware runs.
    ///
    /// Source: esp8266/Arduino `bootloaders/eboot/eboot.c`: the command is in the RTC's memory.
    pub fn loses_power(&mut self) {
        self.next = Next::Same;
    }

    /// The updater writes the device's own flash mode into a plain image, and leaves a gzip alone.
    fn patched(&self, plain: &[u8], file: &[u8]) -> Vec<u8> {
        let mut image = plain.to_vec();
        let esp8266 =
            matches!(self.profile.updater, Updater::Esp8266(_) | Updater::HomieMqtt(_) | Updater::Tasmota);
        let patches = esp8266 && self.profile.behaviour().patches_flash_mode && file.first() == Some(&0xE9);
        if let Some(byte) = image.get_mut(2).filter(|_| patches) {
            *byte = self.flash_mode.byte();
        }
        image
    }

    /// What stands behind the image in the file is in the flash, but the device does not count it.
    fn run(&mut self, plain: &[u8]) {
        let counted = usize::try_from(Installed::of(plain).size_bytes).unwrap_or(plain.len());
        self.running = shared(&plain[..counted.min(plain.len())]);
    }
}

/// Returns the bytes of an image. A thousand boards that run the same image keep it once.
fn shared(image: &[u8]) -> Arc<[u8]> {
    static IMAGES: Mutex<Vec<Weak<[u8]>>> = Mutex::new(Vec::new());
    let mut images = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
    images.retain(|known| known.strong_count() > 0);
    if let Some(known) = images.iter().filter_map(Weak::upgrade).find(|known| **known == *image) {
        return known;
    }
    let new: Arc<[u8]> = Arc::from(image);
    images.push(Arc::downgrade(&new));
    new
}

/// The file without its signature.
fn payload(file: &[u8]) -> &[u8] {
    match otaseal::format::image::trailer_of(file) {
        Some(found) => &file[..file.len() - otaseal::device::layout::trailer_len(found.signature_len)],
        None => file,
    }
}

#[cfg(test)]
mod tests;
