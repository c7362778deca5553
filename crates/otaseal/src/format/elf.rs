//! From a linked ELF file to the bytes of the flash, by load address.
//!
//! What is written to flash is decided by the *load* (physical) address of each piece: initialised data runs in
//! RAM but is loaded from flash, and only the program headers know where. Within the loaded segments the section
//! table says which bytes are content: a segment may begin with the ELF's own headers (when the linker finds room
//! for them on the first page) and has filler between sections, and neither belongs to the firmware. The result is
//! what `objcopy -O binary --gap-fill 0xff` writes, byte for byte; the tests compare with it. One thing differs: an
//! empty section takes no part, whereas objcopy fills the image up to its address, be it in RAM.
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

pub use self::error::{ElfError, Place};

/// The largest gap between two pieces that is filled without asking, in bytes.
///
/// A gap that is meant is one skipped erase block, and the largest erase block of a common microcontroller is
/// 256 KiB (STM32F7). A gap that is a mistake lies between two memories (flash and RAM, or the places where AVR
/// linkers put EEPROM and fuses), and those are megabytes apart.
pub const DEFAULT_MAX_GAP: usize = 256 * 1024;

/// The largest flat image, in bytes: far above any flash that takes a whole image over the air, and small enough to
/// hold in memory several times.
pub const MAX_FLAT_LEN: usize = 64 * 1024 * 1024;

/// Erased NOR flash reads as this, so a filled gap costs no programming.
const GAP_FILL: u8 = 0xFF;

/// Linkers make a handful of segments. The bounds keep the segment-by-section search linear in practice on a file
/// that was made to hurt; 0xFEFF is the most sections an ELF has without extended numbering.
const MAX_SEGMENTS: usize = 256;
const MAX_SECTIONS: usize = 0xFEFF;

/// The flat contents of flash, as an ELF file's loadable parts describe them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flat {
    /// Load (physical) address of the first byte.
    pub base: u64,
    /// The bytes from `base` on; gaps hold 0xFF.
    pub bytes: Vec<u8>,
    /// Entry point, as the ELF header has it (a run-time address; bit 0 set means Thumb code on Arm).
    pub entry: u64,
    /// The processor the code is for.
    pub machine: Machine,
}

/// A processor architecture: the `e_machine` number of an ELF header.
///
/// `Display` gives its usual name, or the number where there is none here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine(pub u16);

impl Machine {
    /// The usual name of the architecture, for those that firmware is built for.
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
/// The image runs from the lowest load address to the highest; gaps up to `max_gap` bytes (see [`DEFAULT_MAX_GAP`])
/// are filled with 0xFF. Contents are the sections that lie in PT_LOAD segments; a segment without sections counts
/// whole, unless all it holds are the ELF's own headers. When every load address of several segments is zero, the
/// linker did not fill them in and the run-time addresses count (as in GNU binutils).
///
/// It does not prove that the result boots: whether a chip wants a header, a checksum or a boot stage in front is
/// for [`crate::format::image`] to say.
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

/// Bytes of the file and where they are loaded.
struct Piece<'a> {
    place: Place,
    bytes: &'a [u8],
}

impl<'a> Piece<'a> {
    fn new(name: String, start: u64, bytes: &'a [u8]) -> Result<Self, ElfError> {
        match start.checked_add(bytes.len() as u64) {
            Some(end) => Ok(Self { place: Place { name, start, end }, bytes }),
            None => Err(ElfError::AddressOverflow { name }),
        }
    }
}

/// A PT_LOAD segment with bytes in the file. `offset + bytes.len()` was checked against the file's end.
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

    /// Position within the segment of a section, when the segment holds it whole, in the file and in memory.
    ///
    /// Both are asked for: two segments may share file bytes, and may follow each other without a gap in the file.
    fn position(&self, offset: u64, run: u64, len: u64) -> Option<u64> {
        let at = offset.checked_sub(self.offset)?;
        let fits = at.checked_add(len)? <= self.bytes.len() as u64;
        (fits && run.checked_sub(self.run)? == at).then_some(at)
    }
}

fn malformed(what: &'static str) -> impl FnOnce(object::Error) -> ElfError {
    move |source| ElfError::Malformed { what, source }
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
    let (base, bytes) = join(pieces, max_gap)?;
    let machine = Machine(header.e_machine(LittleEndian).0);
    Ok(Flat { base, bytes, entry: header.e_entry(LittleEndian).into(), machine })
}

/// Refuses what is not a fixed-address executable for a flat flash.
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

/// File offset after the ELF header and the program headers when they follow it, which is where linkers put them.
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

/// The contents of the sections that occupy memory, each at its segment's load address.
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
        // SHT_NOBITS has no range in the file.
        let (Some((offset, len)), true) = (section.file_range(e), allocated) else { continue };
        if len == 0 {
            continue;
        }
        let name = || match table.section_name(e, section) {
            Ok(name) if !name.is_empty() => printable(name),
            _ => format!("section {index}"),
        };
        let run: u64 = section.sh_addr(e).into();
        let held =
            segments.iter_mut().find_map(|segment| Some((segment.position(offset, run, len)?, segment)));
        let Some((at, segment)) = held else {
            return Err(ElfError::Unloaded { name: name(), address: run });
        };
        segment.has_sections = true;
        let start =
            segment.load.checked_add(at).ok_or_else(|| ElfError::AddressOverflow { name: segment.name() })?;
        // `position` has checked both bounds against the segment's bytes.
        let bytes = segment.bytes.get(at as usize..(at + len) as usize).unwrap_or_default();
        pieces.push(Piece::new(name(), start, bytes)?);
    }
    Ok(pieces)
}

/// A section's name as it may be shown: no control bytes, no unbounded length.
fn printable(name: &[u8]) -> String {
    const SHOWN: usize = 64;
    let shown = name.get(..SHOWN).unwrap_or(name);
    String::from_utf8_lossy(shown).escape_debug().collect()
}

/// Sets sorted pieces one after the other, filling the gaps.
fn join(pieces: Vec<Piece<'_>>, max_gap: usize) -> Result<(u64, Vec<u8>), ElfError> {
    for pair in pieces.windows(2) {
        let [before, after] = pair else { continue };
        let (before, after) = (before.place.clone(), after.place.clone());
        match after.start.checked_sub(before.end) {
            None => return Err(ElfError::Overlap { first: before, second: after }),
            Some(gap) if gap > max_gap as u64 => {
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
    for piece in &pieces {
        bytes.resize((piece.place.start - base) as usize, GAP_FILL);
        bytes.extend_from_slice(piece.bytes);
    }
    Ok((base, bytes))
}

#[cfg(test)]
pub(crate) mod tests;
