//! Tests the program as its users meet it. All tests are in one binary: linking one for each topic takes longer than
//! running it.
//!
//! The tests run as threads of one process. They start programs, and set the directory and the environment of those
//! programs, never their own.

#![allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]

mod batch;
mod cmd;
mod common;
mod continuity;
mod defaults;
mod docs;
mod doctor;
mod dry_run;
mod example_project;
mod failures;
mod faults;
mod help;
mod inputs;
mod interop;
mod key_failures;
mod keys;
mod keys_doc;
mod ledger;
mod memory;
mod outputs;
mod own_key;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod policy;
mod readme;
mod reference;
mod settings;
mod signers;
mod signing_py;
mod start;
mod terminal;
#[cfg(feature = "pkcs11")]
mod token_faults;
