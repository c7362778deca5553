//! Checks a bundle: its signature, and that it holds every file of the index and no other file.

use super::entered::excerpt;
use super::judge::{Keys, judge, read_manifest};
use super::{Bundle, BundleError, BundledFirmware, INDEX, LEDGER, MAX_FILE, SIGNATURE, judge_index, read};
use crate::format::digest::{Sha256Digest, sha256};
use crate::key::PublicKey;
use crate::output::is_file_name;
use crate::package::manifest::{self, MAX_MANIFEST};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Largest index, in bytes: some thousand files.
const MAX_INDEX: usize = 1 << 20;
/// Largest signature, in bytes.
const MAX_SIGNATURE: usize = 1024;

/// Checks the directory of a bundle: `key` signed its index, every file has the digest in the index, there is no other
/// file, and the manifest is true.
///
/// otaseal judges the signatures of the images again if it has the key that made them: from `keys`, or because that key
/// signed the index too.
///
/// # Errors
/// [`BundleError`] names the first file or field that is wrong.
pub fn check(directory: &Path, key: &PublicKey, keys: Keys<'_>) -> Result<Bundle, BundleError> {
    let index = read(&directory.join(INDEX), MAX_INDEX)?;
    let signature = read(&directory.join(SIGNATURE), MAX_SIGNATURE)?;
    judge_index(&index, &signature, key).map_err(BundleError::Signature)?;
    let files = parse(&index)?;
    let changed = |name: &str, list| BundleError::Changed { file: name.into(), list };
    // The sizes come first: whoever changed a file may have made it endless, or too large to read.
    let mut sizes = BTreeMap::new();
    for name in files.keys() {
        match fs::symlink_metadata(directory.join(name)) {
            Ok(found) if found.is_file() && found.len() <= MAX_FILE as u64 => {
                sizes.insert(name.as_str(), found.len());
            }
            // A link could lead to a good file now and to another one later.
            Ok(_) => return Err(changed(name, "the index")),
            Err(_) => return Err(BundleError::Missing { file: name.clone(), list: "the index" }),
        }
    }
    let unread = |source| BundleError::Read { path: directory.into(), source };
    for entry in fs::read_dir(directory).map_err(unread)? {
        let name = entry.map_err(unread)?.file_name().to_string_lossy().into_owned();
        if name != INDEX && name != SIGNATURE && !files.contains_key(&name) {
            return Err(BundleError::Unlisted(name));
        }
    }
    let load = |name: &str, list, limit| {
        let missing = || BundleError::Missing { file: name.into(), list };
        let digest = files.get(name).ok_or_else(missing)?;
        let bytes = read(&directory.join(name), limit)?;
        if sha256(&bytes) == *digest { Ok(bytes) } else { Err(changed(name, "the index")) }
    };
    let json = load(manifest::FILE_NAME, "every release", MAX_MANIFEST)?;
    let path = directory.join(manifest::FILE_NAME);
    let manifest = read_manifest(&path, &json)?;
    let sized = manifest.artefacts.iter().map(|it| (it.file.as_str(), it.digests.size_bytes));
    let sized = sized.chain(manifest.sbom.iter().map(|it| (it.file.as_str(), it.size_bytes)));
    for (name, size) in sized {
        if sizes.get(name).is_some_and(|found| *found != size) {
            return Err(changed(name, "the manifest"));
        }
    }
    for name in files.keys() {
        load(name, "the index", MAX_FILE)?;
    }
    let own = manifest.key.as_ref().is_some_and(|signer| signer.id == key.id());
    let firmware = keys.firmware.or_else(|| own.then_some(key));
    let keys = Keys { firmware, ..keys };
    let judged = judge(&path, manifest, &json, keys, |name| load(name, "the manifest", MAX_FILE))?;
    excerpt(&judged, &load(LEDGER, "every release", MAX_FILE)?)?;
    Ok(Bundle {
        directory: directory.into(),
        key_id: key.id(),
        firmware_key: firmware == Some(key),
        firmware: BundledFirmware::from(&judged),
        files: files.into_keys().collect(),
        entered: None,
    })
}

/// Reads the lines of `sha256sum`: digest, two spaces, name.
fn parse(index: &[u8]) -> Result<BTreeMap<String, Sha256Digest>, BundleError> {
    let wrong = |line, what| BundleError::Index { line, what };
    let text = std::str::from_utf8(index).map_err(|_| wrong(1, "it is not UTF-8"))?;
    let mut files = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let (digest, name) =
            line.split_once("  ").ok_or_else(|| wrong(number, "it is not a digest and a name"))?;
        let digest = digest.parse().map_err(|_| wrong(number, "its digest is not a SHA-256"))?;
        // A signature is no reason to trust a name: it never leads out of the directory.
        if !is_file_name(name) || name == INDEX || name == SIGNATURE {
            return Err(wrong(number, "a release has no file of this name"));
        }
        if files.insert(name.to_owned(), digest).is_some() {
            return Err(wrong(number, "the name stands there twice"));
        }
    }
    Ok(files)
}
