//! The answer of the device.
//!
//! Sources: esp8266/Arduino `libraries/ESP8266HTTPUpdateServer/src/ESP8266HTTPUpdateServer-impl.h`; arendst/Tasmota
//! `tasmota/tasmota_xdrv_driver/xdrv_01_9_webserver.ino` (`HandleUploadDone`), commit `02504a89`.

use super::Form;

/// Most bytes of an answer that are read. A page of Tasmota has about 5,000.
pub const MAX_ANSWER: usize = 64 * 1024;

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// More bytes are needed.
    More,
    /// The device took the update.
    Took,
    /// Its updater refuses. These are its words.
    Refused(Vec<u8>),
    /// It answers with another status than 200.
    Status(u16),
    /// A page that says neither. This is its beginning.
    Other(Vec<u8>),
    /// This is no HTTP, or too long.
    Nonsense,
}

/// Reads the answer to a form. `closed` says that no more bytes come. It does not wait for the end of a page that says
/// already that the update was taken: the device restarts right after it.
pub fn meaning(form: Form, bytes: &[u8], closed: bool) -> Meaning {
    let mut bytes = &bytes[..bytes.len().min(MAX_ANSWER)];
    let closed = closed || bytes.len() == MAX_ANSWER;
    let head = loop {
        match head(bytes) {
            // What follows is no answer yet.
            Some(Ok(head)) if (100..200).contains(&head.status) => bytes = &bytes[head.end..],
            Some(Ok(head)) => break head,
            Some(Err(NoHttp)) => return Meaning::Nonsense,
            None if closed => return Meaning::Nonsense,
            None => return Meaning::More,
        }
    };
    let (page, is_whole) = body(&bytes[head.end..], &head);
    let is_whole = is_whole || closed;
    if head.status != 200 {
        return Meaning::Status(head.status);
    }
    let found = match form {
        Form::UpdateServer => update_server(&page, is_whole),
        Form::Tasmota => tasmota(&page, is_whole),
    };
    match found {
        Meaning::More if is_whole => Meaning::Other(page),
        found => found,
    }
}

/// Whether an answer with this status is complete, whatever it says.
pub(crate) fn status(bytes: &[u8], closed: bool) -> Option<u16> {
    match meaning(Form::UpdateServer, bytes, closed) {
        Meaning::More => None,
        Meaning::Status(status) => Some(status),
        Meaning::Took | Meaning::Refused(_) | Meaning::Other(_) => Some(200),
        Meaning::Nonsense => Some(0),
    }
}

/// The head of an answer.
struct Head {
    status: u16,
    length: Option<usize>,
    is_chunked: bool,
    /// Where the page begins.
    end: usize,
}

/// The bytes are no HTTP.
struct NoHttp;

/// Reads the head, if it is whole.
fn head(bytes: &[u8]) -> Option<Result<Head, NoHttp>> {
    const VERSION: &[u8] = b"HTTP/1.";
    let begun = bytes.len().min(VERSION.len());
    if bytes[..begun] != VERSION[..begun] {
        return Some(Err(NoHttp));
    }
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().filter(|line| line.ends_with(b"\n"))?;
    let status = first.split(|byte| *byte == b' ').nth(1).and_then(|code| number(code.trim_ascii()));
    let Some(status) = status.and_then(|code| u16::try_from(code).ok()) else { return Some(Err(NoHttp)) };
    let mut head = Head { status, length: None, is_chunked: false, end: first.len() };
    for line in lines {
        head.end += line.len();
        if !line.ends_with(b"\n") {
            return None;
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return Some(Ok(head));
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line[..colon].trim_ascii_end(), line[colon + 1..].trim_ascii_start());
        if name.eq_ignore_ascii_case(b"Content-Length") {
            head.length = number(value);
        } else if name.eq_ignore_ascii_case(b"Transfer-Encoding") {
            head.is_chunked = value.eq_ignore_ascii_case(b"chunked");
        }
    }
    None
}

/// Digits alone.
fn number(digits: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The page so far, and whether it is whole.
fn body(bytes: &[u8], head: &Head) -> (Vec<u8>, bool) {
    if head.is_chunked {
        return unchunk(bytes);
    }
    match head.length {
        Some(length) if bytes.len() >= length => (bytes[..length].to_vec(), true),
        _ => (bytes.to_vec(), false),
    }
}

/// Tasmota sends its pages in chunks.
fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut page = Vec::new();
    loop {
        let Some(line) = bytes.iter().position(|byte| *byte == b'\n') else { return (page, false) };
        let size = std::str::from_utf8(&bytes[..line]).ok().and_then(|text| text.split(';').next());
        // What follows an impossible size cannot be read, so the page ends there.
        let Some(size) = size.and_then(|text| usize::from_str_radix(text.trim(), 16).ok()) else {
            return (page, true);
        };
        let rest = &bytes[line + 1..];
        let chunk = &rest[..rest.len().min(size)];
        page.extend(chunk);
        if size == 0 || chunk.len() < size {
            return (page, size == 0);
        }
        let Some(next) = rest.get(size..).and_then(|rest| rest.strip_prefix(b"\r\n")) else {
            return (page, false);
        };
        bytes = next;
    }
}

/// Only these words are success. Any other page has status 200 too.
fn update_server(page: &[u8], is_whole: bool) -> Meaning {
    if find(page, b"Update Success").is_some() {
        return Meaning::Took;
    }
    match find(page, b"Update error: ") {
        Some(at) if is_whole => Meaning::Refused(page[at..].trim_ascii().to_vec()),
        _ => Meaning::More,
    }
}

/// Tasmota speaks many languages, so the words say nothing. After the heading, a page of success has the box that
/// announces the restart, and a page of failure has the error.
fn tasmota(page: &[u8], is_whole: bool) -> Meaning {
    const HEADING: &[u8] = b"</font></b>";
    let Some(at) = find(page, HEADING) else { return Meaning::More };
    let mut rest = &page[at + HEADING.len()..];
    while let Some(after) = rest.strip_prefix(b"<br>").or_else(|| rest.strip_prefix(b"<br/>")) {
        rest = after;
    }
    if rest.starts_with(b"<div style=") {
        return Meaning::Took;
    }
    match find(rest, b"</div>") {
        Some(end) if !rest.starts_with(b"<") => Meaning::Refused(rest[..end].trim_ascii().to_vec()),
        _ if is_whole && !rest.is_empty() => Meaning::Other(page.to_vec()),
        _ => Meaning::More,
    }
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests;
