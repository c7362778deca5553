//! Signatures and requests that come from elsewhere: what is decoded has the key's length, its other forms decode to the
//! same, and what is wrong with one has a name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::format::digest::Sha256Digest;
use otaseal::key::{KeySize, PublicKey};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::sign::Scheme;
use otaseal::sign::detached::decode;
use otaseal::sign::diagnose::mismatch;
use otaseal::sign::request::SigningRequest;
use std::sync::LazyLock;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    PublicKey::from_bytes(include_bytes!("../../../../keys.example/public.pem")).expect("a key")
});

fuzz_target!(|data: &[u8]| {
    for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
        match decode(data, size) {
            Ok(signature) => {
                assert_eq!(signature.len(), size.bytes());
                let hexadecimal: String = signature.iter().map(|byte| format!("{byte:02X}:\r\n")).collect();
                assert_eq!(decode(hexadecimal.as_bytes(), size).as_deref(), Ok(&signature[..]));
            }
            Err(error) => assert!(!error.to_string().contains(|c: char| c.is_control()), "{error:?}"),
        }
    }
    let mut signature = data.to_vec();
    signature.resize(256, 0);
    for scheme in [Scheme::Pkcs1v15Sha256, Scheme::Legacy] {
        // Nobody signs this digest by chance.
        let found = mismatch(&signature, &KEY, scheme, &Sha256Digest([7; 32])).expect("no signature");
        assert!(!found.to_string().is_empty() && !found.advice(Speaker::Program).is_empty());
    }
    if let Ok(request) = SigningRequest::from_json(data) {
        let written = request.to_json();
        assert_eq!(SigningRequest::from_json(written.as_bytes()).ok(), Some(request));
    }
});
