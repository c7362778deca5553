//! A project that is built and signed: its settings, the sources its key is written into, and `cargo xtask`.

pub mod advice;
#[cfg(feature = "cargo")]
pub mod cargo;
pub mod emit;
pub mod settings;
