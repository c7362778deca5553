//! The length and the CRC of a whole Arduino file, which `elf2bin.py` writes into it last.
//!
//! esp8266/Arduino `tools/elf2bin.py` fills two words, `ESP.checkFlashCRC()` reads them on the device. They are the
//! first of the application's first segment, at 0x1010; cores of the first releases that had them put them at the
//! end of the boot loader's padding, at 0xFF8. Still older cores have program code or padding there.
//!
//! The application's checksum is older than the words: `elf2bin.py` writes it over the section as it was linked,
//! with zeros in their place, and does not correct it. So esptool calls the application of every such file
//! damaged, and nothing on the device looks.

use crc::{CRC_32_MPEG_2, Crc, Table};
use serde::Serialize;

use super::Image;

/// Where the two words are in the application's first segment.
const IN_APPLICATION: usize = 0x1010;
/// Where they are in older files: the end of the padding behind the boot loader.
const IN_PADDING: usize = 0xFF8;
pub(super) const LEN: usize = 8;

/// Sixteen bytes at a time: a mebibyte takes about a millisecond.
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_MPEG_2);

/// The two words, where the file has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Words {
    /// Where the two words are: 0x1010, or 0xFF8 in files of older cores.
    pub offset_bytes: usize,
    /// Length of the file as the build made it.
    #[serde(rename = "stored_length_bytes")]
    pub stored_length: u32,
    /// CRC-32 over that file with both words zero, which follows the length: polynomial 04C11DB7, seed
    /// FFFFFFFF, neither reflected nor inverted.
    pub stored_crc32: u32,
    /// Whether they are right.
    #[serde(flatten)]
    pub state: WordsState,
}

/// What the two words are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "words", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WordsState {
    /// Both are right.
    Valid,
    /// Both are zero: room was left for them, and nothing wrote them.
    Unfilled,
    /// The length is right and the CRC is not: a byte of the file has changed.
    CrcMismatch {
        /// The CRC of the file as it is.
        computed: u32,
    },
    /// The CRC is right and the length is not.
    LengthMismatch {
        /// The length of the file as it is.
        actual_bytes: usize,
    },
}

impl Words {
    /// Reads the words of a file whose application ends at `end`, the boot loader at `boot_end`. `None` where
    /// neither is right and they are not zero: a build of an older core has something else there, and nothing
    /// tells that from two wrong words.
    pub(super) fn read(file: &[u8], boot_end: usize, application: &Image, end: usize) -> Option<Self> {
        let file = file.get(..end)?;
        let new = has_room(application).then(|| Self::read_at(file, IN_APPLICATION)).flatten();
        match new {
            Some(words) if words.state != WordsState::Unfilled => Some(words),
            _ => (boot_end <= IN_PADDING).then(|| Self::read_at(file, IN_PADDING)).flatten().or(new),
        }
    }

    fn read_at(file: &[u8], offset_bytes: usize) -> Option<Self> {
        let (length, rest) = file.get(offset_bytes..)?.split_first_chunk()?;
        let stored_length = u32::from_le_bytes(*length);
        let stored_crc32 = u32::from_le_bytes(*rest.first_chunk()?);
        let length_is_right = usize::try_from(stored_length).is_ok_and(|length| length == file.len());
        let computed = crc(file, offset_bytes)?;
        let state = match (length_is_right, stored_crc32 == computed) {
            (true, true) => WordsState::Valid,
            (true, false) => WordsState::CrcMismatch { computed },
            (false, true) => WordsState::LengthMismatch { actual_bytes: file.len() },
            (false, false) if stored_length == 0 && stored_crc32 == 0 => WordsState::Unfilled,
            (false, false) => return None,
        };
        Some(Self { offset_bytes, stored_length, stored_crc32, state })
    }
}

/// The words' place in a segment's data, where the image has its first segment as an Arduino build has it.
pub(super) fn in_data(image_offset: usize, data: &[u8]) -> &[u8] {
    let is_application = image_offset == super::APPLICATION_OFFSET;
    data.first_chunk::<LEN>().filter(|_| is_application).map_or(&[], |words| &words[..])
}

fn has_room(application: &Image) -> bool {
    let fits = |size| usize::try_from(size).is_ok_and(|size| size >= LEN);
    let first = application.segments.first();
    first.is_some_and(|first| first.offset_bytes == IN_APPLICATION && fits(first.size_bytes))
}

/// The CRC of a file as if its words were zero.
fn crc(file: &[u8], offset: usize) -> Option<u32> {
    let mut digest = CRC.digest();
    digest.update(file.get(..offset)?);
    digest.update(&[0; LEN]);
    digest.update(file.get(offset + LEN..)?);
    Some(digest.finalize())
}

/// Writes the CRC again after a change; the file ends where the application does.
pub(super) fn update_crc(file: &mut [u8], words: &Words) {
    let at = words.offset_bytes;
    if let (WordsState::Valid, Some(crc)) = (words.state, crc(file, at))
        && let Some(word) = file.get_mut(at + 4..at + LEN)
    {
        word.copy_from_slice(&crc.to_le_bytes());
    }
}
