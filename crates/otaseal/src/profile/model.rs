//! An ESP8266 on an array of bytes: running image, filesystem, Updater, boot loader, and the three ways of delivery.
//!
//! It is written from the facts, statement by statement, and shares nothing with the judgement that it is held against.

pub(super) mod eboot;

use eboot::Eboot;

const SECTOR: usize = 4096;

/// The core and its configuration.
#[derive(Debug, Clone)]
pub(super) struct Esp8266 {
    pub(super) core: (u16, u16, u16),
    pub(super) has_key: bool,
    pub(super) chip: usize,
    pub(super) fs_start: usize,
    /// The image that runs. Its bytes 2 and 3 are the flash mode and the flash size of the SDK.
    pub(super) running: Vec<u8>,
}

/// What was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
    /// What the signature at its end covers, and whether it is a legacy signature.
    pub(super) signed: Option<(Vec<u8>, bool)>,
}

/// What became of the device.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// An error of the pull (negative) or of the Updater.
    Error(i32),
    /// The flash after the reboot.
    Flash(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Pull,
    Espota,
    Form,
}

fn flash_size(byte_3: u8) -> usize {
    match byte_3 >> 4 {
        0 => 512 << 10,
        1 => 256 << 10,
        2 => 1 << 20,
        3 => 2 << 20,
        4 => 4 << 20,
        8 => 8 << 20,
        9 => 16 << 20,
        _ => 0,
    }
}

impl Esp8266 {
    /// The flash before the update: the running image, whatever was there before, and a filesystem of 46.
    pub(super) fn flash(&self) -> Vec<u8> {
        let mut flash = vec![0x55; self.chip];
        flash[..self.running.len()].copy_from_slice(&self.running);
        flash[self.fs_start..].fill(0x46);
        flash
    }

    fn verifies(&self) -> bool {
        self.has_key && self.core >= (2, 5, 0)
    }

    pub(super) fn deliver(&self, sent: &Sent, way: Way) -> End {
        match self.update(sent, way) {
            Ok(flash) => End::Flash(flash),
            Err(code) => End::Error(code),
        }
    }

    /// As [`Self::deliver`], for a filesystem of `area` bytes.
    pub(super) fn deliver_filesystem(&self, sent: &Sent, way: Way, area: usize, atomic: bool) -> End {
        match self.update_filesystem(sent, way, area, atomic) {
            Ok(flash) => End::Flash(flash),
            Err(code) => End::Error(code),
        }
    }

    fn update_filesystem(&self, sent: &Sent, way: Way, area: usize, atomic: bool) -> Result<Vec<u8>, i32> {
        let file = &sent.bytes;
        let sketch = self.running.len().div_ceil(SECTOR) * SECTOR;
        if way == Way::Pull && file.len() > area {
            return Err(-100);
        }
        // begin(): the form announces the whole filesystem.
        let size = if way == Way::Form { area } else { file.len() };
        if self.chip < flash_size(self.running[3]) {
            return Err(8);
        }
        let rounded = size.div_ceil(SECTOR) * SECTOR;
        if rounded > area {
            return Err(4);
        }
        let start = if atomic { self.fs_start.saturating_sub(rounded) } else { self.fs_start };
        if atomic && start < sketch || file.len() > size {
            return Err(4);
        }
        // write(): nothing is patched.
        let mut flash = self.flash();
        let end = start + file.len();
        flash[start..end.next_multiple_of(SECTOR)].fill(0xFF);
        flash[start..end].copy_from_slice(file);
        // end()
        if way == Way::Form && file.len() < SECTOR && self.core >= (3, 0, 0) {
            return Err(13);
        }
        let mut stored = file.len();
        if self.verifies() {
            let legacy = self.core < (2, 6, 0);
            let payload = file.len().checked_sub(260).map(|length| &file[..length]);
            let good = sent
                .signed
                .as_ref()
                .is_some_and(|(covered, is_legacy)| Some(&covered[..]) == payload && *is_legacy == legacy);
            let misread = (3, 1, 0) <= self.core && self.core < (3, 1, 3) && !file.len().is_multiple_of(4);
            if !good || misread {
                return Err(12);
            }
            if self.core >= (3, 0, 0) {
                stored -= 260;
            }
        }
        if !atomic {
            return Ok(flash);
        }
        // eboot
        if flash[start..].starts_with(&[0x1F, 0x8B]) && self.core >= (2, 7, 0) {
            let eboot = Eboot::on(flash, start, stored, self.core < (3, 0, 0));
            return Ok(eboot.to(self.fs_start).boot());
        }
        for at in (0..stored).step_by(SECTOR) {
            let sector = flash[start + at..start + at + SECTOR].to_vec();
            flash[self.fs_start + at..self.fs_start + at + SECTOR].copy_from_slice(&sector);
        }
        Ok(flash)
    }

    fn update(&self, sent: &Sent, way: Way) -> Result<Vec<u8>, i32> {
        let file = &sent.bytes;
        let sketch = self.running.len().div_ceil(SECTOR) * SECTOR;
        let free = self.fs_start.saturating_sub(sketch);
        if way == Way::Pull {
            if file.is_empty() {
                return Err(-101);
            }
            if file.len() > free {
                return Err(-100);
            }
            let gzip_known = self.core >= (2, 7, 0);
            if file.len() < 4 || !(file[0] == 0xE9 || file[0] == 0x1F && gzip_known) {
                return Err(-106);
            }
            if file[0] == 0xE9 && flash_size(file[3]) > self.chip {
                return Err(-107);
            }
        }

        // begin()
        let size = match way {
            Way::Form if free >= SECTOR => free - SECTOR,
            Way::Form => usize::MAX / 2 / SECTOR * SECTOR,
            _ => file.len(),
        };
        if size == 0 {
            return Err(5);
        }
        if self.chip < flash_size(self.running[3]) {
            return Err(8);
        }
        let rounded = size.div_ceil(SECTOR) * SECTOR;
        let start = self.fs_start.saturating_sub(rounded);
        if start < sketch {
            return Err(4);
        }

        // write(), in buffers of a sector. Only a buffer that was flushed counts.
        let mut flash = self.flash();
        if file.len() > size {
            return Err(4);
        }
        let (mut hashed, mut written) = (Vec::new(), 0);
        let mut flush = |buffer: &[u8], at: usize| {
            let mut buffer = buffer.to_vec();
            let mut restore = None;
            let mode = self.running[2];
            if at == 0 && self.core >= (2, 4, 2) && buffer.len() > 2 && buffer[0] != 0x1F {
                let known = if buffer[2] < 4 { buffer[2] } else { 0xFF };
                if known != mode {
                    restore = Some(known);
                    buffer[2] = mode;
                }
            }
            flash[start + at..start + at + SECTOR].fill(0xFF);
            flash[start + at..start + at + buffer.len()].copy_from_slice(&buffer);
            if let Some(byte) = restore {
                buffer[2] = byte;
            }
            hashed.extend_from_slice(&buffer);
        };
        for buffer in file.chunks(SECTOR) {
            if buffer.len() == SECTOR || written + buffer.len() == size {
                flush(buffer, written);
                written += buffer.len();
            }
        }

        // end()
        if written == 0 && self.core >= (3, 0, 0) {
            return Err(13);
        }
        if written < file.len() {
            flush(&file[written..], written);
            written = file.len();
        }
        let mut stored = written;
        if self.verifies() {
            let length = file.len();
            let trailer = length.checked_sub(4).map(|at| &flash[start + at..start + length]);
            if trailer != Some(&[0, 1, 0, 0]) || length < 260 {
                return Err(12);
            }
            let payload = &flash[start..start + length - 260];
            let legacy = self.core < (2, 6, 0);
            let good = sent
                .signed
                .as_ref()
                .is_some_and(|(covered, is_legacy)| covered == payload && *is_legacy == legacy);
            let misread = (3, 1, 0) <= self.core && self.core < (3, 1, 3) && !payload.len().is_multiple_of(4);
            if !good || misread {
                return Err(12);
            }
            // Since 3.0.0 the trailer is cut off.
            if self.core >= (3, 0, 0) {
                stored = length - 260;
            }
        } else if way != Way::Form && hashed != *file {
            return Err(7);
        }
        let head = &flash[start..start + 4];
        let gzip = head[0] == 0x1F && head[1] == 0x8B && self.core >= (2, 7, 0);
        if !gzip {
            if head[0] != 0xE9 {
                return Err(10);
            }
            if flash_size(head[3]) > self.chip {
                return Err(9);
            }
        }

        // eboot
        if gzip {
            let erases_first = self.core < (3, 0, 0);
            return Ok(Eboot::on(flash, start, stored, erases_first).boot());
        }
        for at in (0..stored).step_by(SECTOR) {
            let sector = flash[start + at..start + at + SECTOR].to_vec();
            flash[at..at + SECTOR].copy_from_slice(&sector);
        }
        Ok(flash)
    }
}
