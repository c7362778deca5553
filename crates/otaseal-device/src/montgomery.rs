//! The one power that verification needs: `x ^ 65537 mod n`, for moduli of fixed size.
//!
//! Numbers are arrays of 32-bit words, least significant word first. Nothing here is secret, so time may depend
//! on the values. Multiplication is Montgomery's (Koç, Acar, Kaliski 1996, "FIOS"): with `R = 2^(32 W)`,
//! `product(a, b) = a b / R mod n`. For moduli with the top bit set, which the key's constructor makes sure of.

use core::cmp::Ordering;

/// `base ^ 65537 mod modulus`, for an odd `modulus` with its top bit set and a `base` below it.
pub(crate) fn power_65537<const W: usize>(base: &[u32; W], modulus: &[u32; W]) -> [u32; W] {
    let n = Modulus { words: modulus, inverse: negative_inverse(modulus) };
    let mut x = n.radix_squared();
    let mut y = [0; W];
    n.product(&mut y, &x, base);
    // y = base R. Sixteen squarings, two at a time: 2^16 = 65536.
    for _ in 0..8 {
        n.product(&mut x, &y, &y);
        n.product(&mut y, &x, &x);
    }
    // y = base^65536 R; the last factor, which is not in Montgomery's form, takes the R away.
    n.product(&mut x, &y, base);
    x
}

/// Compares as numbers.
pub(crate) fn compare<const W: usize>(a: &[u32; W], b: &[u32; W]) -> Ordering {
    a.iter().rev().cmp(b.iter().rev())
}

struct Modulus<'a, const W: usize> {
    words: &'a [u32; W],
    /// `-1 / words[0] mod 2^32`
    inverse: u32,
}

impl<const W: usize> Modulus<'_, W> {
    /// `R^2 mod n`, which brings a number into Montgomery's form.
    ///
    /// Not stored with the key: it would double the key in flash to save a tenth of the time.
    fn radix_squared(&self) -> [u32; W] {
        // R mod n = R - n, because n has its top bit set.
        let mut x = [0; W];
        subtract(&mut x, self.words);
        // Doubled W times: 2^W R. Squared five times: 2^(32 W) R = R^2.
        for _ in 0..W {
            self.double(&mut x);
        }
        for _ in 0..5 {
            let y = x;
            self.product(&mut x, &y, &y);
        }
        x
    }

    /// `x = 2 x mod n`, for `x` below `n`.
    fn double(&self, x: &mut [u32; W]) {
        let mut carry = 0;
        for word in x.iter_mut() {
            let next = *word >> 31;
            *word = *word << 1 | carry;
            carry = next;
        }
        self.reduce(x, carry);
    }

    /// Takes `n` away once from a number below `2 n`, whose word above the highest is `carry`.
    fn reduce(&self, x: &mut [u32; W], carry: u32) {
        if carry != 0 || compare(x, self.words) != Ordering::Less {
            subtract(x, self.words);
        }
    }

    /// `out = a b / R mod n`, for `a` and `b` below `n`.
    fn product(&self, out: &mut [u32; W], a: &[u32; W], b: &[u32; W]) {
        *out = [0; W];
        let mut top = 0;
        for &word in a {
            // out = (out + word b + m n) / 2^32, with m such that the division leaves nothing over. out stays
            // below 2 n, so that `top` is at most 1.
            top = self.step(out, top, word, b);
        }
        self.reduce(out, top);
    }

    /// One row of [`product`](Self::product); returns the word above the highest.
    fn step(&self, out: &mut [u32; W], top: u32, factor: u32, b: &[u32; W]) -> u32 {
        let carry = add_product(out, factor, b);
        let (high, over) = top.overflowing_add(carry);
        let m = out.first().map_or(0, |low| low.wrapping_mul(self.inverse));
        let carry = add_product(out, m, self.words);
        let (high, over2) = high.overflowing_add(carry);
        out.rotate_left(1);
        if let Some(last) = out.last_mut() {
            *last = high;
        }
        u32::from(over | over2)
    }
}

/// `out += factor * b`; returns the word above the highest.
fn add_product<const W: usize>(out: &mut [u32; W], factor: u32, b: &[u32; W]) -> u32 {
    let mut carry = 0;
    for (word, &b) in out.iter_mut().zip(b) {
        // Cannot overflow: (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1.
        let sum =
            u64::from(factor).wrapping_mul(u64::from(b)).wrapping_add(u64::from(*word)).wrapping_add(carry);
        *word = sum as u32;
        carry = sum >> 32;
    }
    carry as u32
}

/// `x -= y` modulo `R`.
fn subtract<const W: usize>(x: &mut [u32; W], y: &[u32; W]) {
    let mut borrow = false;
    for (x, &y) in x.iter_mut().zip(y) {
        let (difference, under) = x.overflowing_sub(y);
        let (difference, under2) = difference.overflowing_sub(u32::from(borrow));
        *x = difference;
        borrow = under | under2;
    }
}

/// `-1 / n mod 2^32` for odd `n`, by Newton's iteration: an odd number is its own inverse modulo 8, and each
/// step doubles the number of right bits.
fn negative_inverse<const W: usize>(modulus: &[u32; W]) -> u32 {
    let low = modulus.first().copied().unwrap_or(1);
    let mut inverse = low;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(low.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}
