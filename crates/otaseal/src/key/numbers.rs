//! Finds secret numbers among other bytes.

use memchr::memchr3_iter;

/// Returns the offset of one of these numbers, in either byte order. The numbers are big-endian.
///
/// One pass over the bytes looks for three numbers. It stops at one byte of each, which both byte orders have, and which
/// is rare among the bytes.
pub(super) fn find<N: AsRef<[u8]>>(numbers: &[N], bytes: &[u8]) -> Option<usize> {
    /// One of so many bytes is counted.
    const SAMPLE: usize = 64;
    let mut counts = [0_usize; 256];
    bytes.iter().step_by(SAMPLE).for_each(|byte| counts[usize::from(*byte)] += 1);
    let rarest = |number: &[u8]| (0..number.len()).min_by_key(|at| counts[usize::from(number[*at])]);
    let numbers: Vec<_> =
        numbers.iter().map(AsRef::as_ref).filter_map(|number| Some((number, rarest(number)?))).collect();
    let found = numbers.chunks(3).filter_map(|three| {
        let rare = |index: usize| {
            let (number, at) = three[index.min(three.len() - 1)];
            number[at]
        };
        memchr3_iter(rare(0), rare(1), rare(2), bytes)
            .find_map(|hit| three.iter().find_map(|(number, at)| around(hit, bytes, number, *at)))
    });
    found.min()
}

/// Returns where a number begins that has its byte `at` at this place, in either byte order.
fn around(hit: usize, bytes: &[u8], number: &[u8], at: usize) -> Option<usize> {
    let from = |start: usize| bytes.get(start..start + number.len());
    let big_endian = hit.checked_sub(at).filter(|start| from(*start) == Some(number));
    let little_endian = || {
        let start = hit.checked_sub(number.len() - 1 - at)?;
        from(start)?.iter().rev().eq(number).then_some(start)
    };
    big_endian.or_else(little_endian)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_found_at_both_ends_and_not_beyond() {
        let number = *b"number";
        for bytes in [&b"number"[..], b"rebmun", b"numberxx", b"rebmunxx"] {
            assert_eq!(find(&[number], bytes), Some(0), "{bytes:?}");
            assert_eq!(find(&[number], &[b"xx", bytes].concat()), Some(2), "{bytes:?}");
        }
        for bytes in [&b""[..], b"n", b"umber", b"numbe", b"ebmun", b"rebmu", b"numbel", b"nnnnnn"] {
            assert_eq!(find(&[number], bytes), None, "{bytes:?}");
        }
        assert_eq!(find(&[b"", b""], b"number"), None);
        assert_eq!(find::<&[u8]>(&[], b"number"), None);
    }

    proptest! {
        /// A search for each number in each order, one after the other, finds the same.
        #[test]
        fn one_of_many_numbers_is_found(
            numbers in vec(vec(0_u8..4, 1..5), 0..8),
            bytes in vec(0_u8..4, 0..200),
        ) {
            let orders = numbers.iter().flat_map(|number| {
                [number.clone(), number.iter().rev().copied().collect()]
            });
            let first = orders.filter_map(|order: Vec<u8>| memchr::memmem::find(&bytes, &order)).min();
            // A hit of a later byte can come first: the place of one number is right all the same.
            let found = find(&numbers, &bytes);
            prop_assert_eq!(found.is_some(), first.is_some());
            if let Some(at) = found {
                let is_there = |number: &Vec<u8>| {
                    let text = bytes.get(at..at + number.len());
                    text.is_some_and(|text| text == &number[..] || text.iter().rev().eq(number))
                };
                prop_assert!(numbers.iter().any(is_there));
            }
        }
    }
}
