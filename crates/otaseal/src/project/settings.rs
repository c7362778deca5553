//! What a project says once about its packages, so that nobody types it again.
//!
//! A Cargo project writes `[package.metadata.otaseal]` in the firmware's `Cargo.toml`, or
//! `[workspace.metadata.otaseal]` in the workspace's; any other project writes the same fields at the top of an
//! `otaseal.toml`. A package's own settings win over its workspace's, field by field. Paths are relative to the
//! file they stand in.
//!
//! ```toml
//! key = "keys/private.pem"          # signs; `keys/private.pem` when nothing is said
//! target = "thumbv6m-none-eabi"     # what the firmware is built for
//! effort = "max"                    # fast, default or max
//! legacy = true                     # also for esp8266 core 2.5.0 to 2.5.2
//! emit = [{ path = "src/ota_key.rs", kind = "rust-device" }]
//! ```

use crate::format::gzip::Effort;
use crate::format::image::esp8266::FlashMode;
use crate::format::metadata::{Label, Request};
use crate::key::uri::Pkcs11Uri;
use crate::package::evidence::{Advisory, SupportDate};
use crate::package::{ArtefactKind, Options};
use crate::profile::Profile;
use crate::profile::fit::{Flash, FlashLayout};
use crate::project::emit::Identifier;
use crate::sign::command::{CommandInput, SigningCommand};
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod read;
mod values;

/// Name of the settings file of a project that is not built by Cargo.
pub const FILE_NAME: &str = "otaseal.toml";

/// Largest settings file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Settings of one project. Every field may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Settings {
    /// The private key: a file, or a PKCS#11 URI. Not beside `signer-cmd`.
    pub key: Option<PathBuf>,
    /// The public key; when nothing is said, `public.pem` beside the private one.
    pub public_key: Option<PathBuf>,
    /// A private key that everybody has, used with a warning while `key` is not there.
    pub example_key: Option<PathBuf>,
    /// A command that signs, in place of `key`. What `public-key` names is then its public key. It is run in the
    /// directory of the file that names it.
    #[serde(deserialize_with = "values::parsed")]
    pub signer_cmd: Option<SigningCommand>,
    /// What the command gets on standard input.
    #[serde(deserialize_with = "values::parsed")]
    pub signer_cmd_input: Option<CommandInput>,
    /// How long it may take; in a file, in seconds.
    #[serde(deserialize_with = "values::timeout")]
    pub signer_timeout: Option<Duration>,
    /// Files to write the public key into.
    pub emit: Option<Vec<Emit>>,

    /// The build that another tool makes (`.elf` or `.bin`), for projects that Cargo does not build.
    pub firmware: Option<PathBuf>,
    /// The `Cargo.toml` of a firmware that belongs to another workspace.
    pub manifest_path: Option<PathBuf>,
    /// The Cargo package that is the firmware.
    #[serde(deserialize_with = "values::word")]
    pub package: Option<String>,
    /// Its binary, where it has several.
    #[serde(deserialize_with = "values::word")]
    pub bin: Option<String>,
    /// The Cargo profile; `release` when nothing is said.
    #[serde(deserialize_with = "values::word")]
    pub profile: Option<String>,
    /// The target it is built for; Cargo's own configuration decides when nothing is said.
    #[serde(deserialize_with = "values::word")]
    pub target: Option<String>,
    /// Cargo features to switch on.
    #[serde(deserialize_with = "values::words")]
    pub features: Option<Vec<String>>,
    /// How to build where the target's `core` is not installed.
    pub fallback: Option<Fallback>,
    /// What is packaged where the firmware cannot be built at all.
    pub prebuilt: Option<PathBuf>,

    /// The directory of the package.
    pub out_dir: Option<PathBuf>,
    /// Start of every file name in it.
    pub name: Option<String>,
    /// What is made.
    pub artefacts: Option<Vec<ArtefactKind>>,
    /// Whether the form of esp8266 core 2.5.0 to 2.5.2 is made too.
    pub legacy: Option<bool>,
    /// How hard to compress.
    #[serde(deserialize_with = "values::parsed")]
    pub effort: Option<Effort>,
    /// Largest hole between two ELF sections that is filled, in bytes.
    pub max_gap: Option<usize>,

    /// Devices that the package is made for: what none of them accepts is left out.
    #[serde(rename = "for", deserialize_with = "values::parsed_list")]
    pub devices: Option<Vec<Profile>>,
    /// Their flash layout, as the Arduino core calls it.
    #[serde(deserialize_with = "values::parsed")]
    pub flash_layout: Option<FlashLayout>,
    /// The mode in which they read their flash.
    #[serde(deserialize_with = "values::parsed")]
    pub flash_mode: Option<FlashMode>,
    /// The flash mode that an image must have.
    #[serde(deserialize_with = "values::parsed")]
    pub expect_flash_mode: Option<FlashMode>,
    /// The flash mode that is written into an image.
    #[serde(deserialize_with = "values::parsed")]
    pub set_flash_mode: Option<FlashMode>,
    /// Whether the payloads say what they are, inside the signed bytes.
    pub metadata: Option<bool>,
    /// The board that they say they are for; implies `metadata`.
    #[serde(deserialize_with = "values::parsed")]
    pub board: Option<Label>,
    /// The oldest version that they say may be updated to them; implies `metadata`.
    #[serde(deserialize_with = "values::parsed")]
    pub min_base_version: Option<Label>,

    /// The last day of support, for the manifest.
    #[serde(deserialize_with = "values::parsed")]
    pub support_until: Option<SupportDate>,
    /// Whether the release mends a vulnerability, for the manifest.
    pub security: Option<bool>,
    /// Where the vulnerability is described, for the manifest.
    #[serde(deserialize_with = "values::parsed")]
    pub advisory: Option<Advisory>,
    /// Software bill of materials that joins the package.
    pub sbom: Option<PathBuf>,
    /// The ledger that every signature is entered into.
    pub ledger: Option<PathBuf>,
}

/// Every name that [`Settings`] knows.
const FIELDS: &[&str] = &[
    "key",
    "public-key",
    "example-key",
    "signer-cmd",
    "signer-cmd-input",
    "signer-timeout",
    "emit",
    "firmware",
    "manifest-path",
    "package",
    "bin",
    "profile",
    "target",
    "features",
    "fallback",
    "prebuilt",
    "out-dir",
    "name",
    "artefacts",
    "legacy",
    "effort",
    "max-gap",
    "for",
    "flash-layout",
    "flash-mode",
    "expect-flash-mode",
    "set-flash-mode",
    "metadata",
    "board",
    "min-base-version",
    "support-until",
    "security",
    "advisory",
    "sbom",
    "ledger",
];

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
    /// [`SettingsError`].
    pub fn from_file(path: &Path) -> Result<Self, SettingsError> {
        read::settings(path, &[])
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

    /// The command that signs, if one does, with all that is said of it.
    pub fn signing_command(&self) -> Option<SigningCommand> {
        let mut command = self.signer_cmd.clone()?;
        command.input = self.signer_cmd_input.unwrap_or(command.input);
        command.timeout = self.signer_timeout.unwrap_or(command.timeout);
        Some(command)
    }

    /// These settings, and `other`'s where these say nothing. Who signs is said as a whole: where these name a key or a
    /// command, `other`'s key, command, and what belongs to it do not count.
    #[must_use]
    pub fn or(self, mut other: Self) -> Self {
        if self.key.is_some() || self.signer_cmd.is_some() {
            (other.key, other.signer_cmd, other.signer_cmd_input, other.signer_timeout) =
                (None, None, None, None);
        }
        Self {
            key: self.key.or(other.key),
            signer_cmd: self.signer_cmd.or(other.signer_cmd),
            signer_cmd_input: self.signer_cmd_input.or(other.signer_cmd_input),
            signer_timeout: self.signer_timeout.or(other.signer_timeout),
            public_key: self.public_key.or(other.public_key),
            example_key: self.example_key.or(other.example_key),
            emit: self.emit.or(other.emit),
            firmware: self.firmware.or(other.firmware),
            manifest_path: self.manifest_path.or(other.manifest_path),
            package: self.package.or(other.package),
            bin: self.bin.or(other.bin),
            profile: self.profile.or(other.profile),
            target: self.target.or(other.target),
            features: self.features.or(other.features),
            fallback: self.fallback.or(other.fallback),
            prebuilt: self.prebuilt.or(other.prebuilt),
            out_dir: self.out_dir.or(other.out_dir),
            name: self.name.or(other.name),
            artefacts: self.artefacts.or(other.artefacts),
            legacy: self.legacy.or(other.legacy),
            effort: self.effort.or(other.effort),
            max_gap: self.max_gap.or(other.max_gap),
            devices: self.devices.or(other.devices),
            flash_layout: self.flash_layout.or(other.flash_layout),
            flash_mode: self.flash_mode.or(other.flash_mode),
            expect_flash_mode: self.expect_flash_mode.or(other.expect_flash_mode),
            set_flash_mode: self.set_flash_mode.or(other.set_flash_mode),
            metadata: self.metadata.or(other.metadata),
            board: self.board.or(other.board),
            min_base_version: self.min_base_version.or(other.min_base_version),
            support_until: self.support_until.or(other.support_until),
            security: self.security.or(other.security),
            advisory: self.advisory.or(other.advisory),
            sbom: self.sbom.or(other.sbom),
            ledger: self.ledger.or(other.ledger),
        }
    }

    /// Puts what these settings say of a package into its options; what they do not say stays as it is.
    pub fn apply(&self, options: &mut Options) {
        if let Some(out_dir) = &self.out_dir {
            options.out_dir.clone_from(out_dir);
        }
        if self.name.is_some() {
            options.base_name.clone_from(&self.name);
        }
        if let Some(artefacts) = &self.artefacts {
            options.artefacts.clone_from(artefacts);
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
            // Everything is tried, and what no device accepts is left out.
            if self.artefacts.is_none() {
                options.artefacts = ArtefactKind::ALL.to_vec();
            }
            options.target.profiles.clone_from(devices);
        }
        if let Some(layout) = self.flash_layout {
            options.target.flash = Some(Flash { fs_start: layout.fs_start, installed: None });
            options.target.flash_bytes = Some(layout.flash_bytes);
        }
        options.target.flash_mode = self.flash_mode.or(self.expect_flash_mode).or(options.target.flash_mode);
        let expect = &mut options.policy.expect;
        expect.flash_mode = self.expect_flash_mode.or(expect.flash_mode);
        options.set_flash_mode = self.set_flash_mode.or(options.set_flash_mode);
        let labelled = self.board.is_some() || self.min_base_version.is_some();
        if self.metadata.unwrap_or(labelled) {
            let (board, min_base_version) = (self.board.clone(), self.min_base_version.clone());
            options.metadata = Some(Request { board, min_base_version });
        }
    }

    /// Makes every path relative to `base`, the directory of the file.
    fn rebase(&mut self, base: &Path) {
        let paths = [
            &mut self.key,
            &mut self.public_key,
            &mut self.example_key,
            &mut self.firmware,
            &mut self.manifest_path,
            &mut self.prebuilt,
            &mut self.out_dir,
            &mut self.sbom,
            &mut self.ledger,
        ];
        for path in paths.into_iter().flatten() {
            // A key in a token is no file.
            if !path.to_str().is_some_and(Pkcs11Uri::is_one) {
                *path = base.join(&*path);
            }
        }
        if let Some(command) = &mut self.signer_cmd {
            command.run_in(base);
        }
        for emit in self.emit.iter_mut().flatten() {
            emit.path = base.join(&emit.path);
        }
        if let Some(fallback) = &mut self.fallback {
            // A bare name is looked up in PATH, as everywhere.
            for program in [&mut fallback.cargo, &mut fallback.rustc].into_iter().flatten() {
                if program.components().count() > 1 {
                    *program = base.join(&*program);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
