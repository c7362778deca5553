//! Reads and corrects the length and the CRC of a whole Arduino file, which `elf2bin.py` writes into it last.
//!
//! esp8266/Arduino `tools/elf2bin.py` writes two words, and `ESP.checkFlashCRC()` reads them on the device. They are
//! the first words of the application's first segment, at 0x1010. The first cores that had them put them at the end of
//! the boot loader's padding, at 0xFF8. Still older cores have program code or padding there.
//!
//! The application's checksum is older than the words. `elf2bin.py` writes it over the linked section, with zeros in
//! place of the words, and does not correct it. So esptool calls the application of every such file damaged. No device
//! checks it.

use crc::{CRC_32_MPEG_2, Crc, Table};
use serde::Serialize;

use super::Image;

/// Offset of the two words in the application's first segment.
const IN_APPLICATION: usize = 0x1010;
/// Offset of the two words in older files: the end of the padding behind the boot loader.
const IN_PADDING: usize = 0xFF8;
pub(super) const LEN: usize = 8;

/// It takes sixteen bytes at a time: a mebibyte takes about a millisecond.
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_MPEG_2);

/// The two words of a file that has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Words {
    /// Offset of the two words: 0x1010, or 0xFF8 in files of older cores.
    pub offset_bytes: usize,
    /// Length of the file as the build made it.
    #[serde(rename = "stored_length_bytes")]
    pub stored_length: u32,
    /// CRC-32 over that file with both words zero. It follows the length. Polynomial 04C11DB7, seed FFFFFFFF, neither
    /// reflected nor inverted.
    pub stored_crc32: u32,
    /// Whether they are right.
    #[serde(flatten)]
    pub state: WordsState,
}

/// The result of checking the two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "words", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WordsState {
    /// Both are right.
    Valid,
    /// Both are zero: the build left room for them, and nothing wrote them.
    Unfilled,
    /// The length is right and the CRC is wrong: a byte of the file has changed.
    CrcMismatch {
        /// The CRC of the file.
        computed: u32,
    },
    /// The CRC is right and the length is wrong.
    LengthMismatch {
        /// The length of the file.
        actual_bytes: usize,
    },
}

impl Words {
    /// Reads the words of a file whose application ends at `end`, and whose boot loader ends at `boot_end`. Returns
    /// `None` if neither word is right and they are not zero. A build of an older core has other bytes there, and
    /// nothing tells those from two wrong words.
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

/// Returns the words in a segment's data, if the image has its first segment where an Arduino build has it.
pub(super) fn in_data(image_offset: usize, data: &[u8]) -> &[u8] {
    let is_application = image_offset == super::APPLICATION_OFFSET;
    data.first_chunk::<LEN>().filter(|_| is_application).map_or(&[], |words| &words[..])
}

fn has_room(application: &Image) -> bool {
    let fits = |size| usize::try_from(size).is_ok_and(|size| size >= LEN);
    let first = application.segments.first();
    first.is_some_and(|first| first.offset_bytes == IN_APPLICATION && fits(first.size_bytes))
}

/// Returns the CRC of a file as if its words were zero.
fn crc(file: &[u8], offset: usize) -> Option<u32> {
    let mut digest = CRC.digest();
    digest.update(file.get(..offset)?);
    digest.update(&[0; LEN]);
    digest.update(file.get(offset + LEN..)?);
    Some(digest.finalize())
}

/// Writes the CRC again after a change. The file ends where the application does.
pub(super) fn update_crc(file: &mut [u8], words: &Words) {
    let at = words.offset_bytes;
    if let (WordsState::Valid, Some(crc)) = (words.state, crc(file, at))
        && let Some(word) = file.get_mut(at + 4..at + LEN)
    {
        word.copy_from_slice(&crc.to_le_bytes());
    }
}
