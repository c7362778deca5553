//! Writes and reads signing requests: the key is on another machine, and the image does not go there.
//!
//! A request is a small JSON file that describes what to sign. So the signer can see what it is, and otaseal puts the
//! signature on the very image that it was asked for.

use crate::format::digest::{Sha256Digest, from_hex};
use crate::format::homie::Tokens;
use crate::key::{KeySize, PublicKey};
use crate::output::pretty_json;
use crate::sign::{Scheme, digest_info};
use otaseal_device::KeyId;
use serde::{Deserialize, Serialize};

/// Version of the request's form. It grows if a field changes its meaning or goes away, not if a field is added.
pub const SCHEMA: u32 = 1;

/// Longest request that otaseal reads, in bytes.
pub const MAX_REQUEST: usize = 64 * 1024;

/// A request for one signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SigningRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `otaseal` and its version.
    pub tool: String,
    /// The image: the bytes before the signature.
    pub image: RequestedImage,
    /// Homie firmware name, if the image has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Homie firmware version, if the image has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Homie brand, if the image has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The form of the signature.
    pub signature: Scheme,
    /// DigestInfo of the digest (RFC 8017 9.2), DER in hexadecimal, for a signer that only pads. Absent for a legacy
    /// signature, which has no DigestInfo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_info: Option<String>,
    /// The key that must sign, if it was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<RequestedKey>,
}

/// The image of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestedImage {
    /// Its name without directories: for people, never a path to open.
    pub file: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its SHA-256, which is signed.
    pub sha256: Sha256Digest,
}

impl RequestedImage {
    /// Makes one from its name, its size in bytes and its SHA-256.
    pub fn new(file: impl Into<String>, size_bytes: u64, sha256: Sha256Digest) -> Self {
        Self { file: file.into(), size_bytes, sha256 }
    }
}

/// The key of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestedKey {
    /// Its key id.
    #[serde(with = "crate::key::id")]
    pub id: KeyId,
    /// Size of the modulus.
    #[serde(rename = "bits")]
    pub size: KeySize,
}

/// Why a request cannot be used, or is not met.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It is longer than a request can be ([`MAX_REQUEST`]).
    #[error("it is larger than any signing request")]
    TooLarge,
    /// It is not JSON, or does not have the fields of a request.
    #[error("it is not a signing request: {0}")]
    Invalid(String),
    /// A newer otaseal wrote it.
    #[error("its schema is {0}, but this otaseal knows {SCHEMA}")]
    Schema(u32),
    /// Its fields contradict each other.
    #[error("somebody changed it: its {0}")]
    Inconsistent(&'static str),
    /// It names another key than the given one.
    #[error("it asks for the key {expected}, but this is {found}")]
    OtherKey {
        /// Key id in the request.
        expected: KeyId,
        /// Key id of the given key.
        found: KeyId,
    },
}

impl SigningRequest {
    /// Makes a request for an image's signature.
    pub fn new(image: RequestedImage, tokens: &Tokens, scheme: Scheme, key: Option<&PublicKey>) -> Self {
        let digest_info = (scheme == Scheme::Pkcs1v15Sha256).then(|| hex(&digest_info(&image.sha256)));
        Self {
            schema: SCHEMA,
            tool: concat!("otaseal ", env!("CARGO_PKG_VERSION")).into(),
            image,
            name: tokens.name.as_ref().map(|token| token.value.to_string()),
            version: tokens.version.as_ref().map(|token| token.value.to_string()),
            brand: tokens.brand.as_ref().map(|token| token.value.to_string()),
            signature: scheme,
            digest_info,
            key: key.map(|key| RequestedKey { id: key.id(), size: key.size() }),
        }
    }

    /// Returns JSON with a final newline. The same request gives the same bytes.
    pub fn to_json(&self) -> String {
        pretty_json(self)
    }

    /// Reads a request and checks that its fields agree.
    ///
    /// # Errors
    /// [`RequestError`], all but [`RequestError::OtherKey`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, RequestError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let invalid = |error: serde_json::Error| RequestError::Invalid(error.to_string());
        if bytes.len() > MAX_REQUEST {
            return Err(RequestError::TooLarge);
        }
        let schema = serde_json::from_slice::<Version>(bytes).map_err(invalid)?.schema;
        if schema != SCHEMA {
            return Err(RequestError::Schema(schema));
        }
        let request: Self = serde_json::from_slice(bytes).map_err(invalid)?;
        let expected =
            (request.signature == Scheme::Pkcs1v15Sha256).then(|| digest_info(&request.image.sha256));
        match (&request.digest_info, expected) {
            (None, None) => {}
            (Some(text), Some(expected)) if from_hex::<51>(text) == Some(expected) => {}
            _ => return Err(RequestError::Inconsistent("DigestInfo does not belong to its SHA-256")),
        }
        Ok(request)
    }

    /// Checks the key that will verify the signature.
    ///
    /// # Errors
    /// [`RequestError::OtherKey`]. A request that names no key accepts any.
    pub fn check_key(&self, key: &PublicKey) -> Result<(), RequestError> {
        let found = key.id();
        match self.key.as_ref().map(|key| key.id).filter(|expected| *expected != found) {
            Some(expected) => Err(RequestError::OtherKey { expected, found }),
            None => Ok(()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::digest::sha256;
    use crate::key::{KeySize, PrivateKey};

    fn request(scheme: Scheme, key: Option<&PublicKey>) -> SigningRequest {
        let image = RequestedImage::new("f.bin", 3, sha256(b"abc"));
        SigningRequest::new(image, &Tokens::default(), scheme, key)
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        for scheme in [Scheme::Pkcs1v15Sha256, Scheme::Legacy] {
            for key in [None, Some(key.public())] {
                let request = request(scheme, key);
                let json = request.to_json();
                assert_eq!(SigningRequest::from_json(json.as_bytes()).unwrap(), request);
                assert!(json.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
                assert_eq!(
                    json.contains("3031300d0609608648016503040201050004"),
                    scheme == Scheme::Pkcs1v15Sha256
                );
            }
        }
        let asked = request(Scheme::Pkcs1v15Sha256, Some(key.public()));
        assert!(asked.check_key(key.public()).is_ok());
        let other = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        assert!(matches!(asked.check_key(other.public()), Err(RequestError::OtherKey { .. })));
        assert!(request(Scheme::Pkcs1v15Sha256, None).check_key(other.public()).is_ok());
    }

    #[test]
    fn what_was_changed_is_refused() {
        let json = request(Scheme::Pkcs1v15Sha256, None).to_json();
        let changed = |from: &str, to: &str| {
            assert!(json.contains(from), "{from}");
            SigningRequest::from_json(json.replace(from, to).as_bytes()).unwrap_err()
        };
        let inconsistent = |error| matches!(error, RequestError::Inconsistent(_));
        assert!(inconsistent(changed("\"ba7816", "\"aa7816")));
        assert!(inconsistent(changed("\"30313", "\"30303")));
        assert!(inconsistent(changed("pkcs1v15-sha256", "legacy-bare-hash")));
        assert!(inconsistent(changed("\"digest_info\"", "\"other\"")));
        assert!(matches!(changed("\"schema\": 1", "\"schema\": 2"), RequestError::Schema(2)));
        assert!(matches!(changed("\"schema\"", "\"scheme\""), RequestError::Invalid(_)));
        assert!(matches!(changed("ba7816bf", "ba7816"), RequestError::Invalid(_)));
        let id = "a".repeat(64);
        for (id, bits) in [("../x", 2048), (&id[1..], 2048), (&id, 1), (&id, 1024)] {
            let key = format!("\"key\": {{\"id\": \"{id}\", \"bits\": {bits}}}, \"signature\"");
            let error =
                SigningRequest::from_json(json.replace("\"signature\"", &key).as_bytes()).unwrap_err();
            assert!(matches!(error, RequestError::Invalid(_)), "{error}");
        }
        let large = vec![b' '; MAX_REQUEST + 1];
        assert!(matches!(SigningRequest::from_json(&large), Err(RequestError::TooLarge)));
        for odd in [&b""[..], b"[]", b"{}", b"null", b"\xFF", b"{\"schema\": -1}"] {
            assert!(matches!(SigningRequest::from_json(odd), Err(RequestError::Invalid(_))), "{odd:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_json_never_panics(text in "[\\[\\]{}\":,a-z0-9 ]{0,200}") {
            let _ = SigningRequest::from_json(text.as_bytes());
        }
    }
}
