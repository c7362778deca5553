//! A project's new key pair.

use super::CargoError;
use super::note::Note;
use super::project::Project;
use super::tasks::Request;
use crate::key::encryption::{Derivation, Protection};
use crate::key::pair::PairFiles;
use crate::key::passphrase::{Passphrase, PassphraseSource, SecretError, SecretKind, Secrets};
use crate::key::{KeySize, PrivateKey, PublicKey};
use crate::output::{OutputError, Overwrite, same_place};
use crate::project::settings::in_token;
use crate::sign::source::SourceError;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What [`keygen`] makes.
#[derive(Debug, Clone)]
pub struct Keygen {
    /// The project and the settings that win. Its passphrase protects the new key, or is the PIN of its token.
    pub request: Request,
    /// Size of the key.
    pub size: KeySize,
    /// What to do when there is a key already.
    pub overwrite: Overwrite,
    /// Whether the private half is encrypted, and how the passphrase becomes a key then.
    pub encrypt: Option<Derivation>,
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
}

/// Makes the project's key pair: PKCS#8 and SPKI, PEM; both files or none.
///
/// # Errors
/// [`CargoError::Pair`] when there is a key already and it may not be replaced, or when writing fails;
/// [`CargoError::Passphrase`] when the key is to be encrypted and there is none that can be used.
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
            return Err(CargoError::Usage("a key in a token is in no file that could be encrypted".into()));
        }
        let key = new_in_token(uri, &public, task)?;
        return Ok(NewKey { private, encrypted: false, public, key });
    }
    // Read before anything is made: where it fails, nothing has happened.
    let passphrase = new_passphrase(task, [&private, &public])?;
    for path in [&private, &public] {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| OutputError::Io { path: parent.into(), source })?;
        }
    }
    let files = PairFiles::stage(&private, &public, task.overwrite)?;
    let key = PrivateKey::generate(task.size).map_err(CargoError::Keygen)?;
    let protection = match (&passphrase, task.encrypt) {
        (Some(passphrase), Some(derivation)) => Protection::Passphrase(passphrase, derivation),
        _ => Protection::None,
    };
    files.commit(&key, protection)?;
    if !ignored(&private) {
        note(Note::NotIgnored { path: private.clone() });
    }
    Ok(NewKey { private, encrypted: passphrase.is_some(), public, key: key.public().clone() })
}

/// The passphrase that the key gets, if it gets one; nobody is asked for it.
fn new_passphrase(task: &Keygen, files: [&PathBuf; 2]) -> Result<Option<Passphrase>, CargoError> {
    let source = &task.request.passphrase;
    match (task.encrypt, source) {
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            return Err(CargoError::Usage(
                "a passphrase without --encrypt: the key would not be encrypted".into(),
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

/// Makes the key inside its token, and writes its public half.
#[cfg(feature = "pkcs11")]
fn new_in_token(uri: &str, public: &Path, task: &Keygen) -> Result<PublicKey, CargoError> {
    use crate::output::{Access, Pending};
    use std::io::Write;
    let failed = |source| OutputError::Io { path: public.into(), source };
    if let Some(parent) = public.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    // It is known that the file can be written before the token has a key that nobody knows.
    let mut file = Pending::create(public, task.overwrite, Access::Public)?;
    let key = crate::sign::pkcs11::generate(&uri.parse()?, None, &task.request.passphrase, task.size)
        .map_err(SourceError::from)?;
    file.write_all(key.to_spki_pem().as_bytes()).map_err(failed)?;
    file.commit()?;
    Ok(key)
}

#[cfg(not(feature = "pkcs11"))]
fn new_in_token(_: &str, _: &Path, _: &Keygen) -> Result<PublicKey, CargoError> {
    Err(SourceError::from(crate::sign::pkcs11::Pkcs11Error::NotBuilt).into())
}

/// Whether git leaves a file alone: it is ignored, or there is no git here.
fn ignored(path: &Path) -> bool {
    let mut git = Command::new("git");
    git.args(["check-ignore", "--quiet"]).arg(path).current_dir(path.parent().unwrap_or(Path::new(".")));
    let status = git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    // 1 is "not ignored"; 128 "not a repository".
    !status.is_ok_and(|status| status.code() == Some(1))
}
