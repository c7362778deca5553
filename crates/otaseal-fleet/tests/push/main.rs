//! Runs `otaseal-fleet push` against simulated devices, from a package to the proof.

#![allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]

mod guide;
mod homie;
mod local;
mod readme;
mod setup;
mod usage;
