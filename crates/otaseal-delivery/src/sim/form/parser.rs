//! `ESP8266WebServer::_parseRequest` and `_parseForm`, as simple as they are.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use super::Fault;

/// Bytes of a line that are kept. A real device fails when its memory is full.
const MAX_LINE: u64 = 8192;

/// Most headers that are read.
const MAX_HEADERS: usize = 64;

/// Most bytes of a file that are kept: more than any flash.
const MAX_FILE: usize = 32 << 20;

/// The head of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) boundary: String,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }
}

/// A file that came.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) field: String,
    pub(super) bytes: Vec<u8>,
}

/// A form that came.
#[derive(Debug, Clone)]
pub(super) struct Uploaded {
    pub(super) file: Option<Upload>,
    /// Whether its last boundary came too.
    pub(super) is_whole: bool,
}

type Stream = BufReader<TcpStream>;

/// `readStringUntil('\r')`, then `readStringUntil('\n')`. Nothing at the end of the connection.
async fn line(stream: &mut Stream) -> Option<String> {
    let mut bytes = Vec::new();
    (&mut *stream).take(MAX_LINE).read_until(b'\n', &mut bytes).await.ok()?;
    let text = bytes.strip_suffix(b"\n")?;
    Some(String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned())
}

pub(super) async fn read_head(stream: &mut Stream) -> Option<Head> {
    let first = line(stream).await?;
    let mut words = first.split(' ');
    let mut head = Head { method: words.next()?.into(), path: words.next()?.into(), ..Head::default() };
    for _ in 0..MAX_HEADERS {
        let line = line(stream).await?;
        // A line without a colon ends the head too.
        let Some((name, value)) = line.split_once(':') else { return Some(head) };
        let value = value.trim();
        if name.eq_ignore_ascii_case("Content-Type") && value.starts_with("multipart/") {
            head.boundary = value.split_once('=').map_or(value, |(_, after)| after).replace('"', "");
        }
        head.headers.push((name.into(), value.into()));
    }
    None
}

/// Reads a form. Nothing if it is none: the device then closes the connection.
pub(super) async fn read_form(stream: &mut Stream, boundary: &str, fault: Option<Fault>) -> Option<Uploaded> {
    let first = format!("--{boundary}");
    if boundary.is_empty() || line(stream).await? != first {
        return None;
    }
    let mut uploaded = Uploaded { file: None, is_whole: false };
    for _ in 0..MAX_HEADERS {
        let disposition = line(stream).await?;
        if !disposition.get(..19).is_some_and(|name| name.eq_ignore_ascii_case("Content-Disposition")) {
            continue;
        }
        let (field, is_file) = names(&disposition)?;
        // One header may follow. The blank line after it is skipped. Any other line counts as the blank one, and what
        // follows it is the file.
        let next = line(stream).await?;
        if next.get(..12).is_some_and(|name| name.eq_ignore_ascii_case("Content-Type")) {
            line(stream).await?;
        }
        if !is_file {
            if value(stream, &first).await? == format!("{first}--") {
                uploaded.is_whole = true;
                return Some(uploaded);
            }
            continue;
        }
        let bytes = file(stream, format!("\r\n{first}").as_bytes(), fault).await?;
        uploaded.file = Some(Upload { field, bytes });
        let Some(end) = line(stream).await else { return Some(uploaded) };
        if end == "--" {
            uploaded.is_whole = true;
            return Some(uploaded);
        }
    }
    None
}

/// Skips the value of a field that is no file. Returns the boundary after it.
async fn value(stream: &mut Stream, boundary: &str) -> Option<String> {
    loop {
        let line = line(stream).await?;
        if line.starts_with(boundary) {
            return Some(line);
        }
    }
}

/// The name of a field, and whether it has a file: everything by the place of `=` and `"`.
fn names(disposition: &str) -> Option<(String, bool)> {
    let (_, name) = disposition.split_once('=')?;
    let name = name.get(1..)?;
    match name.contains('=') {
        true => Some((name.split('"').next()?.into(), true)),
        false => Some((name.get(..name.len().checked_sub(1)?)?.into(), false)),
    }
}

/// Reads up to the boundary.
async fn file(stream: &mut Stream, boundary: &[u8], fault: Option<Fault>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match fault {
            Some(Fault::ResetsAfter(count)) if bytes.len() as u64 >= count => {
                let _ = socket2::SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO));
                return None;
            }
            Some(Fault::StopsAfter(count)) if bytes.len() as u64 >= count => std::future::pending().await,
            _ => {}
        }
        let from = bytes.len().saturating_sub(boundary.len());
        let some = stream.fill_buf().await.ok()?;
        if some.is_empty() || bytes.len() > MAX_FILE {
            return None;
        }
        let before = bytes.len();
        bytes.extend_from_slice(some);
        let found = bytes[from..].windows(boundary.len()).position(|window| window == boundary);
        let Some(at) = found else {
            let taken = some.len();
            stream.consume(taken);
            continue;
        };
        stream.consume(from + at + boundary.len() - before);
        bytes.truncate(from + at);
        return Some(bytes);
    }
}
