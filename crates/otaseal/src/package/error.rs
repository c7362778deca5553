//! Why there is no package.

use crate::format::gzip::CompressError;
use crate::format::homie::TokenError;
use crate::ledger::LedgerError;
use crate::output::OutputError;
use crate::package::evidence::SbomError;
use crate::package::firmware::FirmwareError;
use crate::policy::continuity::ContinuityError;
use crate::policy::guard::GuardError;
use crate::policy::lint;
use crate::profile::Profile;
use crate::sign::SignError;
use std::path::PathBuf;

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The build cannot be used.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// The key is not the one that the devices know.
    #[error(transparent)]
    Key(#[from] GuardError),
    /// The keys in the image are not what they must be.
    #[error("{file}: {source}")]
    Continuity {
        /// The build.
        file: String,
        /// What is wrong with them.
        source: ContinuityError,
    },
    /// The Homie tokens contradict each other or break a rule.
    #[error("{file}: {source}")]
    Tokens {
        /// The build.
        file: String,
        /// Which rule they break.
        source: TokenError,
    },
    /// Compressing failed.
    #[error(transparent)]
    Compress(#[from] CompressError),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A file could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The bill of materials cannot be used.
    #[error(transparent)]
    Sbom(#[from] SbomError),
    /// A release without a ledger.
    #[error("a release needs a ledger of what was signed")]
    NoLedger,
    /// The signatures were not entered, so there are none.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A release with a key that is unfit for it.
    #[error(transparent)]
    KeyRefused(#[from] lint::Refused),
    /// The base name cannot be a file name.
    #[error("`{0}` cannot be used as a file name")]
    BaseName(String),
    /// The directory has the package of another firmware.
    #[error("{} holds another package: its manifest lists {file}", out_dir.display())]
    Occupied {
        /// The directory.
        out_dir: PathBuf,
        /// A file of the other package.
        file: String,
    },
    /// A kind of device of the target accepts nothing of what was asked for.
    #[error("{profile} accepts none of the artefacts: {}", reasons.join("; "))]
    NothingFor {
        /// The kind of device.
        profile: Profile,
        /// Why, for each artefact.
        reasons: Vec<String>,
    },
    /// Nothing was asked for.
    #[error("no artefact was asked for")]
    NothingToMake,
    /// The build lies where an artefact would go.
    #[error("{} is the build or the ledger itself and would be overwritten", .0.display())]
    Overlap(PathBuf),
    /// The manifest could not be put into JSON.
    #[error("the manifest could not be written: {0}")]
    Manifest(#[from] serde_json::Error),
}

impl PackageError {
    /// What the user can do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Firmware(error) => error.help(),
            Self::Key(error) => error.help(),
            Self::Continuity { source, .. } => source.help(),
            Self::Tokens { source, .. } => source.help().to_string(),
            Self::Compress(_) => "no device has that much flash; is this the right file?".into(),
            Self::Sign(error) => error.help().into(),
            Self::Output(error) => error.help().into(),
            Self::NoLedger => {
                "name it with --ledger FILE, or once for all in the settings: ledger = \"ledger.jsonl\""
                    .into()
            }
            Self::Sbom(error) => error.help().into(),
            Self::Ledger(error) => error.help().into(),
            Self::KeyRefused(refused) => refused.help(),
            Self::BaseName(_) => "use letters, digits and - _ . +, not starting with a dot".into(),
            Self::Occupied { .. } => "one directory holds one package: choose another --out-dir".into(),
            Self::NothingFor { .. } => {
                "ask for other artefacts with --artefacts, or do what `otaseal verify --as` says of one"
                    .into()
            }
            Self::NothingToMake => "name at least one of plain, gz, signed, gz-signed, legacy-sig".into(),
            Self::Overlap(_) => "choose another --out-dir or --name".into(),
            Self::Manifest(_) => "this should not happen; nothing was written".into(),
        }
    }
}
