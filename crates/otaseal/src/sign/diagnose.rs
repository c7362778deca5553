//! Guesses why the device's code rejects an image.
//!
//! The guess is a hint for people, never a verdict. [`crate::sign::verify`] has judged before, and nothing here can
//! turn a rejection into anything else.

mod signature;

pub use signature::{Mismatch, mismatch};

use crate::format::image;
use crate::key::{EXPONENT, KeySize, PublicKey};
use crate::sign::Scheme;
use crate::sign::verify;
use otaseal_device::layout;
use rsa::{BoxedUint, RsaPublicKey};
use serde::Serialize;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

/// The likely cause of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// The image does not end in a signature of any size.
    NotSigned,
    /// A key of another size made the signature.
    OtherKeySize(u32),
    /// The signature is good under the other scheme.
    OtherScheme(Scheme),
    /// This key made the signature, over other bytes.
    PayloadChanged,
    /// Another key made the signature, or it was damaged.
    OtherKey,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSigned => f.write_str("the image is not signed, or its end was cut off"),
            Self::OtherKeySize(bits) => write!(f, "a key of {bits} bits made the signature"),
            Self::OtherScheme(Scheme::Legacy) => {
                f.write_str("it is a good legacy signature, which only esp8266 core 2.5.0 to 2.5.2 accepts")
            }
            Self::OtherScheme(Scheme::Pkcs1v15Sha256) => {
                f.write_str("it is a good signature in the current form, not a legacy signature")
            }
            Self::PayloadChanged => {
                f.write_str("this key made the signature, but over other bytes: the payload was changed")
            }
            Self::OtherKey => f.write_str("another key made the signature, or the signature is damaged"),
        }
    }
}

/// Looks for the likely cause of a rejection under `scheme`.
///
/// # Errors
/// Any error of the reader.
pub fn cause<R: Read + Seek>(image: &mut R, key: &PublicKey, scheme: Scheme) -> io::Result<Cause> {
    let Some(signature) = signature_of(image)? else { return Ok(Cause::NotSigned) };
    if signature.len() != key.size().bytes() {
        return Ok(Cause::OtherKeySize(signature.len() as u32 * 8));
    }
    let other = match scheme {
        Scheme::Pkcs1v15Sha256 => Scheme::Legacy,
        Scheme::Legacy => Scheme::Pkcs1v15Sha256,
    };
    image.rewind()?;
    if verify::judge(image, None, key, other).is_ok() {
        return Ok(Cause::OtherScheme(other));
    }
    Ok(if opens(&signature, key) { Cause::PayloadChanged } else { Cause::OtherKey })
}

/// Tells whether an image carries a signature of this key, in either form. It does not look at the payload: it says whose
/// file this was, not whether a device takes it. Only the owner of the private key can make such a signature.
///
/// # Errors
/// Any error of the reader.
pub fn carries_signature_of<R: Read + Seek>(image: &mut R, key: &PublicKey) -> io::Result<bool> {
    Ok(signature_of(image)?
        .is_some_and(|signature| signature.len() == key.size().bytes() && opens(&signature, key)))
}

/// Reads the signature of an image. Returns nothing if it has no trailer.
fn signature_of<R: Read + Seek>(image: &mut R) -> io::Result<Option<Vec<u8>>> {
    let length = image.seek(SeekFrom::End(0))?;
    let mut tail = [0; layout::LENGTH_FIELD_LEN];
    let Some(tail_start) = length.checked_sub(tail.len() as u64) else { return Ok(None) };
    image.seek(SeekFrom::Start(tail_start))?;
    image.read_exact(&mut tail)?;
    let Some(trailer) = image::trailer(&tail, length) else { return Ok(None) };
    let mut signature = vec![0; trailer.signature_len];
    image.seek(SeekFrom::Start(trailer.payload_len))?;
    image.read_exact(&mut signature)?;
    Ok(Some(signature))
}

/// Tells whether the key's public operation on the signature gives a PKCS#1 type-1 block (RFC 8017 9.2). By chance,
/// that happens to fewer than one in 2^80 signatures of other keys.
fn opens(signature: &[u8], key: &PublicKey) -> bool {
    open(signature, key)
        .is_some_and(|block| block.starts_with(&[0x00, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]))
}

/// Performs the public operation (RFC 8017 5.2.2). Returns the signed block, as long as the modulus. Returns nothing if
/// the size alone shows that it is no signature of this key.
fn open(signature: &[u8], key: &PublicKey) -> Option<Vec<u8>> {
    let bits = key.size().bits();
    let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, bits).ok();
    let modulus = number(key.modulus())?;
    let signature = number(signature).filter(|signature| *signature < modulus)?;
    let public = RsaPublicKey::new(modulus, BoxedUint::from(EXPONENT)).ok()?;
    let block = rsa::hazmat::rsa_encrypt(&public, &signature).ok()?.to_be_bytes();
    (block.len() == KeySize::bytes(key.size())).then(|| block.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PrivateKey;
    use std::io::Cursor;

    fn signed(key: &PrivateKey, scheme: Scheme) -> Vec<u8> {
        crate::testing::signed(b"a payload", key, scheme)
    }

    #[test]
    fn an_image_carries_a_signature_of_its_own_key_only() {
        let (mine, other) = (
            PrivateKey::generate(KeySize::Rsa2048).unwrap(),
            PrivateKey::generate(KeySize::Rsa2048).unwrap(),
        );
        for scheme in [Scheme::Pkcs1v15Sha256, Scheme::Legacy] {
            let image = signed(&mine, scheme);
            let ask = |image: &[u8], key: &PrivateKey| {
                carries_signature_of(&mut Cursor::new(image), key.public()).unwrap()
            };
            assert!(ask(&image, &mine) && !ask(&image, &other));
            // The payload may be damaged, the signature may not.
            let mut damaged = image.clone();
            damaged[0] ^= 1;
            assert!(ask(&damaged, &mine));
            let last_of_signature = image.len() - 5;
            damaged[last_of_signature] ^= 1;
            assert!(!ask(&damaged, &mine));
            assert!(!ask(&image[..image.len() - 1], &mine) && !ask(b"", &mine));
        }
    }

    #[test]
    fn each_cause_is_told_from_the_others() {
        let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        let other = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        let large = PrivateKey::generate(KeySize::Rsa3072).unwrap();
        let current = Scheme::Pkcs1v15Sha256;
        let ask = |image: Vec<u8>, scheme| cause(&mut Cursor::new(image), key.public(), scheme).unwrap();

        assert_eq!(ask(b"".to_vec(), current), Cause::NotSigned);
        assert_eq!(ask(b"no signature".to_vec(), current), Cause::NotSigned);
        assert_eq!(ask(signed(&large, current), current), Cause::OtherKeySize(3072));
        assert_eq!(ask(signed(&other, current), current), Cause::OtherKey);
        let legacy = signed(&key, Scheme::Legacy);
        assert_eq!(ask(legacy, current), Cause::OtherScheme(Scheme::Legacy));
        let good = signed(&key, current);
        assert_eq!(ask(good.clone(), Scheme::Legacy), Cause::OtherScheme(current));
        for scheme in [current, Scheme::Legacy] {
            let mut changed = signed(&key, scheme);
            changed[0] ^= 1;
            assert_eq!(ask(changed, current), Cause::PayloadChanged);
        }
        let mut damaged = good.clone();
        damaged[20] ^= 1;
        assert_eq!(ask(damaged, current), Cause::OtherKey);
        // The public operation is not possible on a signature above the modulus.
        let mut above = good;
        above[9..9 + 256].fill(0xFF);
        assert_eq!(ask(above, current), Cause::OtherKey);
    }
}
