//! Whether a manifest says what is so: everything in it that the files, the keys and the ledger can tell is compared
//! with them. Making a release and checking one ask this alone.
//!
//! What they cannot tell is believed: the time, the tool, what is said of support and security, and of a build that is
//! no plain image (an ELF) its MD5 and its name.

use super::BundleError;
use crate::format::digest::{Digests, Sha256Digest, sha256};
use crate::format::gzip;
use crate::format::homie;
use crate::format::image::{self, esp8266::FlashMode};
use crate::format::layers::{Encoding, MAX_IMAGE};
use crate::format::metadata;
use crate::key::{KeySize, PublicKey};
use crate::output::is_file_name;
use crate::package::evidence::SupportDate;
use crate::package::manifest::{self, Installed, ReleaseError};
use crate::package::{ArtefactKind, sbom_name};
use crate::policy::continuity::{self, Form, Located, search};
use crate::profile::Profile;
use crate::profile::target::Target;
use crate::sign::Scheme;
use crate::sign::verify::judge_bytes;
use otaseal_device::layout::{LENGTH_FIELD_LEN, trailer_len};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Longest text of a manifest that an error repeats, in characters.
const MAX_SHOWN: usize = 200;

/// Keys that a release is judged with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys<'a> {
    /// The key that signed the package. Without it, signatures are not judged, and what devices accept is not either.
    pub firmware: Option<&'a PublicKey>,
    /// A key that the image brings its devices, of which it may hold no more than the bare modulus: that is found by
    /// the key alone.
    pub next: Option<&'a PublicKey>,
}

/// What a manifest says. A field that is there twice makes it none: readers would differ on which of the two counts.
#[derive(Deserialize)]
struct Said {
    name: Option<String>,
    version: Option<String>,
    brand: Option<String>,
    source: SaidSource,
    installed: SaidInstalled,
    key: SaidKey,
    /// An older otaseal did not say it.
    carries: Option<Vec<String>>,
    support_until: Option<SupportDate>,
    sbom: Option<SaidSbom>,
    artefacts: Vec<SaidArtefact>,
}

#[derive(Deserialize)]
pub(super) struct SaidSource {
    pub(super) file: String,
    pub(super) size_bytes: u64,
    md5: String,
    pub(super) sha256: String,
}

#[derive(Deserialize)]
struct SaidInstalled {
    size_bytes: u64,
    md5: String,
    sha256: String,
    flash_mode: Option<FlashMode>,
    #[serde(default)]
    md5_by_flash_mode: BTreeMap<FlashMode, String>,
}

#[derive(Deserialize)]
struct SaidKey {
    id: String,
    bits: u32,
}

#[derive(Deserialize)]
struct SaidSbom {
    file: String,
    size_bytes: u64,
    sha256: String,
}

#[derive(Deserialize)]
struct SaidArtefact {
    file: String,
    encoding: Encoding,
    signature: Option<Scheme>,
    #[serde(default)]
    accepted_by: Vec<String>,
    size_bytes: u64,
    md5: String,
    sha256: String,
}

/// An artefact whose name, digests and signature are what they must be.
struct Artefact {
    said: SaidArtefact,
    kind: ArtefactKind,
    bytes: Vec<u8>,
    payload_len: usize,
}

impl Artefact {
    fn payload(&self) -> &[u8] {
        &self.bytes[..self.payload_len]
    }
}

/// A package whose manifest is right.
pub(super) struct Judged {
    /// What the manifest lists, by name.
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) signed: Vec<Signed>,
    pub(super) key_id: String,
    /// Of the keys in the image, or where there are none of the one that signed.
    pub(super) weakest_bits: u32,
    pub(super) support_until: Option<SupportDate>,
    pub(super) source: SaidSource,
}

/// A signed artefact.
pub(super) struct Signed {
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) scheme: Scheme,
    pub(super) payload_len: usize,
    pub(super) payload_sha256: Sha256Digest,
}

/// Judges a manifest and every file that it lists, which `load` reads by its name.
///
/// # Errors
/// [`BundleError`]: the first thing that is not as the manifest says.
pub(super) fn judge(
    path: &Path,
    json: &[u8],
    keys: Keys<'_>,
    load: &mut dyn FnMut(&str) -> Result<Vec<u8>, BundleError>,
) -> Result<Judged, BundleError> {
    let failed = |source| BundleError::Manifest { path: path.into(), source };
    // The schema and the size.
    manifest::Release::from_json(json).map_err(failed)?;
    let said: Said = serde_json::from_slice(json).map_err(|error| failed(ReleaseError::from(error)))?;
    let key_size = key(&said.key, keys.firmware)?;
    let base = names(&said)?;
    let mut artefacts = Vec::new();
    for (index, item) in said.artefacts.into_iter().enumerate() {
        let bytes = digests(&item, index, load)?;
        // A name of no kind was refused with the others.
        let Some((_, kind)) = ArtefactKind::of_file(&item.file) else { continue };
        let payload_len = signature(&item, index, &bytes, keys.firmware, key_size)?;
        artefacts.push(Artefact { said: item, kind, bytes, payload_len });
    }
    if !artefacts.iter().any(|artefact| artefact.said.signature.is_some()) {
        let package = path.parent().filter(|package| !package.as_os_str().is_empty());
        return Err(BundleError::NothingSigned(package.unwrap_or(Path::new(".")).into()));
    }
    let plain = plain(&artefacts, &said.installed)?;
    let image = format!("{base}{}", ArtefactKind::Plain.suffix());
    let given = Installed::of(&plain);
    installed(&image, &said.installed, &given)?;
    source(&said.source, &plain)?;
    let tokens = homie::extract(&plain).map_err(|error| wrong(&image, "name", error))?;
    same(&image, "name", &said.name, &tokens.name.map(|token| token.value.to_string()))?;
    same(&image, "version", &said.version, &tokens.version.map(|token| token.value.to_string()))?;
    same(&image, "brand", &said.brand, &tokens.brand.map(|token| token.value.to_string()))?;
    let known: Vec<_> = keys.firmware.into_iter().chain(keys.next).collect();
    let found = search(&continuity::flash_of(&plain), &known).keys;
    if let Some(said_keys) = &said.carries {
        carries(&image, said_keys, &found, &said.key.id, keys)?;
    }
    let weakest_bits = found.iter().map(|located| located.bits).min().unwrap_or(key_size.bits());
    if let Some(firmware) = keys.firmware {
        artefacts.iter().enumerate().try_for_each(|(index, artefact)| accepted(artefact, index, firmware))?;
    }
    let signed = artefacts.iter().filter_map(|artefact| {
        Some(Signed {
            file: artefact.said.file.clone(),
            sha256: artefact.said.sha256.clone(),
            scheme: artefact.said.signature?,
            payload_len: artefact.payload_len,
            payload_sha256: sha256(artefact.payload()),
        })
    });
    let signed = signed.collect();
    let mut files: Vec<_> =
        artefacts.into_iter().map(|artefact| (artefact.said.file, artefact.bytes)).collect();
    if let Some(sbom) = said.sbom {
        let bytes = load(&sbom.file)?;
        if sha256(&bytes).to_string() != sbom.sha256 {
            return Err(BundleError::Changed { file: sbom.file, list: "the manifest" });
        }
        same(&sbom.file, "sbom.size_bytes", &sbom.size_bytes, &(bytes.len() as u64))?;
        files.push((sbom.file, bytes));
    }
    Ok(Judged {
        files,
        signed,
        key_id: said.key.id,
        weakest_bits,
        support_until: said.support_until,
        source: said.source,
    })
}

pub(super) fn wrong(file: &str, field: impl fmt::Display, what: impl fmt::Display) -> BundleError {
    BundleError::Wrong { file: file.into(), field: field.to_string(), what: what.to_string() }
}

/// Refuses what is not as it is said.
fn same<T: Serialize + PartialEq>(
    file: &str,
    field: impl fmt::Display,
    said: &T,
    is: &T,
) -> Result<(), BundleError> {
    if said == is {
        return Ok(());
    }
    Err(wrong(file, field, format_args!("the manifest says {}, it is {}", shown(said), shown(is))))
}

/// As it stands in JSON, cut where somebody wrote a book.
pub(super) fn shown(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn key(said: &SaidKey, firmware: Option<&PublicKey>) -> Result<KeySize, BundleError> {
    let size = KeySize::from_bits(said.bits);
    match (firmware, size) {
        (Some(key), _) if said.id != key.id().to_string() => {
            Err(BundleError::OtherKey { found: said.id.clone(), given: key.id().to_string() })
        }
        (Some(key), _) => {
            same(manifest::FILE_NAME, "key.bits", &said.bits, &key.size().bits()).map(|()| key.size())
        }
        (None, Some(size)) => Ok(size),
        (None, None) => {
            let what = format_args!("the manifest says {}, no key has so many", said.bits);
            Err(wrong(manifest::FILE_NAME, "key.bits", what))
        }
    }
}

/// Every name is one that a package of this base name has, there once, and says what is said of the file.
fn names(said: &Said) -> Result<String, BundleError> {
    let mut first: Option<(&str, &str)> = None;
    for (index, item) in said.artefacts.iter().enumerate() {
        let file = &*item.file;
        let field = |name: &str| format!("artefacts[{index}].{name}");
        let kind = ArtefactKind::of_file(file).filter(|_| is_file_name(file));
        let Some((base, kind)) = kind else {
            return Err(wrong(file, field("file"), "no package has a file of such a name"));
        };
        let (other_base, other) = *first.get_or_insert((base, file));
        if base != other_base {
            return Err(wrong(file, field("file"), format_args!("it is of another package than {other}")));
        }
        if said.artefacts[..index].iter().any(|earlier| earlier.file == file) {
            return Err(wrong(file, field("file"), "it is listed twice"));
        }
        let by_name =
            |said: String, is: String| format!("the manifest says {said}, a file of this name has {is}");
        if item.signature != kind.scheme() {
            let what = by_name(shown(&item.signature), shown(&kind.scheme()));
            return Err(wrong(file, field("signature"), what));
        }
        if item.encoding != kind.encoding() {
            let what = by_name(shown(&item.encoding), shown(&kind.encoding()));
            return Err(wrong(file, field("encoding"), what));
        }
    }
    let base = first.map(|(base, _)| base).unwrap_or_default();
    match &said.sbom {
        Some(sbom) if !is_file_name(&sbom.file) || sbom.file != sbom_name(base) => {
            Err(wrong(&sbom.file, "sbom.file", "no bill of materials of this package has such a name"))
        }
        _ => Ok(base.into()),
    }
}

fn digests(
    said: &SaidArtefact,
    index: usize,
    load: &mut dyn FnMut(&str) -> Result<Vec<u8>, BundleError>,
) -> Result<Vec<u8>, BundleError> {
    let bytes = load(&said.file)?;
    let is = Digests::of(&bytes);
    if is.sha256.to_string() != said.sha256 {
        return Err(BundleError::Changed { file: said.file.clone(), list: "the manifest" });
    }
    let field = |name: &str| format!("artefacts[{index}].{name}");
    same(&said.file, field("size_bytes"), &said.size_bytes, &is.size_bytes)?;
    same(&said.file, field("md5"), &said.md5, &is.md5.to_string())?;
    Ok(bytes)
}

/// The length of what is signed, or of all of it where nothing is.
fn signature(
    said: &SaidArtefact,
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
    let tail = &bytes[bytes.len().saturating_sub(LENGTH_FIELD_LEN)..];
    let trailer = image::trailer(tail, bytes.len() as u64).map(|found| found.signature_len);
    match trailer.filter(|length| *length as u32 * 8 == size.bits()) {
        Some(length) => Ok(bytes.len() - trailer_len(length)),
        None => {
            let what = format_args!("it ends in no signature of {} bits", size.bits());
            Err(wrong(&said.file, format_args!("artefacts[{index}].signature"), what))
        }
    }
}

/// The image that every artefact holds: they are one release.
fn plain(artefacts: &[Artefact], said: &SaidInstalled) -> Result<Vec<u8>, BundleError> {
    let inflate = |index: usize, artefact: &Artefact| {
        let field = format!("artefacts[{index}].encoding");
        gzip::gunzip(artefact.payload(), MAX_IMAGE).map_err(|error| wrong(&artefact.said.file, field, error))
    };
    // By kind: the first of those that are there says what the plain image is. A plain payload may have its metadata
    // behind it, and of an image that ends like some, its digest tells.
    let mut by_kind: Vec<_> = artefacts.iter().enumerate().collect();
    by_kind.sort_by_key(|(_, artefact)| artefact.kind);
    let Some(&(index, first)) = by_kind.first() else { return Ok(Vec::new()) };
    let plain = match (first.kind, first.kind.encoding()) {
        (ArtefactKind::Plain, _) => first.payload().to_vec(),
        (_, Encoding::Gzip) => inflate(index, first)?,
        (_, Encoding::Plain) => match first.payload() {
            whole if sha256(whole).to_string() == said.sha256 => whole.to_vec(),
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
        // Signed is what is sent unsigned, byte for byte, and both forms of signature are of the same.
        let twin = match artefact.kind {
            ArtefactKind::GzSigned => Some(ArtefactKind::Gz),
            ArtefactKind::LegacySig => Some(ArtefactKind::Signed),
            _ => None,
        };
        let twin = artefacts.iter().find(|other| Some(other.kind) == twin);
        let twin = twin.filter(|twin| twin.payload() != payload);
        if let Some(other) = twin.or_else(|| (!holds).then_some(first)) {
            let what = format_args!("it holds another image than {}", other.said.file);
            return Err(wrong(&artefact.said.file, format_args!("artefacts[{index}]"), what));
        }
    }
    Ok(plain)
}

fn installed(image: &str, said: &SaidInstalled, is: &Installed) -> Result<(), BundleError> {
    same(image, "installed.size_bytes", &said.size_bytes, &is.size_bytes)?;
    same(image, "installed.sha256", &said.sha256, &is.sha256.to_string())?;
    same(image, "installed.md5", &said.md5, &is.md5.to_string())?;
    same(image, "installed.flash_mode", &said.flash_mode, &is.flash_mode)?;
    let by_mode = is.md5_by_flash_mode.iter().map(|(mode, md5)| (*mode, md5.to_string())).collect();
    same(image, "installed.md5_by_flash_mode", &said.md5_by_flash_mode, &by_mode)
}

/// Of a build that is the plain image itself; of another, the ledger knows the digest.
fn source(said: &SaidSource, plain: &[u8]) -> Result<(), BundleError> {
    let is = Digests::of(plain);
    if said.sha256 != is.sha256.to_string() {
        return Ok(());
    }
    same(&said.file, "source.size_bytes", &said.size_bytes, &is.size_bytes)?;
    same(&said.file, "source.md5", &said.md5, &is.md5.to_string())
}

fn carries(
    image: &str,
    said: &[String],
    found: &[Located],
    key_id: &str,
    keys: Keys<'_>,
) -> Result<(), BundleError> {
    let ids = |keys: &mut dyn Iterator<Item = &Located>| {
        keys.map(|located| located.key_id.clone()).collect::<Vec<_>>()
    };
    if keys.firmware.is_some() {
        return same(image, "carries", &said.to_vec(), &ids(&mut found.iter()));
    }
    // A bare modulus is found by its key alone. Without the key that signed, it may be that one, and where it is there
    // other bare ones are not looked for.
    let is_bare =
        |located: &&Located| matches!(located.form, Form::ModulusBigEndian | Form::ModulusLittleEndian);
    let all = ids(&mut found.iter());
    let certain = ids(&mut found.iter().filter(|located| !is_bare(located)));
    let false_claim = said.iter().any(|id| id != key_id && !all.contains(id));
    match false_claim || certain.iter().any(|id| !said.contains(id)) {
        true => same(image, "carries", &said.to_vec(), &all),
        false => Ok(()),
    }
}

/// What was judged against a small flash may be less than what such devices take, and is never more.
fn accepted(artefact: &Artefact, index: usize, key: &PublicKey) -> Result<(), BundleError> {
    let said = &artefact.said;
    let field = || format!("artefacts[{index}].accepted_by");
    let profiles = said.accepted_by.iter().map(|text| text.parse::<Profile>());
    let profiles = profiles.collect::<Result<_, _>>().map_err(|error| wrong(&said.file, field(), error))?;
    let refused = Target { profiles, ..Target::default() }.judge([&artefact.bytes, &[]], key).refused;
    match refused.first() {
        Some(refusal) => {
            let what =
                format_args!("the manifest says {}, which refuses it: {}", refusal.profile, refusal.verdict);
            Err(wrong(&said.file, field(), what))
        }
        None => Ok(()),
    }
}
