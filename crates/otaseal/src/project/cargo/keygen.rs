//! Makes the key pair of a project.

use super::CargoError;
use super::note::Note;
use super::project::Project;
use super::tasks::{self, Request};
use crate::key::encryption::{Derivation, Protection};
use crate::key::pair::PairFiles;
use crate::key::passphrase::{Passphrase, PassphraseSource, SecretError, SecretKind, Secrets};
use crate::key::{KeySize, PrivateKey, PublicKey};
use crate::output::{Overwrite, Written, same_place};
use crate::policy::lint::{self, InGit};
use crate::project::advice::{Advice, Speaker};
use crate::project::emit::Mode;
use crate::project::settings::in_token;
use crate::sign::Signer;
use crate::sign::source::SourceError;
use std::path::{Path, PathBuf};

/// The task of [`keygen`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Keygen {
    /// The project and the settings that win. Its passphrase protects the new key, or is the PIN of its token.
    pub request: Request,
    /// Size of the key.
    pub size: KeySize,
    /// Whether to replace an existing key.
    pub overwrite: Overwrite,
    /// Whether to encrypt the private key, and the function that derives the encryption key from the passphrase.
    pub encrypt: Option<Derivation>,
}

impl Keygen {
    /// A key of this size, not encrypted, for the project of the current directory, with its own settings.
    pub fn new(size: KeySize, overwrite: Overwrite) -> Self {
        Self { request: Request::default(), size, overwrite, encrypt: None }
    }
}

/// A key that [`keygen`] made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewKey {
    /// The private key's file, or its PKCS#11 URI.
    pub private: PathBuf,
    /// Whether that file is encrypted.
    pub encrypted: bool,
    /// The public key's file.
    pub public: PathBuf,
    /// The public key.
    pub key: PublicKey,
    /// The source files of the setting `emit`, which have the public key now.
    pub emitted: Vec<(PathBuf, Written)>,
}

/// Makes the project's key pair: PKCS#8 and SPKI, PEM. It writes both files or none. Then it writes the public key into
/// the source files of the setting `emit`. If that fails, the key is good all the same: a note says what is missing.
///
/// # Errors
/// [`CargoError::Pair`] if a key exists and the task does not replace it, or if writing fails.
/// [`CargoError::Passphrase`] if the task encrypts the key, and has no good passphrase.
pub fn keygen(task: &Keygen, note: &mut dyn FnMut(Note)) -> Result<NewKey, CargoError> {
    let request = &task.request;
    let project = Project::load_for_keys(request.manifest_path.as_deref(), &request.settings)?;
    if project.settings.signer_cmd.is_some() {
        return Err(CargoError::KeyOfCommand { public: project.settings.public_path(&project.root) });
    }
    let private = project.settings.private_path(&project.root);
    let public = project.settings.public_path(&project.root);
    if let Some(uri) = in_token(&private) {
        if task.encrypt.is_some() {
            return Err(CargoError::Usage("a key in a token has no file to encrypt".into()));
        }
        let key = new_in_token(uri, &public, task)?;
        let emitted = emit(&project, &key, None, task, note);
        return Ok(NewKey { private, encrypted: false, public, key, emitted });
    }
    let run = &task.request.policy.run;
    // This is the first step: if it fails, otaseal has made nothing.
    let passphrase = new_passphrase(task, [&private, &public])?;
    for path in [&private, &public] {
        if let Some(parent) = path.parent() {
            run.make_directory(parent)?;
        }
    }
    let files = PairFiles::stage_in(run, &private, &public, task.overwrite)?;
    let key = PrivateKey::generate(task.size).map_err(CargoError::Keygen)?;
    let protection = match (&passphrase, task.encrypt) {
        (Some(passphrase), Some(derivation)) => Protection::Passphrase(passphrase, derivation),
        _ => Protection::None,
    };
    files.commit(&key, protection)?;
    if !run.is_dry()
        && let InGit::NotIgnored(found) = lint::in_git(&private)
    {
        note(Note::NotIgnored(found));
    }
    let emitted = emit(&project, key.public(), Some(&key), task, note);
    Ok(NewKey { private, encrypted: passphrase.is_some(), public, key: key.public().clone(), emitted })
}

/// Writes the new public key into the firmware's source, where the settings say so.
fn emit(
    project: &Project,
    key: &PublicKey,
    private: Option<&dyn Signer>,
    task: &Keygen,
    note: &mut dyn FnMut(Note),
) -> Vec<(PathBuf, Written)> {
    tasks::emit_key(project, key, private, &task.request, Mode::Write).unwrap_or_else(|error| {
        let again = "then type `cargo xtask pubkey`";
        let help = format!("{}; {again}", error.advice(Speaker::Hook));
        note(Note::NotEmitted { what: error.to_string(), help });
        Vec::new()
    })
}

/// Returns the passphrase for the key, if it gets one. It does not ask on a terminal.
fn new_passphrase(task: &Keygen, files: [&PathBuf; 2]) -> Result<Option<Passphrase>, CargoError> {
    let source = &task.request.passphrase;
    match (task.encrypt, source) {
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            return Err(CargoError::Usage(
                "a passphrase needs --encrypt: without it the key is not encrypted".into(),
            ));
        }
        (Some(_), None) => {
            return Err(CargoError::Passphrase(SecretError::NoneGiven(SecretKind::NewPassphrase)));
        }
        (Some(_), Some(_)) => {}
    }
    if let Some(PassphraseSource::File(file)) = source
        && files.iter().any(|path| same_place(path, file))
    {
        return Err(CargoError::Usage(format!(
            "{} would hold both the passphrase and a key",
            file.display()
        )));
    }
    let passphrase = source.secret(SecretKind::NewPassphrase, "the new key")?;
    passphrase.check_new()?;
    Ok(Some(passphrase))
}

/// Makes the key inside its token, and writes its public key to a file.
#[cfg(feature = "pkcs11")]
fn new_in_token(uri: &str, public: &Path, task: &Keygen) -> Result<PublicKey, CargoError> {
    use crate::output::{Access, OutputError};
    use std::io::Write;
    let failed = |source| OutputError::Io { path: public.into(), source };
    let run = &task.request.policy.run;
    if let Some(parent) = public.parent() {
        run.make_directory(parent)?;
    }
    // Open the file first. If that failed later, the token would hold a key whose public key is in no file.
    let mut file = run.create(public, task.overwrite, Access::Public)?;
    let key = crate::sign::pkcs11::generate(&uri.parse()?, None, &task.request.passphrase, task.size, run)
        .map_err(SourceError::from)?;
    file.write_all(key.to_spki_pem().as_bytes()).map_err(failed)?;
    file.commit()?;
    Ok(key)
}

#[cfg(not(feature = "pkcs11"))]
fn new_in_token(_: &str, _: &Path, _: &Keygen) -> Result<PublicKey, CargoError> {
    Err(SourceError::from(crate::sign::pkcs11::Pkcs11Error::NotBuilt).into())
}
