//! Recognises a file that otaseal made before, which the next output may replace.
//!
//! A file does not say who made it. So each command says how it knows one of its own earlier outputs: a signed image
//! has a signature of the key that signs now, source code begins with otaseal's own line. Any other file belongs to somebody
//! else, and stays. An empty file holds nothing to lose: `mktemp` makes one.

use crate::format::input::Input;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

type Recognise = dyn Fn(&mut File) -> io::Result<bool> + Send + Sync;

/// How a command recognises its earlier output.
#[derive(Clone)]
pub struct Made(Arc<Recognise>);

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Made")
    }
}

impl Made {
    /// Makes one of a function that gets the open file, at its start.
    pub fn when(recognise: impl Fn(&mut File) -> io::Result<bool> + Send + Sync + 'static) -> Self {
        Self(Arc::new(recognise))
    }

    /// Makes one of a function that gets the bytes of the file, if it has at most `limit` of them. A longer file is
    /// not recognised.
    pub fn when_bytes(limit: usize, recognise: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self::when(move |file| {
            if file.metadata()?.len() > limit as u64 {
                return Ok(false);
            }
            let mut bytes = Vec::new();
            file.take(limit as u64).read_to_end(&mut bytes)?;
            Ok(recognise(&bytes))
        })
    }

    /// Recognises a text by its beginning: the new text's, up to the first time that it names otaseal. Source code,
    /// completions and manual pages name it in their first lines. A text without the name recognises nothing.
    pub fn begins_as(text: &[u8]) -> Self {
        const NAME: &[u8] = b"otaseal";
        /// More than any of these texts has, in bytes.
        const LONGEST: usize = 1 << 20;
        let end = memchr::memmem::find(text, NAME).map(|at| at + NAME.len());
        let head = end.map(|end| text[..end].to_vec());
        Self::when_bytes(LONGEST, move |found| head.as_ref().is_some_and(|head| found.starts_with(head)))
    }

    /// Recognises what either of the two recognises.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::when(move |file| {
            let first = (self.0)(file)?;
            file.rewind()?;
            Ok(first || (other.0)(file)?)
        })
    }

    /// Returns whether it recognises a file.
    ///
    /// # Errors
    /// The system's error if the file cannot be read.
    pub(super) fn recognises(&self, path: &Path) -> io::Result<bool> {
        let mut file = Input::found(path)?.into_file();
        Ok(file.metadata()?.len() == 0 || (self.0)(&mut file)?)
    }
}

/// Tells one state of a file from another: another file of the same name, or other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: (u64, u64),
}

impl Stamp {
    pub(super) fn of(found: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: found.len(),
            modified: found.modified().ok(),
            #[cfg(unix)]
            inode: (found.dev(), found.ino()),
        }
    }
}
