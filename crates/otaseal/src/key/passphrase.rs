//! Passphrases and PINs: where they come from, and that nothing of them stays behind.
//!
//! The library never asks anybody. Whoever calls it hands in a [`Secrets`], which is asked at most once for each
//! key, and only when the key turns out to need it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
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

/// Why there is no passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Nobody gave one and nobody can be asked.
    #[error("no passphrase was given")]
    NoneGiven,
    /// It was to come from somewhere, and did not.
    #[error("{message}")]
    Source {
        /// What went wrong, without a word of the secret.
        message: String,
        /// What the user can do about it.
        help: String,
    },
    /// A new passphrase that cannot be used.
    #[error("{0}")]
    Refused(&'static str),
}

impl SecretError {
    /// What the user can do about it.
    pub fn help(&self) -> String {
        match self {
            Self::NoneGiven => {
                "give it with --passphrase-file, --passphrase-fd or --passphrase-env, or run this \
                 in a terminal"
                    .into()
            }
            Self::Source { help, .. } => help.clone(),
            Self::Refused(_) => {
                "choose one of a single line that is hard to guess; nothing was written".into()
            }
        }
    }
}

/// Who knows the passphrases. Implemented by closures, and by [`Passphrase`] for a caller that has it already.
pub trait Secrets {
    /// The secret that `what` names, as in `passphrase of keys/private.pem` or `PIN of token release`.
    ///
    /// # Errors
    /// [`SecretError::NoneGiven`] when there is nobody to ask, [`SecretError::Source`] when asking failed.
    fn secret(&self, what: &str) -> Result<Passphrase, SecretError>;
}

impl<F: Fn(&str) -> Result<Passphrase, SecretError>> Secrets for F {
    fn secret(&self, what: &str) -> Result<Passphrase, SecretError> {
        self(what)
    }
}

impl Secrets for Passphrase {
    fn secret(&self, _: &str) -> Result<Passphrase, SecretError> {
        Ok(self.clone())
    }
}

/// Knows none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn secret(&self, _: &str) -> Result<Passphrase, SecretError> {
        Err(SecretError::NoneGiven)
    }
}

/// A place that holds a passphrase. None of them is a command line, which every user of a machine can read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassphraseSource {
    /// A file. One line end at its end is no part of the passphrase.
    File(PathBuf),
    /// An open file descriptor, Unix only; 0 is standard input. One line end at its end is no part of it.
    Descriptor(u32),
    /// An environment variable, as it is.
    Environment(String),
}

impl fmt::Display for PassphraseSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Descriptor(0) => f.write_str("standard input"),
            Self::Descriptor(number) => write!(f, "file descriptor {number}"),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
        }
    }
}

impl PassphraseSource {
    /// Reads the passphrase.
    ///
    /// # Errors
    /// [`SecretError::Source`] when it cannot be read, is not there, or is longer than [`MAX_PASSPHRASE`].
    pub fn read(&self) -> Result<Passphrase, SecretError> {
        let source = |message: String, help: &str| SecretError::Source { message, help: help.into() };
        let bytes = match self {
            Self::Environment(name) => {
                let value = std::env::var_os(name).ok_or_else(|| {
                    let help =
                        "set it, and export it; the option takes the variable's name, not the passphrase";
                    source(format!("{self} is not set"), help)
                })?;
                Zeroizing::new(value.into_encoded_bytes())
            }
            Self::File(path) => read(File::open(path)).map_err(|error| self.unreadable(&error))?,
            Self::Descriptor(0) => read(standard_input()).map_err(|error| self.unreadable(&error))?,
            Self::Descriptor(number) => read(descriptor(*number)).map_err(|error| self.unreadable(&error))?,
        };
        if bytes.len() > MAX_PASSPHRASE + 2 {
            let message = format!("{self} holds more than a passphrase ({MAX_PASSPHRASE} bytes)");
            return Err(source(message, "name the file that holds the passphrase and nothing else"));
        }
        Ok(match self {
            Self::Environment(_) => Passphrase(bytes),
            _ => Passphrase::from_line(bytes),
        })
    }

    fn unreadable(&self, error: &io::Error) -> SecretError {
        let help = match self {
            Self::Descriptor(_) => "open it for this program, as in `--passphrase-fd 3 3< FILE`",
            _ => "check that the file is there and that you may read it",
        };
        SecretError::Source {
            message: format!("the passphrase could not be read from {self}: {error}"),
            help: help.into(),
        }
    }
}

/// What a command line named; without a name nobody knows.
impl Secrets for Option<PassphraseSource> {
    fn secret(&self, _: &str) -> Result<Passphrase, SecretError> {
        self.as_ref().map_or(Err(SecretError::NoneGiven), PassphraseSource::read)
    }
}

/// One buffer that never moves: a vector that grows would leave copies of the passphrase in freed memory.
fn read(from: io::Result<impl Read>) -> io::Result<Zeroizing<Vec<u8>>> {
    let limit = MAX_PASSPHRASE + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 32));
    from?.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Without the buffer of the standard library, which is never wiped.
#[cfg(unix)]
fn standard_input() -> io::Result<File> {
    use std::os::fd::AsFd;
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(not(unix))]
fn standard_input() -> io::Result<io::StdinLock<'static>> {
    Ok(io::stdin().lock())
}

/// What the shell opened. Its name is how a descriptor is reached without `unsafe`.
#[cfg(unix)]
fn descriptor(number: u32) -> io::Result<File> {
    File::open(format!("/dev/fd/{number}"))
}

#[cfg(not(unix))]
fn descriptor(_: u32) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(text: &[u8]) -> Result<Passphrase, SecretError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        fs::write(&path, text).unwrap();
        PassphraseSource::File(path).read()
    }

    #[test]
    fn one_line_end_is_no_part_of_it() {
        for (text, passphrase) in [
            (&b"secret"[..], &b"secret"[..]),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b"secret\n\n", b"secret\n"),
            (b" secret ", b" secret "),
            (b"two\nlines\n", b"two\nlines"),
            (b"\xFF\xFE\n", b"\xFF\xFE"),
            (b"\r", b"\r"),
            (b"", b""),
            (b"\n", b""),
        ] {
            assert_eq!(file(text).unwrap().expose(), passphrase, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_passphrase_is_not_held() {
        assert!(file(&[b'x'; MAX_PASSPHRASE]).is_ok());
        assert!(matches!(file(&[b'x'; 4 * MAX_PASSPHRASE]), Err(SecretError::Source { .. })));
        #[cfg(unix)]
        assert!(PassphraseSource::File("/dev/zero".into()).read().is_err());
        assert!(PassphraseSource::File("/missing".into()).read().is_err());
        assert!(PassphraseSource::Descriptor(987_654).read().is_err());
        assert!(PassphraseSource::Environment("OTASEAL_TEST_NOT_SET".into()).read().is_err());
        assert!(PassphraseSource::Environment("A=B".into()).read().is_err());
    }

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
