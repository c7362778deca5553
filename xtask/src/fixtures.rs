//! `cargo xtask fixtures`: makes the images that a device must accept or reject, and the inputs of the program's cases.
//!
//! Everything is made by OpenSSL from the keys in the repository; PKCS#1 v1.5 is deterministic, so the bytes are
//! the same on every machine. The names of the images are data, see [`cases`]: `NAME[--CASE][.KEY][.legacy].bin`.

mod cases;
mod inputs;
mod packages;
pub(crate) mod peer;
mod sources;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use otaseal::key::PrivateKey;
use otaseal::project::emit::{self, RustForm, RustOptions};

use crate::Result;

/// The key files of the demo firmware, emitted as for any firmware.
const FIRMWARE_KEYS: [(&str, &str); 4] = [
    ("ota_key.rs", "keys.example/private.pem"),
    ("next_key.rs", "fixtures/keys/next.pem"),
    ("rsa3072_key.rs", "fixtures/keys/rsa3072.pem"),
    ("rsa4096_key.rs", "fixtures/keys/rsa4096.pem"),
];

/// Writes the fixtures, or with `check` compares them with what is there.
///
/// # Errors
///
/// OpenSSL or gzip that is missing or fails, a file that cannot be written, an input that lacks its property, and with
/// `check` a file that differs, is missing or is one too many.
pub(crate) fn run(root: &Path, check: bool) -> Result<String> {
    let cases = cases::all(root)?;
    let mut expected: BTreeMap<PathBuf, Vec<u8>> =
        cases.into_iter().map(|case| (root.join("fixtures").join(case.name), case.bytes)).collect();
    for (name, pem) in FIRMWARE_KEYS {
        let key = PrivateKey::from_bytes(&fs::read(root.join(pem))?)?;
        let mut options = RustOptions::new(RustForm::Device);
        options.self_test = Some(emit::self_test(&key)?);
        let path = root.join("fixtures/demo-firmware/src").join(name);
        expected.insert(path, emit::rust_source(key.public(), &options).into_bytes());
    }
    let inputs = root.join(inputs::FOLDER);
    expected.extend(inputs::all(root)?.into_iter().map(|(name, bytes)| (inputs.join(name), bytes)));
    let sources: Vec<_> = sources::check(root)?.into_iter().map(|name| inputs.join(name)).collect();
    let unknown: Vec<_> = files(&inputs)?
        .into_iter()
        .filter(|path| !expected.contains_key(path) && !sources.contains(path))
        .collect();
    if !unknown.is_empty() {
        return Err(format!("neither made by inputs.rs nor listed in sources.rs: {unknown:?}").into());
    }
    let mut stale = Vec::new();
    for folder in ["accept", "reject"] {
        for path in files(&root.join("fixtures").join(folder))? {
            if !expected.contains_key(&path) {
                stale.push(format!("{} is not generated", path.display()));
                if !check {
                    fs::remove_file(&path)?;
                }
            }
        }
    }
    for (path, bytes) in &expected {
        if unchanged(path, bytes)? {
            continue;
        }
        stale.push(format!("{} is missing or differs", path.display()));
        if !check {
            fs::create_dir_all(path.parent().ok_or("a file without a folder")?)?;
            fs::write(path, bytes)?;
        }
    }
    match (check, stale.is_empty()) {
        (true, false) => Err(format!("{}\nrun: cargo xtask fixtures", stale.join("\n")).into()),
        _ => Ok(format!("{} fixtures, {} rewritten", expected.len(), stale.len())),
    }
}

/// Returns the files below a folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn unchanged(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    match fs::read(path) {
        Ok(present) => Ok(present == bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
