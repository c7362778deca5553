//! Why an upload is refused.

use super::MAX_FILES;
use crate::objects::ObjectError;
use otaseal::format::input::too_large;
use otaseal::package::PartsError;
use otaseal::package::manifest::FILE_NAME;
use otaseal_delivery::release::ReleaseError;
use otaseal_delivery::text::said;
use std::io;

/// Why an upload is refused. Nothing of it stays. What an uploader chose is escaped and bounded in each sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// The upload, or what an archive holds, is larger than the limit.
    #[error("the upload is too large: {}", too_large(*limit))]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The upload has too many files.
    #[error("the upload has more than {MAX_FILES} files")]
    TooMany,
    /// The upload has no file.
    #[error("the upload has no file")]
    Empty,
    /// A file of the upload cannot be taken.
    #[error("{name}: {what}")]
    Entry {
        /// Its name, fit to be shown.
        name: String,
        /// The fault.
        what: &'static str,
    },
    /// The archive cannot be read.
    #[error("the {kind} archive is damaged: {what}")]
    Archive {
        /// Its kind.
        kind: &'static str,
        /// The fault.
        what: String,
    },
    /// The files of an archive lie in several folders.
    #[error("the files of the archive lie in more than one folder")]
    Folders,
    /// Several files, and none of them is a manifest.
    #[error(
        "{FILE_NAME} is missing among {files} files: upload a package as `otaseal package` makes it, or one image"
    )]
    NoManifest {
        /// How many files there are.
        files: usize,
    },
    /// The manifest is larger than any manifest.
    #[error("{FILE_NAME} is too large")]
    LargeManifest,
    /// The files are not those of the manifest.
    #[error("{}", said(.0.to_string().as_bytes()))]
    Parts(#[from] PartsError),
    /// The files are no release that may be offered.
    #[error("{}", said(.0.to_string().as_bytes()))]
    Release(#[from] ReleaseError),
    /// The uploader says something that cannot be.
    #[error("the {field} {what}")]
    Said {
        /// What it is said of.
        field: &'static str,
        /// The fault.
        what: String,
    },
    /// The uploader says something else than the image.
    #[error("the {field} of the image is {image}, not {said}")]
    Contradiction {
        /// What it is said of.
        field: &'static str,
        /// What the image says.
        image: String,
        /// What the uploader says.
        said: String,
    },
    /// The upload broke off.
    #[error("the upload broke off: {0}")]
    Upload(io::Error),
    /// The objects cannot be stored.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl IntakeError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::TooMany => "too-many-files",
            Self::Empty => "empty",
            Self::Entry { .. } => "file",
            Self::Archive { .. } => "archive",
            Self::Folders => "folders",
            Self::NoManifest { .. } => "no-manifest",
            Self::LargeManifest => "large-manifest",
            Self::Parts(_) => "package",
            Self::Release(_) => "release",
            Self::Said { .. } => "said",
            Self::Contradiction { .. } => "contradiction",
            Self::Upload(_) => "broken-off",
            Self::Object(_) => "store",
        }
    }
}
