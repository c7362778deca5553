//! Compresses with DEFLATE (RFC 1951), as small as a search can make it.
//!
//! It takes the data in stretches. For each stretch it finds all matches once ([`matches`]). Then it parses the data into
//! literals and copies at least cost ([`parse`]). The prices come from the frequencies of the last parse ([`price`]). It
//! cuts the parse into blocks ([`split`]). The thorough plan tries each cut with new parses of both sides ([`block`]). At
//! last it fits the codes of each block to its data and to their own description ([`fit`], [`header`], [`huffman`]), and
//! writes the blocks ([`writer`]).
//!
//! Nothing here depends on floating point, on time, on the number of threads or on the machine's word.

mod bits;
mod block;
mod fit;
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
use block::{Block, CREDIT, QUICK_PASSES};
use matches::{Matches, Search};
use parse::Parser;
use price::Prices;
use token::Token;
use writer::Form;

/// Data worked on at once. It bounds the memory: matches and parses of this many bytes.
const STRETCH: usize = 1 << 20;

/// Up to this length the default plan fits the codes too. It takes a millisecond, and matters most there.
const SMALL: usize = 1 << 15;

/// How much is tried.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    search: Search,
    /// The least distance, in tokens, by which an end of a block is moved at first.
    finest: usize,
    /// Whether cuts are tried with new parses, and the codes fitted.
    thorough: bool,
}

/// About the time of `gzip -9`.
pub(crate) const DEFAULT: Plan =
    Plan { search: Search { depth: 24, nice: 128, threes: 8, distances: 1 }, finest: 64, thorough: false };

/// Until little more is gained, in less than half the time of `zopfli --i15`.
pub(crate) const MAX: Plan =
    Plan { search: Search { depth: 2000, nice: 258, threes: 48, distances: 4 }, finest: 16, thorough: true };

/// Compresses `data` into a DEFLATE stream with up to `threads` threads. Their number does not change the bytes.
pub(crate) fn deflate(data: &[u8], plan: &Plan, threads: NonZero<usize>) -> Vec<u8> {
    let mut out = BitWriter::default();
    let mut start = 0;
    loop {
        let end = data.len().min(start + STRETCH);
        let blocks = search(data, start, end, plan, threads);
        let mut forms: Vec<(&Block, Form)> = blocks.iter().map(|block| (block, Form::Fixed)).collect();
        in_parallel(&mut forms, threads, |(block, form)| *form = Form::smallest(block));
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
    let mut blocks = cut(&tokens, &split::split(&tokens, plan.finest));
    if plan.thorough {
        in_parallel(&mut blocks, threads, |block| block.improve(stretch, &matches, QUICK_PASSES));
        return rework(blocks, stretch, &matches, threads);
    }
    in_parallel(&mut blocks, threads, |block| {
        block.improve(stretch, &matches, 1);
        if stretch.len() <= SMALL {
            block.improve(stretch, &matches, 2);
            block.finish(stretch, &matches);
        }
    });
    blocks
}

/// Moves, adds and takes away ends of blocks, then fits the codes of all.
fn rework(mut blocks: Vec<Block>, stretch: &[u8], matches: &Matches, threads: NonZero<usize>) -> Vec<Block> {
    let mut pieces: Vec<Vec<Block>> = blocks.into_iter().map(|block| vec![block]).collect();
    in_parallel(&mut pieces, threads, |pieces| {
        *pieces = std::mem::take(pieces)
            .into_iter()
            .flat_map(|block| block.pieces(stretch, matches, CREDIT))
            .collect();
    });
    blocks = pieces.into_iter().flatten().collect();
    let mut tokens = Vec::new();
    let mut ends = Vec::new();
    for block in &blocks {
        tokens.extend_from_slice(&block.tokens);
        ends.push(tokens.len());
    }
    split::settle(&tokens, &mut ends, 1);
    blocks = cut(&tokens, &ends);
    in_parallel(&mut blocks, threads, |block| {
        block.improve(stretch, matches, QUICK_PASSES);
        block.finish(stretch, matches);
    });
    merge(&mut blocks, stretch, matches);
    blocks
}

/// Merges neighbours that are smaller as one block.
fn merge(blocks: &mut Vec<Block>, stretch: &[u8], matches: &Matches) {
    let mut i = 0;
    while let [block, next, ..] = &blocks[i..] {
        match block.merged(next, stretch, matches) {
            Some(both) => {
                blocks[i] = both;
                blocks.remove(i + 1);
                i = i.saturating_sub(1);
            }
            None => i += 1,
        }
    }
}

/// Blocks of `tokens` that end at the given indices.
fn cut(tokens: &[Token], ends: &[usize]) -> Vec<Block> {
    let (mut from, mut pos) = (0, 0);
    let block = |&end: &usize| {
        let block = Block::new(pos, tokens[from..end].to_vec());
        (from, pos) = (end, block.range.end);
        block
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
