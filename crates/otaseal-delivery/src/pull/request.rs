//! Reads what a device says when it asks for an update.
//!
//! One parser for the three families. Header fields that are not known do not matter. A known one that makes no sense is
//! left out and reported: the device gets the answer that fits the rest.

use std::borrow::Cow;
use std::fmt;

use otaseal::format::digest::{Md5Digest, Sha256Digest};
use otaseal::profile::{CoreVersion, Profile, Updater};
use serde::Serialize;

use super::homie_v1::HomieV1;
use crate::device::{DeviceFacts, Family, Known, Mac, Origin};
use crate::text::said;

/// Longest value of a header field that is kept, in bytes. Real ones have at most about eighty.
pub const MAX_VALUE: usize = 256;

/// What the device asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Firmware. A client that says no mode wants this.
    Sketch,
    /// A filesystem image, of whichever filesystem.
    Spiffs,
    /// The version on the server: `getAvailableVersion` of esp8266 cores after 3.1.2.
    Version,
}

/// A request for an update.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// The path of the address, without the query, still escaped.
    pub path: String,
    /// The query of the address.
    pub query: Option<String>,
    /// What it asks for. `None` for a mode that we do not know.
    pub mode: Option<Mode>,
    /// What it says of itself.
    pub facts: DeviceFacts,
    /// What it says if it is Homie 1.
    pub homie: Option<HomieV1>,
    /// Whether it is Tasmota, which takes 304 for success and starts again.
    pub tasmota: bool,
    /// The value of `Authorization`.
    pub authorization: Option<Secret>,
    /// Fields that make no sense, escaped: `x-ESP8266-free-space: -1`.
    pub odd: Vec<String>,
}

/// A value that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a request is no request for an update.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAnUpdater {
    /// Another program.
    #[error("it is no updater: its User-Agent is \"{agent}\"")]
    Agent {
        /// Its name, escaped.
        agent: String,
    },
    /// An updater, and not the method that updaters use.
    #[error("an updater asks with GET, not with {method}")]
    Method {
        /// The method, escaped.
        method: String,
    },
}

/// The family of a client, with the start of its fields, and its User-Agent.
const CLIENTS: [(Family, &str, &str); 3] = [
    (Family::Esp8266, "x-esp8266-", "ESP8266-http-Update"),
    (Family::Esp32, "x-esp32-", "ESP32-http-Update"),
    (Family::Rp2040, "x-pico-", "Pico-HTTP-Update"),
];

/// The User-Agent of arduino-esp32 where its updater fetches the digest of a file beforehand. It says nothing else
/// (`HTTPUpdateChecksum.cpp`, `HTTPClient.h`).
const ESP32_DIGESTS: &[u8] = b"ESP32HTTPClient";

impl Request {
    /// Reads a request from its method, its address and its header fields.
    ///
    /// # Errors
    /// [`NotAnUpdater`], if neither the User-Agent nor any field is of an updater.
    pub fn parse<'h>(
        method: &str,
        target: &str,
        fields: impl Iterator<Item = (&'h str, &'h [u8])>,
    ) -> Result<Self, NotAnUpdater> {
        let mut reader = Reader::default();
        for (name, value) in fields {
            reader.field(name, value);
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let digest = [".md5", ".sha256"].iter().any(|ending| path.ends_with(ending));
        let by_digest = (digest && reader.agent == ESP32_DIGESTS).then_some(Family::Esp32);
        let Some(family) = reader.by_field.or(reader.by_agent).or(by_digest) else {
            return Err(NotAnUpdater::Agent { agent: said(&reader.agent) });
        };
        if method != "GET" {
            return Err(NotAnUpdater::Method { method: said(method.as_bytes()) });
        }
        Ok(reader.finish(family, path.to_owned(), query))
    }

    /// Whether the request has these credentials, `user:password`, in the scheme Basic. Digests are compared: how long that
    /// takes tells nothing about the secret.
    pub fn is_from(&self, Secret(wanted): &Secret) -> bool {
        use base64ct::{Base64, Encoding};
        use sha2::{Digest, Sha256};
        let given = self.authorization.as_ref().and_then(|Secret(value)| {
            let value = std::str::from_utf8(value).ok()?;
            let (scheme, value) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("basic").then(|| Base64::decode_vec(value.trim()).ok()).flatten()
        });
        given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(wanted))
    }
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    agent: Vec<u8>,
    by_agent: Option<Family>,
    by_field: Option<Family>,
    facts: DeviceFacts,
    mode: Option<Option<Mode>>,
    version: Option<Known<String>>,
    authorization: Option<Secret>,
    has_length: bool,
    odd: Vec<String>,
}

impl Reader {
    fn field(&mut self, name: &str, value: &[u8]) {
        // hyper gives names in lower case.
        let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        match &*name {
            "user-agent" => {
                self.agent = value[..value.len().min(MAX_VALUE)].to_vec();
                let is = |agent: &str| value.eq_ignore_ascii_case(agent.as_bytes());
                self.by_agent = CLIENTS.iter().find(|(.., agent)| is(agent)).map(|(family, ..)| *family);
            }
            "authorization" => {
                self.authorization = Some(Secret(value[..value.len().min(1024)].to_vec()));
            }
            "content-length" => self.has_length = true,
            _ => {
                let client = CLIENTS.iter().find(|(_, start, _)| name.starts_with(start));
                let Some((family, start, _)) = client else { return };
                if self.by_field.is_some_and(|other| other != *family) {
                    self.odd(&name, value);
                    return;
                }
                self.by_field = Some(*family);
                self.said_by_device(*family, &name[start.len()..], &name, value);
            }
        }
    }

    fn said_by_device(&mut self, family: Family, field: &str, name: &str, value: &[u8]) {
        let Some(text) = readable(value) else {
            // A core that is out of memory sends an empty digest.
            if !value.is_empty() {
                self.odd(name, value);
            }
            return;
        };
        let known = match field {
            "chip-id" => put(&mut self.facts.chip_id, Some(text.to_owned()), "Chip-ID"),
            "sta-mac" => put(&mut self.facts.sta_mac, text.parse::<Mac>().ok(), "STA-MAC"),
            "free-space" => put(&mut self.facts.free_bytes, number(text), "free-space"),
            "sketch-size" => put(&mut self.facts.sketch_bytes, number(text), "sketch-size"),
            "chip-size" => put(&mut self.facts.chip_bytes, number(text), "chip-size"),
            "sketch-md5" => put(&mut self.facts.md5, text.parse::<Md5Digest>().ok(), "sketch-md5"),
            "sketch-sha256" => {
                put(&mut self.facts.sha256, text.parse::<Sha256Digest>().ok(), "sketch-sha256")
            }
            "sdk-version" => put(&mut self.facts.sdk, Some(text.to_owned()), "sdk-version"),
            "version" => put(&mut self.version, Some(text.to_owned()), "version"),
            "mode" => {
                let mode = match text {
                    "sketch" => Some(Mode::Sketch),
                    "spiffs" => Some(Mode::Spiffs),
                    "version" if family == Family::Esp8266 => Some(Mode::Version),
                    _ => None,
                };
                self.mode = Some(mode);
                mode.is_some()
            }
            // `AP-MAC`, and what a sketch adds.
            _ => true,
        };
        if !known {
            self.odd(name, value);
        }
    }

    fn odd(&mut self, name: &str, value: &[u8]) {
        /// So many are reported of one request.
        const MOST: usize = 8;
        if self.odd.len() < MOST {
            self.odd.push(said(&[name.as_bytes(), b": ", &value[..value.len().min(MAX_VALUE)]].concat()));
        }
    }

    fn finish(mut self, family: Family, path: String, query: Option<String>) -> Request {
        let source = match self.by_field {
            Some(_) => Origin::Inferred("the names of its header fields"),
            None => Origin::Header("User-Agent"),
        };
        self.facts.family = Some(Known::new(family, source));
        if family == Family::Esp8266 {
            self.facts.core_at_least = core_at_least(&self.facts, self.has_length);
        }
        let homie = self.version.as_ref().and_then(|version| HomieV1::parse(&version.value));
        let tasmota = family == Family::Esp8266
            && self.version.as_ref().is_some_and(|version| is_tasmota(&version.value));
        if let Some(homie) = &homie {
            let fact = |value: &String| {
                Some(Known::new(value.clone(), Origin::Header("version, in the form of Homie 1")))
            };
            self.facts.name = fact(&homie.id);
            self.facts.firmware = fact(&homie.firmware);
            self.facts.version = fact(&homie.version);
        } else {
            self.facts.version = self.version;
        }
        if tasmota {
            let how = Origin::Inferred("the form of its version, which is Tasmota's");
            self.facts.profile = Some(Known::new(Profile::new(Updater::Tasmota, false), how));
        }
        Request {
            path,
            query,
            mode: self.mode.unwrap_or(Some(Mode::Sketch)),
            facts: self.facts,
            homie,
            tasmota,
            authorization: self.authorization,
            odd: self.odd,
        }
    }
}

/// Keeps the first value of a field. Returns whether the value made sense.
fn put<T>(fact: &mut Option<Known<T>>, value: Option<T>, name: &'static str) -> bool {
    match value {
        Some(value) if fact.is_none() => *fact = Some(Known::new(value, Origin::Header(name))),
        Some(_) => return false,
        None => return false,
    }
    true
}

/// A value of printable text, without the blanks around it.
fn readable(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value.get(..value.len().min(MAX_VALUE + 1))?).ok()?.trim();
    (!text.is_empty() && text.len() <= MAX_VALUE && !text.chars().any(char::is_control)).then_some(text)
}

/// Decimal digits without a sign, as the device prints them.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The oldest esp8266 core that sends these fields: `Chip-ID` and `Content-Length: 0` since 2.6.0, `sketch-md5` since
/// 2.4.0 (esp8266/Arduino, tags 2.0.0 to 3.1.2).
fn core_at_least(facts: &DeviceFacts, has_length: bool) -> Option<Known<CoreVersion>> {
    let known = |version, how| Some(Known::new(version, Origin::Inferred(how)));
    if facts.chip_id.is_some() || has_length {
        return known(CoreVersion(2, 6, 0), "the fields that it sends, which cores since 2.6.0 send");
    }
    facts.md5.as_ref()?;
    known(CoreVersion(2, 4, 0), "the fields that it sends, which cores since 2.4.0 send")
}

/// Tasmota's version: numbers with dots, then the name of the image in parentheses (arendst/Tasmota,
/// `support_tasmota.ino`, `GetBuildDateAndTime` and `OtaExecute`).
fn is_tasmota(version: &str) -> bool {
    let Some((numbers, image)) = version.strip_suffix(')').and_then(|version| version.split_once('(')) else {
        return false;
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    numbers.contains('.')
        && numbers.split('.').all(is_number)
        && !image.is_empty()
        && image.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests;
