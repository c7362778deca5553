//! Turns a linked ELF file into the bytes of the flash, by load address.
//!
//! The *load* (physical) address of each piece decides where it stands in flash. Initialised data, for example, runs in
//! RAM but is loaded from flash, and only the program headers know where. Within the loaded segments, the section table
//! tells which bytes are content. A segment may begin with the ELF's own headers, if the linker finds room for them on
//! the first page. They do not belong to the firmware. Between two sections of one segment, the segment's own bytes
//! count, as in a UF2 file of the same build: the linker wrote them, and a hash over the image covers them. Between
//! segments there is nothing, and the flash stays erased. The tests compare the result with `objcopy -O binary`. One
//! thing differs: otaseal ignores an empty section, whereas objcopy fills the image up to its address, even if that is in
//! RAM.
//!
//! Format: System V ABI, chapters 4 (object files) and 5 (program loading).

mod error;

use std::fmt;

use object::elf::{
    ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_XTENSA, ET_CORE, ET_DYN, ET_EXEC, ET_REL, FileHeader32,
    FileHeader64, PT_DYNAMIC, PT_INTERP, PT_LOAD, SHF_ALLOC,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{LittleEndian, SectionIndex};

pub use self::error::{ElfError, ElfPlace};

/// The largest gap between two pieces that is filled by default, in bytes.
///
/// An intended gap is one skipped erase block. The largest erase block of a common microcontroller is 256 KiB
/// (STM32F7). A gap by mistake lies between two memories: flash and RAM, or the places where AVR linkers put EEPROM and
/// fuses. Those are megabytes apart.
pub const DEFAULT_MAX_GAP: usize = 256 * 1024;

/// The largest flat image, in bytes. It is far above any flash that is updated over the air as a whole, and small
/// enough to hold several times in memory.
pub const MAX_FLAT_LEN: usize = 64 * 1024 * 1024;

/// Erased NOR flash reads as this byte, so that a filled gap needs no programming.
const GAP_FILL: u8 = 0xFF;

/// Linkers make a handful of segments. This bound keeps the search of segments by section fast on a hostile file.
/// 0xFEFF is the largest number of sections that an ELF has without extended numbering.
const MAX_SEGMENTS: usize = 256;
const MAX_SECTIONS: usize = 0xFEFF;

/// The flat contents of the flash, made from an ELF file's loadable parts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flat {
    /// Load (physical) address of the first byte.
    pub base: u64,
    /// The bytes from `base` on. Gaps between segments hold 0xFF.
    pub bytes: Vec<u8>,
    /// Entry point of the ELF header: a run-time address. On Arm, bit 0 means Thumb code.
    pub entry: u64,
    /// The processor the code is for.
    pub machine: Machine,
}

/// A processor architecture: the `e_machine` number of an ELF header.
///
/// `Display` gives its usual name, or the number if otaseal knows no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine(pub u16);

impl Machine {
    /// Returns the usual name of an architecture that firmware is built for.
    ///
    /// Numbers: the ELF machine registry kept with the System V ABI.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            3 => "x86",
            4 => "m68k",
            8 => "MIPS",
            20 => "PowerPC",
            40 => "Arm",
            44 => "TriCore",
            62 => "x86-64",
            83 => "AVR",
            87 => "V850",
            94 => "Xtensa",
            105 => "MSP430",
            173 => "RX",
            183 => "AArch64",
            243 => "RISC-V",
            _ => return None,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "machine {}", self.0),
        }
    }
}

/// Lays out an ELF file's loadable contents as they stand in flash.
///
/// The image reaches from the lowest load address to the highest. The contents are the sections that lie in PT_LOAD
/// segments, and the bytes of a segment between two of its sections. A segment without sections counts whole, unless it
/// holds only the ELF's own headers. Gaps between segments, of up to `max_gap` bytes (see [`DEFAULT_MAX_GAP`]), are
/// filled with 0xFF. If several segments are loaded and every
/// load address is zero, the linker did not fill them in; then the run-time addresses count, as in GNU binutils.
///
/// This does not prove that the result boots. [`crate::format::image`] knows which chips need a header, a checksum or a
/// boot stage in front.
///
/// # Errors
/// - [`ElfError::NotElf`], [`ElfError::UnknownClass`], [`ElfError::BigEndian`]: not an ELF for these devices.
/// - [`ElfError::Xtensa`]: ESP8266 and ESP32 have an image format of their own.
/// - [`ElfError::NotExecutable`]: relocatable, shared, dynamically linked or core file.
/// - [`ElfError::Malformed`], [`ElfError::Truncated`], [`ElfError::TooMany`]: damaged or hostile.
/// - [`ElfError::NothingToLoad`], [`ElfError::Unloaded`]: the linker script loads nothing, or not this section.
/// - [`ElfError::Overlap`], [`ElfError::GapTooLarge`], [`ElfError::AddressOverflow`], [`ElfError::TooLarge`]: the
///   addresses make no sensible image.
pub fn flatten(elf: &[u8], max_gap: usize) -> Result<Flat, ElfError> {
    let ident = elf.first_chunk::<16>().filter(|ident| ident.starts_with(&ELFMAG)).ok_or(ElfError::NotElf)?;
    if ident[5] != ELFDATA2LSB.0 {
        return Err(ElfError::BigEndian(ident[5]));
    }
    match object::elf::FileClass(ident[4]) {
        ELFCLASS32 => flatten_class::<FileHeader32<LittleEndian>>(elf, max_gap),
        ELFCLASS64 => flatten_class::<FileHeader64<LittleEndian>>(elf, max_gap),
        other => Err(ElfError::UnknownClass(other.0)),
    }
}

/// Bytes of the file and their load address.
struct Piece<'a> {
    place: ElfPlace,
    bytes: &'a [u8],
    /// The segment of a section, and where the section is in it.
    within: Option<Within>,
}

/// The place of a section within its segment.
#[derive(Clone, Copy)]
struct Within {
    /// Index of the segment in the list of segments.
    segment: usize,
    /// Position of the section's first byte, and that after its last.
    start: usize,
    end: usize,
}

impl<'a> Piece<'a> {
    fn new(name: String, start: u64, bytes: &'a [u8]) -> Result<Self, ElfError> {
        match start.checked_add(bytes.len() as u64) {
            Some(end) => Ok(Self { place: ElfPlace { name, start, end }, bytes, within: None }),
            None => Err(ElfError::AddressOverflow { name }),
        }
    }
}

/// A PT_LOAD segment with bytes in the file. `offset + bytes.len()` does not reach beyond the file's end: that was
/// checked.
struct Segment<'a> {
    number: usize,
    offset: u64,
    run: u64,
    load: u64,
    bytes: &'a [u8],
    has_sections: bool,
}

impl Segment<'_> {
    fn name(&self) -> String {
        format!("segment {}", self.number)
    }

    /// Returns the position of a section within the segment, if the segment holds all of it, in the file and in memory.
    ///
    /// The check needs both: two segments may share bytes of the file, and may follow each other in the file without a
    /// gap.
    fn position(&self, offset: u64, run: u64, len: u64) -> Option<u64> {
        let at = offset.checked_sub(self.offset)?;
        let fits = at.checked_add(len)? <= self.bytes.len() as u64;
        (fits && run.checked_sub(self.run)? == at).then_some(at)
    }
}

fn malformed(what: &'static str) -> impl FnOnce(object::Error) -> ElfError {
    move |source| ElfError::Malformed { what, why: source.to_string() }
}

fn flatten_class<H: FileHeader<Endian = LittleEndian>>(elf: &[u8], max_gap: usize) -> Result<Flat, ElfError> {
    let header = H::parse(elf).map_err(malformed("its header"))?;
    check_kind(header)?;
    let mut segments = segments(header, elf)?;
    let mut pieces = section_pieces(header, elf, &mut segments)?;
    let headers_end = headers_end(header);
    for segment in &segments {
        let only_headers = segment.offset.saturating_add(segment.bytes.len() as u64) <= headers_end;
        if !segment.has_sections && !only_headers {
            pieces.push(Piece::new(segment.name(), segment.load, segment.bytes)?);
        }
    }
    pieces.sort_by_key(|piece| (piece.place.start, piece.place.end));
    let (base, bytes) = join(pieces, &segments, max_gap)?;
    let machine = Machine(header.e_machine(LittleEndian).0);
    Ok(Flat { base, bytes, entry: header.e_entry(LittleEndian).into(), machine })
}

/// Refuses everything but an executable with fixed addresses for a flat flash.
fn check_kind<H: FileHeader<Endian = LittleEndian>>(header: &H) -> Result<(), ElfError> {
    if header.e_machine(LittleEndian) == EM_XTENSA {
        return Err(ElfError::Xtensa);
    }
    Err(ElfError::NotExecutable(match header.e_type(LittleEndian) {
        ET_EXEC => return Ok(()),
        ET_REL => "a relocatable object (not linked yet)",
        ET_DYN => "position-independent or a shared library",
        ET_CORE => "a core dump",
        _ => "of an unknown type",
    }))
}

/// Returns the file offset behind the ELF header, and behind the program headers if they follow it. Linkers put them
/// there.
fn headers_end<H: FileHeader<Endian = LittleEndian>>(header: &H) -> u64 {
    let header_len = size_of::<H>() as u64;
    let table: u64 = header.e_phoff(LittleEndian).into();
    if table != header_len {
        return header_len;
    }
    let entries = u64::from(header.e_phnum(LittleEndian)) * u64::from(header.e_phentsize(LittleEndian));
    header_len + entries
}

fn segments<'a, H>(header: &'a H, elf: &'a [u8]) -> Result<Vec<Segment<'a>>, ElfError>
where
    H: FileHeader<Endian = LittleEndian>,
{
    let e = LittleEndian;
    let table = header.program_headers(e, elf).map_err(malformed("its program headers"))?;
    if table.iter().any(|entry| matches!(entry.p_type(e), PT_DYNAMIC | PT_INTERP)) {
        return Err(ElfError::NotExecutable("dynamically linked"));
    }
    // GNU binutils (`elf.c`) treats p_paddr as absent when it is zero in every header and several are loaded.
    let in_memory = |entry: &&H::ProgramHeader| entry.p_type(e) == PT_LOAD && entry.p_memsz(e).into() != 0;
    let no_load_addresses =
        table.iter().all(|entry| entry.p_paddr(e).into() == 0) && table.iter().filter(in_memory).count() > 1;
    let mut segments = Vec::new();
    for (number, entry) in table.iter().enumerate() {
        let (offset, len) = entry.file_range(e);
        if entry.p_type(e) != PT_LOAD || len == 0 {
            continue;
        }
        let bytes = entry.data(e, elf).map_err(|()| ElfError::Truncated {
            name: format!("segment {number}"),
            end: offset.saturating_add(len),
            file_len: elf.len() as u64,
        })?;
        let run = entry.p_vaddr(e).into();
        let load = if no_load_addresses { run } else { entry.p_paddr(e).into() };
        segments.push(Segment { number, offset, run, load, bytes, has_sections: false });
    }
    match segments.len() {
        0 => Err(ElfError::NothingToLoad),
        count if count > MAX_SEGMENTS => {
            Err(ElfError::TooMany { what: "loadable segments", count, limit: MAX_SEGMENTS })
        }
        _ => Ok(segments),
    }
}

/// Returns the contents of the sections that occupy memory, each at its segment's load address.
fn section_pieces<'a, H>(
    header: &'a H,
    elf: &'a [u8],
    segments: &mut [Segment<'a>],
) -> Result<Vec<Piece<'a>>, ElfError>
where
    H: FileHeader<Endian = LittleEndian>,
{
    let e = LittleEndian;
    let table = header.sections(e, elf).map_err(malformed("its section table"))?;
    if table.len() > MAX_SECTIONS {
        return Err(ElfError::TooMany { what: "sections", count: table.len(), limit: MAX_SECTIONS });
    }
    let mut pieces = Vec::new();
    for (SectionIndex(index), section) in table.enumerate() {
        let allocated = section.sh_flags(e).0 & SHF_ALLOC.0 != 0;
        // A section of type SHT_NOBITS has no range in the file.
        let (Some((offset, len)), true) = (section.file_range(e), allocated) else { continue };
        if len == 0 {
            continue;
        }
        let name = || match table.section_name(e, section) {
            Ok(name) if !name.is_empty() => printable(name),
            _ => format!("section {index}"),
        };
        let run: u64 = section.sh_addr(e).into();
        let held = segments
            .iter_mut()
            .enumerate()
            .find_map(|(index, segment)| Some((segment.position(offset, run, len)?, index, segment)));
        let Some((at, held_by, segment)) = held else {
            return Err(ElfError::Unloaded { name: name(), address: run });
        };
        segment.has_sections = true;
        let start =
            segment.load.checked_add(at).ok_or_else(|| ElfError::AddressOverflow { name: segment.name() })?;
        // `position` has checked both bounds against the segment's bytes.
        let within = Within { segment: held_by, start: at as usize, end: (at + len) as usize };
        let bytes = segment.bytes.get(within.start..within.end).unwrap_or_default();
        pieces.push(Piece { within: Some(within), ..Piece::new(name(), start, bytes)? });
    }
    Ok(pieces)
}

/// Returns a section's name, safe to show: no control bytes, bounded length.
fn printable(name: &[u8]) -> String {
    const SHOWN: usize = 64;
    let shown = name.get(..SHOWN).unwrap_or(name);
    String::from_utf8_lossy(shown).escape_debug().collect()
}

/// Returns the bytes between two neighbours, if both are sections of one segment.
fn between<'a>(before: &Piece<'a>, after: &Piece<'a>, segments: &[Segment<'a>]) -> Option<&'a [u8]> {
    let (before, after) = (before.within?, after.within?);
    let segment = segments.get(before.segment).filter(|_| before.segment == after.segment)?;
    segment.bytes.get(before.end..after.start)
}

/// Joins sorted pieces and fills the gaps.
fn join(
    pieces: Vec<Piece<'_>>,
    segments: &[Segment<'_>],
    max_gap: usize,
) -> Result<(u64, Vec<u8>), ElfError> {
    for pair in pieces.windows(2) {
        let [before, after] = pair else { continue };
        let gap = after.place.start.checked_sub(before.place.end);
        let is_filled = between(before, after, segments).is_some();
        let (before, after) = (before.place.clone(), after.place.clone());
        match gap {
            None => return Err(ElfError::Overlap { first: before, second: after }),
            Some(gap) if gap > max_gap as u64 && !is_filled => {
                return Err(ElfError::GapTooLarge { before, after, gap, limit: max_gap });
            }
            Some(_) => {}
        }
    }
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
        return Err(ElfError::NothingToLoad);
    };
    let base = first.place.start;
    let len = last.place.end - base;
    if len > MAX_FLAT_LEN as u64 {
        return Err(ElfError::TooLarge { first: first.place.clone(), last: last.place.clone(), len });
    }
    let mut bytes = Vec::with_capacity(len as usize);
    let mut before = first;
    for piece in &pieces {
        // The filler has the length of the gap: both sections are at their segment's load address.
        bytes.extend_from_slice(between(before, piece, segments).unwrap_or_default());
        bytes.resize((piece.place.start - base) as usize, GAP_FILL);
        bytes.extend_from_slice(piece.bytes);
        before = piece;
    }
    Ok((base, bytes))
}

#[cfg(test)]
pub(crate) mod tests;
