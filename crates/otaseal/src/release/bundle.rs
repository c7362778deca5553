//! The evidence of a release: everything that explains it, in one directory that is signed as a whole.
//!
//! | file | what |
//! |---|---|
//! | `manifest.json` and what it lists | the package, with its bill of materials where it has one |
//! | `SHA256SUMS` | digests of the artefacts, for `sha256sum -c` |
//! | `ledger.jsonl` | the lines of the ledger that these signatures are entered in, as they stand there |
//! | `verify.txt` | the verdict on every signed artefact |
//! | `index.sha256` | digests of all of these, for `sha256sum -c` |
//! | `index.sha256.sig` | RSASSA-PKCS1-v1_5 with SHA-256 of the index: `openssl dgst -sha256 -verify` |
//!
//! The index is text, and no device's image begins as it does; but a device that takes any bytes (arduino-pico) would
//! install it, since its signature is good. A key of its own for evidence keeps the two apart.

mod check;
mod entered;
mod judge;

use self::entered::InLedger;
use self::judge::{Judged, judge, read_manifest};
use crate::format::digest::{Sha256Digest, sha256};
use crate::format::layers::MAX_IMAGE;
use crate::key::{KeySize, PublicKey};
use crate::ledger::{self, Appended, Entry, Ledger, LedgerError, NamedDigest};
use crate::package::PartsError;
use crate::package::evidence::SupportDate;
use crate::package::manifest::{self, ManifestError};
use crate::policy::Purpose;
use crate::policy::lint;
use crate::sign::verify::judge_bytes;
use crate::sign::{Scheme, SignError, Signer};
use otaseal_device::layout::length_field;
use otaseal_device::{KeyId, Reject};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use self::check::check;
pub use self::judge::Keys;

/// Name of the list of all files.
pub const INDEX: &str = "index.sha256";
/// Name of its signature.
pub const SIGNATURE: &str = "index.sha256.sig";

const SUMS: &str = "SHA256SUMS";
const LEDGER: &str = "ledger.jsonl";
const TRANSCRIPT: &str = "verify.txt";

/// What was bundled, or checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Bundle {
    /// The directory.
    pub directory: PathBuf,
    /// Every file but the index and its signature, sorted.
    pub files: Vec<String>,
    /// Id of the key that signed the index.
    #[serde(with = "crate::key::id")]
    pub key_id: KeyId,
    /// Whether it is the key that signed the package.
    pub firmware_key: bool,
    /// What the package's manifest says of itself.
    #[serde(skip)]
    pub firmware: BundledFirmware,
    /// The line of the ledger that the index's signature was entered in, when it was made.
    #[serde(skip)]
    pub entered: Option<Appended>,
}

/// The package in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BundledFirmware {
    /// Id of the key that signed it.
    pub key_id: KeyId,
    /// Size of the smallest key that its devices trust.
    pub weakest: KeySize,
    /// The last day of support.
    pub support_until: Option<SupportDate>,
}

impl From<&Judged> for BundledFirmware {
    fn from(judged: &Judged) -> Self {
        let manifest = judged.package.manifest();
        Self { key_id: manifest.key.id, weakest: judged.weakest, support_until: manifest.support_until }
    }
}

/// Why there is no bundle, or why it is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{} could not be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The target is there and not empty.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The package's manifest is none.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A key that is unfit for a release.
    #[error("{whose}: {refused}")]
    KeyRefused {
        /// Which of the two it is.
        whose: &'static str,
        /// What is wrong with it.
        refused: lint::Refused,
    },
    /// The package has nothing signed.
    #[error("{} has nothing that is signed", .0.display())]
    NothingSigned(PathBuf),
    /// Another key signed the package.
    #[error("the package was signed by {found}, the key given is {given}")]
    OtherKey {
        /// The key of the package.
        found: KeyId,
        /// The key that was given to verify it with.
        given: KeyId,
    },
    /// A file is not what its digest says.
    #[error("{file} is not what {list} says: it was changed")]
    Changed {
        /// The file.
        file: String,
        /// What lists it.
        list: &'static str,
    },
    /// The manifest says what is not so.
    #[error("{file}: {field}: {what}")]
    Wrong {
        /// The file that shows it.
        file: String,
        /// The field of the manifest.
        field: String,
        /// What it says, and what is so.
        what: String,
    },
    /// A listed file is not there.
    #[error("{file} is missing, {list} lists it")]
    Missing {
        /// The file.
        file: String,
        /// What lists it.
        list: &'static str,
    },
    /// A file that nothing lists.
    #[error("{0} is in the directory and not in the index")]
    Unlisted(String),
    /// A signed artefact is rejected.
    #[error("{file} is rejected: {reject}")]
    Rejected {
        /// The file.
        file: String,
        /// The first check that failed.
        reject: Reject,
    },
    /// A signature that the ledger does not know.
    #[error("the ledger has no line for {0}")]
    NotInLedger(String),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The key did not sign the index.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The signature of the index is not this key's.
    #[error("the signature of {INDEX} is rejected: {0}")]
    Signature(Reject),
    /// The index cannot be read as one.
    #[error("{INDEX}, line {line}: {what}")]
    Index {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl From<PartsError> for BundleError {
    fn from(error: PartsError) -> Self {
        match error {
            PartsError::Manifest(source) => Self::Manifest { path: manifest::FILE_NAME.into(), source },
            PartsError::Empty => Self::NothingSigned(manifest::FILE_NAME.into()),
            PartsError::Missing { file } => Self::Missing { file, list: "the manifest" },
            PartsError::Unlisted { file } => Self::Unlisted(file),
            PartsError::Changed { file } => Self::Changed { file, list: "the manifest" },
            PartsError::Wrong { file, field, what } => Self::Wrong { file, field, what },
        }
    }
}

impl BundleError {
    /// Whether it was judged and rejected, rather than not judged.
    pub fn is_verdict(&self) -> bool {
        match self {
            Self::Ledger(error) => error.is_verdict(),
            Self::Changed { .. }
            | Self::Wrong { .. }
            | Self::Missing { .. }
            | Self::Unlisted(_)
            | Self::Rejected { .. }
            | Self::NotInLedger(_)
            | Self::Signature(_)
            | Self::Index { .. } => true,
            _ => false,
        }
    }
}

/// What is bundled, and by whom.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct BundleRequest<'a> {
    /// The directory of the package.
    pub package: &'a Path,
    /// The directory that is made.
    pub out: &'a Path,
    /// The ledger that the package's signatures were entered into, and the index's is.
    pub ledger: &'a Ledger,
    /// The key that the package was signed by.
    pub firmware_key: &'a PublicKey,
    /// A key that the image brings its devices, where it holds no more than the bare modulus.
    pub next_key: Option<&'a PublicKey>,
}

impl<'a> BundleRequest<'a> {
    /// A package, the directory that is made of it, the ledger, and the key that the package was signed by.
    pub fn new(package: &'a Path, out: &'a Path, ledger: &'a Ledger, firmware_key: &'a PublicKey) -> Self {
        Self { package, out, ledger, firmware_key, next_key: None }
    }
}

/// Bundles a package: holds its manifest against every file, judges every signature, finds each in the ledger, and signs
/// the index of it all, which is a line of the ledger too. The directory appears whole or not at all.
///
/// # Errors
/// [`BundleError`]; there is no directory then.
pub fn make(request: BundleRequest<'_>, signer: &dyn Signer) -> Result<Bundle, BundleError> {
    let BundleRequest { package, out, ledger, firmware_key, next_key } = request;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) || out.is_file() {
        return Err(BundleError::Exists(out.into()));
    }
    // The numbers alone: a signer may have no file. Who signed the package may have said no --release.
    for (whose, key) in
        [("the key of the evidence", signer.public_key()), ("the key of the firmware", firmware_key)]
    {
        let judged = lint::judge(lint::public_key(key), Purpose::Release);
        judged.map_err(|refused| BundleError::KeyRefused { whose, refused })?;
    }
    let path = package.join(manifest::FILE_NAME);
    let json = read(&path)?;
    let keys = Keys { firmware: Some(firmware_key), next: next_key };
    let judged = judge(&path, read_manifest(&path, &json)?, &json, keys, |name| load(package, name))?;
    let extract = extract(ledger.path(), &judged)?;
    let firmware = BundledFirmware::from(&judged);

    let mut sums = String::new();
    let mut files = Vec::new();
    for file in judged.package.files() {
        let _ = writeln!(sums, "{}  {}", sha256(&file.bytes()), file.name());
        files.push((file.name(), file.bytes()));
    }
    files.push((manifest::FILE_NAME, json.into()));
    files.push((SUMS, sums.into_bytes().into()));
    files.push((LEDGER, extract.into_bytes().into()));
    files.push((TRANSCRIPT, transcript(&judged).into_bytes().into()));
    files.sort();
    let entered = write(out, &files, ledger, signer)?;
    let key = signer.public_key();
    Ok(Bundle {
        directory: out.into(),
        files: files.iter().map(|(name, _)| (*name).into()).collect(),
        key_id: key.id(),
        firmware_key: key == firmware_key,
        firmware,
        entered: Some(entered),
    })
}

/// The verdict on every signed artefact, for people.
fn transcript(judged: &Judged) -> String {
    let tool = concat!("otaseal ", env!("CARGO_PKG_VERSION"));
    let mut text =
        format!("{tool}: verdict of the device's code, key id {}\n", judged.package.manifest().key.id);
    for item in &judged.signed {
        let _ = writeln!(
            text,
            "{}: accepted, {}, payload of {} bytes, SHA-256 {}",
            item.file,
            scheme_name(item.scheme),
            item.payload_len,
            item.payload_sha256
        );
    }
    text
}

fn scheme_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Pkcs1v15Sha256 => "RSA PKCS#1 v1.5 with SHA-256",
        Scheme::Legacy => "bare digest (esp8266 core 2.5.0 to 2.5.2)",
    }
}

/// Reads a file of the package.
fn load(package: &Path, name: &str) -> Result<Vec<u8>, BundleError> {
    let path = package.join(name);
    match path.exists() {
        true => read(&path),
        false => Err(BundleError::Missing { file: name.into(), list: "the manifest" }),
    }
}

/// The lines of the ledger in which these files are entered, as they stand there; the chain is checked on the way.
fn extract(ledger: &Path, judged: &Judged) -> Result<String, BundleError> {
    let (mut text, mut entered) = (String::new(), InLedger::new(judged));
    ledger::walk(ledger, &mut |record, line| {
        if entered.see(record) {
            let _ = writeln!(text, "{line}");
        }
    })?;
    entered.finish().map(|()| text)
}

/// Writes the directory under another name first, and enters the signature before it gets its own.
fn write(
    out: &Path,
    files: &[(&str, Cow<'_, [u8]>)],
    ledger: &Ledger,
    signer: &dyn Signer,
) -> Result<Appended, BundleError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::Write { path, source }
    };
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed(out))?;
    let stage = tempfile::Builder::new().prefix(".otaseal-").tempdir_in(parent).map_err(failed(out))?;
    let mut index = String::new();
    for (name, bytes) in files {
        let _ = writeln!(index, "{}  {name}", sha256(bytes));
        fs::write(stage.path().join(name), bytes).map_err(failed(&out.join(name)))?;
    }
    let signature = sign_index(index.as_bytes(), signer)?;
    fs::write(stage.path().join(INDEX), &index).map_err(failed(&out.join(INDEX)))?;
    fs::write(stage.path().join(SIGNATURE), &signature).map_err(failed(&out.join(SIGNATURE)))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // A temporary directory is its owner's alone; this one is to be given away.
        fs::set_permissions(stage.path(), fs::Permissions::from_mode(0o755)).map_err(failed(out))?;
    }
    let entry = Entry {
        input: named(out, INDEX, index.as_bytes()),
        output: named(out, SIGNATURE, &signature),
        signature: Scheme::Pkcs1v15Sha256,
        key_id: signer.public_key().id(),
    };
    let entered = ledger.append(&[entry])?;
    fs::rename(stage.path(), out).map_err(failed(out))?;
    // It has another name now: there is nothing left to remove.
    let _ = stage.keep();
    Ok(entered)
}

fn named(directory: &Path, name: &str, bytes: &[u8]) -> NamedDigest {
    NamedDigest::new(directory.join(name).display().to_string(), bytes.len() as u64, sha256(bytes))
}

fn sign_index(index: &[u8], signer: &dyn Signer) -> Result<Vec<u8>, BundleError> {
    let digest = sha256(index);
    let signature = signer.sign_message(Scheme::Pkcs1v15Sha256, &mut &index[..], &digest)?;
    judge_index(index, &signature, signer.public_key()).map_err(SignError::SelfCheck)?;
    Ok(signature)
}

/// The verdict on an index, by the one verifier: an index with its signature is laid out as an image is.
fn judge_index(index: &[u8], signature: &[u8], key: &PublicKey) -> Result<(), Reject> {
    let image = [index, signature, &length_field(signature.len())].concat();
    judge_bytes(&image, key, Scheme::Pkcs1v15Sha256).map(drop)
}

fn read(path: &Path) -> Result<Vec<u8>, BundleError> {
    let failed = |source| BundleError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    // An image and its signature.
    let limit = MAX_IMAGE as u64 + 1024;
    File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(failed)?;
    match bytes.len() as u64 > limit {
        true => Err(failed(io::ErrorKind::FileTooLarge.into())),
        false => Ok(bytes),
    }
}

/// SHA-256 of a file of any length.
fn digest_of(path: &Path) -> Result<Sha256Digest, BundleError> {
    let failed = |source| BundleError::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(failed)?;
    Ok(crate::format::digest::Digests::of_reader(&mut file).map_err(failed)?.sha256)
}

#[cfg(test)]
mod tests;
