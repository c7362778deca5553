//! Puts the blocks of a UF2 file together to the flash contents that they write.

use serde::Serialize;

use super::{
    BLOCK, FILE_CONTAINER, HAS_FAMILY, NOT_MAIN_FLASH, PAYLOAD_MAX, has_magic, is_chip, is_e10, word,
};
use crate::format::layers::MAX_IMAGE;

/// Address at which all chips known here map their flash.
const FLASH_BASE: u32 = 0x1000_0000;

/// Flash contents, and notes about the blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unpacked {
    /// Address of the first byte.
    pub base_address: u32,
    /// The contents. Gaps are FF, as erased flash is.
    #[serde(skip)]
    pub bytes: Vec<u8>,
    /// Holes between blocks.
    pub gaps: usize,
    /// Bytes in all holes.
    pub gap_bytes: usize,
    /// Blocks that repeat the bytes of another block at the same place.
    pub duplicates: usize,
    /// Whether the blocks ascend in the file. Boot loaders write them in any order.
    pub in_order: bool,
}

/// Why a UF2 file cannot be unpacked. Blocks are counted from 0, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Uf2Error {
    /// A block without its magic numbers, or with more payload than it has room for.
    #[error("block {block} is damaged")]
    Damaged {
        /// Number of the block.
        block: usize,
    },
    /// The file does not end at the end of a block.
    #[error("the file ends in the middle of a block")]
    CutOff,
    /// Blocks for two kinds of chip.
    #[error("the file has blocks for two families, {one:#010x} and {other:#010x}")]
    Families {
        /// Family of an earlier block.
        one: u32,
        /// Family of a later one.
        other: u32,
    },
    /// Blocks for an unknown chip.
    #[error("the file is for the family {family:#010x}, which is neither RP2040 nor RP2350")]
    UnknownFamily {
        /// The family id.
        family: u32,
    },
    /// Blocks that hold files, and no flash contents.
    #[error("block {block} holds part of a file, not of the flash")]
    FileContainer {
        /// Number of the block.
        block: usize,
    },
    /// The numbers in the blocks do not add up: one is missing, or two files were joined.
    #[error("the file has {found} of {announced} blocks")]
    Missing {
        /// Different numbers found.
        found: usize,
        /// Blocks that the first block announces.
        announced: usize,
    },
    /// Two blocks write different bytes to one place.
    #[error("two blocks write different bytes to {address:#010x}")]
    Conflict {
        /// The first address at which they differ.
        address: u32,
    },
    /// A hole that is larger than the limit.
    #[error("no block writes the {length} bytes from {address:#010x} on")]
    Gap {
        /// Address at which the hole begins.
        address: u32,
        /// Its length in bytes.
        length: u32,
    },
    /// The contents are larger than any flash, or reach beyond the address space.
    #[error("the blocks reach from {first:#010x} to {last:#010x}: no supported flash is that large")]
    TooLarge {
        /// Lowest address.
        first: u32,
        /// Address of the highest block.
        last: u32,
    },
    /// The contents do not begin at the start of the flash.
    #[error("the contents begin at {address:#010x}, but the flash begins at {FLASH_BASE:#010x}")]
    NotAtStart {
        /// Address at which they begin.
        address: u32,
    },
    /// No block writes anything.
    #[error("no block writes to the flash")]
    Nothing,
}

/// The payload of one block, and its address.
struct Piece<'a> {
    address: u32,
    data: &'a [u8],
}

/// Puts the blocks of a UF2 file together. `max_gap` is the largest hole in bytes that is filled with FF.
///
/// Memory is bounded by the file's own size and [`MAX_IMAGE`], whatever the addresses are.
///
/// # Errors
/// [`Uf2Error`]. A file with any fault is not unpacked at all.
pub fn unpack(file: &[u8], max_gap: usize) -> Result<Unpacked, Uf2Error> {
    let (blocks, rest) = file.as_chunks::<BLOCK>();
    if !rest.is_empty() {
        return Err(Uf2Error::CutOff);
    }
    let mut pieces = collect(blocks)?;
    let in_order = pieces.is_sorted_by_key(|piece| piece.address);
    // The sort is stable: of two blocks for one place, the earlier one stays first.
    pieces.sort_by_key(|piece| piece.address);
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Err(Uf2Error::Nothing) };
    let (base, last) = (first.address, last.address);
    let is_too_large = |end: Option<u32>| {
        end.and_then(|end| usize::try_from(end - base).ok()).is_none_or(|length| length > MAX_IMAGE)
    };
    if pieces.iter().any(|piece| is_too_large(piece.address.checked_add(piece.data.len() as u32))) {
        return Err(Uf2Error::TooLarge { first: base, last });
    }
    let mut unpacked =
        Unpacked { base_address: base, bytes: Vec::new(), gaps: 0, gap_bytes: 0, duplicates: 0, in_order };
    for piece in &pieces {
        unpacked.append(piece, max_gap)?;
    }
    if base != FLASH_BASE {
        return Err(Uf2Error::NotAtStart { address: base });
    }
    Ok(unpacked)
}

/// Checks each block, and the numbers of all blocks, and takes the blocks that go to the flash.
fn collect(blocks: &[[u8; BLOCK]]) -> Result<Vec<Piece<'_>>, Uf2Error> {
    let mut pieces = Vec::new();
    let mut family = None;
    let mut numbers = Vec::new();
    let mut announced = None;
    let mut counts_agree = true;
    for (index, block) in blocks.iter().enumerate() {
        let [flags, address, len, number, count, id] = [8, 12, 16, 20, 24, 28].map(|at| word(block, at));
        let data = block.get(32..).and_then(|data| data.get(..usize::try_from(len).ok()?));
        let Some(data) = data.filter(|_| has_magic(block) && len <= PAYLOAD_MAX) else {
            return Err(Uf2Error::Damaged { block: index });
        };
        let has_family = flags & HAS_FAMILY != 0;
        // It is not part of the image.
        if is_e10(block) {
            continue;
        }
        numbers.push(number);
        counts_agree &= *announced.get_or_insert(count) == count;
        if flags & NOT_MAIN_FLASH != 0 {
            continue;
        }
        if flags & FILE_CONTAINER != 0 {
            return Err(Uf2Error::FileContainer { block: index });
        }
        if has_family {
            let one = *family.get_or_insert(id);
            if one != id {
                return Err(Uf2Error::Families { one, other: id });
            }
        }
        if !data.is_empty() {
            pieces.push(Piece { address, data });
        }
    }
    if let Some(family) = family.filter(|&id| !is_chip(id)) {
        return Err(Uf2Error::UnknownFamily { family });
    }
    numbers.sort_unstable();
    numbers.dedup();
    let announced = announced.map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let is_complete = numbers.iter().enumerate().all(|(at, &number)| usize::try_from(number) == Ok(at));
    if !counts_agree || !is_complete || numbers.len() != announced {
        return Err(Uf2Error::Missing { found: numbers.len(), announced });
    }
    Ok(pieces)
}

impl Unpacked {
    /// Appends a piece that does not begin before the start of an earlier one.
    fn append(&mut self, piece: &Piece<'_>, max_gap: usize) -> Result<(), Uf2Error> {
        let offset = (piece.address - self.base_address) as usize;
        if let Some(gap) = offset.checked_sub(self.bytes.len()).filter(|&gap| gap > 0) {
            if gap > max_gap {
                let address = self.base_address + self.bytes.len() as u32;
                return Err(Uf2Error::Gap { address, length: gap as u32 });
            }
            self.gaps += 1;
            self.gap_bytes += gap;
            self.bytes.resize(offset, 0xFF);
        }
        let known = &self.bytes[offset..];
        let (again, new) = piece.data.split_at(known.len().min(piece.data.len()));
        if let Some(at) = again.iter().zip(known).position(|(one, other)| one != other) {
            return Err(Uf2Error::Conflict { address: piece.address + at as u32 });
        }
        self.duplicates += usize::from(!again.is_empty());
        self.bytes.extend_from_slice(new);
        Ok(())
    }
}
