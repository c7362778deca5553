//! Encrypted keys of every kind: no panic, and never more work than the limits allow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::key::encryption::{Kdf, MAX_ITERATIONS, MAX_SCRYPT_MEMORY, MAX_SCRYPT_WORK, describe};
use otaseal::key::passphrase::{Passphrase, SecretError, SecretKind, Secrets};
use otaseal::key::{KeyError, PrivateKey};
use otaseal::project::advice::{Advice, Speaker};

/// Gives the passphrase of the seeds, where that is asked for at all.
struct Asked {
    affordable: bool,
    cheap: bool,
}

impl Secrets for Asked {
    fn secret(&self, kind: SecretKind, _: &str) -> Result<Passphrase, SecretError> {
        assert!(self.affordable, "the passphrase is asked for what is refused");
        match self.cheap {
            true => Ok(Passphrase::new("fuzz")),
            false => Err(SecretError::NoneGiven(kind)),
        }
    }
}

/// Whether the limits allow it, and whether a fuzzer has the time for it.
fn cost(kdf: &Kdf) -> (bool, bool) {
    match *kdf {
        Kdf::Pbkdf2 { iterations, .. } | Kdf::Pbkdf1 { iterations, .. } => {
            (iterations <= MAX_ITERATIONS, iterations <= 100)
        }
        Kdf::Scrypt { n, r, p } => {
            let memory = 128 * u128::from(r) * (u128::from(n) + u128::from(p));
            let work = 128 * u128::from(n) * u128::from(r) * u128::from(p);
            let affordable = memory <= MAX_SCRYPT_MEMORY.into() && work <= MAX_SCRYPT_WORK.into();
            (affordable, memory + work <= 1 << 17)
        }
        _ => (true, true),
    }
}

fuzz_target!(|data: &[u8]| {
    let described = describe(data);
    let (affordable, cheap) = match &described {
        Ok(Some(encryption)) => cost(&encryption.kdf),
        _ => (true, true),
    };
    let opened = PrivateKey::from_bytes_with(data, &"fuzz", &Asked { affordable, cheap });
    match (&described, &opened) {
        (Err(one), Err(other)) => assert_eq!(one, other),
        (Err(_), Ok(_)) => panic!("opened without being understood"),
        (Ok(Some(_)), Ok(_)) => assert!(affordable && cheap),
        (Ok(Some(_)), Err(error)) if !affordable => assert!(matches!(error, KeyError::Encryption(_))),
        (Ok(Some(_)), Err(error)) if !cheap => assert!(matches!(error, KeyError::Encrypted(_))),
        _ => {}
    }
    if let Err(error) = opened {
        assert!(!error.advice(Speaker::Program).is_empty() && !error.to_string().contains("fuzz"));
    }
});
