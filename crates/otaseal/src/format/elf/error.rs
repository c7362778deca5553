use std::fmt;

use super::MAX_FLAT_LEN;

/// A piece of the image and its load addresses, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElfPlace {
    /// The section's name, or `segment N` if there is no section table.
    pub name: String,
    /// Load address of the first byte.
    pub start: u64,
    /// Load address after the last byte.
    pub end: u64,
}

impl fmt::Display for ElfPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#010x}..{:#010x})", self.name, self.start, self.end)
    }
}

/// Why an ELF file could not be made into a flat image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// The file does not begin with the ELF magic, or ends within its header.
    #[error("not an ELF file")]
    NotElf,
    /// The class byte means neither a 32-bit nor a 64-bit ELF.
    #[error("ELF class {0} is neither 32-bit nor 64-bit")]
    UnknownClass(u8),
    /// The data encoding is not little-endian.
    #[error("the ELF is big-endian (data encoding {0}), but the devices are little-endian")]
    BigEndian(u8),
    /// An ESP8266 or ESP32 ELF: its flash image is not a flat binary.
    #[error("the ELF is for Xtensa (ESP8266, ESP32): its flash image is not a flat copy of its sections")]
    Xtensa,
    /// A relocatable, shared, position-independent or core file: it has no fixed load addresses.
    #[error("the ELF is {0}, not a linked firmware with fixed addresses")]
    NotExecutable(&'static str),
    /// A header or table is damaged, or lies outside the file.
    #[error("the ELF is damaged or cut off: {what}")]
    Malformed {
        /// The part that could not be read.
        what: &'static str,
        /// The reader's words.
        why: String,
    },
    /// A segment's bytes end beyond the file's end.
    #[error("the ELF is cut off: {name} ends at file offset {end}, but the file has {file_len} bytes")]
    Truncated {
        /// The segment.
        name: String,
        /// File offset after the segment's last byte.
        end: u64,
        /// Length of the file in bytes.
        file_len: u64,
    },
    /// More segments or sections than any linker makes.
    #[error("the ELF has {count} {what}, but otaseal reads at most {limit}")]
    TooMany {
        /// `loadable segments` or `sections`.
        what: &'static str,
        /// Number of segments or sections in the file.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// No PT_LOAD segment has bytes in the file, so there is nothing to load.
    #[error("the ELF has no loadable segment with contents")]
    NothingToLoad,
    /// A section with contents for memory lies in no loadable segment, so that its load address is unknown.
    #[error("section {name} has contents for memory at {address:#010x}, but no segment loads it")]
    Unloaded {
        /// The section.
        name: String,
        /// Its run-time address.
        address: u64,
    },
    /// An address range wraps around the end of the address space.
    #[error("{name} ends beyond the address space")]
    AddressOverflow {
        /// The section or segment.
        name: String,
    },
    /// Two pieces have the same load address.
    #[error("{first} and {second} overlap")]
    Overlap {
        /// The piece that starts first.
        first: ElfPlace,
        /// The piece that starts inside it.
        second: ElfPlace,
    },
    /// Two neighbours are further apart than the limit.
    #[error("a gap of {gap} bytes between {before} and {after}; the limit is {limit}")]
    GapTooLarge {
        /// The piece before the gap.
        before: ElfPlace,
        /// The piece after the gap.
        after: ElfPlace,
        /// Size of the gap in bytes.
        gap: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// The image would be larger than any flash ([`MAX_FLAT_LEN`](super::MAX_FLAT_LEN)).
    #[error("the flat image from {first} to {last} would be {len} bytes; the limit is {MAX_FLAT_LEN}")]
    TooLarge {
        /// The piece at the lowest address.
        first: ElfPlace,
        /// The piece at the highest address.
        last: ElfPlace,
        /// Size of the image in bytes.
        len: u64,
    },
}
