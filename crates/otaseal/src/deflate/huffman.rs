//! Code lengths of least total size, with a limit.

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

/// The same with a limit (Larmore and Hirschberg, 1990). Rare: only codes that came out too long need it.
fn package_merge(keys: &[u64], limit: u8, per_length: &mut [u32; 64]) {
    // A package is its weight and how many leaves of each rank range it holds; the leaves of a package are
    // always the first ones of each level, so a count per level is enough. Small sizes: kept simple.
    #[derive(Clone)]
    struct Package {
        weight: u64,
        leaves: Vec<u16>,
    }
    let leaf = |rank: usize| Package { weight: keys[rank] >> 16, leaves: vec![rank as u16] };
    let mut level: Vec<Package> = (0..keys.len()).map(leaf).collect();
    for _ in 1..limit {
        let mut next: Vec<Package> = level
            .chunks_exact(2)
            .map(|pair| Package {
                weight: pair[0].weight + pair[1].weight,
                leaves: [&pair[0].leaves[..], &pair[1].leaves].concat(),
            })
            .collect();
        next.extend((0..keys.len()).map(leaf));
        next.sort_by_key(|package| package.weight);
        level = next;
    }
    let mut lengths = vec![0u8; keys.len()];
    for package in level.iter().take(2 * keys.len() - 2) {
        for &rank in &package.leaves {
            lengths[usize::from(rank)] += 1;
        }
    }
    for bits in lengths {
        per_length[usize::from(bits)] += 1;
    }
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
