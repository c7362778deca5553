//! One step of a parse: a literal byte, or a copy of earlier output.

/// BFINAL and BTYPE: RFC 1951, section 3.2.3.
pub(super) const BLOCK_TYPE_BITS: u64 = 3;

/// Longest and shortest copy: RFC 1951, section 3.2.5.
pub(super) const MAX_MATCH: usize = 258;
pub(super) const MIN_MATCH: usize = 3;

/// Symbols of the literal/length code (the last two never occur, but have their place in the fixed code) and of
/// the distance code: RFC 1951, sections 3.2.5 and 3.2.6.
pub(super) const LITLEN_SYMBOLS: usize = 288;
pub(super) const DIST_SYMBOLS: usize = 30;
/// Ends a block: RFC 1951, section 3.2.5.
pub(super) const END_OF_BLOCK: usize = 256;

/// Extra bits of the length symbols 257..=285, RFC 1951, section 3.2.5.
pub(super) const LENGTH_EXTRA: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
/// First length of the same symbols.
pub(super) const LENGTH_BASE: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];

/// Index of the length symbol (0 for 257) of every length. 258 has a symbol of its own.
pub(super) const LENGTH_SLOT: [u8; MAX_MATCH + 1] = {
    let mut slots = [0; MAX_MATCH + 1];
    let (mut len, mut slot) = (MIN_MATCH, 0);
    while len <= MAX_MATCH {
        while slot + 1 < LENGTH_BASE.len() && LENGTH_BASE[slot + 1] as usize <= len {
            slot += 1;
        }
        slots[len] = slot as u8;
        len += 1;
    }
    slots
};

/// Extra bits of a distance symbol: none for the first four, then one more for every second.
pub(super) const fn dist_extra(slot: usize) -> u32 {
    if slot < 4 { 0 } else { slot as u32 / 2 - 1 }
}

/// A distance less one, to its symbol (RFC 1951, section 3.2.5): the position of the highest bit, and the bit
/// below it.
pub(super) const fn dist_slot(dist_less_one: u32) -> u32 {
    if dist_less_one < 2 {
        return dist_less_one;
    }
    let top = dist_less_one.ilog2();
    2 * top + (dist_less_one >> (top - 1) & 1)
}

/// A literal or a copy in 32 bits: length in bits 0..9 (0 for a literal), distance less one in 9..24 (the
/// byte, for a literal), distance symbol in 24..29.
///
/// Packed since millions are kept: a file's matches are found once and read by every pass over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(u32);

impl Token {
    pub(super) const fn literal(byte: u8) -> Self {
        Self((byte as u32) << 9)
    }

    pub(super) const fn copy(len: usize, dist: usize) -> Self {
        let dist = dist as u32 - 1;
        Self(dist_slot(dist) << 24 | dist << 9 | len as u32)
    }

    /// The same distance with another length.
    pub(super) const fn with_len(self, len: usize) -> Self {
        Self(self.0 & !0x1ff | len as u32)
    }

    /// 0 for a literal.
    pub(super) const fn len(self) -> usize {
        (self.0 & 0x1ff) as usize
    }

    /// Bytes of output.
    pub(super) const fn span(self) -> usize {
        let len = self.len();
        if len == 0 { 1 } else { len }
    }

    pub(super) const fn byte(self) -> u8 {
        (self.0 >> 9) as u8
    }

    pub(super) const fn dist_less_one(self) -> u32 {
        self.0 >> 9 & 0x7fff
    }

    pub(super) const fn dist_slot(self) -> usize {
        (self.0 >> 24 & 0x1f) as usize
    }

    /// Symbol in the literal/length code.
    pub(super) const fn litlen_symbol(self) -> usize {
        let len = self.len();
        if len == 0 { self.byte() as usize } else { 257 + LENGTH_SLOT[len] as usize }
    }
}

/// How often every symbol occurs in a block.
#[derive(Clone)]
pub(super) struct Histogram {
    pub(super) litlen: [u32; LITLEN_SYMBOLS],
    pub(super) dist: [u32; DIST_SYMBOLS],
}

impl Histogram {
    pub(super) const fn new() -> Self {
        Self { litlen: [0; LITLEN_SYMBOLS], dist: [0; DIST_SYMBOLS] }
    }

    /// Of a whole block, so with its end.
    pub(super) fn of_block(tokens: &[Token]) -> Self {
        let mut histogram = Self::new();
        for &token in tokens {
            histogram.add(token);
        }
        histogram.litlen[END_OF_BLOCK] = 1;
        histogram
    }

    pub(super) fn add(&mut self, token: Token) {
        self.litlen[token.litlen_symbol()] += 1;
        if token.len() != 0 {
            self.dist[token.dist_slot()] += 1;
        }
    }

    pub(super) fn remove(&mut self, token: Token) {
        self.litlen[token.litlen_symbol()] -= 1;
        if token.len() != 0 {
            self.dist[token.dist_slot()] -= 1;
        }
    }

    /// Bits of the extra fields of all lengths and distances.
    pub(super) fn extra_bits(&self) -> u64 {
        let lengths =
            self.litlen[257..].iter().zip(LENGTH_EXTRA).map(|(&n, bits)| u64::from(n) * u64::from(bits));
        let dists = self.dist.iter().enumerate().map(|(slot, &n)| u64::from(n) * u64::from(dist_extra(slot)));
        lengths.sum::<u64>() + dists.sum::<u64>()
    }
}
