//! Objects in a folder: `ab/cdef…`, the first two digits of the digest and the others.
//!
//! Files have a temporary name at the top until they are whole, so a crash leaves no half object. Nothing but directories
//! and regular files is opened: a symbolic link or a pipe that somebody put there is an error.

use super::incoming::PREFIX;
use super::{Incoming, Object, ObjectError, Objects};
use otaseal::format::digest::Sha256Digest;
use sha2::{Digest, Sha256};
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Digits of a digest that are the name of a directory.
const SPLIT: usize = 2;

/// Objects in a folder. One process uses it.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Opens a folder, and makes it where it is missing. Removes what a crash left: temporary files. So no other process
    /// may have the folder open.
    ///
    /// # Errors
    /// [`ObjectError::Io`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ObjectError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(ObjectError::io(&root))?;
        for entry in fs::read_dir(&root).map_err(ObjectError::io(&root))? {
            let entry = entry.map_err(ObjectError::io(&root))?;
            let kind = entry.file_type().map_err(ObjectError::io(entry.path()))?;
            if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) && !kind.is_dir() {
                fs::remove_file(entry.path()).map_err(ObjectError::io(entry.path()))?;
            }
        }
        Ok(Self { root })
    }

    /// The directory of an object, and its path.
    fn place(&self, sha256: &Sha256Digest) -> (PathBuf, PathBuf) {
        let name = sha256.to_string();
        let (start, rest) = name.split_at(SPLIT);
        let directory = self.root.join(start);
        let path = directory.join(rest);
        (directory, path)
    }

    /// Opens an object, if it is there.
    fn find(&self, sha256: &Sha256Digest) -> Result<Option<File>, ObjectError> {
        let (directory, path) = self.place(sha256);
        match kind(&directory)? {
            None => return Ok(None),
            Some(kind) if kind.is_dir() => {}
            Some(kind) => return Err(odd(directory, kind)),
        }
        match kind(&path)? {
            None => return Ok(None),
            Some(kind) if kind.is_file() => {}
            Some(kind) => return Err(odd(path, kind)),
        }
        let mut options = OpenOptions::new();
        options.read(true);
        // Somebody may put a link or a pipe there meanwhile.
        #[cfg(unix)]
        {
            use rustix::fs::OFlags;
            use std::os::unix::fs::OpenOptionsExt;
            let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
            options.custom_flags(flags.bits().cast_signed());
        }
        let file = options.open(&path).map_err(ObjectError::io(&path))?;
        let kind = file.metadata().map_err(ObjectError::io(&path))?.file_type();
        if kind.is_file() { Ok(Some(file)) } else { Err(odd(path, kind)) }
    }

    /// Whether the object is there with these bytes. What is damaged is not, and what cannot be read is not.
    fn is_whole(&self, object: &Object) -> Result<bool, ObjectError> {
        let file = match self.find(&object.sha256) {
            Ok(Some(file)) => file,
            Ok(None) | Err(ObjectError::Io { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(digest(file).is_ok_and(|found| found == *object))
    }

    /// Makes the directory of an object.
    fn make_directory(&self, directory: &Path) -> Result<(), ObjectError> {
        match fs::create_dir(directory) {
            Ok(()) => sync(&self.root),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match kind(directory)? {
                Some(kind) if !kind.is_dir() => Err(odd(directory.into(), kind)),
                _ => Ok(()),
            },
            Err(error) => Err(ObjectError::io(directory)(error)),
        }
    }
}

impl Objects for Folder {
    fn begin(&self, limit: u64) -> Result<Incoming, ObjectError> {
        Incoming::new_in(&self.root, limit)
    }

    fn put(&self, incoming: Incoming) -> Result<bool, ObjectError> {
        let object = incoming.object();
        if self.is_whole(&object)? {
            return Ok(false);
        }
        let (directory, path) = self.place(&object.sha256);
        self.make_directory(&directory)?;
        incoming.persist(&path).map_err(ObjectError::io(&path))?;
        sync(&directory)?;
        Ok(true)
    }

    fn open(&self, sha256: &Sha256Digest) -> Result<Box<dyn Read + Send>, ObjectError> {
        let file = self.find(sha256)?.ok_or(ObjectError::Missing(*sha256))?;
        Ok(Box::new(file))
    }

    fn exists(&self, sha256: &Sha256Digest) -> Result<bool, ObjectError> {
        self.find(sha256).map(|file| file.is_some())
    }

    fn list(&self) -> Result<Vec<Object>, ObjectError> {
        let mut objects = Vec::new();
        for (start, directory) in inside(&self.root, FileType::is_dir)? {
            if start.len() != SPLIT {
                continue;
            }
            for (rest, path) in inside(&directory, FileType::is_file)? {
                // Only the name that an object of this digest has: no digit in upper case.
                let Ok(sha256) = format!("{start}{rest}").parse::<Sha256Digest>() else { continue };
                if self.place(&sha256).1 == path {
                    let bytes = fs::symlink_metadata(&path).map_err(ObjectError::io(&path))?.len();
                    objects.push(Object { sha256, bytes });
                }
            }
        }
        Ok(objects)
    }

    fn remove(&self, sha256: &Sha256Digest) -> Result<bool, ObjectError> {
        let (directory, path) = self.place(sha256);
        if self.find(sha256)?.is_none() {
            return Ok(false);
        }
        fs::remove_file(&path).map_err(ObjectError::io(&path))?;
        sync(&directory)?;
        Ok(true)
    }
}

/// What a path is, without following it. `None` if it is not there.
fn kind(path: &Path) -> Result<Option<FileType>, ObjectError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ObjectError::io(path)(error)),
    }
}

fn odd(path: PathBuf, kind: FileType) -> ObjectError {
    let what = match kind {
        kind if kind.is_symlink() => "a symbolic link",
        kind if kind.is_dir() => "a directory",
        kind if kind.is_file() => "a file",
        _ => "a pipe or a device",
    };
    ObjectError::Odd { path, what }
}

/// Entries of a directory of one kind: their names, which are text, and their paths.
fn inside(directory: &Path, is: fn(&FileType) -> bool) -> Result<Vec<(String, PathBuf)>, ObjectError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(ObjectError::io(directory))? {
        let entry = entry.map_err(ObjectError::io(directory))?;
        let kind = entry.file_type().map_err(ObjectError::io(entry.path()))?;
        if let (true, Ok(name)) = (is(&kind), entry.file_name().into_string()) {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// Size and digest of a file.
fn digest(mut file: File) -> io::Result<Object> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Object { sha256: Sha256Digest(sha256.finalize().into()), bytes }),
            length => {
                sha256.update(&buffer[..length]);
                bytes += length as u64;
            }
        }
    }
}

/// Makes new names in a directory durable. Other systems than Unix have no way to ask for it.
fn sync(directory: &Path) -> Result<(), ObjectError> {
    #[cfg(unix)]
    File::open(directory).and_then(|file| file.sync_all()).map_err(ObjectError::io(directory))?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}
