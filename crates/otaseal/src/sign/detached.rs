//! Reads the signature of an offline signer.

use crate::format::digest::Sha256Digest;
use crate::key::material;
use crate::key::{KeySize, PublicKey};
use crate::sign::{Scheme, SignError, Signer};
use base64ct::{Base64Unpadded, Encoding};

/// Longest text or file that is read as a signature. It has room for 512 bytes as hexadecimal with a separator after
/// each, or as base64 in short lines.
pub const MAX_SIGNATURE_FILE: usize = 4096;

/// Why bytes are no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DetachedError {
    /// There are no bytes.
    #[error("it is empty")]
    Empty,
    /// It is longer than any signature in any form.
    #[error("it is longer than any signature ({MAX_SIGNATURE_FILE} bytes)")]
    TooLong,
    /// It is neither the right number of raw bytes, nor their hexadecimal or base64 text.
    #[error("{found} bytes are not a signature: a key of {} bits makes {expected} bytes{}", expected * 8, is(kind))]
    NotASignature {
        /// Length in bytes. If it is text, the length of the bytes that it decodes to.
        found: usize,
        /// Length of a signature by the expected key, in bytes.
        expected: usize,
        /// Its kind, if it does not decode. None of its bytes are shown: a wrong file may be a private key.
        kind: Option<String>,
    },
}

fn is(kind: &Option<String>) -> String {
    kind.as_ref().map_or_else(String::new, |kind| format!("; it is {kind}"))
}

/// Reads a signature by a key of this size. It may be raw. It may be hexadecimal (with or without `:`, with `0x` or the
/// words of `openssl dgst -hex` before it). It may be base64 (also in the alphabet for URLs). White space does not
/// matter. This does not verify the signature.
///
/// # Errors
/// [`DetachedError`]. [`DetachedError::NotASignature`] also if the text is a signature of another size.
pub fn decode(bytes: &[u8], size: KeySize) -> Result<Vec<u8>, DetachedError> {
    let expected = size.bytes();
    if bytes.len() == expected {
        return Ok(bytes.into());
    }
    if bytes.len() > MAX_SIGNATURE_FILE {
        return Err(DetachedError::TooLong);
    }
    let close = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
    };
    let text = close(bytes);
    if text.is_empty() {
        return Err(DetachedError::Empty);
    }
    let decoded = match after_dgst(bytes) {
        Some(digits) => hexadecimal(&close(digits)),
        None => hexadecimal(&text).or_else(|| base64(&text)),
    };
    match decoded {
        Some(decoded) if decoded.len() == expected => Ok(decoded),
        // A single word is base64 by chance: for text shorter than any signature, the original length counts.
        Some(decoded) if decoded.len() >= 128 => {
            Err(DetachedError::NotASignature { found: decoded.len(), expected, kind: None })
        }
        _ => {
            let (length, ends) = (bytes.len(), |end: &[u8]| bytes.ends_with(end));
            let kind = Some(match length.wrapping_sub(expected) {
                1 if ends(b"\n") => "as long as a signature with a line end behind it".into(),
                2 if ends(b"\r\n") => "as long as a signature with a line end behind it".into(),
                _ => material::kind(bytes),
            });
            Err(DetachedError::NotASignature { found: bytes.len(), expected, kind })
        }
    }
}

/// Returns the digits after `RSA-SHA2-256(FILE)= ` on the line that `openssl dgst -hex` writes.
fn after_dgst(bytes: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b")= ";
    let name = bytes.iter().position(|&byte| byte == b'(')?;
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_/".contains(byte);
    if name == 0 || !bytes.get(..name)?.iter().all(known) {
        return None;
    }
    bytes.get(memchr::memmem::rfind(bytes, MARK)? + MARK.len()..)
}

fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let digits: Vec<u8> =
        text.iter().filter(|&&digit| digit != b':').map(|&digit| nibble(digit)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let text = text.get(..text.len() - padding).filter(|_| padding <= 2)?;
    let standard = |byte: &u8| match byte {
        b'-' => '+',
        b'_' => '/',
        byte => char::from(*byte),
    };
    Base64Unpadded::decode_vec(&text.iter().map(standard).collect::<String>()).ok()
}

/// A key that has signed already. It has one signature and returns it for everything it is asked to sign. The device
/// verifier then judges it, as with every other signer.
#[derive(Debug)]
pub struct Detached {
    public: PublicKey,
    signature: Vec<u8>,
}

impl Detached {
    /// Reads the signature, see [`decode`].
    ///
    /// # Errors
    /// [`DetachedError`].
    pub fn new(public: PublicKey, bytes: &[u8]) -> Result<Self, DetachedError> {
        let signature = decode(bytes, public.size())?;
        Ok(Self { public, signature })
    }
}

impl Signer for Detached {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign_digest(&self, _: Scheme, _: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        Ok(self.signature.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::openssl;
    use std::fs;

    #[test]
    fn every_form_of_a_signature_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let raw: Vec<u8> = (0..=255).map(|byte: u8| byte.wrapping_mul(151).wrapping_add(250)).collect();
        fs::write(dir.join("raw"), &raw).unwrap();
        openssl(dir, "base64 -in raw -out base64");
        openssl(dir, "base64 -A -in raw -out line");
        let lines = fs::read(dir.join("base64")).unwrap();
        let line = fs::read_to_string(dir.join("line")).unwrap();
        let lower: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let colons: Vec<_> = raw.iter().map(|byte| format!("{byte:02X}")).collect();
        let url = line.replace('+', "-").replace('/', "_");
        for form in [
            &raw[..],
            &lines,
            line.as_bytes(),
            url.trim_end_matches('=').as_bytes(),
            lower.as_bytes(),
            lower.to_uppercase().as_bytes(),
            colons.join(":").as_bytes(),
            format!("\r\n {}\t\n", colons.join(" ")).as_bytes(),
            format!("0x{lower}\n").as_bytes(),
            format!("RSA-SHA2-256(a (new)= file.bin)= {lower}\n").as_bytes(),
        ] {
            assert_eq!(decode(form, KeySize::Rsa2048).as_ref(), Ok(&raw));
        }
        let other = |kind: Option<&str>| {
            Err(DetachedError::NotASignature { found: 256, expected: 384, kind: kind.map(str::to_owned) })
        };
        assert_eq!(decode(&raw, KeySize::Rsa3072), other(Some("binary")));
        assert_eq!(decode(lower.as_bytes(), KeySize::Rsa3072), other(None));
        assert_eq!(decode(&lines, KeySize::Rsa3072), other(None));
    }

    #[test]
    fn what_is_none_is_refused() {
        let size = KeySize::Rsa2048;
        assert_eq!(decode(b"", size), Err(DetachedError::Empty));
        assert_eq!(decode(b" \n", size), Err(DetachedError::Empty));
        assert_eq!(decode(&[b'A'; 5000], size), Err(DetachedError::TooLong));
        for (bytes, kind) in [
            (&b"AccessDenied: not for you!\n"[..], "text"),
            (b"Denied", "text"),
            (&[0xFF; 40], "binary"),
            (&[&[0xFF; 256][..], b"\n"].concat(), "as long as a signature with a line end behind it"),
            (&[&[0xFF; 256][..], b"\r\n"].concat(), "as long as a signature with a line end behind it"),
            (&[0xFF; 257], "binary"),
            (b"RSA-SHA2-256(a)= no digits", "text"),
            (b"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", "a PEM block (PRIVATE KEY)"),
        ] {
            let error = decode(bytes, size).unwrap_err().to_string();
            assert!(error.ends_with(&format!("makes 256 bytes; it is {kind}")), "{error}");
        }
        for odd in [&b"abc:"[..], b"====", b"A===", b"\xFF\x00\x01", b"{\"sig\": 1}"] {
            assert!(decode(odd, size).is_err(), "{odd:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
            let _ = decode(&bytes, KeySize::Rsa2048);
        }
    }
}
