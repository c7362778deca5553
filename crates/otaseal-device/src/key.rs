//! The keys a device trusts.

use core::fmt;

use crate::hash;
use crate::reject::Reject;
use crate::rsa::{self, Form};

/// What the self-test vector in an emitted key file signs.
pub const SELF_TEST_MESSAGE: &[u8] = b"otaseal self-test";

/// The fingerprint of a public key: SHA-256 over its DER-encoded SubjectPublicKeyInfo (RFC 5280, 4.1).
///
/// A label. The verdict rests on the modulus alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KeyId(pub [u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Why a modulus is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 2048, 3072 or 4096 bits.
    Size,
    /// The highest bit is clear: the modulus is shorter than its words.
    TopBitClear,
    /// Even, so that it is no product of two odd primes.
    Even,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "the modulus is not 64, 96 or 128 words long",
            Self::TopBitClear => "the modulus has its highest bit clear",
            Self::Even => "the modulus is even",
        })
    }
}

impl core::error::Error for KeyError {}

/// An RSA public key of `32 * W` bits with the exponent 65537.
///
/// The exponent is no parameter, so that a key with e = 3, whose signatures can be forged by a cube root where
/// padding is checked carelessly, cannot be expressed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey<const W: usize> {
    modulus: [u32; W],
    key_id: KeyId,
}

/// An RSA-2048 public key.
pub type Rsa2048 = PublicKey<64>;
/// An RSA-3072 public key.
pub type Rsa3072 = PublicKey<96>;
/// An RSA-4096 public key.
pub type Rsa4096 = PublicKey<128>;

impl<const W: usize> PublicKey<W> {
    /// Bytes of a signature by this key.
    pub const SIGNATURE_LEN: usize = W.saturating_mul(4);

    /// A key from its modulus, least significant word first.
    ///
    /// # Panics
    ///
    /// When [`try_new`](Self::try_new) fails. In a constant, which is where a device has its keys, that is a
    /// compile error:
    ///
    /// ```compile_fail
    /// # use otaseal_device::{KeyId, PublicKey};
    /// const EVEN: PublicKey<64> = PublicKey::new([0xffff_fffe; 64], KeyId([0; 32]));
    /// ```
    #[must_use]
    pub const fn new(modulus: [u32; W], key_id: KeyId) -> Self {
        match Self::try_new(modulus, key_id) {
            Ok(key) => key,
            Err(error) => {
                assert!(!matches!(error, KeyError::Size), "the modulus is not 64, 96 or 128 words long");
                assert!(!matches!(error, KeyError::TopBitClear), "the modulus has its highest bit clear");
                assert!(!matches!(error, KeyError::Even), "the modulus is even");
                // Not reached: one of the three failed.
                Self { modulus, key_id }
            }
        }
    }

    /// A key from its modulus, least significant word first.
    ///
    /// # Errors
    ///
    /// [`KeyError::Size`] unless `W` is 64, 96 or 128; [`KeyError::TopBitClear`] and [`KeyError::Even`] for a
    /// modulus that the arithmetic does not hold for.
    pub const fn try_new(modulus: [u32; W], key_id: KeyId) -> Result<Self, KeyError> {
        if !matches!(W, 64 | 96 | 128) {
            return Err(KeyError::Size);
        }
        match (modulus.first(), modulus.last()) {
            (_, Some(top)) if *top >> 31 == 0 => Err(KeyError::TopBitClear),
            (Some(low), _) if *low & 1 == 0 => Err(KeyError::Even),
            _ => Ok(Self { modulus, key_id }),
        }
    }

    /// The modulus, least significant word first.
    #[must_use]
    pub const fn modulus(&self) -> &[u32; W] {
        &self.modulus
    }

    /// The key's fingerprint.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Checks a signature over [`SELF_TEST_MESSAGE`], so that a firmware can find out at its first start, and not
    /// at its first update, whether verification works on its core and compiler.
    ///
    /// # Errors
    ///
    /// [`Reject::SignatureRange`] or [`Reject::SignatureMismatch`]; [`Reject::NoSignature`] when `signature` is
    /// not [`SIGNATURE_LEN`](Self::SIGNATURE_LEN) bytes long.
    pub fn self_test(&self, signature: &[u8]) -> Result<(), Reject> {
        if signature.len() != Self::SIGNATURE_LEN {
            return Err(Reject::NoSignature);
        }
        let digest = hash::digest(SELF_TEST_MESSAGE);
        rsa::check_one(self, &rsa::number(signature, &[]), &digest, Form::DigestInfo)
    }
}

impl<const W: usize> fmt::Debug for PublicKey<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey<{W}>({})", self.key_id)
    }
}

/// The keys any of which may sign: one, or several while keys rotate or where a backup signer exists.
///
/// An image accepted by the weakest of them is accepted: drop a key as soon as it is no longer needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySet<const N: usize, const W: usize = 64> {
    keys: [PublicKey<W>; N],
}

impl<const N: usize, const W: usize> KeySet<N, W> {
    /// A set of at least one key; an empty set does not compile.
    ///
    /// ```compile_fail
    /// let nobody = otaseal_device::KeySet::<0, 64>::new([]);
    /// ```
    #[must_use]
    pub const fn new(keys: [PublicKey<W>; N]) -> Self {
        const { assert!(N > 0, "a key set needs a key") };
        Self { keys }
    }

    /// The keys, in the order they are tried.
    #[must_use]
    pub const fn keys(&self) -> &[PublicKey<W>; N] {
        &self.keys
    }
}

impl<const W: usize> From<PublicKey<W>> for KeySet<1, W> {
    fn from(key: PublicKey<W>) -> Self {
        Self::new([key])
    }
}
