//! Writes a package into a directory: first under temporary names, then all at once, in place of the earlier package.

use super::earlier::{Earlier, New, UNFINISHED};
use super::{Package, PackageError, Unfinished};
use crate::ledger::{self, Appended, Ledger};
use crate::output::{
    Access, Inputs, OutputError, Overwrite, Pending, Run, Steps, Turn, failed, has_bytes, is_kept, remove_old,
};
use crate::package::contents::PackageFile;
use crate::package::manifest;
use crate::policy::PolicyError;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The directory for a package.
#[derive(Debug, Clone)]
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
    /// Whether to replace a file that no manifest in the directory lists. Such a file is not of an earlier package. Also
    /// whether a package without a key may replace a signed one.
    pub overwrite: Overwrite,
    /// Whether this is a dry run.
    pub run: Run,
}

impl<'a> Destination<'a> {
    /// A directory, without inputs and without a ledger.
    pub fn new(out_dir: &'a Path) -> Self {
        Self {
            out_dir,
            build: None,
            ledger: None,
            sbom: None,
            inputs: None,
            overwrite: Overwrite::Refuse,
            run: Run::default(),
        }
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
    /// Writes the package into a directory. Several processes and threads may do this at once: they take turns.
    ///
    /// 1. otaseal checks that the package in the directory is an earlier one of the same base name, and not one of a
    ///    firmware with another name. A package without a key replaces no signed one, unless `overwrite` says so.
    /// 2. It writes the bytes of every file. A package that does not fit on the disk is not entered. Neither is one whose
    ///    file would replace a file that no manifest lists.
    /// 3. It enters the signatures into the ledger. No file has its name before that.
    /// 4. It removes the files that only the earlier package has. A stale `.signed` beside a new `.bin` would be picked
    ///    up by upload scripts.
    /// 5. It puts the new manifest there as `manifest.json.unfinished`.
    /// 6. It removes the old manifest, and then gives every file its name.
    /// 7. It renames `manifest.json.unfinished` to `manifest.json`.
    ///
    /// So if otaseal is killed at any moment:
    /// - A file that `manifest.json` lists is missing, or it has the bytes that the manifest says.
    /// - Every file of an old or a new package is listed in `manifest.json` or in `manifest.json.unfinished`. The next
    ///   run reads both, and removes the files that it does not write. After it, the directory has exactly the files
    ///   that its manifest lists, and those that never belonged to a package.
    ///
    /// # Errors
    /// [`PackageError`]. Only [`PackageError::Unfinished`] has changed files of the directory; it lists them.
    pub fn write(&self, to: &Destination<'_>) -> Result<WrittenPackage, PackageError> {
        Place::open(to.clone(), New::of(self))?.write(self)
    }
}

/// A directory that passed step 1.
pub(super) struct Place<'a> {
    to: Destination<'a>,
    /// The build, the ledger and the bill of materials.
    own: Inputs,
}

impl<'a> Place<'a> {
    pub(super) fn open(to: Destination<'a>, new: New<'_>) -> Result<Self, PackageError> {
        earlier(&to, new)?;
        to.run.make_directory(to.out_dir)?;
        let own = to.build.into_iter().chain(to.sbom).chain(to.ledger.map(Ledger::path));
        Ok(Self { to, own: Inputs::new(own) })
    }

    pub(super) fn write(self, package: &Package) -> Result<WrittenPackage, PackageError> {
        let out_dir = self.to.out_dir;
        // A dry run changes nothing, and its directory may be missing.
        let turn = || if self.to.run.is_dry() { Ok(None) } else { Turn::wait(out_dir).map(Some) };
        let _turn = turn().map_err(|source| match source.kind() {
            ErrorKind::WouldBlock => PackageError::Busy(out_dir.into()),
            _ => failed(out_dir, source).into(),
        })?;
        // Another run may have written a package since step 1.
        let earlier = earlier(&self.to, New::of(package))?;
        let stale = self.stale(&earlier, package)?;
        let mut files = Vec::new();
        for file in package.files() {
            files.extend(self.stage(file, &earlier)?.map(|pending| (file.name(), pending)));
        }
        for name in [manifest::FILE_NAME, UNFINISHED] {
            let path = out_dir.join(name);
            if let Some(input) = self.input_at(&path) {
                return Err(PackageError::Overlap { input: input.into(), path });
            }
        }
        let unfinished =
            self.pending(&out_dir.join(UNFINISHED), [package.manifest_json().as_bytes(), &[]])?;
        let entered = ledger::enter(self.to.ledger, &package.ledger_entries());
        let ledger = entered.map_err(PolicyError::from)?;
        if self.to.run.is_dry() {
            for name in &stale {
                self.to.run.remove(&out_dir.join(name))?;
            }
            let manifest =
                self.pending(&out_dir.join(manifest::FILE_NAME), [package.manifest_json().as_bytes(), &[]]);
            let files = files.into_iter().map(|(_, file)| file).chain([manifest?]);
            files.into_iter().try_for_each(Pending::commit)?;
            return Ok(WrittenPackage { removed: stale, ledger });
        }
        let names = files.iter().map(|(name, _)| *name).chain([manifest::FILE_NAME]);
        let mut changes = Changes { removed: Vec::new(), written: Vec::new(), missing: names.collect() };
        match self.change(&stale, unfinished, files, &mut changes) {
            Ok(()) => Ok(WrittenPackage { removed: stale, ledger }),
            Err(source) => Err(changes.failed(out_dir, source)),
        }
    }

    /// Takes steps 4 to 7 and keeps account of them.
    fn change<'n>(
        &self,
        stale: &'n [String],
        unfinished: Pending,
        files: Vec<(&'n str, Pending)>,
        changes: &mut Changes<'n>,
    ) -> Result<(), OutputError> {
        let steps = Steps::begin();
        let path = |name: &str| self.to.out_dir.join(name);
        for name in stale {
            changes.remove(name, &path(name))?;
        }
        unfinished.commit_in(&steps)?;
        changes.written.push(UNFINISHED);
        changes.remove(manifest::FILE_NAME, &path(manifest::FILE_NAME))?;
        for (name, file) in files {
            file.commit_in(&steps)?;
            changes.wrote(name);
        }
        let last = path(manifest::FILE_NAME);
        fs::rename(path(UNFINISHED), &last).map_err(|source| failed(&last, source))?;
        Ok(())
    }

    /// Writes a file under a temporary name. Returns nothing when the file is an input with these bytes, which stays.
    fn stage(&self, file: &PackageFile, earlier: &Earlier) -> Result<Option<Pending>, PackageError> {
        let path = self.to.out_dir.join(file.name());
        if let Some(input) = self.input_at(&path) {
            // You package `x.bin` in its own directory: the plain artefact is the build, byte for byte, unless you set
            // the flash mode. A bill of materials can be there already too.
            let [bytes, trailer] = file.parts();
            let same = trailer.is_empty() && has_bytes(&path, bytes);
            return if same { Ok(None) } else { Err(PackageError::Overlap { input: input.into(), path }) };
        }
        let listed = earlier.files.iter().any(|name| name == file.name());
        if !listed && self.to.overwrite == Overwrite::Refuse && is_foreign(&path, file) {
            return Err(OutputError::Foreign(path).into());
        }
        Ok(Some(self.pending(&path, file.parts())?))
    }

    fn pending(&self, path: &Path, parts: [&[u8]; 2]) -> Result<Pending, OutputError> {
        let mut pending = Pending::create_entry(&self.to.run, path, Overwrite::Replace, Access::Public)?;
        for part in parts {
            pending.write_all(part).map_err(|source| failed(path, source))?;
        }
        Ok(pending)
    }

    /// Returns the input that a file of this name would replace.
    fn input_at(&self, path: &Path) -> Option<&Path> {
        self.own.replaced_by(path).or_else(|| self.to.inputs?.replaced_by(path))
    }

    /// The files of earlier packages that the new one does not have. Somebody may have put a key or an input in the
    /// place of one: that file stays.
    fn stale(&self, earlier: &Earlier, package: &Package) -> Result<Vec<String>, PackageError> {
        let mut stale = Vec::new();
        for name in &earlier.files {
            let path = self.to.out_dir.join(name);
            if package.files().iter().any(|file| file.name() == name) || self.input_at(&path).is_some() {
                continue;
            }
            match is_kept(&path) {
                Ok(true) => {}
                Ok(false) => stale.push(name.clone()),
                Err(source) => return Err(PackageError::EarlierUnread { path, source }),
            }
        }
        Ok(stale)
    }
}

impl<'a> New<'a> {
    fn of(package: &'a Package) -> Self {
        let manifest = package.manifest();
        Self { base: package.base(), name: manifest.name.as_deref(), is_signed: manifest.key.is_some() }
    }
}

/// Reads the earlier package. A package that nobody signed does not replace a signed one, unless the caller wants that:
/// devices that check signatures would be left without an update.
fn earlier(to: &Destination<'_>, new: New<'_>) -> Result<Earlier, PackageError> {
    let earlier = Earlier::read(to.out_dir, new)?;
    match &earlier.signed {
        Some((file, key)) if !new.is_signed && to.overwrite == Overwrite::Refuse => {
            let (out_dir, file, key) = (to.out_dir.into(), file.clone(), *key);
            Err(PackageError::EarlierSigned { out_dir, file, key })
        }
        _ => Ok(earlier),
    }
}

/// The account of a run: names of files.
struct Changes<'n> {
    removed: Vec<&'n str>,
    written: Vec<&'n str>,
    missing: Vec<&'n str>,
}

impl<'n> Changes<'n> {
    fn remove(&mut self, name: &'n str, path: &Path) -> Result<(), OutputError> {
        if remove_old(path)? {
            self.removed.push(name);
        }
        Ok(())
    }

    fn wrote(&mut self, name: &'n str) {
        self.missing.retain(|missing| *missing != name);
        self.written.push(name);
    }

    fn failed(self, out_dir: &Path, source: OutputError) -> PackageError {
        if self.removed.is_empty() && self.written.is_empty() {
            return source.into();
        }
        let own = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let [removed, written, missing] = [self.removed, self.written, self.missing].map(own);
        let out_dir = out_dir.to_owned();
        PackageError::Unfinished(Box::new(Unfinished { out_dir, source, removed, written, missing }))
    }
}

/// Returns whether a file that no manifest lists has something to lose: bytes that the new file does not have.
fn is_foreign(path: &Path, file: &PackageFile) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    !(found.is_file() && (found.len() == 0 || has_bytes(path, &file.bytes())))
}
