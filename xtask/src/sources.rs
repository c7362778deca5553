//! Reads the sources of the libraries, for the checks that look at them as text.

use crate::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// Reads the sources below a folder of the workspace, without their tests. Each has its path from there.
///
/// # Errors
///
/// A folder or file that cannot be read.
pub(crate) fn read(root: &Path, folder: &str) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    walk(&root.join(folder), Path::new(""), &mut found)?;
    Ok(found)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<(PathBuf, String)>) -> Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let path = folder.join(entry?.file_name());
        let stem = path.file_stem().unwrap_or_default();
        if ["tests", "testing"].iter().any(|test| stem == *test) {
            continue;
        }
        if root.join(&path).is_dir() {
            walk(root, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(root.join(&path))?;
            found.push((path, text));
        }
    }
    Ok(())
}

/// Returns a source without the tests at its end.
pub(crate) fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default()
}
