//! Judges signed firmware images on the device.
//!
//! # The format
//!
//! A signed image has three parts and nothing else:
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | payload | 1 or more | what is signed: a plain image, or a gzip file of one |
//! | signature | 256, 384 or 512 | RSASSA-PKCS1-v1_5 with SHA-256 over the payload, big-endian |
//! | length field | 4 | length of the signature in bytes, little-endian |
//!
//! The signature and the length field together are the trailer. The Arduino cores of the ESP8266 and the RP2040
//! define this layout (`tools/signing.py`, `Updater.cpp`). The signature equals the output of
//! `openssl dgst -sha256 -sign`.
//!
//! # The checks
//!
//! The checks run in this order. Each has one [`Reject`]:
//!
//! 1. As many bytes arrived as were announced. This check needs an announced total.
//! 2. The image has a length field.
//! 3. The length field equals the length of the key's modulus.
//! 4. The image is long enough for a signature of that length.
//! 5. The image has a payload.
//! 6. The signature, as a number, is below the modulus.
//! 7. `signature ^ 65537 mod modulus` is exactly the block that the payload's digest demands.
//!
//! Check 7 builds the block it expects and compares every bit of it (RFC 8017, 8.2.2). It never parses the block that
//! comes out of the signature. Short padding, bytes after the digest and a missing digest algorithm are therefore one
//! case: "not equal". So is every similar forgery.
//!
//! # What a verdict proves
//!
//! [`verify`] proves that the holder of one of the keys signed exactly the payload it returns. It does not prove:
//!
//! - that the payload fits this board, or that it is newer than the running firmware: see [`Requirements`];
//! - that the flash still holds the same bytes when the device executes them later: see [`verify_at`].
//!
//! # Example
//!
//! ```
//! use otaseal_device::{KeyId, KeySet, PublicKey, Reject, verify};
//! # const MODULUS: [u32; 64] = { let mut m = [7; 64]; m[63] = 0x8000_0000; m };
//! // `otaseal pubkey` writes the source file with both constants.
//! const KEY: PublicKey<64> = PublicKey::new(MODULUS, KeyId([0; 32]));
//! static KEYS: KeySet<1> = KeySet::new([KEY]);
//!
//! fn update(staged: &[u8]) -> Result<usize, Reject> {
//!     let payload = verify(staged, &KEYS)?;
//!     // Only now copy payload.bytes() to the place where it runs.
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

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
