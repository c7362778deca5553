//! Whether the firmware can mount what an updater wrote.

use super::super::update::Course;
use super::Assumption;
use crate::format::image::{self, Kind, LittleFs, Spiffs};
use std::fmt;

/// Why the firmware cannot mount the filesystem that was written. `Display` is one line.
///
/// The driver of the Arduino cores then formats the filesystem, unless the firmware forbids it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unmountable {
    /// A file of another kind.
    NotAFileSystem {
        /// What it is, with its article.
        found: String,
    },
    /// A gzip, which the updater writes as it is.
    Compressed {
        /// Whether a core that was built with `ATOMIC_FS_UPDATE` would inflate it.
        inflated_if_atomic: bool,
    },
    /// The image is shorter than it says.
    CutOff {
        /// What it is, with its article.
        found: String,
    },
    /// The platform has no driver for it.
    NoDriver {
        /// What it is, with its article.
        found: String,
    },
    /// The filesystem is made for an area of another size, and its driver compares the two.
    OtherSize {
        /// Size of the filesystem in the image, in bytes.
        image: u64,
        /// Size of the device's, in bytes.
        device: u32,
    },
    /// The filesystem has blocks of another size than its driver.
    OtherBlocks {
        /// Bytes of a block in the image.
        image: u32,
        /// Bytes of a block on the device, if they are known.
        device: Option<u32>,
    },
    /// Blocks of the old filesystem stay behind the image, and its driver looks at every block.
    OldBlocks {
        /// Size of the filesystem in the image, in bytes.
        image: u64,
        /// Size of the device's, in bytes.
        device: u32,
    },
}

impl fmt::Display for Unmountable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFileSystem { found } => write!(f, "the device cannot mount {found}"),
            Self::Compressed { inflated_if_atomic } => {
                f.write_str("the device writes a gzip as it is, and cannot mount that")?;
                match inflated_if_atomic {
                    true => f.write_str(": only a core built with ATOMIC_FS_UPDATE inflates it"),
                    false => Ok(()),
                }
            }
            Self::CutOff { found } => write!(f, "the device cannot mount it: it is {found}"),
            Self::NoDriver { found } => write!(f, "the device has no driver to mount {found}"),
            Self::OtherSize { image, device } => write!(
                f,
                "the device cannot mount it: the filesystem in the image has {image} bytes, the device's has {device}"
            ),
            Self::OtherBlocks { image, device } => {
                write!(
                    f,
                    "the device cannot mount it: the image has blocks of {image} bytes, the device has "
                )?;
                match device {
                    Some(device) => write!(f, "blocks of {device}"),
                    None => f.write_str("blocks of 4096 or 8192"),
                }
            }
            Self::OldBlocks { image, device } => write!(
                f,
                "the filesystem in the image has {image} bytes, the device's has {device}: old blocks stay behind it, \
                 so that the device cannot mount it, or finds old files in it"
            ),
        }
    }
}

/// Bytes in the filesystem's part of the flash.
pub(super) struct Written {
    kind: Kind,
    /// A trailer follows them there.
    trailer: bool,
}

impl Written {
    /// `in_place`: the updater wrote all of the file there, trailer included.
    pub(super) fn new(file: &[u8], in_place: bool) -> Self {
        let trailer = image::trailer_of(file);
        let payload = trailer.and_then(|guess| file.get(..usize::try_from(guess.payload_len).ok()?));
        Self { kind: image::identify(payload.unwrap_or(file)), trailer: in_place && trailer.is_some() }
    }
}

/// The filesystem drivers of a device.
#[derive(Clone, Copy)]
pub(super) struct Driver {
    /// Size of the filesystem's part of the flash, in bytes.
    pub(super) area: Option<u32>,
    /// Size of its blocks, if it is known.
    pub(super) blocks: Option<u32>,
    /// The sizes of blocks that exist on such devices.
    pub(super) usual_blocks: &'static [u32],
    /// Whether LittleFS refuses a filesystem whose number of blocks is not the device's.
    pub(super) compares_blocks: bool,
    pub(super) knows_spiffs: bool,
}

impl Driver {
    /// Returns the size of the area in which these bytes can be mounted, if there is only one.
    pub(super) fn fits(&self, written: &Written) -> Option<u32> {
        let size = match written.kind {
            Kind::LittleFs(found) if self.compares_blocks && found.complete => littlefs_bytes(found),
            Kind::Spiffs(found) if found.complete => {
                spiffs_bytes(found) + u64::from(found.block_size_bytes) * u64::from(written.trailer)
            }
            _ => return None,
        };
        u32::try_from(size).ok()
    }

    /// Tells whether the firmware can mount these bytes.
    pub(super) fn mount(&self, written: &Written, course: &mut Course) -> Result<(), Unmountable> {
        let found = || written.kind.to_string();
        match written.kind {
            Kind::LittleFs(LittleFs { complete: false, .. })
            | Kind::Spiffs(Spiffs { complete: false, .. }) => {
                return Err(Unmountable::CutOff { found: found() });
            }
            Kind::LittleFs(filesystem) => self.littlefs(filesystem)?,
            Kind::Spiffs(_) if !self.knows_spiffs => {
                return Err(Unmountable::NoDriver { found: found() });
            }
            Kind::Spiffs(filesystem) => self.spiffs(filesystem, written.trailer)?,
            Kind::Unknown => course.assume(Assumption::KnownFileSystem),
            Kind::Gzip => return Err(Unmountable::Compressed { inflated_if_atomic: false }),
            _ => return Err(Unmountable::NotAFileSystem { found: found() }),
        }
        course.passed("mount");
        Ok(())
    }

    /// `lfs_mount` compares both numbers of the superblock with its configuration. Before version 2.5 it compared
    /// neither, but read blocks of another size at wrong addresses.
    fn littlefs(&self, found: LittleFs) -> Result<(), Unmountable> {
        self.check_blocks(found.block_size_bytes)?;
        let image = littlefs_bytes(found);
        match self.area {
            Some(device) if self.compares_blocks && image != u64::from(device) => {
                Err(Unmountable::OtherSize { image, device })
            }
            _ => Ok(()),
        }
    }

    /// `spiffs_obj_lu_scan` wants the magic number in every block. It forgives one block without, and erases that: a
    /// trailer fits there.
    fn spiffs(&self, found: Spiffs, trailer: bool) -> Result<(), Unmountable> {
        self.check_blocks(found.block_size_bytes)?;
        let Some(device) = self.area else { return Ok(()) };
        let block = u64::from(found.block_size_bytes);
        let missing = (u64::from(device) / block).saturating_sub(u64::from(found.block_count));
        match missing {
            0 => Ok(()),
            1 if trailer => Ok(()),
            _ => Err(Unmountable::OldBlocks { image: spiffs_bytes(found), device }),
        }
    }

    fn check_blocks(&self, image: u32) -> Result<(), Unmountable> {
        let is_right = match self.blocks {
            Some(device) => device == image,
            None => self.usual_blocks.contains(&image),
        };
        if is_right { Ok(()) } else { Err(Unmountable::OtherBlocks { image, device: self.blocks }) }
    }
}

fn littlefs_bytes(found: LittleFs) -> u64 {
    u64::from(found.block_size_bytes) * u64::from(found.block_count)
}

fn spiffs_bytes(found: Spiffs) -> u64 {
    u64::from(found.block_size_bytes) * u64::from(found.block_count)
}
