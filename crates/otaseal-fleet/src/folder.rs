//! A folder of packages and bare images, as the server serves it.
//!
//! ```text
//! DIR/arduino.bin               a bare image: /arduino.bin
//! DIR/manifest.json, …          a package: its files lie at the top
//! DIR/NAME/manifest.json, …     a package
//! DIR/NAME/BOARD/manifest.json  a package for one board
//! DIR/devices.toml              which device gets which firmware
//! ```

use crate::package;
use bytes::Bytes;
use otaseal::key::material;
use otaseal::package::manifest::FILE_NAME;
use otaseal_delivery::pull::catalogue::{Catalogue, Entry, Listed};
use otaseal_delivery::release::{Contents, MAX_FILE, Release, Trust};
use otaseal_fleet::intake;
pub(crate) use otaseal_fleet::objects::Cache;
use otaseal_fleet::objects::VerifiedFile;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The list of devices.
pub(crate) const DEVICES: &str = "devices.toml";

/// Folders below the served one.
const DEPTH: usize = 2;

/// Packages that are served.
const MOST: usize = 20_000;

/// Endings of bare images.
const ENDINGS: &[&str] = &[".bin", ".bin.gz", ".bin.signed", ".bin.gz.signed", ".bin.legacy_sig"];

/// What a folder holds.
pub(crate) struct Found {
    pub(crate) catalogue: Catalogue,
    /// What is not served, and why: a path and a sentence.
    pub(crate) refused: Vec<(String, String)>,
}

/// Reads a folder. Nothing is served that was not verified.
///
/// # Errors
/// The system's, if the folder cannot be read; a sentence, if the list of devices has a fault. Then the server goes on as
/// before: without the list, devices would get another firmware.
pub(crate) fn read(folder: &Path, trust: &Trust, cache: &Arc<Cache>) -> Result<Found, String> {
    let mut reader =
        Reader { folder, trust, cache, entries: Vec::new(), refused: Vec::new(), found: HashSet::new() };
    reader.directory(folder, 0).map_err(|error| format!("{}: {error}", material::shown(folder)))?;
    let list = folder.join(DEVICES);
    let listed = match fs::read_to_string(&list) {
        Ok(text) => Listed::parse(&text).map_err(|error| format!("{}: {error}", material::shown(&list)))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Listed::default(),
        Err(error) => return Err(format!("{}: {error}", material::shown(&list))),
    };
    Ok(Found { catalogue: Catalogue::new(reader.entries, listed), refused: reader.refused })
}

struct Reader<'a> {
    folder: &'a Path,
    trust: &'a Trust,
    cache: &'a Arc<Cache>,
    entries: Vec<Entry>,
    refused: Vec<(String, String)>,
    /// Files of packages at the top, which are no bare images.
    found: HashSet<PathBuf>,
}

impl Reader<'_> {
    fn directory(&mut self, directory: &Path, depth: usize) -> io::Result<()> {
        let mut inside: Vec<(PathBuf, fs::FileType)> = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // Hidden files are those of editors, and of uploads that are not finished.
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                let kind = fs::metadata(entry.path()).map(|metadata| metadata.file_type());
                inside.push((entry.path(), kind.or_else(|_| entry.file_type())?));
            }
        }
        inside.sort_by(|one, other| one.0.cmp(&other.0));
        if inside.iter().any(|(path, _)| path.file_name().is_some_and(|name| name == FILE_NAME)) {
            self.package(directory);
        }
        for (path, kind) in inside {
            if self.entries.len() >= MOST {
                self.refuse(&path, format!("there are more than {MOST} packages"));
                return Ok(());
            }
            if kind.is_dir() && depth < DEPTH {
                if let Err(error) = self.directory(&path, depth + 1) {
                    self.refuse(&path, error.to_string());
                }
            } else if kind.is_file() && depth == 0 && !self.found.contains(&path) {
                self.bare(&path);
            }
        }
        Ok(())
    }

    fn package(&mut self, directory: &Path) {
        let made = package::package(directory)
            .and_then(|package| Release::of_package(&package, self.trust).map_err(|error| error.to_string()));
        match made {
            Ok(release) => {
                let top = directory == self.folder;
                let name = directory.file_name().map(|name| name.to_string_lossy().into_owned());
                self.add(release, directory, name.filter(|_| !top));
            }
            Err(why) => self.refuse(directory, why),
        }
    }

    fn bare(&mut self, path: &Path) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
        if !ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending)) {
            return;
        }
        let bytes = match package::read(path, MAX_FILE) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => return self.refuse(path, error.to_string()),
        };
        let found = intake::bare(name, bytes, self.trust).map_err(|error| error.to_string());
        match found {
            Ok(release) => self.add(release, self.folder, None),
            Err(why) => self.refuse(path, why),
        }
    }

    /// Keeps the digests, and leaves the bytes on the disk.
    fn add(&mut self, mut release: Release, directory: &Path, name: Option<String>) {
        for artefact in &mut release.artefacts {
            let path = directory.join(&artefact.file);
            self.found.insert(path.clone());
            // The payload of a signed bare file has no file of its own.
            if path.is_file() {
                let file = VerifiedFile::new(path, artefact.digests.sha256, Arc::clone(self.cache));
                artefact.contents = Contents::Stored(Arc::new(file));
            }
        }
        self.entries.push(Entry::new(release, name));
    }

    fn refuse(&mut self, path: &Path, why: String) {
        self.refused.push((material::shown(path), why));
    }
}
