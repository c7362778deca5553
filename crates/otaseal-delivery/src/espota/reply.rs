//! What a device says: the datagrams that answer an invitation, and the text that it sends during the transfer.
//!
//! Sources: `libraries/ArduinoOTA` of esp8266/Arduino, earlephilhower/arduino-pico and espressif/arduino-esp32
//! (`ArduinoOTA.cpp`: `_onRx`, `_runUpdate`).

use super::auth::Nonce;

/// Largest datagram that is read, in bytes. The longest known one has about 100: an error with two MD5s.
pub const MAX_DATAGRAM: usize = 512;

/// Most bytes that are kept of the words of a device.
const MAX_WORDS: usize = 512;

/// Bytes that a device may send beyond one for each byte that it got. An ESP32 repeats its last number up to three times
/// a second while it waits.
const SLACK: u64 = 16 * 1024;

/// One datagram of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It takes the invitation.
    Ok,
    /// It wants to see the password.
    Auth(Nonce),
    /// The answer to its nonce was wrong.
    AuthenticationFailed,
    /// Its updater refuses to begin. These are its words.
    Error(Vec<u8>),
    /// Something else.
    Unknown(Vec<u8>),
}

impl Reply {
    /// Reads a datagram. An error is looked for first: `ERROR` has an `O` too.
    pub fn parse(datagram: &[u8]) -> Self {
        let datagram = &datagram[..datagram.len().min(MAX_DATAGRAM)];
        let words = datagram.trim_ascii_end();
        if words.starts_with(b"ERR") {
            return Self::Error(words.to_vec());
        }
        if words == b"OK" {
            return Self::Ok;
        }
        if words == b"Authentication Failed" {
            return Self::AuthenticationFailed;
        }
        let nonce = words.strip_prefix(b"AUTH ").and_then(|nonce| std::str::from_utf8(nonce).ok());
        match nonce.and_then(Nonce::parse) {
            Some(nonce) => Self::Auth(nonce),
            None => Self::Unknown(words.to_vec()),
        }
    }
}

/// What the text of a transfer means so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Nothing yet.
    Nothing,
    /// The device began to say something. The rest follows, or the connection ends.
    Words,
    /// It took the update.
    Ok,
    /// It said `OK` before it had the whole image.
    EarlyOk,
    /// It refuses. These are its words.
    Error(Vec<u8>),
    /// It sends more than a device can.
    TooMuch,
}

/// Listens to a device during the transfer.
///
/// The device sends the number of the bytes that it just wrote, again and again, with nothing between: `1460` and `536`
/// arrive as `1460536`, and a last number may stand before `OK`. So the numbers are not read. They only show that the
/// device lives.
#[derive(Debug, Clone, Default)]
pub struct Listener {
    bytes: u64,
    /// Everything from the first byte on that is no digit.
    words: Vec<u8>,
}

impl Listener {
    /// Takes some bytes of the device. `handed` bytes of an image of `of` bytes were handed to the network by then.
    pub fn hear(&mut self, bytes: &[u8], handed: u64, of: u64) -> Heard {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        let from = match self.words.is_empty() {
            true => bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len()),
            false => 0,
        };
        let room = MAX_WORDS - self.words.len();
        self.words.extend(bytes[from..].iter().take(room));
        // A number is at least as large as it is long, so a device that counts right sends no more bytes than it got.
        if self.bytes > handed.saturating_add(SLACK) {
            return Heard::TooMuch;
        }
        match self.words.trim_ascii_end() {
            [] => Heard::Nothing,
            b"O" => Heard::Words,
            // Only `OK` itself is success. `ERROR` has an `O`, and tools that looked for it reported success.
            b"OK" if handed < of => Heard::EarlyOk,
            b"OK" => Heard::Ok,
            words if self.words.ends_with(b"\n") || self.words.len() == MAX_WORDS => {
                Heard::Error(words.to_vec())
            }
            _ => Heard::Words,
        }
    }

    /// Whether the device began to say something.
    pub fn has_words(&self) -> bool {
        !self.words.trim_ascii().is_empty()
    }

    /// Returns what the device said in full, after it closed the connection or fell silent.
    pub fn ended(&self) -> Option<Vec<u8>> {
        self.has_words().then(|| self.words.trim_ascii().to_vec())
    }
}

#[cfg(test)]
mod tests;
