//! Finds faults of a key that works: it is published, known methods factor it, or other users can read its file.
//!
//! A key without a finding is not proved good. These are the mistakes that were found in the field, and the numbers of
//! a key do not show how it was made.

mod git;
mod modulus;

use self::git::tracked_by_git;
pub use self::git::{InGit, NotIgnored, in_git};
use crate::format::input::Input;
use crate::key::encryption::{self, Encryption};
use crate::key::{KeyError, KeySize, PublicKey};
use crate::policy::Purpose;
use crate::policy::published_keys;
use crate::sign::{Kept, KeyFile};
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Should be put right.
    Warn,
    /// The key may not sign releases.
    Refuse,
}

/// One thing about a key or its file. `Display` says what it is and why it matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// The private half is published.
    Published {
        /// Where.
        at: &'static str,
    },
    /// The key cannot be used with this format at all.
    Unusable {
        /// Why.
        #[serde(serialize_with = "as_text")]
        error: KeyError,
    },
    /// The modulus has a small factor.
    SmallFactor {
        /// The factor.
        factor: u32,
    },
    /// The two primes are so close that Fermat's method finds them.
    CloseFactors {
        /// After how many steps.
        steps: u32,
    },
    /// The modulus has the form that Infineon's library RSALib gave it until 2017 (ROCA, CVE-2017-15361).
    Roca,
    /// Other users may read the file.
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions, as `ls` and `chmod` count them.
        #[serde(serialize_with = "octal")]
        mode: u32,
    },
    /// Git has the file in its index, and so in its history.
    TrackedByGit {
        /// The file.
        path: PathBuf,
    },
    /// The file lies in a repository, and it is not known whether git has it.
    GitUnknown {
        /// The file.
        path: PathBuf,
        /// Why it is not known.
        why: String,
    },
    /// The encryption of the file is weak: an attacker can test guesses of the passphrase fast.
    WeakEncryption {
        /// The protection.
        encryption: Encryption,
    },
    /// The size has an end date.
    #[serde(rename = "good-through-2030")]
    GoodThrough2030,
    /// A check was not possible.
    NotChecked {
        /// The check that could not be made.
        what: &'static str,
        /// Why it was not.
        why: String,
    },
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Published { .. }
            | Self::Unusable { .. }
            | Self::SmallFactor { .. }
            | Self::CloseFactors { .. }
            | Self::Roca
            | Self::ReadableByOthers { .. }
            | Self::TrackedByGit { .. }
            | Self::GitUnknown { .. } => Severity::Refuse,
            Self::WeakEncryption { .. } => Severity::Warn,
            Self::GoodThrough2030 | Self::NotChecked { .. } => Severity::Note,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published { at } => {
                write!(f, "the private half of this key is published ({at}): a signature by it proves nothing")
            }
            Self::Unusable { error } => error.fmt(f),
            Self::SmallFactor { factor } => {
                write!(f, "{factor} divides the modulus: anybody can compute the private key")
            }
            Self::CloseFactors { steps } => write!(
                f,
                "the two primes are too close: Fermat's method finds them, and so the private key, at step {steps}"
            ),
            Self::Roca => f.write_str(
                "the faulty RSALib made the modulus (ROCA, CVE-2017-15361): an attacker can compute the private key",
            ),
            Self::ReadableByOthers { path, mode } => {
                write!(f, "other users can read {} (mode {mode:04o})", path.display())
            }
            Self::TrackedByGit { path } => write!(f, "git tracks {}", path.display()),
            Self::GitUnknown { path, why } => {
                write!(f, "otaseal cannot tell whether git tracks {} ({why})", path.display())
            }
            Self::WeakEncryption { encryption } => {
                write!(f, "the passphrase protects the key badly: an attacker can test guesses fast ({encryption})")
            }
            Self::GoodThrough2030 => {
                f.write_str("2048 bits are good through 2030 (NIST SP 800-57 part 1); devices may verify for longer")
            }
            Self::NotChecked { what, why } => write!(f, "not checked: {what} ({why})"),
        }
    }
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn octal<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

/// Looks at the numbers of a public key, and whether its private half is published. A published key has that one
/// finding: nothing else matters then.
pub fn public_key(key: &PublicKey) -> Vec<Finding> {
    if let Some(at) = published_keys::published_at(key.id()) {
        return vec![Finding::Published { at }];
    }
    let mut findings = modulus::lint(key.modulus());
    if key.size() == KeySize::Rsa2048 {
        findings.push(Finding::GoodThrough2030);
    }
    findings
}

/// Returns the findings of [`public_key`] that forbid a release, and that forbid a device to trust the key.
pub fn refusals(key: &PublicKey) -> Vec<Finding> {
    let mut findings = public_key(key);
    findings.retain(|finding| finding.severity() == Severity::Refuse);
    findings
}

/// Looks at the file of a private key: who may read it, whether git tracks it, and how good its encryption is. It does
/// not look at the numbers.
pub fn private_file(file: &KeyFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(readable_by_others(&file.path));
    findings.extend(tracked_by_git(&file.path));
    let encryption = file.encryption.clone().filter(Encryption::is_weak);
    findings.extend(encryption.map(|encryption| Finding::WeakEncryption { encryption }));
    findings
}

/// Does the same for a file by its path. Without a passphrase, this is all that can be said of an encrypted key.
pub fn file_of_key(path: &Path) -> Vec<Finding> {
    let bytes = Input::named(path).and_then(Input::read_key).ok();
    let encryption = bytes.and_then(|bytes| encryption::describe(&bytes).ok().flatten());
    private_file(&KeyFile::new(path, encryption))
}

/// Returns every finding on a key that signs: on its numbers, and on its file if it has one.
pub fn signing_key(key: &PublicKey, kept: Kept<'_>) -> Vec<Finding> {
    let mut findings = public_key(key);
    if matches!(findings[..], [Finding::Published { .. }]) {
        return findings;
    }
    match kept {
        Kept::File(file) => findings.extend(private_file(file)),
        Kept::Memory => findings.push(Finding::NotChecked {
            what: "who may read the private key, and whether git has it",
            why: "nothing says which file it came from".into(),
        }),
        Kept::Elsewhere => {}
    }
    findings
}

/// Why no release may be signed with a key: every finding that says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this key may not sign releases: {}", list(.0))]
pub struct Refused(pub(crate) Vec<Finding>);

fn list(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ")
}

/// Decides whether a key may sign, and returns the findings that the user should know. For development every key may
/// sign. For a release, the user also learns which checks were not possible.
///
/// # Errors
/// [`Refused`], for a release alone.
pub fn judge(findings: Vec<Finding>, purpose: Purpose) -> Result<Vec<Finding>, Refused> {
    let (refused, rest): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| finding.severity() == Severity::Refuse);
    let worth_saying = |finding: &Finding| match finding {
        Finding::NotChecked { .. } => purpose == Purpose::Release,
        other => other.severity() == Severity::Warn,
    };
    match purpose {
        Purpose::Release if !refused.is_empty() => Err(Refused(refused)),
        _ => Ok(refused.into_iter().chain(rest.into_iter().filter(worth_saying)).collect()),
    }
}

fn readable_by_others(path: &Path) -> Option<Finding> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
        (mode & 0o077 != 0).then(|| Finding::ReadableByOthers { path: path.into(), mode })
    }
    // Windows has access lists, which otaseal does not read.
    #[cfg(not(unix))]
    {
        let _ = path;
        Some(Finding::NotChecked { what: "who may read the file", why: "this is no Unix".into() })
    }
}

#[cfg(test)]
mod tests;
