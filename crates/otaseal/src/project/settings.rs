//! Reads the settings of a project, so that you need not type them for every command.
//!
//! A Cargo project writes `[package.metadata.otaseal]` in the firmware's `Cargo.toml`, or
//! `[workspace.metadata.otaseal]` in the workspace's. Any other project writes the same fields at the top of an
//! `otaseal.toml`. The package's settings win over the workspace's, field by field. Paths are relative to the
//! file that names them. [`SETTINGS`] declares every setting, and is the only place that does.
//!
//! ```toml
//! key = "keys/private.pem"          # the key that signs; this is the default
//! target = "thumbv6m-none-eabi"     # the target that Cargo builds for
//! effort = "max"                    # fast, default or max
//! legacy = true                     # also for esp8266 core 2.5.0 to 2.5.2
//! emit = [{ path = "src/ota_key.rs", kind = "rust-device" }]
//! ```

use crate::format::input::Input;
use crate::format::metadata::Labels;
use crate::package::{ArtefactKind, Options};
use crate::profile::devices::Devices;
use crate::profile::fit::Flash;
use crate::project::emit::Identifier;
use crate::sign::command::SigningCommand;
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};

mod keys;
mod read;
mod setting;
mod table;
mod values;

pub use self::keys::SigningKey;
#[cfg(feature = "cargo")]
pub(crate) use self::keys::{in_token, is_there};
pub use self::setting::{Command, Heading, Section, Setting};
pub use self::table::{SETTINGS, Settings};

/// Name of the settings file of a project that is not built by Cargo.
pub const FILE_NAME: &str = "otaseal.toml";

/// Largest settings file that otaseal reads, in bytes.
const MAX_FILE: usize = 1 << 20;

/// A second way to build, for machines without the target: it builds `core` from source with `-Zbuild-std`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Fallback {
    /// Another cargo, such as a distribution's. The default is the running one.
    pub cargo: Option<PathBuf>,
    /// The rustc that belongs to it.
    pub rustc: Option<PathBuf>,
    /// The crates to build from source, such as `["core"]`. This needs the compiler's `rust-src` and sets
    /// `RUSTC_BOOTSTRAP=1` for this one build.
    #[serde(deserialize_with = "values::words")]
    pub build_std: Option<Vec<String>>,
    /// The linker to use with it: such toolchains seldom have `rust-lld`.
    pub linker: Option<String>,
}

/// Every name that [`Fallback`] knows.
const FALLBACK_FIELDS: &[&str] = &["cargo", "rustc", "build-std", "linker"];

/// One file that gets the public key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Emit {
    /// The file.
    pub path: PathBuf,
    /// The kind of file.
    pub kind: EmitKind,
    /// For Rust: the name of a module around the constants.
    #[serde(default, deserialize_with = "values::parsed")]
    pub module: Option<Identifier>,
    /// For the C header: the name of the array. The default is `signing_pubkey`.
    #[serde(default, deserialize_with = "values::parsed")]
    pub array: Option<Identifier>,
    /// For Rust: whether to add a signature for the device's self-test. It needs the private key.
    #[serde(default)]
    pub self_test: bool,
}

/// Every name that [`Emit`] knows.
const EMIT_FIELDS: &[&str] = &["path", "kind", "module", "array", "self-test"];

/// The form of a public key in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmitKind {
    /// Rust constants without any dependency.
    Rust,
    /// The same, and an `otaseal_device::PublicKey`.
    RustDevice,
    /// The header that the Arduino cores include.
    CHeader,
    /// SPKI, PEM.
    Pem,
    /// SPKI, DER.
    Der,
}

/// A line of a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Why otaseal cannot use the settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// otaseal could not read the file.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not TOML, or a field does not take its value.
    #[error("{place}: {message}")]
    Invalid {
        /// The line.
        place: Place,
        /// The fault.
        message: String,
    },
    /// A file of another user names a command that signs.
    #[error(
        "{} names a command that signs (`signer-cmd`), and belongs to another user ({owner}; you are {user})",
        path.display()
    )]
    Stranger {
        /// The file.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id of the user who runs otaseal.
        user: u32,
    },
    /// A field that does not exist.
    #[error("{place}: there is no setting `{field}`")]
    Unknown {
        /// The line.
        place: Place,
        /// The name in the file.
        field: String,
        /// The names that exist; if one is near, it comes first.
        valid: Vec<&'static str>,
        /// Whether the first of `valid` is so near that you probably meant it.
        near: bool,
    },
}

impl Settings {
    /// Reads an `otaseal.toml` that [`Settings::find`] found.
    ///
    /// # Errors
    /// The errors of [`Settings::from_input`].
    pub fn from_file(path: &Path) -> Result<Self, SettingsError> {
        read::settings(path, &[])
    }

    /// Reads a settings file that the caller has opened, or could not open. Messages call it `path`, and the paths in it
    /// are relative to the directory of `path`, or to the current directory if the input is a stream.
    ///
    /// # Errors
    /// [`SettingsError`]. [`SettingsError::Stranger`] if the file belongs to another user and names a command that
    /// signs: that user could run any program with your rights.
    pub fn from_input(path: &Path, input: std::io::Result<Input>) -> Result<Self, SettingsError> {
        read::parse(path, input, &[])
    }

    /// Finds the `otaseal.toml` for work in this directory: the nearest one, up to the top of its repository. Outside a
    /// repository, only the directory itself counts. Its path must be absolute.
    pub fn find(directory: &Path) -> Option<PathBuf> {
        read::find(directory)
    }

    /// Reads `[package.metadata.otaseal]` of a `Cargo.toml`. Without such a table the settings are empty.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn from_package(manifest: &Path) -> Result<Self, SettingsError> {
        read::settings(manifest, &["package", "metadata", "otaseal"])
    }

    /// Reads `[workspace.metadata.otaseal]` of a `Cargo.toml`. Without such a table the settings are empty.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn from_workspace(manifest: &Path) -> Result<Self, SettingsError> {
        read::settings(manifest, &["workspace", "metadata", "otaseal"])
    }

    /// Returns the first setting that does not fit the others, and why.
    pub fn misfit(&self) -> Option<(&'static str, &'static str)> {
        if self.key.is_some() && self.signer_cmd.is_some() {
            return Some((
                "signer-cmd",
                "`key` already names the key that signs; with a command, use `public-key` for its public key",
            ));
        }
        let mut said = SETTINGS.iter().filter(|setting| self.has(setting.name));
        let alone = said.find(|setting| setting.belongs_to.is_some_and(|name| !self.has(name)))?;
        Some((alone.name, "this setting needs `signer-cmd`, which is not set"))
    }

    /// Returns the command that signs, if there is one, with its own settings.
    pub fn signing_command(&self) -> Option<SigningCommand> {
        let mut command = self.signer_cmd.clone()?;
        command.input = self.signer_cmd_input.unwrap_or(command.input);
        command.timeout = self.signer_timeout.unwrap_or(command.timeout);
        Some(command)
    }

    /// Writes these settings into the options of a package. A missing setting changes no option.
    pub fn apply(&self, options: &mut Options) {
        if let Some(out_dir) = &self.out_dir {
            options.out_dir.clone_from(out_dir);
        }
        if self.name.is_some() {
            options.base_name.clone_from(&self.name);
        }
        self.apply_devices(options);
        match (&self.artefacts, &self.devices) {
            (Some(artefacts), _) => options.artefacts.clone_from(artefacts),
            // otaseal tries every kind, and omits an artefact that no device accepts. A signature is of no use to devices
            // that check none, although they take it for a part of the image.
            (None, Some(_)) => {
                let any_verifies = options.policy.devices.verifying().is_some();
                let kinds = ArtefactKind::ALL.iter().copied();
                options.artefacts = kinds.filter(|kind| any_verifies || !kind.is_signed()).collect();
            }
            (None, None) => {}
        }
        match self.legacy {
            Some(true) => options.artefacts.push(ArtefactKind::LegacySig),
            Some(false) => options.artefacts.retain(|kind| *kind != ArtefactKind::LegacySig),
            None => {}
        }
        if let Some(effort) = self.effort {
            options.effort = effort;
        }
        if let Some(max_gap) = self.max_gap {
            options.max_gap = max_gap;
        }
        let evidence = &mut options.evidence;
        evidence.support_until = self.support_until.or(evidence.support_until);
        evidence.security = self.security.or(evidence.security);
        evidence.advisory = self.advisory.clone().or(evidence.advisory.take());
        evidence.sbom = self.sbom.clone().or(evidence.sbom.take());
    }

    /// Writes what these settings say of devices into a description. It leaves the rest as it is.
    pub fn describe(&self, devices: &mut Devices) {
        if let Some(profiles) = &self.devices {
            devices.profiles.clone_from(profiles);
        }
        if let Some(layout) = self.flash_layout {
            devices.flash = Some(Flash::new(layout.fs_start));
            devices.flash_bytes = Some(layout.flash_bytes);
            devices.filesystem = Some(layout.file_system());
        }
        devices.partitions = self.partition_scheme.or(devices.partitions);
        if self.via.is_some() {
            devices.via.clone_from(&self.via);
        }
        devices.atomic_fs_update = self.atomic_fs_update.unwrap_or(devices.atomic_fs_update);
        devices.flash_mode = self.flash_mode.or(self.expect_flash_mode).or(devices.flash_mode);
    }

    fn apply_devices(&self, options: &mut Options) {
        self.describe(&mut options.policy.devices);
        let expect = &mut options.policy.expect;
        expect.flash_mode = self.expect_flash_mode.or(expect.flash_mode);
        options.set_flash_mode = self.set_flash_mode.or(options.set_flash_mode);
        let labelled = self.board.is_some() || self.min_base_version.is_some();
        if self.metadata.unwrap_or(labelled) {
            let (board, min_base_version) = (self.board.clone(), self.min_base_version.clone());
            options.metadata = Some(Labels { board, min_base_version });
        }
    }
}

#[cfg(test)]
mod tests;
