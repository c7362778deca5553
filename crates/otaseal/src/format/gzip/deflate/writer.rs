//! Writes blocks as bits (RFC 1951, section 3.2.3).

use super::bits::BitWriter;
use super::block::Block;
use super::header::{Codes, Description};
use super::huffman;
use super::token::{
    BLOCK_TYPE_BITS, DIST_SYMBOLS, END_OF_BLOCK, LENGTH_BASE, LENGTH_EXTRA, LITLEN_SYMBOLS, Token, dist_extra,
};

/// Most bytes of a stored block: RFC 1951, section 3.2.4.
const MAX_STORED: usize = 65_535;

/// The three forms of a block: RFC 1951, section 3.2.3.
pub(super) enum Form {
    Stored,
    Fixed,
    Dynamic(Box<(Codes, Description)>),
}

impl Form {
    /// The smallest form for a block, wherever it begins.
    pub(super) fn smallest(block: &Block) -> Self {
        let histogram = &block.histogram;
        let codes = block.codes.clone().unwrap_or_else(|| Codes::choose(histogram));
        let description = Description::shortest(&codes);
        let dynamic = codes.data_bits(histogram) + histogram.extra_bits() + description.bits;
        let fixed = Codes::fixed().data_bits(histogram) + histogram.extra_bits();
        if stored_bits(block.range.len()) < dynamic.min(fixed) + BLOCK_TYPE_BITS {
            return Self::Stored;
        }
        if fixed <= dynamic {
            return Self::Fixed;
        }
        Self::Dynamic(Box::new((codes, description)))
    }
}

/// Bits that `len` bytes take as stored blocks at most.
fn stored_bits(len: usize) -> u64 {
    // Type, up to seven bits to the next byte, LEN and NLEN.
    len.div_ceil(MAX_STORED).max(1) as u64 * (BLOCK_TYPE_BITS + 7 + 32) + 8 * len as u64
}

/// Writes one block; `raw` is what `tokens` stand for, `last` whether the stream ends with it.
pub(super) fn write_block(out: &mut BitWriter, form: &Form, tokens: &[Token], raw: &[u8], last: bool) {
    match form {
        Form::Stored => write_stored(out, raw, last),
        Form::Fixed => {
            out.put(u32::from(last) | 1 << 1, 3);
            write_tokens(out, tokens, &Codes::fixed());
        }
        Form::Dynamic(dynamic) => {
            out.put(u32::from(last) | 2 << 1, 3);
            dynamic.1.write(out);
            write_tokens(out, tokens, &dynamic.0);
        }
    }
}

fn write_stored(out: &mut BitWriter, raw: &[u8], last: bool) {
    let mut pieces = raw.chunks(MAX_STORED).peekable();
    while let Some(piece) = pieces.next() {
        out.put(u32::from(last && pieces.peek().is_none()), 3);
        out.align();
        let len = piece.len() as u32;
        out.put(len | (!len & 0xffff) << 16, 32);
        out.bytes.extend_from_slice(piece);
    }
}

fn write_tokens(out: &mut BitWriter, tokens: &[Token], codes: &Codes) {
    let mut litlen = [0; LITLEN_SYMBOLS];
    let mut dist = [0; DIST_SYMBOLS];
    huffman::codes(&codes.litlen, &mut litlen);
    huffman::codes(&codes.dist, &mut dist);
    let symbol = |out: &mut BitWriter, symbol: usize| {
        out.put(u32::from(litlen[symbol]), u32::from(codes.litlen[symbol]));
    };
    for &token in tokens {
        let litlen_symbol = token.litlen_symbol();
        symbol(out, litlen_symbol);
        if token.len() != 0 {
            let slot = litlen_symbol - 257;
            out.put(token.len() as u32 - u32::from(LENGTH_BASE[slot]), u32::from(LENGTH_EXTRA[slot]));
            let slot = token.dist_slot();
            out.put(u32::from(dist[slot]), u32::from(codes.dist[slot]));
            let extra = dist_extra(slot);
            out.put(token.dist_less_one() & ((1 << extra) - 1), extra);
        }
    }
    symbol(out, END_OF_BLOCK);
}
