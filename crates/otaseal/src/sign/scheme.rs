//! The two signature schemes: PKCS#1 v1.5 with SHA-256, and the legacy signature.

use crate::format::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

/// How the digest is padded into a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 8.2): every supported device.
    #[serde(rename = "pkcs1v15-sha256")]
    Pkcs1v15Sha256,
    /// The legacy signature: the bare 32-byte SHA-256 digest in PKCS#1 type-1 padding, without DigestInfo. Only
    /// esp8266 core 2.5.0 to 2.5.2 checks it. It binds no hash algorithm, so give it to nothing newer.
    #[serde(rename = "legacy-bare-hash")]
    Legacy,
}

/// The bytes before the SHA-256 digest in a DigestInfo: its algorithm, with NULL parameters (RFC 8017 9.2 note 1).
pub(crate) const DIGEST_INFO_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// The DigestInfo of a SHA-256 digest, DER: what a signer that only pads must be given for
/// [`Scheme::Pkcs1v15Sha256`].
pub fn digest_info(digest: &Sha256Digest) -> [u8; 51] {
    let mut info = [0; 51];
    let (prefix, rest) = info.split_at_mut(DIGEST_INFO_PREFIX.len());
    prefix.copy_from_slice(&DIGEST_INFO_PREFIX);
    rest.copy_from_slice(&digest.0);
    info
}
