//! The package that a directory holds already, whole or left unfinished by a run that was killed.

use super::{ArtefactKind, PackageError, sbom_name};
use crate::format::input::Input;
use crate::package::manifest::{self, Manifest};
use otaseal_device::KeyId;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The name of a manifest whose files do not all have their names yet.
pub(super) const UNFINISHED: &str = "manifest.json.unfinished";

/// The package that will take its place.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    /// Start of all file names.
    pub(super) base: &'a str,
    /// The firmware's name, if it has one.
    pub(super) name: Option<&'a str>,
    /// Whether a key signs it.
    pub(super) is_signed: bool,
}

/// The package that the directory holds.
pub(super) struct Earlier {
    /// Names of its files. They need not exist.
    pub(super) files: Vec<String>,
    /// A signed file and the key that signed it, if there is one.
    pub(super) signed: Option<(String, KeyId)>,
}

impl Earlier {
    /// Reads the manifests of `out_dir`: that of a whole package, and that of a package that was left unfinished. Both
    /// can be there.
    ///
    /// Anybody may have edited them, so otaseal follows only the names that a package of this base name can have. Any
    /// other artefact belongs to another package, which must keep its manifest. So does the package of a firmware with
    /// another name: two projects can have builds of the same file name. A manifest that otaseal cannot read stays too.
    pub(super) fn read(out_dir: &Path, new: New<'_>) -> Result<Self, PackageError> {
        let New { base, name: firmware, .. } = new;
        let ours = |name: &String| {
            *name == sbom_name(base)
                || ArtefactKind::of_file(name).is_some_and(|(other_base, _)| other_base == base)
        };
        let (mut files, mut signed) = (Vec::new(), None);
        for name in [manifest::FILE_NAME, UNFINISHED] {
            let Some(earlier) = read(&out_dir.join(name))? else { continue };
            let by = |file: &str| Some((file.to_owned(), earlier.key.as_ref()?.id));
            signed = signed.or_else(|| earlier.signed_files().find_map(by));
            let listed = earlier.artefacts.into_iter().map(|artefact| artefact.file);
            let listed = listed.chain(earlier.sbom.map(|sbom| sbom.file));
            let (own, others): (Vec<_>, Vec<_>) = listed.partition(ours);
            if let Some(file) = others.into_iter().find(|name| ArtefactKind::of_file(name).is_some()) {
                return Err(PackageError::Occupied { out_dir: out_dir.into(), file });
            }
            if let (Some(earlier), Some(name)) = (earlier.name, firmware)
                && earlier != name
            {
                let (out_dir, name) = (out_dir.into(), name.into());
                return Err(PackageError::OtherFirmware { out_dir, earlier, name });
            }
            files.extend(own.into_iter().filter(|name| !files.contains(name)).collect::<Vec<_>>());
        }
        Ok(Self { files, signed })
    }
}

/// Reads a manifest, if there is one.
fn read(path: &Path) -> Result<Option<Manifest>, PackageError> {
    let mut json = Vec::new();
    let limit = manifest::MAX_MANIFEST as u64 + 1;
    match Input::found(path).and_then(|input| input.into_file().take(limit).read_to_end(&mut json)) {
        Ok(_) => {}
        // A file in place of the directory: making the directory reports it.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(PackageError::EarlierUnread { path: path.into(), source }),
    }
    match Manifest::from_json(&json) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(source) => Err(PackageError::EarlierManifest { path: path.into(), source }),
    }
}
