//! The compressor: every output inflates to its input, by a reader of other people.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::format::gzip::{Effort, gunzip, gzip};

/// About the most bytes that are compressed. The search takes ten times as long under the fuzzer, and all targets share few
/// cores.
const MOST: usize = 1 << 13;

fuzz_target!(|data: &[u8]| {
    // The fuzzer's inputs are short. Repeated with a change each time, they have matches and several blocks too.
    let Some((&times, piece)) = data.split_first() else { return };
    let mut long = Vec::new();
    for turn in 0..=times {
        if long.len() > MOST {
            break;
        }
        let start = long.len();
        long.extend_from_slice(piece);
        if let Some(byte) = long.get_mut(start + usize::from(turn) % piece.len().max(1)) {
            *byte ^= turn;
        }
    }
    for effort in [Effort::Fast, Effort::Default, Effort::Max] {
        let packed = gzip(&long, effort).expect("short enough");
        assert!(gunzip(&packed, long.len()).is_ok_and(|content| content == long), "{effort:?}");
        assert_eq!(packed.len() % 4, 0);
    }
});
