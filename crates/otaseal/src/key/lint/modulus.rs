//! Public moduli that known methods factor.

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
    let generator = 65537 % prime;
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * generator % prime;
        if power == 1 || power == 0 {
            return false;
        }
    }
}

/// Fermat's method on an odd number: n = a² - b² with a from the root of n upwards. Finds primes that differ in
/// their lower half only, at once.
fn fermat(n: &BigUint) -> Option<u32> {
    let mut a = n.sqrt();
    if &a * &a == *n {
        return Some(0);
    }
    a += 1u32;
    let mut square = &a * &a - n;
    for step in 1..=FERMAT_STEPS {
        if is_square(&square) {
            return Some(step);
        }
        // (a + 1)² = a² + 2a + 1
        square += &a << 1u32;
        square += 1u32;
        a += 1u32;
    }
    None
}

fn is_square(number: &BigUint) -> bool {
    // Squares modulo 64 are 12 of 64, modulo 63 16 of 63, modulo 65 21 of 65: one number in 80 is left.
    let low = number.iter_u32_digits().next().unwrap_or(0);
    let possible = |modulus: u32, residue: u32| (0..modulus).any(|root| root * root % modulus == residue);
    if !possible(64, low % 64) {
        return false;
    }
    let residue = (number % (63u32 * 65)).iter_u32_digits().next().unwrap_or(0);
    if !possible(63, residue % 63) || !possible(65, residue % 65) {
        return false;
    }
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
            assert!(is_square(&square), "{root}");
            let next = &square + 1u32;
            assert_eq!(is_square(&next), root == 0, "{root}");
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
