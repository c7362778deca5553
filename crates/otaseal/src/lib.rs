//! From a firmware build to a signed, compressed, verified package.
//!
//! ```text
//! build (.elf, .bin)
//!   │ firmware::Firmware        flattened by load address; Homie tokens are read here
//!   ├─► firmware::Payload       plain, or one reproducible gzip member
//!   │     │ sign::Signer        SHA-256, RSA PKCS#1 v1.5
//!   │     └─► SignedImage       PAYLOAD | SIGNATURE | u32 LE length, verified by the device's own code
//!   └─► manifest::Manifest      what was made, from what, by which key
//! ```
//!
//! [`package()`] does all of it in one call:
//!
//! ```no_run
//! use otaseal::{Options, key::PrivateKey, package};
//! let key = PrivateKey::from_bytes(&std::fs::read("keys/private.pem")?)?;
//! let report = package(&Options::new("target/firmware.elf", "dist"), &key)?;
//! assert!(!report.manifest.example_key);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The library never prints and never asks: what there is to say is in the values and errors it returns.

pub mod format;
pub mod key;
pub mod ledger;
pub mod output;
pub mod package;
pub mod policy;
pub mod profile;
pub mod project;
pub mod release;
pub mod sign;
#[cfg(test)]
mod testing;

pub use otaseal_device as device;
pub use package::{ArtefactKind, Options, Package, PackageError, PackageReport, package};
pub use policy::Purpose;
#[cfg(feature = "cargo")]
pub use project::cargo;
