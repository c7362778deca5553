//! A package in memory: the manifest, and the bytes of every file that it lists.

use crate::ledger::{self, NamedDigest};
use crate::package::manifest::{Artefact, Manifest};
use std::fmt;
use std::sync::Arc;

/// A package in memory. Every file that the manifest lists is there, and no other file.
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

/// One file of a package: a payload, and the trailer where it is signed. Files of one package share their payloads.
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

    /// Its bytes in order, in two pieces; the second one is empty unless the file is signed.
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.payload, &self.trailer]
    }

    /// Its bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts().concat()
    }
}

impl fmt::Debug for PackageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackageFile({}, {} bytes)", self.name, self.payload.len() + self.trailer.len())
    }
}

impl Package {
    /// Puts a package together. The caller made every file and wrote the manifest from their bytes.
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
    /// [`Package::write`] enters them itself. Whoever puts the package anywhere else enters them first: a ledger may
    /// hold a line without a file, never lack the line of a file.
    pub fn ledger_entries(&self) -> Vec<ledger::Entry> {
        let source = &self.manifest.source;
        let entry = |artefact: &Artefact| {
            let digests = artefact.digests;
            Some(ledger::Entry {
                input: NamedDigest::new(&*source.file, source.digests.size_bytes, source.digests.sha256),
                output: NamedDigest::new(&*artefact.file, digests.size_bytes, digests.sha256),
                signature: artefact.signature?,
                key_id: self.manifest.key.id,
            })
        };
        self.manifest.artefacts.iter().filter_map(entry).collect()
    }
}
