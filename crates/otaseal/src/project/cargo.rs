//! `cargo xtask sign` for any project: build the firmware, find it, package it.
//!
//! A project's xtask is one call:
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
//! [`run`] reads the arguments and writes its report to what it is given; [`sign`], [`keygen`], [`pubkey`] and
//! [`verify`] are the same without words, for a program that has its own. What to build, with which key and
//! into what is said once, in the project's `Cargo.toml`: see [`crate::project::settings`].

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
pub use tasks::{Pubkey, Request, SignedBuild, VerifiedFile, Verify, pubkey, sign, verify};

#[cfg(test)]
mod tests;
