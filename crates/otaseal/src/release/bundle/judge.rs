//! Judges whether a manifest is true: compares each of its fields with the files, the keys and the ledger. Both making
//! and checking a bundle call this.
//!
//! Some fields have no witness, and otaseal believes them: the time, the tool, support and security. Of a build that is
//! not a plain image (an ELF file), it believes the MD5 and the name.

use super::BundleError;
use crate::format::digest::{Digests, Sha256Digest, sha256};
use crate::format::gzip;
use crate::format::homie;
use crate::format::image::{self, Content};
use crate::format::layers::{Encoding, MAX_IMAGE};
use crate::format::metadata;
use crate::key::{KeySize, PublicKey};
use crate::package::firmware::Source;
use crate::package::manifest::{self, Artefact, Installed, Manifest, ManifestError};
use crate::package::{ArtefactKind, Package, PartsError, same, wrong};
use crate::policy::continuity::{self, Form, Located, search};
use crate::profile::devices::Devices;
use crate::sign::Scheme;
use crate::sign::verify::judge_bytes;
use otaseal_device::KeyId;
use otaseal_device::layout::trailer_len;
use std::path::{Path, PathBuf};

/// The keys that a bundle is judged with.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Keys<'a> {
    /// The key that signed the package. Without it, otaseal judges neither the signatures nor the verdicts of devices.
    pub firmware: Option<&'a PublicKey>,
    /// A key that the image brings to its devices. The image may hold only its modulus, and only this key finds it.
    pub next: Option<&'a PublicKey>,
}

/// An artefact whose name, digests and signature are right.
struct Judging<'p> {
    said: &'p Artefact,
    kind: ArtefactKind,
    bytes: &'p [u8],
    payload_len: usize,
}

impl Judging<'_> {
    fn payload(&self) -> &[u8] {
        &self.bytes[..self.payload_len]
    }
}

impl<'a> Keys<'a> {
    /// `None` for a key that is not at hand.
    pub fn new(firmware: Option<&'a PublicKey>, next: Option<&'a PublicKey>) -> Self {
        Self { firmware, next }
    }
}

/// A package whose manifest is true.
pub(super) struct Judged {
    pub(super) package: Package,
    /// The key that signed it.
    pub(super) key: manifest::Key,
    pub(super) signed: Vec<JudgedImage>,
    /// Size of the smallest key in the image. An image without keys: of the key that signed.
    pub(super) weakest: KeySize,
}

/// A signed artefact.
pub(super) struct JudgedImage {
    pub(super) file: String,
    pub(super) sha256: Sha256Digest,
    pub(super) scheme: Scheme,
    pub(super) payload_len: usize,
    pub(super) payload_sha256: Sha256Digest,
}

/// Reads the manifest of a bundle. A name that is not a file name is a false field: no package has such a file.
pub(super) fn read_manifest(path: &Path, json: &[u8]) -> Result<Manifest, BundleError> {
    Manifest::from_json(json).map_err(|error| match error {
        ManifestError::Name { field, name } => {
            wrong(&name, field, "no package has a file of this name").into()
        }
        source => BundleError::Manifest { path: path.into(), source },
    })
}

/// Judges a manifest and every file that it lists. `load` reads a file by its name.
///
/// # Errors
/// [`BundleError`]: the first field that is not true.
pub(super) fn judge(
    path: &Path,
    manifest: Manifest,
    json: &[u8],
    keys: Keys<'_>,
    load: impl FnMut(&str) -> Result<Vec<u8>, BundleError>,
) -> Result<Judged, BundleError> {
    let signer = signer(&manifest, path, keys.firmware)?;
    let package = Package::load(manifest, json, load)?;
    let said = package.manifest();
    let mut artefacts = Vec::new();
    for (index, (item, file)) in said.artefacts.iter().zip(package.files()).enumerate() {
        // Names of no kind were refused before. A loaded file is in one piece.
        let (Some((_, kind)), [bytes, _]) = (ArtefactKind::of_file(&item.file), file.parts()) else {
            continue;
        };
        let payload_len = signature(item, index, bytes, keys.firmware, signer.size)?;
        artefacts.push(Judging { said: item, kind, bytes, payload_len });
    }
    if said.signed_files().next().is_none() {
        return Err(BundleError::NothingSigned(directory_of(path)));
    }
    let plain = plain(&artefacts, &said.installed)?;
    let image = format!("{}{}", package.base(), ArtefactKind::Plain.suffix());
    installed(&image, &said.installed, said.content, &plain)?;
    source(&said.source, &plain)?;
    let tokens = homie::extract(&plain).map_err(|error| wrong(&image, "name", error))?;
    same(&image, "name", &said.name, &tokens.name.map(|token| token.value.to_string()))?;
    same(&image, "version", &said.version, &tokens.version.map(|token| token.value.to_string()))?;
    same(&image, "brand", &said.brand, &tokens.brand.map(|token| token.value.to_string()))?;
    let known: Vec<_> = keys.firmware.into_iter().chain(keys.next).collect();
    let found = search(&continuity::flash_of(&plain), &known).keys;
    if let Some(said_keys) = &said.carries {
        carries(&image, said_keys, &found, signer.id, keys)?;
    }
    let weakest = found.iter().map(|located| located.size).min().unwrap_or(signer.size);
    if let Some(firmware) = keys.firmware {
        let mut artefacts = artefacts.iter().enumerate();
        artefacts.try_for_each(|(index, artefact)| accepted(artefact, index, said.content, firmware))?;
    }
    let signed = artefacts.iter().filter_map(|artefact| {
        Some(JudgedImage {
            file: artefact.said.file.clone(),
            sha256: artefact.said.digests.sha256,
            scheme: artefact.said.signature?,
            payload_len: artefact.payload_len,
            payload_sha256: sha256(artefact.payload()),
        })
    });
    let signed = signed.collect();
    Ok(Judged { signed, weakest, package, key: signer })
}

fn directory_of(manifest: &Path) -> PathBuf {
    let directory = manifest.parent().filter(|directory| !directory.as_os_str().is_empty());
    directory.unwrap_or(Path::new(".")).into()
}

/// Returns the key that the manifest names. A bundle is the evidence of signatures, so a package without any has none:
/// otherwise an attacker could remove the signed files and the key from a package that devices know as signed.
fn signer(
    manifest: &Manifest,
    path: &Path,
    firmware: Option<&PublicKey>,
) -> Result<manifest::Key, BundleError> {
    let said = manifest.key.clone().ok_or_else(|| BundleError::Unsigned(directory_of(path)))?;
    match firmware {
        Some(key) if said.id != key.id() => {
            return Err(BundleError::OtherKey { found: said.id, given: key.id() });
        }
        Some(key) => same(manifest::FILE_NAME, "key.bits", &said.size, &key.size())?,
        None => {}
    }
    Ok(said)
}

/// The length of the payload.
fn signature(
    said: &Artefact,
    index: usize,
    bytes: &[u8],
    key: Option<&PublicKey>,
    size: KeySize,
) -> Result<usize, BundleError> {
    let Some(scheme) = said.signature else { return Ok(bytes.len()) };
    if let Some(key) = key {
        let accepted = judge_bytes(bytes, key, scheme);
        let rejected = |reject| BundleError::Rejected { file: said.file.clone(), reject };
        return accepted.map(|accepted| accepted.payload_len).map_err(rejected);
    }
    let trailer = image::trailer_of(bytes).map(|found| found.signature_len);
    match trailer.filter(|length| *length as u32 * 8 == size.bits()) {
        Some(length) => Ok(bytes.len() - trailer_len(length)),
        None => {
            let what = format_args!("it does not end in a signature of {} bits", size.bits());
            Err(wrong(&said.file, format_args!("artefacts[{index}].signature"), what).into())
        }
    }
}

/// The plain image, which every artefact must hold.
fn plain(artefacts: &[Judging<'_>], said: &Installed) -> Result<Vec<u8>, BundleError> {
    let inflate = |index: usize, artefact: &Judging<'_>| {
        let field = format!("artefacts[{index}].encoding");
        gzip::gunzip(artefact.payload(), MAX_IMAGE).map_err(|error| wrong(&artefact.said.file, field, error))
    };
    // The first artefact by kind tells the plain image. Metadata may stand behind a plain payload. The digest tells an
    // image that only looks as if it had some.
    let mut by_kind: Vec<_> = artefacts.iter().enumerate().collect();
    by_kind.sort_by_key(|(_, artefact)| artefact.kind);
    let Some(&(index, first)) = by_kind.first() else { return Ok(Vec::new()) };
    let plain = match (first.kind, first.kind.encoding()) {
        (ArtefactKind::Plain, _) => first.payload().to_vec(),
        (_, Encoding::Gzip) => inflate(index, first)?,
        (_, Encoding::Plain) => match first.payload() {
            whole if is_whole(whole, said) => whole.to_vec(),
            labelled => metadata::without_tail(labelled).to_vec(),
        },
    };
    for &(index, artefact) in &by_kind {
        let payload = artefact.payload();
        let holds = match artefact.kind.encoding() {
            Encoding::Gzip => inflate(index, artefact)? == plain,
            Encoding::Plain => {
                let labelled = artefact.kind != ArtefactKind::Plain;
                payload == plain || (labelled && metadata::without_tail(payload) == plain)
            }
        };
        // A signed artefact holds the unsigned one byte for byte, and both forms of signature cover the same payload.
        let twin = match artefact.kind {
            ArtefactKind::GzSigned => Some(ArtefactKind::Gz),
            ArtefactKind::LegacySig => Some(ArtefactKind::Signed),
            _ => None,
        };
        let twin = artefacts.iter().find(|other| Some(other.kind) == twin);
        let twin = twin.filter(|twin| twin.payload() != payload);
        if let Some(other) = twin.or_else(|| (!holds).then_some(first)) {
            let what = format_args!("it holds another image than {}", other.said.file);
            return Err(wrong(&artefact.said.file, format_args!("artefacts[{index}]"), what).into());
        }
    }
    Ok(plain)
}

/// Whether this is the plain image that the manifest describes, and no label stands behind it.
fn is_whole(bytes: &[u8], said: &Installed) -> bool {
    let counted = usize::try_from(said.bytes_behind).ok().and_then(|behind| bytes.len().checked_sub(behind));
    counted.is_some_and(|counted| sha256(&bytes[..counted]) == said.sha256)
}

fn installed(image: &str, said: &Installed, content: Content, plain: &[u8]) -> Result<(), PartsError> {
    let mut is = Installed::sent_as(plain, content);
    // A manifest of an older otaseal counts what is behind the image.
    if said.bytes_behind == 0 && is.bytes_behind > 0 && said.size_bytes == plain.len() as u64 {
        is = is.of_whole_file(plain);
    }
    same(image, "installed.size_bytes", &said.size_bytes, &is.size_bytes)?;
    same(image, "installed.sha256", &said.sha256, &is.sha256)?;
    same(image, "installed.bytes_behind", &said.bytes_behind, &is.bytes_behind)?;
    same(image, "installed.md5", &said.md5, &is.md5)?;
    same(image, "installed.flash_mode", &said.flash_mode, &is.flash_mode)?;
    same(image, "installed.md5_by_flash_mode", &said.md5_by_flash_mode, &is.md5_by_flash_mode)
}

/// Compares a build that is the plain image itself. The ledger knows the digest of any other build.
fn source(said: &Source, plain: &[u8]) -> Result<(), PartsError> {
    let (said, file, is) = (&said.digests, &said.file, Digests::of(plain));
    if said.sha256 != is.sha256 {
        return Ok(());
    }
    same(file, "source.size_bytes", &said.size_bytes, &is.size_bytes)?;
    same(file, "source.md5", &said.md5, &is.md5)
}

fn carries(
    image: &str,
    said: &[KeyId],
    found: &[Located],
    key_id: KeyId,
    keys: Keys<'_>,
) -> Result<(), PartsError> {
    let ids =
        |keys: &mut dyn Iterator<Item = &Located>| keys.map(|located| located.key_id).collect::<Vec<_>>();
    let texts = |ids: &[KeyId]| ids.iter().map(KeyId::to_string).collect::<Vec<_>>();
    let same = |is: &[KeyId]| same(image, "carries", &texts(said), &texts(is));
    if keys.firmware.is_some() {
        return same(&ids(&mut found.iter()));
    }
    // Only its own key finds a bare modulus. Without the key that signed, the search may miss that one. A search that
    // finds it looks for no other bare modulus.
    let is_bare =
        |located: &&Located| matches!(located.form, Form::ModulusBigEndian | Form::ModulusLittleEndian);
    let all = ids(&mut found.iter());
    let certain = ids(&mut found.iter().filter(|located| !is_bare(located)));
    let false_claim = said.iter().any(|id| *id != key_id && !all.contains(id));
    match false_claim || certain.iter().any(|id| !said.contains(id)) {
        true => same(&all),
        false => Ok(()),
    }
}

/// Refuses a device that does not accept the artefact. The list may lack devices that do: the maker may have judged
/// against a small flash.
fn accepted(
    artefact: &Judging<'_>,
    index: usize,
    content: Content,
    key: &PublicKey,
) -> Result<(), PartsError> {
    let said = artefact.said;
    let mut devices = Devices { profiles: said.accepted_by.clone(), ..Devices::default() };
    let mut refused = devices.judge([artefact.bytes, &[]], content, Some(key)).refused;
    if content == Content::Filesystem && !refused.is_empty() {
        // The manifest does not say how the core was built.
        devices.profiles = refused.iter().map(|refusal| refusal.profile).collect();
        devices.atomic_fs_update = true;
        refused = devices.judge([artefact.bytes, &[]], content, Some(key)).refused;
    }
    match refused.first() {
        Some(refusal) => {
            let what =
                format_args!("the manifest says {}, which refuses it: {}", refusal.profile, refusal.verdict);
            Err(wrong(&said.file, format_args!("artefacts[{index}].accepted_by"), what))
        }
        None => Ok(()),
    }
}
