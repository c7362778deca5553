//! Tables of text: CSV as RFC 4180 describes it, and as spreadsheets write it.
//!
//! A table that goes out may be opened in a spreadsheet, which runs a text that begins like a formula. Such a text gets an
//! apostrophe in front. A table that comes in loses that apostrophe again, so that a table can go out and come back.

use std::io::{self, BufRead, Read};

/// Most bytes of a record. A record is a line, or some lines where a field has line breaks.
pub const MAX_RECORD: usize = 16 << 10;

/// Most fields of a record.
pub const MAX_FIELDS: usize = 64;

/// Characters with which a formula begins, also in their wide form.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Writes a field: in quotes, each quote doubled. A control character becomes `\u{…}`: a terminal would obey it, and a line
/// break could fake a line.
pub fn write_field(out: &mut String, text: &str) {
    out.push('"');
    // Behind apostrophes too: the first one of them goes when the table comes back.
    if text.trim_start_matches('\'').starts_with(FORMULA) {
        out.push('\'');
    }
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\"\""),
            _ if is_hidden(letter) => out.extend(letter.escape_unicode()),
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// Whether a character controls how a text is shown: control characters, separators of lines and paragraphs, and the marks
/// that turn the direction of writing (Unicode UAX #9).
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A record: its fields, and the line at which it begins, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line.
    pub line: u64,
    /// The fields.
    pub fields: Vec<String>,
}

/// Why a table cannot be read any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A record is damaged.
    #[error("line {line}: {what}")]
    Record {
        /// The line at which it begins, from 1.
        line: u64,
        /// The fault.
        what: &'static str,
    },
    /// The reader failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a table, record by record. Empty lines do not count. Fields are separated by the first comma, semicolon or tab of
/// the first line: spreadsheets write one of them, as the language of the system is.
#[derive(Debug)]
pub struct Table<R> {
    reader: R,
    line: u64,
    separator: Option<u8>,
}

impl<R: BufRead> Table<R> {
    /// Begins a table.
    pub fn new(reader: R) -> Self {
        Self { reader, line: 0, separator: None }
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    /// [`TableError`]. Do not go on then.
    pub fn next_record(&mut self) -> Result<Option<Record>, TableError> {
        loop {
            let line = self.line + 1;
            let Some(mut bytes) = self.bytes(line)? else { return Ok(None) };
            if line == 1 && bytes.starts_with(b"\xEF\xBB\xBF") {
                bytes.drain(..3);
            }
            if bytes.is_empty() {
                continue;
            }
            let separator = *self.separator.get_or_insert_with(|| separator(&bytes));
            let wrong = |what| TableError::Record { line, what };
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| wrong("it is not UTF-8 text: save the table as CSV in UTF-8"))?;
            let fields = fields(text, char::from(separator)).map_err(wrong)?;
            return Ok(Some(Record { line, fields }));
        }
    }

    /// The bytes of the next record, without its line break.
    fn bytes(&mut self, line: u64) -> Result<Option<Vec<u8>>, TableError> {
        let mut bytes = Vec::new();
        loop {
            let room = (MAX_RECORD + 1).saturating_sub(bytes.len()) as u64;
            let length = self.reader.by_ref().take(room).read_until(b'\n', &mut bytes)?;
            self.line += u64::from(length > 0);
            let is_open = bytes.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
            if bytes.len() > MAX_RECORD {
                let open = "a quote is not closed, or the record is longer than 16 KiB";
                let what = if is_open { open } else { "the record is longer than 16 KiB" };
                return Err(TableError::Record { line, what });
            }
            if length == 0 && is_open {
                return Err(TableError::Record { line, what: "a quote is not closed" });
            }
            if length == 0 && bytes.is_empty() {
                return Ok(None);
            }
            if length == 0 || !is_open {
                break;
            }
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Ok(Some(bytes))
    }
}

/// The first separator outside of quotes.
fn separator(bytes: &[u8]) -> u8 {
    let mut is_quoted = false;
    let outside = bytes.iter().filter(|byte| {
        is_quoted ^= **byte == b'"';
        !is_quoted
    });
    outside.copied().find(|byte| b",;\t".contains(byte)).unwrap_or(b',')
}

/// The fields of a record.
fn fields(text: &str, separator: char) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        if fields.len() >= MAX_FIELDS {
            return Err("it has more than 64 fields");
        }
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = rest.find(separator).unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                if field.contains('"') {
                    return Err("a quote stands in a field that does not begin with one");
                }
                (field.to_owned(), after)
            }
        };
        fields.push(plain(field));
        rest = match after.strip_prefix(separator) {
            Some(rest) => rest,
            None if after.is_empty() => return Ok(fields),
            None => return Err("something follows a closing quote"),
        };
    }
}

/// The field behind an opening quote, and what follows its closing one.
fn unquoted(mut rest: &str) -> Result<(String, &str), &'static str> {
    let mut field = String::new();
    loop {
        let (before, after) = rest.split_once('"').ok_or("a quote is not closed")?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Ok((field, after)),
        }
    }
}

/// Takes the apostrophe of [`write_field`] away.
fn plain(field: String) -> String {
    match field.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(FORMULA) => rest.to_owned(),
        _ => field,
    }
}

#[cfg(test)]
mod tests;
