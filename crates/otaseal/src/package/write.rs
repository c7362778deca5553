//! Writes a package into a directory: first under temporary names, then all at once, in place of the earlier package.

use super::{ArtefactKind, Package, PackageError, sbom_name};
use crate::ledger::{self, Appended, Ledger};
use crate::output::{Access, Inputs, OutputError, Overwrite, Pending, has_bytes, is_kept};
use crate::package::contents::PackageFile;
use crate::package::manifest::{self, Manifest};
use crate::policy::PolicyError;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// The directory for a package.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Destination<'a> {
    /// The directory. [`Package::write`] makes it when it is missing.
    pub out_dir: &'a Path,
    /// The build. No file of the package replaces it, except by the same bytes.
    pub build: Option<&'a Path>,
    /// The ledger that gets an entry for each signature. No file of the package replaces it.
    pub ledger: Option<&'a Ledger>,
    /// The bill of materials that the package has a copy of. Only that copy may replace it.
    pub sbom: Option<&'a Path>,
    /// Other files that no file of the package replaces.
    pub inputs: Option<&'a Inputs>,
}

impl<'a> Destination<'a> {
    /// A directory, without inputs and without a ledger.
    pub fn new(out_dir: &'a Path) -> Self {
        Self { out_dir, build: None, ledger: None, sbom: None, inputs: None }
    }
}

/// The result of [`Package::write`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WrittenPackage {
    /// Files of the earlier package that this one does not have. otaseal removed them.
    pub removed: Vec<String>,
    /// The entries in the ledger.
    pub ledger: Option<Appended>,
}

impl Package {
    /// Writes the package into a directory.
    ///
    /// otaseal does this in four steps:
    /// 1. It checks that the package in the directory is an earlier one of the same base name.
    /// 2. It writes every file under a temporary name. A package that does not fit on the disk is not entered.
    /// 3. It enters the signatures into the ledger. No file has its name before that.
    /// 4. It removes the old manifest, then the files that only the earlier package has. It gives every file its name,
    ///    the new manifest last. So a directory with a manifest holds the files that the manifest lists. A stale
    ///    `.signed` beside a new `.bin` would be picked up by upload scripts.
    ///
    /// # Errors
    /// [`PackageError`]. No file has its name then, unless the disk failed in step 4.
    pub fn write(&self, to: &Destination<'_>) -> Result<WrittenPackage, PackageError> {
        Place::open(*to, self.base())?.write(self)
    }
}

/// A directory that passed step 1.
pub(super) struct Place<'a> {
    to: Destination<'a>,
    /// The build, the ledger and the bill of materials.
    own: Inputs,
    earlier: Earlier,
}

impl<'a> Place<'a> {
    pub(super) fn open(to: Destination<'a>, base: &str) -> Result<Self, PackageError> {
        let earlier = Earlier::read(to.out_dir, base)?;
        fs::create_dir_all(to.out_dir)
            .map_err(|source| OutputError::Io { path: to.out_dir.into(), source })?;
        let own = to.build.into_iter().chain(to.sbom).chain(to.ledger.map(Ledger::path));
        Ok(Self { to, own: Inputs::new(own), earlier })
    }

    pub(super) fn write(self, package: &Package) -> Result<WrittenPackage, PackageError> {
        let mut files = Vec::new();
        for file in package.files() {
            files.extend(self.stage(file)?);
        }
        let path = self.to.out_dir.join(manifest::FILE_NAME);
        if let Some(input) = self.input_at(&path) {
            return Err(PackageError::Overlap { input: input.into(), path });
        }
        let last = pending(&path, [package.manifest_json().as_bytes(), &[]])?;
        let entered = ledger::enter(self.to.ledger, &package.ledger_entries());
        let ledger = entered.map_err(PolicyError::from)?;
        let removed = self.stale(package);
        remove(&path)?;
        for name in &removed {
            remove(&self.to.out_dir.join(name))?;
        }
        for file in files {
            file.commit()?;
        }
        last.commit()?;
        Ok(WrittenPackage { removed, ledger })
    }

    /// Writes a file under a temporary name. Returns nothing when the file is an input with these bytes, which stays.
    fn stage(&self, file: &PackageFile) -> Result<Option<Pending>, PackageError> {
        let path = self.to.out_dir.join(file.name());
        if let Some(input) = self.input_at(&path) {
            // You package `x.bin` in its own directory: the plain artefact is the build, byte for byte, unless you set
            // the flash mode. A bill of materials can be there already too.
            let [bytes, trailer] = file.parts();
            let same = trailer.is_empty() && has_bytes(&path, bytes);
            return if same { Ok(None) } else { Err(PackageError::Overlap { input: input.into(), path }) };
        }
        Ok(Some(pending(&path, file.parts())?))
    }

    /// Returns the input that a file of this name would replace.
    fn input_at(&self, path: &Path) -> Option<&Path> {
        self.own.replaced_by(path).or_else(|| self.to.inputs?.replaced_by(path))
    }

    /// The files that the earlier package has and the new one does not. Somebody may have put a key or an input in the
    /// place of one: that file stays.
    fn stale(&self, package: &Package) -> Vec<String> {
        let kept = |name: &String| package.files().iter().any(|file| file.name() == name);
        let stays = |name: &String| {
            let path = self.to.out_dir.join(name);
            self.input_at(&path).is_some() || is_kept(&path)
        };
        self.earlier.files.iter().filter(|name| !kept(name) && !stays(name)).cloned().collect()
    }
}

/// The package that the directory holds.
struct Earlier {
    files: Vec<String>,
}

impl Earlier {
    /// Reads the manifest of `out_dir`. Anybody may have edited it, so otaseal follows only the names that a package of
    /// this base name can have. Any other artefact belongs to another package, which must keep its manifest. A manifest
    /// that otaseal cannot read stays too.
    fn read(out_dir: &Path, base: &str) -> Result<Self, PackageError> {
        let path = out_dir.join(manifest::FILE_NAME);
        let mut json = Vec::new();
        let limit = manifest::MAX_MANIFEST as u64 + 1;
        match File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut json)) {
            Ok(_) => {}
            // A file in place of the directory: making the directory reports it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Self { files: Vec::new() });
            }
            Err(source) => return Err(PackageError::EarlierUnread { path, source }),
        }
        let earlier = match Manifest::from_json(&json) {
            Ok(manifest) => manifest,
            Err(source) => return Err(PackageError::EarlierManifest { path, source }),
        };
        let ours = |name: &String| {
            *name == sbom_name(base)
                || ArtefactKind::of_file(name).is_some_and(|(other_base, _)| other_base == base)
        };
        let listed = earlier.artefacts.into_iter().map(|artefact| artefact.file);
        let listed = listed.chain(earlier.sbom.map(|sbom| sbom.file));
        let (files, others): (Vec<_>, Vec<_>) = listed.partition(ours);
        match others.into_iter().find(|name| ArtefactKind::of_file(name).is_some()) {
            Some(file) => Err(PackageError::Occupied { out_dir: out_dir.into(), file }),
            None => Ok(Self { files }),
        }
    }
}

fn pending(path: &Path, parts: [&[u8]; 2]) -> Result<Pending, OutputError> {
    let mut pending = Pending::create(path, Overwrite::Replace, Access::Public)?;
    for part in parts {
        pending.write_all(part).map_err(|source| OutputError::Io { path: path.into(), source })?;
    }
    Ok(pending)
}

fn remove(path: &Path) -> Result<(), OutputError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(OutputError::Io { path: path.into(), source })
        }
        _ => Ok(()),
    }
}
