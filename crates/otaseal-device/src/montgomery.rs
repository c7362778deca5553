//! Computes the one power that verification needs: `x ^ 65537 mod n`, for moduli of fixed size.
//!
//! Numbers are arrays of 32-bit words, least significant word first. Nothing here is secret, so the time may depend on
//! the values. The multiplication is Montgomery's (Koç, Acar, Kaliski 1996, "FIOS"): with `R = 2^(32 W)`,
//! `product(a, b) = a b / R mod n`. The modulus must be odd and have its top bit set. The key's constructor checks both.
//!
//! A machine that multiplies 64 bits by 64, such as a host, takes the words in pairs. `WIDE` selects this.

use core::cmp::Ordering;

#[cfg(test)]
mod tests;

/// Returns `base ^ 65537 mod modulus`. `modulus` is odd and has its top bit set, and `base` is below it.
pub(crate) fn power_65537<const W: usize>(base: &[u32; W], modulus: &[u32; W]) -> [u32; W] {
    power::<{ cfg!(target_pointer_width = "64") }, W>(base, modulus)
}

fn power<const WIDE: bool, const W: usize>(base: &[u32; W], modulus: &[u32; W]) -> [u32; W] {
    let n = Modulus::<WIDE, W> { words: modulus, inverse: negative_inverse(modulus) };
    let mut x = n.radix_squared();
    let mut y = [0; W];
    n.product(&mut y, &x, base);
    // y = base R. Sixteen squarings, two at a time: 2^16 = 65536.
    for _ in 0..8 {
        n.product(&mut x, &y, &y);
        n.product(&mut y, &x, &x);
    }
    // y = base^65536 R. The last factor is not in Montgomery's form, so the product loses the R.
    n.product(&mut x, &y, base);
    x
}

/// Compares two numbers.
pub(crate) fn compare<const W: usize>(a: &[u32; W], b: &[u32; W]) -> Ordering {
    a.iter().rev().cmp(b.iter().rev())
}

struct Modulus<'a, const WIDE: bool, const W: usize> {
    words: &'a [u32; W],
    /// `-1 / words[0] mod 2^32`
    inverse: u32,
}

impl<const WIDE: bool, const W: usize> Modulus<'_, WIDE, W> {
    /// Returns `R^2 mod n`. A product with it brings a number into Montgomery's form.
    ///
    /// The key does not store this number: it would double the key's size in flash and save a tenth of the time.
    fn radix_squared(&self) -> [u32; W] {
        // R mod n = R - n, because n has its top bit set.
        let mut x = [0; W];
        subtract(&mut x, self.words);
        // W doublings give 2^W R. Five squarings give 2^(32 W) R = R^2.
        for _ in 0..W {
            self.double(&mut x);
        }
        for _ in 0..5 {
            let y = x;
            self.product(&mut x, &y, &y);
        }
        x
    }

    /// Sets `x = 2 x mod n`, for `x` below `n`.
    fn double(&self, x: &mut [u32; W]) {
        let mut carry = 0;
        for word in x.iter_mut() {
            let next = *word >> 31;
            *word = *word << 1 | carry;
            carry = next;
        }
        self.reduce(x, carry);
    }

    /// Reduces a number below `2 n` to one below `n`. `carry` is the word above the highest word of `x`.
    fn reduce(&self, x: &mut [u32; W], carry: u32) {
        if carry != 0 || compare(x, self.words) != Ordering::Less {
            subtract(x, self.words);
        }
    }

    /// Sets `out = a b / R mod n`, for `a` and `b` below `n`.
    fn product(&self, out: &mut [u32; W], a: &[u32; W], b: &[u32; W]) {
        *out = [0; W];
        let mut top = 0;
        // Each step sets out = (out + factor b + m n) / 2^32 and chooses m so that the division has no remainder.
        // out stays below 2 n, so `top` is at most 1. Pairs divide by 2^64: the number of words is even.
        if WIDE {
            for &pair in pairs(a) {
                top = self.step_wide(out, top, join(pair), b);
            }
        } else {
            for &word in a {
                top = self.step(out, top, word, b);
            }
        }
        self.reduce(out, top);
    }

    /// Computes one row of [`product`](Self::product). Returns the word above the highest word of `out`.
    fn step(&self, out: &mut [u32; W], top: u32, factor: u32, b: &[u32; W]) -> u32 {
        let mut carry = 0;
        for (word, &b) in out.iter_mut().zip(b) {
            (*word, carry) = multiply_add(factor, b, *word, carry);
        }
        let (high, over) = top.overflowing_add(carry);

        let (Some((slot, rest)), Some((&low, words))) = (out.split_first_mut(), self.words.split_first())
        else {
            return 0;
        };
        let m = slot.wrapping_mul(self.inverse);
        // The division moves each word one place down. The choice of m makes the lowest word zero.
        let (_, mut carry) = multiply_add(m, low, *slot, 0);
        let mut slot = slot;
        for (word, &n) in rest.iter_mut().zip(words) {
            (*slot, carry) = multiply_add(m, n, *word, carry);
            slot = word;
        }
        let (high, over2) = high.overflowing_add(carry);
        *slot = high;
        u32::from(over | over2)
    }

    /// Does the work of [`step`](Self::step) by pairs of words.
    fn step_wide(&self, out: &mut [u32; W], top: u32, factor: u64, b: &[u32; W]) -> u32 {
        let (out, _) = out.as_chunks_mut::<2>();
        let mut carry = 0;
        for (pair, &b) in out.iter_mut().zip(pairs(b)) {
            (*pair, carry) = multiply_add_wide(factor, b, *pair, carry);
        }
        let (high, over) = u64::from(top).overflowing_add(carry);

        let (Some((slot, rest)), Some((&low, words))) =
            (out.split_first_mut(), pairs(self.words).split_first())
        else {
            return 0;
        };
        // One more step of Newton's iteration makes 64 right bits of the inverse from 32.
        let inverse = u64::from(self.inverse);
        let inverse = inverse.wrapping_mul(2_u64.wrapping_add(join(low).wrapping_mul(inverse)));
        let m = join(*slot).wrapping_mul(inverse);
        let (_, mut carry) = multiply_add_wide(m, low, *slot, 0);
        let mut slot = slot;
        for (pair, &n) in rest.iter_mut().zip(words) {
            (*slot, carry) = multiply_add_wide(m, n, *pair, carry);
            slot = pair;
        }
        let (high, over2) = high.overflowing_add(carry);
        *slot = split(high);
        u32::from(over | over2)
    }
}

fn pairs(words: &[u32]) -> &[[u32; 2]] {
    words.as_chunks().0
}

fn join([low, high]: [u32; 2]) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn split(pair: u64) -> [u32; 2] {
    [pair as u32, (pair >> 32) as u32]
}

/// Returns `a b + c + d` as a low and a high pair. The greatest sum is 2^128 - 1.
fn multiply_add_wide(a: u64, b: [u32; 2], c: [u32; 2], d: u64) -> ([u32; 2], u64) {
    let product = u128::from(a).wrapping_mul(u128::from(join(b)));
    let sum = product.wrapping_add(u128::from(join(c))).wrapping_add(u128::from(d));
    (split(sum as u64), (sum >> 64) as u64)
}

/// Returns `a b + c + d` as a low and a high word. The greatest sum is 2^64 - 1.
fn multiply_add(a: u32, b: u32, c: u32, d: u32) -> (u32, u32) {
    let sum = multiply(a, b).wrapping_add(u64::from(c)).wrapping_add(u64::from(d));
    (sum as u32, (sum >> 32) as u32)
}

#[cfg(not(all(target_arch = "arm", not(target_has_atomic = "32"))))]
fn multiply(a: u32, b: u32) -> u64 {
    u64::from(a).wrapping_mul(u64::from(b))
}

/// Armv6-M has products of 32 bits only, and the compiler would call a function for 64. The `cfg` knows Armv6-M by its
/// lack of atomic instructions.
#[cfg(all(target_arch = "arm", not(target_has_atomic = "32")))]
use multiply_halves as multiply;

/// Returns `a b`, made of products of half words.
#[cfg(any(test, all(target_arch = "arm", not(target_has_atomic = "32"))))]
fn multiply_halves(a: u32, b: u32) -> u64 {
    let (a_low, a_high) = (a & 0xffff, a >> 16);
    let (b_low, b_high) = (b & 0xffff, b >> 16);
    let low = a_low.wrapping_mul(b_low);
    let high = a_high.wrapping_mul(b_high);
    // The sum of the two middle products may exceed 32 bits.
    let (middle, over) = a_low.wrapping_mul(b_high).overflowing_add(a_high.wrapping_mul(b_low));
    let (low, carry) = low.overflowing_add(middle << 16);
    let high =
        high.wrapping_add(middle >> 16).wrapping_add(u32::from(over) << 16).wrapping_add(u32::from(carry));
    u64::from(high) << 32 | u64::from(low)
}

/// Sets `x = x - y` modulo `R`.
fn subtract<const W: usize>(x: &mut [u32; W], y: &[u32; W]) {
    let mut borrow = false;
    for (x, &y) in x.iter_mut().zip(y) {
        let (difference, under) = x.overflowing_sub(y);
        let (difference, under2) = difference.overflowing_sub(u32::from(borrow));
        *x = difference;
        borrow = under | under2;
    }
}

/// Returns `-1 / n mod 2^32` for odd `n`, by Newton's iteration.
///
/// An odd number is its own inverse modulo 8. Each step doubles the number of right bits.
fn negative_inverse<const W: usize>(modulus: &[u32; W]) -> u32 {
    let low = modulus.first().copied().unwrap_or(1);
    let mut inverse = low;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(low.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}
