//! Reads passphrases and PINs from files, descriptors and environment variables.

use super::{MAX_PASSPHRASE, Passphrase, SecretError, SecretKind, Secrets};
use crate::format::input::{self, Input};
use crate::key::material;
use crate::key::uri::PIN_VARIABLE;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// A place that holds a passphrase. The command line is not one of them: every user of a machine can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassphraseSource {
    /// A file. One line end at its end is no part of the passphrase.
    File(PathBuf),
    /// An open file descriptor, on Unix only; 0 is standard input. One line end at its end is no part of the
    /// passphrase.
    Descriptor(u32),
    /// An environment variable. Its whole value counts.
    Environment(String),
}

/// A place of a secret, named for a message. If otaseal could not read the place, it does not repeat the name: it may
/// be the secret itself, given by mistake, and must not get into a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretPlace {
    /// A file that was read, so that its name is a name.
    File(PathBuf),
    /// A file that could not be read.
    UnnamedFile,
    /// The file that `pin-source` of a PKCS#11 URI names, if it could not be read.
    PinSource,
    /// Standard input.
    Stdin,
    /// A file descriptor.
    Descriptor(u32),
    /// The environment variable that otaseal reads PINs from.
    PinVariable,
    /// Another environment variable.
    UnnamedVariable,
    /// The terminal.
    Terminal,
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::UnnamedFile => f.write_str("its file"),
            Self::PinSource => f.write_str("the file that pin-source names"),
            Self::Stdin => f.write_str("standard input"),
            Self::Descriptor(number) => write!(f, "file descriptor {number}"),
            Self::PinVariable => write!(f, "the environment variable {PIN_VARIABLE}"),
            Self::UnnamedVariable => f.write_str("its environment variable"),
            Self::Terminal => f.write_str("typed"),
        }
    }
}

/// A text that names no [`PassphraseSource`]. Nothing of it is kept: it may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotASource {
    /// It is not a number.
    #[error("expected the number of an open file descriptor")]
    Descriptor,
    /// It cannot be the name of a variable.
    #[error("expected the NAME of an environment variable (letters, digits and _)")]
    Variable,
}

/// Reads the number of a [`PassphraseSource::Descriptor`].
///
/// # Errors
/// [`NotASource::Descriptor`].
pub fn descriptor_number(text: &str) -> Result<u32, NotASource> {
    text.parse().map_err(|_| NotASource::Descriptor)
}

/// Reads the name of a [`PassphraseSource::Environment`].
///
/// # Errors
/// [`NotASource::Variable`].
pub fn variable_name(text: &str) -> Result<String, NotASource> {
    material::is_variable(text).then(|| text.to_owned()).ok_or(NotASource::Variable)
}

impl PassphraseSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// [`SecretError::Unreadable`] and [`SecretError::Unset`] if there is none, [`SecretError::TooLong`] for more than
    /// [`MAX_PASSPHRASE`] bytes, [`SecretError::Empty`].
    pub fn read(&self, kind: SecretKind) -> Result<Passphrase, SecretError> {
        let unreadable = |error: &io::Error| SecretError::Unreadable {
            kind,
            place: self.unread(),
            why: error.to_string(),
        };
        let bytes = match self {
            Self::Environment(name) => {
                let value = material::is_variable(name).then(|| std::env::var_os(name)).flatten();
                let unset = || SecretError::Unset { kind, place: self.unread() };
                Zeroizing::new(value.ok_or_else(unset)?.into_encoded_bytes())
            }
            Self::File(path) => read(Input::named(path)).map_err(|error| unreadable(&error))?,
            Self::Descriptor(0) => read(input::stdin()).map_err(|error| unreadable(&error))?,
            Self::Descriptor(number) => {
                read(input::descriptor(*number)).map_err(|error| match error.raw_os_error() {
                    // EBADF, although the descriptor is open.
                    Some(9) => unreadable(&io::Error::new(error.kind(), "it is not open for reading")),
                    _ => unreadable(&error),
                })?
            }
        };
        // The file could be read, so its name is not the secret.
        let place = || match self {
            Self::File(path) if material::is_name(path.as_os_str()) => SecretPlace::File(path.clone()),
            _ => self.unread(),
        };
        if bytes.len() > MAX_PASSPHRASE + 2 {
            return Err(SecretError::TooLong { kind, place: place() });
        }
        let secret = match self {
            Self::Environment(_) => Passphrase(bytes),
            _ => Passphrase::from_line(bytes),
        };
        secret.not_empty(kind, || Some(place()))
    }

    /// Returns the place without its name.
    fn unread(&self) -> SecretPlace {
        match self {
            Self::File(_) => SecretPlace::UnnamedFile,
            Self::Descriptor(0) => SecretPlace::Stdin,
            Self::Descriptor(number) => SecretPlace::Descriptor(*number),
            Self::Environment(name) if name == PIN_VARIABLE => SecretPlace::PinVariable,
            Self::Environment(_) => SecretPlace::UnnamedVariable,
        }
    }
}

/// Reads the place that the command line names. Without a name, there is nobody to ask.
impl Secrets for Option<PassphraseSource> {
    fn secret(&self, kind: SecretKind, _: &str) -> Result<Passphrase, SecretError> {
        self.as_ref().map_or(Err(SecretError::NoneGiven(kind)), |source| source.read(kind))
    }
}

/// Reads into one buffer that never moves: a vector that grows would leave copies of the passphrase in freed memory.
fn read(from: io::Result<impl Read>) -> io::Result<Zeroizing<Vec<u8>>> {
    let limit = MAX_PASSPHRASE + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 32));
    from?.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::advice::{Advice, Speaker};
    use std::fs;

    fn file(text: &[u8]) -> Result<Passphrase, SecretError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        fs::write(&path, text).unwrap();
        PassphraseSource::File(path).read(SecretKind::Passphrase)
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
        ] {
            assert_eq!(file(text).unwrap().expose(), passphrase, "{text:?}");
        }
        for empty in [&b""[..], b"\n", b"\r\n"] {
            assert!(matches!(file(empty), Err(SecretError::Empty { .. })), "{empty:?}");
        }
    }

    #[test]
    fn what_is_no_passphrase_is_not_held() {
        assert!(file(&[b'x'; MAX_PASSPHRASE]).is_ok());
        assert!(matches!(file(&[b'x'; 4 * MAX_PASSPHRASE]), Err(SecretError::TooLong { .. })));
        let read = |source: PassphraseSource| source.read(SecretKind::Pin);
        #[cfg(unix)]
        assert!(read(PassphraseSource::File("/dev/zero".into())).is_err());
        assert!(read(PassphraseSource::Descriptor(987_654)).is_err());
        assert!(read(PassphraseSource::Descriptor(u32::MAX)).is_err());
        for name in ["geheim", "/geheim/geheim", "A=geheim", "", "geheim\0"] {
            for source in [PassphraseSource::File(name.into()), PassphraseSource::Environment(name.into())] {
                let error = read(source).unwrap_err();
                assert!(!format!("{error} {}", error.advice(Speaker::Program)).contains("geheim"), "{error}");
            }
        }
    }
}
