//! Reproducible gzip, as small as DEFLATE allows, and a strict reader.
//!
//! What is written is one gzip member (RFC 1952) that a boot loader inflates: no file name, no time, no
//! operating system, nothing behind the trailer. The same input gives the same bytes on every machine.

mod deflate;
pub mod lint;

use std::num::NonZero;
use std::str::FromStr;
use std::thread;

use libdeflater::{CompressionLvl, Compressor, crc32};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use self::deflate::deflate;

/// ID1, ID2 and CM = 8 (deflate): RFC 1952, section 2.3.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// ID, CM, FLG, MTIME, XFL, OS: RFC 1952, section 2.3.
const HEADER_LEN: usize = 10;
/// CRC32 and ISIZE: RFC 1952, section 2.3.
const TRAILER_LEN: usize = 8;
/// "Unknown" operating system: the bytes must not tell where they were made. RFC 1952, section 2.3.1.
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

/// No DEFLATE stream inflates to more than this many times its own length: a match of 258 bytes takes two
/// bits at least (one for the length, one for the distance), so a byte of input holds four of them.
const MAX_RATIO: usize = 1032;

/// More threads would each hold tables of their own for little gain. The bytes do not depend on the number.
const MAX_THREADS: NonZero<usize> = NonZero::new(4).unwrap();

/// How much time compression may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// For a development loop: milliseconds.
    Fast,
    /// As small as a near-optimal parse gets in about the time of `gzip -9`, twice that at most.
    #[default]
    Default,
    /// For a release: smaller still, at many times the cost.
    Max,
}

/// The name given is none of `fast`, `default` and `max`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an effort: expected `fast`, `default` or `max`")]
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

/// Why nothing was compressed.
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

/// Why a gzip file was refused. The order of the variants is the order of the checks.
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
    /// The header carries a CRC16 of itself (FHCRC) that is wrong.
    #[error("the gzip header says its CRC16 is {stated:#06x}, it is {actual:#06x}")]
    HeaderCrc {
        /// What the header says.
        stated: u16,
        /// What its bytes give.
        actual: u16,
    },
    /// The compressed data are not a DEFLATE stream.
    #[error("the compressed data are corrupt after {produced} bytes of output")]
    Corrupt {
        /// Bytes that could be inflated.
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
    /// Something follows the trailer: another member, or foreign bytes. A device takes its length from the
    /// last four bytes of the file and would go wrong.
    #[error("{len} bytes follow the end of the gzip member")]
    Trailing {
        /// How many.
        len: usize,
    },
    /// CRC32 of the content differs from the trailer's.
    #[error("the gzip trailer says the CRC32 is {stated:#010x}, it is {actual:#010x}")]
    Crc {
        /// What the trailer says.
        stated: u32,
        /// What the content gives.
        actual: u32,
    },
    /// The content's length differs from the trailer's ISIZE, which is what a device believes.
    #[error("the gzip trailer says the content has {stated} bytes, it has {actual}")]
    Size {
        /// What the trailer says.
        stated: u32,
        /// What was inflated.
        actual: usize,
    },
}

/// Compresses `data` into one gzip member whose total length is a multiple of four.
///
/// Layout: ten bytes of header (MTIME 0, OS 255), a comment of zero to two dots and a NUL where padding is
/// needed, the DEFLATE stream, CRC32 and ISIZE (both little-endian). The padding is for the ESP8266 core up
/// to 3.1.2, which reads the signature behind the payload as words; it stands in the header since the last
/// four bytes must stay ISIZE.
///
/// The bytes depend on `data`, `effort` and this crate's version (with its locked dependencies) alone.
///
/// # Errors
/// [`CompressError::TooLong`] from 4 GiB on.
pub fn gzip(data: &[u8], effort: Effort) -> Result<Vec<u8>, CompressError> {
    gzip_with_extra(data, effort, &[])
}

/// The same with an extra field in the header, which inflaters skip: RFC 1952, section 2.3.1.1. Without subfields
/// there is no extra field.
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
        Effort::Fast => (libdeflate(data, CompressionLvl::default()), XFL_FAST),
        Effort::Default => (deflate(data, &deflate::DEFAULT, threads), XFL_MAX),
        Effort::Max => {
            // Two more candidates cost little next to the search: no input shall come out larger than with less
            // effort, or than what others call their best.
            let mut best = deflate(data, &deflate::MAX, threads);
            for other in [deflate(data, &deflate::DEFAULT, threads), libdeflate(data, CompressionLvl::best())]
            {
                if other.len() < best.len() {
                    best = other;
                }
            }
            (best, XFL_MAX)
        }
    };
    Ok(member(&stream, xfl, subfields, crc32(data), isize))
}

/// Whether `data` begins like a gzip member of a deflated file. Says nothing about the rest.
pub fn is_gzip(data: &[u8]) -> bool {
    data.starts_with(&MAGIC)
}

/// Inflates exactly one gzip member that fills `data`, to at most `limit` bytes.
///
/// Stricter than the devices, which look neither at the CRC32 nor for what follows. Memory is bounded by
/// `limit` and by what the compressed bytes can produce, never by what the trailer claims.
///
/// # Errors
/// See [`GunzipError`]: the first check that fails.
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

fn libdeflate(data: &[u8], level: CompressionLvl) -> Vec<u8> {
    let mut compressor = Compressor::new(level);
    let mut out = vec![0; compressor.deflate_compress_bound(data.len())];
    // The bound is documented to be enough for every input: the only error there is cannot occur.
    let len = compressor.deflate_compress(data, &mut out).unwrap_or_else(|_| unreachable!("bound too small"));
    out.truncate(len);
    out
}

/// Length of the member's header, all optional fields included.
pub(crate) fn header_len(data: &[u8]) -> Result<usize, GunzipError> {
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
        let (stated, tail) = rest.split_first_chunk::<2>().ok_or(GunzipError::HeaderTruncated)?;
        let stated = u16::from_le_bytes(*stated);
        // The CRC16 is the lower half of the CRC32 of all bytes before it: RFC 1952, section 2.3.1.
        let actual = (crc32(&data[..data.len() - rest.len()]) & 0xffff) as u16;
        if stated != actual {
            return Err(GunzipError::HeaderCrc { stated, actual });
        }
        rest = tail;
    }
    Ok(data.len() - rest.len())
}

/// Inflates the DEFLATE stream at the start of `body`; also tells how many bytes it took.
fn inflate(body: &[u8], limit: usize) -> Result<(Vec<u8>, usize), GunzipError> {
    // ISIZE is only a guess at what to reserve: it is checked by the caller, and here bounded by what the
    // input can produce. One byte more than it says lets a right one be confirmed in one step.
    let stated = body.last_chunk::<4>().map_or(0, |len| u32::from_le_bytes(*len) as usize);
    let cap = limit.min(body.len().saturating_mul(MAX_RATIO));
    let mut out = vec![0; stated.min(cap)];
    // Boxed: its tables take about 10 KiB.
    let mut state = Box::<DecompressorOxide>::default();
    let (mut consumed, mut produced) = (0, 0);
    loop {
        // The whole output stands in one buffer, so a distance that points before its start is an error.
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, read, written) = decompress(&mut state, &body[consumed..], &mut out, produced, flags);
        consumed += read;
        produced += written;
        match status {
            TINFLStatus::Done => {
                out.truncate(produced);
                return Ok((out, consumed));
            }
            TINFLStatus::HasMoreOutput if out.len() < cap => {
                out.resize(out.len().saturating_mul(2).clamp(4096, cap.max(4096)).min(cap), 0);
            }
            TINFLStatus::HasMoreOutput => return Err(GunzipError::TooLong { limit }),
            TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => {
                return Err(GunzipError::Truncated);
            }
            _ => return Err(GunzipError::Corrupt { produced }),
        }
    }
}

#[cfg(test)]
mod tests;
