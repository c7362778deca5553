//! Encrypts private keys under a passphrase, and decrypts them.
//!
//! otaseal reads:
//! - PKCS#8 with PBES2 (RFC 8018 section 6.2), as OpenSSL 1.0, 1.1 and 3 and Python's `cryptography` write it;
//! - the forms of old versions of OpenSSL: the module `old`.
//!
//! otaseal writes PBES2 with AES-256-CBC alone.
//!
//! The file has the parameters of the key derivation, so an attacker who changes the file chooses them. otaseal refuses
//! parameters that would take minutes or gigabytes, before it derives anything.

mod old;

use super::KeyError;
use super::passphrase::{Passphrase, SecretError, SecretKind, Secrets, ask};
use super::stack;
use crate::format::key_file::{KeyFile, KeyFileKind};
use crate::format::secret::SecretBytes;
use pkcs8::pkcs5::pbes2;
use pkcs8::pkcs5::scrypt;
use rsa::pkcs1::RsaPrivateKeyRef;
use rsa::pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use rsa::pkcs8::der::{Decode, Reader};
use rsa::pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfoRef};
use serde::Serialize;
use std::fmt;
use zeroize::Zeroizing;

/// Most iterations of PBKDF2 that otaseal tries. They take seconds on a slow machine, and are 16 times those that it
/// writes.
pub const MAX_ITERATIONS: u64 = 10_000_000;
/// Most memory that scrypt may take, in bytes: N = 2^20 with r = 8, "sensitive storage" in scrypt's own paper.
pub const MAX_SCRYPT_MEMORY: u64 = 1 << 30;
/// Most work that scrypt may do, in bytes that it mixes (128 N r p): four times the memory.
pub const MAX_SCRYPT_WORK: u64 = 4 << 30;
/// Longest salt in bytes: the library that derives has no room for more. OpenSSL writes 8 or 16.
const MAX_SALT: usize = 32;

/// Iterations of PBKDF2-HMAC-SHA256 in a new file, as OWASP's cheat sheet recommends. OpenSSL's default is 2,048.
const PBKDF2_ITERATIONS: u32 = 600_000;
/// The logarithm of N, r and p of scrypt in a new file. N and r are OpenSSL's: its programs refuse a key that needs
/// more than 32 MiB. p is five times OpenSSL's: OWASP's cheat sheet counts that as equal to N = 2^17 with p = 1.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// How otaseal derives the key of a new file from its passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Derivation {
    /// scrypt, N = 16384, r = 8, p = 5.
    #[default]
    Scrypt,
    /// PBKDF2-HMAC-SHA256, 600,000 iterations: for readers without scrypt.
    Pbkdf2,
}

impl std::str::FromStr for Derivation {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "scrypt" => Ok(Self::Scrypt),
            "pbkdf2" => Ok(Self::Pbkdf2),
            _ => Err("expected scrypt or pbkdf2"),
        }
    }
}

/// Whether a new private key file needs a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection<'a> {
    /// It does not: everybody who can read the file can sign.
    None,
    /// It does.
    Passphrase(&'a Passphrase, Derivation),
}

/// The protection of a key file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Encryption {
    /// The cipher, as in `AES-256-CBC`.
    pub cipher: &'static str,
    /// How the passphrase becomes the cipher's key.
    #[serde(flatten)]
    pub kdf: Kdf,
}

/// How a passphrase becomes a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kdf", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kdf {
    /// RFC 8018 section 5.2.
    Pbkdf2 {
        /// The hash in the HMAC.
        hash: &'static str,
        /// How often it is applied.
        iterations: u64,
    },
    /// RFC 7914.
    Scrypt {
        /// Cost in time and memory.
        n: u64,
        /// Block size.
        r: u64,
        /// How often it is run.
        p: u64,
    },
    /// RFC 8018 section 5.1.
    Pbkdf1 {
        /// The hash.
        hash: &'static str,
        /// How often it is applied.
        iterations: u64,
    },
    /// `EVP_BytesToKey` with MD5, one round: a graphics card tries a billion passphrases a second.
    OpensslMd5,
}

impl Encryption {
    /// Whether it slows guessing down so little that only the passphrase counts: one round of MD5, single DES.
    pub fn is_weak(&self) -> bool {
        let slow = match self.kdf {
            Kdf::Pbkdf2 { iterations, .. } => iterations >= 1000,
            Kdf::Scrypt { n, r, p } => n.saturating_mul(r).saturating_mul(p) >= 1 << 14,
            Kdf::Pbkdf1 { .. } | Kdf::OpensslMd5 => false,
        };
        !slow || self.cipher == "DES-CBC"
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, ", self.cipher)?;
        match self.kdf {
            Kdf::Pbkdf2 { hash, iterations } => write!(f, "PBKDF2-HMAC-{hash}, {iterations} iterations"),
            Kdf::Scrypt { n, r, p } => write!(f, "scrypt N={n} r={r} p={p}"),
            Kdf::Pbkdf1 { hash, iterations } => write!(f, "PBKDF1-{hash}, {iterations} iterations"),
            Kdf::OpensslMd5 => f.write_str("one round of MD5"),
        }
    }
}

/// Why no passphrase opens an encrypted key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptionError {
    /// The file is cut, or was changed.
    #[error("the encrypted key is damaged")]
    Damaged,
    /// otaseal does not read the scheme.
    #[error("the key is encrypted with {0}, which otaseal does not read")]
    Unsupported(String),
    /// Key derivation that would take too long or too much memory.
    #[error("opening this key would take {wants}; the limit is {limit}")]
    TooExpensive {
        /// The cost.
        wants: String,
        /// The limit.
        limit: &'static str,
    },
}

/// An encrypted key file that otaseal understood. It has not asked for the passphrase yet.
enum Locked<'a> {
    Pbes2(Box<pbes2::Parameters>, &'a [u8]),
    Old(old::Locked<'a>),
}

/// Returns the protection of a key file, without its passphrase; `None` if there is no protection.
///
/// # Errors
/// [`KeyError::Encryption`] if no passphrase could open it, [`KeyError::NotAKey`] and [`KeyError::DamagedPem`].
pub fn describe(bytes: &[u8]) -> Result<Option<Encryption>, KeyError> {
    let file = super::classify(bytes)?;
    match file.kind {
        KeyFileKind::EncryptedPkcs8 | KeyFileKind::EncryptedTraditional => {
            let (encryption, _) = understand(&file)?;
            Ok(Some(encryption))
        }
        _ => Ok(None),
    }
}

/// Takes the protection off. Returns the DER of PKCS#8 or PKCS#1, wiped on drop. Asks `secrets` once, for the
/// passphrase of `name`; it does not ask if no passphrase could open the file.
pub(super) fn open(
    file: &KeyFile,
    name: &dyn fmt::Display,
    secrets: &dyn Secrets,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (encryption, locked) = understand(file)?;
    affordable(&encryption.kdf)?;
    let passphrase =
        ask(secrets, SecretKind::Passphrase, &name.to_string()).map_err(|error| match error {
            SecretError::NoneGiven(_) => KeyError::Encrypted(file.kind),
            error => KeyError::Secret(error),
        })?;
    let plain = stack::wiped_after(|| match &locked {
        Locked::Pbes2(parameters, data) => {
            let mut buffer = Zeroizing::new(data.to_vec());
            let length = parameters.decrypt_in_place(passphrase.expose(), &mut buffer).ok()?.len();
            buffer.truncate(length);
            Some(buffer)
        }
        Locked::Old(locked) => locked.decrypt(&passphrase),
    });
    // One wrong passphrase in 256 leaves bytes whose padding looks right, so the bytes must be a key as well.
    let opened = plain.filter(|der| match file.kind {
        KeyFileKind::EncryptedPkcs8 => PrivateKeyInfoRef::from_der(der).is_ok(),
        _ => RsaPrivateKeyRef::from_der(der).is_ok(),
    });
    opened.ok_or(KeyError::WrongPassphrase)
}

/// Puts the protection on a PKCS#8 DER: EncryptedPrivateKeyInfo (RFC 5958 section 3), DER, with PBES2 and
/// AES-256-CBC. Salt and initialisation vector are new each time.
pub(super) fn protect(
    pkcs8: &[u8],
    passphrase: &Passphrase,
    derivation: Derivation,
) -> Result<Vec<u8>, KeyError> {
    let failed = || KeyError::Generate("the key could not be encrypted".into());
    let (mut salt, mut iv) = ([0u8; 16], [0u8; 16]);
    for random in [&mut salt, &mut iv] {
        getrandom::fill(random).map_err(|error| KeyError::Generate(error.to_string()))?;
    }
    let parameters = match derivation {
        Derivation::Pbkdf2 => {
            pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(PBKDF2_ITERATIONS, &salt, iv)
        }
        Derivation::Scrypt => {
            let (log_n, r, p) = SCRYPT;
            let cost = scrypt::Params::new(log_n, r, p).map_err(|_| failed())?;
            pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv)
        }
    }
    .map_err(|_| failed())?;
    stack::wiped_after(|| {
        let info = PrivateKeyInfoRef::from_der(pkcs8).ok()?;
        let locked = info.encrypt_with_params(parameters.clone(), passphrase.expose()).ok()?;
        Some(locked.as_bytes().to_vec())
    })
    .ok_or_else(failed)
}

fn understand(file: &KeyFile) -> Result<(Encryption, Locked<'_>), EncryptionError> {
    if file.kind == KeyFileKind::EncryptedPkcs8 {
        let (algorithm, data) = envelope(&file.der).ok_or(EncryptionError::Damaged)?;
        if algorithm.oid == pbes2::PBES2_OID {
            let (encryption, parameters) = pbes2(&algorithm)?;
            return Ok((encryption, Locked::Pbes2(Box::new(parameters), data)));
        }
    }
    let (encryption, locked) = old::understand(file)?;
    Ok((encryption, Locked::Old(locked)))
}

/// EncryptedPrivateKeyInfo, RFC 5958 section 3.
fn envelope(der: &[u8]) -> Option<(AlgorithmIdentifierRef<'_>, &[u8])> {
    let outer = AnyRef::from_der(der).ok()?;
    let read = outer.sequence(|fields| {
        let algorithm = AlgorithmIdentifierRef::decode(fields)?;
        Ok::<_, rsa::pkcs8::der::Error>((algorithm, <&OctetStringRef>::decode(fields)?.as_bytes()))
    });
    read.ok()
}

/// Reads PBES2-params, RFC 8018 A.4. The library that decrypts panics on some parameters: it indexes into the
/// initialisation vector of DES, and takes the logarithm of scrypt's N, before it checks them. So this checks them.
fn pbes2(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<(Encryption, pbes2::Parameters), EncryptionError> {
    let damaged = |_| EncryptionError::Damaged;
    let parameters = algorithm.parameters.ok_or(EncryptionError::Damaged)?;
    let (kdf, cipher) = parameters
        .sequence(|fields| {
            let kdf = AlgorithmIdentifierRef::decode(fields)?;
            Ok::<_, rsa::pkcs8::der::Error>((kdf, AlgorithmIdentifierRef::decode(fields)?))
        })
        .map_err(damaged)?;
    let (name, iv_len) = match cipher.oid {
        pbes2::AES_128_CBC_OID => ("AES-128-CBC", 16),
        pbes2::AES_192_CBC_OID => ("AES-192-CBC", 16),
        pbes2::AES_256_CBC_OID => ("AES-256-CBC", 16),
        pbes2::DES_EDE3_CBC_OID => ("DES-EDE3-CBC", 8),
        oid => return Err(unsupported("PBES2", oid)),
    };
    let iv = cipher.parameters.ok_or(EncryptionError::Damaged)?;
    let iv = iv.decode_as::<&OctetStringRef>().map_err(damaged)?;
    if iv.as_bytes().len() != iv_len {
        return Err(EncryptionError::Damaged);
    }
    let fields = kdf.parameters.ok_or(EncryptionError::Damaged)?;
    let kdf = match kdf.oid {
        pbes2::PBKDF2_OID => pbkdf2(&fields)?,
        pbes2::SCRYPT_OID => scrypt_parameters(&fields)?,
        oid => return Err(unsupported("PBES2", oid)),
    };
    // A number that does not fit the library's types is far beyond the limits.
    affordable(&kdf)?;
    let parameters = pbes2::Parameters::try_from(parameters).map_err(damaged)?;
    Ok((Encryption { cipher: name, kdf }, parameters))
}

/// PBKDF2-params, RFC 8018 A.2.
fn pbkdf2(parameters: &AnyRef<'_>) -> Result<Kdf, EncryptionError> {
    let read = parameters.sequence(|fields| {
        let salt = <&OctetStringRef>::decode(fields)?;
        let iterations = number(fields)?;
        let _key_length = Option::<u16>::decode(fields)?;
        let prf = Option::<AlgorithmIdentifierRef<'_>>::decode(fields)?;
        Ok::<_, rsa::pkcs8::der::Error>((salt.as_bytes().len(), iterations, prf.map(|prf| prf.oid)))
    });
    let (salt, iterations, prf) = read.map_err(|_| EncryptionError::Damaged)?;
    check_salt(salt)?;
    let hash = match prf.map(|oid| oid.to_string()).as_deref() {
        // The default of the standard. OpenSSL 1.0 omits the hash.
        None | Some("1.2.840.113549.2.7") => "SHA1",
        Some("1.2.840.113549.2.8") => "SHA224",
        Some("1.2.840.113549.2.9") => "SHA256",
        Some("1.2.840.113549.2.10") => "SHA384",
        Some("1.2.840.113549.2.11") => "SHA512",
        Some(other) => {
            return Err(EncryptionError::Unsupported(format!("PBKDF2 and the hash {other}")));
        }
    };
    if iterations == 0 {
        return Err(EncryptionError::Damaged);
    }
    Ok(Kdf::Pbkdf2 { hash, iterations })
}

/// scrypt-params, RFC 7914 section 7.
fn scrypt_parameters(parameters: &AnyRef<'_>) -> Result<Kdf, EncryptionError> {
    let read = parameters.sequence(|fields| {
        let salt = <&OctetStringRef>::decode(fields)?.as_bytes().len();
        let (n, r, p) = (number(fields)?, number(fields)?, number(fields)?);
        let _key_length = Option::<u16>::decode(fields)?;
        Ok::<_, rsa::pkcs8::der::Error>((salt, n, r, p))
    });
    let (salt, n, r, p) = read.map_err(|_| EncryptionError::Damaged)?;
    check_salt(salt)?;
    if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
        return Err(EncryptionError::Damaged);
    }
    Ok(Kdf::Scrypt { n, r, p })
}

/// Reads a number of any size. One that does not fit reads as the largest that does, which is beyond every limit.
fn number<'a, R: Reader<'a>>(fields: &mut R) -> Result<u64, rsa::pkcs8::der::Error> {
    let number = rsa::pkcs8::der::asn1::UintRef::decode(fields)?;
    let bytes = number.as_bytes();
    Ok(match bytes.len() {
        0..=8 => bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)),
        _ => u64::MAX,
    })
}

fn check_salt(length: usize) -> Result<(), EncryptionError> {
    if length > MAX_SALT {
        return Err(EncryptionError::Unsupported(format!("a salt of {length} bytes")));
    }
    Ok(())
}

fn unsupported(scheme: &str, oid: ObjectIdentifier) -> EncryptionError {
    EncryptionError::Unsupported(format!("{scheme} and the algorithm {oid}"))
}

fn affordable(kdf: &Kdf) -> Result<(), EncryptionError> {
    match *kdf {
        Kdf::Pbkdf2 { iterations, .. } | Kdf::Pbkdf1 { iterations, .. } if iterations > MAX_ITERATIONS => {
            let wants = match iterations {
                u64::MAX => "more iterations than can be counted".into(),
                count => format!("{count} iterations"),
            };
            Err(EncryptionError::TooExpensive { wants, limit: "10000000" })
        }
        Kdf::Scrypt { n, r, p } => {
            let times = |a: u64, b: u64| a.saturating_mul(b);
            let memory = times(times(128, r), n.saturating_add(p));
            let work = times(times(times(128, r), n), p);
            if memory > MAX_SCRYPT_MEMORY {
                let wants = format!("{} MiB of memory", memory >> 20);
                return Err(EncryptionError::TooExpensive { wants, limit: "1024 MiB" });
            }
            if work > MAX_SCRYPT_WORK {
                let wants = format!("the mixing of {} MiB", work >> 20);
                return Err(EncryptionError::TooExpensive { wants, limit: "4096 MiB" });
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

impl super::PrivateKey {
    /// PKCS#8 under a passphrase (RFC 5958 section 3), DER: PBES2, AES-256-CBC. OpenSSL 1.1 and later read it.
    ///
    /// # Errors
    /// [`KeyError::Secret`] for a passphrase that [`Passphrase::check_new`] refuses, [`KeyError::Generate`] when
    /// the system has no random numbers.
    pub fn to_encrypted_der(
        &self,
        passphrase: &Passphrase,
        derivation: Derivation,
    ) -> Result<Vec<u8>, KeyError> {
        passphrase.check_new()?;
        protect(&self.to_pkcs8_der()?, passphrase, derivation)
    }

    /// PKCS#8 PEM with LF line ends: `PRIVATE KEY`, or `ENCRYPTED PRIVATE KEY`. Wiped on drop.
    ///
    /// # Errors
    /// The errors of [`Self::to_encrypted_der`] and [`Self::to_pkcs8_pem`].
    pub fn to_pem(&self, protection: Protection<'_>) -> Result<SecretBytes, KeyError> {
        match protection {
            Protection::None => self.to_pkcs8_pem(),
            Protection::Passphrase(passphrase, derivation) => {
                let der = self.to_encrypted_der(passphrase, derivation)?;
                Ok(super::pem("ENCRYPTED PRIVATE KEY", &der)?.into_bytes().into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
