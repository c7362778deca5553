//! Reads passphrases and PINs from files, descriptors and environment variables.

use super::{MAX_PASSPHRASE, Passphrase, SecretError, SecretKind, Secrets};
use crate::key::material;
use crate::key::uri::PIN_VARIABLE;
use std::fmt;
use std::fs::File;
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
            Self::File(path) => read(File::open(path)).map_err(|error| unreadable(&error))?,
            Self::Descriptor(0) => read(standard_input()).map_err(|error| unreadable(&error))?,
            Self::Descriptor(number) => {
                read(descriptor(*number)).map_err(|error| match error.raw_os_error() {
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

/// Opens standard input without the buffer of the standard library, which is never wiped.
#[cfg(unix)]
fn standard_input() -> io::Result<File> {
    use std::os::fd::AsFd;
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(not(unix))]
fn standard_input() -> io::Result<io::StdinLock<'static>> {
    Ok(io::stdin().lock())
}

/// Opens a descriptor that the shell opened.
#[cfg(target_os = "linux")]
fn descriptor(number: u32) -> io::Result<File> {
    let number = i32::try_from(number).map_err(|_| not_open())?;
    // A descriptor that this program opened itself closes in its child programs. One that it was given does not.
    let own = || {
        let information = information(number).ok()?;
        let flags = information.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
        Some(flags & rustix::fs::OFlags::CLOEXEC.bits() != 0)
    };
    match own() {
        Some(true) => Err(not_open()),
        _ => copied(number),
    }
}

#[cfg(target_os = "linux")]
fn not_open() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it is not open")
}

#[cfg(target_os = "linux")]
fn information(number: i32) -> io::Result<String> {
    std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"))
}

/// Copies a descriptor: it may be a socket, or a file of which a part was read already. Using a number from outside as
/// a descriptor is `unsafe`; copying it is not.
#[cfg(target_os = "linux")]
fn copied(number: i32) -> io::Result<File> {
    use rustix::io::Errno;
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    use std::os::fd::AsRawFd;
    let Ok(process) = pidfd_open(getpid(), PidfdFlags::empty()) else { return reopened(number) };
    if process.as_raw_fd() == number {
        return Err(not_open());
    }
    match pidfd_getfd(process, number, PidfdGetfdFlags::empty()) {
        Ok(copy) => Ok(File::from(copy)),
        Err(Errno::BADF) => Err(not_open()),
        // Linux before 5.6 cannot copy it, and some containers forbid it.
        Err(_) => reopened(number),
    }
}

/// Opens the file behind a descriptor once more, at the same position. Files without a name, such as sockets, are an
/// error.
#[cfg(target_os = "linux")]
fn reopened(number: i32) -> io::Result<File> {
    use std::io::{Seek, SeekFrom};
    let explained = |error: io::Error| match error.raw_os_error() {
        _ if error.kind() == io::ErrorKind::NotFound => not_open(),
        // ENXIO: only a socket cannot be opened by its name.
        Some(6) => {
            io::Error::new(error.kind(), "it is a socket, and this system lets only pipes and files be read")
        }
        _ => error,
    };
    let information = information(number).map_err(explained)?;
    let mut file = File::open(format!("/proc/self/fd/{number}")).map_err(explained)?;
    let place = information.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok());
    if let Some(place @ 1..) = place
        && file.metadata()?.is_file()
    {
        file.seek(SeekFrom::Start(place))?;
    }
    Ok(file)
}

/// Opens a descriptor that the shell opened. Opening its name copies the descriptor here: see `fd(4)` of the BSDs and
/// macOS.
#[cfg(all(unix, not(target_os = "linux")))]
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

    /// The shell gives a number. If it cannot be copied, otaseal opens its file again.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_descriptor_is_read_from_where_it_is() {
        use std::io::{Seek, SeekFrom, Write};
        use std::os::fd::AsRawFd;
        let text = |file: io::Result<File>| String::from_utf8(super::read(file).unwrap().to_vec()).unwrap();
        for open in [copied, reopened] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"a line\nsecret\n").unwrap();
            file.seek(SeekFrom::Start(7)).unwrap();
            assert_eq!(text(open(file.as_raw_fd())), "secret\n");
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(b"secret").unwrap();
            drop(writer);
            assert_eq!(text(open(reader.as_raw_fd())), "secret");
            assert_eq!(open(987_654).unwrap_err().to_string(), "it is not open");
        }
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(reopened(ours.as_raw_fd()).unwrap_err().to_string().starts_with("it is a socket"));
        theirs.write_all(b"secret").unwrap();
        drop(theirs);
        assert_eq!(text(copied(ours.as_raw_fd())), "secret");
        // A file that this program opened itself is not meant.
        let own = tempfile::tempfile().unwrap();
        assert_eq!(descriptor(own.as_raw_fd() as u32).unwrap_err().to_string(), "it is not open");
    }
}
