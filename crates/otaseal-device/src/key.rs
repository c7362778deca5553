//! The public keys that a device trusts.

use core::fmt;

use crate::hash;
use crate::reject::Reject;
use crate::rsa::{self, Form};

/// The message that the self-test signature in an emitted key file signs.
pub const SELF_TEST_MESSAGE: &[u8] = b"otaseal self-test";

/// The id of a public key: SHA-256 over its DER-encoded SubjectPublicKeyInfo (RFC 5280, 4.1).
///
/// The key id is a label. The verdict depends on the modulus alone.
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

/// Why a modulus is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The modulus does not have 2048, 3072 or 4096 bits.
    Size,
    /// The highest bit is clear, so the modulus is shorter than its words.
    TopBitClear,
    /// The modulus is even, so it is not a product of two odd primes.
    Even,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "the modulus is not 64, 96 or 128 words long",
            Self::TopBitClear => "the highest bit of the modulus is clear",
            Self::Even => "the modulus is even",
        })
    }
}

impl core::error::Error for KeyError {}

/// An RSA public key of `32 * W` bits with the exponent 65537.
///
/// The exponent is not a parameter, so you cannot express a key with e = 3. Where a verifier checks the padding
/// carelessly, an attacker forges signatures of such a key with a cube root.
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
    /// Length in bytes of a signature by this key.
    pub const SIGNATURE_LEN: usize = W.saturating_mul(4);

    /// Makes a key from its modulus, least significant word first.
    ///
    /// # Panics
    ///
    /// Panics when [`try_new`](Self::try_new) fails. A device has its keys in constants, where the panic is a compile
    /// error:
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
                assert!(!matches!(error, KeyError::TopBitClear), "the highest bit of the modulus is clear");
                assert!(!matches!(error, KeyError::Even), "the modulus is even");
                // The program never gets here: one of the three assertions failed.
                Self { modulus, key_id }
            }
        }
    }

    /// Makes a key from its modulus, least significant word first.
    ///
    /// # Errors
    ///
    /// - [`KeyError::Size`] unless `W` is 64, 96 or 128.
    /// - [`KeyError::TopBitClear`] and [`KeyError::Even`] for a modulus for which the arithmetic would be wrong.
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

    /// Returns the modulus, least significant word first.
    #[must_use]
    pub const fn modulus(&self) -> &[u32; W] {
        &self.modulus
    }

    /// Returns the key id.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Checks a signature over [`SELF_TEST_MESSAGE`].
    ///
    /// A firmware calls this at its first start. It learns then, and not at its first update, whether verification
    /// works on its core and with its compiler.
    ///
    /// # Errors
    ///
    /// - [`Reject::NoSignature`] when `signature` is not [`SIGNATURE_LEN`](Self::SIGNATURE_LEN) bytes long.
    /// - [`Reject::SignatureRange`] or [`Reject::SignatureMismatch`] when the signature is wrong.
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

/// The keys that a device trusts: one, or several while keys rotate or where a second signer exists.
///
/// A signature by any one of them is enough, so the weakest key decides. Drop a key as soon as you no longer need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySet<const N: usize, const W: usize = 64> {
    keys: [PublicKey<W>; N],
}

impl<const N: usize, const W: usize> KeySet<N, W> {
    /// Makes a set of at least one key. An empty set does not compile.
    ///
    /// ```compile_fail
    /// let nobody = otaseal_device::KeySet::<0, 64>::new([]);
    /// ```
    #[must_use]
    pub const fn new(keys: [PublicKey<W>; N]) -> Self {
        const { assert!(N > 0, "a key set needs a key") };
        Self { keys }
    }

    /// Returns the keys, in the order in which the verifier tries them.
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
