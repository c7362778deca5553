//! Computes SHA-256 with little code around `sha2`'s compression function.
//!
//! The `Digest` type of `sha2` costs a device more code and stack than the padding below. Both use the same compression
//! function. On a host, `sha2` chooses that function's back end at run time.

use sha2::block_api::compress256;

const BLOCK: usize = 64;

/// The initial value of FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A digest as eight words, the first word first.
pub(crate) type Digest = [u32; 8];

/// A hash in progress.
#[derive(Clone)]
pub(crate) struct Hasher {
    state: Digest,
    block: [u8; BLOCK],
    /// Number of bytes so far.
    len: u64,
}

impl Hasher {
    pub(crate) const fn new() -> Self {
        Self { state: INITIAL, block: [0; BLOCK], len: 0 }
    }

    /// Returns the number of bytes that wait in `block`.
    const fn waiting(&self) -> usize {
        (self.len & 63) as usize
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let waiting = self.waiting();
            let taken = if waiting == 0 && bytes.len() >= BLOCK {
                let (blocks, _) = bytes.as_chunks();
                compress256(&mut self.state, blocks);
                blocks.as_flattened().len()
            } else {
                let room = self.block.iter_mut().skip(waiting);
                let taken = room.zip(bytes).map(|(slot, &byte)| *slot = byte).count();
                if waiting.wrapping_add(taken) == BLOCK {
                    compress256(&mut self.state, core::slice::from_ref(&self.block));
                }
                taken
            };
            // Nobody feeds 2^64 bytes, so the length does not wrap.
            self.len = self.len.wrapping_add(taken as u64);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// Pads (FIPS 180-4, 5.1.1) and returns the digest.
    pub(crate) fn finish(mut self) -> Digest {
        let bits = self.len.wrapping_mul(8).to_be_bytes();
        self.update(&[0x80]);
        while self.waiting() != 56 {
            self.update(&[0]);
        }
        self.update(&bits);
        self.state
    }
}

/// Returns the digest of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;
    use std::vec::Vec;

    use super::{Hasher, digest};

    #[test]
    fn digests_equal_those_of_sha2_whatever_the_length_and_the_pieces() {
        let bytes: Vec<u8> = (0_u8..=255).cycle().take(400).collect();
        for len in 0..bytes.len() {
            let (bytes, _) = bytes.split_at(len);
            let theirs = sha2::Sha256::digest(bytes);
            let ours =
                |words: [u32; 8]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
            assert_eq!(ours(digest(bytes)), theirs.to_vec(), "{len} bytes");
            for piece in [1, 63, 64, 65, 130] {
                let mut hasher = Hasher::new();
                bytes.chunks(piece).for_each(|piece| hasher.update(piece));
                assert_eq!(ours(hasher.finish()), theirs.to_vec(), "{len} bytes in pieces of {piece}");
            }
        }
    }
}
