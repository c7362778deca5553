//! Holds passphrases and PINs, and leaves nothing of them behind.
//!
//! The library never asks a person. Its caller hands in a [`Secrets`]. The library asks it at most once for each key,
//! and only if the key needs a passphrase.

mod source;

pub use self::source::{NotASource, PassphraseSource, SecretPlace, descriptor_number, variable_name};

use std::fmt;
use zeroize::Zeroizing;

/// Longest passphrase in bytes: OpenSSL's programs read no more (`PEM_BUFSIZE`), so nobody could type a longer one
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

    /// Takes the contents of a file or a pipe, without one line end at the end.
    fn from_line(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        Self(bytes)
    }

    /// Returns the bytes. If you copy them, you have to wipe the copy.
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

    /// Checks whether it may protect a key from now on.
    ///
    /// # Errors
    /// [`SecretError::Refused`] for an empty one, which protects nothing, and for one that other programs cannot read:
    /// with a line break, a NUL, or more than [`MAX_PASSPHRASE`] bytes.
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

/// The use of a secret. `Display` is its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// It opens a key file.
    Passphrase,
    /// It will open a key file.
    NewPassphrase,
    /// It opens a token. A token locks after a few wrong PINs.
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

/// Why there is no passphrase or PIN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Nobody gave one, and there is nobody to ask.
    #[error("no {0} was given")]
    NoneGiven(SecretKind),
    /// It is empty. otaseal does not try it: an empty passphrase is no protection, and a token counts the try.
    #[error("the {kind} is empty{}", in_brackets(from.as_ref()))]
    Empty {
        /// Its use.
        kind: SecretKind,
        /// Its place, if that is known.
        from: Option<SecretPlace>,
    },
    /// The place that holds it could not be read.
    #[error("the {kind} could not be read from {place}: {why}")]
    Unreadable {
        /// Its use.
        kind: SecretKind,
        /// The place.
        place: SecretPlace,
        /// The system's words.
        why: String,
    },
    /// The environment variable that holds it does not exist.
    #[error("the {kind} is missing: {place} is not set")]
    Unset {
        /// Its use.
        kind: SecretKind,
        /// The variable.
        place: SecretPlace,
    },
    /// The place holds more than any secret.
    #[error("{place} holds more than a {} ({MAX_PASSPHRASE} bytes)", kind.noun())]
    TooLong {
        /// Its use.
        kind: SecretKind,
        /// The place.
        place: SecretPlace,
    },
    /// The terminal gave none.
    #[error("the terminal gave no {what}: {why}")]
    Terminal {
        /// Its use.
        kind: SecretKind,
        /// The secret that was asked for, as in "passphrase of keys/private.pem".
        what: String,
        /// The system's words.
        why: String,
    },
    /// A new passphrase that cannot be used.
    #[error("{0}")]
    Refused(&'static str),
}

fn in_brackets(from: Option<&SecretPlace>) -> String {
    from.map_or_else(String::new, |place| format!(" ({place})"))
}

/// Knows the passphrases. Closures implement it, and [`Passphrase`] does for a caller that has it already.
pub trait Secrets {
    /// Returns the secret of `what`, as in the passphrase of `keys/private.pem` or the PIN of `token release`.
    ///
    /// # Errors
    /// [`SecretError::NoneGiven`] if there is nobody to ask; the other variants if asking fails.
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

/// Knows no secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn secret(&self, kind: SecretKind, _: &str) -> Result<Passphrase, SecretError> {
        Err(SecretError::NoneGiven(kind))
    }
}

/// Asks for a secret, and refuses an empty one.
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
