//! Compares the power, by words and by pairs, with `crypto-bigint` and OpenSSL. The numbers are random and edge cases.
//!
//! `OTASEAL_CASES` sets the number of random cases for each size and peer: 1,000 by default. 100,000 have passed.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::vec::Vec;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U64, Uint};

use super::{multiply_halves, power};

/// Returns the number of random cases.
fn cases() -> usize {
    std::env::var("OTASEAL_CASES").map_or(1000, |count| count.parse().unwrap())
}

/// The generator SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Returns random words. In one number of four, half of the words are all zeros or all ones: carries run far there.
    fn words<const W: usize>(&mut self) -> [u32; W] {
        let rough = self.next().is_multiple_of(4);
        core::array::from_fn(|_| match self.next() % 4 {
            0 if rough => 0,
            1 if rough => u32::MAX,
            _ => self.next() as u32,
        })
    }

    /// Returns an odd modulus with its top bit set, and a base below it.
    fn case<const W: usize>(&mut self) -> ([u32; W], [u32; W]) {
        let mut modulus = self.words::<W>();
        modulus[0] |= 1;
        modulus[W - 1] |= 1 << 31;
        let mut base = match self.next() % 16 {
            0 => [0; W],
            1 => core::array::from_fn(|i| u32::from(i == 0)),
            2 => core::array::from_fn(|i| if i == 0 { modulus[0] - 1 } else { modulus[i] }),
            _ => self.words::<W>(),
        };
        if super::compare(&base, &modulus).is_ge() {
            super::subtract(&mut base, &modulus);
        }
        (modulus, base)
    }
}

/// Compares with `crypto-bigint`. `LIMBS` is the size in 64-bit limbs.
fn against_crypto_bigint<const W: usize, const LIMBS: usize>(seed: u64) {
    let number = |words: &[u32; W]| -> Uint<LIMBS> {
        Uint::from_words(core::array::from_fn(|i| {
            u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32
        }))
    };
    let mut random = Random(seed);
    for case in 0..cases() {
        let (modulus, base) = random.case::<W>();
        let params = FixedMontyParams::new_vartime(Odd::new(number(&modulus)).unwrap());
        let theirs = FixedMontyForm::new(&number(&base), &params).pow(&U64::from_u64(65537)).retrieve();
        assert_eq!(number(&power::<false, W>(&base, &modulus)), theirs, "case {case} of seed {seed}");
        assert_eq!(number(&power::<true, W>(&base, &modulus)), theirs, "case {case} of seed {seed}, pairs");
    }
}

#[test]
fn powers_equal_those_of_crypto_bigint() {
    against_crypto_bigint::<64, 32>(1);
    against_crypto_bigint::<96, 48>(2);
    against_crypto_bigint::<128, 64>(3);
}

/// Compares with OpenSSL's `BN_mod_exp`.
fn against_openssl<const W: usize>(seed: u64) {
    let bytes =
        |words: &[u32; W]| words.iter().rev().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let mut random = Random(seed);
    let cases: Vec<_> = (0..cases()).map(|_| random.case::<W>()).collect();
    let mut input = (4 * W as u32).to_le_bytes().to_vec();
    for (modulus, base) in &cases {
        input.extend(bytes(modulus));
        input.extend(bytes(base));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/bn_mod_exp.py");
    let spawned = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    if spawned.is_err() && std::env::var_os("CI").is_none() {
        std::eprintln!("SKIPPED: powers against OpenSSL: python3 is not installed");
        return;
    }
    let mut child = spawned.unwrap();
    // The script reads all cases before it writes the first result.
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), 4 * W * cases.len());
    for (case, ((modulus, base), theirs)) in cases.iter().zip(output.stdout.chunks(4 * W)).enumerate() {
        assert_eq!(bytes(&power::<false, W>(base, modulus)), theirs, "case {case} of seed {seed}");
        assert_eq!(bytes(&power::<true, W>(base, modulus)), theirs, "case {case} of seed {seed}, pairs");
    }
}

#[test]
fn powers_equal_those_of_openssl() {
    against_openssl::<64>(4);
    against_openssl::<96>(5);
    against_openssl::<128>(6);
}

#[test]
fn products_of_half_words_are_products() {
    let edges = [0, 1, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_0000, u32::MAX];
    for a in edges {
        for b in edges {
            assert_eq!(multiply_halves(a, b), u64::from(a) * u64::from(b), "{a:#x} {b:#x}");
        }
    }
    let mut random = Random(7);
    for _ in 0..100_000 {
        let (a, b) = (random.next() as u32, random.next() as u32);
        assert_eq!(multiply_halves(a, b), u64::from(a) * u64::from(b), "{a:#x} {b:#x}");
    }
}
