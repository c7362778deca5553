//! Finds private keys that stand in an image as text: base64 or hexadecimal digits, without the labels of PEM.
//!
//! A web page, a script, a JSON file or a list of numbers may hold a key like that. The digits may be in pieces, as the
//! strings of a program are, and other text may stand directly before them.
//!
//! The search takes time in proportion to the image, and a fixed amount of memory:
//!
//! 1. A text that can hold a key fills a block with digits and with what joins them. Most blocks of a program have a byte
//!    of another kind, which is seen quickly.
//! 2. [`Digits`] collects the digits around such blocks, up to [`Digits::MOST`].
//! 3. A needle tells where a key can be. Every private key in DER has the version 0 or 1, or the identifier of a
//!    passphrase's algorithm; a PEM file in base64 has its first label. The needle's place also tells where the groups of
//!    digits begin that make whole bytes.
//! 4. Only a piece with a needle is decoded, once for each such beginning, and the bytes are searched like any others.

mod digits;

use self::digits::{Alphabet, BASE64, BLOCK, HEX, SHORTEST, Step, kinds_of};
use super::der;
use super::pem::{self, Block};
use super::private::Private;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// Returns the first private key that stands in an image as text, by the offset of its first digit.
pub(super) fn private_key(plain: &[u8]) -> Option<Private> {
    let mut texts = [Digits::of(&BASE64), Digits::of(&HEX)];
    let mut first: Option<Private> = None;
    let sooner = |one: Option<Private>, other: Option<Private>| {
        one.into_iter().chain(other).min_by_key(|private| private.offset)
    };
    for (index, block) in plain.as_chunks::<BLOCK>().0.iter().enumerate() {
        let kinds = kinds_of(block);
        if kinds == 0 {
            continue;
        }
        let at = index * BLOCK;
        for text in texts.iter_mut().filter(|text| text.alphabet.kind & kinds != 0 && text.read <= at) {
            first = sooner(first, text.read_around(plain, at));
        }
    }
    texts.iter_mut().fold(first, |first, text| sooner(first, text.search(plain)))
}

/// The digits of an alphabet, from one place of an image after another.
struct Digits {
    alphabet: &'static Alphabet,
    /// Their values, and [`GAP`] behind each piece.
    values: Vec<u8>,
    pieces: Vec<Piece>,
    /// The image has been read up to this offset.
    read: usize,
}

/// Digits that follow one another, without what joins them.
struct Piece {
    /// The index of its first value.
    first: usize,
    /// The offset in the image at which it begins.
    start: usize,
    /// Digits before the first value, which are not held any more.
    gone: usize,
}

/// Stands between two pieces, and is no digit.
const GAP: u8 = u8::MAX;

impl Digits {
    /// Most digits that are held at once.
    const MOST: usize = 32 << 10;
    /// Digits that the next part of a longer piece begins with. A key of 16,384 bits is recognised by fewer.
    const OVERLAP: usize = 8 << 10;

    fn of(alphabet: &'static Alphabet) -> Self {
        Self { alphabet, values: Vec::new(), pieces: Vec::new(), read: 0 }
    }

    /// Reads the text around a block, which is not read yet. Returns a key if it had to search.
    fn read_around(&mut self, plain: &[u8], block: usize) -> Option<Private> {
        let mut at = self.alphabet.start_of_text(plain, block, self.read)?;
        let mut first = None;
        // A piece may end in the block: at a backslash, for example.
        while at < block + BLOCK {
            let found;
            (at, found) = self.read_piece(plain, at);
            first = first.or(found);
        }
        self.read = at;
        first
    }

    /// Reads digits and what joins them. Returns where the piece ends, and a key if it had to search.
    fn read_piece(&mut self, plain: &[u8], start: usize) -> (usize, Option<Private>) {
        /// Most bytes between two digits: the padding of an image is zeros.
        const MOST_JOINTS: usize = 4 * BLOCK;
        self.pieces.push(Piece { first: self.values.len(), start, gone: 0 });
        let (mut at, mut joints, mut found) = (start, 0, None);
        while at < plain.len() && joints <= MOST_JOINTS {
            let (step, length) = self.alphabet.step(plain, at);
            at += length;
            match step {
                Step::Digit(value) => {
                    self.values.push(value);
                    joints = 0;
                    if self.values.len() >= Self::MOST {
                        found = found.or_else(|| self.search(plain));
                        self.keep_the_end();
                    }
                }
                Step::Joint => joints += 1,
                Step::End => break,
            }
        }
        match self.pieces.pop_if(|piece| self.values.len() - piece.first < SHORTEST) {
            Some(piece) => self.values.truncate(piece.first),
            None => self.values.push(GAP),
        }
        (at, found)
    }

    /// Forgets everything but the end of the last piece.
    fn keep_the_end(&mut self) {
        let Some(Piece { first, start, gone }) = self.pieces.pop() else { return };
        let kept = first.max(self.values.len() - Self::OVERLAP);
        self.values.drain(..kept);
        self.pieces.clear();
        self.pieces.push(Piece { first: 0, start, gone: gone + kept - first });
    }

    /// Returns the first private key among the bytes for which the digits stand.
    fn search(&self, plain: &[u8]) -> Option<Private> {
        let &Alphabet { bits, group, encoding, .. } = self.alphabet;
        // Pieces with a needle, and what the index of a group's first digit leaves when it is divided by the group.
        let mut begins = Vec::new();
        for needle in NEEDLES.iter().filter(|needle| needle.bits == bits) {
            for hit in needle.finder.find_iter(&self.values) {
                let begin = (self.piece_at(hit), (hit + group - needle.place) % group);
                if begins.last() != Some(&begin) {
                    begins.push(begin);
                }
            }
        }
        begins.sort_unstable();
        begins.dedup();
        let found = begins.iter().filter_map(|&(piece, rest)| {
            let Piece { first, start, gone } = *self.pieces.get(piece)?;
            let begin = first + (rest + group - first % group) % group;
            let values = self.values.get(begin..)?.split(|value| *value == GAP).next()?;
            let (what, offset) = in_bytes(&self.alphabet.decode(values))?;
            let digit = gone + begin - first + offset * 8 / bits;
            let offset = self.alphabet.offset_of(plain, start, digit)?;
            Some(Private { what, offset, encoding: Some(encoding) })
        });
        found.min_by_key(|private| private.offset)
    }

    /// The piece that holds the value at an index.
    fn piece_at(&self, index: usize) -> usize {
        self.pieces.partition_point(|piece| piece.first <= index).saturating_sub(1)
    }
}

/// Returns the first private key among bytes, and its offset there.
fn in_bytes(bytes: &[u8]) -> Option<(&'static str, usize)> {
    let pem = pem::blocks(bytes).filter_map(|(at, block)| match block {
        Block::Private(what) => Some((what, at)),
        Block::Public(_) => None,
    });
    let der = der::private_keys(bytes).map(|private| (private.what, private.offset));
    der.chain(pem).min_by_key(|(_, offset)| *offset)
}

/// Bits that every private key has, as digits.
struct Needle {
    /// Bits of a digit.
    bits: usize,
    finder: Finder<'static>,
    /// Place of the needle's first digit in its group.
    place: usize,
}

static NEEDLES: LazyLock<Vec<Needle>> = LazyLock::new(|| {
    /// INTEGER, 1 byte, 0 or 1: their seven upper bits are the same. The bits of a needle are counted.
    const VERSION: (&[u8], usize) = (&[0x02, 0x01, 0x00], 23);
    const LOCKED: (&[u8], usize) = (der::PKCS, 8 * der::PKCS.len());
    const LABEL: (&[u8], usize) = (b"-----BEGIN", 80);
    let mut needles = Vec::new();
    for (bytes, length) in [VERSION, LOCKED, LABEL] {
        // The needle is the first, second or third byte of a group of base64, and always the first one of hex.
        needles.extend((0..3).map(|byte| Needle::of(bytes, length, byte, BASE64.bits)));
        needles.push(Needle::of(bytes, length, 0, HEX.bits));
    }
    needles
});

impl Needle {
    /// The whole digits in the first `length` bits of `bytes`, which begin at this byte of a group.
    fn of(bytes: &[u8], length: usize, byte: usize, bits: usize) -> Self {
        let place = (8 * byte).div_ceil(bits);
        let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
        let first = place * bits - 8 * byte;
        let starts = (first..).step_by(bits).take_while(|start| start + bits <= length);
        let digits: Vec<u8> =
            starts.map(|start| (start..start + bits).fold(0, |digit, at| digit << 1 | bit(at))).collect();
        Self { bits, finder: Finder::new(&digits).into_owned(), place }
    }
}

#[cfg(test)]
mod tests;
