//! PKCS#11 URIs: what is read is written as a URI that means the same, and no PIN is ever in one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::key::uri::Pkcs11Uri;
use otaseal::project::advice::{Advice, Speaker};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Pkcs11Uri>() {
        Ok(mut uri) => {
            // Not written: nobody asks for them.
            uri.ignored.clear();
            assert!(Pkcs11Uri::is_one(text));
            let written = uri.to_string();
            assert!(!written.contains(|c: char| c.is_control() || c.is_whitespace()), "{written:?}");
            // The name of a token may hold these words. An attribute has its name at the start.
            assert!(
                !written.split([':', ';', '?', '&']).any(|part| part.starts_with("pin-value")),
                "{written:?}"
            );
            assert_eq!(written.parse::<Pkcs11Uri>().as_ref(), Ok(&uri), "{written:?}");
        }
        Err(error) => {
            let said = error.to_string();
            assert!(
                !error.advice(Speaker::Program).is_empty() && !said.contains(|c: char| c.is_control()),
                "{said:?}"
            );
        }
    }
});
