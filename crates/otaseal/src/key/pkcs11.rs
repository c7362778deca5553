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
pub mod uri;

pub use error::Pkcs11Error;
#[cfg(feature = "pkcs11")]
pub use generate::generate;
#[cfg(feature = "pkcs11")]
pub use signer::Pkcs11Signer;
pub use uri::{Pkcs11Uri, UriError};

/// Environment variable with the PIN. A `pin-source` in the URI is taken first.
pub const PIN_VARIABLE: &str = "OTASEAL_PKCS11_PIN";

/// Environment variable with the module, where neither the URI nor the caller names one.
pub const MODULE_VARIABLE: &str = "OTASEAL_PKCS11_MODULE";
