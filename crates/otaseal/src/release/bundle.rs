//! Release bundles: one signed directory with a package and the evidence for it.
//!
//! | file | what |
//! |---|---|
//! | `manifest.json` and the files that it lists | the package, with its bill of materials if it has one |
//! | `SHA256SUMS` | digests of the artefacts, for `sha256sum -c` |
//! | `ledger.jsonl` | the lines of the ledger for these signatures, unchanged |
//! | `verify.txt` | the verdict on every signed artefact |
//! | `index.sha256` | digests of all of these, for `sha256sum -c` |
//! | `index.sha256.sig` | RSASSA-PKCS1-v1_5 with SHA-256 of the index: `openssl dgst -sha256 -verify` |
//!
//! The signature of the index is one that devices accept. An ESP8266 refuses the index by its first byte. A device that
//! takes any bytes (arduino-pico) would install it as firmware. So sign evidence with a separate key.

mod check;
mod entered;
mod judge;

use self::entered::InLedger;
use self::judge::{Judged, judge, read_manifest};
use crate::format::digest::sha256;
use crate::format::input::Input;
use crate::format::layers::MAX_IMAGE;
use crate::key::{KeySize, PublicKey};
use crate::ledger::{self, Appended, Entry, Ledger, LedgerError, NamedDigest};
use crate::output::{OutputError, Planned, Run, TemporaryDirectory};
use crate::package::PartsError;
use crate::package::evidence::SupportDate;
use crate::package::manifest::{self, MAX_MANIFEST, ManifestError};
use crate::policy::Purpose;
use crate::policy::lint;
use crate::sign::verify::judge_bytes;
use crate::sign::{Scheme, SignError, Signer};
use otaseal_device::layout::length_field;
use otaseal_device::{KeyId, Reject};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use self::check::check;
pub use self::judge::Keys;

/// Name of the list of all files.
pub const INDEX: &str = "index.sha256";
/// Name of its signature.
pub const SIGNATURE: &str = "index.sha256.sig";

/// Largest file of a bundle, in bytes: an image and its signature.
const MAX_FILE: usize = MAX_IMAGE + 1024;

const SUMS: &str = "SHA256SUMS";
const LEDGER: &str = "ledger.jsonl";
const TRANSCRIPT: &str = "verify.txt";

/// A bundle that was made or checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Bundle {
    /// The directory.
    pub directory: PathBuf,
    /// Every file except the index and its signature, sorted.
    pub files: Vec<String>,
    /// Id of the key that signed the index.
    #[serde(with = "crate::key::id")]
    pub key_id: KeyId,
    /// Whether that key signed the package too.
    pub firmware_key: bool,
    /// The package in it.
    #[serde(skip)]
    pub firmware: BundledFirmware,
    /// The entry of the index's signature in the ledger, if the bundle was made now.
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
        Self { key_id: judged.key.id, weakest: judged.weakest, support_until: manifest.support_until }
    }
}

/// Why there is no bundle, or why otaseal rejects one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{} could not be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The directory is there and not empty.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The package's manifest cannot be read.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: ManifestError,
    },
    /// A key that is unfit for a release.
    #[error("{whose}: {refused}")]
    KeyRefused {
        /// Which of the two keys it is.
        whose: &'static str,
        /// The fault.
        refused: lint::Refused,
    },
    /// No artefact of the package is signed.
    #[error("{} has no signed artefact", .0.display())]
    NothingSigned(PathBuf),
    /// Nobody signed the package: its devices check no signature.
    #[error("nobody signed the package in {}: its manifest names no key", .0.display())]
    Unsigned(PathBuf),
    /// Another key signed the package.
    #[error("the package was signed by {found}, the key given is {given}")]
    OtherKey {
        /// The key of the package.
        found: KeyId,
        /// The key that the caller gave.
        given: KeyId,
    },
    /// A file is not what its digest says.
    #[error("{file} is not what {list} says: it was changed")]
    Changed {
        /// The file.
        file: String,
        /// The list: the manifest or the index.
        list: &'static str,
    },
    /// A field of the manifest is not true.
    #[error("{file}: {field}: {what}")]
    Wrong {
        /// The file that shows it.
        file: String,
        /// The field of the manifest.
        field: String,
        /// The value in the manifest, and the true one.
        what: String,
    },
    /// A listed file is not there.
    #[error("{file} is missing, {list} lists it")]
    Missing {
        /// The file.
        file: String,
        /// The list: the manifest or the index.
        list: &'static str,
    },
    /// A file that the index does not list.
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
    /// A signature that has no line in the ledger.
    #[error("the ledger has no line for {0}")]
    NotInLedger(String),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The key did not sign the index.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The key that the caller gave did not sign the index.
    #[error("the signature of {INDEX} is rejected: {0}")]
    Signature(Reject),
    /// A line of the index cannot be read.
    #[error("{INDEX}, line {line}: {what}")]
    Index {
        /// The line, from 1.
        line: usize,
        /// The fault.
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
    /// Whether otaseal judged the bundle and rejected it. Otherwise it could not judge it.
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

/// A package to bundle.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BundleRequest<'a> {
    /// The directory of the package.
    pub package: &'a Path,
    /// The directory of the bundle, which [`make`] makes.
    pub out: &'a Path,
    /// The ledger that holds the package's signatures. The signature of the index is entered there too.
    pub ledger: &'a Ledger,
    /// The key that signed the package.
    pub firmware_key: &'a PublicKey,
    /// A key that the image brings to its devices as a bare modulus: only this key finds it there.
    pub next_key: Option<&'a PublicKey>,
    /// Whether this is a dry run, which signs nothing. The ledger must be of the same run.
    pub run: Run,
}

impl<'a> BundleRequest<'a> {
    /// A package, the directory of the bundle, the ledger, and the key that signed the package.
    pub fn new(package: &'a Path, out: &'a Path, ledger: &'a Ledger, firmware_key: &'a PublicKey) -> Self {
        Self { package, out, ledger, firmware_key, next_key: None, run: Run::default() }
    }
}

/// Bundles a package. otaseal compares its manifest with every file, judges every signature and finds it in the ledger.
/// It signs the index of all files and enters that signature too. The directory appears whole or not at all.
///
/// # Errors
/// [`BundleError`]. There is no directory then.
pub fn make(request: BundleRequest<'_>, signer: &dyn Signer) -> Result<Bundle, BundleError> {
    let BundleRequest { package, out, ledger, firmware_key, next_key, run } = request;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) || out.is_file() {
        return Err(BundleError::Exists(out.into()));
    }
    // Only the numbers of the keys: a signer may have no file. The package may have been signed for development.
    for (whose, key) in
        [("the key of the evidence", signer.public_key()), ("the key of the firmware", firmware_key)]
    {
        let judged = lint::judge(lint::public_key(key), Purpose::Release);
        judged.map_err(|refused| BundleError::KeyRefused { whose, refused })?;
    }
    let path = package.join(manifest::FILE_NAME);
    let json = read(&path, MAX_MANIFEST)?;
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
    let entered = write(&run, out, &files, ledger, signer)?;
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
    let mut text = format!("{tool}: verdict of the device's code, key id {}\n", judged.key.id);
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
    read(&package.join(name), MAX_FILE).map_err(|error| match error {
        BundleError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            BundleError::Missing { file: name.into(), list: "the manifest" }
        }
        error => error,
    })
}

/// Takes the lines for these files out of the ledger, unchanged. Checks the whole chain on the way.
fn extract(ledger: &Path, judged: &Judged) -> Result<String, BundleError> {
    let (mut text, mut entered) = (String::new(), InLedger::new(judged));
    ledger::walk(ledger, &mut |record, line| {
        if entered.see(record) {
            let _ = writeln!(text, "{line}");
        }
    })?;
    entered.finish().map(|()| text)
}

/// Writes the directory under a temporary name and enters the signature. Only then the directory gets the signature,
/// and its name.
fn write(
    run: &Run,
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
    run.make_directory(parent).map_err(|error| match error {
        OutputError::Io { source, .. } => failed(out)(source),
        error => failed(out)(io::Error::other(error)),
    })?;
    let mut index = String::new();
    for (name, bytes) in files {
        let _ = writeln!(index, "{}  {name}", sha256(bytes));
    }
    let length = signer.public_key().size().bytes();
    let entry = |signature: &[u8]| Entry {
        input: named(out, INDEX, index.as_bytes()),
        output: named(out, SIGNATURE, signature),
        signature: Scheme::Pkcs1v15Sha256,
        key_id: signer.public_key().id(),
    };
    if run.is_dry() {
        run.make_directory(out).map_err(|error| failed(out)(io::Error::other(error)))?;
        let sizes = files.iter().map(|(name, bytes)| (*name, bytes.len()));
        for (name, size) in sizes.chain([(INDEX, index.len()), (SIGNATURE, length)]) {
            run.skips(|| Planned::Write { path: out.join(name), size_bytes: size as u64 });
        }
        return Ok(ledger.append(&[entry(&vec![0; length])])?);
    }
    let signature = sign_index(index.as_bytes(), signer)?;
    let stage = TemporaryDirectory::new(parent).map_err(failed(out))?;
    let put = |name: &str, bytes: &[u8]| stage.put(name, bytes).map_err(failed(&out.join(name)));
    for (name, bytes) in files {
        put(name, bytes)?;
    }
    put(INDEX, index.as_bytes())?;
    // The signature has its room on the disk before it is entered, and its bytes only afterwards: a process that is
    // killed leaves no signature without its line.
    put(SIGNATURE, &vec![0; signature.len()])?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Only the owner may read a temporary directory. A bundle is for others.
        fs::set_permissions(stage.path(), fs::Permissions::from_mode(0o755)).map_err(failed(out))?;
    }
    let entered = ledger.append(&[entry(&signature)])?;
    put(SIGNATURE, &signature)?;
    stage.rename(out).map_err(failed(out))?;
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

/// Judges the index with the device verifier: the index, its signature and the length field have the form of an image.
fn judge_index(index: &[u8], signature: &[u8], key: &PublicKey) -> Result<(), Reject> {
    let image = [index, signature, &length_field(signature.len())].concat();
    judge_bytes(&image, key, Scheme::Pkcs1v15Sha256).map(drop)
}

/// Reads a file of at most `limit` bytes. The directory may come from anybody, so it must be a regular file.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, BundleError> {
    let read = Input::found(path).and_then(|input| input.read(limit));
    read.map_err(|source| BundleError::Read { path: path.into(), source })
}

#[cfg(test)]
mod tests;
