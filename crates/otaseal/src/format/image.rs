//! Recognises a file by its bytes alone: for `inspect`, and to refuse files that are no firmware.
//!
//! Magic numbers and structure decide, never the file name. Recognition is bounded and linear, and it proves nothing: a
//! recognised image may still be damaged further on, and a file that ends in something like a trailer may be no signed
//! image. Use [`otaseal_device`] to verify.

mod content;
pub mod esp32;
pub mod esp8266;
mod filesystem;
mod foreign;
pub mod rp;
pub mod uf2;

use std::fmt;

use otaseal_device::layout::{LENGTH_FIELD_LEN, trailer_len};
use serde::Serialize;

use super::key_file::{self, Recognised};
use crate::format::elf::Machine;

pub use self::content::Content;
pub use self::esp32::Esp32Image;
pub use self::esp8266::Esp8266File;
pub use self::filesystem::{LittleFs, Spiffs};
pub use self::foreign::{Archive, TextEncoding};
pub use self::rp::{Rp2040, Rp2350};
pub use self::uf2::Uf2;

/// The kind of a file. `Display` names it in a few words, with an article.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// A file without bytes.
    Empty,
    /// An ELF file: linker output. It must be flattened first.
    Elf(Elf),
    /// An ESP8266 image that the boot ROM reads and the OTA updater accepts (first byte E9).
    Esp8266(Esp8266File),
    /// The application of an ESP8266 with the vendor's second-stage boot loader (first byte EA). The Arduino updater
    /// refuses it.
    #[serde(rename = "esp8266-v2")]
    Esp8266V2(esp8266::Header),
    /// An image for a chip of the ESP32 family (first byte E9 too).
    Esp32(Esp32Image),
    /// A gzip file (RFC 1952). Its content is not looked at.
    Gzip,
    /// A UF2 file, to be copied to a board that shows up as a disk.
    Uf2(Uf2),
    /// Flash contents of an RP2040: the first 256 bytes are a second-stage boot loader with a valid checksum.
    Rp2040(Rp2040),
    /// Flash contents of an RP2350: an image definition stands within the first 4 KiB.
    Rp2350(Rp2350),
    /// A LittleFS filesystem.
    #[serde(rename = "littlefs")]
    LittleFs(LittleFs),
    /// A SPIFFS filesystem.
    Spiffs(Spiffs),
    /// An Intel HEX text file.
    IntelHex,
    /// A key, certificate or certificate request.
    Key(Recognised),
    /// An archive, or a file that is compressed in another way than with gzip.
    Archive {
        /// Which one.
        format: Archive,
    },
    /// An HTML or XML page.
    Page,
    /// A pointer of Git LFS, which stands in the place of the real file.
    LfsPointer,
    /// Bytes that were written as text.
    Text {
        /// How.
        encoding: TextEncoding,
    },
    /// A file of nothing but one byte: FF, as erased flash reads, or 00.
    Erased {
        /// The byte.
        byte: u8,
    },
    /// None of these. The flash contents of most microcontrollers are unknown: they begin with a vector table, which
    /// has no magic number.
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty file"),
            Self::Elf(elf) => elf.fmt(f),
            Self::Esp8266(file) => file.fmt(f),
            Self::Esp8266V2(header) => write!(f, "an ESP8266 version 2 image ({header})"),
            Self::Esp32(image) => image.fmt(f),
            Self::Gzip => f.write_str("a gzip file"),
            Self::Uf2(uf2) => uf2.fmt(f),
            Self::Rp2040(_) => f.write_str("an RP2040 image"),
            Self::Rp2350(image) => image.fmt(f),
            Self::LittleFs(filesystem) => filesystem.fmt(f),
            Self::Spiffs(filesystem) => filesystem.fmt(f),
            Self::IntelHex => f.write_str("an Intel HEX file"),
            Self::Key(key) => key.fmt(f),
            Self::Archive { format } => format.fmt(f),
            Self::Page => f.write_str("an HTML or XML page"),
            Self::LfsPointer => f.write_str("a Git LFS pointer"),
            Self::Text { encoding } => encoding.fmt(f),
            Self::Erased { byte } => write!(f, "nothing but {byte:02X} bytes"),
            Self::Unknown => f.write_str("a binary of no known format"),
        }
    }
}

/// The header of an ELF file. A field is absent if the file is too short or its value makes no sense.
/// [`crate::format::elf::flatten`] tells what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Elf {
    /// 32 or 64 bits.
    pub class_bits: Option<u8>,
    /// Whether multi-byte fields are big-endian.
    pub big_endian: Option<bool>,
    /// Architecture number of the ELF machine registry.
    pub machine: Option<u16>,
    /// Name of the architecture, if otaseal knows it.
    pub machine_name: Option<&'static str>,
    /// Entry point: a run-time address.
    pub entry_address: Option<u64>,
}

impl Elf {
    /// System V ABI, chapter 4: class at 4, encoding at 5, machine at 18, entry at 24.
    fn read(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"\x7fELF") {
            return None;
        }
        let class_bits =
            bytes.get(4).and_then(|class| [None, Some(32), Some(64)].get(usize::from(*class)).copied()?);
        let big_endian =
            bytes.get(5).and_then(|data| [None, Some(false), Some(true)].get(usize::from(*data)).copied()?);
        // The bytes begin with the least significant one, in either byte order.
        let number = |at: usize, len: usize| {
            let field = bytes.get(at..at + len)?;
            let mut value = [0; 8];
            value[..len].copy_from_slice(field);
            if big_endian? {
                value[..len].reverse();
            }
            Some(u64::from_le_bytes(value))
        };
        let machine = number(18, 2).map(|machine| machine as u16);
        Some(Self {
            class_bits,
            big_endian,
            machine,
            machine_name: machine.and_then(|machine| Machine(machine).name()),
            entry_address: class_bits.and_then(|bits| number(24, usize::from(bits) / 8)),
        })
    }
}

impl fmt::Display for Elf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an ELF file")?;
        match (self.class_bits, self.machine) {
            (Some(bits), Some(machine)) => write!(f, " ({bits}-bit, {})", Machine(machine)),
            _ => f.write_str(" (its header is damaged or cut off)"),
        }
    }
}

/// Tells the kind of a whole file. The kind of a signed image is the kind of its payload: see [`trailer`].
pub fn identify(bytes: &[u8]) -> Kind {
    if bytes.is_empty() {
        return Kind::Empty;
    }
    // An ELF with a damaged header is still no plain image, so the magic number alone decides. The same holds for gzip.
    if let Some(elf) = Elf::read(bytes) {
        return Kind::Elf(elf);
    }
    if bytes.starts_with(&[0x1F, 0x8B]) {
        return Kind::Gzip;
    }
    if let Some(kind) = esp(bytes) {
        return kind;
    }
    if let Some(header) = esp8266::Header::read_v2(bytes) {
        return Kind::Esp8266V2(header);
    }
    if let Some(key) = key_file::recognise(bytes) {
        return Kind::Key(key);
    }
    if let Some(uf2) = Uf2::read(bytes) {
        return Kind::Uf2(uf2);
    }
    if is_intel_hex(bytes) {
        return Kind::IntelHex;
    }
    // The order is from the strongest proof, a checksum, to the weakest, sixteen bits at a time.
    let found = Rp2040::read(bytes).map(Kind::Rp2040);
    let found = found.or_else(|| LittleFs::read(bytes).map(Kind::LittleFs));
    let found = found.or_else(|| Rp2350::read(bytes).map(Kind::Rp2350));
    let found = found.or_else(|| foreign(bytes));
    found.or_else(|| Spiffs::read(bytes).map(Kind::Spiffs)).unwrap_or(Kind::Unknown)
}

/// Tells the images apart that begin with E9. The header alone tells an ESP32 image. But if only the other reading gives
/// a whole and undamaged image, the file is that.
fn esp(bytes: &[u8]) -> Option<Kind> {
    let esp8266 = Esp8266File::read(bytes)?;
    match Esp32Image::read(bytes) {
        Some(esp32) if esp32.is_intact() || !esp8266.is_intact() => Some(Kind::Esp32(esp32)),
        _ => Some(Kind::Esp8266(esp8266)),
    }
}

/// Recognises what is no image, and no other format of a tool chain either.
fn foreign(bytes: &[u8]) -> Option<Kind> {
    if let Some(format) = foreign::archive(bytes) {
        return Some(Kind::Archive { format });
    }
    if foreign::is_page(bytes) {
        return Some(Kind::Page);
    }
    if foreign::is_lfs_pointer(bytes) {
        return Some(Kind::LfsPointer);
    }
    if let Some(byte) = foreign::erased(bytes) {
        return Some(Kind::Erased { byte });
    }
    if let Some(encoding) = foreign::text(bytes) {
        return Some(Kind::Text { encoding });
    }
    foreign::is_zlib(bytes).then_some(Kind::Archive { format: Archive::Zlib })
}

/// Tells whether the first line is a record of Intel's "Hexadecimal Object File Format Specification" (1988): a colon,
/// then byte pairs (length, address, type, data, checksum) whose sum is 0 modulo 256.
fn is_intel_hex(bytes: &[u8]) -> bool {
    // The length is one byte, so that a record has at most 255 data bytes and 5 others.
    const LONGEST: usize = 2 * (255 + 5);
    let Some((b':', rest)) = bytes.split_first() else { return false };
    let digits = rest.iter().take(LONGEST + 1).take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits % 2 != 0 || !matches!(rest.get(digits), None | Some(b'\r' | b'\n')) {
        return false;
    }
    let nibble = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    let record: Vec<u8> =
        rest[..digits].chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect();
    let length_fits = record.first().is_some_and(|&len| usize::from(len) + 5 == record.len());
    length_fits && record.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

/// The end of a file, read as if it were a trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TrailerGuess {
    /// Length of the signature in bytes: 256, 384 or 512.
    #[serde(rename = "signature_bytes")]
    pub signature_len: usize,
    /// Length of everything before the signature, in bytes.
    #[serde(rename = "payload_bytes")]
    pub payload_len: u64,
}

/// Tells whether a file seems to end in a trailer. The length field must be the size of an RSA-2048, RSA-3072 or
/// RSA-4096 signature. The file must have room for that signature and for at least one byte of payload.
///
/// `bytes_tail` is the end of the file, 4 bytes or more. `total_len` is the length of the whole file. The result is a
/// guess: plain data may end in these four bytes by chance. Only a verifier with the key knows.
pub fn trailer(bytes_tail: &[u8], total_len: u64) -> Option<TrailerGuess> {
    let field = bytes_tail.last_chunk::<LENGTH_FIELD_LEN>()?;
    let signature_len = usize::try_from(u32::from_le_bytes(*field)).ok()?;
    if !matches!(signature_len, 256 | 384 | 512) {
        return None;
    }
    match total_len.checked_sub(trailer_len(signature_len) as u64)? {
        0 => None,
        payload_len => Some(TrailerGuess { signature_len, payload_len }),
    }
}

/// As [`trailer`], for a whole file in memory.
pub fn trailer_of(bytes: &[u8]) -> Option<TrailerGuess> {
    trailer(&bytes[bytes.len().saturating_sub(LENGTH_FIELD_LEN)..], bytes.len() as u64)
}

#[cfg(test)]
pub(crate) mod tests;
