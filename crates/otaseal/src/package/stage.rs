//! The files of a package until it is whole: written under no name, named all at once, in the place of an earlier package.

use super::{ArtefactKind, PackageError, sbom_name};
use crate::format::digest::{Digests, Hasher};
use crate::output::{Access, OutputError, Overwrite, Pending, is_file_name, same_file, same_place};
use crate::package::evidence::Sbom;
use crate::package::manifest::{self, Artefact, Manifest};
use crate::profile::Profile;
use std::io::Write;
use std::path::Path;
use std::{fs, io};

/// Files that are written and have no name yet.
pub(super) struct Stage<'a> {
    pub(super) out_dir: &'a Path,
    pub(super) firmware: &'a Path,
    pub(super) ledger: Option<&'a Path>,
    /// Of the build as it was read.
    pub(super) source: Digests,
    pub(super) earlier: Earlier,
    pub(super) files: Vec<(String, Pending)>,
}

impl Stage<'_> {
    pub(super) fn artefact(
        &mut self,
        kind: ArtefactKind,
        base: &str,
        parts: [&[u8]; 2],
        accepted_by: Vec<Profile>,
    ) -> Result<Artefact, PackageError> {
        let file = format!("{base}{}", kind.suffix());
        let mut hasher = Hasher::default();
        parts.iter().for_each(|part| hasher.update(part));
        let artefact = Artefact {
            file: file.clone(),
            encoding: kind.encoding(),
            signature: kind.scheme(),
            accepted_by,
            digests: hasher.finish(),
        };
        let path = self.out_dir.join(&file);
        if self.ledger.is_some_and(|ledger| same_place(&path, ledger)) {
            return Err(PackageError::Overlap(path));
        }
        if same_file(&path, self.firmware) {
            // Packaging `x.bin` in its own directory: the plain artefact is the build, byte for byte, unless the
            // flash mode was set.
            let is_build = kind == ArtefactKind::Plain && artefact.digests == self.source;
            return if is_build { Ok(artefact) } else { Err(PackageError::Overlap(path)) };
        }
        let mut pending = Pending::create(&path, Overwrite::Replace, Access::Public)?;
        for part in parts {
            pending.write_all(part).map_err(|source| OutputError::Io { path: path.clone(), source })?;
        }
        self.files.push((file, pending));
        Ok(artefact)
    }

    pub(super) fn sbom(&mut self, file: String, bytes: &[u8]) -> Result<Sbom, OutputError> {
        let path = self.out_dir.join(&file);
        let mut pending = Pending::create(&path, Overwrite::Replace, Access::Public)?;
        pending.write_all(bytes).map_err(|source| OutputError::Io { path, source })?;
        let sbom = Sbom::new(file.clone(), bytes);
        self.files.push((file, pending));
        Ok(sbom)
    }

    /// Gives every file its name; returns the names of stale files that were removed.
    pub(super) fn commit(self, manifest: &Manifest) -> Result<Vec<String>, PackageError> {
        let path = self.out_dir.join(manifest::FILE_NAME);
        let mut pending = Pending::create(&path, Overwrite::Replace, Access::Public)?;
        pending
            .write_all(manifest.to_json()?.as_bytes())
            .map_err(|source| OutputError::Io { path: path.clone(), source })?;
        let stale = self.stale(manifest);
        remove(&path)?;
        for name in &stale {
            remove(&self.out_dir.join(name))?;
        }
        for (_, file) in self.files {
            file.commit()?;
        }
        pending.commit()?;
        Ok(stale)
    }

    /// What the earlier package has and the new one has not.
    fn stale(&self, manifest: &Manifest) -> Vec<String> {
        let sbom = manifest.sbom.as_ref().map(|sbom| &sbom.file);
        let kept = |name: &String| {
            sbom == Some(name) || manifest.artefacts.iter().any(|artefact| artefact.file == *name)
        };
        let is_build = |name: &String| same_file(&self.out_dir.join(name), self.firmware);
        self.earlier.files.iter().filter(|name| !kept(name) && !is_build(name)).cloned().collect()
    }
}

/// The package that is in the directory already.
pub(super) struct Earlier {
    files: Vec<String>,
}

impl Earlier {
    /// Reads the manifest of `out_dir`. Its names come from a file that anybody may have edited: only the very
    /// names that a package of this base name can have are followed, and anything else that looks like an
    /// artefact belongs to another package, which must not lose its manifest.
    pub(super) fn read(out_dir: &Path, base: &str) -> Result<Self, PackageError> {
        let Ok(json) = fs::read(out_dir.join(manifest::FILE_NAME)) else {
            return Ok(Self { files: Vec::new() });
        };
        let ours = |name: &str| {
            name == sbom_name(base)
                || ArtefactKind::of_file(name).is_some_and(|(other_base, _)| other_base == base)
        };
        let artefact = |name: &str| is_file_name(name) && ArtefactKind::of_file(name).is_some();
        let (files, others): (Vec<_>, Vec<_>) =
            manifest::listed_files(&json).into_iter().partition(|name| ours(name));
        match others.into_iter().find(|name| artefact(name)) {
            Some(file) => Err(PackageError::Occupied { out_dir: out_dir.into(), file }),
            None => Ok(Self { files }),
        }
    }
}

fn remove(path: &Path) -> Result<(), OutputError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(OutputError::Io { path: path.into(), source })
        }
        _ => Ok(()),
    }
}
