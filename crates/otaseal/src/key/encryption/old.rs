//! Decrypts keys in the forms of old OpenSSL versions. otaseal never writes these forms.
//!
//! - PBES1 with DES (RFC 8018 section 6.1): `openssl pkcs8 -topk8` wrote it before OpenSSL 1.1.
//! - OpenSSL's traditional PEM form: `openssl genrsa -aes256` wrote it before OpenSSL 3. It has the headers of RFC 1421
//!   section 4.6 (`PEM_do_header` in OpenSSL's crypto/pem/pem_lib.c).
//!
//! The crates `aes`, `cbc`, `des` and `sha1` are direct dependencies because of this module alone.

use super::{Encryption, EncryptionError, Kdf, envelope, number};
use crate::format::key_file::{KeyFile, KeyFileKind};
use crate::key::passphrase::Passphrase;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use md5::Md5;
use rsa::pkcs8::AlgorithmIdentifierRef;
use rsa::pkcs8::der::Decode;
use rsa::pkcs8::der::asn1::OctetStringRef;
use sha1::{Digest, Sha1};
use zeroize::{Zeroize, Zeroizing};

/// An encrypted key of an old form that was understood.
pub(super) struct Locked<'a> {
    cipher: Cipher,
    derivation: Derivation,
    data: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    DesEde3,
    Des,
}

enum Derivation {
    /// PBEParameter, RFC 8018 A.3. The key and the initialisation vector are derived.
    Pbkdf1 { hash: Hash, salt: [u8; 8], iterations: u64 },
    /// `EVP_BytesToKey` with MD5 and one round. The key is derived; the file has the initialisation vector.
    BytesToKey { iv: Vec<u8> },
}

#[derive(Clone, Copy)]
enum Hash {
    Md5,
    Sha1,
}

/// Reads how a key file is encrypted. The caller has found that it is not PBES2.
///
/// # Errors
/// [`EncryptionError::Damaged`] and [`EncryptionError::Unsupported`].
pub(super) fn understand(file: &KeyFile) -> Result<(Encryption, Locked<'_>), EncryptionError> {
    let locked = match file.kind {
        KeyFileKind::EncryptedTraditional => {
            traditional(file.dek_info.as_deref().unwrap_or_default(), &file.der)?
        }
        _ => {
            let (algorithm, data) = envelope(&file.der).ok_or(EncryptionError::Damaged)?;
            pbes1(&algorithm, data)?
        }
    };
    let kdf = match locked.derivation {
        Derivation::Pbkdf1 { hash: Hash::Md5, iterations, .. } => Kdf::Pbkdf1 { hash: "MD5", iterations },
        Derivation::Pbkdf1 { hash: Hash::Sha1, iterations, .. } => Kdf::Pbkdf1 { hash: "SHA1", iterations },
        Derivation::BytesToKey { .. } => Kdf::OpensslMd5,
    };
    Ok((Encryption { cipher: locked.cipher.name(), kdf }, locked))
}

impl Locked<'_> {
    /// Returns the key in the clear. `None` if the padding is wrong, as it is with nearly every wrong passphrase.
    pub(super) fn decrypt(&self, passphrase: &Passphrase) -> Option<Zeroizing<Vec<u8>>> {
        let (key, iv) = self.derive(passphrase);
        let decrypt = match self.cipher {
            Cipher::Aes128 => cbc_decrypt::<aes::Aes128>,
            Cipher::Aes192 => cbc_decrypt::<aes::Aes192>,
            Cipher::Aes256 => cbc_decrypt::<aes::Aes256>,
            Cipher::DesEde3 => cbc_decrypt::<des::TdesEde3>,
            Cipher::Des => cbc_decrypt::<des::Des>,
        };
        decrypt(&key, &iv, self.data)
    }

    /// The cipher's key and its initialisation vector.
    fn derive(&self, passphrase: &Passphrase) -> (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>) {
        match &self.derivation {
            Derivation::Pbkdf1 { hash, salt, iterations } => {
                let mut key = match hash {
                    Hash::Md5 => pbkdf1::<Md5>(passphrase, salt, *iterations),
                    Hash::Sha1 => pbkdf1::<Sha1>(passphrase, salt, *iterations),
                };
                // Section 6.1.2: the first 8 bytes are the key, the next 8 the initialisation vector.
                let iv = Zeroizing::new(key[8..16].to_vec());
                key.truncate(8);
                (key, iv)
            }
            Derivation::BytesToKey { iv } => {
                (bytes_to_key(passphrase, &iv[..8], self.cipher.key_len()), Zeroizing::new(iv.clone()))
            }
        }
    }
}

impl Cipher {
    const ALL: [Self; 5] = [Self::Aes128, Self::Aes192, Self::Aes256, Self::DesEde3, Self::Des];

    fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "AES-128-CBC",
            Self::Aes192 => "AES-192-CBC",
            Self::Aes256 => "AES-256-CBC",
            Self::DesEde3 => "DES-EDE3-CBC",
            Self::Des => "DES-CBC",
        }
    }

    fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 | Self::DesEde3 => 24,
            Self::Aes256 => 32,
            Self::Des => 8,
        }
    }

    fn block_len(self) -> usize {
        match self {
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
            Self::DesEde3 | Self::Des => 8,
        }
    }
}

fn pbes1<'a>(algorithm: &AlgorithmIdentifierRef<'_>, data: &'a [u8]) -> Result<Locked<'a>, EncryptionError> {
    let hash = match algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.5.3" => Hash::Md5,
        "1.2.840.113549.1.5.10" => Hash::Sha1,
        other => return Err(EncryptionError::Unsupported(scheme_name(other))),
    };
    let parameters = algorithm.parameters.ok_or(EncryptionError::Damaged)?;
    let read = parameters.sequence(|fields| {
        let salt = <&OctetStringRef>::decode(fields)?.as_bytes();
        Ok::<_, rsa::pkcs8::der::Error>((salt, number(fields)?))
    });
    let (salt, iterations) = read.map_err(|_| EncryptionError::Damaged)?;
    let salt = salt.try_into().map_err(|_| EncryptionError::Damaged)?;
    Ok(Locked { cipher: Cipher::Des, derivation: Derivation::Pbkdf1 { hash, salt, iterations }, data })
}

/// The names of schemes that are not read: RFC 8018 A.3, RFC 7292 appendix C.
fn scheme_name(oid: &str) -> String {
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

/// Reads a `DEK-Info` header: `CIPHER,IV`, the initialisation vector in hexadecimal.
fn traditional<'a>(header: &str, data: &'a [u8]) -> Result<Locked<'a>, EncryptionError> {
    let (name, iv) = header.split_once(',').ok_or(EncryptionError::Damaged)?;
    let name = name.trim();
    let Some(cipher) = Cipher::ALL.into_iter().find(|cipher| cipher.name() == name) else {
        // The name is the file's own text. The error repeats it only if it looks like a name.
        let plain = !name.is_empty()
            && name.len() <= 32
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        return Err(match plain {
            true => EncryptionError::Unsupported(name.into()),
            false => EncryptionError::Damaged,
        });
    };
    let iv = hexadecimal(iv.trim()).filter(|iv| iv.len() == cipher.block_len());
    let iv = iv.ok_or(EncryptionError::Damaged)?;
    Ok(Locked { cipher, derivation: Derivation::BytesToKey { iv }, data })
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && digits.len() <= 64)?;
    Some(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// RFC 8018 section 5.1.
fn pbkdf1<D: Digest>(passphrase: &Passphrase, salt: &[u8], iterations: u64) -> Zeroizing<Vec<u8>> {
    let mut block = D::new().chain_update(passphrase.expose()).chain_update(salt).finalize();
    for _ in 1..iterations {
        block = D::digest(&block);
    }
    Zeroizing::new(block.to_vec())
}

/// `EVP_BytesToKey` in OpenSSL's crypto/evp/evp_key.c: MD5 over the block before, the passphrase and the salt.
fn bytes_to_key(passphrase: &Passphrase, salt: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(48));
    let mut block = [0u8; 16];
    while key.len() < length {
        let mut hash = Md5::new();
        if !key.is_empty() {
            hash.update(block);
        }
        hash.update(passphrase.expose());
        hash.update(salt);
        block = hash.finalize().into();
        key.extend_from_slice(&block);
    }
    block.zeroize();
    key.truncate(length);
    key
}

/// CBC with the padding of RFC 8018 section 6.1.1, step 4.
fn cbc_decrypt<C: BlockCipherDecrypt + KeyInit>(
    key: &[u8],
    iv: &[u8],
    data: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(data.to_vec());
    let mode = cbc::Decryptor::<C>::inner_iv_slice_init(C::new_from_slice(key).ok()?, iv).ok()?;
    let length = mode.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}
