//! Reads a project: its Cargo metadata and its settings.

use super::CargoError;
use crate::key::passphrase::PassphraseSource;
use crate::ledger::{Ledger, Origin};
use crate::output::Inputs;
use crate::project::settings::Settings;
use cargo_metadata::{Metadata, MetadataCommand, Package};
use std::path::{Path, PathBuf};

/// A project with its settings.
pub(super) struct Project {
    /// The workspace's directory.
    pub(super) root: PathBuf,
    /// Cargo's target directory.
    pub(super) target_directory: PathBuf,
    /// The command line's settings, then the firmware package's, then the workspace's.
    pub(super) settings: Settings,
    /// The firmware package, if Cargo builds the firmware.
    pub(super) firmware: Option<FirmwarePackage>,
}

/// The Cargo package of the firmware.
pub(super) struct FirmwarePackage {
    pub(super) id: cargo_metadata::PackageId,
    pub(super) name: String,
    pub(super) directory: PathBuf,
    pub(super) manifest: PathBuf,
    default_run: Option<String>,
    binaries: Vec<String>,
}

impl Project {
    /// Reads the project of `manifest_path`, by default of the current directory. The `given` settings win.
    pub(super) fn load(manifest_path: Option<&Path>, given: &Settings) -> Result<Self, CargoError> {
        let metadata = metadata(manifest_path)?;
        let root: PathBuf = metadata.workspace_root.clone().into();
        let workspace = Settings::from_workspace(&root.join("Cargo.toml"))?;
        let base = given.clone().or(workspace);
        let target_directory = metadata.target_directory.clone().into();
        if base.firmware.is_some() {
            return Ok(Self { root, target_directory, settings: base, firmware: None });
        }
        // The firmware may be in another workspace, which has its own settings.
        let (metadata, base) = match &base.manifest_path {
            Some(other) => {
                let metadata = self::metadata(Some(other))?;
                let own = Settings::from_workspace(
                    &metadata.workspace_root.join("Cargo.toml").into_std_path_buf(),
                )?;
                (metadata, base.or(own))
            }
            None => (metadata, base),
        };
        let package = choose(&metadata, base.package.as_deref())?;
        let own = Settings::from_package(package.manifest_path.as_std_path())?;
        let settings = given.clone().or(own).or(base);
        Ok(Self { root, target_directory, settings, firmware: Some(FirmwarePackage::new(package)) })
    }

    /// Reads a project for a task that needs only keys. The project may have no firmware package yet.
    pub(super) fn load_for_keys(manifest_path: Option<&Path>, given: &Settings) -> Result<Self, CargoError> {
        match Self::load(manifest_path, given) {
            Err(CargoError::WhichPackage { .. }) => {
                let metadata = metadata(manifest_path)?;
                let root: PathBuf = metadata.workspace_root.clone().into();
                let settings = given.clone().or(Settings::from_workspace(&root.join("Cargo.toml"))?);
                let target_directory = metadata.target_directory.into();
                Ok(Self { root, target_directory, settings, firmware: None })
            }
            other => other,
        }
    }

    /// Returns the start of every file name in the package.
    pub(super) fn base_name(&self) -> Result<String, CargoError> {
        if let Some(name) = &self.settings.name {
            return Ok(name.clone());
        }
        if let Some(package) = &self.firmware {
            return package.binary(self.settings.bin.as_deref());
        }
        let stem = self.settings.firmware.as_deref().and_then(Path::file_stem);
        Ok(stem.unwrap_or_default().to_string_lossy().into_owned())
    }

    /// Returns the ledger, if the settings name one.
    pub(super) fn ledger(&self, build_id: Option<&str>) -> Option<Ledger> {
        let path = self.settings.ledger.as_ref()?;
        Some(Ledger::new(path, Origin::of_environment(&self.root).with_build_id(build_id)))
    }

    /// Returns the files that the tasks read: the keys, the passphrase and the manifests with the settings. No output
    /// replaces one of them.
    pub(super) fn inputs(&self, passphrase: &Option<PassphraseSource>) -> Inputs {
        let passphrase = match passphrase {
            Some(PassphraseSource::File(file)) => Some(file.clone()),
            _ => None,
        };
        let keys = [self.settings.private_path(&self.root), self.settings.public_path(&self.root)];
        let example = self.settings.example_key.clone();
        let manifests = self.firmware.iter().map(|package| package.manifest.clone());
        let manifests = manifests.chain([self.root.join("Cargo.toml")]);
        Inputs::new(keys.into_iter().chain(example).chain(passphrase).chain(manifests))
    }

    /// Returns the directory of the package.
    pub(super) fn out_dir(&self) -> Result<PathBuf, CargoError> {
        match &self.settings.out_dir {
            Some(out_dir) => Ok(out_dir.clone()),
            None => Ok(self.target_directory.join("otaseal").join(self.base_name()?)),
        }
    }
}

impl FirmwarePackage {
    fn new(package: &Package) -> Self {
        Self {
            id: package.id.clone(),
            name: package.name.to_string(),
            directory: package.manifest_path.parent().map_or_else(PathBuf::new, |parent| parent.into()),
            manifest: package.manifest_path.clone().into(),
            default_run: package.default_run.clone(),
            binaries: binaries(package),
        }
    }

    /// Returns the binary that is the firmware.
    pub(super) fn binary(&self, asked: Option<&str>) -> Result<String, CargoError> {
        let which =
            || CargoError::WhichBinary { package: self.name.clone(), candidates: self.binaries.clone() };
        match asked.or(self.default_run.as_deref()) {
            Some(name) if self.binaries.iter().any(|binary| binary == name) => Ok(name.into()),
            Some(_) => Err(which()),
            None => match self.binaries.as_slice() {
                [only] => Ok(only.clone()),
                _ => Err(which()),
            },
        }
    }
}

fn metadata(manifest_path: Option<&Path>) -> Result<Metadata, CargoError> {
    let mut command = MetadataCommand::new();
    if let Some(path) = manifest_path {
        command.manifest_path(path);
        // Cargo reads `.cargo/config.toml` from its current directory. It must read the firmware's.
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            command.current_dir(parent);
            command.manifest_path(std::path::absolute(path).unwrap_or_else(|_| path.into()));
        }
    }
    command.no_deps().exec().map_err(|error| CargoError::Metadata(error.to_string()))
}

/// Chooses the firmware package: the named one, else the only one with settings, else the only one with a binary. The
/// xtask itself does not count.
fn choose<'m>(metadata: &'m Metadata, asked: Option<&str>) -> Result<&'m Package, CargoError> {
    let myself = std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "xtask".into());
    let members = metadata.workspace_packages();
    let mut candidates: Vec<&Package> = members
        .into_iter()
        .filter(|package| !binaries(package).is_empty() && package.name.as_str() != myself)
        .collect();
    candidates.sort_by_key(|package| package.name.to_string());
    let names = || candidates.iter().map(|package| package.name.to_string()).collect::<Vec<_>>();
    if let Some(asked) = asked {
        return candidates.iter().find(|package| package.name.as_str() == asked).copied().ok_or_else(|| {
            CargoError::NoSuchPackage {
                manifest: metadata.workspace_root.join("Cargo.toml").into(),
                package: asked.into(),
                candidates: names(),
            }
        });
    }
    let with_settings: Vec<_> =
        candidates.iter().filter(|package| package.metadata.get("otaseal").is_some()).copied().collect();
    match (with_settings.as_slice(), candidates.as_slice()) {
        ([only], _) | ([], [only]) => Ok(only),
        _ => Err(CargoError::WhichPackage { candidates: names() }),
    }
}

fn binaries(package: &Package) -> Vec<String> {
    package.targets.iter().filter(|target| target.is_bin()).map(|target| target.name.clone()).collect()
}
