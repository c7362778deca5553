//! Finds every useful match of a stretch of data, once.

use std::cmp::Reverse;

use super::token::{MAX_MATCH, MIN_MATCH, Token, dist_slot};

/// Farthest distance looked at. DEFLATE allows one more; the tree's ring would need twice the room for it.
const WINDOW: usize = 32_767;
const RING: usize = WINDOW + 1;
const HASH_BITS: u32 = 16;
/// A tree node that does not exist. Positions are kept plus one.
const NONE: u32 = 0;

/// How hard to look.
#[derive(Clone, Copy)]
pub(super) struct Search {
    /// Tree nodes visited per position.
    pub(super) depth: u32,
    /// A match this long ends the search at its position.
    pub(super) nice: usize,
    /// Earlier positions visited with the same hash of three bytes.
    pub(super) threes: u32,
    /// Matches kept of those, each with another distance symbol. The nearest is not always the cheapest: a farther
    /// distance may have a shorter code.
    pub(super) distances: u32,
}

/// The matches of all positions of a stretch, the longest of each position first: for every length the nearest one, and
/// some farther ones, as far as the search went.
pub(super) struct Matches {
    /// `starts[i]..starts[i + 1]` are the matches at the stretch's position `i`.
    starts: Vec<u32>,
    tokens: Vec<Token>,
}

impl Matches {
    /// Finds the matches of `data[start..end]`, which may reach back before `start` but not beyond `end`.
    pub(super) fn find(data: &[u8], start: usize, end: usize, search: Search) -> Self {
        let mut finder = Finder::new(search);
        for pos in start.saturating_sub(WINDOW)..start {
            finder.visit(data, pos, |_, _| ());
        }
        let mut starts = Vec::with_capacity(end - start + 1);
        let mut tokens: Vec<Token> = Vec::with_capacity((end - start) * 2);
        for pos in start..end {
            starts.push(tokens.len() as u32);
            let room = end - pos;
            let first = tokens.len();
            finder.visit(data, pos, |len, dist| {
                let len = len.min(room);
                if len < MIN_MATCH {
                    return;
                }
                let token = Token::copy(len, dist);
                match tokens[first..].last_mut() {
                    // Same price, and longer: the nearer one has no use any more.
                    Some(last) if last.dist_slot() == token.dist_slot() => {
                        if len > last.len() {
                            *last = token;
                        }
                    }
                    _ => tokens.push(token),
                }
            });
            // Of one length the nearest comes first.
            tokens[first..].sort_by_key(|token| (Reverse(token.len()), token.dist_slot()));
        }
        starts.push(tokens.len() as u32);
        Self { starts, tokens }
    }

    /// Matches at position `i` of the stretch.
    pub(super) fn at(&self, i: usize) -> &[Token] {
        &self.tokens[self.starts[i] as usize..self.starts[i + 1] as usize]
    }
}

/// A binary tree per hash of four bytes, ordered by what follows, the newest position at the root, and the last
/// positions of every three bytes. A position's path through its tree meets, for every length, the nearest match.
struct Finder {
    search: Search,
    heads: Vec<u32>,
    /// Lesser and greater child of the position at each place of the ring.
    children: Vec<[u32; 2]>,
    /// The last position of each hash of three bytes, and the position before each, by its place in the ring.
    threes: Vec<u32>,
    before: Vec<u32>,
}

impl Finder {
    fn new(search: Search) -> Self {
        Self {
            search,
            heads: vec![NONE; 1 << HASH_BITS],
            children: vec![[NONE; 2]; RING],
            threes: vec![NONE; 1 << HASH_BITS],
            before: vec![NONE; RING],
        }
    }

    /// Enters `pos` and reports the matches on its way, each longer and farther than the one before.
    fn visit(&mut self, data: &[u8], pos: usize, mut report: impl FnMut(usize, usize)) {
        let here = &data[pos..data.len().min(pos + MAX_MATCH)];
        let Some(&word) = here.first_chunk::<4>() else {
            return;
        };
        let word = u32::from_le_bytes(word);
        let label = pos as u32 + 1;
        let oldest = (pos + 1).saturating_sub(WINDOW).max(1) as u32;
        let mut best = MIN_MATCH - 1;

        // Without the chain, a hash of other three bytes would hide a match of three bytes. Such matches are many in
        // machine code.
        let mut node = std::mem::replace(&mut self.threes[hash(word & 0x00ff_ffff)], label);
        self.before[pos % RING] = node;
        let (mut tries, mut distances, mut slot) = (self.search.threes, self.search.distances, None);
        while node >= oldest && tries > 0 && distances > 0 {
            let there = &data[node as usize - 1..][..here.len()];
            let dist = label - node;
            if there[..3] == here[..3] && slot != Some(dist_slot(dist - 1)) {
                best = 3;
                slot = Some(dist_slot(dist - 1));
                distances -= 1;
                // The tree finds the nearest of every greater length.
                let len = if self.search.distances == 1 { 3 } else { common(here, there, 3) };
                report(len, dist as usize);
            }
            node = self.before[(node as usize - 1) % RING];
            tries -= 1;
        }

        let mut node = std::mem::replace(&mut self.heads[hash(word)], label);
        // Where the next lesser and the next greater node are to be hung: ring place and side.
        let (mut lesser, mut greater) = ((pos % RING, 0), (pos % RING, 1));
        let (mut lesser_len, mut greater_len) = (0, 0);
        let mut depth = self.search.depth;
        loop {
            if node < oldest || depth == 0 {
                self.children[lesser.0][lesser.1] = NONE;
                self.children[greater.0][greater.1] = NONE;
                return;
            }
            depth -= 1;
            let there = &data[node as usize - 1..][..here.len()];
            // Whatever lies between two nodes shares what both share with this position.
            let len = common(here, there, lesser_len.min(greater_len));
            let place = (node as usize - 1) % RING;
            if len > best {
                best = len;
                report(len, (label - node) as usize);
            }
            if len >= self.search.nice || len == here.len() {
                // As good as equal: this position takes the node's place.
                let [less, more] = self.children[place];
                self.children[lesser.0][lesser.1] = less;
                self.children[greater.0][greater.1] = more;
                return;
            }
            if there[len] < here[len] {
                self.children[lesser.0][lesser.1] = node;
                lesser = (place, 1);
                lesser_len = len;
                node = self.children[place][1];
            } else {
                self.children[greater.0][greater.1] = node;
                greater = (place, 0);
                greater_len = len;
                node = self.children[place][0];
            }
        }
    }
}

fn hash(word: u32) -> usize {
    (word.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// Length of the common start of two slices of one length, of which `known` bytes are known to be equal.
fn common(a: &[u8], b: &[u8], known: usize) -> usize {
    let (mut a, mut b, mut len) = (&a[known..], &b[known..], known);
    while let (Some((x, rest_a)), Some((y, rest_b))) =
        (a.split_first_chunk::<8>(), b.split_first_chunk::<8>())
    {
        let difference = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if difference != 0 {
            return len + (difference.trailing_zeros() / 8) as usize;
        }
        (a, b, len) = (rest_a, rest_b, len + 8);
    }
    len + a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::gzip::deflate::block::Dice;

    /// Other positions with the same hash must not hide a match. In noise most matches have three bytes.
    #[test]
    fn every_repeated_triple_has_a_match() {
        let mut dice = Dice(1);
        let noise: Vec<u8> = (0..30_000).map(|_| dice.below(256) as u8).collect();
        for distances in [1, 4] {
            let search = Search { depth: 24, nice: 128, threes: 16, distances };
            let matches = Matches::find(&noise, 0, noise.len(), search);
            let mut seen = std::collections::HashMap::new();
            let mut repeated = 0;
            // The finder looks at four bytes at once, so the last three positions have no match.
            for pos in 0..noise.len() - 3 {
                if let Some(before) = seen.insert(&noise[pos..pos + 3], pos) {
                    repeated += 1;
                    let nearest = matches.at(pos).iter().map(|token| token.dist_less_one()).min();
                    assert_eq!(nearest, Some((pos - before) as u32 - 1), "{pos}");
                }
            }
            assert!(repeated > 10, "{repeated}");
        }
    }
}
