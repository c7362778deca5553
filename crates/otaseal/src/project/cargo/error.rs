//! Why a task of [`crate::project::cargo`] did not end well.

use crate::key::material::{self, KeyOnCommandLine};
use crate::key::passphrase::SecretError;
use crate::key::uri::UriError;
use crate::key::{KeyError, pair::PairError};
use crate::output::OutputError;
use crate::package::PackageError;
use crate::policy::PolicyError;
use crate::project::emit::EmitError;
use crate::project::settings::SettingsError;
use crate::sign::SignError;
use crate::sign::source::SourceError;
use otaseal_device::{KeyId, Reject};
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CargoError {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The command line has a key on it. Nothing of it is shown.
    #[error(transparent)]
    KeyGiven(#[from] KeyOnCommandLine),
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Cargo does not know the project.
    #[error("cargo does not understand this project: {0}")]
    Metadata(String),
    /// There is no such package in the workspace.
    #[error("{} has no package `{package}` with a binary", manifest.display())]
    NoSuchPackage {
        /// The workspace.
        manifest: PathBuf,
        /// What was asked for.
        package: String,
        /// The packages with a binary.
        candidates: Vec<String>,
    },
    /// Nothing says which package is the firmware.
    #[error("which package is the firmware? {}", list(candidates, "none has a binary"))]
    WhichPackage {
        /// The packages with a binary.
        candidates: Vec<String>,
    },
    /// Nothing says which binary is the firmware.
    #[error("which binary of `{package}` is the firmware? {}", list(candidates, "it has none"))]
    WhichBinary {
        /// The package.
        package: String,
        /// Its binaries.
        candidates: Vec<String>,
    },
    /// A program could not be started.
    #[error("{} could not be started: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The build failed; the compiler has said why.
    #[error("the build failed ({status}): {command}")]
    Build {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The build went well, and made no executable of this name.
    #[error("the build made no executable `{bin}`: {command}")]
    NoExecutable {
        /// What was run.
        command: String,
        /// The binary that was expected.
        bin: String,
    },
    /// There is no key, and no example key to stand in.
    #[error("there is no private key: {} does not exist", material::shown(.0))]
    NoKey(PathBuf),
    /// An image could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no key to be had where one should be.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The key is kept by a command, which signs and does nothing else.
    #[error("the settings have a command sign (`signer-cmd`): its key cannot be made here")]
    KeyOfCommand {
        /// Where the public key belongs.
        public: PathBuf,
    },
    /// The key's name is no PKCS#11 URI that can be used.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The key or the ledger does not pass the policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// No key could be made.
    #[error(transparent)]
    Keygen(KeyError),
    /// There is no passphrase for the new key, or none that it could have.
    #[error(transparent)]
    Passphrase(#[from] SecretError),
    /// The new key could not be written: neither half of it.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// The public key at hand is another key's.
    #[error("{} is not the public half of {}", public.display(), private.display())]
    KeyPair {
        /// The public key file.
        public: PathBuf,
        /// The private key file.
        private: PathBuf,
        /// Key id of the public one.
        public_id: KeyId,
        /// Key id of the private one.
        private_id: KeyId,
    },
    /// No package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Nothing was signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The public key is not in its place.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// A file was not written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The settings name no file for the public key.
    #[error("no setting says where the public key goes")]
    NoEmit,
    /// The C header or the module name does not fit the kind of file.
    #[error("{}: {what}", path.display())]
    EmitSetting {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// A bill of materials of what Cargo does not build.
    #[error("only a firmware that Cargo builds has a bill of materials that can be made here")]
    NoSbom,
    /// There is nothing to verify.
    #[error("{} has no signed package", .0.display())]
    NothingSigned(PathBuf),
    /// Judged, and rejected.
    #[error("{} is rejected: {reject}", path.display())]
    Rejected {
        /// The image.
        path: PathBuf,
        /// The first check that failed.
        reject: Reject,
    },
    /// The report could not be written.
    #[error("the report could not be written: {0}")]
    Report(io::Error),
}

impl CargoError {
    /// 1 judged and rejected, 2 usage, 3 could not do it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Rejected { .. } => 1,
            Self::Package(PackageError::Policy(error)) | Self::Policy(error) if error.is_verdict() => 1,
            Self::Usage(_)
            | Self::KeyGiven(_)
            | Self::Source(SourceError::NotAName { .. } | SourceError::InToken) => 2,
            _ => 3,
        }
    }
}

fn list(names: &[String], none: &str) -> String {
    match names {
        [] => none.into(),
        names => names.join(", "),
    }
}
