//! Recognises filesystem images: LittleFS and SPIFFS, which ESP8266 and RP2040 devices have beside the firmware.
//!
//! otaseal looks for the same things as the filesystems' own drivers before they mount: for LittleFS a superblock whose
//! commit has a right CRC, for SPIFFS the magic number of every block.

use std::fmt;

use crc::{CRC_32_JAMCRC, Crc};
use serde::Serialize;

/// A LittleFS image, version 2 of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LittleFs {
    /// Version on disk: major, minor.
    pub version: (u16, u16),
    /// Size of a block in bytes.
    pub block_size_bytes: u32,
    /// Number of blocks in the filesystem.
    pub block_count: u32,
    /// Longest file name, in bytes.
    pub name_max: u32,
    /// Largest file, in bytes.
    pub file_max_bytes: u32,
    /// Whether the file has every block.
    pub complete: bool,
}

/// The word that the first tag is XORed with. Tags are big-endian, and each is XORed with the tag before it: LittleFS
/// `SPEC.md`.
const FIRST_TAG: u32 = u32::MAX;
// Types of tags: LittleFS `SPEC.md`.
const SUPERBLOCK: u32 = 0x0FF;
const INLINE_STRUCT: u32 = 0x201;
/// A commit's CRC. The lowest seven bits of its type mean something else.
const COMMIT_CRC: u32 = 0x500;
const COMMIT_CRC_MASK: u32 = 0x780;
/// Size field of a deleted entry, which has no data.
const DELETED: u32 = 0x3FF;
const MAGIC: &[u8] = b"littlefs";
const SMALLEST_BLOCK: usize = 128;
const LARGEST_BLOCK: usize = 64 << 10;

/// Polynomial 04C11DB7 reflected, seed FFFFFFFF, not inverted at the end.
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_JAMCRC);

impl LittleFs {
    /// Reads the superblock from block 0. If the driver is rewriting that block, the superblock is in block 1.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let sizes = std::iter::successors(Some(SMALLEST_BLOCK), |size| Some(size * 2));
        let in_block_1 = sizes.take_while(|&size| size <= LARGEST_BLOCK).find_map(|size| {
            let found = Self::read_superblock(bytes.get(size..)?)?;
            (usize::try_from(found.block_size_bytes).ok()? == size).then_some(found)
        });
        let mut found = Self::read_superblock(bytes).or(in_block_1)?;
        let whole = u64::from(found.block_size_bytes) * u64::from(found.block_count);
        found.complete = bytes.len() as u64 >= whole;
        Some(found)
    }

    /// Walks the first commit of a metadata block.
    fn read_superblock(block: &[u8]) -> Option<Self> {
        // Formatting compacts the superblock, and then the name stands right behind the first tag. This check comes
        // first, so that the CRC is not computed over every file.
        if block.get(8..16)? != MAGIC {
            return None;
        }
        let block = &block[..block.len().min(LARGEST_BLOCK)];
        let (mut found, mut is_superblock) = (None, false);
        let (mut at, mut previous) = (4, FIRST_TAG);
        loop {
            let tag = u32::from_be_bytes(*block.get(at..)?.first_chunk()?) ^ previous;
            if tag >> 31 != 0 {
                return None;
            }
            let (kind, id, size) = (tag >> 20 & 0x7FF, tag >> 10 & 0x3FF, tag & 0x3FF);
            let data = at + 4;
            let length = if size == DELETED { 0 } else { size as usize };
            match kind {
                SUPERBLOCK if id == 0 => is_superblock = block.get(data..data + length)? == MAGIC,
                INLINE_STRUCT if id == 0 => found = Self::read_struct(block.get(data..data + length)?),
                _ if kind & COMMIT_CRC_MASK == COMMIT_CRC => {
                    let stored = u32::from_le_bytes(*block.get(data..)?.first_chunk()?);
                    let is_right = CRC.checksum(&block[..data]) == stored;
                    return found.filter(|_| is_right && is_superblock);
                }
                _ => {}
            }
            (at, previous) = (data + length, tag);
        }
    }

    /// Reads the superblock's fields: six little-endian words.
    fn read_struct(data: &[u8]) -> Option<Self> {
        let (words, _) = data.as_chunks::<4>();
        let &[version, block_size_bytes, block_count, name_max, file_max_bytes, _] = words.first_chunk()?;
        let version = u32::from_le_bytes(version);
        let block_size_bytes = u32::from_le_bytes(block_size_bytes);
        let sane = (SMALLEST_BLOCK..=LARGEST_BLOCK).contains(&usize::try_from(block_size_bytes).ok()?);
        sane.then(|| Self {
            version: ((version >> 16) as u16, version as u16),
            block_size_bytes,
            block_count: u32::from_le_bytes(block_count),
            name_max: u32::from_le_bytes(name_max),
            file_max_bytes: u32::from_le_bytes(file_max_bytes),
            complete: false,
        })
    }
}

impl fmt::Display for LittleFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        let Self { block_count, block_size_bytes, .. } = self;
        write!(f, "a LittleFS filesystem image (version {major}.{minor}, ")?;
        write!(f, "{block_count} blocks of {block_size_bytes} bytes")?;
        f.write_str(if self.complete { ")" } else { "; cut off)" })
    }
}

/// A SPIFFS image whose blocks have magic numbers. Every ESP8266 core makes such images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Spiffs {
    /// Size of a logical block in bytes.
    pub block_size_bytes: u32,
    /// Size of a logical page in bytes.
    pub page_size_bytes: u32,
    /// Number of blocks in the filesystem.
    pub block_count: u32,
    /// Whether the file has every block. This is always true if the magic numbers do not count the blocks.
    pub complete: bool,
}

/// The magic number. Its lower half is stored: SPIFFS `spiffs_nucleus.h`.
const SPIFFS_MAGIC: u16 = 0x0529;
/// Size of an object id. The lookup pages of a block have one for each page of the block.
const OBJECT_ID: usize = 2;
/// Size of a flash sector in bytes: regions of the flash begin and end with one.
const SECTOR: usize = 4096;
/// Number of blocks that must agree before otaseal takes an incomplete file for this kind of image.
const ENOUGH: usize = 4;

impl Spiffs {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let blocks = [4096, 8192, 16_384, 32_768, 65_536];
        let layouts = blocks.into_iter().flat_map(|block| [256, 128, 512, 1024].map(|page| (block, page)));
        layouts.into_iter().find_map(|(block, page)| Self::read_as(bytes, block, page))
    }

    /// Checks the magic number of every block: the second last object id of its last lookup page.
    fn read_as(bytes: &[u8], block: usize, page: usize) -> Option<Self> {
        let lookup_pages = (block / page * OBJECT_ID).div_ceil(page);
        let magic_at = lookup_pages * page - 2 * OBJECT_ID;
        let magic = |block: &[u8]| {
            let id = block.get(magic_at..)?.first_chunk()?;
            Some(u16::from_le_bytes(*id) ^ SPIFFS_MAGIC ^ page as u16)
        };
        let present = bytes.len() / block;
        // `mkspiffs` fills what is left of the region with FF, where that is no whole block. Regions end with a sector.
        let rest = bytes.get(present * block..)?;
        let rest_is_erased = rest.len().is_multiple_of(SECTOR) && rest.iter().all(|&byte| byte == 0xFF);
        if present < 2 || !rest_is_erased {
            return None;
        }
        // The number of blocks from this one to the end, or 0 in every block.
        let first = magic(bytes)?;
        let step = u16::from(first != 0);
        let mut expected = first;
        for block in bytes.chunks_exact(block) {
            if magic(block)? != expected {
                return None;
            }
            expected = expected.wrapping_sub(step);
        }
        let block_count = if first == 0 { present } else { usize::from(first) };
        // In a whole image the last block counts 1, so that no block follows it.
        let complete = first == 0 || block_count == present;
        if !complete && (block_count < present || present < ENOUGH) {
            return None;
        }
        Some(Self {
            block_size_bytes: block as u32,
            page_size_bytes: page as u32,
            block_count: block_count as u32,
            complete,
        })
    }
}

impl fmt::Display for Spiffs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block_count, block_size_bytes, page_size_bytes, .. } = self;
        write!(f, "a SPIFFS filesystem image ({block_count} blocks of {block_size_bytes} bytes, ")?;
        write!(f, "pages of {page_size_bytes}")?;
        f.write_str(if self.complete { ")" } else { "; cut off)" })
    }
}
