//! Signers: a key in memory, in a file or in a token, or another program.

use super::SignError;
use super::scheme::Scheme;
use crate::format::digest::Sha256Digest;
use crate::key::encryption::Encryption;
use crate::key::{KeyError, PrivateKey, PublicKey};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Holds the private key, or reaches what holds it. A batch signs from several threads at once.
///
/// A signer alone makes bare signatures of digests. An image is signed through [`crate::policy::Gate`], which judges
/// the key and the image first and verifies the result.
pub trait Signer: Send + Sync {
    /// The public half of the key that signs. otaseal verifies every signature with it.
    fn public_key(&self) -> &PublicKey;

    /// Signs a SHA-256 digest. Returns the raw signature, big-endian, as long as the modulus.
    ///
    /// # Errors
    /// [`SignError::Backend`] with what the holder of the key said.
    fn sign_digest(&self, scheme: Scheme, digest: &Sha256Digest) -> Result<Vec<u8>, SignError>;

    /// The same for signers that need the whole message. `message` gives it from its start; a signer that needs only
    /// the digest does not read it.
    ///
    /// # Errors
    /// The errors of [`Signer::sign_digest`], and [`SignError::Read`] of the message.
    fn sign_message(
        &self,
        scheme: Scheme,
        message: &mut dyn Read,
        digest: &Sha256Digest,
    ) -> Result<Vec<u8>, SignError> {
        let _ = message;
        self.sign_digest(scheme, digest)
    }

    /// Returns remarks of the signer that the user should read, although it signed.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the offset of a number of the private key in these bytes, most or least significant byte first. Only a
    /// signer that has the numbers can find one.
    fn private_number_in(&self, bytes: &[u8]) -> Option<usize> {
        let _ = bytes;
        None
    }

    /// Returns the key that signs in the place of this one in a dry run, which asks no token. A real run refuses such a
    /// signer.
    fn stand_in(&self) -> Option<&PublicKey> {
        None
    }

    /// Returns the place of the private key. Before a release, otaseal checks the key's file.
    fn kept(&self) -> Kept<'_> {
        Kept::Elsewhere
    }
}

/// The place of a private key.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Kept<'a> {
    /// In a file.
    File(&'a KeyFile),
    /// In memory: nobody knows which file it came from.
    Memory,
    /// In a token, or by another program.
    Elsewhere,
}

/// The file of a private key.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyFile {
    /// Its path.
    pub path: PathBuf,
    /// How it is encrypted; `None` when it is not, or when the form is not known.
    pub encryption: Option<Encryption>,
}

impl KeyFile {
    /// A file that holds a private key, by its path and by how it is encrypted.
    pub fn new(path: &Path, encryption: Option<Encryption>) -> Self {
        Self { path: path.into(), encryption }
    }
}

impl Signer for PrivateKey {
    fn public_key(&self) -> &PublicKey {
        self.public()
    }

    fn sign_digest(&self, scheme: Scheme, digest: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        #[cfg(feature = "aws-lc")]
        if scheme == Scheme::Pkcs1v15Sha256
            && let Some(signature) = self.sign_by_aws_lc(&digest.0)
        {
            return Ok(signature);
        }
        let padding = match scheme {
            Scheme::Pkcs1v15Sha256 => rsa::Pkcs1v15Sign::new::<sha2::Sha256>(),
            Scheme::Legacy => rsa::Pkcs1v15Sign::new_unprefixed(),
        };
        self.sign_blinded(padding, &digest.0).map_err(|error| SignError::Backend(error.to_string()))
    }

    fn private_number_in(&self, bytes: &[u8]) -> Option<usize> {
        self.number_in(bytes)
    }

    fn kept(&self) -> Kept<'_> {
        Kept::Memory
    }
}

/// A private key that was read from a file.
pub(super) struct FileSigner {
    pub(super) key: PrivateKey,
    pub(super) file: KeyFile,
}

impl Signer for FileSigner {
    fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    fn sign_digest(&self, scheme: Scheme, digest: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        self.key.sign_digest(scheme, digest)
    }

    fn private_number_in(&self, bytes: &[u8]) -> Option<usize> {
        self.key.private_number_in(bytes)
    }

    fn kept(&self) -> Kept<'_> {
        Kept::File(&self.file)
    }
}

/// Returns the signer for a dry run. A key in a file or in memory signs itself. Another one has a stand-in of the same
/// size, so that no token and no command is asked.
///
/// # Errors
/// [`KeyError`] if there are no random numbers for the stand-in.
pub fn rehearsing(signer: Box<dyn Signer>) -> Result<Box<dyn Signer>, KeyError> {
    if !matches!(signer.kept(), Kept::Elsewhere) {
        return Ok(signer);
    }
    let stand_in = PrivateKey::generate(signer.public_key().size())?;
    Ok(Box::new(Rehearsing { signer, stand_in }))
}

struct Rehearsing {
    signer: Box<dyn Signer>,
    stand_in: PrivateKey,
}

impl Signer for Rehearsing {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn sign_digest(&self, scheme: Scheme, digest: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        self.stand_in.sign_digest(scheme, digest)
    }

    fn stand_in(&self) -> Option<&PublicKey> {
        Some(self.stand_in.public())
    }
}

/// The public half alone, for an image that is signed elsewhere: it names the key and signs nothing.
impl Signer for PublicKey {
    fn public_key(&self) -> &PublicKey {
        self
    }

    fn sign_digest(&self, _: Scheme, _: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        Err(SignError::Backend("a public key cannot sign".into()))
    }
}
