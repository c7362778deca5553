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

struct Parsed<'a> {
    numbers: Vec<u64>,
    before: Option<&'a str>,
}

impl<'a> Parsed<'a> {
    fn of(text: &'a str) -> Option<Self> {
        /// More numbers than any version has.
        const MAX_NUMBERS: usize = 8;
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
    fn what_is_no_version_has_no_order() {
        for text in
            ["", "v", "abc", "1.x", "1..2", "-1", "1-", "1.2.3.4.5.6.7.8.9", "2024a", "99999999999999999999"]
        {
            assert_eq!(order(text, "1.0.0"), None, "{text}");
            assert_eq!(order("1.0.0", text), None, "{text}");
        }
    }
}
