//! Finds public moduli that known methods factor.

use super::Finding;
use num_bigint::BigUint;

/// Trial division goes up to here.
const SMALL: u32 = 1 << 12;
/// Steps of Fermat's method. Keys of the field were found within the first hundred (CVE-2022-26320).
const FERMAT_STEPS: u32 = 256;
/// RSALib's primes of 1024 bits were k M + (65537^a mod M) with M the product of the first 126 primes, the last of
/// which is 701; those of 512 and of 2048 bits with fewer and with more (Nemec et al., "The Return of Coppersmith's
/// Attack", 2017, table 1).
const ROCA_LARGEST: u32 = 701;

/// `modulus` big-endian.
pub(super) fn lint(modulus: &[u8]) -> Vec<Finding> {
    let primes = primes(SMALL);
    let residues = residues(modulus, &primes);
    let factor = primes.iter().zip(&residues).find(|(_, residue)| **residue == 0).map(|(prime, _)| *prime);
    if let Some(factor) = factor {
        return vec![Finding::SmallFactor { factor }];
    }
    if is_roca(&primes, &residues) {
        return vec![Finding::Roca];
    }
    let steps = fermat(&BigUint::from_bytes_be(modulus));
    steps.map(|steps| Finding::CloseFactors { steps }).into_iter().collect()
}

/// All primes below `limit`, by the sieve of Eratosthenes.
fn primes(limit: u32) -> Vec<u32> {
    let mut composite = vec![false; limit as usize];
    let mut primes = Vec::new();
    for number in 2..limit {
        if composite[number as usize] {
            continue;
        }
        primes.push(number);
        (number * number..limit)
            .step_by(number as usize)
            .for_each(|multiple| composite[multiple as usize] = true);
    }
    primes
}

/// The number modulo each prime. Primes are taken together as long as their product fits 32 bits: the long division
/// is what takes the time.
fn residues(number: &[u8], primes: &[u32]) -> Vec<u32> {
    let words: Vec<u64> = number
        .rchunks(4)
        .rev()
        .map(|bytes| bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)))
        .collect();
    let mut residues = Vec::with_capacity(primes.len());
    let mut rest = primes;
    while !rest.is_empty() {
        let mut product = 1u64;
        let fits = |prime: &&u32| {
            let next = product * u64::from(**prime);
            let fits = next <= u64::from(u32::MAX);
            if fits {
                product = next;
            }
            fits
        };
        let count = rest.iter().take_while(fits).count();
        let (group, after) = rest.split_at(count);
        let residue = words.iter().fold(0, |residue, word| (residue << 32 | word) % product);
        residues.extend(group.iter().map(|prime| (residue % u64::from(*prime)) as u32));
        rest = after;
    }
    residues
}

/// A product of two primes of RSALib's form is a power of 65537 modulo M, and so modulo every prime that divides M.
/// Another modulus is one modulo all of these primes with a probability of less than 2^-150.
fn is_roca(primes: &[u32], residues: &[u32]) -> bool {
    let divisors = primes.iter().zip(residues).take_while(|(prime, _)| **prime <= ROCA_LARGEST);
    // 65537 is 1 modulo 2: every odd number is its power.
    divisors.skip(1).all(|(prime, residue)| is_power_of_65537(*residue, *prime))
}

fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * 65537 % prime;
        if power == 1 || power == 0 {
            return false;
        }
    }
}

/// Fermat's method on an odd number: n = a² - b² with a from the root of n upwards. Finds primes that differ in
/// their lower half only, at once.
fn fermat(n: &BigUint) -> Option<u32> {
    let root = n.sqrt();
    if &root * &root == *n {
        return Some(0);
    }
    let difference = |step: u32| {
        let a = &root + step;
        &a * &a - n
    };
    // Almost every number is told from a square by what is left of it; that is counted without the long numbers.
    let first = residue(&(&root + 1u32));
    let mut left = residue(&difference(1));
    for step in 1..=FERMAT_STEPS {
        if may_be_square(left) && is_square(&difference(step)) {
            return Some(step);
        }
        // (a + 1)² = a² + 2a + 1. All steps together add less than 2^50 to it.
        let a = first + u64::from(step - 1);
        left += 2 * a + 1;
    }
    None
}

/// Modulo each of these, at most half of the numbers are squares; modulo all of them, one of 2,000.
const FILTERS: [u64; 8] = [64, 63, 65, 11, 17, 19, 23, 31];
const FILTER: u64 = 64 * 63 * 65 * 11 * 17 * 19 * 23 * 31;
/// The squares modulo each, as bits.
const SQUARES: [u128; 8] = {
    let mut squares = [0; 8];
    let mut index = 0;
    while index < 8 {
        let mut root = 0;
        while root < FILTERS[index] {
            squares[index] |= 1 << (root * root % FILTERS[index]);
            root += 1;
        }
        index += 1;
    }
    squares
};

fn residue(number: &BigUint) -> u64 {
    (number % FILTER).iter_u64_digits().next().unwrap_or(0)
}

/// Whether a number that leaves the same as `left` modulo [`FILTER`] can be a square.
fn may_be_square(left: u64) -> bool {
    FILTERS.iter().zip(SQUARES).all(|(modulus, squares)| squares >> (left % modulus) & 1 == 1)
}

fn is_square(number: &BigUint) -> bool {
    let root = number.sqrt();
    &root * &root == *number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residues_are_those_of_long_division() {
        let number: Vec<u8> = (0..257u32).map(|i| (i * 37 + 11) as u8).collect();
        let big = BigUint::from_bytes_be(&number);
        let primes = primes(SMALL);
        assert_eq!(primes.len(), 564);
        for (prime, residue) in primes.iter().zip(residues(&number, &primes)) {
            assert_eq!(BigUint::from(residue), &big % *prime, "{prime}");
        }
    }

    #[test]
    fn squares_are_squares() {
        for root in 0u32..2000 {
            let square = BigUint::from(root) * root;
            assert!(is_square(&square) && may_be_square(residue(&square)), "{root}");
            let next = &square + 1u32;
            assert_eq!(is_square(&next), root == 0, "{root}");
        }
        let square = BigUint::from(1u32) << 4000u32;
        let may_be = (0..200_000u32).filter(|more| may_be_square(residue(&(&square + *more)))).count();
        assert!((1..200).contains(&may_be), "one of them is, {may_be} may be");
    }

    /// The residues that are carried from step to step are those of the numbers themselves.
    #[test]
    fn fermat_finds_the_very_step() {
        // Primes that differ by d need about d² / (8 sqrt n) steps; that these are not prime does not matter.
        let base = BigUint::from(1u32) << 400u32;
        for half in [1u32, 3, 12, 20, 22, 23, 1000] {
            let (p, q) = (&base + 1u32, &base + 1u32 + (BigUint::from(half) << 201u32));
            let n = &p * &q;
            let wanted = (&p + &q) >> 1u32;
            let expected = u32::try_from(wanted - n.sqrt()).ok().filter(|step| *step <= FERMAT_STEPS);
            assert_eq!(fermat(&n), expected, "{half}");
        }
    }

    #[test]
    fn powers_are_counted_by_hand() {
        // 65537 = 2 (mod 3), 2 (mod 5), 3 (mod 7), 10 (mod 11), 4 (mod 13).
        assert!(is_power_of_65537(1, 3) && is_power_of_65537(2, 3));
        assert!((1..7).all(|residue| is_power_of_65537(residue, 7)));
        let powers: Vec<_> = (1..11).filter(|residue| is_power_of_65537(*residue, 11)).collect();
        assert_eq!(powers, [1, 10]);
        let powers: Vec<_> = (1..13).filter(|residue| is_power_of_65537(*residue, 13)).collect();
        assert_eq!(powers, [1, 3, 4, 9, 10, 12]);
    }
}
