//! Tests every fault of a gzip, and compares the verdict with Python's zlib, which knows nothing of otaseal.

use super::*;
use crate::format::gzip::{Effort, gzip, header_len};
use crate::project::advice::{Advice, Speaker};
use crate::testing::has_tool;

fn good() -> Vec<u8> {
    gzip(&b"an image, an image, and what an image! ".repeat(500), Effort::Default).unwrap()
}

/// The findings, each by its name in JSON.
fn findings(gzip: &[u8]) -> Vec<String> {
    let findings = lint(gzip).findings;
    assert!(
        findings
            .iter()
            .all(|finding| !finding.advice(Speaker::Program).is_empty() && !finding.to_string().is_empty())
    );
    assert!(findings.is_sorted_by(|a, b| a.severity() >= b.severity()), "the worst first: {findings:?}");
    let name = |finding: &GzipFinding| {
        serde_json::to_value(finding).unwrap()["finding"].as_str().unwrap().to_owned()
    };
    findings.iter().map(name).collect()
}

#[test]
fn our_own_gzip_is_clean() {
    for effort in [Effort::Fast, Effort::Default, Effort::Max] {
        let report = lint(&gzip(&[7; 5000], effort).unwrap());
        assert_eq!(report.findings, []);
        assert_eq!(report.content, Some(vec![7; 5000]));
    }
}

#[test]
fn every_flaw_has_its_name() {
    let good = good();
    let with = |at: usize, byte: u8| {
        let mut gzip = good.clone();
        gzip[at] = byte;
        gzip
    };
    let end = good.len();
    assert_eq!(findings(&[&good[..], &good].concat()), ["second-member"]);
    assert_eq!(findings(&[&good[..], &[0; 4]].concat()), ["trailing-bytes"]);
    assert_eq!(findings(&[&good[..], b"\x1f"].concat()), ["trailing-bytes", "unaligned"]);
    assert_eq!(findings(&with(end - 4, !good[end - 4])), ["wrong-length"]);
    assert_eq!(findings(&with(end - 1, 0xFF)), ["wrong-length"], "4 GiB are claimed");
    assert_eq!(findings(&with(end - 8, !good[end - 8])), ["wrong-crc"]);
    assert_eq!(findings(&with(2, 7)), ["header"]);
    assert_eq!(findings(&with(3, 0x80)), ["header"]);
    assert_eq!(findings(&good[..8]), ["header"]);
    assert_eq!(findings(b""), ["header"]);
    assert_eq!(findings(&good[..end - 4]), ["corrupt"]);
    assert_eq!(findings(&good[..end / 2 / 4 * 4]), ["corrupt"]);
    let mut hashed = good.clone();
    let body = header_len(&good).unwrap();
    hashed[3] |= 2;
    hashed.splice(body..body, [0; 2]);
    assert_eq!(findings(&hashed), ["wrong-header-crc", "unaligned"]);
    assert_eq!(findings(&with(4, 9)), ["time"]);
    assert_eq!(findings(&with(9, 3)), ["system"]);
    assert_eq!(findings(&with(3, good[3] | 1)), ["text"]);
    assert_eq!(findings(&gzip(b"", Effort::Fast).unwrap()), ["empty"]);
}

#[test]
fn the_effect_of_a_length_is_said() {
    let effect = |tail: [u8; 4]| lint(&[&good()[..], &tail].concat()).objection().unwrap().to_string();
    assert!(effect([0; 4]).ends_with("keeps the old firmware"));
    assert!(effect([0xFF; 4]).ends_with("keeps the old firmware"));
    assert!(effect([0, 1, 0, 0]).ends_with("it writes 256 bytes"));
}

#[test]
fn a_bomb_costs_what_a_flash_chip_holds() {
    let bomb = gzip(&vec![0; MAX_CONTENT + 1], Effort::Fast).unwrap();
    assert!(bomb.len() < 100_000);
    assert_eq!(findings(&bomb), ["too-long"]);
    // Ten megabytes that claim four gigabytes.
    let mut noise: Vec<u8> = (0u32..10 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    noise[..10].copy_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let end = noise.len();
    noise[end - 4..].fill(0xFF);
    assert_eq!(findings(&noise).len(), 1);
}

#[test]
fn an_objection_is_more_than_a_note() {
    let good = good();
    assert_eq!(lint(&good).objection(), None);
    let mut timed = good.clone();
    timed[4] = 1;
    assert_eq!(lint(&timed).objection(), None);
    let unaligned = lint(&unaligned()).objection().unwrap();
    assert_eq!(
        (unaligned, unaligned.severity()),
        (GzipFinding::Unaligned { remainder: 1 }, GzipSeverity::Refused)
    );
    assert_eq!(lint(&good[..12]).objection().map(|finding| finding.severity()), Some(GzipSeverity::Bricks));
}

/// A gzip with an extra field of such a length that the file's is one more than a multiple of 4.
fn unaligned() -> Vec<u8> {
    let stored = b"\x01\x01\x00\xfe\xffa";
    let mut gzip = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 7, 0];
    gzip.extend(b"1234567");
    gzip.extend(stored);
    gzip.extend(0xE8B7_BE43u32.to_le_bytes());
    gzip.extend(1u32.to_le_bytes());
    gzip
}

/// What `gzip -9 FILE` makes has a name, a time and a system in it; it installs, and is not reproducible.
#[test]
fn the_tool_gzip_gets_notes() {
    if !has_tool("gzip") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("firmware.bin");
    std::fs::write(&path, b"some image ".repeat(1000)).unwrap();
    assert!(std::process::Command::new("gzip").arg("-9").arg(&path).status().unwrap().success());
    let bytes = std::fs::read(dir.path().join("firmware.bin.gz")).unwrap();
    let found = findings(&bytes);
    for finding in ["time", "file-name", "system"] {
        assert!(found.iter().any(|found| found == finding), "{found:?}");
    }
    assert!(lint(&bytes).content.is_some());
}

/// Python's zlib on the same bytes: what it calls broken is never clean here. It does not see a second member.
#[test]
fn what_zlib_refuses_is_refused() {
    if !has_tool("python3") {
        return;
    }
    const SCRIPT: &str = "import sys, zlib
data = bytes.fromhex(sys.stdin.read())
stream = zlib.decompressobj(31)
out = stream.decompress(data)
sys.exit(0 if stream.eof and not stream.unused_data else 1)";
    let zlib_accepts = |gzip: &[u8]| {
        use std::io::Write;
        let mut python = std::process::Command::new("python3")
            .args(["-c", SCRIPT])
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let hex: String = gzip.iter().map(|byte| format!("{byte:02x}")).collect();
        python.stdin.take().unwrap().write_all(hex.as_bytes()).unwrap();
        python.wait().unwrap().success()
    };
    let good = good();
    assert!(zlib_accepts(&good));
    for at in (0..good.len()).step_by(7) {
        let mut gzip = good.clone();
        gzip[at] ^= 0x10;
        let bad = lint(&gzip).findings.iter().any(|finding| finding.severity() == GzipSeverity::Bricks);
        assert!(bad || zlib_accepts(&gzip), "byte {at}");
    }
}
