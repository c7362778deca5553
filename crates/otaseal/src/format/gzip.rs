//! Writes reproducible gzip, as small as DEFLATE allows, and reads gzip strictly.
//!
//! A file of ours is one gzip member (RFC 1952) that a boot loader inflates. It has no file name, no time, no operating
//! system, and nothing behind the trailer. The same input gives the same bytes on every machine.
//!
//! All code that needs DEFLATE calls this module.

mod deflate;
pub mod lint;

use std::num::NonZero;
use std::str::FromStr;
use std::thread;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};
use libdeflater::{CompressionLvl, Compressor};

use self::deflate::deflate;

/// ID1, ID2 and CM = 8 (deflate): RFC 1952, section 2.3.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// ID, CM, FLG, MTIME, XFL, OS: RFC 1952, section 2.3.
const HEADER_LEN: usize = 10;
/// CRC32 and ISIZE: RFC 1952, section 2.3.
const TRAILER_LEN: usize = 8;
/// "Unknown" operating system, so that the bytes do not depend on it. RFC 1952, section 2.3.1.
const OS_UNKNOWN: u8 = 255;
/// XFL of a compressor that used its slowest, and its fastest algorithm: RFC 1952, section 2.3.1.
const XFL_MAX: u8 = 2;
const XFL_FAST: u8 = 4;

/// Bits of FLG: RFC 1952, section 2.3.1. FTEXT (bit 0) carries no field.
const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;

/// No DEFLATE stream inflates to more than this many times its own length. A match of 258 bytes takes at least two bits
/// (one for the length, one for the distance), so a byte of input has at most four matches.
const MAX_RATIO: usize = 1032;

/// Level of [`Effort::Fast`]. On real images level 6 takes 1.4 times as long, and saves 0.3 percent.
const FAST: Compression = Compression::new(4);

/// Each thread holds tables of its own, and more threads gain little. The bytes do not depend on the number.
const MAX_THREADS: NonZero<usize> = NonZero::new(4).unwrap();

/// How much time compression may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// For a development loop: milliseconds.
    Fast,
    /// As small as a near-optimal parse gets in about the time of `gzip -9`: at most 1.5 of it for most images.
    #[default]
    Default,
    /// For a release: smaller still, at many times the cost.
    Max,
}

/// A name other than `fast`, `default` and `max`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an effort: expected `fast`, `default` or `max`")]
#[non_exhaustive]
pub struct UnknownEffort(pub String);

impl FromStr for Effort {
    type Err = UnknownEffort;

    fn from_str(name: &str) -> Result<Self, UnknownEffort> {
        match name {
            "fast" => Ok(Self::Fast),
            "default" => Ok(Self::Default),
            "max" => Ok(Self::Max),
            _ => Err(UnknownEffort(name.to_owned())),
        }
    }
}

/// Why otaseal did not compress the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompressError {
    /// ISIZE, the length a device trusts, has 32 bits.
    #[error("{len} bytes are too many for one gzip member: its length field has 32 bits")]
    TooLong {
        /// Length of the input.
        len: usize,
    },
}

/// Why otaseal refused a gzip file. The order of the variants is the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GunzipError {
    /// The first two bytes are not `1F 8B`.
    #[error("not a gzip file: it does not begin with 1F 8B")]
    NotGzip,
    /// CM is not 8.
    #[error("gzip compression method {0} is not deflate (8)")]
    Method(u8),
    /// A reserved bit of FLG is set: a device that meets one must give up (RFC 1952, section 2.3.1.2).
    #[error("reserved bits are set in the gzip flags {0:#04x}")]
    ReservedFlags(u8),
    /// The file ends within its header.
    #[error("the gzip header is cut off")]
    HeaderTruncated,
    /// The header's CRC16 of itself (FHCRC) is wrong.
    #[error("the gzip header says its CRC16 is {stated:#06x}, it is {actual:#06x}")]
    HeaderCrc {
        /// The CRC16 in the header.
        stated: u16,
        /// The CRC16 of the header's bytes.
        actual: u16,
    },
    /// The compressed data are not a DEFLATE stream.
    #[error("the compressed data are corrupt after {produced} bytes of output")]
    Corrupt {
        /// Bytes that were inflated.
        produced: usize,
    },
    /// The content is longer than the caller allows.
    #[error("the content is longer than {limit} bytes")]
    TooLong {
        /// The caller's limit.
        limit: usize,
    },
    /// The file ends before its compressed data or its trailer do.
    #[error("the gzip file is cut off")]
    Truncated,
    /// Bytes follow the trailer: another member, or foreign bytes. A device reads the content's length from the last four
    /// bytes of the file, so it would read a wrong length.
    #[error("{len} bytes follow the end of the gzip member")]
    Trailing {
        /// How many.
        len: usize,
    },
    /// CRC32 of the content differs from the trailer's.
    #[error("the gzip trailer says the CRC32 is {stated:#010x}, it is {actual:#010x}")]
    Crc {
        /// The CRC32 in the trailer.
        stated: u32,
        /// The CRC32 of the content.
        actual: u32,
    },
    /// The content's length differs from the trailer's ISIZE. A device trusts ISIZE.
    #[error("the gzip trailer says the content has {stated} bytes, it has {actual}")]
    Size {
        /// The length in the trailer.
        stated: u32,
        /// The length of the content.
        actual: usize,
    },
}

/// Compresses `data` into one gzip member whose total length is a multiple of four.
///
/// Layout:
/// - ten bytes of header (MTIME 0, OS 255);
/// - padding, if the length needs it: a comment of zero to two dots and a NUL;
/// - the DEFLATE stream;
/// - CRC32 and ISIZE, both little-endian.
///
/// The padding is for the ESP8266 cores 3.1.0 to 3.1.2, which hash the last bytes of another length wrongly. It is in the
/// header, because the last four bytes must be ISIZE.
///
/// The bytes depend on `data`, `effort` and this crate's version (with its locked dependencies) alone. If your build
/// turns on another back end of the crate `flate2`, the bytes of [`Effort::Fast`] are that back end's.
///
/// # Errors
/// [`CompressError::TooLong`] from 4 GiB on.
pub fn gzip(data: &[u8], effort: Effort) -> Result<Vec<u8>, CompressError> {
    gzip_with_extra(data, effort, &[])
}

/// Does the same, and writes an extra field into the header: RFC 1952, section 2.3.1.1. Inflaters skip it. Without
/// subfields there is no extra field.
///
/// # Errors
/// [`CompressError::TooLong`] from 4 GiB on.
///
/// # Panics
/// When the subfields are longer than 65,535 bytes.
pub fn gzip_with_extra(data: &[u8], effort: Effort, subfields: &[u8]) -> Result<Vec<u8>, CompressError> {
    let isize = u32::try_from(data.len()).map_err(|_| CompressError::TooLong { len: data.len() })?;
    let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN).min(MAX_THREADS);
    let (stream, xfl) = match effort {
        Effort::Fast => (flate(data), XFL_FAST),
        Effort::Default => (deflate(data, &deflate::DEFAULT, threads), XFL_MAX),
        Effort::Max => {
            // One more candidate costs little next to the search. So no result is larger than libdeflate's.
            let best = deflate(data, &deflate::MAX, threads);
            let other = libdeflate(data);
            (if other.len() < best.len() { other } else { best }, XFL_MAX)
        }
    };
    Ok(member(&stream, xfl, subfields, crc32(data), isize))
}

/// Whether `data` begins like a gzip member of a deflated file. It does not look at the rest.
pub fn is_gzip(data: &[u8]) -> bool {
    data.starts_with(&MAGIC)
}

/// Returns whether a file has the form of ours, and inflates to at most `limit` bytes: the header that [`gzip()`]
/// writes, padded as it pads, one member. Hardly any other program writes this form.
pub fn is_own(data: &[u8], limit: usize) -> bool {
    let Some(([m0, m1, m2, flags, 0, 0, 0, 0, XFL_MAX | XFL_FAST, OS_UNKNOWN], rest)) =
        data.split_first_chunk::<HEADER_LEN>()
    else {
        return false;
    };
    let extra = match flags & FEXTRA {
        0 => 0,
        _ => rest.first_chunk().map_or(usize::MAX, |length| 2 + usize::from(u16::from_le_bytes(*length))),
    };
    let Some(rest) = rest.get(extra..) else { return false };
    let padded =
        flags & FCOMMENT == 0 || [&b"\0"[..], b".\0", b"..\0"].iter().any(|pad| rest.starts_with(pad));
    [*m0, *m1, *m2] == MAGIC
        && flags & !(FEXTRA | FCOMMENT) == 0
        && padded
        && data.len().is_multiple_of(4)
        && gunzip(data, limit).is_ok()
}

/// Inflates exactly one gzip member that fills `data`, to at most `limit` bytes.
///
/// It is stricter than the devices: they do not check the CRC32, and do not look for bytes behind the trailer. `limit`
/// and the length of `data` bound the memory. The length that the trailer claims does not.
///
/// # Errors
/// The first check of [`GunzipError`] that fails.
pub fn gunzip(data: &[u8], limit: usize) -> Result<Vec<u8>, GunzipError> {
    let body = &data[header_len(data)?..];
    let (content, consumed) = inflate(body, limit)?;
    let trailer = &body[consumed..];
    let Some((trailer, rest)) = trailer.split_first_chunk::<TRAILER_LEN>() else {
        return Err(GunzipError::Truncated);
    };
    if !rest.is_empty() {
        return Err(GunzipError::Trailing { len: rest.len() });
    }
    let [c0, c1, c2, c3, s0, s1, s2, s3] = *trailer;
    let (stated, actual) = (u32::from_le_bytes([c0, c1, c2, c3]), crc32(&content));
    if stated != actual {
        return Err(GunzipError::Crc { stated, actual });
    }
    let (stated, actual) = (u32::from_le_bytes([s0, s1, s2, s3]), content.len());
    if u32::try_from(actual) != Ok(stated) {
        return Err(GunzipError::Size { stated, actual });
    }
    Ok(content)
}

/// Puts header and trailer around a DEFLATE stream.
fn member(stream: &[u8], xfl: u8, subfields: &[u8], crc: u32, isize: u32) -> Vec<u8> {
    let extra = if subfields.is_empty() { 0 } else { 2 + subfields.len() };
    let pad = (HEADER_LEN + extra + stream.len() + TRAILER_LEN).wrapping_neg() % 4;
    let flags = if extra == 0 { 0 } else { FEXTRA } | if pad == 0 { 0 } else { FCOMMENT };
    let mut out = Vec::with_capacity(HEADER_LEN + extra + pad + stream.len() + TRAILER_LEN);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[flags, 0, 0, 0, 0, xfl, OS_UNKNOWN]);
    if extra > 0 {
        let len = u16::try_from(subfields.len()).expect("an extra field has at most 65,535 bytes");
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(subfields);
    }
    if let Some(dots) = pad.checked_sub(1) {
        out.extend_from_slice(&b".."[..dots]);
        out.push(0);
    }
    out.extend_from_slice(stream);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&isize.to_le_bytes());
    out
}

/// Compresses fast.
fn flate(data: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(FAST, false);
    // Data that cannot be compressed are stored, and grow by less than this.
    let mut out = Vec::with_capacity(data.len() + data.len() / 1024 + 1024);
    loop {
        let taken = compress.total_in() as usize;
        match compress.compress_vec(&data[taken..], &mut out, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => return out,
            Ok(_) => out.reserve(1 << 16),
            Err(error) => {
                unreachable!("compression only fails when it is called in the wrong order: {error}")
            }
        }
    }
}

/// Compresses as small as libdeflate can.
fn libdeflate(data: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::best());
    let mut out = vec![0; compressor.deflate_compress_bound(data.len())];
    // The only error is too little room. The bound is documented to be enough for every input.
    let len = compressor.deflate_compress(data, &mut out).unwrap_or_else(|_| unreachable!("bound too small"));
    out.truncate(len);
    out
}

/// CRC32 of gzip: RFC 1952, section 8.
fn crc32(data: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(data);
    crc.sum()
}

/// Returns the length of the member's header, with all optional fields.
pub(crate) fn header_len(data: &[u8]) -> Result<usize, GunzipError> {
    let length = header_len_unchecked(data)?;
    let has_crc = data.get(3).is_some_and(|flags| flags & FHCRC != 0);
    // The CRC16 is the lower half of the CRC32 of all bytes before it: RFC 1952, section 2.3.1.
    if let Some((before, stated)) = data[..length].split_last_chunk::<2>().filter(|_| has_crc) {
        let (stated, actual) = (u16::from_le_bytes(*stated), (crc32(before) & 0xffff) as u16);
        if stated != actual {
            return Err(GunzipError::HeaderCrc { stated, actual });
        }
    }
    Ok(length)
}

/// As [`header_len`], for a reader that skips the header's CRC16, as uzlib does (pfalcon/uzlib `tinfgzip.c`).
pub(crate) fn header_len_unchecked(data: &[u8]) -> Result<usize, GunzipError> {
    if !data.starts_with(&MAGIC[..2]) {
        return Err(GunzipError::NotGzip);
    }
    let Some(&[_, _, method, flags, ..]) = data.first_chunk::<HEADER_LEN>() else {
        return Err(GunzipError::HeaderTruncated);
    };
    if method != MAGIC[2] {
        return Err(GunzipError::Method(method));
    }
    if flags & RESERVED != 0 {
        return Err(GunzipError::ReservedFlags(flags));
    }
    let mut rest = &data[HEADER_LEN..];
    if flags & FEXTRA != 0 {
        let (len, tail) = rest.split_first_chunk::<2>().ok_or(GunzipError::HeaderTruncated)?;
        rest = tail.get(usize::from(u16::from_le_bytes(*len))..).ok_or(GunzipError::HeaderTruncated)?;
    }
    for field in [FNAME, FCOMMENT] {
        if flags & field != 0 {
            let nul = memchr::memchr(0, rest).ok_or(GunzipError::HeaderTruncated)?;
            rest = &rest[nul + 1..];
        }
    }
    if flags & FHCRC != 0 {
        (_, rest) = rest.split_first_chunk::<2>().ok_or(GunzipError::HeaderTruncated)?;
    }
    Ok(data.len() - rest.len())
}

/// Inflates the DEFLATE stream at the start of `body`. Returns the content and how many bytes the stream has.
fn inflate(body: &[u8], limit: usize) -> Result<(Vec<u8>, usize), GunzipError> {
    // ISIZE only guesses the length of the content: the caller checks it. What the input can produce bounds it here.
    let stated = body.last_chunk::<4>().map_or(0, |len| u32::from_le_bytes(*len) as usize);
    let most = limit.min(body.len().saturating_mul(MAX_RATIO));
    let mut room = stated.min(most);
    let mut decompress = Decompress::new(false);
    loop {
        // One byte more than the content may have: a stream that fills it all has not ended within `room`.
        let mut out = vec![0; room.saturating_add(1)];
        // The whole output in one call: a distance that points before its start is an error then. In several calls it
        // would read zeros from the window, and a boot loader reads what is in its flash.
        let result = decompress.decompress(body, &mut out, FlushDecompress::Finish);
        let (consumed, produced) = (decompress.total_in() as usize, decompress.total_out() as usize);
        match result {
            _ if produced > room && room == most => return Err(GunzipError::TooLong { limit }),
            _ if produced > room => room = room.saturating_mul(2).max(4096).min(most),
            Ok(Status::StreamEnd) => {
                out.truncate(produced);
                return Ok((out, consumed));
            }
            Ok(_) => return Err(GunzipError::Truncated),
            Err(_) => return Err(GunzipError::Corrupt { produced }),
        }
        decompress.reset(false);
    }
}

/// The start of a stream's content.
pub(crate) struct Inflated {
    pub(crate) content: Vec<u8>,
    /// Whether the stream has more.
    pub(crate) more: bool,
}

/// Inflates the DEFLATE stream at the start of `body`, but not further than to `length` bytes. What follows the stream
/// is not looked at.
///
/// # Errors
/// [`GunzipError::Corrupt`] and [`GunzipError::Truncated`], where the stream fails before that length.
pub(crate) fn inflate_start(body: &[u8], length: usize) -> Result<Inflated, GunzipError> {
    let room = length.min(body.len().saturating_mul(MAX_RATIO));
    let mut content = vec![0; room.saturating_add(1)];
    let mut decompress = Decompress::new(false);
    // The whole output in one call, as in `inflate`.
    let result = decompress.decompress(body, &mut content, FlushDecompress::Finish);
    let produced = decompress.total_out() as usize;
    let more = produced > room;
    match result {
        _ if more => {}
        Ok(Status::StreamEnd) => {}
        Ok(_) => return Err(GunzipError::Truncated),
        Err(_) => return Err(GunzipError::Corrupt { produced }),
    }
    content.truncate(produced.min(room));
    Ok(Inflated { content, more })
}

#[cfg(test)]
mod tests;
