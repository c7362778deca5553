//! Generates images that are good, nearly good, forged, or noise. The same seed gives the same images.

use std::path::Path;
use std::process::Command;

use num_bigint::BigUint;
use sha2::Digest;

use super::Difference;
use crate::Result;

/// An image to judge.
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) difference: Difference,
}

/// A private key as numbers, for signatures over blocks that no honest signer makes.
pub(super) struct SigningKey {
    pub(super) modulus: BigUint,
    exponent: BigUint,
}

/// The DigestInfo up to the digest, with and without NULL parameters.
const INFO: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
const INFO_NO_NULL: &[u8] = b"\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20";

impl SigningKey {
    pub(super) fn open(pem: &Path) -> Result<Self> {
        let output = Command::new("openssl").args(["rsa", "-noout", "-text", "-in"]).arg(pem).output()?;
        let text = String::from_utf8(output.stdout)?;
        Ok(Self { modulus: number(&text, "modulus:")?, exponent: number(&text, "privateExponent:")? })
    }

    fn len(&self) -> usize {
        self.modulus.bits().div_ceil(8) as usize
    }

    fn sign(&self, block: &[u8]) -> Vec<u8> {
        self.bytes(&BigUint::from_bytes_be(block).modpow(&self.exponent, &self.modulus))
    }

    fn bytes(&self, number: &BigUint) -> Vec<u8> {
        let bytes = number.to_bytes_be();
        [&vec![0; self.len().saturating_sub(bytes.len())][..], &bytes].concat()
    }
}

/// Reads a number from OpenSSL's text: indented lines of hex digits and colons after a heading.
fn number(text: &str, heading: &str) -> Result<BigUint> {
    let mut lines = text.lines().skip_while(|line| line.trim() != heading).skip(1);
    let lines = lines.by_ref().take_while(|line| line.starts_with(' '));
    let digits: String = lines.flat_map(str::chars).filter(char::is_ascii_hexdigit).collect();
    BigUint::parse_bytes(digits.as_bytes(), 16).ok_or_else(|| format!("openssl printed no {heading}").into())
}

/// Generates `count` images. A quarter of them is good.
pub(super) fn images(key: &SigningKey, seed: u64, count: usize, legacy: bool) -> Vec<Image> {
    let mut random = Random(seed);
    (0..count)
        .map(|index| {
            let (kind, bytes, difference) = image(key, &mut random, legacy);
            Image { name: format!("generated image {index} ({kind})"), bytes, difference }
        })
        .collect()
}

fn image(key: &SigningKey, random: &mut Random, legacy: bool) -> (&'static str, Vec<u8>, Difference) {
    let payload = random.bytes(1, 2000);
    let hash = sha2::Sha256::digest(&payload).to_vec();
    let info = if legacy { hash.clone() } else { [INFO, &hash].concat() };
    let len = key.len();
    let block = pad(len, &info);
    let good = |block: &[u8]| join(&payload, &key.sign(block));
    let (kind, bytes) = match random.below(16) {
        0 => ("bit flipped", flip(good(&block), random)),
        1 => {
            let mut bytes = good(&block);
            bytes.truncate(random.below(bytes.len()));
            ("cut", bytes)
        }
        2 => ("longer", [good(&block), random.bytes(1, 300)].concat()),
        3 => {
            let mut bytes = good(&block);
            let field = match random.below(6) {
                0 => random.next() as u32,
                1 => u32::MAX - random.below(600) as u32,
                2 => bytes.len() as u32,
                3 => (len as u32).swap_bytes(),
                4 => (len + random.below(9)) as u32,
                _ => random.below(4096) as u32,
            };
            let end = bytes.len() - 4;
            bytes[end..].copy_from_slice(&field.to_le_bytes());
            ("length field", bytes)
        }
        4 => ("random signature", join(&payload, &random.exactly(len))),
        5 => {
            let mut block = block;
            let at = 2 + random.below(len - 2);
            block[at] ^= 1 << random.below(8);
            ("one bit of the block", good(&block))
        }
        6 => {
            let start = [&[0, 1][..], &vec![0xff; 8 + random.below(50)], &[0], &info].concat();
            ("bytes behind the digest", good(&[&start[..], &random.exactly(len - start.len())].concat()))
        }
        7 if !legacy => {
            let block = pad(len, &[INFO_NO_NULL, &hash].concat());
            return ("without NULL", good(&block), Difference::NoNull);
        }
        8 => ("only the digest, or not only", good(&pad(len, if legacy { INFO } else { &hash }))),
        9 => {
            let mut info = info;
            let at = random.below(info.len());
            info[at] = random.next() as u8;
            ("one byte of the info", good(&pad(len, &info)))
        }
        10 => {
            let sum = BigUint::from_bytes_be(&key.sign(&block)) + &key.modulus;
            let number = if sum.bits() as usize <= 8 * len { sum } else { &key.modulus - 1_u32 };
            ("s + n or n - 1", join(&payload, &key.bytes(&number)))
        }
        11 => {
            let (a, b) = (good(&block), random.bytes(1, 600));
            ("spliced", [&b[..], &a[random.below(a.len())..]].concat())
        }
        _ => ("good", good(&block)),
    };
    (kind, bytes, Difference::None)
}

fn pad(len: usize, info: &[u8]) -> Vec<u8> {
    [&[0, 1][..], &vec![0xff; len - 3 - info.len()], &[0], info].concat()
}

fn join(payload: &[u8], signature: &[u8]) -> Vec<u8> {
    [payload, signature, &(signature.len() as u32).to_le_bytes()].concat()
}

fn flip(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let at = random.below(bytes.len());
    bytes[at] ^= 1 << random.below(8);
    bytes
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn bytes(&mut self, least: usize, most: usize) -> Vec<u8> {
        let len = least + self.below(most - least);
        self.exactly(len)
    }

    fn exactly(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
