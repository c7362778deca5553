//! Runs `cargo xtask sign` for any project: builds the firmware, finds the ELF, packages it.
//!
//! The xtask of a project is one call:
//!
//! ```no_run
//! use std::io::{stderr, stdout};
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     otaseal::cargo::run(std::env::args_os().skip(1), &mut stdout(), &mut stderr())
//! }
//! ```
//!
//! [`run`] reads the arguments and writes its report to the two writers. [`sign`], [`keygen`], [`pubkey`] and
//! [`verify`] do the same tasks and write no report, for a program that writes its own. The project's `Cargo.toml` has
//! the settings: see [`crate::project::settings`].

mod args;
mod build;
mod error;
mod keygen;
mod keys;
mod note;
mod project;
mod render;
mod sbom;
mod tasks;

pub use build::Build;
pub use error::CargoError;
pub use keygen::{Keygen, NewKey, keygen};
pub use note::Note;
pub use render::run;
pub use sbom::program_sbom;
pub use tasks::{Pubkey, Request, SignedBuild, VerifiedFile, Verify, pubkey, sign, verify};

#[cfg(test)]
mod tests;
