//! Recognises flash contents of RP2040 and RP2350 by what their boot ROMs look for, and reads what the SDK leaves for
//! tools.
//!
//! Nothing here decides whether a device accepts an image: the OTA boot loader of arduino-pico accepts any bytes.

mod binary_info;
mod image_def;

use std::fmt;

use crc::{CRC_32_MPEG_2, Crc};
use serde::Serialize;

pub use self::binary_info::BinaryInfo;
pub use self::image_def::{Cpu, ImageDef, Security};

/// Address at which both chips map their flash (datasheets, address map).
pub(super) const FLASH_BASE: u32 = 0x1000_0000;
/// Length of the flash window: 16 MiB on both chips.
const FLASH_LEN: u32 = 16 << 20;
const RAM_BASE: u32 = 0x2000_0000;
/// Length of RAM. A stack may begin at its end: 264 KiB on RP2040, 520 KiB on RP2350.
const RP2040_RAM_LEN: u32 = 264 << 10;
const RP2350_RAM_LEN: u32 = 520 << 10;
const BOOT2_LEN: usize = 256;

/// Flash contents of an RP2040.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rp2040 {
    /// Checksum of the first 252 bytes, stored in the next four. otaseal recognises the image by it, and the boot ROM
    /// checks it before it runs anything.
    pub boot2_crc32: u32,
    /// The vector table behind the boot loader, at offset 0x100.
    pub vector_table: Option<VectorTable>,
    /// The binary info of the build.
    pub binary_info: Option<BinaryInfo>,
}

impl Rp2040 {
    /// RP2040 datasheet 2.8.1.3.1: CRC-32 with polynomial 04C11DB7, seed FFFFFFFF, neither reflected nor inverted
    /// at the end, over 252 bytes, stored little-endian behind them.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (boot2, stored) = bytes.first_chunk::<BOOT2_LEN>()?.split_last_chunk::<4>()?;
        let boot2_crc32 = Crc::<u32>::new(&CRC_32_MPEG_2).checksum(boot2);
        (boot2_crc32 == u32::from_le_bytes(*stored)).then(|| Self {
            boot2_crc32,
            vector_table: VectorTable::read(bytes, BOOT2_LEN, RP2040_RAM_LEN),
            binary_info: BinaryInfo::read(bytes),
        })
    }
}

/// Flash contents of an RP2350: an image definition within the first 4 KiB, and no checksummed boot loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rp2350 {
    /// The block that the boot ROM looks for. otaseal recognises the image by it.
    pub image_def: ImageDef,
    /// The vector table at the start, if the image is for the Arm cores.
    pub vector_table: Option<VectorTable>,
    /// The binary info of the build.
    pub binary_info: Option<BinaryInfo>,
}

impl Rp2350 {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let image_def = ImageDef::read(bytes)?;
        let is_arm = image_def.cpu == Cpu::Arm;
        Some(Self {
            image_def,
            vector_table: is_arm.then(|| VectorTable::read(bytes, 0, RP2350_RAM_LEN)).flatten(),
            binary_info: BinaryInfo::read(bytes),
        })
    }
}

impl fmt::Display for Rp2350 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an RP2350 image ({})", self.image_def)
    }
}

/// The first two words of an Arm vector table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VectorTable {
    /// Offset in the file.
    pub offset_bytes: usize,
    /// Initial stack pointer.
    pub stack_pointer: u32,
    /// Address of the first instruction. Its lowest bit means Thumb.
    pub reset_address: u32,
    /// Whether a chip could start with it. The stack must be in RAM and aligned. The reset address must be odd, and lie
    /// in RAM or in the part of the flash that this file fills.
    pub plausible: bool,
}

impl VectorTable {
    fn read(bytes: &[u8], offset: usize, ram_len: u32) -> Option<Self> {
        let (stack_pointer, reset_address) = (word(bytes, offset)?, word(bytes, offset + 4)?);
        let in_ram = |address: u32| (RAM_BASE..RAM_BASE + ram_len).contains(&address);
        let in_file = |address: u32| flash_offset(address).is_some_and(|at| at < bytes.len());
        // A full-descending stack begins one word above its highest word.
        let stack_is_right = stack_pointer % 4 == 0 && stack_pointer.checked_sub(1).is_some_and(in_ram);
        let entry = reset_address & !1;
        let plausible = stack_is_right && reset_address & 1 == 1 && (in_file(entry) || in_ram(entry));
        Some(Self { offset_bytes: offset, stack_pointer, reset_address, plausible })
    }
}

/// Returns the offset in the file that belongs to an address in flash.
fn flash_offset(address: u32) -> Option<usize> {
    let offset = address.checked_sub(FLASH_BASE).filter(|&offset| offset < FLASH_LEN)?;
    usize::try_from(offset).ok()
}

/// Returns the little-endian word at an offset.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}
