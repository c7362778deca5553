//! Reads the RP2350's image definition block, which its boot ROM looks for.

use std::fmt;

use serde::Serialize;

use super::word;

/// RP2350 datasheet 5.1.5 and 5.9: a block is framed by these words ...
const START: u32 = 0xFFFF_DED3;
const END: u32 = 0xAB12_3579;
/// ... an image definition is at most this long ...
const MAX_LEN: usize = 0x180;
/// ... and it stands on a word boundary within the first 4 KiB of the flash.
const SEARCHED: usize = 4096;

// Item types, datasheet 5.9.3. The size of an item, in words, includes the word that the type is in.
const IMAGE_TYPE: u8 = 0x42;
const ENTRY_POINT: u8 = 0x44;
const VERSION: u8 = 0x48;
const SIGNATURE: u8 = 0x09;
const HASH_VALUE: u8 = 0x4B;
const LAST: u8 = 0xFF;
/// Set in the type of an item whose size has two bytes.
const TWO_BYTE_SIZE: u8 = 0x80;

/// The facts that the boot ROM learns about an image before it runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImageDef {
    /// Offset of the block in the file.
    pub offset_bytes: usize,
    /// The cores that the code is for.
    pub cpu: Cpu,
    /// The state of the processor in which it starts.
    pub security: Security,
    /// Whether the image must confirm itself after its first start ("try before you buy").
    pub try_before_you_buy: bool,
    /// Version, major and minor, if the block has one: of two partitions, the boot ROM prefers the higher version.
    pub version: Option<(u16, u16)>,
    /// Rollback version, if the block has one: once it is in OTP, the boot ROM refuses lower ones.
    pub rollback_version: Option<u16>,
    /// Address of the first instruction, if the block names one.
    pub entry_address: Option<u32>,
    /// Whether the block has a hash of the image. otaseal does not check it.
    pub has_hash: bool,
    /// Whether the block has a signature for the chip's secure boot. otaseal does not check it.
    pub has_signature: bool,
}

/// Processor cores of an RP2350.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cpu {
    /// Cortex-M33.
    Arm,
    /// Hazard3.
    RiscV,
}

/// Security state that an image starts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Security {
    /// Not given: the only value for RISC-V.
    Unspecified,
    /// Arm, non-secure.
    NonSecure,
    /// Arm, secure.
    Secure,
    /// A value that the datasheet reserves.
    Reserved,
}

impl ImageDef {
    /// Finds the first valid image definition for an RP2350.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let head = &bytes[..bytes.len().min(SEARCHED)];
        let (words, _) = head.as_chunks::<4>();
        (0..words.len())
            .filter(|&at| u32::from_le_bytes(words[at]) == START)
            .find_map(|at| Self::read_block(bytes.get(at * 4..)?, at * 4))
    }

    /// Walks the items of a block. Returns `None` unless the whole block follows the datasheet and defines an
    /// executable image for this chip.
    fn read_block(bytes: &[u8], offset_bytes: usize) -> Option<Self> {
        let block = &bytes[..bytes.len().min(MAX_LEN)];
        let mut found = Self {
            offset_bytes,
            cpu: Cpu::Arm,
            security: Security::Unspecified,
            try_before_you_buy: false,
            version: None,
            rollback_version: None,
            entry_address: None,
            has_hash: false,
            has_signature: false,
        };
        let mut has_type = false;
        let mut at = 4;
        loop {
            let &[kind, low, high, top] = block.get(at..)?.first_chunk()?;
            let words = match kind & TWO_BYTE_SIZE {
                0 => usize::from(low),
                _ => usize::from(u16::from_le_bytes([low, high])),
            };
            match kind {
                LAST => {
                    // Its size is the size of all items before it. Behind it stand a link and the end marker.
                    let is_framed = words == (at - 4) / 4 && word(block, at + 8)? == END;
                    return (is_framed && has_type).then_some(found);
                }
                IMAGE_TYPE if words == 1 => has_type = found.set_type(u16::from_le_bytes([high, top]))?,
                ENTRY_POINT => found.entry_address = Some(word(block, at + 4)?),
                VERSION => {
                    let version = word(block, at + 4)?;
                    found.version = Some(((version >> 16) as u16, version as u16));
                    if words > 2 {
                        found.rollback_version = Some(word(block, at + 8)? as u16);
                    }
                }
                HASH_VALUE => found.has_hash = true,
                SIGNATURE => found.has_signature = true,
                _ => {}
            }
            // The loop would never leave an item of size 0.
            at += 4 * words.max(1);
        }
    }

    /// Reads the flags of the image type item, datasheet 5.9.3.1. Returns `None` if it is no executable for an RP2350.
    fn set_type(&mut self, flags: u16) -> Option<bool> {
        const EXECUTABLE: u16 = 1;
        const RP2350: u16 = 1;
        if flags & 0x000F != EXECUTABLE || flags >> 12 & 7 != RP2350 {
            return None;
        }
        self.cpu = match flags >> 8 & 7 {
            0 => Cpu::Arm,
            1 => Cpu::RiscV,
            _ => return None,
        };
        self.security = match flags >> 4 & 3 {
            0 => Security::Unspecified,
            1 => Security::NonSecure,
            2 => Security::Secure,
            _ => Security::Reserved,
        };
        self.try_before_you_buy = flags & 0x8000 != 0;
        Some(true)
    }
}

impl fmt::Display for ImageDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.cpu {
            Cpu::Arm => "Arm",
            Cpu::RiscV => "RISC-V",
        })?;
        match self.security {
            Security::Secure => f.write_str(", secure")?,
            Security::NonSecure => f.write_str(", non-secure")?,
            Security::Unspecified | Security::Reserved => {}
        }
        if let Some((major, minor)) = self.version {
            write!(f, ", version {major}.{minor}")?;
        }
        if self.has_signature { f.write_str(", with a secure-boot signature") } else { Ok(()) }
    }
}
