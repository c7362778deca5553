//! The search for keys in any image, also one that repeats: it takes time in proportion to the length (the fuzzer stops
//! what takes seconds), keeps a bounded number of keys, and never misses a private key in PEM or in base64.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::key::PublicKey;
use otaseal::policy::continuity::search;
use std::sync::LazyLock;

/// What takes a second for its square takes hours for a whole image.
const LENGTH: usize = 256 * 1024;
const PRIVATE: &[u8] =
    b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDAbcdefghijklm\n";

static KEYS: LazyLock<[PublicKey; 2]> = LazyLock::new(|| {
    [
        PublicKey::from_bytes(include_bytes!("../../../../keys.example/public.pem")).expect("a key"),
        PublicKey::from_bytes(include_bytes!("../../../../tests/cmd/in/keys/other.public.pem"))
            .expect("a key"),
    ]
});

/// The key of a PEM file without its labels and line ends.
static BASE64: LazyLock<String> = LazyLock::new(|| {
    let pem = include_str!("../../../../keys.example/private.pem");
    pem.lines().filter(|line| !line.starts_with('-')).collect()
});

fn holds(image: &[u8]) {
    let known: Vec<&PublicKey> = KEYS.iter().collect();
    for known in [&known[..], &[]] {
        let found = search(image, known);
        assert!(found.keys.len() <= 32 + known.len());
        assert!(found.keys.is_sorted_by_key(|key| key.offset));
        assert!(found.keys.iter().all(|key| key.offset < image.len()));
        for (index, key) in found.keys.iter().enumerate() {
            assert!(found.keys[..index].iter().all(|other| other.key_id != key.key_id));
        }
        assert!(found.private.is_none_or(|private| private.offset < image.len()));
    }
}

fuzz_target!(|data: &[u8]| {
    holds(data);
    let leaky = [data, PRIVATE].concat();
    assert!(search(&leaky, &[]).private.is_some());
    // Digits directly before a key only move the places of its groups.
    let text = [data, BASE64.as_bytes()].concat();
    assert!(search(&text, &[]).private.is_some());
    if !data.is_empty() {
        holds(&data.repeat(LENGTH / data.len() + 1));
    }
});
