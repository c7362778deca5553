//! Reads packages and files that the user names.

use crate::error::Failure;
use otaseal::Package;
use otaseal::format::image::Content;
use otaseal::format::input::Input;
use otaseal::key::PublicKey;
use otaseal::key::material;
use otaseal::package::manifest::{FILE_NAME, MAX_MANIFEST, Manifest};
use otaseal_delivery::release::{MAX_FILE, Release, Trust};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Reads a file as it was found. A pipe or a device is none.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    otaseal::format::input::check_regular(path)?;
    Input::found(path)?.read(limit)
}

/// Reads the package of a directory: its manifest, and the files that it lists.
///
/// # Errors
/// A sentence.
pub(crate) fn package(directory: &Path) -> Result<Package, String> {
    let of =
        |path: &Path, limit| read(path, limit).map_err(|error| format!("{}: {error}", material::shown(path)));
    let json = of(&directory.join(FILE_NAME), MAX_MANIFEST)?;
    let manifest = Manifest::from_json(&json).map_err(|error| format!("{FILE_NAME}: {error}"))?;
    let mut names: Vec<String> = manifest.artefacts.iter().map(|artefact| artefact.file.clone()).collect();
    names.extend(manifest.sbom.iter().map(|sbom| sbom.file.clone()));
    let mut files = BTreeMap::new();
    for name in names {
        let bytes = of(&directory.join(&name), MAX_FILE)?;
        files.insert(name, bytes);
    }
    Package::from_parts(&json, files).map_err(|error| error.to_string())
}

/// Reads the public keys that the user names.
pub(crate) fn keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, Failure> {
    paths
        .iter()
        .map(|path| {
            let read = Input::named(path).and_then(|input| input.read(64 * 1024));
            let bytes = read.map_err(|error| Failure::file(path, &error))?;
            PublicKey::from_bytes(&bytes).map_err(|error| {
                Failure::new(
                    format!("{}: {error}", material::shown(path)),
                    "give the public key with which the firmware is verified: `otaseal pubkey` writes it",
                )
            })
        })
        .collect()
}

/// Reads what the user names: a directory with a package, or one file.
pub(crate) fn release(path: &Path, content: Content, trust: &Trust) -> Result<Release, Failure> {
    let shown = material::shown(path);
    let wrong = |error: String| {
        let help = "name a folder that `otaseal package` made, or a firmware image";
        Failure::refused(format!("{shown}: {error}"), help)
    };
    if path.is_dir() {
        let package = package(path).map_err(wrong)?;
        return Release::of_package(&package, trust).map_err(|error| wrong(error.to_string()));
    }
    let bytes = Input::named(path)
        .and_then(|input| input.read(MAX_FILE))
        .map_err(|error| Failure::file(path, &error))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Release::of_file(&name, bytes.into(), content, trust).map_err(|error| wrong(error.to_string()))
}
