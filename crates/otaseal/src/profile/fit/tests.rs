//! Compares the simulation with a model that really overwrites a flash array while it inflates from it.

use super::*;
use crate::format::gzip::{self, Effort, gzip};
use crate::profile::model::eboot as model;
use crate::project::advice::{Advice, Speaker};
use crate::testing::{has_tool, skipped};
use proptest::prelude::*;

/// What becomes of a sound gzip that is staged right below the filesystem, as eboot of core 3.0.0 and later does it.
fn check(packed: &[u8], fs_start: u32) -> Result<u64, Misfit> {
    let start = Flash { fs_start, installed: None }.staged_at(packed.len() as u64)?;
    reading(packed).check(start, false)?;
    Ok(start)
}

fn reading(packed: &[u8]) -> Reading {
    let raw = u32::from_le_bytes(*packed.last_chunk().unwrap());
    Reading::of(packed, gzip::header_len(packed).unwrap(), raw as usize).unwrap()
}

/// Bytes of `bits` bits of entropy each, without repetitions worth a match.
fn noise(len: usize, symbols: u32, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (((state >> 33) as u32 % symbols) * 3) as u8
        })
        .collect()
}

/// 1100 KiB that compress evenly, as a gzip of 811,461 bytes. What it takes to the byte is an extra field, which
/// is skipped; it must be short, since it moves everything behind it.
fn overtaken() -> (Vec<u8>, Vec<u8>) {
    const LEN: usize = 811_461;
    for every in (12..200).step_by(4) {
        // One byte in so many has less entropy than the others.
        let mut raw = noise(1100 * 1024, 49, 2);
        raw.iter_mut().step_by(every).for_each(|byte| *byte %= 36);
        let packed = gzip(&raw, Effort::Fast).unwrap();
        let body = &packed[gzip::header_len(&packed).unwrap()..];
        match LEN.checked_sub(12 + body.len()) {
            Some(extra) if extra < 1500 => {
                let mut out = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
                out.extend((extra as u16).to_le_bytes());
                out.resize(12 + extra, 0);
                out.extend_from_slice(body);
                return (raw, out);
            }
            _ => {}
        }
    }
    panic!("no image compresses to the length");
}

#[test]
fn the_two_known_cases_of_a_1m_layout() {
    // 54 equally frequent bytes hold 5.75 bits each: 72 % of 8.
    let raw = noise(900 * 1024, 54, 1);
    let safe = gzip(&raw, Effort::Fast).unwrap();
    let staged = check(&safe, 0xF_B000).unwrap();
    assert_eq!(staged, 0xF_B000 - round_up(safe.len() as u64));
    assert!(reading(&safe).check(staged, false).unwrap().is_some());
    assert_eq!(model::install(&safe, staged as usize, 0xF_B000, false), model::End::Installed(raw));

    let (raw, overtaken) = overtaken();
    assert_eq!(overtaken.len(), 811_461);
    let error = check(&overtaken, 0xF_B000).unwrap_err();
    let Misfit::Overtaken { at, short_by } = error else { panic!("{error}") };
    assert_eq!(at, 774_144);
    assert!(error.advice(Speaker::Program).contains(&short_by.to_string()));
    let staged = 0xF_B000 - round_up(811_461) as usize;
    assert_eq!(model::first_loss(&overtaken, staged, false), Some(774_144));
    let end = model::install(&overtaken, staged, 2 << 20, false);
    assert!(!matches!(end, model::End::Installed(found) if found == raw));
    // Higher by what it is short of, it works; one sector less does not.
    let higher = staged + short_by as usize;
    assert_eq!(model::install(&overtaken, higher, 2 << 20, false), model::End::Installed(raw));
    assert_eq!(model::first_loss(&overtaken, higher, false), None);
    assert!(model::first_loss(&overtaken, higher - 4096, false).is_some());
}

#[test]
fn the_updater_counts_whole_sectors_of_the_file_and_of_the_sketch() {
    let flash = |installed| Flash { fs_start: 0x10_0000, installed: Some(installed) };
    assert_eq!(flash(0x8_0000).staged_at(0x8_0000), Ok(0x8_0000));
    assert_eq!(flash(0x7_FFFF).free(), 0x8_0000);
    let error = flash(0x8_0000).staged_at(0x8_0001).unwrap_err();
    assert_eq!(error, Misfit::NoSpace { needed: 0x8_1000, free: 0x8_0000 });
    assert!(error.to_string().ends_with("4096 too many"), "{error}");
    assert!(matches!(flash(0x8_0001).staged_at(0x8_0000), Err(Misfit::NoSpace { .. })));
    // A sketch that is larger than the space before its own filesystem: a wrong layout, and no wrap-around.
    assert!(matches!(flash(u32::MAX).staged_at(1), Err(Misfit::NoSpace { free: 0, .. })));
}

#[test]
fn broken_streams_have_no_reading() {
    let packed = gzip(&noise(20_000, 54, 4), Effort::Fast).unwrap();
    for cut in [10, 11, 20, packed.len() / 2] {
        assert_eq!(Reading::of(&packed[..cut], 10, 20_000), None, "{cut}");
    }
    assert_eq!(Reading::of(&packed, packed.len() + 1, 20_000), None);
}

/// What an image is made of: its length, how many different bytes, and how much of it is filler.
fn image() -> impl Strategy<Value = Vec<u8>> {
    let piece = (1usize..30_000, 1u32..85, any::<u64>());
    prop::collection::vec(piece, 1..5).prop_map(|pieces| {
        pieces.into_iter().flat_map(|(len, symbols, seed)| noise(len, symbols, seed)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Staged anywhere, from far too low to far too high: the first sector that is lost is the same, and where
    /// none is lost the model's flash holds the image afterwards.
    #[test]
    fn the_simulation_says_what_the_flash_array_shows(
        raw in image(), above in 0u64..30, effort in 0..10, erases_first in any::<bool>(),
    ) {
        let packed = gzip(&raw, if effort > 0 { Effort::Fast } else { Effort::Default }).unwrap();
        let start = above * SECTOR;
        let loss = |start: u64| model::first_loss(&packed, start as usize, erases_first);
        match reading(&packed).check(start, erases_first) {
            Ok(_) => {
                prop_assert_eq!(loss(start), None);
                let end = model::install(&packed, start as usize, 0, erases_first);
                prop_assert_eq!(end, model::End::Installed(raw));
            }
            Err(Misfit::Overtaken { at, short_by }) => {
                prop_assert_eq!(loss(start), Some(at as usize));
                prop_assert_eq!(loss(start + short_by), None);
                prop_assert!(loss(start + short_by - 4096).is_some());
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    /// The rule of thumb is on the safe side of the simulation.
    #[test]
    fn what_both_sizes_fit_is_safe(raw in image(), above in 0u64..3) {
        let packed = gzip(&raw, Effort::Fast).unwrap();
        let fs_start = round_up(raw.len() as u64) + round_up(packed.len() as u64) + above * SECTOR;
        prop_assert!(check(&packed, u32::try_from(fs_start).unwrap()).is_ok());
    }

    #[test]
    fn nothing_panics_on_anything(
        bytes in prop::collection::vec(any::<u8>(), 0..600), raw in 0..(16usize << 20), start in any::<u32>(),
    ) {
        if let Some(reading) = Reading::of(&bytes, 0, raw) {
            let _ = reading.check(start.into(), true);
        }
    }
}

/// uzlib itself counts: MicroPython's `deflate` module is uzlib in C, and reads its stream byte by byte.
#[test]
fn uzlib_has_read_what_the_trace_says() {
    if !has_tool("node") {
        return;
    }
    let Some(modules) = std::env::var_os("OTASEAL_MICROPYTHON") else {
        return skipped("OTASEAL_MICROPYTHON does not name a directory with MicroPython for node in it");
    };
    let dir = tempfile::tempdir().unwrap();
    for (case, (raw, effort)) in [
        (noise(300_000, 54, 5), Effort::Fast),
        (noise(200_001, 5, 6), Effort::Default),
        ([vec![0; 50_000], noise(50_000, 85, 7), vec![7; 33_333]].concat(), Effort::Max),
        (noise(9, 85, 8), Effort::Fast),
    ]
    .into_iter()
    .enumerate()
    {
        let packed = gzip(&raw, effort).unwrap();
        std::fs::write(dir.path().join("packed.gz"), &packed).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/uzlib.mjs");
        let output = std::process::Command::new("node")
            .args([
                script.as_ref(),
                "consumption".as_ref(),
                modules.as_os_str(),
                dir.path().join("packed.gz").as_os_str(),
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let counted: Vec<usize> = String::from_utf8(output.stdout)
            .unwrap()
            .split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect();
        let header = gzip::header_len(&packed).unwrap();
        let traced = trace::consumption(&packed[header..], 4096, raw.len()).unwrap();
        let traced: Vec<_> = traced.into_iter().map(|taken| header + taken).collect();
        assert_eq!(counted, traced, "case {case}");
    }
}
