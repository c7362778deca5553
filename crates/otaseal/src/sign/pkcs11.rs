//! Signs with keys in tokens: hardware security modules, cards and sticks, through PKCS#11.
//!
//! The token's maker supplies a module, which is a shared library. otaseal loads it when it opens a key, and links with
//! none. The private key never leaves the token: a DigestInfo goes in, and a signature comes out.

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
#[cfg(feature = "pkcs11")]
pub use token::find_token;
