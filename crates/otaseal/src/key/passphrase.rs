//! Passphrases and PINs: where they come from, and that nothing of them stays behind.
//!
//! The library never asks anybody. Whoever calls it hands in a [`Secrets`], which is asked at most once for each
//! key, and only when the key turns out to need it.

mod source;

pub use self::source::{NotASource, PassphraseSource, SecretPlace, descriptor_number, variable_name};

use std::fmt;
use zeroize::Zeroizing;

/// Longest passphrase in bytes: what OpenSSL's programs read (`PEM_BUFSIZE`). A longer one could not be typed
/// there.
pub const MAX_PASSPHRASE: usize = 1024;

/// A passphrase or a PIN. It is wiped when it is dropped, and `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

impl Passphrase {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Takes what a file or a pipe held: one line end at its end is no part of it.
    fn from_line(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        Self(bytes)
    }

    /// The bytes. What is copied from here is the caller's to wipe.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    fn not_empty(
        self,
        kind: SecretKind,
        from: impl FnOnce() -> Option<SecretPlace>,
    ) -> Result<Self, SecretError> {
        match self.0.is_empty() {
            true => Err(SecretError::Empty { kind, from: from() }),
            false => Ok(self),
        }
    }

    /// Whether it may protect a key from now on.
    ///
    /// # Errors
    /// [`SecretError::Refused`] for one that protects nothing because it is empty, and for one that could not be
    /// given to other programs: a line break, a NUL, more than [`MAX_PASSPHRASE`] bytes.
    pub fn check_new(&self) -> Result<(), SecretError> {
        let refused = |why| Err(SecretError::Refused(why));
        if self.0.is_empty() {
            return refused("the new passphrase is empty");
        }
        if self.0.len() > MAX_PASSPHRASE {
            return refused("the new passphrase is longer than 1024 bytes");
        }
        if self.0.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
            return refused("the new passphrase has a line break or a NUL in it");
        }
        Ok(())
    }
}

/// What a secret is for. `Display` is what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// It opens a key file.
    Passphrase,
    /// It will open one.
    NewPassphrase,
    /// It opens a token, which locks after a few wrong ones.
    Pin,
}

impl SecretKind {
    /// Returns its name, whether it is new or not.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Passphrase | Self::NewPassphrase => "passphrase",
            Self::Pin => "PIN",
        }
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase => "passphrase",
            Self::NewPassphrase => "new passphrase",
            Self::Pin => "PIN",
        })
    }
}

/// Why there is no passphrase, or no PIN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Nobody gave one and nobody can be asked.
    #[error("no {0} was given")]
    NoneGiven(SecretKind),
    /// It has no character. It is not tried: a key's would be no protection, and a token counts the try.
    #[error("the {kind} is empty{}", in_brackets(from.as_ref()))]
    Empty {
        /// What it is for.
        kind: SecretKind,
        /// The place that it comes from, if that is known.
        from: Option<SecretPlace>,
    },
    /// The place that holds it could not be read.
    #[error("the {kind} could not be read from {place}: {why}")]
    Unreadable {
        /// What it is for.
        kind: SecretKind,
        /// The place.
        place: SecretPlace,
        /// What the system said.
        why: String,
    },
    /// The environment variable that holds it does not exist.
    #[error("the {kind} is missing: {place} is not set")]
    Unset {
        /// What it is for.
        kind: SecretKind,
        /// The variable.
        place: SecretPlace,
    },
    /// The place holds more than any secret.
    #[error("{place} holds more than a {} ({MAX_PASSPHRASE} bytes)", kind.noun())]
    TooLong {
        /// What it is for.
        kind: SecretKind,
        /// The place.
        place: SecretPlace,
    },
    /// The terminal gave none.
    #[error("the terminal gave no {what}: {why}")]
    Terminal {
        /// What it is for.
        kind: SecretKind,
        /// The secret that was asked for, as in "passphrase of keys/private.pem".
        what: String,
        /// What the system said.
        why: String,
    },
    /// A new passphrase that cannot be used.
    #[error("{0}")]
    Refused(&'static str),
}

fn in_brackets(from: Option<&SecretPlace>) -> String {
    from.map_or_else(String::new, |place| format!(" ({place})"))
}

/// Who knows the passphrases. Implemented by closures, and by [`Passphrase`] for a caller that has it already.
pub trait Secrets {
    /// The secret of `what`, as in the passphrase of `keys/private.pem` or the PIN of `token release`.
    ///
    /// # Errors
    /// [`SecretError::NoneGiven`] when there is nobody to ask; the other variants when asking failed.
    fn secret(&self, kind: SecretKind, what: &str) -> Result<Passphrase, SecretError>;
}

impl<F: Fn(SecretKind, &str) -> Result<Passphrase, SecretError>> Secrets for F {
    fn secret(&self, kind: SecretKind, what: &str) -> Result<Passphrase, SecretError> {
        self(kind, what)
    }
}

impl Secrets for Passphrase {
    fn secret(&self, _: SecretKind, _: &str) -> Result<Passphrase, SecretError> {
        Ok(self.clone())
    }
}

/// Knows none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn secret(&self, kind: SecretKind, _: &str) -> Result<Passphrase, SecretError> {
        Err(SecretError::NoneGiven(kind))
    }
}

/// The secret, which is never empty, whoever was asked.
pub(crate) fn ask(secrets: &dyn Secrets, kind: SecretKind, what: &str) -> Result<Passphrase, SecretError> {
    secrets.secret(kind, what)?.not_empty(kind, || None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_one_must_be_one_that_others_can_be_given() {
        for good in [&b"x"[..], b"correct horse", &[b'x'; MAX_PASSPHRASE], "Füße".as_bytes()] {
            assert_eq!(Passphrase::new(good).check_new(), Ok(()));
        }
        for bad in [&b""[..], b"a\nb", b"a\r", b"a\0b", &[b'x'; MAX_PASSPHRASE + 1]] {
            assert!(matches!(Passphrase::new(bad).check_new(), Err(SecretError::Refused(_))), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert!(!format!("{:?}", Passphrase::new("secret")).contains("secret"));
    }
}
