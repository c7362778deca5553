//! Whether a bundle is what was signed: every file, no other file.

use super::entered::excerpt;
use super::judge::{Keys, judge, read_manifest};
use super::{Bundle, BundleError, BundledFirmware, INDEX, LEDGER, SIGNATURE, digest_of, judge_index, read};
use crate::format::digest::{Sha256Digest, sha256};
use crate::key::PublicKey;
use crate::output::is_file_name;
use crate::package::manifest;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Largest index, in bytes: some thousand files.
const MAX_INDEX: u64 = 1 << 20;
/// Largest signature, in bytes.
const MAX_SIGNATURE: u64 = 1024;

/// Checks the directory of a release: the signature of its index by `key`, the digest of every file in it, that there
/// is no other, and that its manifest says what is so, as when it was made.
///
/// The signatures of the images are judged again where the key that made them is at hand: in `keys`, or because it
/// signed the index too.
///
/// # Errors
/// [`BundleError`]: the first thing that is not as it was signed, by name.
pub fn check(directory: &Path, key: &PublicKey, keys: Keys<'_>) -> Result<Bundle, BundleError> {
    let index = bounded(&directory.join(INDEX), MAX_INDEX)?;
    let signature = bounded(&directory.join(SIGNATURE), MAX_SIGNATURE)?;
    judge_index(&index, &signature, key).map_err(BundleError::Signature)?;
    let files = parse(&index)?;
    for (name, digest) in &files {
        let path = directory.join(name);
        let file = || name.clone();
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => {}
            // A link could lead to what is right now, and to something else later.
            Ok(_) => return Err(BundleError::Changed { file: file(), list: "the index" }),
            Err(_) => return Err(BundleError::Missing { file: file(), list: "the index" }),
        }
        if digest_of(&path)? != *digest {
            return Err(BundleError::Changed { file: file(), list: "the index" });
        }
    }
    let unread = |source| BundleError::Read { path: directory.into(), source };
    for entry in fs::read_dir(directory).map_err(unread)? {
        let name = entry.map_err(unread)?.file_name().to_string_lossy().into_owned();
        if name != INDEX && name != SIGNATURE && !files.contains_key(&name) {
            return Err(BundleError::Unlisted(name));
        }
    }
    // What is read again must still be what the index lists.
    let load = |name: &str, list| {
        let missing = || BundleError::Missing { file: name.into(), list };
        let digest = files.get(name).ok_or_else(missing)?;
        let bytes = read(&directory.join(name))?;
        match sha256(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(BundleError::Changed { file: name.into(), list: "the index" }),
        }
    };
    let json = load(manifest::FILE_NAME, "every release")?;
    let path = directory.join(manifest::FILE_NAME);
    let manifest = read_manifest(&path, &json)?;
    let firmware = keys.firmware.or_else(|| (manifest.key.id == key.id()).then_some(key));
    let keys = Keys { firmware, ..keys };
    let judged = judge(&path, manifest, &json, keys, |name| load(name, "the manifest"))?;
    excerpt(&judged, &load(LEDGER, "every release")?)?;
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
            line.split_once("  ").ok_or_else(|| wrong(number, "it is no digest and name"))?;
        let digest = digest.parse().map_err(|_| wrong(number, "its digest is none"))?;
        // Signed or not, a name never leads out of the directory.
        if !is_file_name(name) || name == INDEX || name == SIGNATURE {
            return Err(wrong(number, "its name is none that a release has"));
        }
        if files.insert(name.to_owned(), digest).is_some() {
            return Err(wrong(number, "the name is there twice"));
        }
    }
    Ok(files)
}

fn bounded(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let failed = |source| BundleError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(failed)?;
    match bytes.len() as u64 > limit {
        true => Err(failed(std::io::ErrorKind::FileTooLarge.into())),
        false => Ok(bytes),
    }
}
