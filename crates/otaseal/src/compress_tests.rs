use super::*;

/// One byte more than any stream here inflates to.
const LIMIT: usize = 1 << 24;

fn samples() -> Vec<Vec<u8>> {
    let noise: Vec<u8> = (0u32..70_000).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let text = b"the quick brown fox jumps over the lazy dog. ".repeat(40);
    vec![vec![], vec![7], vec![0; 300_000], text, noise]
}

#[test]
fn round_trips_and_is_padded() {
    for data in samples() {
        for effort in [Effort::Fast, Effort::Default, Effort::Max] {
            let packed = gzip(&data, effort).unwrap();
            assert_eq!(packed.len() % 4, 0);
            assert_eq!(packed[4..8], [0; 4], "no time");
            assert_eq!(packed[9], 255, "no operating system");
            assert_eq!(packed[packed.len() - 4..], (data.len() as u32).to_le_bytes(), "ISIZE is last");
            assert_eq!(gunzip(&packed, data.len()).unwrap(), data);
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let packed = gzip(&samples()[3], Effort::Default).unwrap();
    for len in 0..packed.len() {
        gunzip(&packed[..len], LIMIT).unwrap_err();
    }
}
