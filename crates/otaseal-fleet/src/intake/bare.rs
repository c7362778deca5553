//! Bare images: one file without a manifest.

use super::files::Files;
use super::{IntakeError, Outcome, Said};
use crate::objects::Incoming;
use bytes::Bytes;
use otaseal::format::image::{Content, Kind, identify};
use otaseal_delivery::release::{MAX_FILE, Release, ReleaseError, Trust};

/// Verifies one file that is no package. If it is no firmware, it may be a filesystem image.
///
/// # Errors
/// Those of [`Release::of_file`]. If it is neither, its fault as firmware.
pub fn bare(name: &str, bytes: Bytes, trust: &Trust) -> Result<Release, ReleaseError> {
    match Release::of_file(name, bytes.clone(), Content::Firmware, trust) {
        Err(why) if is_filesystem(&bytes) => {
            Release::of_file(name, bytes, Content::Filesystem, trust).map_err(|_| why)
        }
        found => found,
    }
}

/// Whether these bytes are a filesystem image.
fn is_filesystem(bytes: &[u8]) -> bool {
    matches!(identify(bytes), Kind::LittleFs(_) | Kind::Spiffs(_))
}

/// Takes in a bare image.
pub(super) fn take(
    name: &str,
    incoming: &Incoming,
    files: &Files,
    trust: &Trust,
    said: &Said,
) -> Result<Outcome, IntakeError> {
    if incoming.object().bytes > MAX_FILE as u64 {
        return Err(ReleaseError::TooLarge { file: name.to_owned() }.into());
    }
    let release = bare(name, incoming.read()?.into(), trust)?;
    let about = match said.about(&release)? {
        Ok(about) => about,
        Err(asked) => return Ok(Outcome::Asked(asked)),
    };
    // The file that came is the first, and what it holds follows: see `restore`.
    let mut names = vec![name.to_owned()];
    let mut kept = Files::new(files.depot(), 2 * MAX_FILE as u64);
    for artefact in &release.artefacts {
        let bytes = artefact.contents.load().map_err(IntakeError::Upload)?;
        kept.begin(&artefact.file)?;
        kept.write(&bytes)?;
        if artefact.file != name {
            names.push(artefact.file.clone());
        }
    }
    super::take(release, names, kept, trust, about)
}
