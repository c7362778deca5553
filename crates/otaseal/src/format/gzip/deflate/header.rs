//! Finds the cheapest description of the codes of a dynamic block (RFC 1951, section 3.2.7).

use super::bits::BitWriter;
use super::huffman::{MAX_BITS, MAX_PRECODE_BITS, code_lengths};
use super::token::{BLOCK_TYPE_BITS, DIST_SYMBOLS, Histogram, LITLEN_SYMBOLS};

/// Symbols that describe code lengths.
pub(super) const PRECODE_SYMBOLS: usize = 19;
/// The order in which the lengths of the code length code are sent.
const PRECODE_ORDER: [usize; PRECODE_SYMBOLS] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Repeat the last length 3 to 6 times; 3 to 10 zeros; 11 to 138 zeros.
pub(super) const REPEAT: u8 = 16;
pub(super) const ZEROS_SHORT: u8 = 17;
pub(super) const ZEROS_LONG: u8 = 18;
/// Extra bits behind each of the three.
const RUN_EXTRA: [u32; 3] = [2, 3, 7];
/// HLIT, HDIST and HCLEN.
const COUNTS_BITS: u64 = 5 + 5 + 4;

/// Lengths of both codes of a dynamic block.
#[derive(Clone)]
pub(super) struct Codes {
    pub(super) litlen: [u8; LITLEN_SYMBOLS],
    pub(super) dist: [u8; DIST_SYMBOLS],
}

impl Codes {
    /// The optimal codes for a block, and the bits of the block with them, the three bits of its type left out.
    ///
    /// Optimal for the data alone: a code a little longer may have a shorter description. See [`Self::choose`].
    pub(super) fn optimal(histogram: &Histogram) -> (Self, u64) {
        let codes = Self::of_counts(&histogram.litlen, &histogram.dist);
        let bits = codes.bits(histogram);
        (codes, bits)
    }

    /// The codes that make the block smallest, among those for counts that are evened out more and more.
    pub(super) fn choose(histogram: &Histogram) -> Self {
        let (mut best, mut best_bits) = Self::optimal(histogram);
        for (slack, share) in [(1, 0), (2, 8), (3, 6), (4, 4), (8, 3)] {
            let mut litlen = histogram.litlen;
            let mut dist = histogram.dist;
            smooth(&mut litlen, slack, share);
            smooth(&mut dist, slack, share);
            for dist in [&dist, &histogram.dist] {
                let codes = Self::of_counts(&litlen, dist);
                let bits = codes.bits(histogram);
                if bits < best_bits {
                    (best, best_bits) = (codes, bits);
                }
            }
        }
        best
    }

    fn of_counts(litlen_counts: &[u32; LITLEN_SYMBOLS], dist_counts: &[u32; DIST_SYMBOLS]) -> Self {
        let mut codes = Self { litlen: [0; LITLEN_SYMBOLS], dist: [0; DIST_SYMBOLS] };
        code_lengths(litlen_counts, MAX_BITS, &mut codes.litlen);
        code_lengths(dist_counts, MAX_BITS, &mut codes.dist);
        codes
    }

    /// The codes of a fixed block: RFC 1951, section 3.2.6.
    pub(super) fn fixed() -> Self {
        let mut litlen = [8; LITLEN_SYMBOLS];
        litlen[144..256].fill(9);
        litlen[256..280].fill(7);
        Self { litlen, dist: [5; DIST_SYMBOLS] }
    }

    /// Bits of a dynamic block with these codes, its description in a first version, and all but its type.
    fn bits(&self, histogram: &Histogram) -> u64 {
        self.data_bits(histogram) + histogram.extra_bits() + Description::quick(self).bits
    }

    /// How many literals and lengths, and how many distances, the description lists.
    pub(super) fn listed(&self) -> [usize; 2] {
        let litlen = self.litlen.iter().rposition(|&bits| bits != 0).map_or(257, |last| last.max(256) + 1);
        // One distance code at least, of zero bits if there are no distances.
        let dist = self.dist.iter().rposition(|&bits| bits != 0).map_or(1, |last| last + 1);
        [litlen, dist]
    }

    /// Bits of all symbols of a block, without their extra bits.
    pub(super) fn data_bits(&self, histogram: &Histogram) -> u64 {
        let dot = |counts: &[u32], lengths: &[u8]| -> u64 {
            counts.iter().zip(lengths).map(|(&n, &bits)| u64::from(n) * u64::from(bits)).sum()
        };
        dot(&histogram.litlen, &self.litlen) + dot(&histogram.dist, &self.dist)
    }
}

/// Bits of a block with these frequencies, with the optimal code for them.
pub(super) fn size(histogram: &Histogram) -> u64 {
    Codes::optimal(histogram).1 + BLOCK_TYPE_BITS
}

/// Evens out stretches of counts that differ by no more than `slack` and a `share`-th (0: none) of the first,
/// so that their codes come out equally long and repeat cheaply.
fn smooth(counts: &mut [u32], slack: u32, share: u32) {
    let mut from = 0;
    while from < counts.len() {
        let first = counts[from];
        let allowed = slack + first.checked_div(share).unwrap_or(0);
        let len = counts[from..].iter().take_while(|&&n| n != 0 && n.abs_diff(first) <= allowed).count();
        if len >= 4 {
            let stretch = &mut counts[from..from + len];
            let sum: u64 = stretch.iter().map(|&n| u64::from(n)).sum();
            stretch.fill(((sum + len as u64 / 2) / len as u64).max(1) as u32);
        }
        from += len.max(1);
    }
}

/// What stands between a dynamic block's type and its data.
pub(super) struct Description {
    litlen_len: usize,
    dist_len: usize,
    precode: [u8; PRECODE_SYMBOLS],
    precode_len: usize,
    /// Symbols of the code length code with their extra bits.
    items: Vec<(u8, u8)>,
    /// Size of all of it.
    pub(super) bits: u64,
}

impl Description {
    /// A description of `codes`, and its size, good enough to compare codes by.
    fn quick(codes: &Codes) -> Self {
        Self::at_prices(codes, &Self::usual_prices())
    }

    /// The shortest description found when what one takes gives the prices for the next.
    pub(super) fn shortest(codes: &Codes) -> Self {
        let mut best = Self::quick(codes);
        loop {
            let next = Self::at_prices(codes, &best.prices());
            if next.bits >= best.bits {
                return best;
            }
            best = next;
        }
    }

    /// What its symbols take. One that is not in use would have to be introduced first.
    pub(super) fn prices(&self) -> [u32; PRECODE_SYMBOLS] {
        self.precode.map(|bits| u32::from(if bits == 0 { MAX_PRECODE_BITS + 1 } else { bits }))
    }

    /// About what the symbols take in most firmware.
    fn usual_prices() -> [u32; PRECODE_SYMBOLS] {
        let mut prices = [5; PRECODE_SYMBOLS];
        for symbol in [0, ZEROS_SHORT, ZEROS_LONG] {
            prices[usize::from(symbol)] = 4;
        }
        prices
    }

    fn at_prices(codes: &Codes, prices: &[u32; PRECODE_SYMBOLS]) -> Self {
        let [litlen_len, dist_len] = codes.listed();
        // Both sequences are one: a run may cross from the first into the second.
        let mut lengths = [0; LITLEN_SYMBOLS + DIST_SYMBOLS];
        lengths[..litlen_len].copy_from_slice(&codes.litlen[..litlen_len]);
        lengths[litlen_len..litlen_len + dist_len].copy_from_slice(&codes.dist[..dist_len]);
        let items = runs(&lengths[..litlen_len + dist_len], prices);
        let mut counts = [0; PRECODE_SYMBOLS];
        for &(symbol, _) in &items {
            counts[usize::from(symbol)] += 1;
        }
        let mut precode = [0; PRECODE_SYMBOLS];
        code_lengths(&counts, MAX_PRECODE_BITS, &mut precode);
        let precode_len =
            PRECODE_ORDER.iter().rposition(|&symbol| precode[symbol] != 0).map_or(4, |i| i.max(3) + 1);
        let mut bits = COUNTS_BITS + 3 * precode_len as u64;
        for (symbol, (&n, &len)) in counts.iter().zip(&precode).enumerate() {
            bits += u64::from(n) * u64::from(u32::from(len) + extra_bits(symbol as u8));
        }
        Self { litlen_len, dist_len, precode, precode_len, items, bits }
    }

    /// Writes the description.
    pub(super) fn write(&self, out: &mut BitWriter) {
        out.put(self.litlen_len as u32 - 257, 5);
        out.put(self.dist_len as u32 - 1, 5);
        out.put(self.precode_len as u32 - 4, 4);
        for &symbol in &PRECODE_ORDER[..self.precode_len] {
            out.put(u32::from(self.precode[symbol]), 3);
        }
        let mut codes = [0; PRECODE_SYMBOLS];
        super::huffman::codes(&self.precode, &mut codes);
        for &(symbol, extra) in &self.items {
            out.put(u32::from(codes[usize::from(symbol)]), u32::from(self.precode[usize::from(symbol)]));
            out.put(u32::from(extra), extra_bits(symbol));
        }
    }
}

/// Extra bits behind a symbol.
pub(super) fn extra_bits(symbol: u8) -> u32 {
    symbol.checked_sub(REPEAT).map_or(0, |run| RUN_EXTRA[usize::from(run)])
}

/// The cheapest sequence of code length symbols for `lengths` at the given prices, found from the end: every
/// place knows the least cost of what follows.
fn runs(lengths: &[u8], prices: &[u32; PRECODE_SYMBOLS]) -> Vec<(u8, u8)> {
    let run_price = |symbol: u8| prices[usize::from(symbol)] + extra_bits(symbol);
    let mut costs = [0u32; LITLEN_SYMBOLS + DIST_SYMBOLS + 1];
    // Symbol and how many lengths it covers.
    let mut choices = [(0u8, 0u8); LITLEN_SYMBOLS + DIST_SYMBOLS];
    let mut equal = 0usize;
    for place in (0..lengths.len()).rev() {
        let bits = lengths[place];
        equal = if lengths.get(place + 1) == Some(&bits) { equal + 1 } else { 1 };
        let mut best = (costs[place + 1] + prices[usize::from(bits)], bits, 1);
        let mut offer = |symbol: u8, cover: usize| {
            let cost = costs[place + cover] + run_price(symbol);
            if cost < best.0 {
                best = (cost, symbol, cover as u8);
            }
        };
        if bits == 0 {
            for cover in 3..=equal.min(10) {
                offer(ZEROS_SHORT, cover);
            }
            for cover in [equal.min(138), equal.saturating_sub(3).min(138), equal.saturating_sub(138)] {
                if (11..=138).contains(&cover) {
                    offer(ZEROS_LONG, cover);
                }
            }
        }
        if place > 0 && lengths[place - 1] == bits {
            for cover in 3..=equal.min(6) {
                offer(REPEAT, cover);
            }
        }
        costs[place] = best.0;
        choices[place] = (best.1, best.2);
    }
    let mut items = Vec::with_capacity(128);
    let mut place = 0;
    while place < lengths.len() {
        let (symbol, cover) = choices[place];
        let extra = match symbol {
            REPEAT | ZEROS_SHORT => cover - 3,
            ZEROS_LONG => cover - 11,
            _ => 0,
        };
        items.push((symbol, extra));
        place += usize::from(cover);
    }
    items
}
