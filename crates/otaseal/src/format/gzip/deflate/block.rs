//! Improves the parse of one block, pass by pass.

use std::ops::Range;

use super::header::Codes;
use super::matches::Matches;
use super::parse::Parser;
use super::price::Prices;
use super::token::{Histogram, Token};
use super::writer::BLOCK_TYPE_BITS;

/// How a block's parse is bettered.
#[derive(Clone, Copy)]
pub(super) struct Passes {
    /// Parses at most.
    pub(super) most: u32,
    /// Out of a hundred frequencies, how many are replaced by others when a parse does not gain any more: what
    /// leaves a local optimum. With 0 such a block is left as it is.
    pub(super) shake: u32,
}

/// A block with the best parse found so far.
#[derive(Clone)]
pub(super) struct Block {
    /// Its bytes, within the stretch.
    pub(super) range: Range<usize>,
    pub(super) tokens: Vec<Token>,
    pub(super) histogram: Histogram,
    /// Size as a dynamic block.
    pub(super) bits: u64,
}

impl Block {
    pub(super) fn new(range: Range<usize>, tokens: Vec<Token>) -> Self {
        let histogram = Histogram::of_block(&tokens);
        let bits = size(&histogram);
        Self { range, tokens, histogram, bits }
    }

    /// Parses again by the frequencies of the last parse, and again, and keeps the best.
    pub(super) fn improve(&mut self, stretch: &[u8], matches: &Matches, passes: Passes) {
        let mut parser = Parser::default();
        // The dice start from the block's place: the outcome depends on neither time nor thread.
        let mut dice = Dice(self.range.start as u64);
        let mut histogram = self.histogram.clone();
        let mut tokens = Vec::with_capacity(self.tokens.len());
        let mut last = self.bits;
        for _ in 0..passes.most {
            parser.parse(
                stretch,
                matches,
                self.range.clone(),
                &Prices::of_histogram(&histogram),
                &mut tokens,
            );
            histogram = Histogram::of_block(&tokens);
            let bits = size(&histogram);
            if bits < self.bits {
                self.bits = bits;
                self.histogram = histogram.clone();
                std::mem::swap(&mut self.tokens, &mut tokens);
            }
            if bits < last {
                last = bits;
                continue;
            }
            // Noise will be stored: no parse makes anything of it.
            if passes.shake == 0 || self.bits > 8 * self.range.len() as u64 {
                return;
            }
            last = u64::MAX;
            histogram = self.histogram.clone();
            dice.shake(&mut histogram.litlen, passes.shake);
            dice.shake(&mut histogram.dist, passes.shake);
        }
    }
}

/// Bits of a block with these frequencies, with the optimal code for them.
pub(super) fn size(histogram: &Histogram) -> u64 {
    Codes::optimal(histogram).1 + BLOCK_TYPE_BITS
}

/// A linear congruential generator (Knuth's MMIX constants): any stream of numbers does, if always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The high half is the random one; scaled, not divided.
        (((self.0 >> 32) * u64::from(n)) >> 32) as u32
    }

    fn shake(&mut self, counts: &mut [u32], percent: u32) {
        for i in 0..counts.len() {
            if self.below(100) < percent {
                counts[i] = counts[self.below(counts.len() as u32) as usize];
            }
        }
    }
}
