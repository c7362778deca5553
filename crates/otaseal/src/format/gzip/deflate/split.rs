//! Decides where a new block with its own codes makes the output smaller.
//!
//! In three steps, each finer than the one before: all multiples of a chunk by an estimate, those found by their
//! true size, then each end token by token.

use super::header::size;
use super::log::{FRACTION, log2};
use super::token::{DIST_SYMBOLS, Histogram, LITLEN_SYMBOLS, Token};

/// Literals and lengths, then distances, in one array.
const SYMBOLS: usize = LITLEN_SYMBOLS + DIST_SYMBOLS;
/// Tokens between two places that are tried first.
const CHUNK: usize = 512;
/// A start that is this many bits behind the best at one place is given up for all later ones. Splitting a block never
/// costs more than one more header, so a start that is a header and more behind will not come back.
const PATIENCE: u64 = 300;

/// Chooses the ends of blocks for `tokens`: indices into them, rising, the last being `tokens.len()`.
///
/// Looks at every [`CHUNK`]-th token, then moves each end by `finest` tokens at least.
pub(super) fn split(tokens: &[Token], finest: usize) -> Vec<usize> {
    let mut places = candidates(tokens);
    places.push(tokens.len());
    places.sort_unstable();
    places.dedup();
    let mut ends = select(tokens, &places);
    settle(tokens, &mut ends, finest);
    ends
}

/// Ends among all multiples of [`CHUNK`] that make the estimated size least, for several estimates of what a block
/// costs beyond its data.
fn candidates(tokens: &[Token]) -> Vec<usize> {
    // Bits added to the estimate of each block. It errs by about a hundred either way.
    const BIASES: [u64; 4] = [120, 180, 60, 0];
    #[derive(Clone, Copy)]
    struct Best {
        bits: u64,
        start: usize,
    }
    let sums = prefix_sums(tokens);
    // For each chunk's end and bias: the least size of everything up to there, and where its last block starts.
    let mut best = vec![[Best { bits: u64::MAX, start: 0 }; BIASES.len()]; sums.len()];
    best[0] = [Best { bits: 0, start: 0 }; BIASES.len()];
    let mut live: Vec<(usize, u64)> = Vec::new();
    for end in 1..sums.len() {
        live.push((end - 1, 0));
        for (start, bits) in &mut live {
            let block = estimate(&sums[*start], &sums[end]);
            *bits = best[*start][0].bits + block;
            for (i, bias) in BIASES.iter().enumerate() {
                let bits = best[*start][i].bits + block + bias;
                if bits < best[end][i].bits {
                    best[end][i] = Best { bits, start: *start };
                }
            }
        }
        let hopeless = best[end][0].bits + PATIENCE;
        live.retain(|&(_, bits)| bits < hopeless);
    }
    let mut ends = Vec::new();
    for bias in 0..BIASES.len() {
        let mut end = sums.len() - 1;
        while let Some(last) = best.get(end).filter(|_| end > 0) {
            ends.push((end * CHUNK).min(tokens.len()));
            end = last[bias].start;
        }
    }
    ends
}

/// The best of all ways to end blocks at some of `candidates`, by the true sizes.
fn select(tokens: &[Token], candidates: &[usize]) -> Vec<usize> {
    /// A block that may still grow.
    struct Live {
        /// Number of candidates before it.
        start: usize,
        histogram: Histogram,
        /// Of everything up to its present end.
        bits: u64,
    }
    // Least size of everything up to each candidate, and the number of candidates before its last block.
    let mut best = vec![(0, 0)];
    let mut live: Vec<Live> = Vec::new();
    let mut from = 0;
    for (number, &to) in candidates.iter().enumerate() {
        live.push(Live { start: number, histogram: Histogram::of_block(&[]), bits: 0 });
        let mut least = (u64::MAX, 0);
        for block in &mut live {
            for &token in &tokens[from..to] {
                block.histogram.add(token);
            }
            block.bits = best[block.start].0 + size(&block.histogram);
            least = least.min((block.bits, block.start));
        }
        live.retain(|block| block.bits < least.0 + PATIENCE);
        best.push(least);
        from = to;
    }
    let mut ends = Vec::new();
    let mut number = candidates.len();
    while number > 0 {
        ends.push(candidates[number - 1]);
        number = best[number].1;
    }
    ends.reverse();
    ends
}

/// The best places to cut `tokens` in two, at most `most`, each with the size of both parts. Every place is the best in
/// its neighbourhood.
pub(super) fn halves(tokens: &[Token], most: usize) -> Vec<(u64, usize)> {
    // Places tried first, and the least distance of a cut from either end, in tokens.
    const PLACES: usize = 32;
    const EDGE: usize = 8;
    let step = (tokens.len() / PLACES).max(EDGE);
    let mut border = Border::at(tokens, 0);
    let mut sizes = vec![(u64::MAX, 0)];
    while border.end + step < tokens.len() {
        border = border.moved(tokens, border.end + step);
        sizes.push((border.size(), border.end));
    }
    sizes.push((u64::MAX, 0));
    let is_dip = |near: &&[(u64, usize)]| near[1].0 <= near[0].0 && near[1].0 < near[2].0;
    let mut dips: Vec<_> = sizes.windows(3).filter(is_dip).map(|near| near[1]).collect();
    dips.sort_unstable();
    dips.truncate(most);
    for (bits, place) in &mut dips {
        let mut border = Border::at(tokens, *place);
        *bits = border.settle(tokens, step / 2, 1);
        *place = border.end;
    }
    dips.retain(|&(_, place)| EDGE <= place && place + EDGE <= tokens.len());
    dips
}

/// Moves ends to better places nearby, by `finest` tokens at least, and drops those that do not pay, by the true sizes.
pub(super) fn settle(tokens: &[Token], ends: &mut Vec<usize>, finest: usize) {
    let mut i = 0;
    let mut from = 0;
    while let [end, to] = ends[i..].first_chunk().copied().unwrap_or([tokens.len(); 2])
        && end < to
    {
        let mut border = Border::at(&tokens[from..to], end - from);
        let best = border.settle(&tokens[from..to], CHUNK / 2, finest);
        if size(&Histogram::of_block(&tokens[from..to])) <= best {
            ends.remove(i);
        } else {
            from += border.end;
            ends[i] = from;
            i += 1;
        }
    }
}

/// Where one block ends and the next begins.
struct Border {
    end: usize,
    before: Histogram,
    after: Histogram,
}

impl Border {
    /// The end of the first `end` of `tokens`.
    fn at(tokens: &[Token], end: usize) -> Self {
        let (before, after) = tokens.split_at(end);
        Self { end, before: Histogram::of_block(before), after: Histogram::of_block(after) }
    }

    /// Moves the end to a better place nearby, by steps from `step` down to `finest`. Returns the size there.
    fn settle(&mut self, tokens: &[Token], mut step: usize, finest: usize) -> u64 {
        let mut best = self.size();
        while step >= finest.max(1) {
            let places = [self.end.saturating_sub(step), self.end + step];
            let better =
                places.into_iter().filter(|&place| 0 < place && place < tokens.len()).find_map(|place| {
                    let moved = self.moved(tokens, place);
                    let bits = moved.size();
                    (bits < best).then_some((bits, moved))
                });
            match better {
                Some(found) => (best, *self) = found,
                None => step /= 2,
            }
        }
        best
    }

    /// Of both blocks.
    fn size(&self) -> u64 {
        size(&self.before) + size(&self.after)
    }

    fn moved(&self, tokens: &[Token], end: usize) -> Self {
        let mut moved = Self { end, before: self.before.clone(), after: self.after.clone() };
        for &token in tokens.get(self.end..end).unwrap_or_default() {
            moved.before.add(token);
            moved.after.remove(token);
        }
        for &token in tokens.get(end..self.end).unwrap_or_default() {
            moved.before.remove(token);
            moved.after.add(token);
        }
        moved
    }
}

/// How often every symbol occurs before each chunk, and in all.
fn prefix_sums(tokens: &[Token]) -> Vec<[u32; SYMBOLS]> {
    let mut sum = [0; SYMBOLS];
    let mut sums = Vec::with_capacity(tokens.len() / CHUNK + 2);
    sums.push(sum);
    for chunk in tokens.chunks(CHUNK) {
        for &token in chunk {
            sum[token.litlen_symbol()] += 1;
            if token.len() != 0 {
                sum[LITLEN_SYMBOLS + token.dist_slot()] += 1;
            }
        }
        sums.push(sum);
    }
    sums
}

/// Estimated bits of the symbols between two sums as a block, without their extra bits.
fn estimate(from: &[u32; SYMBOLS], to: &[u32; SYMBOLS]) -> u64 {
    let mut counts = [0u32; SYMBOLS];
    for ((count, from), to) in counts.iter_mut().zip(from).zip(to) {
        *count = to - from;
    }
    let (litlen, dist) = counts.split_at(LITLEN_SYMBOLS);
    // Measured on firmware: the estimate of the header is high by about as much as the least bias here.
    (estimate_code(litlen) + estimate_code(dist)).saturating_sub(140)
}

/// The entropy of symbols, and what the lengths of their codes will take in the header.
fn estimate_code(counts: &[u32]) -> u64 {
    let total_log = log2(counts.iter().sum::<u32>().max(1));
    let mut entropy = 0;
    // In tenths of bits, measured on firmware.
    let mut header = 0;
    let (mut last, mut zeros) = (0, 0);
    for &count in counts {
        if count == 0 {
            zeros += 1;
            continue;
        }
        if zeros > 0 {
            header += match zeros {
                1 | 2 => 40 * zeros,
                3..=10 => 65,
                _ => 100,
            };
            zeros = 0;
            last = 0;
        }
        let log = total_log - log2(count);
        entropy += u64::from(count) * u64::from(log);
        let len = (log + (1 << (FRACTION - 1))) >> FRACTION;
        header += if len == last { 22 } else { 36 };
        last = len;
    }
    // Codes of whole bits lose about half a per cent against the entropy.
    let entropy = entropy >> FRACTION;
    entropy + entropy / 220 + header / 10
}
