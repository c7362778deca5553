//! Key files of every kind: what is read is written and read again as the same key, a private key is never taken for a
//! public one, and the lint ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::format::key_file::{Armor, recognise};
use otaseal::key::encryption::Protection;
use otaseal::key::form::{PrivateForm, PublicForm};
use otaseal::key::{KeyError, PrivateKey, PublicKey};
use otaseal::policy::lint;
use otaseal::project::advice::{Advice, Speaker};

fuzz_target!(|data: &[u8]| {
    let recognised = recognise(data);
    let private = PrivateKey::from_bytes(data);
    let public = PublicKey::from_bytes(data);
    assert!(private.is_err() || public.is_err());
    for error in [private.as_ref().err(), public.as_ref().err()].into_iter().flatten() {
        assert!(!error.advice(Speaker::Program).is_empty());
        assert!(!error.to_string().contains(|c: char| c.is_control()));
    }
    if recognised.is_some_and(|found| found.kind.is_private()) {
        // More than one of them, or what follows it is cut off.
        let bad = matches!(public, Err(KeyError::Ambiguous | KeyError::DamagedPem));
        assert!(bad || matches!(public, Err(KeyError::PrivateOffered(_))));
    }
    if let Ok(key) = &private {
        assert!(recognised.expect("it was read").kind.is_private());
        for form in [PrivateForm::Pkcs8(Protection::None), PrivateForm::Pkcs1] {
            for armor in [Armor::Pem, Armor::Der] {
                let written = key.encode(form, armor).expect("a key that was read is written");
                let again = PrivateKey::from_bytes(&written).expect("a key that was written is read");
                assert_eq!(again.public(), key.public());
            }
        }
    }
    if let Ok(key) = &public {
        for form in [PublicForm::Spki, PublicForm::Pkcs1] {
            for armor in [Armor::Pem, Armor::Der] {
                let written = key.encode(form, armor).expect("a key that was read is written");
                assert_eq!(PublicKey::from_bytes(&written).as_ref(), Ok(key));
            }
        }
        assert_eq!(key.modulus().len(), key.size().bytes());
        let _ = lint::public_key(key);
    }
});
