//! Computes Huffman code lengths: the smallest total size under a length limit.

/// Longest code of literals, lengths and distances, and of the code lengths themselves: RFC 1951, sections
/// 3.2.7.
pub(super) const MAX_BITS: u8 = 15;
pub(super) const MAX_PRECODE_BITS: u8 = 7;

/// Fills `lengths` with the lengths of an optimal prefix code for `counts` of at most `limit` bits; 0 for a
/// symbol that does not occur. A lone symbol gets one bit (RFC 1951, section 3.2.7, for distances).
pub(super) fn code_lengths(counts: &[u32], limit: u8, lengths: &mut [u8]) {
    lengths.fill(0);
    // Sorted by count, then symbol: the symbol stands in the lower bits, so the order is total.
    let mut keys = [0u64; 288];
    let mut used = 0;
    for (symbol, &count) in counts.iter().enumerate() {
        if count != 0 {
            keys[used] = u64::from(count) << 16 | symbol as u64;
            used += 1;
        }
    }
    let keys = &mut keys[..used];
    if let [key] = *keys {
        lengths[(key & 0xffff) as usize] = 1;
        return;
    }
    keys.sort_unstable();
    let mut weights = [0u32; 288];
    for (weight, key) in weights.iter_mut().zip(&*keys) {
        *weight = (key >> 16) as u32;
    }
    let mut per_length = [0u32; 64];
    depths(&mut weights[..used], &mut per_length);
    if per_length[usize::from(limit) + 1..].iter().any(|&n| n != 0) {
        per_length = [0; 64];
        package_merge(keys, limit, &mut per_length);
    }
    // The rarest symbols get the longest codes.
    let mut keys = keys.iter();
    for bits in (1..=limit).rev() {
        for _ in 0..per_length[usize::from(bits)] {
            if let Some(key) = keys.next() {
                lengths[(key & 0xffff) as usize] = bits;
            }
        }
    }
}

/// Counts how many codes of each length an unlimited Huffman code for the sorted `weights` has. In place, after
/// Moffat and Katajainen, "In-Place Calculation of Minimum-Redundancy Codes" (1995).
fn depths(weights: &mut [u32], per_length: &mut [u32; 64]) {
    let n = weights.len();
    if n < 2 {
        return;
    }
    // Pair up: inner nodes overwrite leaves that were used, and then become the index of their parent.
    let (mut leaf, mut inner) = (0, 0);
    for next in 0..n - 1 {
        let mut take = |weights: &mut [u32]| {
            if leaf >= n || (inner < next && weights[inner] < weights[leaf]) {
                let weight = weights[inner];
                weights[inner] = next as u32;
                inner += 1;
                weight
            } else {
                leaf += 1;
                weights[leaf - 1]
            }
        };
        let sum = take(weights) + take(weights);
        weights[next] = sum;
    }
    // Depth of every inner node from its parent's, the root being last.
    weights[n - 2] = 0;
    for node in (0..n - 2).rev() {
        weights[node] = weights[weights[node] as usize] + 1;
    }
    // What is not an inner node at a depth is a leaf there.
    let (mut available, mut depth, mut node) = (1u32, 0usize, n - 1);
    while available > 0 {
        let mut inner = 0;
        while node > 0 && weights[node - 1] as usize == depth {
            inner += 1;
            node -= 1;
        }
        per_length[depth.min(63)] += available - inner;
        available = 2 * inner;
        depth += 1;
    }
}

/// The same for codes of at most `limit` bits (package-merge: Larmore and Hirschberg, "A Fast Algorithm for Optimal
/// Length-Limited Huffman Codes", 1990). `keys` are sorted and carry the weight above bit 16.
fn package_merge(keys: &[u64], limit: u8, per_length: &mut [u32; 64]) {
    let leaves = keys.len();
    // From the longest codes to the shortest: all leaves merged with pairs of the level before, by weight. Which
    // items are leaves is all that is kept; as both kinds come in order, a count tells which ones.
    let mut is_leaf = [[false; 2 * 288]; MAX_BITS as usize];
    let mut level = Vec::with_capacity(2 * leaves);
    level.extend(keys.iter().map(|key| key >> 16));
    is_leaf[0][..leaves].fill(true);
    for is_leaf in &mut is_leaf[1..usize::from(limit)] {
        let mut pairs = level.chunks_exact(2).map(|pair| pair[0] + pair[1]).peekable();
        let mut singles = keys.iter().map(|key| key >> 16).peekable();
        let mut next = Vec::with_capacity(2 * leaves);
        loop {
            let single = match (singles.peek(), pairs.peek()) {
                (Some(single), Some(pair)) => single <= pair,
                (single, None) => single.is_some(),
                (None, Some(_)) => false,
            };
            let Some(weight) = (if single { singles.next() } else { pairs.next() }) else {
                break;
            };
            is_leaf[next.len()] = single;
            next.push(weight);
        }
        level = next;
    }
    // The first 2n - 2 items of the last level are the solution: each leaf in it, and in its packages, is one bit
    // of that leaf's code.
    let mut items = 2 * leaves - 2;
    let mut longer = 0;
    for (shorter, is_leaf) in is_leaf[..usize::from(limit)].iter().rev().enumerate() {
        // So many of the rarest symbols have codes longer than `shorter` bits.
        let singles = is_leaf[..items].iter().filter(|&&leaf| leaf).count();
        let before = if shorter == 0 { leaves } else { longer };
        per_length[shorter] = (before - singles) as u32;
        longer = singles;
        items = 2 * (items - singles);
    }
    per_length[usize::from(limit)] = longer as u32;
}

/// Canonical codes (RFC 1951, section 3.2.2), bit-reversed: DEFLATE packs a code's first bit lowest.
pub(super) fn codes(lengths: &[u8], codes: &mut [u16]) {
    let mut per_length = [0u16; MAX_BITS as usize + 1];
    for &bits in lengths {
        per_length[usize::from(bits)] += 1;
    }
    per_length[0] = 0;
    let mut next = [0u16; MAX_BITS as usize + 1];
    for bits in 1..next.len() {
        next[bits] = (next[bits - 1] + per_length[bits - 1]) << 1;
    }
    for (code, &bits) in codes.iter_mut().zip(lengths) {
        if bits != 0 {
            *code = next[usize::from(bits)].reverse_bits() >> (16 - bits);
            next[usize::from(bits)] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cost of the best code by trying every way to give `counts` (sorted, rarest first) lengths.
    fn cheapest(counts: &[u32], limit: u8) -> u64 {
        fn go(counts: &[u32], longest: u8, limit: u8, room: u32) -> Option<u64> {
            let Some((&count, rest)) = counts.split_first() else {
                return (room == 0).then_some(0);
            };
            let with = |bits: u8| {
                let room = room.checked_sub(1 << (limit - bits))?;
                Some(go(rest, bits, limit, room)? + u64::from(count) * u64::from(bits))
            };
            (1..=longest).filter_map(with).min()
        }
        go(counts, limit, limit, 1 << limit).unwrap()
    }

    fn cost(counts: &[u32], lengths: &[u8]) -> u64 {
        counts.iter().zip(lengths).map(|(&n, &bits)| u64::from(n) * u64::from(bits)).sum()
    }

    #[test]
    fn as_cheap_as_the_best_of_all_codes() {
        let samples: [&[u32]; 5] = [
            &[1, 1],
            &[1, 1, 2, 3, 5, 8, 13],
            &[1, 1, 1, 1, 1, 1, 1, 100],
            &[1, 2, 4, 8, 16, 32, 64],
            &[3, 3, 3],
        ];
        for counts in samples {
            for limit in [3, 4, 7] {
                let mut lengths = vec![0; counts.len()];
                code_lengths(counts, limit, &mut lengths);
                assert_eq!(cost(counts, &lengths), cheapest(counts, limit), "{counts:?} in {limit} bits");
            }
        }
    }

    #[test]
    fn limited_codes_are_complete() {
        // Fibonacci weights want the longest codes there are.
        let mut counts = vec![1u32, 1];
        while counts.len() < 40 {
            counts.push(counts[counts.len() - 1] + counts[counts.len() - 2]);
        }
        let mut lengths = vec![0; counts.len()];
        code_lengths(&counts, MAX_BITS, &mut lengths);
        assert_eq!(lengths.iter().max(), Some(&MAX_BITS));
        assert_eq!(lengths.iter().map(|&bits| 1u32 << (MAX_BITS - bits)).sum::<u32>(), 1 << MAX_BITS);
    }

    #[test]
    fn one_symbol_has_one_bit_and_none_has_none() {
        let mut lengths = [9; 4];
        code_lengths(&[0, 0, 7, 0], MAX_BITS, &mut lengths);
        assert_eq!(lengths, [0, 0, 1, 0]);
        code_lengths(&[0; 4], MAX_BITS, &mut lengths);
        assert_eq!(lengths, [0; 4]);
    }
}
