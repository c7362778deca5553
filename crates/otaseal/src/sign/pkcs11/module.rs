//! Finds the module: the library that reaches the tokens.

use super::Pkcs11Error;
use crate::key::uri::{MODULE_VARIABLE, Pkcs11Uri};
use std::path::{Path, PathBuf};

/// Directories for modules. A `*` stands for the directory of an architecture (Debian's multiarch).
const DIRECTORIES: &[&str] = &[
    "/usr/lib/*",
    "/usr/lib/*/pkcs11",
    "/usr/lib/*/softhsm",
    "/usr/lib64",
    "/usr/lib64/pkcs11",
    "/usr/lib",
    "/usr/lib/pkcs11",
    "/usr/lib/softhsm",
    "/usr/local/lib",
    "/usr/local/lib/pkcs11",
    "/usr/local/lib/softhsm",
    "/opt/homebrew/lib",
    "/opt/homebrew/lib/pkcs11",
    "/opt/homebrew/lib/softhsm",
];

/// Returns the module of a key. The URI's comes first, then the caller's, then the environment's. The last is p11-kit's
/// proxy, which stands for every module that is registered on the system.
pub(super) fn find(uri: &Pkcs11Uri, named: Option<&Path>) -> Result<PathBuf, Pkcs11Error> {
    if let Some(path) = &uri.module_path {
        return Ok(path.clone());
    }
    if let Some(name) = &uri.module_name {
        return by_name(name).ok_or_else(|| Pkcs11Error::UnknownModule(name.clone()));
    }
    if let Some(path) = named {
        return Ok(path.into());
    }
    if let Some(path) = std::env::var_os(MODULE_VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    by_name("p11-kit-proxy").ok_or(Pkcs11Error::NoModule)
}

/// Finds a module by its name, without `lib` and without ending (RFC 7512 2.3).
fn by_name(name: &str) -> Option<PathBuf> {
    let directories = DIRECTORIES.iter().flat_map(|directory| match directory.split_once('*') {
        None => vec![PathBuf::from(directory)],
        Some((parent, below)) => architectures(Path::new(parent), below.trim_start_matches('/')),
    });
    let endings = ["so", "dylib"];
    directories
        .flat_map(|directory| {
            endings
                .map(|ending| [format!("{name}.{ending}"), format!("lib{name}.{ending}")])
                .concat()
                .into_iter()
                .map(move |file| directory.join(file))
        })
        .find(|path| path.is_file())
}

/// Lists directories such as `x86_64-linux-gnu`.
fn architectures(parent: &Path, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let names = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().contains("-linux-"));
    let mut found: Vec<_> = names.map(|entry| entry.path().join(below)).collect();
    found.sort();
    found
}
