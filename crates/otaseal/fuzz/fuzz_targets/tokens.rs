//! Homie tokens in any bytes: no panic, and what is found stands where it is said to stand, is printable, and
//! has a form that is a safe file name.
#![no_main]

use otaseal::project::advice::{Advice, Speaker};
use std::fmt::Display;
use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use otaseal::device::homie::{
    BRAND_LEFT, BRAND_RIGHT, NAME_LEFT, NAME_RIGHT, VERSION_LEFT, VERSION_RIGHT, is_printable,
};
use otaseal::format::homie::{FirmwareName, Token, extract};

fuzz_target!(|image: &[u8]| {
    match extract(image) {
        Ok(tokens) => {
            check(image, tokens.name.as_ref(), &NAME_LEFT, &NAME_RIGHT);
            check(image, tokens.version.as_ref(), &VERSION_LEFT, &VERSION_RIGHT);
            check(image, tokens.brand.as_ref(), &BRAND_LEFT, &BRAND_RIGHT);
            assert_eq!(tokens.name.is_some(), tokens.version.is_some());
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.chars().all(is_printable), "{text:?}");
            assert!(!error.advice(Speaker::Program).is_empty());
        }
    }
});

fn check<T: Display>(image: &[u8], token: Option<&Token<T>>, left: &[u8], right: &[u8]) {
    let Some(token) = token else { return };
    let value = token.value.to_string();
    let whole = [left, value.as_bytes(), right].concat();
    assert!(image[token.offset..].starts_with(&whole));
    // The first of its kind: no left boundary before it has the value behind it.
    assert_eq!(image.windows(whole.len()).position(|window| window == whole), Some(token.offset));
    assert!(value.chars().all(is_printable), "{value:?}");
    // A name has the longest limit: every version and brand is one too.
    let form = FirmwareName::try_from(&*value).expect("a name").file_form();
    let components: Vec<_> = Path::new(&form).components().collect();
    assert!(matches!(components[..], [Component::Normal(_)]));
}
