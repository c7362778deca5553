//! A key is looked at before it signs: what speaks against it stops a release, and is a warning everywhere else.

use crate::error::Failure;
use crate::io::Place;
use otaseal::Purpose;
use otaseal::key::PublicKey;
use otaseal::policy::lint::{self, Finding};
use otaseal::sign::{Scheme, SignError, Signer};
use std::io::Read;
use std::path::Path;

/// A signer whose key was looked at.
struct Linted {
    signer: Box<dyn Signer>,
    warnings: Vec<String>,
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

    fn private_number_in(&self, bytes: &[u8]) -> Option<usize> {
        self.signer.private_number_in(bytes)
    }

    fn remarks(&self) -> Vec<String> {
        self.warnings.iter().cloned().chain(self.signer.remarks()).collect()
    }
}

/// Refuses a release with a key that is unfit for it; otherwise says what is wrong with the key. `file` is where
/// the private key was read from, if it was.
pub(crate) fn linted(
    signer: Box<dyn Signer>,
    file: Option<&Path>,
    purpose: Purpose,
) -> Result<Box<dyn Signer>, Failure> {
    let path = file.filter(|path| path.is_file());
    let bytes = path.map(|path| Place::from(path).key_bytes()).transpose()?;
    let file = path.zip(bytes.as_ref().map(|bytes| &***bytes));
    let warnings = judged(lint::signing_key(signer.public_key(), file), purpose)?;
    Ok(Box::new(Linted { signer, warnings }))
}

/// The same of a key that another machine signs with: its numbers are all that can be looked at.
pub(crate) fn warnings_of(key: &PublicKey, purpose: Purpose) -> Result<Vec<String>, Failure> {
    judged(lint::signing_key(key, None), purpose)
}

fn judged(findings: Vec<Finding>, purpose: Purpose) -> Result<Vec<String>, Failure> {
    let findings =
        lint::judge(findings, purpose).map_err(|refused| Failure::new(&refused, refused.help()))?;
    // Of a published key every report warns already.
    let findings = findings.iter().filter(|finding| !matches!(finding, Finding::Published { .. }));
    Ok(findings.map(|finding| format!("{finding}; {}", finding.help())).collect())
}
