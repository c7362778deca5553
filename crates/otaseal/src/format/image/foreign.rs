//! Recognises files that are no image of a flash, although people hand them in as one: pages, pointers, archives, text,
//! erased flash.
//!
//! Every check looks at the first bytes first, so that a real image costs next to nothing. Only a file that passes them
//! is read further.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};
use serde::Serialize;

/// A container or a compressed stream. No device unpacks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Archive {
    /// ZIP: PKWARE APPNOTE 4.3.7 and 4.3.16.
    Zip,
    /// 7-Zip: `7zFormat.txt`.
    SevenZip,
    /// tar: POSIX ustar.
    Tar,
    /// xz: "The .xz File Format" 2.1.1.1.
    Xz,
    /// bzip2: its `decompress.c`.
    Bzip2,
    /// Zstandard: RFC 8878, 3.1.1.
    Zstd,
    /// zlib: RFC 1950.
    Zlib,
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zip => "a ZIP archive",
            Self::SevenZip => "a 7-Zip archive",
            Self::Tar => "a tar archive",
            Self::Xz => "an xz file",
            Self::Bzip2 => "a bzip2 file",
            Self::Zstd => "a Zstandard file",
            Self::Zlib => "a zlib stream",
        })
    }
}

/// A way to write bytes as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TextEncoding {
    /// Base64: RFC 4648, section 4.
    Base64,
    /// Two hexadecimal digits for each byte.
    Hex,
}

impl fmt::Display for TextEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base64 => "base64 text",
            Self::Hex => "hexadecimal text",
        })
    }
}

/// The first bytes of each format. That of bzip2 is longer: see [`is_bzip2`].
const MAGIC: [(&[u8], Archive); 5] = [
    (b"PK\x03\x04", Archive::Zip),
    // A ZIP archive without files.
    (b"PK\x05\x06", Archive::Zip),
    (b"7z\xBC\xAF\x27\x1C", Archive::SevenZip),
    (b"\xFD7zXZ\0", Archive::Xz),
    (b"\x28\xB5\x2F\xFD", Archive::Zstd),
];

/// Recognises an archive or a compressed stream. The weakest check, zlib's two bytes, is [`is_zlib`]'s.
pub(super) fn archive(bytes: &[u8]) -> Option<Archive> {
    let by_magic = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, archive)| *archive);
    by_magic
        .or_else(|| is_bzip2(bytes).then_some(Archive::Bzip2))
        .or_else(|| bytes.get(257..262).is_some_and(|magic| magic == b"ustar").then_some(Archive::Tar))
}

/// The signature and the size of a block, then the magic number of the first block, or that of the end.
fn is_bzip2(bytes: &[u8]) -> bool {
    let Some((b"BZh", [b'1'..=b'9', block @ ..])) = bytes.split_first_chunk::<3>() else { return false };
    block.starts_with(b"\x31\x41\x59\x26\x53\x59") || block.starts_with(b"\x17\x72\x45\x38\x50\x90")
}

/// Tells whether the file is a zlib stream. Two bytes are no proof, because a stack pointer may look like them. So it
/// is inflated: to its end, where its checksum must be right, or for [`ENOUGH`] bytes without an error.
pub(super) fn is_zlib(bytes: &[u8]) -> bool {
    /// Output after which no other data would have inflated without an error, in bytes.
    const ENOUGH: u64 = 1 << 20;
    // RFC 1950, 2.2: deflate with a window of 32 KiB, no dictionary, and a header that is a multiple of 31.
    let Some(&[0x78, flags]) = bytes.first_chunk::<2>() else { return false };
    if flags & 0x20 != 0 || (0x7800 | u16::from(flags)) % 31 != 0 {
        return false;
    }
    let mut inflate = Decompress::new(true);
    let mut out = [0; 16 << 10];
    while inflate.total_out() < ENOUGH {
        let before = (inflate.total_in(), inflate.total_out());
        let rest = bytes.get(before.0 as usize..).unwrap_or_default();
        match inflate.decompress(rest, &mut out, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return inflate.total_out() > 0,
            Ok(_) if (inflate.total_in(), inflate.total_out()) == before => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Tells whether the file is an HTML or XML page: what a server sends in place of a file that it does not have.
pub(super) fn is_page(bytes: &[u8]) -> bool {
    /// White space that may stand before the first tag, in bytes.
    const BLANK: usize = 512;
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let blank = bytes.iter().take(BLANK).take_while(|byte| byte.is_ascii_whitespace()).count();
    let text = bytes.get(blank..).unwrap_or_default();
    let begins = |with: &str| {
        let start = text.get(..with.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    text.starts_with(b"<")
        && ["<!doctype", "<?xml", "<html", "<head", "<body", "<!--"].into_iter().any(begins)
}

/// Tells whether the file is a pointer of Git LFS, which stands in a checkout without the real files: git-lfs
/// `docs/spec.md`. The second address is that of the first versions.
pub(super) fn is_lfs_pointer(bytes: &[u8]) -> bool {
    let keys: [&[u8]; 2] =
        [b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/"];
    keys.into_iter().any(|key| bytes.starts_with(key))
}

/// Returns the byte that fills the file, if it is that of erased flash (FF) or of memory that nothing was written to
/// (00).
pub(super) fn erased(bytes: &[u8]) -> Option<u8> {
    let &first = bytes.first().filter(|first| matches!(first, 0x00 | 0xFF))?;
    // The chunks are for speed: of a file that is all of it, every byte is looked at.
    let mut chunks = bytes.chunks(4096);
    chunks.all(|chunk| chunk.iter().fold(true, |all, &byte| all & (byte == first))).then_some(first)
}

/// Recognises bytes that were written as text.
///
/// Only a file of at least [`SHORTEST`] characters counts, with nothing else than digits and white space in it. In
/// base64 text of a binary, upper case, lower case and digits all occur. A file of one repeated letter is no text.
pub(super) fn text(bytes: &[u8]) -> Option<TextEncoding> {
    /// Characters of the shortest text. Less would not be an image in any encoding.
    const SHORTEST: usize = 64;
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let is_text = |byte: &u8| is_digit(byte) || matches!(byte, b'\n' | b'\r' | b' ' | b'\t');
    let start = bytes.get(..SHORTEST)?;
    if !start.iter().all(is_text) || !bytes.iter().all(is_text) {
        return None;
    }
    let (mut digits, mut hex, mut kinds, mut padding) = (0_usize, true, [false; 3], 0_usize);
    for byte in bytes.iter().filter(|byte| is_digit(byte)) {
        digits += 1;
        hex &= byte.is_ascii_hexdigit();
        kinds[0] |= byte.is_ascii_uppercase();
        kinds[1] |= byte.is_ascii_lowercase();
        kinds[2] |= byte.is_ascii_digit();
        match byte {
            b'=' => padding += 1,
            // The padding is at the end.
            _ if padding > 0 => return None,
            _ => {}
        }
    }
    if digits < SHORTEST {
        return None;
    }
    if hex {
        let varies = kinds[2] && (kinds[0] || kinds[1]);
        return (varies && digits.is_multiple_of(2)).then_some(TextEncoding::Hex);
    }
    (kinds == [true; 3] && padding <= 2).then_some(TextEncoding::Base64)
}

#[cfg(test)]
mod tests;
