//! Orders versions, where they have an order.

use std::cmp::Ordering;

/// Compares two versions: dot-separated numbers, then an optional part after `-` that makes the version an earlier one,
/// as in semantic versioning. A `v` before and `+build` behind do not count. Missing numbers are 0.
///
/// Returns `None` if one of them is no such version: then there is no order.
pub fn order(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (Parsed::of(one)?, Parsed::of(other)?);
    let length = one.numbers.len().max(other.numbers.len());
    let number = |of: &Parsed<'_>, at: usize| of.numbers.get(at).copied().unwrap_or(0);
    for at in 0..length {
        match number(&one, at).cmp(&number(&other, at)) {
            Ordering::Equal => {}
            unequal => return Some(unequal),
        }
    }
    Some(match (one.before, other.before) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(other)) => before(one, other),
    })
}

/// Returns bytes that compare as [`order`] compares the versions. An index of a database orders versions by them.
///
/// Returns `None` if the text is no version with an order. The bytes begin with at most 8.
pub fn order_key(version: &str) -> Option<Vec<u8>> {
    let version = Parsed::of(version)?;
    let mut key = Vec::new();
    let number = |key: &mut Vec<u8>, number: u64| {
        let bytes = number.to_be_bytes();
        let used = &bytes[number.leading_zeros() as usize / 8..];
        key.push(used.len() as u8);
        key.extend_from_slice(used);
    };
    for at in 0..MAX_NUMBERS {
        number(&mut key, version.numbers.get(at).copied().unwrap_or(0));
    }
    let Some(before) = version.before else {
        key.push(RELEASED);
        return Some(key);
    };
    for part in before.split('.') {
        match part.parse() {
            Ok(part) => {
                key.push(NUMBER);
                number(&mut key, part);
            }
            Err(_) => {
                key.push(WORD);
                for byte in part.bytes() {
                    key.push(byte);
                    // A zero inside a word must not look like its end.
                    key.extend((byte == 0).then_some(0xFF));
                }
                key.extend([0, 0]);
            }
        }
    }
    key.push(END);
    Some(key)
}

/// What begins a part after `-` in a key, in the order in which the parts compare.
const END: u8 = 0;
const NUMBER: u8 = 1;
const WORD: u8 = 2;
/// No part after `-` at all: a version without one is the later version.
const RELEASED: u8 = 3;

/// More numbers than any version has.
const MAX_NUMBERS: usize = 8;

struct Parsed<'a> {
    numbers: Vec<u64>,
    before: Option<&'a str>,
}

impl<'a> Parsed<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (numbers, before) = match text.split_once('-') {
            Some((numbers, before)) if !before.is_empty() => (numbers, Some(before)),
            Some(_) => return None,
            None => (text, None),
        };
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        let numbers = numbers.split('.').take(MAX_NUMBERS + 1).map(number).collect::<Option<Vec<u64>>>()?;
        (numbers.len() <= MAX_NUMBERS).then_some(Self { numbers, before })
    }
}

/// Semantic versioning 2.0, 11.4: part by part, numbers before words.
fn before(one: &str, other: &str) -> Ordering {
    let (mut ones, mut others) = (one.split('.'), other.split('.'));
    loop {
        let (one, other) = match (ones.next(), others.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(other)) => (one, other),
        };
        let ordered = match (one.parse::<u64>(), other.parse::<u64>()) {
            (Ok(one), Ok(other)) => one.cmp(&other),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => one.cmp(other),
        };
        if ordered != Ordering::Equal {
            return ordered;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_people_count() {
        let ascending = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "v1.0.1",
            "1.2",
            "1.10.0+build.7",
            "2",
            "10.0",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(order(pair[0], pair[1]), Some(Ordering::Less), "{pair:?}");
            assert_eq!(order(pair[1], pair[0]), Some(Ordering::Greater), "{pair:?}");
        }
        for (one, other) in [("1", "1.0.0"), ("v1.2.3", "1.2.3"), ("1.2.3+a", "1.2.3+b")] {
            assert_eq!(order(one, other), Some(Ordering::Equal), "{one} {other}");
        }
    }

    #[test]
    fn keys_compare_as_the_versions_do() {
        let texts = [
            "0",
            "0.0.1",
            "0.9",
            "v1",
            "1.0.0",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-alpha.",
            "1.0-a\0",
            "1.0-a\0.b",
            "1.0-a",
            "1.0-a\x01",
            "1.0-ab",
            "1.0.0-1",
            "1.0.0-255",
            "1.0.0-256",
            "1.0.0-007",
            "1.0.0-18446744073709551616",
            "1.0.0+b",
            "1.2",
            "1.10.0+build.7",
            "1.255",
            "1.256",
            "1.65536",
            "1.18446744073709551615",
            "2",
            "1.0.0.0.0.0.0.1",
            "1.0.0.0.0.0.0.0",
            "",
            "abc",
            "1.x",
            "1-",
            "1.2.3.4.5.6.7.8.9",
            "1.0-é",
            "1.0-\u{10FFFF}",
        ];
        for one in texts {
            for other in texts {
                let keys = order_key(one).zip(order_key(other)).map(|(one, other)| one.cmp(&other));
                assert_eq!(keys, order(one, other), "{one:?} {other:?}");
            }
        }
        assert!(order_key("1.2.3").unwrap()[0] <= 8);
    }

    #[test]
    fn what_is_no_version_has_no_order() {
        for text in
            ["", "v", "abc", "1.x", "1..2", "-1", "1-", "1.2.3.4.5.6.7.8.9", "2024a", "99999999999999999999"]
        {
            assert_eq!(order(text, "1.0.0"), None, "{text}");
            assert_eq!(order("1.0.0", text), None, "{text}");
        }
    }
}
