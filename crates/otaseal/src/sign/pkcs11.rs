//! Keys in tokens: hardware security modules, cards and sticks, by way of PKCS#11.
//!
//! The token's maker supplies a module, a shared library that is loaded when a key is opened; this program is linked
//! with none. The private key never leaves the token: what goes in is a DigestInfo, what comes out is a signature.

mod error;
#[cfg(feature = "pkcs11")]
mod generate;
#[cfg(feature = "pkcs11")]
mod module;
#[cfg(feature = "pkcs11")]
mod signer;
#[cfg(feature = "pkcs11")]
mod token;

pub use error::{ModuleState, Pkcs11Error, TokenFailure};
#[cfg(feature = "pkcs11")]
pub use generate::generate;
#[cfg(feature = "pkcs11")]
pub use signer::Pkcs11Signer;
