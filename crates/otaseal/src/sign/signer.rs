//! Who signs.

use super::SignError;
use super::scheme::Scheme;
use crate::format::digest::Sha256Digest;
use crate::key::{PrivateKey, PublicKey};
use std::io::Read;

/// Whatever holds the private key: here a key in memory, elsewhere a token or another program. A batch signs from
/// several threads at once.
pub trait Signer: Send + Sync {
    /// The public half of the key that signs. What is signed is verified with it.
    fn public_key(&self) -> &PublicKey;

    /// Signs a SHA-256 digest: the raw signature, big-endian, as long as the modulus.
    ///
    /// # Errors
    /// [`SignError::Backend`] with what the holder of the key said.
    fn sign_digest(&self, scheme: Scheme, digest: &[u8; 32]) -> Result<Vec<u8>, SignError>;

    /// The same for those that cannot sign a digest and must be given the whole message. `message` gives it from its
    /// start; whoever can do without does not read it.
    ///
    /// # Errors
    /// As [`Signer::sign_digest`], and [`SignError::Read`] of the message.
    fn sign_message(
        &self,
        scheme: Scheme,
        message: &mut dyn Read,
        digest: &[u8; 32],
    ) -> Result<Vec<u8>, SignError> {
        let _ = message;
        self.sign_digest(scheme, digest)
    }

    /// What the holder of the key said that its user should read, although it signed.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Where in these bytes a number of the private key stands, most or least significant byte first. Only who has the
    /// numbers can tell.
    fn private_number_in(&self, bytes: &[u8]) -> Option<usize> {
        let _ = bytes;
        None
    }
}

impl Signer for PrivateKey {
    fn private_number_in(&self, bytes: &[u8]) -> Option<usize> {
        self.number_in(bytes)
    }

    fn public_key(&self) -> &PublicKey {
        self.public()
    }

    fn sign_digest(&self, scheme: Scheme, digest: &[u8; 32]) -> Result<Vec<u8>, SignError> {
        #[cfg(feature = "aws-lc")]
        if scheme == Scheme::Pkcs1v15Sha256
            && let Some(signature) = self.sign_by_aws_lc(digest)
        {
            return Ok(signature);
        }
        let padding = match scheme {
            Scheme::Pkcs1v15Sha256 => rsa::Pkcs1v15Sign::new::<sha2::Sha256>(),
            Scheme::Legacy => rsa::Pkcs1v15Sign::new_unprefixed(),
        };
        self.sign_blinded(padding, digest).map_err(|error| SignError::Backend(error.to_string()))
    }
}

/// The public half alone: it is known who will sign, elsewhere, and nothing is signed by it.
impl Signer for PublicKey {
    fn public_key(&self) -> &PublicKey {
        self
    }

    fn sign_digest(&self, _: Scheme, _: &[u8; 32]) -> Result<Vec<u8>, SignError> {
        Err(SignError::Backend("it is the public half alone".into()))
    }
}

/// Signs one image and no other: what was reviewed, or what a signature was asked for elsewhere. It is asked before
/// the key is.
pub struct Expecting<'a> {
    /// Holds the key.
    pub signer: &'a dyn Signer,
    /// SHA-256 of the payload.
    pub sha256: Sha256Digest,
}

impl Expecting<'_> {
    fn check(&self, digest: &[u8; 32]) -> Result<(), SignError> {
        let (expected, found) = (self.sha256, Sha256Digest(*digest));
        if found == expected { Ok(()) } else { Err(SignError::OtherImage { expected, found }) }
    }
}

impl Signer for Expecting<'_> {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn sign_digest(&self, scheme: Scheme, digest: &[u8; 32]) -> Result<Vec<u8>, SignError> {
        self.check(digest)?;
        self.signer.sign_digest(scheme, digest)
    }

    fn sign_message(
        &self,
        scheme: Scheme,
        message: &mut dyn Read,
        digest: &[u8; 32],
    ) -> Result<Vec<u8>, SignError> {
        self.check(digest)?;
        self.signer.sign_message(scheme, message, digest)
    }

    fn remarks(&self) -> Vec<String> {
        self.signer.remarks()
    }

    fn private_number_in(&self, bytes: &[u8]) -> Option<usize> {
        self.signer.private_number_in(bytes)
    }
}
