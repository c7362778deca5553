//! The request: exactly what the parser of the device understands.
//!
//! Source: esp8266/Arduino `libraries/ESP8266WebServer/src/Parsing-impl.h` (`_parseForm`). It takes everything behind the
//! first `=` of `Content-Type` for the boundary. It knows one header in a part, `Content-Type`, and takes any other one for
//! the first bytes of the file. It knows no chunks and does not answer `Expect: 100-continue`.

use std::net::IpAddr;

use base64ct::{Base64, Encoding};
use otaseal::format::image::Content;
use zeroize::Zeroizing;

use super::{Form, Request, Url};

/// What stands before the image, and after it.
pub(crate) struct Envelope {
    /// The head of the request, and the head of its part.
    pub(crate) before: Zeroizing<Vec<u8>>,
    /// The end of the part.
    pub(crate) after: Vec<u8>,
}

/// Wraps an image of so many bytes. The seed is a random number, so that nobody can put the boundary into an image.
pub(crate) fn envelope(request: &Request, seed: [u8; 8]) -> Envelope {
    let (form, bytes) = (request.form, request.image.len());
    let boundary = boundary(seed);
    let (field, name) = match (form, request.content) {
        (Form::Tasmota, _) => ("u2", "firmware.bin"),
        (Form::UpdateServer, Content::Firmware) => ("firmware", "firmware.bin"),
        (Form::UpdateServer, Content::Filesystem) => ("filesystem", "filesystem.bin"),
    };
    let part = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let after = format!("\r\n--{boundary}--\r\n").into_bytes();
    let mut before = head("POST", &request.url, &request.url.path, referer(request));
    before.extend_from_slice(
        format!(
            "Content-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: {}\r\n\r\n{part}",
            part.len() + bytes + after.len()
        )
        .as_bytes(),
    );
    Envelope { before, after }
}

/// Asks for a page.
pub(crate) fn ask(request: &Request, path: &str) -> Zeroizing<Vec<u8>> {
    let mut head = head("GET", &request.url, path, referer(request));
    head.extend_from_slice(b"\r\n");
    head
}

/// Tasmota answers only whoever seems to come from its own pages: by its name, or by its address
/// (`HttpCheckPriviledgedAccess`).
fn referer(request: &Request) -> Option<IpAddr> {
    (request.form == Form::Tasmota).then(|| request.address.ip())
}

fn head(method: &str, url: &Url, path: &str, referer: Option<IpAddr>) -> Zeroizing<Vec<u8>> {
    let place = url.place();
    let mut head = Zeroizing::new(format!("{method} {path} HTTP/1.1\r\nHost: {place}\r\n").into_bytes());
    if let Some(login) = &url.login {
        // The device reads the whole image before it asks for a password, so it gets the password at once.
        let pair = Zeroizing::new(format!("{}:{}", login.user, login.password.text()));
        let encoded = Zeroizing::new(Base64::encode_string(pair.as_bytes()));
        head.extend_from_slice(b"Authorization: Basic ");
        head.extend_from_slice(encoded.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    if let Some(address) = referer {
        head.extend_from_slice(format!("Referer: http://{address}/\r\n").as_bytes());
    }
    head.extend_from_slice(b"Connection: close\r\n");
    head
}

/// Whether the parser of older cores would miss the end of this image. After `\r\n--` it takes as many bytes as the
/// boundary is long, without looking for the boundary in them.
pub(crate) fn hides_its_end(image: &[u8]) -> bool {
    let tail = &image[image.len().saturating_sub(BOUNDARY + 3)..];
    tail.windows(4).any(|window| window == b"\r\n--")
}

/// Characters of the boundary.
const BOUNDARY: usize = 23;

fn boundary(seed: [u8; 8]) -> String {
    format!("otaseal{:016x}", u64::from_be_bytes(seed))
}

#[cfg(test)]
mod tests;
