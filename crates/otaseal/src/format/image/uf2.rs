//! Reads UF2 files: a summary of their blocks, and the flash contents that the blocks write.

mod unpack;

use std::fmt;

use serde::Serialize;

pub use self::unpack::{Uf2Error, Unpacked, unpack};

/// UF2 specification (github.com/microsoft/uf2): blocks of 512 bytes, each with its own header.
const BLOCK: usize = 512;
const MAGIC_START: [u8; 8] = [0x55, 0x46, 0x32, 0x0A, 0x57, 0x51, 0x5D, 0x9E];
const MAGIC_END: [u8; 4] = [0x30, 0x6F, 0xB1, 0x0A];
/// Largest payload in bytes that fits between the header and the end magic.
const PAYLOAD_MAX: u32 = 476;

/// Flags at offset 8 of a block.
const NOT_MAIN_FLASH: u32 = 0x0001;
const FILE_CONTAINER: u32 = 0x1000;
const HAS_FAMILY: u32 = 0x2000;

/// A summary of the blocks of a UF2 file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Uf2 {
    /// Whole blocks of 512 bytes in the file.
    pub blocks: usize,
    /// Payload bytes of the blocks that write flash.
    pub payload_bytes: u64,
    /// Lowest address that the blocks write.
    pub first_address: Option<u32>,
    /// Family id of the first block that has one.
    pub family_id: Option<u32>,
    /// The chip of that family, if otaseal knows it, with picotool's name of the family where that says more.
    pub family: Option<&'static str>,
    /// Number of different family ids in the blocks, up to 16.
    pub families: usize,
    /// Whether the file has the block that tools put before an image for RP2350, because of the chip's erratum E10.
    /// The chip ignores it, and the other fields do not count it.
    pub e10_block: bool,
    /// Address after the highest one that the blocks write.
    pub end_address: Option<u64>,
    /// Whether every block has its magic numbers and a sane payload size, and no bytes follow the last block.
    pub intact: bool,
}

impl Uf2 {
    /// Reads a file whose first block has the magic numbers.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        if !has_magic(blocks.first()?) {
            return None;
        }
        let mut uf2 = Self {
            blocks: blocks.len(),
            payload_bytes: 0,
            first_address: None,
            family_id: None,
            family: None,
            families: 0,
            e10_block: false,
            end_address: None,
            intact: rest.is_empty(),
        };
        let mut families = Vec::new();
        for block in blocks {
            let [flags, address, len, family] = [8, 12, 16, 28].map(|at| word(block, at));
            if !has_magic(block) || len > PAYLOAD_MAX {
                uf2.intact = false;
                continue;
            }
            if is_e10(block) {
                uf2.e10_block = true;
                continue;
            }
            if flags & NOT_MAIN_FLASH != 0 {
                continue;
            }
            uf2.payload_bytes += u64::from(len);
            uf2.first_address = Some(uf2.first_address.map_or(address, |first| first.min(address)));
            uf2.end_address = uf2.end_address.max(Some(u64::from(address) + u64::from(len)));
            if flags & HAS_FAMILY != 0 && families.len() < 16 && !families.contains(&family) {
                families.push(family);
            }
        }
        uf2.families = families.len();
        uf2.family_id = families.first().copied();
        uf2.family = uf2.family_id.and_then(family_name);
        Some(uf2)
    }
}

impl fmt::Display for Uf2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UF2 file")?;
        match (self.family, self.family_id) {
            (Some(name), _) => write!(f, " for {name}"),
            (None, Some(id)) => write!(f, " for family {id:08x}"),
            (None, None) => Ok(()),
        }?;
        if self.intact { Ok(()) } else { f.write_str(" (damaged)") }
    }
}

fn has_magic(block: &[u8; BLOCK]) -> bool {
    block.starts_with(&MAGIC_START) && block.ends_with(&MAGIC_END)
}

fn word(block: &[u8; BLOCK], at: usize) -> u32 {
    block.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
}

/// Family of blocks that are written to their address on every chip.
const ABSOLUTE: u32 = 0xE48B_FF57;
/// Where picotool puts its block for erratum E10: the last page of the flash window.
const E10_ADDRESS: u32 = 0x10FF_FF00;
/// Byte that fills the payload of that block, and its length.
const E10_FILL: [u8; 256] = [0xEF; 256];

/// Tells whether a block is there for the RP2350's erratum E10 alone. Tools put one such absolute block before an image.
/// It stands in the last page, or, if the user chose another place, it is filled with EF and announces two blocks:
/// picotool `elf2uf2.cpp`, `check_abs_block`.
fn is_e10(block: &[u8; BLOCK]) -> bool {
    let [flags, address, len, number, count, family] = [8, 12, 16, 20, 24, 28].map(|at| word(block, at));
    let as_picotool = (len, number, count) == (256, 0, 2) && block[32..].starts_with(&E10_FILL);
    flags & HAS_FAMILY != 0 && family == ABSOLUTE && (address == E10_ADDRESS || as_picotool)
}

/// Tells whether a family is that of firmware for one chip.
fn is_chip(family: u32) -> bool {
    matches!(family, 0xE48B_FF56 | 0xE48B_FF59 | 0xE48B_FF5A | 0xE48B_FF5B)
}

/// Names a family: the chip, then picotool's name of the family (picotool `main.cpp`; the ids are in pico-sdk
/// `boot/uf2.h`).
fn family_name(id: u32) -> Option<&'static str> {
    Some(match id {
        0xE48B_FF56 => "RP2040",
        ABSOLUTE => "any chip (absolute)",
        0xE48B_FF58 => "a data partition (data)",
        0xE48B_FF59 => "RP2350 (rp2350-arm-s)",
        0xE48B_FF5A => "RP2350 (rp2350-riscv)",
        0xE48B_FF5B => "RP2350 (rp2350-arm-ns)",
        _ => return None,
    })
}
