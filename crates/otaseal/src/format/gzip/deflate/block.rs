//! Improves blocks: the parse of one, its codes, and where one ends and the next begins.

use std::ops::Range;

use super::fit::{Start, fitted};
use super::header::{Codes, size};
use super::matches::Matches;
use super::parse::Parser;
use super::price::Prices;
use super::split;
use super::token::{BLOCK_TYPE_BITS, Histogram, Token};

/// Parses while the codes of a block are fitted.
const FITTED_PASSES: u32 = 5;
/// Parses that judge a cut or a merger, and those before the codes are fitted.
pub(super) const QUICK_PASSES: u32 = 2;
/// Blocks of fewer tokens are not cut.
const FEW_TOKENS: usize = 384;
/// Cuts tried of a block.
const CUTS: usize = 2;
/// A cut or a merger that costs more than this many bits before the new parses will cost bits after them.
const HOPELESS: u64 = 250;
/// A merger that costs more than this many bits after the new parses: to fit its codes will not gain as much.
const HOPELESS_PARSED: u64 = 60;
/// What a cut may cost, in bits, for now. Finer cuts may gain it again. If not, two blocks merge at the end. Each finer
/// cut may cost an eighth less, and without credit cutting ends: at a depth of about 40.
pub(super) const CREDIT: u64 = 400;

/// A block with the best parse found so far.
#[derive(Clone)]
pub(super) struct Block {
    /// Its bytes, within the stretch.
    pub(super) range: Range<usize>,
    pub(super) tokens: Vec<Token>,
    pub(super) histogram: Histogram,
    /// Size as a dynamic block.
    pub(super) bits: u64,
    /// Its codes, if [`Block::finish`] has fitted them.
    pub(super) codes: Option<Codes>,
}

impl Block {
    /// A block of these tokens whose first byte is at `start`.
    pub(super) fn new(start: usize, tokens: Vec<Token>) -> Self {
        let len = tokens.iter().map(|token| token.span()).sum::<usize>();
        let histogram = Histogram::of_block(&tokens);
        let bits = size(&histogram);
        Self { range: start..start + len, tokens, histogram, bits, codes: None }
    }

    /// Parses up to `passes` times, each time by the frequencies of the last parse, and keeps the best. It stops when a
    /// parse gains nothing.
    pub(super) fn improve(&mut self, stretch: &[u8], matches: &Matches, passes: u32) {
        let mut parser = Parser::default();
        let mut tokens = Vec::with_capacity(self.tokens.len());
        for _ in 0..passes {
            let prices = Prices::of_histogram(&self.histogram);
            parser.parse(stretch, matches, self.range.clone(), &prices, &mut tokens);
            let histogram = Histogram::of_block(&tokens);
            let bits = size(&histogram);
            if bits >= self.bits {
                return;
            }
            self.bits = bits;
            self.histogram = histogram;
            std::mem::swap(&mut self.tokens, &mut tokens);
        }
    }

    /// Parses by the prices of real codes, and fits the codes to each parse.
    ///
    /// A parse by the block's own codes cannot make it larger. When it gains nothing, prices between those of the codes
    /// and those of the frequencies lead elsewhere, and then such prices with some changes.
    pub(super) fn finish(&mut self, stretch: &[u8], matches: &Matches) {
        // Noise will be stored: no parse makes anything of it.
        if self.bits > 8 * self.range.len() as u64 {
            return;
        }
        let mut parser = Parser::default();
        let mut start = Start::default();
        let (mut codes, bits) = fitted(&self.histogram, &mut start);
        self.bits = bits + BLOCK_TYPE_BITS;
        let mut tokens = Vec::with_capacity(self.tokens.len());
        // The dice start from the block's place: the outcome depends on neither time nor thread.
        let mut dice = Dice(self.range.start as u64);
        let mut failures = 0;
        for _ in 0..FITTED_PASSES {
            let by_codes = Prices::of_codes(&codes);
            let prices = match failures {
                0 => by_codes,
                1 => by_codes.between(&Prices::of_histogram(&self.histogram)),
                2 => Prices::of_histogram(&self.histogram),
                _ => by_codes.between(&Prices::of_histogram(&dice.shaken(&self.histogram))),
            };
            parser.parse(stretch, matches, self.range.clone(), &prices, &mut tokens);
            let histogram = Histogram::of_block(&tokens);
            let (next, bits) = fitted(&histogram, &mut start);
            if bits + BLOCK_TYPE_BITS >= self.bits {
                failures += 1;
                continue;
            }
            failures = 0;
            self.bits = bits + BLOCK_TYPE_BITS;
            self.histogram = histogram;
            codes = next;
            std::mem::swap(&mut self.tokens, &mut tokens);
        }
        // Once more from the beginning: the search from the last codes may have missed better ones.
        let (again, bits) = fitted(&self.histogram, &mut Start::default());
        if bits + BLOCK_TYPE_BITS < self.bits {
            self.bits = bits + BLOCK_TYPE_BITS;
            codes = again;
        }
        self.codes = Some(codes);
    }

    /// Cuts the block in two, and each part again, as long as that pays by the sizes after new parses.
    pub(super) fn pieces(self, stretch: &[u8], matches: &Matches, credit: u64) -> Vec<Self> {
        if self.tokens.len() < FEW_TOKENS || credit == 0 {
            return vec![self];
        }
        let mut best: Option<(u64, [Self; 2])> = None;
        for (bits, place) in split::halves(&self.tokens, CUTS) {
            if bits > self.bits + HOPELESS {
                continue;
            }
            let (first, second) = self.tokens.split_at(place);
            let mut first = Self::new(self.range.start, first.to_vec());
            let mut second = Self::new(first.range.end, second.to_vec());
            first.improve(stretch, matches, QUICK_PASSES);
            second.improve(stretch, matches, QUICK_PASSES);
            let bits = first.bits + second.bits;
            if bits < best.as_ref().map_or(self.bits + credit, |best| best.0) {
                best = Some((bits, [first, second]));
            }
        }
        match best {
            None => vec![self],
            Some((_, halves)) => {
                halves.into_iter().flat_map(|half| half.pieces(stretch, matches, credit * 7 / 8)).collect()
            }
        }
    }

    /// This block and the one behind it as one, if it is no larger than both. Its codes are fitted, as theirs are.
    pub(super) fn merged(&self, next: &Self, stretch: &[u8], matches: &Matches) -> Option<Self> {
        let mut both = Self::new(self.range.start, [&self.tokens[..], &next.tokens].concat());
        let apart = self.bits + next.bits;
        if both.bits >= apart + HOPELESS {
            return None;
        }
        both.improve(stretch, matches, QUICK_PASSES);
        if both.bits >= apart + HOPELESS_PARSED {
            return None;
        }
        both.finish(stretch, matches);
        (both.bits <= apart).then_some(both)
    }
}

/// A linear congruential generator (Knuth's MMIX constants): any stream of numbers does, if always the same.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `n`.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The high half is the random one; scaled, not divided.
        (((self.0 >> 32) * u64::from(n)) >> 32) as u32
    }

    /// The histogram with one frequency in twenty replaced by another.
    fn shaken(&mut self, histogram: &Histogram) -> Histogram {
        let mut histogram = histogram.clone();
        for counts in [&mut histogram.litlen[..], &mut histogram.dist] {
            for i in 0..counts.len() {
                if self.below(20) == 0 {
                    counts[i] = counts[self.below(counts.len() as u32) as usize];
                }
            }
        }
        histogram
    }
}
