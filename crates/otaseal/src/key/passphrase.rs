//! Passphrases and PINs: where they come from, and that nothing of them stays behind.
//!
//! The library never asks anybody. Whoever calls it hands in a [`Secrets`], which is asked at most once for each
//! key, and only when the key turns out to need it.

use super::material;
use super::uri::PIN_VARIABLE;
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

    fn not_empty(self, kind: SecretKind, from: impl FnOnce() -> String) -> Result<Self, SecretError> {
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
    #[error("the {kind} is empty{}", in_brackets(from))]
    Empty {
        /// What it is for.
        kind: SecretKind,
        /// Where it comes from; empty where that is not known.
        from: String,
    },
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

fn in_brackets(from: &str) -> String {
    if from.is_empty() { String::new() } else { format!(" ({from})") }
}

/// Who knows the passphrases. Implemented by closures, and by [`Passphrase`] for a caller that has it already.
pub trait Secrets {
    /// The secret of `what`, as in the passphrase of `keys/private.pem` or the PIN of `token release`.
    ///
    /// # Errors
    /// [`SecretError::NoneGiven`] when there is nobody to ask, [`SecretError::Empty`] and [`SecretError::Source`] when
    /// asking failed.
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
    secrets.secret(kind, what)?.not_empty(kind, String::new)
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

/// The options of a command line that name a [`PassphraseSource`]: what they have before `-file`, `-fd` and `-env`.
pub const OPTIONS: &str = "--passphrase";

/// What an option takes that names a [`PassphraseSource`], where something else was given. Of that nothing is kept: it may
/// be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotASource {
    /// As in "--passphrase-fd takes …".
    pub takes: &'static str,
    /// What to do.
    pub help: &'static str,
}

/// Reads the number of a [`PassphraseSource::Descriptor`].
///
/// # Errors
/// [`NotASource`].
pub fn descriptor_number(text: &str) -> Result<u32, NotASource> {
    text.parse().map_err(|_| NotASource {
        takes: "the number of an open file descriptor, and this is none",
        help: "open it for this program and give its number, as in `--passphrase-fd 3 3< FILE`; never the passphrase \
               itself",
    })
}

/// Reads the name of a [`PassphraseSource::Environment`].
///
/// # Errors
/// [`NotASource`].
pub fn variable_name(text: &str) -> Result<String, NotASource> {
    material::is_variable(text).then(|| text.to_owned()).ok_or(NotASource {
        takes: "the NAME of an environment variable (letters, digits and _), and this is none",
        help: "write the name alone, without $: what is in the variable is read by otaseal, and never stands on the \
               command line, which every user of this machine can read",
    })
}

impl PassphraseSource {
    /// Reads the secret. `options` is what the options begin with that named the source: [`OPTIONS`], or what stands in
    /// its place.
    ///
    /// A source that cannot be read is not called by its name: who gives the secret itself by mistake must not find it in
    /// a log.
    ///
    /// # Errors
    /// [`SecretError::Source`] when it cannot be read, is not there, or is longer than [`MAX_PASSPHRASE`];
    /// [`SecretError::Empty`].
    pub fn read(&self, kind: SecretKind, options: &str) -> Result<Passphrase, SecretError> {
        let refused = |message: String, help: &str| SecretError::Source { message, help: help.into() };
        let unreadable = |error: &io::Error| {
            let help = match self {
                Self::Descriptor(0) => "pipe it into this program, or redirect a file",
                Self::Descriptor(_) => "open it for this program, as in `--passphrase-fd 3 3< FILE`",
                _ => {
                    "check that the file is there and that you may read it; the option takes its name, not what is in it"
                }
            };
            refused(format!("the {kind} could not be read from {}: {error}", self.called(options)), help)
        };
        let bytes = match self {
            Self::Environment(name) => {
                let value = material::is_variable(name).then(|| std::env::var_os(name)).flatten();
                let unset = || {
                    let help =
                        "set it, and export it; the option takes the variable's name, not what is in it";
                    refused(format!("{} is not set", self.called(options)), help)
                };
                Zeroizing::new(value.ok_or_else(unset)?.into_encoded_bytes())
            }
            Self::File(path) => read(File::open(path)).map_err(|error| unreadable(&error))?,
            Self::Descriptor(0) => read(standard_input()).map_err(|error| unreadable(&error))?,
            Self::Descriptor(number) => {
                read(descriptor(*number)).map_err(|error| match error.raw_os_error() {
                    // EBADF of what is open.
                    Some(9) => unreadable(&io::Error::new(error.kind(), "it is not open for reading")),
                    _ => unreadable(&error),
                })?
            }
        };
        // What could be read is a file, and no secret.
        let from = || match self {
            Self::File(path) if material::is_name(path.as_os_str()) => path.display().to_string(),
            _ => self.called(options),
        };
        if bytes.len() > MAX_PASSPHRASE + 2 {
            let what = if kind == SecretKind::Pin { "PIN" } else { "passphrase" };
            let message = format!("{} holds more than a {what} ({MAX_PASSPHRASE} bytes)", from());
            return Err(refused(message, &format!("name what holds the {what} and nothing else")));
        }
        let secret = match self {
            Self::Environment(_) => Passphrase(bytes),
            _ => Passphrase::from_line(bytes),
        };
        secret.not_empty(kind, from)
    }

    /// What messages call it, without its name.
    fn called(&self, options: &str) -> String {
        match self {
            Self::File(_) if options.is_empty() => "the file that pin-source names".into(),
            Self::File(_) => format!("the file that {options}-file names"),
            Self::Descriptor(0) => "standard input".into(),
            Self::Descriptor(number) => format!("file descriptor {number}"),
            Self::Environment(name) if name == PIN_VARIABLE => format!("the environment variable {name}"),
            Self::Environment(_) => format!("the environment variable that {options}-env names"),
        }
    }
}

/// What a command line named; without a name nobody knows.
impl Secrets for Option<PassphraseSource> {
    fn secret(&self, kind: SecretKind, _: &str) -> Result<Passphrase, SecretError> {
        self.as_ref().map_or(Err(SecretError::NoneGiven(kind)), |source| source.read(kind, OPTIONS))
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

/// What the shell opened.
#[cfg(target_os = "linux")]
fn descriptor(number: u32) -> io::Result<File> {
    let number = i32::try_from(number).map_err(|_| not_open())?;
    // What this program opened by itself is closed in those that it starts; what it was given is not.
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

/// A descriptor as it is: a socket, or a file behind what was read of it already. To take a number that came from outside
/// for a descriptor is `unsafe`; a copy of it can be had without.
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
        // Linux before 5.6, and containers that forbid it for what it can do to other processes.
        Err(_) => reopened(number),
    }
}

/// The file behind a descriptor opened once more, at the place where the descriptor is. What cannot be opened again by
/// its name, such as a socket, is an error.
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

/// What the shell opened. To open its name is to copy the descriptor, here; see `fd(4)` of the BSDs and macOS.
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
        PassphraseSource::File(path).read(SecretKind::Passphrase, OPTIONS)
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
        assert!(matches!(file(&[b'x'; 4 * MAX_PASSPHRASE]), Err(SecretError::Source { .. })));
        let read = |source: PassphraseSource| source.read(SecretKind::Pin, OPTIONS);
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

    /// What a shell gives is a number. Where no copy of it can be had, its file is opened again.
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
        // Nobody meant what this program opened by itself.
        let own = tempfile::tempfile().unwrap();
        assert_eq!(descriptor(own.as_raw_fd() as u32).unwrap_err().to_string(), "it is not open");
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
