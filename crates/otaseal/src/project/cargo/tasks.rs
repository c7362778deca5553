//! Runs the tasks without a report: [`sign`], [`verify`] and [`pubkey`].

use super::CargoError;
use super::build::{Build, build};
use super::keys::{Keys, read_public};
use super::note::Note;
use super::project::Project;
use super::sbom;
use crate::format::input::Input;
use crate::format::key_file::MAX_KEY_FILE;
use crate::key::PublicKey;
use crate::key::passphrase::PassphraseSource;
use crate::output::{Made, Written, has_bytes};
use crate::package::manifest;
use crate::package::{ArtefactKind, Options, PackageError, PackageReport, package, package_unsigned};
use crate::policy::continuity::ContinuityError;
use crate::policy::lint::Finding;
use crate::policy::{Policy, PolicyError};
use crate::project::emit::{self, Mode, RustForm, RustOptions, SelfTest};
use crate::project::settings::{Emit, EmitKind, Settings};
use crate::sign::verify::{JudgeError, judge};
use crate::sign::{Scheme, Signer, rehearsing};
use otaseal_device::KeyId;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The part that all tasks have in common.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Request {
    /// The project's `Cargo.toml`; by default that of the current directory.
    pub manifest_path: Option<PathBuf>,
    /// Settings that win over those of the project.
    pub settings: Settings,
    /// The policy for signing. The settings name its ledger. Its run is that of the whole task: a dry run builds, and
    /// writes nothing else.
    pub policy: Policy,
    /// Time for the manifest, in seconds since 1970.
    pub timestamp: Option<u64>,
    /// The place of the private key's passphrase, or of the PIN of its token.
    pub passphrase: Option<PassphraseSource>,
    /// Whether to make a bill of materials of a Cargo firmware, and to put it into the package.
    pub sbom: bool,
    /// The name of the build in the ledger. The default is the name from the CI system.
    pub build_id: Option<String>,
}

/// The result of [`sign`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SignedBuild {
    /// The packaged build.
    pub build: Build,
    /// The package.
    pub report: PackageReport,
    /// The private key's file or its PKCS#11 URI. If a command signs, the public key's file. `None`: nobody signed,
    /// because the devices check no signature.
    pub key: Option<PathBuf>,
    /// The file with which [`sign`] verified the signatures: the public key's, if there is one.
    pub verified_with: Option<PathBuf>,
    /// Every signed file. All are verified.
    pub verified: Vec<VerifiedFile>,
}

/// A signed file that the device's code accepts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifiedFile {
    /// The file.
    pub path: PathBuf,
    /// The scheme of its signature.
    pub scheme: Scheme,
    /// Length of its payload in bytes.
    pub payload_len: usize,
    /// The key that accepted it.
    pub key_id: KeyId,
}

/// Builds the firmware, packages it, and verifies every signed file once more, from the disk.
///
/// If the settings name devices that check no signature, and no others, this looks for no key, unless the request names
/// one. [`Options::needs_key`] decides.
///
/// # Errors
/// [`CargoError`]. There is then no package, or the earlier one is still there.
pub fn sign(request: &Request, note: &mut dyn FnMut(Note)) -> Result<SignedBuild, CargoError> {
    let project = Project::load(request.manifest_path.as_deref(), &request.settings)?;
    let mut options = Options::new("", project.out_dir()?);
    options.base_name = Some(project.base_name()?);
    options.timestamp = request.timestamp;
    options.policy = request.policy.clone();
    let ledger = project.ledger(request.build_id.as_deref());
    options.policy.ledger = ledger.map(|ledger| ledger.in_run(&request.policy.run));
    options.inputs = project.inputs(&request.passphrase);
    project.settings.apply(&mut options);
    // Open the key before the build: if it is missing, you see that at once.
    let keys = match request.names_key() || options.needs_key().is_some() {
        true => Some(open_key(&project, request, &options.policy, note)?),
        false => None,
    };
    let build = build(&project, note)?;
    options.firmware = build.path().into();
    if request.sbom {
        let (path, text) = bill_of_materials(&project, request)?;
        options.evidence.sbom = Some(path);
        options.evidence.sbom_bytes = Some(Arc::new(text.into_bytes()));
    }
    let report = match &keys {
        Some(keys) => package(&options, &*keys.signer),
        None => package_unsigned(&options),
    };
    let report = report.map_err(|error| match &build {
        Build::Prebuilt { why, path } if carries_another_key(&error) => {
            CargoError::PrebuiltKey { path: path.clone(), why: why.clone(), source: Box::new(error) }
        }
        _ => error.into(),
    })?;
    report.image_findings.iter().for_each(|finding| note(Note::Image(*finding)));
    for warning in report.continuity.warnings() {
        note(Note::Continuity { warning });
    }
    report.support_doubts(request.timestamp).into_iter().for_each(|doubt| note(Note::Support(doubt)));
    if let Some(recovered) = report.ledger.as_ref().and_then(|entered| entered.recovered.clone()) {
        note(Note::LedgerRecovered { recovered });
    }
    let Some(keys) = keys else {
        return Ok(SignedBuild { build, report, key: None, verified_with: None, verified: Vec::new() });
    };
    let (public, verified_with) = match keys.public_path {
        Some(path) => (read_public(&path)?, path),
        None => (keys.signer.public_key().clone(), keys.name.clone()),
    };
    let signed = report.manifest.artefacts.iter().filter_map(|made| Some((&made.file, made.signature?)));
    // A dry run has made no file.
    let signed = signed.filter(|_| !request.policy.run.is_dry());
    let verified = signed
        .map(|(file, scheme)| verify_file(&report.out_dir.join(file), &public, scheme))
        .collect::<Result<_, _>>()?;
    Ok(SignedBuild { build, report, key: Some(keys.name), verified_with: Some(verified_with), verified })
}

impl Request {
    /// Returns whether the caller names a key, or says how to open one.
    fn names_key(&self) -> bool {
        self.settings.key.is_some() || self.settings.signer_cmd.is_some() || self.passphrase.is_some()
    }
}

/// Opens the key that signs, and judges it.
fn open_key(
    project: &Project,
    request: &Request,
    policy: &Policy,
    note: &mut dyn FnMut(Note),
) -> Result<Keys, CargoError> {
    let mut keys = project.keys(&request.passphrase)?;
    if request.policy.run.is_dry() {
        keys.signer = rehearsing(keys.signer).map_err(CargoError::Keygen)?;
    }
    let key_id = keys.signer.public_key().id();
    for finding in policy.open(Some(&*keys.signer))?.findings() {
        note(match finding.clone() {
            Finding::Published { at } => {
                Note::PublishedKey { path: keys.name.clone(), key_id, published_at: at }
            }
            finding => Note::Key(finding),
        });
    }
    Ok(keys)
}

/// Whether otaseal refused an image because of the public key in it: another one, or none.
fn carries_another_key(error: &PackageError) -> bool {
    let PackageError::Image { source: PolicyError::Continuity(error), .. } = error else { return false };
    matches!(error, ContinuityError::OtherKey { .. } | ContinuityError::NoKey { .. })
}

/// Writes the bill of materials beside the packages. Only a firmware that Cargo builds has one.
fn bill_of_materials(project: &Project, request: &Request) -> Result<(PathBuf, String), CargoError> {
    let run = &request.policy.run;
    let Some(firmware) = &project.firmware else { return Err(CargoError::NoSbom) };
    let directory = project.target_directory.join("otaseal");
    run.make_directory(&directory)?;
    let path = directory.join(format!("{}.cdx.json", project.base_name()?));
    let text = sbom::generate(firmware, &project.settings, request.timestamp)?;
    run.write_if_changed(&path, text.as_bytes(), None)?;
    Ok((path, text))
}

/// The task of [`verify`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Verify {
    /// The project and the settings that win.
    pub request: Request,
    /// The images. Without any, the project's package.
    pub images: Vec<PathBuf>,
    /// Whether the images have legacy signatures. In a package, the file name says it.
    pub legacy: bool,
}

/// Verifies images, or the package that [`sign`] made, with the project's public key.
///
/// # Errors
/// [`CargoError::Rejected`] for the first image that the device's code rejects, another error if there is no verdict.
pub fn verify(task: &Verify) -> Result<Vec<VerifiedFile>, CargoError> {
    let request = &task.request;
    if !task.images.is_empty() {
        let project = Project::load_for_keys(request.manifest_path.as_deref(), &request.settings)?;
        let (key, _) = project.public_key()?;
        let scheme = if task.legacy { Scheme::Legacy } else { Scheme::Pkcs1v15Sha256 };
        return task.images.iter().map(|image| verify_file(image, &key, scheme)).collect();
    }
    let project = Project::load(request.manifest_path.as_deref(), &request.settings)?;
    let (out_dir, base) = (project.out_dir()?, project.base_name()?);
    let made = [
        (ArtefactKind::Signed, Scheme::Pkcs1v15Sha256),
        (ArtefactKind::GzSigned, Scheme::Pkcs1v15Sha256),
        (ArtefactKind::LegacySig, Scheme::Legacy),
    ]
    .map(|(kind, scheme)| (out_dir.join(format!("{base}{}", kind.suffix())), scheme));
    // A directory without a manifest comes from a run that stopped early.
    let found: Vec<_> = made.into_iter().filter(|(path, _)| path.exists()).collect();
    if found.is_empty() || !out_dir.join(manifest::FILE_NAME).exists() {
        return Err(CargoError::NothingSigned(out_dir));
    }
    let (key, _) = project.public_key()?;
    found.iter().map(|(path, scheme)| verify_file(path, &key, *scheme)).collect()
}

fn verify_file(path: &Path, key: &PublicKey, scheme: Scheme) -> Result<VerifiedFile, CargoError> {
    let read = |source| CargoError::Read { path: path.into(), source };
    let mut file = Input::found(path).map_err(read)?.into_file();
    let accepted = judge(&mut file, None, key, scheme).map_err(|error| match error {
        JudgeError::Rejected(reject) => CargoError::Rejected { path: path.into(), reject },
        JudgeError::Read(source) => read(source),
    })?;
    let (payload_len, key_id) = (accepted.payload_len, accepted.key_id);
    Ok(VerifiedFile { path: path.into(), scheme, payload_len, key_id })
}

/// The task of [`pubkey`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pubkey {
    /// The project and the settings that win.
    pub request: Request,
    /// Whether to write or only to check.
    pub mode: Mode,
}

impl Pubkey {
    /// The project of the current directory, with its own settings.
    pub fn new(mode: Mode) -> Self {
        Self { request: Request::default(), mode }
    }
}

/// Writes the public key into every file that the settings name.
///
/// # Errors
/// [`CargoError::NoEmit`] if they name none, [`crate::project::emit::EmitError::OutOfDate`] under [`Mode::Check`].
pub fn pubkey(task: &Pubkey) -> Result<Vec<(PathBuf, Written)>, CargoError> {
    let request = &task.request;
    let project = Project::load_for_keys(request.manifest_path.as_deref(), &request.settings)?;
    let (key, _) = project.public_key()?;
    emit_key(&project, &key, None, request, task.mode)
}

/// Writes a public key into every file that the settings name. The self-test signature comes from `private`; without
/// it, from the project's key, which then must be the private half of `key`.
///
/// # Errors
/// The errors of [`pubkey`].
pub(super) fn emit_key(
    project: &Project,
    key: &PublicKey,
    private: Option<&dyn Signer>,
    request: &Request,
    mode: Mode,
) -> Result<Vec<(PathBuf, Written)>, CargoError> {
    let list = project.settings.emit.as_deref().filter(|list| !list.is_empty()).ok_or(CargoError::NoEmit)?;
    let (passphrase, run) = (&request.passphrase, &request.policy.run);
    let inputs = project.inputs(passphrase);
    let self_test = || match private {
        Some(private) => Ok(emit::self_test(private)?),
        None => Ok(emit::self_test(&*self_test_key(key, project, request)?)?),
    };
    let mut done = Vec::new();
    for file in list {
        let text = emitted(file, key, &self_test)?;
        if mode == Mode::Write && !has_bytes(&file.path, &text) {
            inputs.check(&file.path)?;
        }
        let made = match file.kind {
            // The settings say that this file is for the public key.
            EmitKind::Pem | EmitKind::Der => {
                Made::when_bytes(MAX_KEY_FILE, |bytes| PublicKey::from_bytes(bytes).is_ok())
            }
            _ => Made::begins_as(&text).or(Made::when_bytes(MAX_PLACEHOLDER, is_comment)),
        };
        let written = emit::place(run, &file.path, &text, Some(made), mode, "cargo xtask pubkey")?;
        done.push((file.path.clone(), written));
    }
    Ok(done)
}

fn emitted(
    file: &Emit,
    key: &PublicKey,
    self_test: &dyn Fn() -> Result<SelfTest, CargoError>,
) -> Result<Vec<u8>, CargoError> {
    let wrong = |what| Err(CargoError::EmitSetting { path: file.path.clone(), what });
    let is_rust = matches!(file.kind, EmitKind::Rust | EmitKind::RustDevice);
    if !is_rust && (file.module.is_some() || file.self_test) {
        return wrong("`module` and `self-test` are for Rust only");
    }
    if file.kind != EmitKind::CHeader && file.array.is_some() {
        return wrong("`array` is for the C header only");
    }
    Ok(match file.kind {
        EmitKind::Rust | EmitKind::RustDevice => {
            let self_test = match file.self_test {
                true => Some(self_test()?),
                false => None,
            };
            let form = if file.kind == EmitKind::Rust { RustForm::Standalone } else { RustForm::Device };
            let options = RustOptions { form, module: file.module.clone(), self_test };
            emit::rust_source(key, &options).into()
        }
        EmitKind::CHeader => {
            let array = file.array.clone().unwrap_or_else(emit::arduino_array);
            emit::c_header(key, &array).into()
        }
        EmitKind::Pem => key.to_spki_pem().into(),
        EmitKind::Der => key.to_spki_der().to_vec(),
    })
}

/// Largest source file that may be a placeholder, in bytes.
const MAX_PLACEHOLDER: usize = 4 << 10;

/// Returns whether a source file has comments alone. A firmware that never had a key may have such a file in its place,
/// so that it compiles.
fn is_comment(source: &[u8]) -> bool {
    std::str::from_utf8(source)
        .is_ok_and(|text| text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with("//")))
}

/// Opens the private key of the emitted public key. A self-test signature by another key would make every device fail
/// its self-test.
fn self_test_key(
    public: &PublicKey,
    project: &Project,
    request: &Request,
) -> Result<Box<dyn Signer>, CargoError> {
    let keys = project.keys(&request.passphrase)?;
    let private_id = keys.signer.public_key().id();
    if keys.signer.public_key() == public {
        return match request.policy.run.is_dry() {
            true => rehearsing(keys.signer).map_err(CargoError::Keygen),
            false => Ok(keys.signer),
        };
    }
    Err(CargoError::KeyPair {
        public: project.public_key()?.1,
        public_id: public.id(),
        private_id,
        private: keys.name,
    })
}
