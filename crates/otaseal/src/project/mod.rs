//! Builds and signs a project: reads its settings, writes its public key as source code, runs `cargo xtask`.
//!
//! This is the one room that knows options of the command line. [`advice`] tells the user what to type after an error.

pub mod advice;
#[cfg(feature = "cargo")]
pub mod cargo;
pub mod emit;
pub mod settings;
