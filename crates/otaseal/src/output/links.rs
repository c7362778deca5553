//! Follows symbolic links of outputs, as a shell does for `>`: the link stays, and the file that it names is written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Most links that lead to one file. Linux follows as many.
const MOST: usize = 40;

/// Returns the file that an output of this name is written to. That file need not exist, so a link may dangle. The
/// system resolves the links among the directories.
///
/// # Errors
/// The system's error if links form a circle. On Linux also if a link in a directory like `/tmp` belongs to another
/// user, who could send the output to any place (`fs.protected_symlinks`).
pub(super) fn follow(output: &Path) -> io::Result<PathBuf> {
    // The system checks the links. Below they are only read.
    if let Err(error) = fs::metadata(output)
        && !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    {
        return Err(error);
    }
    let mut path = output.to_owned();
    for _ in 0..MOST {
        // A file that is no link has no target, nor has a file that does not exist.
        let Ok(target) = fs::read_link(&path) else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(io::Error::other("too many symbolic links"))
}
