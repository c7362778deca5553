use std::env;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// CRC-32 of `words(300_000)`, compressed by each of [`EFFORTS`].
const GOLDEN: [u32; 3] = [0xaf9f_b6ca, 0x3121_69eb, 0x4493_1844];

const EFFORTS: [Effort; 3] = [Effort::Fast, Effort::Default, Effort::Max];

/// Numbers that no compressor makes anything of; always the same.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(next).collect()
}

/// Something between noise and text: words of a small vocabulary, as in code.
fn words(len: usize) -> Vec<u8> {
    let vocabulary = noise(2048);
    let word = |at: u8| &vocabulary[usize::from(at) * 8..][..usize::from(at % 7) + 2];
    noise(len).into_iter().flat_map(word).copied().take(len).collect()
}

/// Name and content of what is hard or special about compressing.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let text = b"the quick brown fox jumps over the lazy dog. ".repeat(200);
    let mut padded = words(20_000);
    padded.resize(64 << 10, 0xff);
    padded.extend(words(3_000));
    vec![
        ("nothing", vec![]),
        ("one byte", vec![7]),
        ("two equal bytes", vec![7, 7]),
        ("a run of the shortest match", vec![0; 4]),
        ("a run across two stretches", vec![0; (1 << 20) + 300]),
        ("every byte once", (0..=255).collect()),
        ("text", text),
        ("noise, more than one stored block", noise(70_000)),
        ("words", words(100_000)),
        ("words, padded", padded),
        ("more than one stretch", [words(700_000), noise(20_000), words(500_000)].concat()),
        ("as far back as a distance goes", [words(300), noise(32_768 - 300), words(300)].concat()),
    ]
}

struct Packed {
    name: &'static str,
    data: Vec<u8>,
    /// By each of [`EFFORTS`].
    gzip: [Vec<u8>; 3],
}

/// The samples compressed, once for all tests: Max takes its time.
static PACKED: LazyLock<Vec<Packed>> = LazyLock::new(|| {
    let pack = |(name, data): (_, Vec<u8>)| {
        let gzip = EFFORTS.map(|effort| gzip(&data, effort).unwrap());
        Packed { name, data, gzip }
    };
    samples().into_iter().map(pack).collect()
});

#[test]
fn one_member_padded_in_its_header_and_without_a_name_or_a_time() {
    for Packed { name, data, gzip } in &*PACKED {
        for (packed, effort) in gzip.iter().zip(EFFORTS) {
            assert_eq!(packed.len() % 4, 0, "{name}");
            assert_eq!(packed[3] & !FCOMMENT, 0, "{name}: no field but the padding");
            assert_eq!(packed[4..8], [0; 4], "{name}: no time");
            assert_eq!(packed[9], 255, "{name}: no operating system");
            assert_eq!(
                packed[packed.len() - 4..],
                (data.len() as u32).to_le_bytes(),
                "{name}: ISIZE is last"
            );
            assert!(gunzip(packed, data.len()).unwrap() == *data, "{name}, {effort:?}");
        }
    }
}

#[test]
fn noise_grows_by_no_more_than_the_forms_of_storing_it() {
    let data = noise(200_000);
    for effort in EFFORTS {
        let packed = gzip(&data, effort).unwrap();
        // A stored block has at most 65,535 bytes. Those of `fast` have half of that.
        let blocks = if effort == Effort::Fast { 7 } else { 4 };
        assert!(
            packed.len() <= data.len() + HEADER_LEN + TRAILER_LEN + blocks * 5 + 3,
            "{effort:?}: {}",
            packed.len()
        );
    }
}

#[test]
fn more_effort_is_never_larger() {
    for Packed { name, gzip, .. } in &*PACKED {
        let [fast, default, max] = gzip.each_ref().map(Vec::len);
        // On a long run the split into blocks decides: `default` may lose a few bytes to `fast`.
        assert!(max <= default && default <= fast + 4, "{name}: {fast}, {default}, {max}");
    }
}

#[test]
fn the_same_bytes_everywhere() {
    // A change of our search changes the bytes, and for `fast` a new version of flate2. Nothing else may: not the machine,
    // the profile, the time or the number of threads.
    let data = words(300_000);
    let crcs = EFFORTS.map(|effort| crc32(&gzip(&data, effort).unwrap()));
    assert_eq!(crcs, GOLDEN, "{crcs:#x?}");
}

#[test]
fn python_reads_it() {
    let script = "import sys,gzip,zlib; data = sys.stdin.buffer.read(); \
                  member = zlib.decompressobj(31); out = member.decompress(data) + member.flush(); \
                  assert member.eof and not member.unused_data and gzip.decompress(data) == out; \
                  sys.stdout.buffer.write(out)";
    for Packed { name, data, gzip } in &*PACKED {
        for (packed, effort) in gzip.iter().zip(EFFORTS) {
            let Some(out) = python(script, packed) else {
                return;
            };
            assert!(out == *data, "{name}, {effort:?}");
        }
    }
}

#[test]
fn what_python_writes_is_read() {
    let script = "import sys,gzip; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))";
    for (name, data) in samples() {
        let Some(packed) = python(script, &data) else {
            return;
        };
        assert!(gunzip(&packed, data.len()).unwrap() == data, "{name}");
    }
}

/// Standard output of a Python script; nothing where there is no Python, which in CI is a failure.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn python(script: &str, input: &[u8]) -> Option<Vec<u8>> {
    let spawned =
        Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        assert!(env::var_os("CI").is_none(), "python3 must be installed in CI");
        eprintln!("SKIPPED: python3 is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success());
    Some(output.stdout)
}

/// A member around a stored block, with its flags and the fields that they announce.
fn with_fields(flags: u8, fields: &[u8]) -> Vec<u8> {
    let stored = [&[1, 2, 0, 0xfd, 0xff][..], b"hi"].concat();
    let mut out = [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3][..], fields, &stored].concat();
    out.extend(crc32(b"hi").to_le_bytes());
    out.extend(2u32.to_le_bytes());
    out
}

#[test]
fn header_fields_are_skipped() {
    let extra = b"\x04\x00\x01\x02\x00\x00";
    for (flags, fields) in [
        (0, &b""[..]),
        (1, b""),
        (FEXTRA, extra),
        (FEXTRA, b"\x00\x00"),
        (FNAME, b"a.bin\0"),
        (FCOMMENT, b"\0"),
        (FNAME | FCOMMENT, b"a\0b\0"),
        (FEXTRA | FNAME | FCOMMENT, &[&extra[..], b"a\0b\0"].concat()),
    ] {
        let mut data = with_fields(flags, fields);
        assert_eq!(gunzip(&data, 2).as_deref(), Ok(&b"hi"[..]), "{flags:#x}");

        // The same with a CRC16 of the header.
        data = with_fields(flags | FHCRC, &[fields, &[0, 0]].concat());
        let end = HEADER_LEN + fields.len();
        let crc = crc32(&data[..end]) as u16;
        data[end..end + 2].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(gunzip(&data, 2).as_deref(), Ok(&b"hi"[..]), "{flags:#x}");
        data[end] ^= 1;
        assert_eq!(gunzip(&data, 2), Err(GunzipError::HeaderCrc { stated: crc ^ 1, actual: crc }));
    }
}

#[test]
fn header_fields_that_do_not_end_are_refused() {
    for (flags, fields) in [(FEXTRA, &b"\xff\xff"[..]), (FNAME, b"abc"), (FCOMMENT, b"abc"), (FHCRC, b"\x01")]
    {
        let data = [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3][..], fields].concat();
        assert_eq!(gunzip(&data, 99), Err(GunzipError::HeaderTruncated), "{flags:#x}");
    }
}

#[test]
fn what_is_not_gzip_is_refused() {
    assert_eq!(gunzip(b"", 9), Err(GunzipError::NotGzip));
    assert_eq!(gunzip(b"\xe9\x03\x00\x40 firmware", 9), Err(GunzipError::NotGzip));
    assert_eq!(gunzip(b"\x1f\x8b", 9), Err(GunzipError::HeaderTruncated));
    let mut data = with_fields(0, b"");
    data[2] = 7;
    assert_eq!(gunzip(&data, 9), Err(GunzipError::Method(7)));
    assert!(is_gzip(b"\x1f\x8b\x08") && !is_gzip(b"\x1f\x8b\x07") && !is_gzip(b"\x1f\x8b") && !is_gzip(b""));
}

#[test]
fn every_reserved_flag_is_refused() {
    for flags in [0x20, 0x40, 0x80] {
        assert_eq!(gunzip(&with_fields(flags, b""), 9), Err(GunzipError::ReservedFlags(flags)));
    }
}

#[test]
fn every_truncation_is_refused() {
    for (name, data) in samples().into_iter().filter(|(_, data)| data.len() < 20_000) {
        let packed = gzip(&data, Effort::Default).unwrap();
        let header = header_len(&packed).unwrap();
        for len in 0..packed.len() {
            let error = match len {
                0..2 => GunzipError::NotGzip,
                _ if len < header => GunzipError::HeaderTruncated,
                _ => GunzipError::Truncated,
            };
            assert_eq!(gunzip(&packed[..len], 1 << 20), Err(error), "{name}: {len} of {}", packed.len());
        }
    }
}

#[test]
fn nothing_may_follow_the_trailer() {
    let member = gzip(b"firmware", Effort::Default).unwrap();
    for tail in [&[0][..], b"0123456789", &[0; 4096], &member] {
        let data = [&member, tail].concat();
        assert_eq!(gunzip(&data, 99), Err(GunzipError::Trailing { len: tail.len() }));
    }
}

#[test]
fn a_trailer_that_lies_is_refused() {
    let data = words(5000);
    let packed = gzip(&data, Effort::Default).unwrap();
    let crc = packed.len() - 8;
    let mut wrong = packed.clone();
    wrong[crc] ^= 1;
    assert!(matches!(gunzip(&wrong, 5000), Err(GunzipError::Crc { .. })));
    for isize in [0u32, 1, 4999, 5001, 1 << 31, u32::MAX] {
        let mut wrong = packed.clone();
        wrong[crc + 4..].copy_from_slice(&isize.to_le_bytes());
        assert_eq!(gunzip(&wrong, 1 << 30), Err(GunzipError::Size { stated: isize, actual: 5000 }));
    }
}

#[test]
fn the_limit_holds() {
    for len in [1, 2, 1000, 10_000_000] {
        let bomb = gzip(&vec![0; len], Effort::Fast).unwrap();
        assert_eq!(gunzip(&bomb, len).unwrap().len(), len);
        for limit in [0, len / 2, len - 1] {
            assert_eq!(gunzip(&bomb, limit), Err(GunzipError::TooLong { limit }), "{len}");
        }
        // An ISIZE that promises little does not open the door, either.
        let mut bomb = bomb;
        let end = bomb.len();
        bomb[end - 4..].fill(0);
        assert_eq!(gunzip(&bomb, len - 1), Err(GunzipError::TooLong { limit: len - 1 }), "{len}");
    }
}

#[test]
fn a_distance_before_the_start_is_refused() {
    // A fixed block: a copy of 3 bytes from 1 back, as the first token.
    let mut data = with_fields(0, b"");
    data.splice(HEADER_LEN..HEADER_LEN + 7, [0b0000_0011, 0b0000_0010, 0, 0]);
    assert_eq!(gunzip(&data, 99), Err(GunzipError::Corrupt { produced: 0 }));
}

#[test]
fn efforts_have_names() {
    assert_eq!(["fast", "default", "max"].map(|name| name.parse::<Effort>().unwrap()), EFFORTS);
    assert_eq!("best".parse::<Effort>(), Err(UnknownEffort("best".into())));
    assert_eq!(Effort::default(), Effort::Default);
}

/// Bytes with repetitions, near and far.
fn repetitive() -> impl Strategy<Value = Vec<u8>> {
    let piece = (vec(any::<u8>(), 1..40), 1..60_usize).prop_map(|(piece, times)| piece.repeat(times));
    vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

#[test]
fn our_form_is_known_from_others() {
    for length in 1000..1008 {
        let data = words(length);
        for effort in [Effort::Fast, Effort::Default, Effort::Max] {
            assert!(is_own(&gzip(&data, effort).unwrap(), length));
            assert!(is_own(&gzip_with_extra(&data, effort, b"ota\x01x").unwrap(), length));
        }
        let own = gzip(&data, Effort::Default).unwrap();
        let changed = |at: usize, byte: u8| {
            let mut other = own.clone();
            other[at] = byte;
            other
        };
        // A name, a time, the operating systems of gzip(1) and of DOS, another compressor's remark.
        for (at, byte) in [(3, FNAME), (3, FHCRC), (4, 1), (9, 3), (9, 0), (8, 0)] {
            assert!(!is_own(&changed(at, byte), length), "{at} {byte}");
        }
        assert!(!is_own(&changed(own.len() - 8, own[own.len() - 8] ^ 1), length), "another CRC");
        assert!(!is_own(&own, length - 1) && !is_own(&own[..own.len() - 4], length));
        assert!(!is_own(&[&own[..], b"more"].concat(), length));
    }
    assert!(!is_own(b"", 10) && !is_own(&[0x1f, 0x8b, 8, FEXTRA, 0, 0, 0, 0, 2, 255, 9], 10));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn anything_round_trips(data in prop_oneof![vec(any::<u8>(), 0..3000), vec(0..4u8, 0..9000), repetitive()]) {
        for effort in EFFORTS {
            let packed = gzip(&data, effort).unwrap();
            prop_assert_eq!(packed.len() % 4, 0);
            prop_assert!(gunzip(&packed, data.len()).as_ref() == Ok(&data));
        }
    }

    #[test]
    fn no_input_panics_or_exceeds_the_limit(mut data in vec(any::<u8>(), 0..600), limit in 0..5000_usize) {
        // Most random bytes fail at the first: let them get in.
        for (byte, header) in data.iter_mut().zip([0x1f, 0x8b, 8, 0]) {
            *byte = header;
        }
        if let Ok(content) = gunzip(&data, limit) {
            prop_assert!(content.len() <= limit);
        }
    }

    #[test]
    fn every_change_of_a_bit_is_seen(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let data = words(2000);
        let mut packed = gzip(&data, Effort::Default).unwrap();
        let at = at.index(packed.len());
        packed[at] ^= 1 << bit;
        // FTEXT, MTIME, XFL, OS and the text of the comment mean nothing, nor do the bits between the end of the last
        // block and the CRC, which begins at a byte (RFC 1951 3.2.3).
        let before_crc = packed.len() - 9;
        if let Ok(content) = gunzip(&packed, 1 << 20) {
            prop_assert!((at < HEADER_LEN + 3 || at == before_crc) && content == data, "byte {}", at);
        }
    }
}
