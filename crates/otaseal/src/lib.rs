//! Turns a firmware build into a signed, compressed, verified package.
//!
//! ```text
//! build (.elf, .bin)
//!   │  policy::Policy::open         judges the key and the ledger, gives a Gate
//!   │  package::firmware::Firmware  flattens an ELF by load address
//!   │  policy::Gate::judge          judges the plain image and its Homie tokens, gives a Permit
//!   │  format::Payload              plain, or one reproducible gzip member
//!   │  policy::Permit::sign_payload signs only a payload that holds the judged image
//!   ▼
//! SignedImage                       PAYLOAD | SIGNATURE | u32 LE length, verified by the device's own code
//!   │  package::Package             the artefacts, and the manifest that describes them
//!   ▼
//! directory
//! ```
//!
//! [`package()`] does all of this in one call:
//!
//! ```no_run
//! use otaseal::{Options, key::PrivateKey, package};
//! let key = PrivateKey::from_bytes(&std::fs::read("keys/private.pem")?)?;
//! let report = package(&Options::new("target/firmware.elf", "dist"), &key)?;
//! assert!(!report.manifest.example_key);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`package_unsigned`] needs no key. It makes packages only for devices that check no signature.
//!
//! The library never prints and never asks. It returns values and errors, and the caller shows them.

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
pub use package::{ArtefactKind, Options, Package, PackageError, PackageReport, package, package_unsigned};
pub use policy::Purpose;
#[cfg(feature = "cargo")]
pub use project::cargo;

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
