//! Reads the "binary info" of a pico-sdk build, which picotool shows: name, version, board and more.

use serde::Serialize;

use super::{flash_offset, word};

/// pico-sdk `pico/binary_info/defs.h`: a header of five words between these two.
const START: u32 = 0x7188_EBF2;
const END: u32 = 0xE71A_A390;
/// Bytes that are searched. The SDK promises the header within 256 bytes of the program's start. arduino-pico puts its
/// program behind a 12 KiB OTA boot loader.
const SEARCHED: usize = 0x3000 + 0x400;
/// Most entries that are read. No real build has nearly as many. A hostile file must not make a long report.
const MAX_ENTRIES: usize = 512;
const MAX_TEXT: usize = 256;
const MAX_MAPPINGS: usize = 32;

const TYPE_ID_AND_INT: u32 = 5;
const TYPE_ID_AND_STRING: u32 = 6;
/// "RP": the tag of ids that Raspberry Pi has assigned.
const TAG: u32 = 0x5052;

/// The binary info of a build. In its texts, everything that is not plain text is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BinaryInfo {
    /// Name of the program.
    pub program_name: Option<String>,
    /// Its version.
    pub program_version: Option<String>,
    /// Date of the build, as the compiler gave it.
    pub build_date: Option<String>,
    /// Description of the program.
    pub description: Option<String>,
    /// Address of its web page.
    pub url: Option<String>,
    /// Board that the program was built for.
    pub board: Option<String>,
    /// Version of the pico-sdk.
    pub sdk_version: Option<String>,
    /// Boot loader that the program was linked with.
    pub boot2_name: Option<String>,
    /// Features and attributes of the build, such as `UART stdin / stdout` or `Release`.
    pub features: Vec<String>,
    /// End of the program in flash: an address.
    pub end_address: Option<u32>,
}

/// A part of the flash that the program copies elsewhere before it uses it.
struct Mapping {
    source: u32,
    start: u32,
    end: u32,
}

struct Reader<'a> {
    bytes: &'a [u8],
    mappings: Vec<Mapping>,
}

impl BinaryInfo {
    /// Reads the entries about the program. Returns `None` if there is no header.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (words, _) = bytes[..bytes.len().min(SEARCHED)].as_chunks::<4>();
        let is = |at: usize, marker: u32| words.get(at).is_some_and(|it| u32::from_le_bytes(*it) == marker);
        let header = (0..words.len()).find(|&at| is(at, START) && is(at + 4, END))? * 4;
        let [start, end, table] = [4, 8, 12].map(|at| word(bytes, header + at));
        let reader = Reader { bytes, mappings: mappings(bytes, table?) };
        let mut found = Self::default();
        // In a build that copies everything to RAM, the list may be there.
        let list = reader.offset(start?)?;
        let count = usize::try_from(end?.checked_sub(start?)?).ok()? / 4;
        for at in 0..count.min(MAX_ENTRIES) {
            let Some(entry) = word(bytes, list + 4 * at).and_then(|address| reader.offset(address)) else {
                continue;
            };
            found.take(&reader, entry);
        }
        Some(found)
    }

    /// Takes the entry at an offset, if it is one of the fields above.
    fn take(&mut self, reader: &Reader<'_>, entry: usize) -> Option<()> {
        let [core, id, value] = [0, 4, 8].map(|at| word(reader.bytes, entry + at));
        let (core, id, value) = (core?, id?, value?);
        if core >> 16 != TAG {
            return None;
        }
        match core & 0xFFFF {
            TYPE_ID_AND_INT if id == 0x68F4_65DE => self.end_address = Some(value),
            TYPE_ID_AND_STRING => {
                let text = reader.text(value)?;
                match id {
                    0x0203_1C86 => self.program_name = Some(text),
                    0x11A9_BC3A => self.program_version = Some(text),
                    0x9DA2_2254 => self.build_date = Some(text),
                    0xB6A0_7C19 => self.description = Some(text),
                    0x1856_239A => self.url = Some(text),
                    0xB63C_FFBB => self.board = Some(text),
                    0x5360_B3AB => self.sdk_version = Some(text),
                    0x7F88_82E1 => self.boot2_name = Some(text),
                    0xA1F4_B453 | 0x4275_F0D3 if self.features.len() < 32 => self.features.push(text),
                    _ => {}
                }
            }
            _ => {}
        }
        Some(())
    }
}

impl Reader<'_> {
    /// Returns the offset in the file that belongs to a run-time address.
    fn offset(&self, address: u32) -> Option<usize> {
        let copied = self.mappings.iter().find(|it| (it.start..it.end).contains(&address));
        let address = match copied {
            Some(mapping) => mapping.source.checked_add(address - mapping.start)?,
            None => address,
        };
        flash_offset(address).filter(|&at| at < self.bytes.len())
    }

    /// Returns the NUL-terminated text at an address, made safe to print.
    fn text(&self, address: u32) -> Option<String> {
        let bytes = self.bytes.get(self.offset(address)?..)?;
        let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        let is_plain = |letter: char| letter.is_alphanumeric() || letter.is_ascii_graphic() || letter == ' ';
        let text = String::from_utf8_lossy(&bytes[..end]);
        Some(text.chars().map(|it| if is_plain(it) { it } else { char::REPLACEMENT_CHARACTER }).collect())
    }
}

/// Reads the copy table: source, start and end of each copy, up to a source of 0.
fn mappings(bytes: &[u8], table: u32) -> Vec<Mapping> {
    let Some(table) = flash_offset(table) else { return Vec::new() };
    let entry = |at: usize| {
        let [source, start, end] = [0, 4, 8].map(|field| word(bytes, table + 12 * at + field));
        Some(Mapping { source: source.filter(|&source| source != 0)?, start: start?, end: end? })
    };
    (0..MAX_MAPPINGS).map_while(entry).collect()
}
