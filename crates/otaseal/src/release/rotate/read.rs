//! Reads the keys in a release and its signer: from the image, or from the manifest if there is no image.

use super::{Carries, Proof, ShownRelease, SignedBy};
use crate::format::gzip::GunzipError;
use crate::format::homie;
use crate::format::input::Input;
use crate::format::key_file;
use crate::format::layers::{self, MAX_IMAGE};
use crate::key::PublicKey;
use crate::package::manifest::{Manifest, ManifestError};
use crate::policy::continuity::{self, search};
use crate::sign::Scheme;
use crate::sign::verify::judge_bytes;
use std::io;
use std::path::{Path, PathBuf};

/// Why otaseal cannot read a release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is larger than any flash ([`MAX_IMAGE`]).
    #[error("{} is larger than any firmware", .0.display())]
    TooLarge(PathBuf),
    /// A damaged gzip.
    #[error("{}: {source}", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: GunzipError,
    },
    /// A key in place of an image.
    #[error("{}: this is a key, not an image", .0.display())]
    Key(PathBuf),
    /// JSON, but not a manifest.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: ManifestError,
    },
}

/// Reads a release that the caller has opened, or could not open: an image, signed or not, compressed or not, or a
/// `manifest.json`. Messages call it `path`. If a signed image stands beside a manifest in a file, otaseal reads that
/// image instead.
///
/// # Errors
/// [`ReadError`].
pub fn read(
    path: &Path,
    input: io::Result<Input>,
    old: &PublicKey,
    new: &PublicKey,
) -> Result<ShownRelease, ReadError> {
    let is_file = input.as_ref().is_ok_and(|input| input.length().is_some());
    let bytes = load(path, input)?;
    if bytes.first() != Some(&b'{') {
        return image(path, path, &bytes, old, new);
    }
    let manifest =
        Manifest::from_json(&bytes).map_err(|source| ReadError::Manifest { path: path.into(), source })?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut listed = manifest.signed_files().map(|file| directory.join(file));
    if let Some(beside) = listed.find(|file| is_file && file.is_file()) {
        return image(path, &beside, &load(&beside, Input::found(&beside))?, old, new);
    }
    let carries = manifest.carries.as_ref().map(|ids| Carries::of(ids.iter().copied(), old, new));
    let signer = manifest.key.as_ref().filter(|_| manifest.signed_files().next().is_some());
    let signed_by = match signer.map(|key| key.id) {
        None => SignedBy::Nobody,
        Some(id) if id == old.id() => SignedBy::Old,
        Some(id) if id == new.id() => SignedBy::New,
        Some(_) => SignedBy::Other,
    };
    let firmware = named(manifest.name.as_deref(), manifest.version.as_deref());
    Ok(ShownRelease {
        file: path.display().to_string(),
        firmware,
        carries,
        signed_by,
        proof: Proof::Manifest,
    })
}

fn load(path: &Path, input: io::Result<Input>) -> Result<Vec<u8>, ReadError> {
    input.and_then(|input| input.read(MAX_IMAGE)).map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge => ReadError::TooLarge(path.into()),
        _ => ReadError::Read { path: path.into(), source },
    })
}

fn image(
    named_as: &Path,
    path: &Path,
    bytes: &[u8],
    old: &PublicKey,
    new: &PublicKey,
) -> Result<ShownRelease, ReadError> {
    // A file with a public key would count as firmware that carries it, and a damaged one as firmware without keys.
    if key_file::recognise(bytes).is_some() || bytes.starts_with(b"-----BEGIN ") {
        return Err(ReadError::Key(path.into()));
    }
    let layers = layers::unpack(bytes).map_err(|source| ReadError::Gzip { path: path.into(), source })?;
    let found = search(&continuity::flash_of(&layers.plain), &[old, new]);
    let carries = Carries::of(found.keys.iter().map(|located| located.key_id), old, new);
    let accepts = |key: &PublicKey| {
        [Scheme::Pkcs1v15Sha256, Scheme::Legacy].iter().any(|scheme| judge_bytes(bytes, key, *scheme).is_ok())
    };
    let signed_by = match layers.signature_len {
        None => SignedBy::Nobody,
        Some(_) if accepts(old) => SignedBy::Old,
        Some(_) if accepts(new) => SignedBy::New,
        Some(_) => SignedBy::Other,
    };
    let tokens = homie::extract(&layers.plain).ok();
    let firmware = tokens.and_then(|tokens| {
        let name = tokens.name.map(|token| token.value.to_string());
        named(name.as_deref(), tokens.version.map(|token| token.value.to_string()).as_deref())
    });
    let file = named_as.display().to_string();
    Ok(ShownRelease { file, firmware, carries: Some(carries), signed_by, proof: Proof::Image })
}

fn named(name: Option<&str>, version: Option<&str>) -> Option<String> {
    let parts: Vec<_> = [name, version].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}
