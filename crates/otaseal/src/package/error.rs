//! The errors of making and writing a package.

use crate::format::gzip::CompressError;
use crate::output::OutputError;
use crate::package::evidence::SbomError;
use crate::package::firmware::FirmwareError;
use crate::package::manifest::ManifestError;
use crate::policy::PolicyError;
use crate::profile::Profile;
use otaseal_device::KeyId;
use std::path::PathBuf;

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The build cannot be used.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// The key or the ledger does not pass the policy, or signing failed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The image does not pass the policy.
    #[error("{file}: {source}")]
    Image {
        /// The build.
        file: String,
        /// The fault.
        source: PolicyError,
    },
    /// Compressing failed.
    #[error(transparent)]
    Compress(#[from] CompressError),
    /// A file could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The bill of materials cannot be used.
    #[error(transparent)]
    Sbom(#[from] SbomError),
    /// The base name cannot be a file name.
    #[error("`{0}` cannot be used as a file name")]
    BaseName(String),
    /// The directory has a package of another base name.
    #[error("{} holds another package: its manifest lists {file}", out_dir.display())]
    Occupied {
        /// The directory.
        out_dir: PathBuf,
        /// A file of the other package.
        file: String,
    },
    /// The directory has a package of the same base name, made of a firmware with another name. Many builds have the same
    /// file name, such as `firmware.bin`.
    #[error("{} holds the package of another firmware: {earlier:?}, not {name:?}", out_dir.display())]
    OtherFirmware {
        /// The directory.
        out_dir: PathBuf,
        /// The firmware's name in the manifest that is there.
        earlier: String,
        /// The name of the firmware to package.
        name: String,
    },
    /// The directory has a signed package, and nobody signs the new one.
    #[error("{} holds a signed package ({file}, by the key {key}), and nobody signs the new one", out_dir.display())]
    EarlierSigned {
        /// The directory.
        out_dir: PathBuf,
        /// A signed file of the package that is there.
        file: String,
        /// The key that signed it, as its manifest says.
        key: KeyId,
    },
    /// A device of the package accepts none of the artefacts.
    #[error("{profile} accepts none of the artefacts: {}", reasons.join("; "))]
    NothingFor {
        /// The kind of device.
        profile: Profile,
        /// Why, for each artefact.
        reasons: Vec<String>,
    },
    /// The options list no artefact.
    #[error("no artefact was asked for")]
    NothingToMake,
    /// A file that otaseal reads for the package, such as the build or the key, lies in the place of one of its files.
    #[error("the package would overwrite {}, which is the input {}", path.display(), input.display())]
    Overlap {
        /// The file of the package.
        path: PathBuf,
        /// The name under which otaseal reads it.
        input: PathBuf,
    },
    /// The disk failed when some files were removed or had their names already. Packaging again finishes it.
    #[error(transparent)]
    Unfinished(Box<Unfinished>),
    /// Others packaged into the directory all the time, for a minute.
    #[error("other runs of otaseal write into {}", .0.display())]
    Busy(PathBuf),
    /// The manifest in the directory, or a file that it lists, could not be read. It may be a private key.
    #[error("{} is there and could not be read: {source}", path.display())]
    EarlierUnread {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The manifest in the directory belongs to another program or a newer otaseal, or it is damaged. otaseal leaves it
    /// there.
    #[error("{} is there already: {source}", path.display())]
    EarlierManifest {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: ManifestError,
    },
}

/// The changes in a directory up to a failure. The lists are names of files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("{source}. The package in {} is unfinished: otaseal {}", out_dir.display(), self.lists())]
pub struct Unfinished {
    /// The directory.
    pub out_dir: PathBuf,
    /// The failure.
    pub source: OutputError,
    /// These files of the earlier package are gone.
    pub removed: Vec<String>,
    /// These files of the new package are there.
    pub written: Vec<String>,
    /// These files of the new package are not there. A file of the earlier package may have the name.
    pub missing: Vec<String>,
}

impl Unfinished {
    fn lists(&self) -> String {
        let lists = [("removed", &self.removed), ("wrote", &self.written), ("did not write", &self.missing)];
        let lists = lists.iter().filter(|(_, names)| !names.is_empty());
        let lists: Vec<_> = lists.map(|(verb, names)| format!("{verb} {}", names.join(", "))).collect();
        lists.join("; it ")
    }
}
