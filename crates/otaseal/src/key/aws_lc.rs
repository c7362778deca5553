//! Signs with AWS-LC's RSA instead of RustCrypto's (feature `aws-lc`): three to five times as many signatures a second.
//!
//! AWS-LC is C and assembly. The program has it; the library has it only on request. It signs with blinding too, and
//! the same verifier judges its signatures.

use super::{PrivateKey, stack};
use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use std::fmt;
use std::sync::OnceLock;

/// The key in AWS-LC, which wipes it when it is dropped. It is made at the first signature.
#[derive(Default)]
pub(super) struct Held(OnceLock<Option<KeyPair>>);

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

impl PrivateKey {
    /// Makes an RSASSA-PKCS1-v1_5 signature of a SHA-256 digest. Returns `None` if AWS-LC refuses the key or fails;
    /// then RustCrypto signs.
    pub(crate) fn sign_by_aws_lc(&self, digest: &[u8; 32]) -> Option<Vec<u8>> {
        stack::wiped_after(|| {
            let pair = self.held.0.get_or_init(|| KeyPair::from_der(&self.to_pkcs1_der().ok()?).ok());
            let digest = Digest::import_less_safe(digest, &SHA256).ok()?;
            let mut signature = vec![0; self.public.size.bytes()];
            pair.as_ref()?.sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature).ok()?;
            Some(signature)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::format::digest::Sha256Digest;
    use crate::key::{KeySize, PrivateKey};
    use crate::sign::{Scheme, Signer};
    use sha2::Sha256;

    #[test]
    fn both_arithmetics_make_the_same_bytes() {
        for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
            let key = PrivateKey::generate(size).unwrap();
            for byte in 0..4 {
                let digest = [byte; 32];
                let slow = key.sign_blinded(rsa::Pkcs1v15Sign::new::<Sha256>(), &digest).unwrap();
                assert_eq!(key.sign_by_aws_lc(&digest).as_deref(), Some(&slow[..]));
                assert_eq!(key.sign_digest(Scheme::Pkcs1v15Sha256, &Sha256Digest(digest)).unwrap(), slow);
            }
        }
    }
}
