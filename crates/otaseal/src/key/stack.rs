//! Wipes the stack after code that handles keys: such code leaves copies of their numbers there.

use std::hint::black_box;
use zeroize::Zeroize;

/// Runs code that handles a key, and wipes the 64 KiB of stack below it. A cipher that works on many blocks at once,
/// for example, leaves a kilobyte of the key there.
pub(super) fn wiped_after<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    wipe();
    result
}

/// Runs the code in a frame of its own. Everything below that frame is wiped.
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::{Read, Seek, SeekFrom};
    use std::sync::Barrier;
    use std::thread;

    /// Makes one word of a secret. A later thread may get the stack of an earlier one, with the bytes that were left
    /// there, so each thread has its own secret.
    fn word(secret: u64, index: u64) -> u64 {
        (secret << 32 | index << 16 | u64::from(std::process::id() & 0xFFFF))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Works in 4 KiB of its frame, as a cipher might.
    fn handles(secret: u64) {
        let mut words = [0; 512];
        for (index, slot) in (0..).zip(&mut words) {
            *slot = word(secret, index);
        }
        black_box(&mut words);
    }

    /// Tells whether 32 bytes of the secret are anywhere in the memory of this process.
    fn is_left(secret: u64) -> bool {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut memory = File::open("/proc/self/mem").unwrap();
        maps.lines().filter(|line| line.contains(" rw")).any(|line| {
            let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
            let mut bytes = vec![0; (end - start) as usize];
            let read = memory.seek(SeekFrom::Start(start)).and_then(|_| memory.read_exact(&mut bytes));
            let words: Vec<_> = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
            read.is_ok()
                && (0..512).step_by(64).any(|first| {
                    let mut at = words.iter().enumerate().filter(|(_, found)| **found == word(secret, first));
                    at.any(|(at, _)| {
                        (1..4).all(|next| words.get(at + next) == Some(&word(secret, first + next as u64)))
                    })
                })
        })
    }

    /// Looks for the secret on the stack of a thread that does nothing afterwards.
    fn is_left_by(work: fn(u64), secret: u64) -> bool {
        let (done, end) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                work(secret);
                done.wait();
                end.wait();
            });
            done.wait();
            let left = is_left(secret);
            end.wait();
            left
        })
    }

    #[test]
    fn nothing_is_left_on_the_stack() {
        assert!(is_left_by(|secret| apart(|| handles(secret)), 1), "the search finds what is there");
        assert!(!is_left_by(|secret| wiped_after(|| handles(secret)), 2));
    }
}
