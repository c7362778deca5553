//! Compresses with DEFLATE (RFC 1951), as small as a search can make it.
//!
//! The data are taken in stretches. Of each, all matches are found once ([`matches`]). Then, in turn: the data are
//! parsed into literals and copies at least cost ([`parse`]), by prices that the frequencies of the last parse
//! give ([`price`]); and the parse is cut into blocks ([`split`]), each with codes of its own ([`header`],
//! [`huffman`]). What was found smallest is written ([`writer`]).
//!
//! Nothing here depends on floating point, on time, on the number of threads or on the machine's word.

mod bits;
mod block;
mod header;
mod huffman;
mod log;
mod matches;
mod parse;
mod price;
mod split;
mod token;
mod writer;

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use bits::BitWriter;
use block::{Block, Passes};
use matches::{Matches, Search};
use parse::Parser;
use price::Prices;
use split::Grain;
use token::Token;
use writer::Form;

/// Data worked on at once, to bound the memory: matches, prefix sums and parses of this many bytes.
const STRETCH: usize = 1 << 20;

/// Stretches shorter than this are tried more often.
const SMALL: usize = 1 << 18;
/// What is a small image to a [`Plan`], in tokens of its first parse.
const FEW_TOKENS: usize = 1 << 13;

/// How much is tried.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    search: Search,
    grain: Grain,
    /// The grain's chunk where there are fewer than [`FEW_TOKENS`] tokens, and in other stretches shorter than
    /// [`SMALL`]: fewer places to choose from.
    chunk_of_few: usize,
    chunk_of_small: usize,
    /// What is done between two rounds of splitting, in order, and after the last.
    rounds: &'static [Passes],
}

/// About the time of `gzip -9`.
pub(crate) const DEFAULT: Plan = Plan {
    search: Search { depth: 24, nice: 128 },
    grain: Grain { chunk: 512, patience: 300, finest: 64 },
    chunk_of_few: 512,
    chunk_of_small: 512,
    rounds: &[Passes { most: 2, shake: 0 }],
};

/// Until little more is gained, in less than half the time of `zopfli --i15`.
pub(crate) const MAX: Plan = Plan {
    search: Search { depth: 2000, nice: 258 },
    grain: Grain { chunk: 96, patience: 450, finest: 1 },
    chunk_of_few: 32,
    chunk_of_small: 64,
    rounds: &[Passes { most: 4, shake: 0 }, Passes { most: 40, shake: 20 }],
};

/// Compresses `data` into a DEFLATE stream with up to `threads` threads, whose number does not change the bytes.
pub(crate) fn deflate(data: &[u8], plan: &Plan, threads: NonZero<usize>) -> Vec<u8> {
    let mut out = BitWriter::default();
    let mut start = 0;
    loop {
        let end = data.len().min(start + STRETCH);
        let blocks = search(data, start, end, plan, threads);
        let mut forms: Vec<(&Block, Form)> = blocks.iter().map(|block| (block, Form::Fixed)).collect();
        in_parallel(&mut forms, threads, |(block, form)| {
            *form = Form::smallest(&block.histogram, block.range.len());
        });
        for (i, (block, form)) in forms.iter().enumerate() {
            let last = end == data.len() && i + 1 == forms.len();
            let raw = &data[start..end][block.range.clone()];
            writer::write_block(&mut out, form, &block.tokens, raw, last);
        }
        if end == data.len() {
            return out.finish();
        }
        start = end;
    }
}

/// The best blocks found for `data[start..end]`.
fn search(data: &[u8], start: usize, end: usize, plan: &Plan, threads: NonZero<usize>) -> Vec<Block> {
    let matches = Matches::find(data, start, end, plan.search);
    let stretch = &data[start..end];
    let mut tokens = Vec::new();
    Parser::default().parse(stretch, &matches, 0..stretch.len(), &Prices::guess(stretch), &mut tokens);
    let mut known = Vec::new();
    let mut best: Option<(u64, Vec<Block>)> = None;
    let mut grain = plan.grain;
    if tokens.len() < FEW_TOKENS {
        grain.chunk = plan.chunk_of_few;
    } else if stretch.len() < SMALL {
        grain.chunk = plan.chunk_of_small;
    }
    for &passes in plan.rounds {
        let mut blocks = cut(&tokens, &split::split(&tokens, grain, &known));
        // Little data can have many passes, and needs them more.
        let most = passes.most * (SMALL / stretch.len().max(1)).clamp(1, 4) as u32;
        let passes = Passes { most: if passes.shake == 0 { passes.most } else { most }, ..passes };
        in_parallel(&mut blocks, threads, |block| block.improve(stretch, &matches, passes));
        tokens.clear();
        known.clear();
        for block in &blocks {
            tokens.extend_from_slice(&block.tokens);
            known.push(tokens.len());
        }
        let bits = blocks.iter().map(|block| block.bits).sum();
        if best.as_ref().is_none_or(|best| bits < best.0) {
            best = Some((bits, blocks));
        }
    }
    best.map(|best| best.1).unwrap_or_default()
}

/// Blocks of `tokens` that end at the given indices.
fn cut(tokens: &[Token], ends: &[usize]) -> Vec<Block> {
    let (mut from, mut pos) = (0, 0);
    let block = |&end: &usize| {
        let tokens = tokens[from..end].to_vec();
        let len = tokens.iter().map(|token| token.span()).sum::<usize>();
        (from, pos) = (end, pos + len);
        Block::new(pos - len..pos, tokens)
    };
    ends.iter().map(block).collect()
}

/// Does `work` on all items, each on whatever thread is free.
fn in_parallel<T: Send>(items: &mut [T], threads: NonZero<usize>, work: impl Fn(&mut T) + Sync) {
    let threads = threads.get().min(items.len());
    let queue = Mutex::new(items.iter_mut());
    let worker = || {
        // The work is done outside the lock, so a poisoned one still holds a sound queue.
        while let Some(item) = { queue.lock().unwrap_or_else(PoisonError::into_inner).next() } {
            work(item);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_does_not_change_the_bytes() {
        let mut data: Vec<u8> = (0u64..150_000).map(|i| ((i * i) >> 7) as u8 ^ (i / 3) as u8).collect();
        data.extend_from_within(30_000..60_000);
        for plan in [&DEFAULT, &MAX] {
            let [one, two, seven] = [1, 2, 7].map(|n| deflate(&data, plan, NonZero::new(n).unwrap()));
            assert!(one == two && two == seven);
        }
    }
}
