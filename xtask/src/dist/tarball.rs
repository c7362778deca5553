//! Writes the tarball: the same files give the same bytes on every machine.

use super::build::{Build, PLATFORMIO, PROGRAMS};
use super::{NAME, VERSION};
use crate::Result;
use flate2::{Compression, GzBuilder};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

/// Files of the workspace that are in the tarball.
const PLAIN: [&str; 3] = ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// Makes the tarball of the programs, their manual pages and their completions. Returns its name.
pub(super) fn make(root: &Path, build: &Build<'_>, out: &Path, epoch: u64) -> Result<String> {
    let top = format!("{NAME}-{VERSION}-{}", build.host());
    let programs = PROGRAMS.iter().map(|program| build.program(program)).collect::<Vec<_>>();
    let mut files = Vec::new();
    for program in &programs {
        files.push((name_of(program)?, program.clone()));
    }
    files.extend(PLAIN.map(|name| (name.to_owned(), root.join(name))));
    files.push(("README.md".to_owned(), root.join("crates/otaseal-cli/README.md")));
    files.push(("platformio/otaseal_sign.py".to_owned(), root.join(PLATFORMIO)));
    for (folder, directory) in [("completions", build.completions()), ("man/man1", build.man())] {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            files.push((format!("{folder}/{}", name_of(&path)?), path));
        }
    }
    files.sort();
    let name = format!("{top}.tar.gz");
    write(File::create(out.join(&name))?, &top, &files, epoch, |path| {
        programs.iter().any(|one| one == path)
    })?;
    Ok(name)
}

/// Writes files with their names below `top`. The archive holds no user, no path and no time but `epoch`.
fn write(
    file: impl Write,
    top: &str,
    files: &[(String, PathBuf)],
    epoch: u64,
    runs: impl Fn(&Path) -> bool,
) -> Result<()> {
    // Without a time and the name of a system in its header.
    let gzip = GzBuilder::new().operating_system(255).write(file, Compression::best());
    let mut archive = tar::Builder::new(gzip);
    for (name, path) in files {
        let bytes = fs::read(path)?;
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len().try_into()?);
        header.set_mtime(epoch);
        header.set_mode(if runs(path) { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, format!("{top}/{name}"), bytes.as_slice())?;
    }
    archive.into_inner()?.finish()?.flush()?;
    Ok(())
}

fn name_of(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.ok_or_else(|| format!("{} has no name", path.display()))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn an_archive_knows_neither_the_place_nor_the_time_of_its_files() {
        let made = |modified: u64| {
            let directory = tempfile::tempdir().unwrap();
            let (program, text) = (directory.path().join("p"), directory.path().join("t"));
            for path in [&program, &text] {
                fs::write(path, "same").unwrap();
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(modified);
                File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
            }
            let files = [("otaseal".to_owned(), program.clone()), ("man/t.1".to_owned(), text)];
            let mut bytes = Vec::new();
            write(&mut bytes, "top", &files, 1_700_000_000, |path| path == program).unwrap();
            bytes
        };
        let bytes = made(1_000_000_000);
        assert_eq!(bytes, made(1_100_000_000));
        let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                let (path, header) = (entry.path().unwrap().display().to_string(), entry.header());
                assert_eq!(
                    (header.mtime().unwrap(), header.uid().unwrap(), text.as_str()),
                    (1_700_000_000, 0, "same")
                );
                (path, header.mode().unwrap())
            })
            .collect();
        assert_eq!(entries, [("top/otaseal".to_owned(), 0o755), ("top/man/t.1".to_owned(), 0o644)]);
    }
}
