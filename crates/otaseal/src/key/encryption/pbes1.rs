//! PBES1 (RFC 8018 section 6.1) with DES: what `openssl pkcs8 -topk8` wrote before OpenSSL 1.1.

use super::super::passphrase::Passphrase;
use super::traditional::cbc_decrypt;
use super::{Encryption, EncryptionError, Kdf, number};
use md5::Md5;
use rsa::pkcs8::AlgorithmIdentifierRef;
use rsa::pkcs8::der::Decode;
use rsa::pkcs8::der::asn1::OctetStringRef;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

/// PBEParameter (RFC 8018 A.3), and which hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scheme {
    hash: Hash,
    salt: [u8; 8],
    iterations: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha1,
}

impl Scheme {
    pub(super) fn read(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Self, EncryptionError> {
        let hash = match algorithm.oid.to_string().as_str() {
            "1.2.840.113549.1.5.3" => Hash::Md5,
            "1.2.840.113549.1.5.10" => Hash::Sha1,
            other => return Err(EncryptionError::Unsupported(name(other))),
        };
        let parameters = algorithm.parameters.ok_or(EncryptionError::Damaged)?;
        let read = parameters.sequence(|fields| {
            let salt = <&OctetStringRef>::decode(fields)?.as_bytes();
            Ok::<_, rsa::pkcs8::der::Error>((salt, number(fields)?))
        });
        let (salt, iterations) = read.map_err(|_| EncryptionError::Damaged)?;
        let salt = salt.try_into().map_err(|_| EncryptionError::Damaged)?;
        Ok(Self { hash, salt, iterations })
    }

    pub(super) fn describe(&self) -> Encryption {
        let hash = match self.hash {
            Hash::Md5 => "MD5",
            Hash::Sha1 => "SHA1",
        };
        Encryption { cipher: "DES-CBC", kdf: Kdf::Pbkdf1 { hash, iterations: self.iterations } }
    }

    /// `None` when the padding is wrong, as it is with nearly every wrong passphrase.
    pub(super) fn decrypt(&self, passphrase: &Passphrase, data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let derived = match self.hash {
            Hash::Md5 => self.pbkdf1::<Md5>(passphrase),
            Hash::Sha1 => self.pbkdf1::<Sha1>(passphrase),
        };
        // Section 6.1.2: the first 8 bytes are the key, the next 8 the initialisation vector.
        cbc_decrypt::<des::Des>(&derived[..8], &derived[8..16], data)
    }

    /// Section 5.1.
    fn pbkdf1<D: Digest>(&self, passphrase: &Passphrase) -> Zeroizing<Vec<u8>> {
        let mut block = D::new().chain_update(passphrase.expose()).chain_update(self.salt).finalize();
        for _ in 1..self.iterations {
            block = D::digest(&block);
        }
        Zeroizing::new(block.to_vec())
    }
}

/// What the schemes are called that are not read: RFC 8018 A.3, RFC 7292 appendix C.
fn name(oid: &str) -> String {
    let name = match oid {
        "1.2.840.113549.1.5.1" => "pbeWithMD2AndDES-CBC",
        "1.2.840.113549.1.5.4" => "pbeWithMD2AndRC2-CBC",
        "1.2.840.113549.1.5.6" => "pbeWithMD5AndRC2-CBC",
        "1.2.840.113549.1.5.11" => "pbeWithSHA1AndRC2-CBC",
        "1.2.840.113549.1.12.1.1" => "pbeWithSHAAnd128BitRC4",
        "1.2.840.113549.1.12.1.2" => "pbeWithSHAAnd40BitRC4",
        "1.2.840.113549.1.12.1.3" => "pbeWithSHAAnd3-KeyTripleDES-CBC",
        "1.2.840.113549.1.12.1.4" => "pbeWithSHAAnd2-KeyTripleDES-CBC",
        "1.2.840.113549.1.12.1.5" => "pbeWithSHAAnd128BitRC2-CBC",
        "1.2.840.113549.1.12.1.6" => "pbeWithSHAAnd40BitRC2-CBC",
        other => return format!("the scheme {other}"),
    };
    name.into()
}
