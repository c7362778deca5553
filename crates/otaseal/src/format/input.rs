//! Opens the files that otaseal reads. No other module of this library opens one to read it.
//!
//! | the file | what otaseal takes |
//! |---|---|
//! | the user named it ([`Input::named`]), or it is standard input ([`Input::stdin`]) | a regular file, a pipe, a socket or a device |
//! | otaseal found it in a directory ([`Input::found`]) | a regular file |
//!
//! A directory may come from somebody else, who can put a pipe or a device in the place of a file. Opening a pipe waits
//! for its writer, opening some devices does something, and reading a device such as `/dev/zero` never ends. So a file
//! that was found must be regular, and nothing is read beyond the limit of its kind.

mod descriptor;

use super::key_file;
use super::secret::SecretBytes;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

pub(crate) use self::descriptor::{descriptor, stdin};

/// An open file of which nothing was read yet.
#[derive(Debug)]
pub struct Input {
    file: File,
    /// The length of a regular file in bytes.
    length: Option<u64>,
}

impl Input {
    /// Opens a file that the user named. A named pipe waits for its writer, as in `cat`. The names of open descriptors,
    /// such as `/dev/stdin`, `/dev/fd/63` and `/proc/self/fd/63`, work for sockets too.
    ///
    /// # Errors
    /// Any error of the system. [`io::ErrorKind::IsADirectory`] for a directory, on every system.
    pub fn named(path: &Path) -> io::Result<Self> {
        let file = match File::open(path) {
            Err(error) => descriptor::behind(path).unwrap_or(Err(error))?,
            Ok(file) => file,
        };
        let metadata = file.metadata()?;
        match metadata.is_dir() {
            // On Unix a directory opens, and only the first read fails.
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => Ok(Self { file, length: metadata.is_file().then_some(metadata.len()) }),
        }
    }

    /// Opens a file that otaseal found: only a regular one. This never waits.
    ///
    /// # Errors
    /// Any error of the system, and [`io::ErrorKind::InvalidInput`] for a file that is not regular.
    pub fn found(path: &Path) -> io::Result<Self> {
        // Opening a device can do something: a watchdog starts. So look first.
        regular(&std::fs::metadata(path)?)?;
        let mut options = OpenOptions::new();
        options.read(true);
        // Somebody may put a pipe there meanwhile. It opens without waiting, and is seen below.
        #[cfg(unix)]
        {
            use rustix::fs::OFlags;
            use std::os::unix::fs::OpenOptionsExt;
            options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
        }
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        regular(&metadata)?;
        Ok(Self { file, length: Some(metadata.len()) })
    }

    /// Opens standard input. It counts as a stream, even if it is a regular file. The standard library's buffer, which
    /// is never wiped, has no part in this.
    ///
    /// # Errors
    /// Any error of the system.
    pub fn stdin() -> io::Result<Self> {
        Ok(Self { file: stdin()?, length: None })
    }

    /// Returns the length of a regular file in bytes, or `None` for a stream: a pipe, a socket or a device.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns the open file.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Returns the open file, to ask for its owner or to lock it.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Reads everything. `limit` is the largest length that the kind of file can have, in bytes. It reads no more than
    /// that and one byte, and nothing of a regular file that is longer.
    ///
    /// # Errors
    /// Any error of the system, and [`too_large`].
    pub fn read(mut self, limit: usize) -> io::Result<Vec<u8>> {
        /// The first step of a stream, in bytes.
        const STEP: usize = 64 << 10;
        if self.length.is_some_and(|length| length > limit as u64) {
            return Err(too_large(limit as u64));
        }
        let most = limit.saturating_add(1);
        let mut step = self.length.map_or(STEP, |length| length as usize + 1);
        let mut bytes = Vec::new();
        loop {
            // Growing by exact steps keeps the memory below the limit.
            bytes.reserve_exact(step.min(most - bytes.len()));
            let room = bytes.capacity().min(most) - bytes.len();
            if self.file.by_ref().take(room as u64).read_to_end(&mut bytes)? < room {
                return Ok(bytes);
            }
            if bytes.len() > limit {
                return Err(too_large(limit as u64));
            }
            step = bytes.len().max(STEP);
        }
    }

    /// Reads a key file, as [`key_file::read`] does.
    ///
    /// # Errors
    /// Any error of the system.
    pub fn read_key(self) -> io::Result<SecretBytes> {
        key_file::read(self.file)
    }

    /// Copies everything to a file, at most `limit` bytes and one. Returns the number of bytes.
    ///
    /// # Errors
    /// Any error of either side, and [`too_large`].
    pub fn copy(mut self, limit: u64, to: &mut File) -> io::Result<u64> {
        let copied = io::copy(&mut self.file.by_ref().take(limit.saturating_add(1)), to)?;
        if copied > limit { Err(too_large(limit)) } else { Ok(copied) }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

/// Returns the error for an input that is longer than its kind can be. `limit` is in bytes. Its kind is
/// [`io::ErrorKind::FileTooLarge`], and it names the limit.
pub fn too_large(limit: u64) -> io::Error {
    let text = match limit {
        mib if mib >= 1 << 20 => format!("it is larger than {} MiB", mib >> 20),
        kib if kib >= 1 << 10 => format!("it is larger than {} KiB", kib >> 10),
        bytes => format!("it is larger than {bytes} bytes"),
    };
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

/// Refuses a file that is there and not regular. It does not open it, so a caller whose file somebody may exchange
/// uses [`Input::found`].
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] and [`io::ErrorKind::IsADirectory`]. A file that is missing or hidden is none: the
/// error comes when it is opened.
pub fn check_regular(path: &Path) -> io::Result<()> {
    std::fs::metadata(path).map_or(Ok(()), |metadata| regular(&metadata))
}

/// Refuses an open file that is not regular.
pub(crate) fn regular(found: &Metadata) -> io::Result<()> {
    match found.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        kind => {
            let text = format!("it is {}, not a regular file", special(kind));
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

/// Returns what tells a pipe or a socket from every other, or `None` for any other file. Two names can lead to one
/// stream, and it can be read only once. `None` as the path is standard input.
#[cfg(unix)]
pub fn stream(path: Option<&Path>) -> Option<(u64, u64)> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let metadata = match path {
        Some(path) => std::fs::metadata(path).ok()?,
        None => stdin().ok()?.metadata().ok()?,
    };
    let kind = metadata.file_type();
    (kind.is_fifo() || kind.is_socket()).then(|| (metadata.dev(), metadata.ino()))
}

/// Other systems do not tell streams apart.
#[cfg(not(unix))]
pub fn stream(_: Option<&Path>) -> Option<(u64, u64)> {
    None
}

/// Names a file that is neither regular nor a directory.
fn special(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        } else if kind.is_socket() {
            return "a socket";
        } else if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    // The type matters on Unix only.
    let _ = kind;
    "something else"
}

#[cfg(test)]
mod tests;
