//! What handles keys leaves copies of their numbers on the stack.

use std::hint::black_box;
use zeroize::Zeroize;

/// Runs what handles a key, and wipes the stack behind it: as deep as reading an RSA-4096 key goes, and as much again.
pub(super) fn wiped_after<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    wipe();
    result
}

/// In a frame of its own, below which everything is wiped.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe() {
    let mut below = [0u64; 8192];
    below.zeroize();
    black_box(&mut below);
}
