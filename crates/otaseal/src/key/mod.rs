//! RSA keys: made, read, written, named.
//!
//! A key is checked at the door: 2048, 3072 or 4096 bits, e = 65537, RSA. What passes can be used without a
//! second look; what does not is an error that says what the file holds and what to do.

#[cfg(feature = "aws-lc")]
mod aws_lc;
pub mod encryption;
mod excerpt;
pub mod form;
pub(crate) mod id;
pub mod material;
pub mod pair;
pub mod passphrase;
pub(crate) mod said;
mod stack;
pub mod uri;

pub use self::id::parse_key_id;
use crate::format::key_file;
use crate::format::key_file::{Bad, KeyFile, KeyFileKind};
use crate::key::encryption::EncryptionError;
use crate::key::passphrase::{NoSecrets, SecretError, Secrets};
use memchr::memmem;
use otaseal_device::KeyId;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, RsaPrivateKeyRef, RsaPublicKeyRef};
use rsa::pkcs8::der::Decode;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding, PrivateKeyInfoRef};
use rsa::rand_core::UnwrapErr;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// The only public exponent that is made or accepted: what the device verifier is built for, and the value
/// with which no low-exponent forgery has worked.
pub const EXPONENT: u32 = 65537;

/// Modulus sizes that a device may be given.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "u32", try_from = "u32")]
pub enum KeySize {
    /// 2048 bits: what the Arduino cores document. Good through 2030 (NIST SP 800-57 part 1).
    #[default]
    Rsa2048,
    /// 3072 bits.
    Rsa3072,
    /// 4096 bits.
    Rsa4096,
}

impl KeySize {
    /// Size of the modulus in bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }

    /// Size of the modulus, and so of a signature, in bytes.
    pub const fn bytes(self) -> usize {
        self.bits() as usize / 8
    }

    /// The size for a number of bits, if it is one of the three.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            2048 => Some(Self::Rsa2048),
            3072 => Some(Self::Rsa3072),
            4096 => Some(Self::Rsa4096),
            _ => None,
        }
    }
}

/// Why a key cannot be used. The text names what was found; [`KeyError::help`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file is no key in any form that is known.
    #[error("this is not a key file")]
    NotAKey,
    /// PEM that starts well but cannot be read.
    #[error("the PEM block is damaged")]
    DamagedPem,
    /// Two private keys in one file.
    #[error("the file has more than one private key in it")]
    Ambiguous,
    /// The container is right, what is inside is not a consistent key.
    #[error("the key is damaged: its numbers do not belong together")]
    Inconsistent,
    /// The file is larger than any key.
    #[error("the file is larger than any key ({} KiB)", key_file::MAX_KEY_FILE / 1024)]
    TooLarge,
    /// A private key is needed, something else was given.
    #[error("a private key is needed, this is {}", .0.describe())]
    NotPrivate(KeyFileKind),
    /// A public key is needed, a private key was given.
    #[error("a public key is needed, this is {}", .0.describe())]
    PrivateOffered(KeyFileKind),
    /// A public key is needed, something else was given.
    #[error("an RSA public key is needed, this is {}", .0.describe())]
    NotPublic(KeyFileKind),
    /// A private key under a passphrase.
    #[error("this is {} and no passphrase was given", .0.describe())]
    Encrypted(KeyFileKind),
    /// The passphrase does not open the key.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The passphrase, whatever it is, could not open the key.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// The passphrase could not be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Not one of the three sizes.
    #[error("this is an RSA key of {bits} bits")]
    Size {
        /// Size of the modulus in bits.
        bits: u32,
    },
    /// e is not 65537.
    #[error("the public exponent is {0}, not 65537")]
    Exponent(String),
    /// A modulus that is even cannot be the product of two primes.
    #[error("the modulus is even: this is no RSA key")]
    EvenModulus,
    /// A key with more than two primes.
    #[error("this RSA key has more than two primes")]
    MultiPrime,
    /// The operating system gave no random numbers, or the library refused.
    #[error("no key could be made: {0}")]
    Generate(String),
}

/// An RSA public key that passed the door: size, exponent, odd modulus.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    size: KeySize,
    /// Big-endian, exactly `size.bytes()` long.
    modulus: Box<[u8]>,
    spki: Box<[u8]>,
    id: KeyId,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bits, {})", self.size.bits(), self.id)
    }
}

impl PublicKey {
    /// Reads SPKI or PKCS#1, PEM or DER.
    ///
    /// # Errors
    /// [`KeyError::PrivateOffered`] for any private key, readable or not: a command that wants a public key is
    /// about to write it somewhere. The other variants say what else the bytes are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let file = classify(bytes)?;
        match file.kind {
            KeyFileKind::SpkiPublic => {
                let (_, bits) = key_file::spki(&file.der).ok_or(KeyError::Inconsistent)?;
                Self::from_pkcs1_der(bits.as_bytes().ok_or(KeyError::Inconsistent)?)
            }
            KeyFileKind::Pkcs1Public => Self::from_pkcs1_der(&file.der),
            kind if kind.is_private() => Err(KeyError::PrivateOffered(kind)),
            kind => Err(KeyError::NotPublic(kind)),
        }
    }

    fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPublicKeyRef::from_der(der).map_err(|_| KeyError::Inconsistent)?;
        Self::from_numbers(key.modulus.as_bytes(), key.public_exponent.as_bytes())
    }

    /// `modulus` and `exponent` big-endian without leading zeros.
    pub(crate) fn from_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let Some(&top) = modulus.first() else { return Err(KeyError::Inconsistent) };
        let bits = (modulus.len() as u32 * 8).saturating_sub(top.leading_zeros());
        let size = KeySize::from_bits(bits).ok_or(KeyError::Size { bits })?;
        if exponent != [0x01, 0x00, 0x01] {
            return Err(KeyError::Exponent(decimal(exponent)));
        }
        if modulus.last().is_none_or(|low| low % 2 == 0) {
            return Err(KeyError::EvenModulus);
        }
        let number = BoxedUint::from_be_slice(modulus, bits).map_err(|_| KeyError::Inconsistent)?;
        let spki = RsaPublicKey::new(number, BoxedUint::from(EXPONENT))
            .ok()
            .and_then(|key| key.to_public_key_der().ok())
            .ok_or(KeyError::Inconsistent)?;
        let spki = spki.as_bytes();
        Ok(Self { size, modulus: modulus.into(), spki: spki.into(), id: KeyId(Sha256::digest(spki).into()) })
    }

    /// Size of the key.
    pub fn size(&self) -> KeySize {
        self.size
    }

    /// SHA-256 of the SPKI DER. Shown as 64 lower-case hexadecimal digits everywhere.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The modulus, big-endian, `size().bytes()` bytes.
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// SubjectPublicKeyInfo as DER (RFC 5280 4.1.2.7), as `openssl pkey -pubout -outform DER` writes it.
    pub fn to_spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// SubjectPublicKeyInfo as PEM with LF line ends, as `openssl pkey -pubout` writes it.
    pub fn to_spki_pem(&self) -> String {
        // The label and the size are ours and fixed: encoding cannot fail.
        pem("PUBLIC KEY", &self.spki).unwrap_or_default()
    }

    /// The key as the device verifier takes it: `W` 32-bit words, least significant first.
    ///
    /// # Errors
    /// [`KeyError::Size`] when the key does not have `W` words.
    pub fn to_device<const W: usize>(&self) -> Result<otaseal_device::PublicKey<W>, KeyError> {
        let wrong = || KeyError::Size { bits: self.size.bits() };
        let mut words = [0u32; W];
        if self.modulus.len() != W * 4 {
            return Err(wrong());
        }
        for (word, bytes) in words.iter_mut().zip(self.modulus.rchunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte));
        }
        otaseal_device::PublicKey::try_new(words, self.id).map_err(|_| wrong())
    }
}

/// An RSA private key. Its numbers are wiped when it is dropped, and `Debug` shows the key id only.
pub struct PrivateKey {
    inner: RsaPrivateKey,
    #[cfg(feature = "aws-lc")]
    held: aws_lc::Held,
    public: PublicKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} bits, {})", self.public.size.bits(), self.public.id)
    }
}

impl PrivateKey {
    /// Makes a key from the operating system's random numbers, e = 65537, two primes of half the size.
    ///
    /// # Errors
    /// [`KeyError::Generate`] when the library refuses.
    pub fn generate(size: KeySize) -> Result<Self, KeyError> {
        // `UnwrapErr` panics when the system has no entropy: there is nothing to go on with, and no weaker
        // source is ever tried. Ask once first, so that the ordinary failure is an error and not a panic.
        let mut probe = [0u8; 32];
        getrandom::fill(&mut probe).map_err(|error| KeyError::Generate(error.to_string()))?;
        let inner = RsaPrivateKey::new(&mut UnwrapErr(getrandom::SysRng), size.bits() as usize)
            .map_err(|error| KeyError::Generate(error.to_string()))?;
        Self::from_inner(inner)
    }

    /// Reads PKCS#8 or PKCS#1, PEM or DER, as OpenSSL 1.x and 3.x write them.
    ///
    /// # Errors
    /// The variant of [`KeyError`] that says what the bytes are instead. An encrypted key is
    /// [`KeyError::Encrypted`]: see [`Self::from_bytes_with`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::from_bytes_with(bytes, &"the key", &NoSecrets)
    }

    /// Reads what [`Self::from_bytes`] reads, and the same under a passphrase. `secrets` is asked when there is
    /// one, at most once, for the passphrase of `name`.
    ///
    /// # Errors
    /// As [`Self::from_bytes`]. [`KeyError::Encrypted`] when nobody knows the passphrase, [`KeyError::Secret`] when
    /// it could not be had, [`KeyError::WrongPassphrase`], and [`KeyError::Encryption`] when no passphrase would
    /// open it.
    pub fn from_bytes_with(
        bytes: &[u8],
        name: &dyn fmt::Display,
        secrets: &dyn Secrets,
    ) -> Result<Self, KeyError> {
        let mut file = classify(bytes)?;
        if matches!(file.kind, KeyFileKind::EncryptedPkcs8 | KeyFileKind::EncryptedTraditional) {
            file = key_file::unlocked(encryption::open(&file, name, secrets)?)
                .ok_or(KeyError::WrongPassphrase)?;
        }
        stack::wiped_after(|| Self::from_file(&file))
    }

    fn from_file(file: &KeyFile) -> Result<Self, KeyError> {
        match file.kind {
            KeyFileKind::Pkcs8Private => {
                let info = PrivateKeyInfoRef::from_der(&file.der).map_err(|_| KeyError::Inconsistent)?;
                Self::from_pkcs1_der(info.private_key.as_bytes())
            }
            KeyFileKind::Pkcs1Private => Self::from_pkcs1_der(&file.der),
            kind => Err(KeyError::NotPrivate(kind)),
        }
    }

    fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        let numbers = RsaPrivateKeyRef::from_der(der).map_err(|_| KeyError::Inconsistent)?;
        if numbers.version() != rsa::pkcs1::Version::TwoPrime {
            return Err(KeyError::MultiPrime);
        }
        // Size and exponent first: the clear errors, before any arithmetic on numbers of unknown size.
        PublicKey::from_numbers(numbers.modulus.as_bytes(), numbers.public_exponent.as_bytes())?;
        Self::from_inner(RsaPrivateKey::from_pkcs1_der(der).map_err(|_| KeyError::Inconsistent)?)
    }

    fn from_inner(inner: RsaPrivateKey) -> Result<Self, KeyError> {
        let modulus = inner.n().to_be_bytes_trimmed_vartime();
        let exponent = inner.e().to_be_bytes_trimmed_vartime();
        let public = PublicKey::from_numbers(&modulus, &exponent)?;
        Ok(Self {
            inner,
            #[cfg(feature = "aws-lc")]
            held: aws_lc::Held::default(),
            public,
        })
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// PKCS#8 PEM with LF line ends, unencrypted; wiped on drop.
    ///
    /// # Errors
    /// [`KeyError::Inconsistent`] when the key cannot be encoded, which a key that passed the door always can.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.inner.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Inconsistent)
    }

    /// PKCS#8 DER (RFC 5958 section 2), unencrypted; wiped on drop.
    ///
    /// # Errors
    /// As [`Self::to_pkcs8_pem`].
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(self.inner.to_pkcs8_der().map_err(|_| KeyError::Inconsistent)?.to_bytes())
    }

    /// PKCS#1 DER (RFC 8017 A.1.2), unencrypted; wiped on drop.
    ///
    /// # Errors
    /// As [`Self::to_pkcs8_pem`].
    pub fn to_pkcs1_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(self.inner.to_pkcs1_der().map_err(|_| KeyError::Inconsistent)?.to_bytes())
    }

    /// Where in these bytes a prime or the private exponent stands, in either order of bytes: what holds a key without
    /// them can sign by neither of the two ways.
    pub(crate) fn number_in(&self, bytes: &[u8]) -> Option<usize> {
        self.inner.primes().iter().map(AsRef::as_ref).chain([self.inner.d()]).find_map(|number| {
            let mut number = Zeroizing::new(number.to_be_bytes_trimmed_vartime());
            let big_endian = memmem::find(bytes, &number);
            number.reverse();
            big_endian.or_else(|| memmem::find(bytes, &number))
        })
    }

    /// RSASP1 over a padded message, blinded: the time it takes says nothing of the key.
    pub(crate) fn sign_blinded(&self, padding: rsa::Pkcs1v15Sign, digest: &[u8]) -> rsa::Result<Vec<u8>> {
        self.inner.sign_with_rng(&mut UnwrapErr(getrandom::SysRng), padding, digest)
    }
}

/// RFC 7468 with LF line ends.
fn pem(label: &'static str, der: &[u8]) -> Result<String, KeyError> {
    rsa::pkcs8::der::pem::encode_string(label, LineEnding::LF, der).map_err(|_| KeyError::Inconsistent)
}

fn classify(bytes: &[u8]) -> Result<KeyFile, KeyError> {
    if bytes.len() > key_file::MAX_KEY_FILE {
        return Err(KeyError::TooLarge);
    }
    let file = key_file::classify(bytes).map_err(|error| match error.why {
        Bad::Damaged => KeyError::DamagedPem,
        Bad::Ambiguous => KeyError::Ambiguous,
    });
    file?.ok_or(KeyError::NotAKey)
}

/// A small big-endian number in decimal; a long one by its length.
fn decimal(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=8 => bytes.iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte)).to_string(),
        length => format!("a number of {length} bytes"),
    }
}

#[cfg(test)]
mod tests;
