//! Finds and reads the files of the workspace, for the checks that look at them as text.

use crate::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// Reads the sources below a folder of the workspace, without their tests. Each has its path from there.
///
/// # Errors
///
/// A folder or file that cannot be read.
pub(crate) fn read(root: &Path, folder: &str) -> Result<Vec<(PathBuf, String)>> {
    let root = root.join(folder);
    let is_test = |path: &Path| {
        path.iter().any(|part| {
            ["tests", "testing"].iter().any(|test| Path::new(part).file_stem() == Some(test.as_ref()))
        })
    };
    let mut sources = Vec::new();
    for path in files(&root, Path::new(""), "rs")? {
        if !is_test(&path) {
            let text = fs::read_to_string(root.join(&path))?;
            sources.push((path, text));
        }
    }
    Ok(sources)
}

/// Returns the files below a folder that end so, in order. Their paths begin at `root`, as the folder's does.
///
/// # Errors
///
/// A folder that cannot be read.
pub(crate) fn files(root: &Path, folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns a source without the tests at its end.
pub(crate) fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default()
}
