//! The verdict on a signed firmware image.
//!
//! # The format
//!
//! A signed image is three parts and nothing else:
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | payload | 1 or more | what runs: a raw image, or a gzip file of one |
//! | signature | 256, 384 or 512 | RSASSA-PKCS1-v1_5 with SHA-256 over the payload, big-endian |
//! | length field | 4 | length of the signature, little-endian |
//!
//! This is the layout of the ESP8266 and RP2040 Arduino cores (`tools/signing.py`, `Updater.cpp`). The signature
//! equals the output of `openssl dgst -sha256 -sign`. The signature and the length field together are the
//! trailer.
//!
//! # The checks
//!
//! In this order; each has one [`Reject`]:
//!
//! 1. the bytes fed are as many as were announced (only where a total was announced)
//! 2. a length field is there
//! 3. it equals the length of the key's modulus
//! 4. the signature it speaks of is there
//! 5. a payload is there
//! 6. the signature, as a number, is below the modulus
//! 7. signature ^ 65537 mod modulus is exactly the block that the payload's digest calls for
//!
//! Check 7 builds the block it expects and compares the whole of it (RFC 8017, 8.2.2). Nothing the signature
//! decrypts to is ever parsed: short padding, bytes after the digest, a missing digest algorithm and every
//! cousin of these are one case, "not equal".
//!
//! # What it proves, and what not
//!
//! [`verify`] proves that a holder of one of the keys signed exactly the payload it returns. It does not prove
//! that the payload fits this board or that it is newer than what runs, see [`Requirements`]; nor that flash still
//! holds the same bytes when they are executed later, see [`verify_at`].
//!
//! # Example
//!
//! ```
//! use otaseal_device::{KeyId, KeySet, PublicKey, Reject, verify};
//! # const MODULUS: [u32; 64] = { let mut m = [7; 64]; m[63] = 0x8000_0000; m };
//! // Both constants come from the source file that `otaseal pubkey` writes.
//! const KEY: PublicKey<64> = PublicKey::new(MODULUS, KeyId([0; 32]));
//! static KEYS: KeySet<1> = KeySet::new([KEY]);
//!
//! fn update(staged: &[u8]) -> Result<usize, Reject> {
//!     let payload = verify(staged, &KEYS)?;
//!     // Only now: copy payload.bytes() to where it runs.
//!     Ok(payload.bytes().len())
//! }
//! assert_eq!(update(b"not an image"), Err(Reject::LengthField));
//! ```
#![no_std]

#[cfg(test)]
extern crate std;

mod hash;
pub mod homie;
mod key;
pub mod layout;
pub mod legacy;
pub mod metadata;
mod montgomery;
mod policy;
mod reject;
mod rsa;
mod source;
mod stream;
mod verify;

pub use key::{KeyError, KeyId, KeySet, PublicKey, Rsa2048, Rsa3072, Rsa4096, SELF_TEST_MESSAGE};
pub use metadata::{MetadataBlock, MetadataError};
pub use policy::{Metadata, Requirements, Unmet, Version};
pub use reject::Reject;
pub use source::{ReadAt, VerifyAtError, verify_at};
pub use stream::Verifier;
pub use verify::{Accepted, HashedPayload, Payload, PayloadKind, verify, verify_hashed};
