//! Reads the digits of base64 and of hexadecimal numbers as they stand in texts, and what joins their pieces.

use crate::format::image::TextEncoding;

/// Number of bytes in the blocks that are looked at as a whole.
pub(super) const BLOCK: usize = 32;
/// Fewest digits of a key: Ed25519 has 64 in base64, and so it fills at least one block.
pub(super) const SHORTEST: usize = 2 * BLOCK;

/// The digits of a way to write bytes as text.
pub(super) struct Alphabet {
    pub(super) encoding: TextEncoding,
    /// The bit of this alphabet among the kinds of a block.
    pub(super) kind: u8,
    /// Bits of a digit.
    pub(super) bits: usize,
    /// Digits that make a whole number of bytes.
    pub(super) group: usize,
    classes: &'static [Class; 256],
    escapes: fn(&[u8], usize) -> (Step, usize),
}

/// What one byte of text is: the value of a digit, or one of the numbers that follow.
type Class = u8;
/// It stands between the pieces of a text.
const JOINT: Class = 64;
/// The bytes around it decide.
const DEPENDS: Class = 65;
const END: Class = 66;

/// What stands at a place of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A digit of this value.
    Digit(u8),
    /// Something between the pieces of a text.
    Joint,
    /// Something that is in no such text.
    End,
}

/// Base64 (RFC 4648, 4 and 5), in lines and in strings of C, JSON and JavaScript.
pub(super) static BASE64: Alphabet = Alphabet {
    encoding: TextEncoding::Base64,
    kind: 1,
    bits: 6,
    group: 4,
    classes: &BASE64_CLASSES,
    escapes: base64_escape,
};

/// Hexadecimal digits in one text or as a list of bytes: `30 82`, `30:82`, `30-82`, `0x30, 0x82`, `\x30\x82`.
pub(super) static HEX: Alphabet = Alphabet {
    encoding: TextEncoding::Hex,
    kind: 2,
    bits: 4,
    group: 2,
    classes: &HEX_CLASSES,
    escapes: hex_escape,
};

static BASE64_CLASSES: [Class; 256] =
    classes(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", b"+\\");
static HEX_CLASSES: [Class; 256] = classes(b"0123456789abcdef", b"0\\xXnrt");

/// What joins lines, strings and numbers: white space, quotation marks, commas, and the zero byte behind a string.
const JOINTS: &[u8] = b" \t\r\n\"'`,\0";
/// What joins numbers alone.
const HEX_JOINTS: &[u8] = b":;-";

const fn classes(digits: &[u8], depends: &[u8]) -> [Class; 256] {
    let mut classes = [END; 256];
    let mut at = 0;
    while at < digits.len() {
        classes[digits[at] as usize] = at as u8;
        at += 1;
    }
    let mut at = 0;
    while at < JOINTS.len() {
        classes[JOINTS[at] as usize] = JOINT;
        at += 1;
    }
    let mut at = 0;
    if digits.len() == 16 {
        while at < HEX_JOINTS.len() {
            classes[HEX_JOINTS[at] as usize] = JOINT;
            at += 1;
        }
        let mut letter = b'a';
        while letter <= b'f' {
            classes[letter.to_ascii_uppercase() as usize] = classes[letter as usize];
            letter += 1;
        }
    } else {
        // Base64 for URLs.
        classes[b'-' as usize] = 62;
        classes[b'_' as usize] = 63;
    }
    let mut at = 0;
    while at < depends.len() {
        classes[depends[at] as usize] = DEPENDS;
        at += 1;
    }
    classes
}

impl Alphabet {
    /// Returns where the text begins that goes on in the block at `at`: at `from` or later, and at most a block before.
    /// Returns nothing for a text that is too short for a key.
    pub(super) fn start_of_text(&self, plain: &[u8], at: usize, from: usize) -> Option<usize> {
        let is_text = |byte: &u8| self.classes[usize::from(*byte)] != END;
        let before = plain[from.max(at.saturating_sub(BLOCK))..at].iter().rev();
        let start = at - before.take_while(|byte| is_text(byte)).count();
        let behind = plain.get(at + BLOCK..start + SHORTEST)?;
        behind.iter().all(is_text).then_some(start)
    }

    /// Returns the offset of a digit in a text, by its number.
    pub(super) fn offset_of(&self, plain: &[u8], start: usize, digit: usize) -> Option<usize> {
        let mut at = start;
        let mut left = digit;
        while at < plain.len() {
            let (step, length) = self.step(plain, at);
            match step {
                Step::Digit(_) if left == 0 => return Some(at),
                Step::Digit(_) => left -= 1,
                Step::Joint => {}
                Step::End => break,
            }
            at += length;
        }
        None
    }

    /// Reads what stands at an offset of the text, and returns its length in bytes.
    #[inline]
    pub(super) fn step(&self, text: &[u8], at: usize) -> (Step, usize) {
        match self.classes[usize::from(text[at])] {
            value if value < JOINT => (Step::Digit(value), 1),
            JOINT => (Step::Joint, 1),
            DEPENDS => (self.escapes)(text, at),
            _ => (Step::End, 1),
        }
    }

    /// Decodes digits from the start of a group. Bits that make no whole byte are left out.
    pub(super) fn decode(&self, digits: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (mut held, mut bits) = (0u32, 0);
        for digit in digits {
            held = held << self.bits | u32::from(*digit);
            bits += self.bits;
            if bits >= 8 {
                bits -= 8;
                bytes.push((held >> bits) as u8);
            }
        }
        bytes
    }
}

/// A plus sign, or a backslash with what it escapes.
fn base64_escape(text: &[u8], at: usize) -> (Step, usize) {
    const PLUS: Step = Step::Digit(62);
    if text[at] == b'+' {
        // JavaScript and Java join strings with it. Between zeros it is a character of UTF-16.
        let is_outside = |byte: Option<&u8>| byte.is_none_or(|byte| *byte != 0 && JOINTS.contains(byte));
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        return match is_outside(before) && is_outside(text.get(at + 1)) {
            true => (Step::Joint, 1),
            false => (PLUS, 1),
        };
    }
    match text[at + 1..] {
        // JSON writes every character like this, and some writers do so with a plus sign and a slash.
        [b'u', b'0', b'0', high, low, ..] => match (value(high), value(low)) {
            (Some(2), Some(0xB)) => (PLUS, 6),
            (Some(2), Some(0xF)) => (Step::Digit(63), 6),
            _ => (Step::End, 1),
        },
        [b'n' | b'r' | b't' | b'0', ..] => (Step::Joint, 2),
        _ => (Step::Joint, 1),
    }
}

/// A zero, which may begin the prefix of a number, or a backslash with what it escapes. The letter of a prefix or of an
/// escape means nothing without what stands before it.
fn hex_escape(text: &[u8], at: usize) -> (Step, usize) {
    if !matches!(text[at], b'0' | b'\\') {
        return (Step::End, 1);
    }
    match text[at + 1..] {
        [b'x' | b'X', first, ref rest @ ..] if value(first).is_some() => {
            // 0x7 is one byte, as 0x07 is.
            let is_alone = rest.first().is_none_or(|second| value(*second).is_none());
            (if is_alone { Step::Digit(0) } else { Step::Joint }, 2)
        }
        _ if text[at] == b'0' => (Step::Digit(0), 1),
        [b'n' | b'r' | b't', ..] => (Step::Joint, 2),
        _ => (Step::Joint, 1),
    }
}

fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Returns the kinds of text that a block is: the [`Alphabet::kind`] of each alphabet of which it has digits, and
/// otherwise only what joins them. Most blocks of a program are no text: they are zeros, or have a byte above 127.
#[inline]
pub(super) fn kinds_of(block: &[u8; BLOCK]) -> u8 {
    const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);
    let mut words = block.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes));
    if *block == [0; BLOCK] || words.any(|word| word & HIGHEST != 0) {
        return 0;
    }
    let mut kinds = BASE64.kind | HEX.kind;
    for byte in block {
        kinds &= KINDS[usize::from(*byte)];
        if kinds == 0 {
            return 0;
        }
    }
    /// Fewest digits. Few are there where a key is written as a list of numbers.
    const DIGITS: usize = BLOCK / 4;
    // Nearly all that is left and not less than the digit zero is a digit.
    if block.iter().filter(|byte| **byte >= b'0').count() >= DIGITS { kinds } else { 0 }
}

/// The kinds of text in which a byte can stand.
static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < kinds.len() {
        if BASE64_CLASSES[byte] != END {
            kinds[byte] |= BASE64.kind;
        }
        if HEX_CLASSES[byte] != END {
            kinds[byte] |= HEX.kind;
        }
        byte += 1;
    }
    kinds
};
