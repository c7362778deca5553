//! Finds PEM blocks in a text, and decodes them as OpenSSL 3 does.
//!
//! RFC 7468 wants lines of 64 characters. Files in the field have one long line, lines of 76 characters, or blanks at
//! the line ends, because editors, chat programs and secret stores rewrote them. OpenSSL reads all of these
//! (`crypto/pem/pem_lib.c`), and so does otaseal. A block that lost every line end is damaged for both.

use super::DamagedPem;
use rsa::pkcs8::der::pem;
use zeroize::Zeroizing;

/// A PEM block.
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    /// The text from `-----BEGIN` to the end of the `-----END …-----` line.
    pub(super) text: &'a [u8],
    /// The bytes behind the block.
    pub(super) after: &'a [u8],
}

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";

/// Returns the next block, wherever it begins. It passes over texts that only mention the first line of a block.
pub(super) fn next_block(bytes: &[u8]) -> Result<Option<Block<'_>>, DamagedPem> {
    let mut begins = memchr::memmem::find_iter(bytes, BEGIN);
    let Some((start, label)) = begins.find_map(|start| Some((start, label(bytes, start)?))) else {
        return Ok(None);
    };
    let (text, end) = (&bytes[start..], end_line(label));
    let length = memchr::memmem::find(text, end.as_bytes()).ok_or(DamagedPem)? + end.len();
    Ok(Some(Block { label, text: &text[..length], after: &text[length..] }))
}

/// Returns whether a file has anything that looks like PEM.
pub(super) fn mentions_a_block(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, BEGIN).is_some()
}

/// Returns the label of a block that begins here. In a sentence, words stand before and behind it. OpenSSL passes over
/// such lines too.
fn label(bytes: &[u8], start: usize) -> Option<&str> {
    let text = &bytes[start + BEGIN.len()..];
    let line = text.split(|byte| *byte == b'\n').next()?;
    let label_end = memchr::memmem::find(line, DASHES)?;
    let begins_a_line = start == 0 || bytes[start - 1] == b'\n';
    if !begins_a_line && !line[label_end + DASHES.len()..].trim_ascii().is_empty() {
        return None;
    }
    std::str::from_utf8(&line[..label_end]).ok().filter(|label| label.len() <= 64 && !label.contains('\r'))
}

fn end_line(label: &str) -> String {
    format!("-----END {label}-----")
}

impl<'a> Block<'a> {
    /// Returns the lines between the first and the last one, without blanks at their ends.
    pub(super) fn lines(&self) -> Result<impl Iterator<Item = &'a str>, DamagedPem> {
        let text = std::str::from_utf8(self.text).map_err(|_| DamagedPem)?;
        let body = text.strip_suffix(&end_line(self.label)).ok_or(DamagedPem)?;
        let (first, body) = body.split_once('\n').ok_or(DamagedPem)?;
        // The first line ends in its dashes, and the last one begins a line.
        let whole = first.trim_end().len() == BEGIN.len() + self.label.len() + DASHES.len();
        if !whole || !(body.is_empty() || body.ends_with('\n')) {
            return Err(DamagedPem);
        }
        Ok(body.lines().map(str::trim_end))
    }

    /// Decodes the base64 of some lines of the block. The result is wiped on drop.
    pub(super) fn decode(
        &self,
        lines: impl Iterator<Item = &'a str>,
    ) -> Result<Zeroizing<Vec<u8>>, DamagedPem> {
        const LINE: usize = 64;
        let end = end_line(self.label);
        // The text never grows beyond its capacity, so that it is never moved without being wiped.
        let room = self.text.len() + self.text.len() / LINE + 2 * end.len() + LINE;
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str("-----BEGIN ");
        text.push_str(self.label);
        text.push_str("-----\n");
        let mut column = 0;
        for character in lines.flat_map(str::chars).filter(|character| !matches!(character, ' ' | '\t')) {
            if column == LINE {
                text.push('\n');
                column = 0;
            }
            text.push(character);
            column += 1;
        }
        text.push('\n');
        text.push_str(&end);
        pem::decode_vec(text.as_bytes()).map(|(_, der)| Zeroizing::new(der)).map_err(|_| DamagedPem)
    }
}
