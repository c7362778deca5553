//! Computes SHA-256 and MD5 in one pass over the bytes.

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, Read};

/// Bytes read at a time. The number is large enough that the system calls cost little beside the hashing. It is small
/// enough that the bytes stay in the processor's cache between reading, hashing and writing.
pub(crate) const CHUNK: usize = 64 * 1024;

/// A SHA-256 digest. It is shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

/// An MD5 digest, shown as 32 lower-case hexadecimal digits. It identifies the firmware that a device runs
/// (`$fw/checksum`, `x-ESP8266-sketch-md5`). It protects nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Md5Digest(pub [u8; 16]);

macro_rules! hex_digest {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
hex_digest!(Sha256Digest);
hex_digest!(Md5Digest);

impl Md5Digest {
    /// Returns the MD5 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(md5::Md5::digest(bytes).into())
    }
}

impl std::str::FromStr for Md5Digest {
    type Err = &'static str;

    /// Reads 32 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        from_hex(text).map(Self).ok_or("expected the 32 hexadecimal digits of an MD5")
    }
}

impl std::str::FromStr for Sha256Digest {
    type Err = &'static str;

    /// Reads 64 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        from_hex(text).map(Self).ok_or("expected the 64 hexadecimal digits of a SHA-256")
    }
}

/// Reads exactly `2 * N` hexadecimal digits of either case.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

/// Returns the SHA-256 of bytes in memory.
pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest(Sha256::digest(bytes).into())
}

/// The size and both digests of a file or a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Digests {
    /// Size in bytes.
    pub size_bytes: u64,
    /// MD5, for identity only.
    pub md5: Md5Digest,
    /// SHA-256.
    pub sha256: Sha256Digest,
}

impl Digests {
    /// Computes them from bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Computes them from everything that a reader gives, in constant memory.
    ///
    /// # Errors
    /// Any error of the reader.
    pub fn of_reader(reader: &mut dyn Read) -> io::Result<Self> {
        let mut hasher = Hasher::default();
        each_chunk(reader, |chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        Ok(hasher.finish())
    }
}

/// Takes bytes in pieces and returns [`Digests`].
#[derive(Default)]
pub(crate) struct Hasher {
    size_bytes: u64,
    md5: Md5,
    sha256: Sha256,
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.size_bytes += bytes.len() as u64;
        self.md5.update(bytes);
        self.sha256.update(bytes);
    }

    pub(crate) fn finish(self) -> Digests {
        Digests {
            size_bytes: self.size_bytes,
            md5: Md5Digest(self.md5.finalize().into()),
            sha256: Sha256Digest(self.sha256.finalize().into()),
        }
    }
}

/// Reads to the end and hands out pieces of at most [`CHUNK`] bytes. Returns the number of bytes.
pub(crate) fn each_chunk(
    reader: &mut dyn Read,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                total += count as u64;
                take(&buffer[..count])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 1321 A.5 and FIPS 180-2 B.1: both have the digest of "abc".
    #[test]
    fn digests_match_the_standards() {
        let digests = Digests::of(b"abc");
        assert_eq!(digests.md5.to_string(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            digests.sha256.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digests.size_bytes, 3);
    }

    #[test]
    fn a_reader_and_a_buffer_give_the_same() {
        let bytes = vec![0x5A; CHUNK * 2 + 17];
        assert_eq!(Digests::of(&bytes), Digests::of_reader(&mut &bytes[..]).unwrap());
    }
}
