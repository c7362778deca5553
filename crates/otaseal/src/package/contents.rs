//! A package in memory: the manifest, and the bytes of every file that it lists.

use crate::format::digest::{Digests, sha256};
use crate::ledger::{self, NamedDigest};
use crate::package::manifest::{Artefact, Manifest, ManifestError};
use crate::package::{ArtefactKind, sbom_name};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A package in memory: its manifest, every file that the manifest lists, and no other file.
#[derive(Debug, Clone)]
pub struct Package {
    manifest: Manifest,
    /// The manifest as text.
    json: String,
    /// Start of every file name.
    base: String,
    /// In the order of the manifest, the bill of materials last.
    files: Vec<PackageFile>,
}

/// One file of a package: a payload, then the trailer if the file is signed. Files of one package share payloads.
#[derive(Clone)]
pub struct PackageFile {
    name: String,
    payload: Arc<Vec<u8>>,
    trailer: Vec<u8>,
}

impl PackageFile {
    pub(super) fn new(name: String, payload: Arc<Vec<u8>>, trailer: Vec<u8>) -> Self {
        Self { name, payload, trailer }
    }

    /// Its name, without directories.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes in order, in two pieces and without a copy. The second piece may be empty.
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.payload, &self.trailer]
    }

    /// Its bytes in one piece.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self.trailer.is_empty() {
            true => Cow::Borrowed(&self.payload),
            false => Cow::Owned(self.parts().concat()),
        }
    }
}

impl fmt::Debug for PackageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackageFile({}, {} bytes)", self.name, self.payload.len() + self.trailer.len())
    }
}

impl Package {
    /// Takes a package that somebody sent: its manifest, and its files by name.
    ///
    /// This proves that the files are those that the manifest lists: their names, kinds, sizes and digests. It does not
    /// prove that a key signed them ([`crate::sign::verify`] does), nor that the manifest is true of the image
    /// ([`crate::release::bundle`] does).
    ///
    /// # Errors
    /// [`PartsError`]: the first difference between the manifest and the files.
    pub fn from_parts(json: &[u8], mut files: BTreeMap<String, Vec<u8>>) -> Result<Self, PartsError> {
        let take = |name: &str| files.remove(name).ok_or_else(|| PartsError::Missing { file: name.into() });
        let package = Self::load(Manifest::from_json(json)?, json, take)?;
        if package.files.is_empty() {
            return Err(PartsError::Empty);
        }
        match files.into_keys().next() {
            Some(file) => Err(PartsError::Unlisted { file }),
            None => Ok(package),
        }
    }

    /// Does the same as [`Package::from_parts`]. `load` returns a file by its name. It gets only plain file names, in
    /// the order of the manifest. `json` is the text of the manifest.
    pub(crate) fn load<E: From<PartsError>>(
        manifest: Manifest,
        json: &[u8],
        mut load: impl FnMut(&str) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let base = names(&manifest)?;
        let mut files = Vec::new();
        for (index, artefact) in manifest.artefacts.iter().enumerate() {
            let (file, said) = (&artefact.file, &artefact.digests);
            let bytes = load(file)?;
            let is = Digests::of(&bytes);
            if is.sha256 != said.sha256 {
                return Err(PartsError::Changed { file: file.clone() }.into());
            }
            same(file, format_args!("artefacts[{index}].size_bytes"), &said.size_bytes, &is.size_bytes)?;
            same(file, format_args!("artefacts[{index}].md5"), &said.md5, &is.md5)?;
            files.push(PackageFile::new(file.clone(), Arc::new(bytes), Vec::new()));
        }
        if let Some(sbom) = &manifest.sbom {
            let bytes = load(&sbom.file)?;
            if sha256(&bytes) != sbom.sha256 {
                return Err(PartsError::Changed { file: sbom.file.clone() }.into());
            }
            same(&sbom.file, "sbom.size_bytes", &sbom.size_bytes, &(bytes.len() as u64))?;
            files.push(PackageFile::new(sbom.file.clone(), Arc::new(bytes), Vec::new()));
        }
        let json = String::from_utf8_lossy(json).into_owned();
        Ok(Self { manifest, json, base, files })
    }

    /// Puts a package together. The caller made the manifest from the bytes of these files.
    pub(super) fn made(manifest: Manifest, json: String, base: String, files: Vec<PackageFile>) -> Self {
        Self { manifest, json, base, files }
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest alone.
    pub fn into_manifest(self) -> Manifest {
        self.manifest
    }

    /// The manifest as the text that `manifest.json` holds.
    pub fn manifest_json(&self) -> &str {
        &self.json
    }

    /// Start of every file name.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Every file beside the manifest.
    pub fn files(&self) -> &[PackageFile] {
        &self.files
    }

    /// One entry for the ledger for each signature, in the order of the manifest.
    ///
    /// [`Package::write`] enters them itself. If you store the package elsewhere, enter them first: a ledger may hold a
    /// line without a file, but no file may exist without its line.
    pub fn ledger_entries(&self) -> Vec<ledger::Entry> {
        let source = &self.manifest.source;
        let entry = |artefact: &Artefact| {
            let digests = artefact.digests;
            Some(ledger::Entry {
                input: NamedDigest::new(&*source.file, source.digests.size_bytes, source.digests.sha256),
                output: NamedDigest::new(&*artefact.file, digests.size_bytes, digests.sha256),
                signature: artefact.signature?,
                key_id: self.manifest.key.as_ref()?.id,
            })
        };
        self.manifest.artefacts.iter().filter_map(entry).collect()
    }
}

/// Why files and a manifest are not a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// The manifest cannot be read.
    #[error("the manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// The manifest lists no file.
    #[error("the manifest lists no file")]
    Empty,
    /// The manifest lists a file that is not there.
    #[error("{file} is missing, the manifest lists it")]
    Missing {
        /// The file.
        file: String,
    },
    /// A file that the manifest does not list.
    #[error("{file} is not in the manifest")]
    Unlisted {
        /// The file.
        file: String,
    },
    /// The SHA-256 of a file is not the one that the manifest lists.
    #[error("{file} is not what the manifest says: it was changed")]
    Changed {
        /// The file.
        file: String,
    },
    /// A field of the manifest is not true.
    #[error("{file}: {field}: {what}")]
    Wrong {
        /// The file that shows it.
        file: String,
        /// The field.
        field: String,
        /// The value in the manifest, and the true one.
        what: String,
    },
}

/// Checks the names: each belongs to a package of one base name, stands there once, and agrees with the file's encoding
/// and signature. Returns the base name.
fn names(manifest: &Manifest) -> Result<String, PartsError> {
    let mut first: Option<(&str, &str)> = None;
    for (index, item) in manifest.artefacts.iter().enumerate() {
        let file = &*item.file;
        let field = |name: &str| format!("artefacts[{index}].{name}");
        let Some((base, kind)) = ArtefactKind::of_file(file) else {
            return Err(wrong(file, field("file"), "no package has a file of this name"));
        };
        let (other_base, other) = *first.get_or_insert((base, file));
        if base != other_base {
            return Err(wrong(
                file,
                field("file"),
                format_args!("it belongs to another package than {other}"),
            ));
        }
        if manifest.artefacts[..index].iter().any(|earlier| earlier.file == file) {
            return Err(wrong(file, field("file"), "it is listed twice"));
        }
        let by_name =
            |said: String, is: String| format!("the manifest says {said}, a file of this name has {is}");
        if item.signature != kind.scheme() {
            let what = by_name(shown(&item.signature), shown(&kind.scheme()));
            return Err(wrong(file, field("signature"), what));
        }
        if item.encoding != kind.encoding() {
            let what = by_name(shown(&item.encoding), shown(&kind.encoding()));
            return Err(wrong(file, field("encoding"), what));
        }
        if manifest.key.is_none() {
            for_unchecking(item).map_err(|what| wrong(file, field("accepted_by"), what))?;
        }
    }
    let base = first.map(|(base, _)| base).unwrap_or_default();
    match &manifest.sbom {
        Some(sbom) if sbom.file != sbom_name(base) => {
            Err(wrong(&sbom.file, "sbom.file", "the bill of materials of this package has another name"))
        }
        _ => Ok(base.into()),
    }
}

/// Checks a file of a package that names no key. Only devices that check no signature can take it, and the package names
/// them: without this, an attacker could pass the plain files of a signed package off as a package that needs no key.
fn for_unchecking(item: &Artefact) -> Result<(), String> {
    match item.accepted_by.iter().find(|profile| profile.verifies()) {
        Some(profile) => Err(format!("the manifest names no key, and {profile} checks signatures")),
        None if item.accepted_by.is_empty() => Err("the manifest names no key, and no device".into()),
        None => Ok(()),
    }
}

/// Refuses a field that is not true.
pub(crate) fn same<T: Serialize + PartialEq>(
    file: &str,
    field: impl fmt::Display,
    said: &T,
    is: &T,
) -> Result<(), PartsError> {
    if said == is {
        return Ok(());
    }
    Err(wrong(file, field, format_args!("the manifest says {}, it is {}", shown(said), shown(is))))
}

pub(crate) fn wrong(file: &str, field: impl fmt::Display, what: impl fmt::Display) -> PartsError {
    PartsError::Wrong { file: file.into(), field: field.to_string(), what: what.to_string() }
}

/// A value as it stands in JSON, cut to a length that an error can show.
pub(crate) fn shown(value: &impl Serialize) -> String {
    /// In characters.
    const MAX_SHOWN: usize = 200;
    let text = serde_json::to_string(value).unwrap_or_default();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
