//! A key is looked at before it signs: what speaks against it stops a release, and is a warning everywhere else.

use crate::error::Failure;
use crate::io::Place;
use otaseal::Purpose;
use otaseal::key::PublicKey;
use otaseal::key::lint::{self, Finding};
use otaseal::known_keys;
use otaseal::sign::{Scheme, SignError, Signer};
use std::io::Read;
use std::mem;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A signer whose key is looked at while it signs: asking git takes a millisecond.
struct Linted {
    signer: Box<dyn Signer>,
    warnings: Mutex<Warnings>,
}

enum Warnings {
    Coming(JoinHandle<Vec<String>>),
    Here(Vec<String>),
}

impl Signer for Linted {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn sign_digest(&self, scheme: Scheme, digest: &[u8; 32]) -> Result<Vec<u8>, SignError> {
        self.signer.sign_digest(scheme, digest)
    }

    fn sign_message(
        &self,
        scheme: Scheme,
        message: &mut dyn Read,
        digest: &[u8; 32],
    ) -> Result<Vec<u8>, SignError> {
        self.signer.sign_message(scheme, message, digest)
    }

    fn remarks(&self) -> Vec<String> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match mem::replace(&mut *warnings, Warnings::Here(Vec::new())) {
            Warnings::Here(known) => known,
            Warnings::Coming(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        };
        let all = known.iter().cloned().chain(self.signer.remarks()).collect();
        *warnings = Warnings::Here(known);
        all
    }
}

/// Refuses a release with a key that is unfit for it; otherwise says what is wrong with the key. `file` is where
/// the private key was read from, if it was.
pub(crate) fn linted(
    signer: Box<dyn Signer>,
    file: Option<&Path>,
    purpose: Purpose,
) -> Result<Box<dyn Signer>, Failure> {
    let path = file.filter(|path| path.is_file()).map(Path::to_owned);
    let bytes = path.as_deref().map(|path| Place::from(path).key_bytes()).transpose()?;
    let asks_git = path.as_deref().is_some_and(lint::asks_git);
    let key = signer.public_key().clone();
    let published = known_keys::published_at(key.id()).is_some();
    let look = move || {
        let file = path.as_deref().zip(bytes.as_ref().map(|bytes| &***bytes));
        lint::judge(lint::signing_key(&key, file), purpose)
    };
    // Of a published key every report warns already.
    let warnings = |findings: Vec<Finding>| {
        let findings = findings.iter().filter(|finding| !matches!(finding, Finding::Published { .. }));
        findings.map(|finding| format!("{finding}; {}", finding.help())).collect()
    };
    // For development nothing is refused, and what takes a while need not be waited for.
    let warnings = if purpose == Purpose::Development && asks_git && !published {
        Warnings::Coming(thread::spawn(move || look().map(warnings).unwrap_or_default()))
    } else {
        Warnings::Here(warnings(look().map_err(|refused| Failure::new(&refused, refused.help()))?))
    };
    Ok(Box::new(Linted { signer, warnings: Mutex::new(warnings) }))
}
