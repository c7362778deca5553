//! Sends a device elsewhere for the image: to a CDN.
//!
//! After a redirect, a device drops every field by which it said who it is (esp8266/Arduino `HTTPClient`, since 2.5.1). So
//! the address says it: a token that names the device and the file, with a time at which it ends, under an HMAC. Whoever
//! serves the file can check the token without asking anybody.
//!
//! ```text
//! EXPIRES "." DIGEST "." DEVICE "." MAC
//! seconds     sha256     base64url  base64url of HMAC-SHA-256 over all before the last "."
//! ```

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use otaseal::format::digest::Sha256Digest;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::answer::{Redirect, RedirectStatus};

/// Longest name of a device in a token, in bytes.
pub const MAX_DEVICE: usize = 100;

/// Shortest secret, in bytes: as long as the digest (RFC 2104 3).
pub const MIN_SECRET: usize = 32;

/// A secret that makes and checks tokens.
pub struct TokenKey(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The device.
    pub device: String,
    /// The file.
    pub file: Sha256Digest,
    /// The end of its life, in seconds since 1970.
    pub expires: u64,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is no token, or not under this secret.
    #[error("the token in the address is not one of ours")]
    Forged,
    /// Its time is over.
    #[error("the token in the address has expired")]
    Expired,
}

/// Why a redirect cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// The secret is short.
    #[error("the secret for redirects has {length} bytes: at least {MIN_SECRET} are needed")]
    ShortSecret {
        /// Its length in bytes.
        length: usize,
    },
    /// The address has another scheme than the server. A device does not follow.
    #[error("devices that come by {own} do not follow to {base}: it must begin with {own}://")]
    OtherScheme {
        /// The scheme of the server.
        own: &'static str,
        /// The address.
        base: String,
    },
    /// The address is not one.
    #[error("{base} is no address that a device can follow: it has blanks, a query or other characters")]
    NoAddress {
        /// The address.
        base: String,
    },
}

impl TokenKey {
    /// Takes a secret.
    ///
    /// # Errors
    /// [`RedirectError::ShortSecret`].
    pub fn new(secret: Zeroizing<Vec<u8>>) -> Result<Self, RedirectError> {
        match secret.len() {
            length if length < MIN_SECRET => Err(RedirectError::ShortSecret { length }),
            _ => Ok(Self(secret)),
        }
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { unreachable!("HMAC takes any length") };
        mac.chain_update(text)
    }

    /// Makes the text of a token.
    pub fn make(&self, token: &Token) -> String {
        let device: String = token.device.chars().take(MAX_DEVICE / 4).collect();
        let device = Base64UrlUnpadded::encode_string(device.as_bytes());
        let text = format!("{}.{}.{device}", token.expires, token.file);
        let mac = Base64UrlUnpadded::encode_string(&self.mac(&text).finalize().into_bytes());
        format!("{text}.{mac}")
    }

    /// Checks the text of a token at this time, in seconds since 1970.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn check(&self, text: &str, now: u64) -> Result<Token, TokenError> {
        /// A number, a digest, a name and a MAC are no longer.
        const MAX_TEXT: usize = 20 + 64 + 2 * MAX_DEVICE + 43 + 3;
        if text.len() > MAX_TEXT {
            return Err(TokenError::Forged);
        }
        let (signed, mac) = text.rsplit_once('.').ok_or(TokenError::Forged)?;
        let mac = Base64UrlUnpadded::decode_vec(mac).map_err(|_| TokenError::Forged)?;
        self.mac(signed).verify_slice(&mac).map_err(|_| TokenError::Forged)?;
        let mut parts = signed.splitn(3, '.');
        let mut part = || parts.next().ok_or(TokenError::Forged);
        let expires = part()?.parse().map_err(|_| TokenError::Forged)?;
        let file = part()?.parse().map_err(|_| TokenError::Forged)?;
        let device = Base64UrlUnpadded::decode_vec(part()?).map_err(|_| TokenError::Forged)?;
        let device = String::from_utf8(device).map_err(|_| TokenError::Forged)?;
        match now < expires {
            true => Ok(Token { device, file, expires }),
            false => Err(TokenError::Expired),
        }
    }
}

/// The address to which devices are sent.
#[derive(Debug)]
pub struct Elsewhere {
    base: String,
    status: RedirectStatus,
    key: TokenKey,
    /// How long a token lives, in seconds. A device asks again at its next poll.
    life: u64,
}

impl Elsewhere {
    /// Sends devices to `base/file/SHA256?token=…`. `own` is the scheme of this server: a device follows to no other.
    ///
    /// # Errors
    /// [`RedirectError`].
    pub fn new(
        base: &str,
        own: &'static str,
        status: RedirectStatus,
        key: TokenKey,
        life: u64,
    ) -> Result<Self, RedirectError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/@!$&'()*+,;=%[]".contains(&byte);
        if !base.bytes().all(plain) {
            return Err(RedirectError::NoAddress { base: crate::text::said(base.as_bytes()) });
        }
        let rest = base.strip_prefix(own).and_then(|rest| rest.strip_prefix("://"));
        if rest.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
            return Err(RedirectError::OtherScheme { own, base: base.to_owned() });
        }
        Ok(Self { base: base.trim_end_matches('/').to_owned(), status, key, life })
    }

    /// The redirect of one device to one file, at this time in seconds since 1970.
    pub fn of(&self, device: &str, file: Sha256Digest, now: u64) -> Redirect {
        let token = Token { device: device.to_owned(), file, expires: now.saturating_add(self.life) };
        let location = format!("{}/file/{file}?token={}", self.base, self.key.make(&token));
        Redirect { location, status: self.status }
    }

    /// Checks the token of an address.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn check(&self, text: &str, now: u64) -> Result<Token, TokenError> {
        self.key.check(text, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> TokenKey {
        TokenKey::new(Zeroizing::new(vec![byte; 32])).unwrap()
    }

    fn token() -> Token {
        Token { device: "ESP8266 5C:CF:7F:AA:BB:CC".into(), file: Sha256Digest([7; 32]), expires: 1000 }
    }

    #[test]
    fn a_token_is_good_until_its_end_and_under_its_secret() {
        let text = key(1).make(&token());
        assert_eq!(key(1).check(&text, 999), Ok(token()));
        assert_eq!(key(1).check(&text, 1000), Err(TokenError::Expired));
        assert_eq!(key(2).check(&text, 999), Err(TokenError::Forged));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{text}");
    }

    #[test]
    fn a_changed_token_is_refused() {
        let text = key(1).make(&token());
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last digit of base64 has bits that do not count; a strict reader refuses them too.
            assert_eq!(key(1).check(&changed, 0), Err(TokenError::Forged), "{at}");
        }
        for text in
            ["", ".", "...", "1.2.3.4", "1000", &"A".repeat(10_000), &text[1..], &text[..text.len() - 1]]
        {
            assert_eq!(key(1).check(text, 0), Err(TokenError::Forged), "{text}");
        }
    }

    #[test]
    fn only_the_same_scheme_is_followed() {
        let to = |base: &str, own| Elsewhere::new(base, own, RedirectStatus::Found, key(1), 60);
        let address =
            to("http://cdn.example:8080/ota/", "http").unwrap().of("d", Sha256Digest([7; 32]), 5).location;
        assert!(address.starts_with("http://cdn.example:8080/ota/file/0707"), "{address}");
        for base in ["https://cdn.example", "//cdn.example", "cdn.example", "http://", "http:///x", ""] {
            assert!(matches!(to(base, "http"), Err(RedirectError::OtherScheme { .. })), "{base}");
        }
        for base in ["http://a b", "http://a\r\nx: y", "http://a?x=1", "http://a#b", "http://ä"] {
            assert!(matches!(to(base, "http"), Err(RedirectError::NoAddress { .. })), "{base}");
        }
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        let short = TokenKey::new(Zeroizing::new(vec![1; 31]));
        assert_eq!(short.unwrap_err(), RedirectError::ShortSecret { length: 31 });
        assert_eq!(format!("{:?}", key(b'x')), "TokenKey(…)");
    }
}
