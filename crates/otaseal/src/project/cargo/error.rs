//! The errors of the tasks in [`crate::project::cargo`].

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

/// Why a task has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CargoError {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The command line has a key on it. The message does not show it.
    #[error(transparent)]
    KeyGiven(#[from] KeyOnCommandLine),
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Cargo does not know the project.
    #[error("cargo cannot read this project: {0}")]
    Metadata(String),
    /// There is no such package in the workspace.
    #[error("{} has no package `{package}` with a binary", manifest.display())]
    NoSuchPackage {
        /// The workspace's `Cargo.toml`.
        manifest: PathBuf,
        /// The package that the user named.
        package: String,
        /// The packages with a binary.
        candidates: Vec<String>,
    },
    /// No setting says which package is the firmware.
    #[error("which package is the firmware? {}", list(candidates, "none has a binary"))]
    WhichPackage {
        /// The packages with a binary.
        candidates: Vec<String>,
    },
    /// No setting says which binary is the firmware.
    #[error("which binary of `{package}` is the firmware? {}", list(candidates, "it has none"))]
    WhichBinary {
        /// The package.
        package: String,
        /// Its binaries.
        candidates: Vec<String>,
    },
    /// The system could not start a program.
    #[error("{} could not be started: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The build failed. The compiler has shown why.
    #[error("the build failed ({status}): {command}")]
    Build {
        /// The command that built.
        command: String,
        /// Its exit status.
        status: ExitStatus,
    },
    /// The build succeeded, and made no executable of this name.
    #[error("the build made no executable `{bin}`: {command}")]
    NoExecutable {
        /// The command that built.
        command: String,
        /// The binary that it should have made.
        bin: String,
    },
    /// There is no private key, and no example key either.
    #[error("there is no private key: {} does not exist", material::shown(.0))]
    NoKey(PathBuf),
    /// otaseal could not read an image.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// otaseal could not open the key.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A command signs. It cannot make a key.
    #[error("a command signs in this project (`signer-cmd`): otaseal cannot make its key")]
    KeyOfCommand {
        /// The path of the public key.
        public: PathBuf,
    },
    /// The key's PKCS#11 URI is wrong.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The key or the ledger does not pass the policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// otaseal could not make a key.
    #[error(transparent)]
    Keygen(KeyError),
    /// There is no passphrase for the new key, or otaseal refuses it.
    #[error(transparent)]
    Passphrase(#[from] SecretError),
    /// otaseal could not write the new key pair. It wrote neither file.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// The public key belongs to another private key.
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
    /// otaseal cannot put the user's key into the prebuilt image.
    #[error("the prebuilt image has a key of its own, and only a new build can have yours: {source}")]
    PrebuiltKey {
        /// The image.
        path: PathBuf,
        /// What is missing to build the firmware.
        why: String,
        /// The refusal.
        source: Box<PackageError>,
    },
    /// otaseal made no package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// otaseal signed nothing.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The public key is not in its source file.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// otaseal could not write a file.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The settings name no file for the public key.
    #[error("the setting `emit` names no file for the public key")]
    NoEmit,
    /// A field of `emit` does not fit the kind of file.
    #[error("{}: {what}", path.display())]
    EmitSetting {
        /// The file.
        path: PathBuf,
        /// The fault.
        what: &'static str,
    },
    /// The user asked for a bill of materials of firmware that Cargo does not build.
    #[error("otaseal can make a bill of materials only of firmware that Cargo builds")]
    NoSbom,
    /// There is no signed image to verify.
    #[error("{} has no signed package", .0.display())]
    NothingSigned(PathBuf),
    /// The device's code rejects an image.
    #[error("{} is rejected: {reject}", path.display())]
    Rejected {
        /// The image.
        path: PathBuf,
        /// The first check that failed.
        reject: Reject,
    },
    /// The task succeeded, and its report could not be written.
    #[error("the report could not be written: {0}")]
    Report(io::Error),
}

impl CargoError {
    /// Returns the exit code: 1 judged and rejected, 2 usage, 3 could not do it.
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
