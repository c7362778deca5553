//! What a project says once about its packages, so that nobody types it again.
//!
//! A Cargo project writes `[package.metadata.otaseal]` in the firmware's `Cargo.toml`, or
//! `[workspace.metadata.otaseal]` in the workspace's; any other project writes the same fields at the top of an
//! `otaseal.toml`. A package's own settings win over its workspace's, field by field. Paths are relative to the
//! file they stand in. [`SETTINGS`] lists every setting; it is declared there, and nowhere else.
//!
//! ```toml
//! key = "keys/private.pem"          # signs; `keys/private.pem` when nothing is said
//! target = "thumbv6m-none-eabi"     # what the firmware is built for
//! effort = "max"                    # fast, default or max
//! legacy = true                     # also for esp8266 core 2.5.0 to 2.5.2
//! emit = [{ path = "src/ota_key.rs", kind = "rust-device" }]
//! ```

use crate::format::metadata::Labels;
use crate::package::{ArtefactKind, Options};
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
pub use self::setting::{Command, Section, Setting};
pub use self::table::{SETTINGS, Settings};

/// Name of the settings file of a project that is not built by Cargo.
pub const FILE_NAME: &str = "otaseal.toml";

/// Largest settings file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A second way to build, for machines without the target: `core` from source by `-Zbuild-std`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Fallback {
    /// Another cargo, such as a distribution's. The running one when nothing is said.
    pub cargo: Option<PathBuf>,
    /// The rustc that belongs to it.
    pub rustc: Option<PathBuf>,
    /// What to build from source, such as `["core"]`. It needs that compiler's `rust-src` and sets
    /// `RUSTC_BOOTSTRAP=1` for this one build.
    #[serde(deserialize_with = "values::words")]
    pub build_std: Option<Vec<String>>,
    /// A linker to use there: such toolchains seldom have `rust-lld`.
    pub linker: Option<String>,
}

/// Every name that [`Fallback`] knows.
const FALLBACK_FIELDS: &[&str] = &["cargo", "rustc", "build-std", "linker"];

/// One file that the public key is written into.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Emit {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: EmitKind,
    /// For Rust: the name of a module around it.
    #[serde(default, deserialize_with = "values::parsed")]
    pub module: Option<Identifier>,
    /// For the C header: the name of the array, `signing_pubkey` when nothing is said.
    #[serde(default, deserialize_with = "values::parsed")]
    pub array: Option<Identifier>,
    /// For Rust: whether a signature for the device's self-test joins. It needs the private key.
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
    /// The same and an `otaseal_device::PublicKey`.
    RustDevice,
    /// The header of the Arduino cores.
    CHeader,
    /// SPKI, PEM.
    Pem,
    /// SPKI, DER.
    Der,
}

/// A line of a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML, or a value is not what its field takes.
    #[error("{place}: {message}")]
    Invalid {
        /// Where.
        place: Place,
        /// What is wrong with it.
        message: String,
    },
    /// A file of another user names a command that signs.
    #[error(
        "{} names a command that signs (`signer-cmd`), and belongs to another user: number {owner}, you are {user}",
        path.display()
    )]
    Stranger {
        /// The file.
        path: PathBuf,
        /// The number of its owner.
        owner: u32,
        /// The number of the user who runs otaseal.
        user: u32,
    },
    /// A field that does not exist.
    #[error("{place}: there is no setting `{field}`")]
    Unknown {
        /// Where.
        place: Place,
        /// What was written.
        field: String,
        /// What exists, the nearest name first where one is near.
        valid: Vec<&'static str>,
        /// Whether the first of `valid` is near enough to be what was meant.
        near: bool,
    },
}

impl Settings {
    /// Reads an `otaseal.toml`.
    ///
    /// # Errors
    /// [`SettingsError`]; [`SettingsError::Stranger`] for a command that signs in a file of another user, who could run
    /// any program by it.
    pub fn from_file(path: &Path) -> Result<Self, SettingsError> {
        read::settings(path, &[])
    }

    /// Finds the `otaseal.toml` for work in this directory, whose path is absolute: the nearest one up to the top of its
    /// repository. Outside of a repository only the directory itself counts.
    pub fn find(directory: &Path) -> Option<PathBuf> {
        read::find(directory)
    }

    /// Reads `[package.metadata.otaseal]` of a `Cargo.toml`; empty when there is none.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn from_package(manifest: &Path) -> Result<Self, SettingsError> {
        read::settings(manifest, &["package", "metadata", "otaseal"])
    }

    /// Reads `[workspace.metadata.otaseal]` of a `Cargo.toml`; empty when there is none.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn from_workspace(manifest: &Path) -> Result<Self, SettingsError> {
        read::settings(manifest, &["workspace", "metadata", "otaseal"])
    }

    /// The first setting that has no meaning beside the others, and why.
    pub fn misfit(&self) -> Option<(&'static str, &'static str)> {
        if self.key.is_some() && self.signer_cmd.is_some() {
            return Some((
                "signer-cmd",
                "`key` says already what signs; `public-key` names the public key of a command",
            ));
        }
        let mut said = SETTINGS.iter().filter(|setting| self.has(setting.name));
        let alone = said.find(|setting| setting.belongs_to.is_some_and(|name| !self.has(name)))?;
        Some((alone.name, "this belongs to `signer-cmd`, which is not set"))
    }

    /// The command that signs, if one does, with all that is said of it.
    pub fn signing_command(&self) -> Option<SigningCommand> {
        let mut command = self.signer_cmd.clone()?;
        command.input = self.signer_cmd_input.unwrap_or(command.input);
        command.timeout = self.signer_timeout.unwrap_or(command.timeout);
        Some(command)
    }

    /// Puts what these settings say of a package into its options; what they do not say stays as it is.
    pub fn apply(&self, options: &mut Options) {
        if let Some(out_dir) = &self.out_dir {
            options.out_dir.clone_from(out_dir);
        }
        if self.name.is_some() {
            options.base_name.clone_from(&self.name);
        }
        match (&self.artefacts, &self.devices) {
            (Some(artefacts), _) => options.artefacts.clone_from(artefacts),
            // Everything is tried, and what no device accepts is left out.
            (None, Some(_)) => options.artefacts = ArtefactKind::ALL.to_vec(),
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
        self.apply_devices(options);
    }

    fn apply_devices(&self, options: &mut Options) {
        if let Some(devices) = &self.devices {
            options.devices.profiles.clone_from(devices);
        }
        if let Some(layout) = self.flash_layout {
            options.devices.flash = Some(Flash { fs_start: layout.fs_start, installed: None });
            options.devices.flash_bytes = Some(layout.flash_bytes);
        }
        options.devices.flash_mode =
            self.flash_mode.or(self.expect_flash_mode).or(options.devices.flash_mode);
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
