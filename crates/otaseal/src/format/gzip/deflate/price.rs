//! Estimates the cost in bits of every choice of the parse.

use super::header::Codes;
use super::huffman::MAX_BITS;
use super::log::{FRACTION, log2};
use super::token::{
    DIST_SYMBOLS, Histogram, LENGTH_EXTRA, LENGTH_SLOT, LITLEN_SYMBOLS, MAX_MATCH, MIN_MATCH, dist_extra,
};

/// Units per bit. Codes have whole bits, but the choice among tokens is better guided by the fractions that their
/// frequencies give.
const BIT: u32 = 64;

/// Prices of literals, lengths and distances, extra bits included.
#[derive(Clone)]
pub(super) struct Prices {
    pub(super) literal: [u32; 256],
    pub(super) length: [u32; MAX_MATCH + 1],
    pub(super) dist: [u32; DIST_SYMBOLS],
}

impl Prices {
    /// Before anything is known but the bytes: literals by their frequency, matches as in usual firmware.
    pub(super) fn guess(data: &[u8]) -> Self {
        let mut counts = [1u32; 256];
        for &byte in data {
            counts[usize::from(byte)] += 1;
        }
        let total = counts.iter().sum();
        let mut litlen = [0; LITLEN_SYMBOLS];
        for (price, &count) in litlen.iter_mut().zip(&counts) {
            // Half a bit more than among literals alone: matches share the code.
            *price = entropy(count, total) + BIT / 2;
        }
        for (slot, price) in litlen[257..].iter_mut().enumerate() {
            *price = BIT * 3 + slot as u32 * BIT / 4;
        }
        Self::of_symbols(&litlen, &[BIT * 4; DIST_SYMBOLS])
    }

    /// By the frequencies of an earlier parse.
    pub(super) fn of_histogram(histogram: &Histogram) -> Self {
        let mut litlen = [0; LITLEN_SYMBOLS];
        let mut dist = [0; DIST_SYMBOLS];
        by_frequency(&histogram.litlen, &mut litlen);
        by_frequency(&histogram.dist, &mut dist);
        Self::of_symbols(&litlen, &dist)
    }

    /// By the codes themselves. A symbol without a code gets about what a rare one takes.
    pub(super) fn of_codes(codes: &Codes) -> Self {
        let price = |bits: u8| u32::from(if bits == 0 { MAX_BITS } else { bits }) * BIT;
        Self::of_symbols(&codes.litlen.map(price), &codes.dist.map(price))
    }

    /// Halfway between these prices and others.
    pub(super) fn between(mut self, other: &Self) -> Self {
        let halfway = |ours: &mut [u32], theirs: &[u32]| {
            for (ours, theirs) in ours.iter_mut().zip(theirs) {
                *ours = (*ours + theirs) / 2;
            }
        };
        halfway(&mut self.literal, &other.literal);
        halfway(&mut self.length, &other.length);
        halfway(&mut self.dist, &other.dist);
        self
    }

    fn of_symbols(litlen: &[u32; LITLEN_SYMBOLS], dist: &[u32; DIST_SYMBOLS]) -> Self {
        let mut prices = Self { literal: [0; 256], length: [0; MAX_MATCH + 1], dist: *dist };
        prices.literal.copy_from_slice(&litlen[..256]);
        for (price, &slot) in prices.length.iter_mut().zip(&LENGTH_SLOT).skip(MIN_MATCH) {
            let slot = usize::from(slot);
            *price = litlen[257 + slot] + u32::from(LENGTH_EXTRA[slot]) * BIT;
        }
        for (slot, price) in prices.dist.iter_mut().enumerate() {
            *price += dist_extra(slot) * BIT;
        }
        prices
    }
}

/// `log2(total / count)` in units.
fn entropy(count: u32, total: u32) -> u32 {
    ((log2(total) - log2(count)) * BIT) >> FRACTION
}

fn by_frequency(counts: &[u32], prices: &mut [u32]) {
    let total = counts.iter().sum::<u32>().max(1);
    for (price, &count) in prices.iter_mut().zip(counts) {
        *price = match count {
            // Would have to get a code first: as if it occurred half a time.
            0 => entropy(1, total) + BIT,
            // Never free, or a parse would not care how many it takes.
            _ => entropy(count, total).max(BIT / 8),
        };
    }
}
