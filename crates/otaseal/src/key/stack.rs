//! Wipes the stack after code that handles keys: such code leaves copies of their numbers there.
//!
//! The processor's vector registers matter too. Code that copies memory leaves the last bytes in them, until another
//! copy of that length comes. The system writes all registers to the stack when a signal comes. So does glibc when it
//! binds a function at its first call, for example when the program starts a thread.

use std::hint::black_box;
use zeroize::Zeroize;

/// What one step with a key uses of the stack, in words of 8 bytes: less than 64 KiB.
const STEP: usize = 8 << 10;
/// What a whole command uses of the stack, in words of 8 bytes: less than 256 KiB. The smallest stack of a main thread
/// is that of Windows, 1 MiB.
const COMMAND: usize = 32 << 10;

/// Runs a step that handles a key, and wipes the 64 KiB of stack below it. A cipher that works on many blocks at once,
/// for example, leaves a kilobyte of the key there.
pub(super) fn wiped_after<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    wipe::<STEP>();
    result
}

/// Runs a whole command of a program, and wipes the 256 KiB of stack below it. Every step of this library that handles a
/// key wipes the stack below itself. What the program does between the steps is covered here.
pub fn wiped_after_command<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    wipe::<COMMAND>();
    result
}

/// Runs the code in a frame of its own. Everything below that frame is wiped.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe<const WORDS: usize>() {
    let mut below = [0u64; WORDS];
    below.zeroize();
    // Copies zeros through the vector registers. How many registers a copy takes depends on its length and direction.
    for words in [4, 8, 16, 32, 64, 128, 512] {
        let words = black_box(words);
        below.copy_within(..words, 1);
        below.copy_within(1..=words, 0);
    }
    black_box(&mut below);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use signal_hook::consts::SIGUSR1;
    use signal_hook::{flag, low_level};
    use std::collections::HashMap;
    use std::fs::{self, File};
    use std::io::{Read, Seek, SeekFrom};
    use std::sync::{Arc, Barrier};
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

    /// Copies bytes, as an encoder might. It wipes the memory that it used, but not the registers.
    fn copies(secret: u64) {
        for length in [4, 8, 16, 32, 64, 128] {
            let mut words: Vec<_> = (0..black_box(length)).map(|index| word(secret, index)).collect();
            let mut copy = vec![0; words.len()];
            copy.copy_from_slice(&words);
            black_box(&mut copy).zeroize();
            black_box(&mut words).zeroize();
        }
    }

    /// Lets the system write all registers to the stack.
    fn comes_a_signal() {
        flag::register(SIGUSR1, Arc::default()).unwrap();
        low_level::raise(SIGUSR1).unwrap();
    }

    /// Tells whether 32 bytes of the secret are anywhere in the memory of this process.
    fn is_left(secret: u64) -> bool {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut memory = File::open("/proc/self/mem").unwrap();
        let starts: HashMap<_, _> = (0..512).step_by(4).map(|first| (word(secret, first), first)).collect();
        maps.lines().filter(|line| line.contains(" rw")).any(|line| {
            let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
            let mut bytes = vec![0; (end - start) as usize];
            let read = memory.seek(SeekFrom::Start(start)).and_then(|_| memory.read_exact(&mut bytes));
            let words: Vec<_> = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
            read.is_ok()
                && words.windows(4).any(|found| {
                    let first = starts.get(&found[0]);
                    first.is_some_and(|first| {
                        (1..4).all(|next| found[next] == word(secret, first + next as u64))
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
        assert!(!is_left_by(|secret| wiped_after_command(|| handles(secret)), 3));
    }

    #[test]
    fn nothing_is_left_in_the_registers() {
        let work = |secret| {
            wiped_after(|| copies(secret));
            comes_a_signal();
        };
        assert!(!is_left_by(work, 4));
    }
}
