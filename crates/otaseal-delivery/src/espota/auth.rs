//! The password of a device: which scheme it asks for, and the answer.
//!
//! Sources: esp8266/Arduino `libraries/ArduinoOTA/ArduinoOTA.cpp` (`_onRx`) for MD5; espressif/arduino-esp32
//! `tools/espota.py` since 3.3.1 for SHA-256.

use std::fmt;
use std::fmt::Write;

use md5::Md5;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Rounds of PBKDF2 in the SHA-256 scheme.
const ROUNDS: u32 = 10_000;

/// The password of a device. It is wiped from memory, and nothing shows it.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password. The device hashes its UTF-8 bytes.
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    /// Returns the password itself.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How a device wants the password proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// ESP8266, arduino-pico, and arduino-esp32 before 3.3.1. The nonce has 32 digits.
    Md5,
    /// arduino-esp32 since 3.3.1. The nonce has 64 digits.
    Sha256,
}

impl Scheme {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }
}

/// What a device sends so that no answer fits twice: 32 or 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Reads a nonce. Returns nothing if it has another length or other characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = matches!(text.len(), 32 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(text.to_owned()))
    }

    /// The scheme that the device wants, by the length.
    pub fn scheme(&self) -> Scheme {
        if self.0.len() == 32 { Scheme::Md5 } else { Scheme::Sha256 }
    }
}

/// How the sketch of an ESP32 keeps its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// As SHA-256: `setPassword`.
    Sha256,
    /// As MD5: `setPasswordHash` with the hash of an older sketch.
    Md5,
}

/// Returns the line that answers a nonce: `200 <cnonce> <response>`.
///
/// `seed` is our own random number. `kept` counts in the SHA-256 scheme alone.
pub fn answer(password: &Password, nonce: &Nonce, seed: &[u8; 32], kept: Kept) -> String {
    let scheme = nonce.scheme();
    let cnonce = match scheme {
        Scheme::Md5 => hex(&seed[..16]),
        Scheme::Sha256 => hex(seed),
    };
    let response = response(password, nonce, &cnonce, kept);
    format!("200 {cnonce} {response}\n")
}

/// The last field of the answer.
pub(crate) fn response(password: &Password, nonce: &Nonce, cnonce: &str, kept: Kept) -> String {
    let password = password.text().as_bytes();
    match nonce.scheme() {
        Scheme::Md5 => {
            let hash = Zeroizing::new(hex(&Md5::digest(password)));
            hex(&Md5::digest(joined(&hash, nonce, cnonce).as_bytes()))
        }
        Scheme::Sha256 => {
            let hash = Zeroizing::new(match kept {
                Kept::Sha256 => hex(&Sha256::digest(password)),
                Kept::Md5 => hex(&Md5::digest(password)),
            });
            let mut key = Zeroizing::new([0; 32]);
            let salt = format!("{}:{cnonce}", nonce.0);
            pbkdf2::pbkdf2_hmac::<Sha256>(hash.as_bytes(), salt.as_bytes(), ROUNDS, &mut *key);
            hex(&Sha256::digest(joined(&Zeroizing::new(hex(&*key)), nonce, cnonce).as_bytes()))
        }
    }
}

/// What the response is the hash of. Who knows it can answer every nonce, so it is wiped.
fn joined(secret: &str, nonce: &Nonce, cnonce: &str) -> Zeroizing<String> {
    // It is as long as it gets from the beginning: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(secret.len() + nonce.0.len() + cnonce.len() + 2));
    for part in [secret, ":", &nonce.0, ":", cnonce] {
        text.push_str(part);
    }
    text
}

/// Lower-case digits: the device compares text.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
