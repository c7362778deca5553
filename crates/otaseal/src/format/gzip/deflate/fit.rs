//! Finds codes that make a block's data and the description of its codes smallest together.
//!
//! A prefix code has one unit of space: a code of `l` bits takes `2^-l` of it (Kraft). At a given price of space, the
//! cheapest lengths are found exactly, symbol by symbol, as the description will list them. The price is then searched
//! at which the lengths fill the space.

use super::header::{Codes, Description, PRECODE_SYMBOLS, REPEAT, ZEROS_LONG, ZEROS_SHORT, extra_bits};
use super::huffman::MAX_BITS;
use super::log::{FRACTION, log2};
use super::token::{DIST_SYMBOLS, Histogram, LITLEN_SYMBOLS};

/// Units per bit of all costs here.
const BIT: u32 = 64;
/// All the space of a code, in units of its shortest part.
const SPACE: u32 = 1 << MAX_BITS;
/// More than any block costs.
const NEVER: u32 = u32::MAX / 2;
const LENGTHS: usize = MAX_BITS as usize + 1;
/// Before, between and behind all symbols.
const PLACES: usize = LITLEN_SYMBOLS + DIST_SYMBOLS + 1;
/// A price of space is kept per symbol of the data, in this many fractional bits of a bit.
const RATE_FRACTION: u32 = 12;
const RATE_ONE: u64 = 1 << RATE_FRACTION;

/// The prices that the last search ended with: a good start for a block that differs little.
#[derive(Clone, Default)]
pub(super) struct Start {
    /// Bits of each symbol of the description.
    description: Option<[u32; PRECODE_SYMBOLS]>,
    /// Rates for the space of both codes.
    rates: Option<[u64; 2]>,
}

/// The smallest codes found for a block's data and their description together, and the bits of the block without its type.
pub(super) fn fitted(histogram: &Histogram, start: &mut Start) -> (Codes, u64) {
    let extra = histogram.extra_bits();
    let (codes, rounds) = match start.description {
        None => (Codes::choose(histogram), 3),
        Some(_) => (Codes::optimal(histogram).0, 1),
    };
    let fit = Fit::new(histogram, codes.listed());
    let describe = |codes: Codes| {
        let description = Description::shortest(&codes);
        (codes.data_bits(histogram) + extra + description.bits, codes, description)
    };
    let mut best = describe(codes);
    for _ in 0..rounds {
        let prices = start.description.unwrap_or_else(|| best.2.prices());
        let candidates = fit.candidates(&prices, start);
        let Some(found) = candidates.into_iter().map(describe).min_by_key(|found| found.0) else { break };
        if found.0 >= best.0 {
            break;
        }
        best = found;
        start.description = Some(best.2.prices());
    }
    (best.1, best.0)
}

/// Symbols of a block as the description lists them.
struct Fit {
    counts: Vec<u32>,
    /// Least and greatest length worth a try, by symbol.
    windows: Vec<(u8, u8)>,
    /// Number of literals and lengths; distances follow.
    border: usize,
    /// Whether there are fewer than two distances. Their lengths are not searched then.
    lone: bool,
    /// How many symbols of both codes the data have.
    totals: [u64; 2],
}

impl Fit {
    fn new(histogram: &Histogram, [litlen, dist]: [usize; 2]) -> Self {
        let codes = [&histogram.litlen[..litlen], &histogram.dist[..dist]];
        let totals = codes.map(|counts| counts.iter().sum::<u32>());
        let window = |(total, &count): (u32, &u32)| match count {
            // Only to be part of a run of its neighbours.
            0 => (8, MAX_BITS),
            _ => {
                let ideal = ((log2(total) - log2(count)) >> FRACTION) as u8;
                (ideal.saturating_sub(1).clamp(1, MAX_BITS - 2), (ideal + 3).min(MAX_BITS))
            }
        };
        let symbols = codes
            .iter()
            .zip(totals)
            .flat_map(|(counts, total)| counts.iter().map(move |count| (total, count)));
        let lone = codes[1].iter().filter(|&&count| count != 0).count() < 2;
        Self {
            counts: codes.concat(),
            windows: symbols.map(window).collect(),
            border: litlen,
            lone,
            totals: totals.map(u64::from),
        }
    }

    /// Codes that fill the space, near the prices of space at which it is just filled.
    fn candidates(&self, prices: &[u32; PRECODE_SYMBOLS], start: &mut Start) -> Vec<Codes> {
        let (mut low, mut high, rounds) = match start.rates {
            Some(rates) => (rates.map(|rate| rate - rate / 32), rates.map(|rate| rate + rate / 32), 4),
            None => ([RATE_ONE; 2], [2 * RATE_ONE; 2], 8),
        };
        // The nearest lengths that need too much space, and that do not.
        let mut over: [Option<Vec<u8>>; 2] = [None, None];
        let mut under: [Option<Vec<u8>>; 2] = [None, None];
        for _ in 0..rounds {
            let middle = [0, 1].map(|code| (low[code] + high[code]) / 2);
            let price = |code: usize| (self.totals[code] * middle[code] * u64::from(BIT)) >> RATE_FRACTION;
            let mut litlen = self.lengths(prices, [price(0) as u32, price(1) as u32]);
            let dist = litlen.split_off(self.border);
            for (code, lengths) in [litlen, dist].into_iter().enumerate() {
                if used(&lengths) > SPACE {
                    low[code] = middle[code];
                    over[code] = Some(lengths);
                } else {
                    high[code] = middle[code];
                    under[code] = Some(lengths);
                }
            }
        }
        start.rates = Some([0, 1].map(|code| (low[code] + high[code]) / 2));
        let (litlen, dist) = self.counts.split_at(self.border);
        let litlens = filled(over[0].as_deref(), under[0].as_deref(), litlen);
        let dists = match self.lone {
            // Too few for a choice: one bit, or none.
            true => vec![dist.iter().map(|&count| u8::from(count != 0)).collect()],
            false => filled(over[1].as_deref(), under[1].as_deref(), dist),
        };
        let pairs = litlens.iter().flat_map(|litlen| dists.iter().map(move |dist| (litlen, dist)));
        let codes = |(litlen, dist): (&Vec<u8>, &Vec<u8>)| {
            let mut codes = Codes { litlen: [0; LITLEN_SYMBOLS], dist: [0; DIST_SYMBOLS] };
            codes.litlen[..litlen.len()].copy_from_slice(litlen);
            codes.dist[..dist.len()].copy_from_slice(dist);
            codes
        };
        pairs.map(codes).collect()
    }

    /// The lengths that cost least at these prices: of description symbols in bits, and of the space of each code in
    /// units.
    fn lengths(&self, prices: &[u32; PRECODE_SYMBOLS], space: [u32; 2]) -> Vec<u8> {
        let n = if self.lone { self.border } else { self.counts.len() };
        let price = |symbol: u8| (prices[usize::from(symbol)] + extra_bits(symbol)) * BIT;
        let symbol_cost = |place: usize, length: u8| {
            self.counts[place] * u32::from(length) * BIT
                + (space[usize::from(place >= self.border)] >> length)
        };
        let mut steps = Steps::default();
        for place in 0..n {
            let (least, before) = steps.least(place);
            let step = |covered: usize| (covered as u8, before);
            let (low, high) = self.windows[place];
            for length in low..=high {
                steps.offer(place + 1, length, least + price(length) + symbol_cost(place, length), step(1));
            }
            let zeros = self.counts[place..n].iter().take(138).take_while(|&&count| count == 0).count();
            if zeros > 0 {
                steps.offer(place + 1, 0, least + price(0), step(1));
            }
            for run in 3..=zeros.min(10) {
                steps.offer(place + run, 0, least + price(ZEROS_SHORT), step(run));
            }
            // As far as there are zeros, or so far that a short run remains.
            for run in [zeros, zeros.saturating_sub(3)] {
                if run >= 11 {
                    steps.offer(place + run, 0, least + price(ZEROS_LONG), step(run));
                }
            }
            if place == 0 {
                continue;
            }
            for length in low..=high {
                let mut cost = steps.costs[place][usize::from(length)];
                // Any other length before this symbol, and one more description, cost less.
                if cost >= least + u32::from(MAX_BITS) * BIT {
                    continue;
                }
                cost += price(REPEAT);
                for run in 1..=6.min(n - place) {
                    let (low, high) = self.windows[place + run - 1];
                    if !(low..=high).contains(&length) {
                        break;
                    }
                    cost += symbol_cost(place + run - 1, length);
                    if run >= 3 {
                        steps.offer(place + run, length, cost, (run as u8, length));
                    }
                }
            }
        }
        steps.back_from(n)
    }
}

/// By place, and by the length of the symbol before it: the least cost, and the last step: how many symbols it covered
/// and the length before it.
struct Steps {
    costs: [[u32; LENGTHS]; PLACES],
    steps: [[(u8, u8); LENGTHS]; PLACES],
}

impl Default for Steps {
    fn default() -> Self {
        Self { costs: [[NEVER; LENGTHS]; PLACES], steps: [[(1, 0); LENGTHS]; PLACES] }
    }
}

impl Steps {
    fn offer(&mut self, to: usize, length: u8, cost: u32, step: (u8, u8)) {
        let length = usize::from(length);
        if cost < self.costs[to][length] {
            self.costs[to][length] = cost;
            self.steps[to][length] = step;
        }
    }

    /// The least cost of a place, and the length before it then.
    fn least(&self, place: usize) -> (u32, u8) {
        if place == 0 {
            return (0, 0);
        }
        (0..=MAX_BITS)
            .map(|length| (self.costs[place][usize::from(length)], length))
            .min()
            .unwrap_or((NEVER, 0))
    }

    /// The lengths on the cheapest way to a place.
    fn back_from(&self, end: usize) -> Vec<u8> {
        let mut lengths = vec![0; end];
        let mut length = self.least(end).1;
        let mut place = end;
        while place > 0 {
            let (covered, before) = self.steps[place][usize::from(length)];
            let from = place - usize::from(covered);
            lengths[from..place].fill(length);
            (place, length) = (from, before);
        }
        lengths
    }
}

/// Lengths that fill the space, made of those that need too much of it and those that do not.
fn filled(over: Option<&[u8]>, under: Option<&[u8]>, counts: &[u32]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = match (over, under) {
        (Some(over), Some(under)) => {
            [joined(over, under), joined(under, over), Some(under.to_vec())].into_iter().flatten().collect()
        }
        (one, other) => one.or(other).map(<[u8]>::to_vec).into_iter().collect(),
    };
    for lengths in &mut all {
        fill(lengths, counts);
    }
    all
}

/// Space that codes of these lengths take.
fn used(lengths: &[u8]) -> u32 {
    lengths.iter().copied().map(space_of).sum()
}

/// Space that a code of this length takes. Without a code there is no length.
fn space_of(length: u8) -> u32 {
    if length == 0 { 0 } else { SPACE >> length }
}

/// The start of `first` and the rest of `second`, where they fill the space best without needing more.
fn joined(first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
    let mut space = used(second);
    let mut best: Option<(u32, usize)> = None;
    for (place, (&a, &b)) in first.iter().zip(second).enumerate() {
        space = space + space_of(a) - space_of(b);
        if space <= SPACE && best.is_none_or(|best| space > best.0) {
            best = Some((space, place + 1));
        }
    }
    best.map(|(_, end)| [&first[..end], &second[end..]].concat())
}

/// Makes codes longer, and then shorter, where it matters least, until they fill the space.
fn fill(lengths: &mut [u8], counts: &[u32]) {
    let weight = |place: usize, length: u8| u64::from(counts[place]) << length;
    let mut space = used(lengths);
    while space > SPACE {
        let longer = (0..lengths.len()).filter(|&i| (1..MAX_BITS).contains(&lengths[i]));
        let Some(place) = longer.min_by_key(|&i| weight(i, lengths[i])) else { return };
        lengths[place] += 1;
        space -= SPACE >> lengths[place];
    }
    while space < SPACE {
        let shorter = (0..lengths.len()).filter(|&i| lengths[i] > 1 && SPACE >> lengths[i] <= SPACE - space);
        let Some(place) = shorter.max_by_key(|&i| weight(i, lengths[i])) else { return };
        space += SPACE >> lengths[place];
        lengths[place] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::gzip::deflate::block::Dice;
    use crate::format::gzip::deflate::token::END_OF_BLOCK;

    /// A histogram of `litlens` kinds of literals and lengths, and `dists` of distances, some of them rare.
    fn histogram(seed: u64, litlens: usize, dists: usize) -> Histogram {
        let mut dice = Dice(seed);
        let mut count = move |most: usize| {
            let symbol = dice.below(most as u32) as usize;
            (symbol, 1 + (dice.below(4096) >> dice.below(13)))
        };
        let mut histogram = Histogram::of_block(&[]);
        for _ in 0..litlens {
            let (symbol, count) = count(286);
            histogram.litlen[symbol] = count;
        }
        for _ in 0..dists {
            let (symbol, count) = count(DIST_SYMBOLS);
            histogram.dist[symbol] = count;
        }
        histogram.litlen[END_OF_BLOCK] = 1;
        histogram
    }

    /// An inflater refuses a code that has too few or too many words, and one without a word for a symbol.
    #[test]
    fn codes_are_complete_and_have_a_word_for_every_symbol() {
        for seed in 0..200 {
            let (litlens, dists) = (1 + seed as usize * 7 % 300, seed as usize % 40);
            let mut start = Start::default();
            for change in 0..3 {
                let histogram = histogram(seed + change, litlens, dists);
                let (codes, _) = fitted(&histogram, &mut start);
                assert_eq!(used(&codes.litlen), SPACE, "{seed}");
                let distances = histogram.dist.iter().filter(|&&count| count != 0).count();
                let expected = [0, SPACE / 2, SPACE];
                assert_eq!(used(&codes.dist), expected[distances.min(2)], "{seed}");
                let has_word = |(&count, &length): (&u32, &u8)| count == 0 || length != 0;
                assert!(histogram.litlen.iter().zip(&codes.litlen).all(has_word), "{seed}");
                assert!(histogram.dist.iter().zip(&codes.dist).all(has_word), "{seed}");
            }
        }
    }

    /// The optimal codes for the data alone are one of the candidates.
    #[test]
    fn codes_are_no_larger_than_the_optimal_ones_and_most_are_smaller() {
        let smaller = (0..50).filter(|&seed| {
            let histogram = histogram(seed, 250, 30);
            let (_, optimal) = Codes::optimal(&histogram);
            let (_, fitted) = fitted(&histogram, &mut Start::default());
            assert!(fitted <= optimal, "{seed}: {fitted} bits, {optimal} before");
            fitted < optimal
        });
        assert!(smaller.count() > 40);
    }
}
