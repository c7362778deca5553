use crate::project::advice::{Advice, Speaker};
use std::path::Path;
use std::process::Command;

use super::*;

/// One loaded segment of [`elf32`]; each becomes one section too when it has a name.
pub(crate) struct Load {
    name: &'static str,
    run: u32,
    load: u32,
    bytes: &'static [u8],
}

pub(crate) const fn load(name: &'static str, address: u32, bytes: &'static [u8]) -> Load {
    Load { name, run: address, load: address, bytes }
}

/// A 32-bit little-endian Arm executable: header, program headers, contents, section names, section headers.
pub(crate) fn elf32(loads: &[Load]) -> Vec<u8> {
    let contents_at = 52 + 32 * loads.len();
    let (mut programs, mut contents, mut names) = (vec![], vec![], b"\0".to_vec());
    let mut sections = vec![[0u32; 10]];
    for each in loads {
        let (offset, len) = ((contents_at + contents.len()) as u32, each.bytes.len() as u32);
        programs.extend([1, offset, each.run, each.load, len, len, 5, 4]);
        if !each.name.is_empty() {
            sections.push([names.len() as u32, 1, 2, each.run, offset, len, 0, 0, 4, 0]);
            names.extend(each.name.bytes().chain([0]));
        }
        contents.extend_from_slice(each.bytes);
    }
    let names_at = (contents_at + contents.len()) as u32;
    sections.push([0, 3, 0, 0, names_at, names.len() as u32, 0, 0, 1, 0]);
    let sections_at = names_at + names.len() as u32;

    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2u16, 40] {
        elf.extend(half.to_le_bytes());
    }
    for word in [1u32, 0x0800_0101, 52, sections_at, 0] {
        elf.extend(word.to_le_bytes());
    }
    for half in [52, 32, loads.len(), 40, sections.len(), sections.len() - 1] {
        elf.extend((half as u16).to_le_bytes());
    }
    elf.extend(programs.into_iter().flat_map(u32::to_le_bytes));
    elf.extend(contents);
    elf.extend(names);
    elf.extend(sections.into_iter().flatten().flat_map(u32::to_le_bytes));
    elf
}

fn put(elf: &mut [u8], at: usize, bytes: &[u8]) {
    elf[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The same file with no section table, as `sstrip` leaves it.
fn without_sections(mut elf: Vec<u8>) -> Vec<u8> {
    put(&mut elf, 32, &[0; 4]);
    put(&mut elf, 48, &[0; 4]);
    elf
}

fn two() -> Vec<u8> {
    elf32(&[load(".text", 0x0800_0000, b"code"), load(".config", 0x0800_0010, b"conf")])
}

const TWO_FLAT: &[u8] = b"code\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xffconf";

#[test]
fn gaps_are_erased_flash() {
    let flat = flatten(&two(), 12).unwrap();
    assert_eq!(flat.bytes, TWO_FLAT);
    assert_eq!((flat.base, flat.entry), (0x0800_0000, 0x0800_0101));
    assert_eq!(flat.machine.to_string(), "Arm");
    assert_eq!(Machine(9999).to_string(), "machine 9999");
}

/// One segment with two sections and four bytes between them, as linkers make them where a section is aligned.
fn hole(filler: [u8; 4]) -> Vec<u8> {
    let contents: &'static [u8] = Box::leak([b"code", &filler[..], b"conf"].concat().into_boxed_slice());
    let mut elf = elf32(&[load(".text", 0x1000_0000, contents)]);
    // The one section becomes two: a copy of its header joins the table, which is the last thing in the file.
    let table = elf.len() - 3 * 40;
    let mut second: Vec<u8> = elf[table + 40..table + 80].to_vec();
    let offset = u32::from_le_bytes(*second[16..].first_chunk().unwrap());
    put(&mut second, 12, &0x1000_0008u32.to_le_bytes());
    put(&mut second, 16, &(offset + 8).to_le_bytes());
    put(&mut second, 20, &4u32.to_le_bytes());
    put(&mut elf, table + 40 + 20, &4u32.to_le_bytes());
    elf.extend(second);
    put(&mut elf, 48, &[4, 0]);
    elf
}

#[test]
fn a_hole_inside_a_segment_has_the_bytes_of_the_segment() {
    for filler in [[0; 4], [0xAA, 0xBB, 0xCC, 0xDD]] {
        // No limit holds here: nothing is missing.
        let flat = flatten(&hole(filler), 0).unwrap();
        assert_eq!(flat.bytes, [b"code", &filler[..], b"conf"].concat());
    }
}

#[test]
fn without_a_section_table_the_segments_count() {
    assert_eq!(flatten(&without_sections(two()), 12).unwrap().bytes, TWO_FLAT);
}

#[test]
fn the_file_may_lie_at_any_address() {
    let elf = two();
    for shift in 0..8 {
        let shifted = [vec![0; shift], elf.clone()].concat();
        assert_eq!(flatten(&shifted[shift..], 12).unwrap().bytes, TWO_FLAT);
    }
}

#[test]
fn initialised_data_goes_where_it_is_loaded_from() {
    let data = Load { name: ".data", run: 0x2000_0000, load: 0x0800_0004, bytes: b"data" };
    let flat = flatten(&elf32(&[data, load(".text", 0x0800_0000, b"code")]), 0).unwrap();
    assert_eq!(flat.bytes, b"codedata");
}

#[test]
fn load_addresses_that_were_never_filled_in_are_not_used() {
    let at = |run, bytes| Load { name: ".part", run, load: 0, bytes };
    let flat = flatten(&elf32(&[at(0x100, b"one"), at(0x103, b"two")]), 0).unwrap();
    assert_eq!((flat.base, flat.bytes.as_slice()), (0x100, &b"onetwo"[..]));
    // A single segment at 0 is really meant.
    let flat = flatten(&elf32(&[at(0x100, b"one")]), 0).unwrap();
    assert_eq!(flat.base, 0);
}

#[test]
fn a_gap_above_the_limit_names_both_sides() {
    let error = flatten(&two(), 11).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a gap of 12 bytes between .text (0x08000000..0x08000004) and .config (0x08000010..0x08000014); the limit \
         is 11"
    );
    assert!(
        error.advice(Speaker::Program).contains("--remove-section=.config"),
        "{}",
        error.advice(Speaker::Program)
    );
    assert!(error.advice(Speaker::Program).contains("--max-gap 12"), "{}", error.advice(Speaker::Program));
    let error = flatten(&without_sections(two()), 11).unwrap_err().to_string();
    assert!(error.contains("segment 0 (") && error.contains("segment 1 ("), "{error}");
}

#[test]
fn a_section_name_cannot_write_on_the_terminal() {
    let elf = elf32(&[load(".a", 0, b"1"), load(".\x1b[2J\n\u{202e}", 9, b"2")]);
    let error = flatten(&elf, 0).unwrap_err().to_string();
    assert!(error.contains(r".\u{1b}[2J\n"), "{error}");
    assert!(!error.contains(char::is_control), "{error}");
}

#[test]
fn the_headers_are_no_firmware_but_bytes_without_a_section_are() {
    let mut elf = elf32(&[load("", 0x0FFF_FF8C, b""), load(".text", 0x1000_0000, b"code")]);
    assert_eq!(flatten(&elf, 0).unwrap().bytes, b"code");
    let mut map_headers = |len: u32| {
        put(&mut elf, 52 + 4, &[0; 4]);
        put(&mut elf, 52 + 16, &len.to_le_bytes());
        flatten(&elf, 0).unwrap().bytes
    };
    assert_eq!(map_headers(52 + 64), b"code");
    // One byte beyond the headers: something else is in it, and dropping it would not be safe.
    let elf = elf32(&[load("", 0x0FFF_FFFF, b"!"), load(".text", 0x1000_0000, b"code")]);
    assert_eq!(flatten(&elf, 0).unwrap().bytes, b"!code");
}

#[test]
fn overlaps_are_refused() {
    let elf = elf32(&[load(".a", 0x100, b"1234"), load(".b", 0x103, b"5678")]);
    let error = flatten(&elf, 0).unwrap_err();
    assert_eq!(error.to_string(), ".a (0x00000100..0x00000104) and .b (0x00000103..0x00000107) overlap");
    // One inside the other, the same place twice.
    for start in [0x101, 0x100] {
        let elf = elf32(&[load(".a", 0x100, b"1234"), load(".b", start, b"5")]);
        assert!(matches!(flatten(&elf, 9), Err(ElfError::Overlap { .. })));
    }
}

#[test]
fn far_apart_is_too_large_before_anything_is_allocated() {
    let elf = elf32(&[load(".a", 0, b"1"), load(".b", 0xFFFF_FFF0, b"2")]);
    assert!(matches!(flatten(&elf, usize::MAX), Err(ElfError::TooLarge { len: 0xFFFF_FFF1, .. })));
    let limit = MAX_FLAT_LEN as u32;
    let elf = |last| elf32(&[load(".a", 0, b"1"), load(".b", last, b"2")]);
    assert_eq!(flatten(&elf(limit - 1), usize::MAX).unwrap().bytes.len(), MAX_FLAT_LEN);
    assert!(matches!(flatten(&elf(limit), usize::MAX), Err(ElfError::TooLarge { .. })));
}

#[test]
fn what_is_no_firmware_is_refused() {
    let patched = |at: usize, bytes: &[u8]| {
        let mut elf = two();
        put(&mut elf, at, bytes);
        flatten(&elf, 12).unwrap_err()
    };
    assert!(matches!(patched(0, b"\x7eELF"), ElfError::NotElf));
    assert!(matches!(patched(4, &[3]), ElfError::UnknownClass(3)));
    assert!(matches!(patched(5, &[2]), ElfError::BigEndian(2)));
    assert!(matches!(patched(5, &[0]), ElfError::BigEndian(0)));
    assert!(matches!(patched(16, &[1, 0]), ElfError::NotExecutable("a relocatable object (not linked yet)")));
    assert!(matches!(patched(16, &[3, 0]), ElfError::NotExecutable(kind) if kind.contains("shared")));
    assert!(matches!(patched(16, &[4, 0]), ElfError::NotExecutable("a core dump")));
    assert!(matches!(patched(16, &[0, 0xFE]), ElfError::NotExecutable("of an unknown type")));
    assert!(matches!(patched(52, &[2]), ElfError::NotExecutable("dynamically linked")), "PT_DYNAMIC");
    assert!(matches!(patched(52, &[3]), ElfError::NotExecutable("dynamically linked")), "PT_INTERP");
    assert!(
        matches!(patched(52, &[4]), ElfError::Unloaded { name, address: 0x0800_0000 } if name == ".text")
    );
    assert!(matches!(patched(42, &[0]), ElfError::Malformed { .. }), "size of a program header");
    assert!(matches!(patched(44, &[0, 0]), ElfError::NothingToLoad));

    // An ESP8266 ELF is told apart even where it would be refused for another reason.
    let xtensa = patched(18, &[94, 0]);
    assert!(matches!(xtensa, ElfError::Xtensa));
    assert!(xtensa.advice(Speaker::Program).contains("elf2bin"));

    assert!(matches!(flatten(&elf32(&[load(".text", 0, b"")]), 0), Err(ElfError::NothingToLoad)));
    let wraps = without_sections(elf32(&[load("", 0xFFFF_FFFF, b"12")]));
    assert!(flatten(&wraps, 0).is_ok(), "32-bit addresses are counted in 64 bits");
}

#[test]
fn no_cut_and_no_bit_makes_it_panic() {
    let elf = two();
    for len in 0..elf.len() {
        assert!(flatten(&elf[..len], 12).is_err(), "cut at {len}");
    }
    let stripped = without_sections(two());
    for elf in [elf, stripped] {
        for at in 0..elf.len() {
            for bit in 0..8 {
                let mut changed = elf.clone();
                changed[at] ^= 1 << bit;
                let _ = flatten(&changed, 12);
            }
        }
    }
}

#[test]
fn a_cut_file_says_how_much_is_missing() {
    let elf = without_sections(two());
    let error = flatten(&elf[..52 + 64 + 6], 12).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ELF is cut off: segment 1 ends at file offset 124, but the file has 122 bytes"
    );
}

#[test]
fn more_segments_than_linkers_make_are_refused() {
    let many: Vec<Load> = (0..257).map(|i| load("", i, b"x")).collect();
    assert!(matches!(flatten(&elf32(&many), 0), Err(ElfError::TooMany { count: 257, .. })));
    assert_eq!(flatten(&elf32(&many[..256]), 0).unwrap().bytes.len(), 256);
}

/// GNU assembler source without instructions, so that it fits every machine.
const SOURCE: &str = r#"
    .section .vectors, "a"
    .ascii "vectors!"
    .section .text, "ax"
    .global _start
_start:
    .fill 301, 1, 0x41
    .section .rodata, "a"
    .balign 8
    .fill 777, 1, 0x52
    .section .data, "aw"
    .fill 45, 1, 0x44
    .section .ramfunc, "awx"
    .fill 33, 1, 0x46
    .section .bss, "aw", %nobits
    .space 4096
    .section .config, "a"
    .fill 19, 1, 0x43
    .section .noinit, "aw", %nobits
    .space 64
    .section .debug_note
    .ascii "never loaded"
"#;

/// Linker scripts by what they are about; each stands for a layout seen in firmware.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "data loaded from flash, bss between, a gap before the configuration",
        "MEMORY { FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 256K  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 64K }
         SECTIONS { .vectors : { KEEP(*(.vectors)) } > FLASH  .text : { *(.text) } > FLASH
                    .rodata : { *(.rodata) } > FLASH  .data : { *(.data) } > RAM AT> FLASH
                    .bss (NOLOAD) : { *(.bss) } > RAM  .ramfunc : { *(.ramfunc) } > RAM AT> FLASH
                    .config 0x08008003 : { KEEP(*(.config)) }  .noinit (NOLOAD) : { *(.noinit) } > RAM }",
    ),
    (
        "room for the ELF's own headers in the first segment",
        "SECTIONS { . = 0x10000 + SIZEOF_HEADERS; .vectors : { *(.vectors) }  .text : { *(.text) }
                    .rodata : { *(.rodata) }  .data ALIGN(0x1000) : { *(.data) *(.ramfunc) *(.config) }
                    .bss : { *(.bss) *(.noinit) } }",
    ),
    (
        "sections written in another order than they are loaded, filler within one",
        "MEMORY { FLASH (rwx) : ORIGIN = 0, LENGTH = 256K }
         SECTIONS { .config 0x4000 : { *(.config) } > FLASH  .text 0x400 : { *(.text) . = ALIGN(64); LONG(0x55AA) }
                    .vectors 0 : { *(.vectors) }  .rodata 0x1001 : { *(.rodata) }
                    .data 0x2000 : { *(.data) *(.ramfunc) }  .bss 0x8000 : { *(.bss) *(.noinit) } }",
    ),
    (
        "bss in the middle, given space by what follows it",
        "PHDRS { all PT_LOAD; }
         SECTIONS { .text 0x08000000 : { *(.vectors) *(.text) *(.rodata) } :all  .bss : { *(.bss) *(.noinit) } :all
                    .data : { *(.data) *(.ramfunc) *(.config) } :all }",
    ),
];

/// What Rust's runtime crates for Cortex-M and RISC-V link when there is no initialised data: an empty section with
/// contents "in RAM". With --gap-fill, objcopy fills everything up to there; without, it is not in the way.
const EMPTY_SECTION: (&str, &str) = (
    "an empty section in RAM",
    "MEMORY { FLASH (rwx) : ORIGIN = 0x08000000, LENGTH = 256K  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 64K }
     SECTIONS { .text : { *(.vectors) *(.text) *(.rodata) *(.data) *(.ramfunc) *(.config) } > FLASH
                .data : { start_of_data = .; } > RAM  .bss (NOLOAD) : { *(.bss) *(.noinit) } > RAM }",
);

/// What Rust and the Pico SDK link: one segment, with a hole between two of its sections.
const HOLE: (&str, &str) = (
    "a hole inside one segment",
    "PHDRS { all PT_LOAD; }
     SECTIONS { .text 0x10000000 : { *(.vectors) *(.text) *(.rodata) *(.data) *(.ramfunc) } :all
                .config 0x10000800 : { *(.config) } :all  .bss 0x20000000 (NOLOAD) : { *(.bss) *(.noinit) } }",
);

struct Linked {
    about: &'static str,
    elf: Vec<u8>,
    /// What objcopy makes of it. Gaps are 00.
    binary: Vec<u8>,
    /// The same with FF in gaps.
    filled: Option<Vec<u8>>,
    /// Load address, offset in the file and length of each segment, as readelf prints them.
    segments: Vec<[usize; 3]>,
}

impl Linked {
    /// The byte at an offset of the image: objcopy's where it comes from a section, the ELF's own where it is within a
    /// segment, else FF.
    fn byte(&self, base: u64, at: usize) -> u8 {
        let address = base as usize + at;
        let in_segment = self.segments.iter().find_map(|&[load, offset, len]| {
            let within = address.checked_sub(load).filter(|&within| within < len)?;
            Some(self.elf[offset + within])
        });
        match &self.filled {
            Some(filled) if filled[at] != self.binary[at] => in_segment.unwrap_or(0xFF),
            _ => self.binary[at],
        }
    }
}

/// What the GNU assembler and linker with this prefix make of [`SCRIPTS`]; `None` when they are not installed.
fn linked(prefix: &str) -> Option<Vec<Linked>> {
    let dir = tempfile::tempdir().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let done =
            Command::new(format!("{prefix}{program}")).args(arguments).current_dir(&dir).output().unwrap();
        assert!(done.status.success(), "{prefix}{program}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let missing = |program| Command::new(format!("{prefix}{program}")).arg("--version").output().is_err();
    if ["as", "ld", "objcopy", "readelf"].into_iter().any(missing) {
        crate::testing::skipped(&format!("{prefix}as, ld, objcopy or readelf is not installed"));
        return None;
    }
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let read = |name: &str| std::fs::read(Path::join(dir.path(), name)).unwrap();
    write("source.s", SOURCE);
    run("as", &["source.s", "-o", "source.o"]);
    let segments = || {
        let listing =
            Command::new(format!("{prefix}readelf")).args(["-lW", "out.elf"]).current_dir(&dir).output();
        let listing = String::from_utf8(listing.unwrap().stdout).unwrap();
        let hex = |text: &str| usize::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
        let loads = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let loads = loads.filter(|words| words.first() == Some(&"LOAD"));
        loads.map(|words| [hex(words[3]), hex(words[1]), hex(words[4])]).collect()
    };
    let filled = SCRIPTS.iter().chain([&HOLE]).map(|script| (script, true));
    let each = filled.chain([(&EMPTY_SECTION, false)]).map(|((about, script), fill)| {
        write("script.ld", &format!("ENTRY(_start)\n{script}"));
        run("ld", &["-T", "script.ld", "source.o", "-o", "out.elf"]);
        run("objcopy", &["-O", "binary", "out.elf", "out.bin"]);
        let filled = fill.then(|| {
            run("objcopy", &["-O", "binary", "--gap-fill", "0xff", "out.elf", "filled.bin"]);
            read("filled.bin")
        });
        Linked { about, elf: read("out.elf"), binary: read("out.bin"), filled, segments: segments() }
    });
    Some(each.collect())
}

fn equals_objcopy(prefix: &str) {
    let Some(linked) = linked(prefix) else { return };
    for linked in linked {
        let Linked { about, elf, binary, .. } = &linked;
        let flat = flatten(elf, DEFAULT_MAX_GAP).unwrap_or_else(|error| panic!("{prefix} {about}: {error}"));
        let expected: Vec<u8> = (0..binary.len()).map(|at| linked.byte(flat.base, at)).collect();
        assert!(
            flat.bytes == expected,
            "{prefix} {about}: {} and {} bytes",
            flat.bytes.len(),
            expected.len()
        );
        if *about == HOLE.0 {
            assert!(flat.bytes == *binary, "{prefix} {about}: the build's own .bin has the segment's bytes");
            assert!(linked.filled.as_ref() != Some(binary), "{prefix} {about}: there is a hole");
        }
        assert!(expected.len() > 1100, "{prefix} {about}: the peer wrote only {} bytes", expected.len());
    }
}

#[test]
fn equals_objcopy_for_arm() {
    equals_objcopy("arm-none-eabi-");
}

/// 64-bit where the build machine is.
#[cfg(target_os = "linux")]
#[test]
fn equals_objcopy_for_the_build_machine() {
    equals_objcopy("");
}
