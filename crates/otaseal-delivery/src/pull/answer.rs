//! The answer to a device, as a value.
//!
//! A device understands little of HTTP. So an answer never has a transfer coding, a content coding, a second part or a
//! second `x-MD5`; a file always has its length, and the connection closes behind it.
//!
//! | answer | `ESP8266httpUpdate` says |
//! |---|---|
//! | 200 with a file | what its updater says |
//! | 200 with `x-version` | the version (`getAvailableVersion`) |
//! | 304 | no update. Tasmota: success, so it never gets this |
//! | 401 | error -108; before core 3.0.0 and on other families another one |
//! | 403 | error -103 |
//! | 404 | error -102 |
//! | 301, 302, 303, 307 | it follows, if the sketch allows it |
//!
//! Source: esp8266/Arduino `ESP8266httpUpdate.cpp`, `handleUpdate` (f946290e).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use otaseal::format::digest::{Digests, Md5Digest, Sha256Digest};
use serde::Serialize;

use crate::device::Family;

/// An answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Answer {
    /// An image.
    File(FileAnswer),
    /// The version on the server.
    Version(String),
    /// There is nothing new.
    NotModified,
    /// The image is elsewhere.
    Elsewhere(Redirect),
    /// A digest of an image, as text: `setMD5sumUrl` and `setSHA256sumUrl` of arduino-esp32 read the first word.
    Digest(String),
    /// The credentials are missing or wrong.
    Unauthorized,
    /// The client is no updater.
    Forbidden,
    /// There is no firmware, device or file of this name, or no filesystem image.
    NotFound,
    /// The method is not GET.
    MethodNotAllowed,
}

/// An image.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FileAnswer {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its size and digests.
    pub digests: Digests,
    /// Its name, for people who look at the traffic.
    pub name: String,
    /// The version of the release.
    pub version: Option<String>,
    /// The family of the client.
    pub family: Family,
}

impl FileAnswer {
    /// An image for a client of this family.
    pub fn new(bytes: Bytes, digests: Digests, name: &str, version: Option<&str>, family: Family) -> Self {
        Self { bytes, digests, name: name.to_owned(), version: version.map(str::to_owned), family }
    }
}

/// Another address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redirect {
    /// The whole address, or a path that begins with one `/`.
    pub location: String,
    /// The status.
    pub status: RedirectStatus,
}

/// The statuses that a device follows. It does not follow 308.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum RedirectStatus {
    /// 301.
    MovedPermanently,
    /// 302.
    #[default]
    Found,
    /// 303.
    SeeOther,
    /// 307.
    TemporaryRedirect,
}

impl RedirectStatus {
    fn code(self) -> StatusCode {
        match self {
            Self::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
            Self::Found => StatusCode::FOUND,
            Self::SeeOther => StatusCode::SEE_OTHER,
            Self::TemporaryRedirect => StatusCode::TEMPORARY_REDIRECT,
        }
    }
}

const X_MD5: HeaderName = HeaderName::from_static("x-md5");
const X_SHA256: HeaderName = HeaderName::from_static("x-sha256");
const X_VERSION: HeaderName = HeaderName::from_static("x-version");

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.code().as_u16()
    }

    fn code(&self) -> StatusCode {
        match self {
            Self::File(_) | Self::Version(_) | Self::Digest(_) => StatusCode::OK,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::Elsewhere(redirect) => redirect.status.code(),
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// Makes the response of it. hyper adds `Content-Length`.
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let status = self.code();
        let mut fields = HeaderMap::with_capacity(6);
        // hyper says it to HTTP/1.1 alone.
        fields.insert(hyper::header::CONNECTION, HeaderValue::from_static("close"));
        let body = match self {
            Self::File(file) => {
                fields.insert(
                    hyper::header::CONTENT_TYPE,
                    HeaderValue::from_static("application/octet-stream"),
                );
                fields.insert(hyper::header::CONTENT_DISPOSITION, disposition(&file.name));
                fields.insert(X_MD5, hex(&file.digests.md5));
                if file.family == Family::Esp32 {
                    fields.insert(X_SHA256, hex256(&file.digests.sha256));
                }
                if let Some(version) = file.version.as_deref().and_then(text) {
                    fields.insert(X_VERSION, version);
                }
                file.bytes
            }
            Self::Version(version) => {
                if let Some(version) = text(&version) {
                    fields.insert(X_VERSION, version);
                }
                Bytes::new()
            }
            Self::Digest(digest) => {
                fields.insert(hyper::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                Bytes::from(digest)
            }
            Self::Elsewhere(redirect) => {
                if let Some(location) = text(&redirect.location) {
                    fields.insert(hyper::header::LOCATION, location);
                }
                Bytes::new()
            }
            Self::Unauthorized => {
                let realm = HeaderValue::from_static("Basic realm=\"updates\"");
                fields.insert(hyper::header::WWW_AUTHENTICATE, realm);
                Bytes::new()
            }
            Self::MethodNotAllowed => {
                fields.insert(hyper::header::ALLOW, HeaderValue::from_static("GET"));
                Bytes::new()
            }
            Self::NotModified | Self::Forbidden | Self::NotFound => Bytes::new(),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        response
    }
}

fn hex(digest: &Md5Digest) -> HeaderValue {
    text(&digest.to_string()).unwrap_or(HeaderValue::from_static(""))
}

fn hex256(digest: &Sha256Digest) -> HeaderValue {
    text(&digest.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// A value of printable ASCII. Anything else would add lines to the answer, or make the device misread it.
fn text(value: &str) -> Option<HeaderValue> {
    let printable = !value.is_empty() && value.bytes().all(|byte| (0x20..0x7F).contains(&byte));
    printable.then(|| HeaderValue::from_str(value).ok()).flatten()
}

/// `attachment; filename="…"` (RFC 6266), with everything that is not a plain character of a name replaced.
fn disposition(name: &str) -> HeaderValue {
    let plain = |character: char| match character {
        character if character.is_ascii_alphanumeric() || "._-+@".contains(character) => character,
        _ => '_',
    };
    let name: String = name.chars().take(100).map(plain).collect();
    text(&format!("attachment; filename=\"{name}\"")).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, version: Option<&str>, family: Family) -> Response<Full<Bytes>> {
        let bytes = Bytes::from_static(b"\xE9 image");
        Answer::File(FileAnswer::new(bytes.clone(), Digests::of(&bytes), name, version, family))
            .into_response()
    }

    #[test]
    fn a_file_has_its_digest_once_and_no_coding() {
        let response = file("lamp.bin", Some("1.2.3"), Family::Esp8266);
        assert_eq!(response.status(), 200);
        let fields = response.headers();
        assert_eq!(fields.get_all("x-md5").iter().count(), 1);
        assert_eq!(fields["x-md5"], Md5Digest::of(b"\xE9 image").to_string().as_str());
        assert_eq!(fields["x-version"], "1.2.3");
        for absent in ["x-sha256", "transfer-encoding", "content-encoding", "etag", "last-modified"] {
            assert!(!fields.contains_key(absent), "{absent}");
        }
        let esp32 = file("lamp.bin", None, Family::Esp32);
        assert_eq!(esp32.headers()["x-sha256"].len(), 64);
        assert!(!esp32.headers().contains_key("x-version"));
    }

    #[test]
    fn names_and_versions_add_no_line_and_no_quote() {
        let response = file("a\r\nx-MD5: 0\";b/..\\c\u{202E}.bin", Some("1\r\nx-MD5: 0"), Family::Esp8266);
        assert_eq!(
            response.headers()["content-disposition"],
            "attachment; filename=\"a__x-MD5__0__b_.._c_.bin\""
        );
        assert!(!response.headers().contains_key("x-version"));
        assert_eq!(response.headers().get_all("x-md5").iter().count(), 1);
        let version = Answer::Version("1\r\nx: y".into()).into_response();
        assert!(!version.headers().contains_key("x-version"));
    }

    #[test]
    fn every_answer_has_the_status_that_devices_know() {
        for (answer, status) in [
            (Answer::NotModified, 304),
            (Answer::Unauthorized, 401),
            (Answer::Forbidden, 403),
            (Answer::NotFound, 404),
            (Answer::MethodNotAllowed, 405),
            (Answer::Version("1".into()), 200),
            (Answer::Digest("00".into()), 200),
        ] {
            assert_eq!(answer.status(), status);
            assert_eq!(answer.into_response().status(), status);
        }
        for (status, code) in [
            (RedirectStatus::MovedPermanently, 301),
            (RedirectStatus::Found, 302),
            (RedirectStatus::SeeOther, 303),
            (RedirectStatus::TemporaryRedirect, 307),
        ] {
            let answer = Answer::Elsewhere(Redirect { location: "/file".into(), status });
            assert_eq!(
                (answer.status(), answer.into_response().headers()["location"].as_bytes()),
                (code, &b"/file"[..])
            );
        }
    }
}
