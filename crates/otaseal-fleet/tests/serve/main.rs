//! Runs `otaseal-fleet serve` as a process, and asks as devices do.

#![allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]

mod folder;
mod guide;
mod log;
mod port;
mod redirect;
mod server;
#[allow(dead_code, reason = "the tests of push need more of it")]
#[path = "../push/setup.rs"]
mod setup;
mod simulated;
