//! Finds the cheapest parse of a block at given prices.

use std::ops::Range;

use super::matches::Matches;
use super::price::Prices;
use super::token::{MAX_MATCH, MIN_MATCH, Token};

/// Working memory of the parse, kept from pass to pass.
#[derive(Default)]
pub(super) struct Parser {
    /// Least cost from every position to the end of the block.
    costs: Vec<u32>,
    /// First step on that way.
    choices: Vec<Token>,
}

impl Parser {
    /// Puts the cheapest parse of `data[block]` into `tokens`. No copy reaches beyond the block's end, so that
    /// blocks can be worked on one by one, in any order.
    pub(super) fn parse(
        &mut self,
        data: &[u8],
        matches: &Matches,
        block: Range<usize>,
        prices: &Prices,
        tokens: &mut Vec<Token>,
    ) {
        let data = &data[block.clone()];
        self.costs.resize(data.len() + 1, 0);
        self.choices.resize(data.len(), Token::literal(0));
        self.costs[data.len()] = 0;
        for (i, &byte) in data.iter().enumerate().rev() {
            // The costs of this position's successors, by length.
            let later = &self.costs[i..data.len().min(i + MAX_MATCH) + 1];
            let (cost, choice) = step(byte, later, matches, block.start + i, prices);
            self.costs[i] = cost;
            self.choices[i] = choice;
        }
        tokens.clear();
        let mut i = 0;
        while let Some(&choice) = self.choices.get(i) {
            tokens.push(choice);
            i += choice.span();
        }
    }
}

/// The cheapest first step from `pos`, whose byte is `byte`, when a step of `n` bytes costs `later[n]` afterwards.
#[inline(always)]
fn step(byte: u8, later: &[u32], matches: &Matches, pos: usize, prices: &Prices) -> (u32, Token) {
    let mut best = later[1] + prices.literal[usize::from(byte)];
    let mut choice = Token::literal(byte);
    let Some((&(mut copy), mut shorter)) = matches.at(pos).split_first() else {
        return (best, choice);
    };
    let room = later.len() - 1;
    // Inside a long run nothing but the longest copy is worth trying: shorter ones count near its end only, where
    // the longest is shorter, too. Without this a padded image takes a hundred times as long.
    if copy.len() == MAX_MATCH && room == MAX_MATCH && matches.at(pos + 1).first() == Some(&copy) {
        let cost = later[MAX_MATCH] + prices.length[MAX_MATCH] + prices.dist[copy.dist_slot()];
        return if cost < best { (cost, copy) } else { (best, choice) };
    }
    // From the longest down, so that every length is tried once, with the cheapest distance that reaches it: the
    // symbol of a farther one may well be the cheaper.
    let mut longest = copy.len().min(room);
    let mut dist = prices.dist[copy.dist_slot()];
    loop {
        let next = shorter.split_first();
        let shortest = next.map_or(MIN_MATCH, |(next, _)| next.len() + 1);
        if shortest <= longest {
            let costs = later[shortest..=longest].iter().zip(&prices.length[shortest..=longest]);
            for (i, (&cost, &length)) in costs.enumerate() {
                let cost = cost + length + dist;
                if cost < best {
                    best = cost;
                    choice = copy.with_len(shortest + i);
                }
            }
            longest = shortest - 1;
        }
        let Some((&next, rest)) = next else {
            return (best, choice);
        };
        let price = prices.dist[next.dist_slot()];
        if price < dist {
            dist = price;
            copy = next;
        }
        shorter = rest;
    }
}
