//! Makes, reads, writes and names RSA keys.
//!
//! otaseal checks every key when it reads it: RSA, 2048, 3072 or 4096 bits, e = 65537. A key that passes can be used
//! without a second look. For anything else, the error says what the file holds.

#[cfg(feature = "aws-lc")]
mod aws_lc;
pub mod encryption;
mod excerpt;
pub mod form;
pub(crate) mod id;
pub mod material;
mod numbers;
pub mod pair;
pub mod passphrase;
pub(crate) mod said;
pub mod stack;
pub mod uri;

pub use self::id::parse_key_id;
use crate::format::key_file;
use crate::format::key_file::{Bad, KeyFile, KeyFileKind};
use crate::format::secret::SecretBytes;
use crate::key::encryption::EncryptionError;
use crate::key::passphrase::{NoSecrets, SecretError, Secrets};
use otaseal_device::KeyId;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, RsaPrivateKeyRef, RsaPublicKeyRef};
use rsa::pkcs8::der::Decode;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding, PrivateKeyInfoRef};
use rsa::rand_core::UnwrapErr;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::mem;
use zeroize::Zeroizing;

/// The only public exponent that otaseal makes or accepts. The device verifier is built for it, and no low-exponent
/// forgery has worked with it.
pub const EXPONENT: u32 = 65537;

/// The sizes of the modulus that otaseal accepts.
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
    /// Returns the size of the modulus in bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }

    /// Returns the size of the modulus in bytes, which is also the size of a signature.
    pub const fn bytes(self) -> usize {
        self.bits() as usize / 8
    }

    /// Returns the size for a number of bits, if it is one of the three.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            2048 => Some(Self::Rsa2048),
            3072 => Some(Self::Rsa3072),
            4096 => Some(Self::Rsa4096),
            _ => None,
        }
    }
}

/// Why otaseal cannot use a key. The text names what the file holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file is no key in any form that otaseal knows.
    #[error("this is not a key file")]
    NotAKey,
    /// The PEM begins well but cannot be read.
    #[error("the PEM block is damaged")]
    DamagedPem,
    /// The file has more than one private key.
    #[error("the file has more than one private key")]
    Ambiguous,
    /// The container is right, but the numbers in it are no consistent key.
    #[error("the key is damaged: its numbers do not belong together")]
    Inconsistent,
    /// The file is larger than any key.
    #[error("the file is larger than any key ({} KiB)", key_file::MAX_KEY_FILE / 1024)]
    TooLarge,
    /// A private key is needed, and the file holds something else.
    #[error("a private key is needed, but this is {}", .0.describe())]
    NotPrivate(KeyFileKind),
    /// A public key is needed, and the file holds a private key.
    #[error("a public key is needed, but this is {}", .0.describe())]
    PrivateOffered(KeyFileKind),
    /// A public key is needed, and the file holds something else.
    #[error("an RSA public key is needed, but this is {}", .0.describe())]
    NotPublic(KeyFileKind),
    /// The private key is encrypted, and nobody gave its passphrase.
    #[error("this is {} and no passphrase was given", .0.describe())]
    Encrypted(KeyFileKind),
    /// The passphrase does not open the key.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// No passphrase can open the key.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// There is no passphrase, or none that can be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The size is not one of the three.
    #[error("this is an RSA key of {bits} bits")]
    Size {
        /// Size of the modulus in bits.
        bits: u32,
    },
    /// e is not 65537.
    #[error("the public exponent is {0}, not 65537")]
    Exponent(String),
    /// A modulus that is even cannot be the product of two primes.
    #[error("the modulus is even: this is not an RSA key")]
    EvenModulus,
    /// The key has more than two primes.
    #[error("this RSA key has more than two primes")]
    MultiPrime,
    /// The operating system gave no random numbers, or the library refused.
    #[error("otaseal could not make a key: {0}")]
    Generate(String),
}

/// An RSA public key whose size, exponent and odd modulus were checked.
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
    /// [`KeyError::PrivateOffered`] for every private key, readable or not: a command that wants a public key is about
    /// to write it somewhere. The other variants say what the bytes are instead.
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

    /// Makes a key from its numbers, both big-endian without leading zeros.
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

    /// Returns the size of the key.
    pub fn size(&self) -> KeySize {
        self.size
    }

    /// Returns the key id: SHA-256 of the SPKI DER. It is shown as 64 lower-case hexadecimal digits everywhere.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Returns the modulus, big-endian, `size().bytes()` bytes.
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// Returns the SubjectPublicKeyInfo as DER (RFC 5280 4.1.2.7), as `openssl pkey -pubout -outform DER` writes it.
    pub fn to_spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Returns the SubjectPublicKeyInfo as PEM with LF line ends, as `openssl pkey -pubout` writes it.
    pub fn to_spki_pem(&self) -> String {
        // otaseal chooses the label and the size, so that encoding cannot fail.
        pem("PUBLIC KEY", &self.spki).unwrap_or_default()
    }

    /// Returns the key in the form for the device verifier: `W` 32-bit words, least significant first.
    ///
    /// # Errors
    /// [`KeyError::Size`] if the key does not have `W` words.
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

/// An RSA private key. Its numbers are wiped when it is dropped. `Debug` shows only the key id.
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
    /// Makes a key from the operating system's random numbers: e = 65537, two primes of half the size.
    ///
    /// # Errors
    /// [`KeyError::Generate`] if the library refuses.
    pub fn generate(size: KeySize) -> Result<Self, KeyError> {
        // `UnwrapErr` panics if the system has no entropy. otaseal never tries a weaker source. This asks once first,
        // so that the ordinary failure is an error and not a panic.
        let mut probe = [0u8; 32];
        getrandom::fill(&mut probe).map_err(|error| KeyError::Generate(error.to_string()))?;
        stack::wiped_after(|| {
            let inner = RsaPrivateKey::new(&mut UnwrapErr(getrandom::SysRng), size.bits() as usize)
                .map_err(|error| KeyError::Generate(error.to_string()))?;
            Self::from_inner(inner)
        })
    }

    /// Reads PKCS#8 or PKCS#1, PEM or DER, as OpenSSL 1.x and 3.x write them.
    ///
    /// # Errors
    /// The variant of [`KeyError`] that says what the bytes are instead. An encrypted key is [`KeyError::Encrypted`]:
    /// see [`Self::from_bytes_with`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::from_bytes_with(bytes, &"the key", &NoSecrets)
    }

    /// Reads the same files as [`Self::from_bytes`], also encrypted ones. If the key is encrypted, it asks `secrets`
    /// once for the passphrase of `name`.
    ///
    /// # Errors
    /// The errors of [`Self::from_bytes`]. [`KeyError::Encrypted`] if nobody knows the passphrase, [`KeyError::Secret`]
    /// if asking for it fails, [`KeyError::WrongPassphrase`], and [`KeyError::Encryption`] if no passphrase would open
    /// it.
    pub fn from_bytes_with(
        bytes: &[u8],
        name: &dyn fmt::Display,
        secrets: &dyn Secrets,
    ) -> Result<Self, KeyError> {
        stack::wiped_after(|| {
            let mut file = classify(bytes)?;
            if matches!(file.kind, KeyFileKind::EncryptedPkcs8 | KeyFileKind::EncryptedTraditional) {
                file = key_file::unlocked(encryption::open(&file, name, secrets)?)
                    .ok_or(KeyError::WrongPassphrase)?;
            }
            Self::from_file(&file)
        })
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
        // Size and exponent come first: they give clear errors, before any arithmetic on numbers of unknown size.
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

    /// Returns the public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns unencrypted PKCS#8 PEM with LF line ends, wiped on drop.
    ///
    /// # Errors
    /// [`KeyError::Inconsistent`] if the key cannot be encoded. A key that was checked always can.
    pub fn to_pkcs8_pem(&self) -> Result<SecretBytes, KeyError> {
        let pem = stack::wiped_after(|| self.inner.to_pkcs8_pem(LineEnding::LF));
        let mut pem = pem.map_err(|_| KeyError::Inconsistent)?;
        Ok(mem::take(&mut *pem).into_bytes().into())
    }

    /// Returns unencrypted PKCS#8 DER (RFC 5958 section 2), wiped on drop.
    ///
    /// # Errors
    /// The errors of [`Self::to_pkcs8_pem`].
    pub fn to_pkcs8_der(&self) -> Result<SecretBytes, KeyError> {
        let der = stack::wiped_after(|| self.inner.to_pkcs8_der().map(|der| der.to_bytes()));
        Ok(SecretBytes::new(der.map_err(|_| KeyError::Inconsistent)?))
    }

    /// Returns unencrypted PKCS#1 DER (RFC 8017 A.1.2), wiped on drop.
    ///
    /// # Errors
    /// The errors of [`Self::to_pkcs8_pem`].
    pub fn to_pkcs1_der(&self) -> Result<SecretBytes, KeyError> {
        let der = stack::wiped_after(|| self.inner.to_pkcs1_der().map(|der| der.to_bytes()));
        Ok(SecretBytes::new(der.map_err(|_| KeyError::Inconsistent)?))
    }

    /// Finds a prime or the private exponent in these bytes, in either byte order, and returns its offset. Signing
    /// needs one of them, so bytes without them hold no usable key.
    pub(crate) fn number_in(&self, bytes: &[u8]) -> Option<usize> {
        stack::wiped_after(|| {
            let numbers = self.inner.primes().iter().map(AsRef::as_ref).chain([self.inner.d()]);
            let numbers: Vec<_> =
                numbers.map(|number| Zeroizing::new(number.to_be_bytes_trimmed_vartime())).collect();
            numbers::find(&numbers, bytes)
        })
    }

    /// Signs a padded message (RSASSA step RSASP1) with blinding, so that the time tells nothing about the key.
    pub(crate) fn sign_blinded(&self, padding: rsa::Pkcs1v15Sign, digest: &[u8]) -> rsa::Result<Vec<u8>> {
        stack::wiped_after(|| self.inner.sign_with_rng(&mut UnwrapErr(getrandom::SysRng), padding, digest))
    }
}

/// Writes PEM: RFC 7468 with LF line ends.
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

/// Shows a small big-endian number in decimal, and a long one by its length.
fn decimal(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=8 => bytes.iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte)).to_string(),
        length => format!("a number of {length} bytes"),
    }
}

#[cfg(test)]
mod tests;
