//! Reads the memory of a process from outside, as a core dump would show it, and lists the numbers of a key to look
//! for.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

/// Bytes that a test must not find, and their names.
pub(crate) type Secret = (String, Vec<u8>);

const NUMBERS: &str = "
import sys
from cryptography.hazmat.primitives.serialization import load_pem_private_key
numbers = load_pem_private_key(open(sys.argv[1], 'rb').read(), None).private_numbers()
for name in ('p', 'q', 'd', 'dmp1', 'dmq1', 'iqmp'):
    print(name, '%x' % getattr(numbers, name))
# As the arithmetic holds it: in Montgomery form, R a power of 2^64.
print('iqmp*R', '%x' % ((numbers.iqmp << (numbers.p.bit_length() + 63) // 64 * 64) % numbers.p))
";

/// Bytes of one piece of a number to search for. It is too long to match by chance. It is short enough to find a number
/// whose start was overwritten.
const PIECE: usize = 32;

/// Returns the private numbers of a PEM key, in pieces, in every order of bytes and 64-bit words. If Python cannot read
/// keys, it prints a notice and returns nothing; in CI it fails.
pub(crate) fn private_numbers(key: &Path) -> Option<Vec<Secret>> {
    let numbers = Command::new("python3").args(["-c", NUMBERS]).arg(key).output();
    let Some(numbers) = numbers.ok().filter(|output| output.status.success()) else {
        assert!(std::env::var_os("CI").is_none(), "python3 has no cryptography, and this is CI");
        eprintln!("SKIPPED: python3 has no cryptography");
        return None;
    };
    let mut secrets = Vec::new();
    for line in String::from_utf8(numbers.stdout).unwrap().lines() {
        let (name, hex) = line.split_once(' ').unwrap();
        let hex = format!("{hex:0>width$}", width = hex.len().next_multiple_of(2 * PIECE));
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        for (index, piece) in bytes.chunks(PIECE).enumerate() {
            let little: Vec<u8> = piece.iter().rev().copied().collect();
            let words_swapped = |bytes: &[u8]| bytes.rchunks(8).flatten().copied().collect::<Vec<u8>>();
            for (order, bytes) in [
                ("big-endian", piece.to_vec()),
                ("big-endian words, the least first", words_swapped(piece)),
                ("little-endian words, the greatest first", words_swapped(&little)),
                ("little-endian", little),
            ] {
                secrets.push((format!("{name}, piece {index}, {order}"), bytes));
            }
        }
    }
    Some(secrets)
}

/// Returns all memory of a process that it can read and write, with the file that it is mapped from.
pub(crate) fn of(process: u32) -> Vec<(String, Vec<u8>)> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut regions = Vec::new();
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        // Memory that is mapped from a file and not writable holds no secrets.
        if !rest.starts_with("rw") || end - start > 1 << 30 {
            continue;
        }
        let mut bytes = vec![0; (end - start) as usize];
        let read = memory.seek(SeekFrom::Start(start)).and_then(|_| memory.read_exact(&mut bytes));
        if read.is_ok() {
            regions.push((rest.split_whitespace().nth(4).unwrap_or("no file").to_owned(), bytes));
        }
    }
    assert!(
        regions.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 100_000,
        "its memory could not be read"
    );
    regions
}

/// Returns the secrets that are there, and their places.
pub(crate) fn found(memory: &[(String, Vec<u8>)], secrets: &[Secret]) -> Vec<String> {
    let places = |secret: &[u8]| {
        let holds = |region: &&(String, Vec<u8>)| memchr::memmem::find(&region.1, secret).is_some();
        memory.iter().filter(holds).map(|(place, _)| place.clone()).collect::<Vec<_>>()
    };
    secrets
        .iter()
        .map(|(name, secret)| (name, places(secret)))
        .filter(|(_, places)| !places.is_empty())
        .map(|(name, places)| format!("{name} in {}", places.join(", ")))
        .collect()
}

/// Returns a passphrase, and the two padded forms that HMAC (RFC 2104) makes of it.
pub(crate) fn of_passphrase(passphrase: &str) -> Vec<Secret> {
    let padded = [0x36, 0x5C].map(|pad| {
        let bytes = passphrase.bytes().map(|byte| byte ^ pad).collect();
        (format!("the passphrase under the pad {pad:02x}"), bytes)
    });
    [("the passphrase".to_owned(), passphrase.into())].into_iter().chain(padded).collect()
}
